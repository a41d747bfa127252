"""Out-of-time-order correlators on the chip, of any order.

Reading order: `otoc` (the echo and its pruned circuit), `otoc_batch`, `reference` (the echo without butterfly),
`interference` (diagonal and off-diagonal by Pauli insertion), `wavefront`, `pauli_paths`, `pauli_growth`, `published`
(circuit files of the experiment). Stands on `engines`.
"""
