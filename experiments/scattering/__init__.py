"""Through and around scatterers: one file, one figure, one claim.

`ffm_focus` (with `ffm_focus_report`), `ffm_hidden_object` (with `ffm_hidden_object_scene`).
"""
