"""Quantum echoes on the chip: one file, one figure, one claim.

Spreading and decay: `otoc_spreading`, `otoc_decay`; interference: `otoc_interference`; hardware: `otoc_noise`,
`random_circuit_sampling`, `otoc_cost`, `otoc_verification`; learning from echoes: `hamiltonian_learning`.
Drawn with `lattice_picture` and `*_figure`; `otoc_published` reads the circuits of the paper.
"""
