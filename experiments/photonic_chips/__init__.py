"""Meshes, symmetric cores and chiplets: one file, one figure, one claim.

`mesh_errors`; `ffm_chip` (with `ffm_chip_training`); `taichi_classification` and `taichi_depth` (with
`taichi_chiplets`); `exceptional_point`.
"""
