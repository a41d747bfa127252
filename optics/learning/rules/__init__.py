"""Learning rules: each turns measurements or a model into a gradient. One file, one rule.

`forward_mode` (FFM), `mesh_forward_mode`, `chip_forward_mode`; with a model: `in_silico`, `noise_aware`,
`physics_aware`; by other measurements: `in_situ_backprop`, `mesh_in_situ`, `feedback_alignment`, `perturbative`. A new
rule goes here.
"""
