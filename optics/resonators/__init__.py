"""Coupled resonators and their exceptional points.

Reading order: `small_matrices`, `coupled_modes`, `rational_fit`, `exceptional_points`. Stands on `learning` and
`hardware`.
"""
