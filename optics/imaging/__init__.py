"""Focusing and seeing through scatterers, around corners and in weak light.

Reading order: `focusing`, `focus_search`; `hidden_scene` (the bench behind a wall), `hidden_wavefront`; `weak_light`.
Stands on `learning`.
"""
