"""Noise of a device, and what is done about it.

Reading order: `model` (what a gate, an idle moment and a readout do), `batched_states`, `trajectories`, `strata`,
`noisy_expectation` (one call), `cross_entropy`, `mitigation`,
`pauli_frames`, `extrapolation`, `path_weight`. Stands on `engines`.
"""
