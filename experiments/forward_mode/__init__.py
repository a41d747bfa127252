"""Fully forward mode on benches of free space: one file, one figure, one claim.

What it rests on: `ffm_gradient`, `reciprocity_audit` (with `reciprocity_audit_bench` and `_core`); the main job and its
hardware: `ffm_gap`, `ffm_single_layer`, `ffm_depth`, `ffm_nonlinear`; against other ways to train: `ffm_methods`
(with `ffm_methods_grid`); in weak light: `ffm_weak_light`. All stand on `panel`.
"""
