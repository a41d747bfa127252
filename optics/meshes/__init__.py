"""Meshes of interferometers, columns of couplers and phases that make any matrix.

Reading order: `mzi`, `columns`, `mesh`, `decomposition` (unitary to phases), `takagi` and `symmetric` (cores that are
their own transpose), `s_matrix`. Imports `optics._checks` only.
"""
