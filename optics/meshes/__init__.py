"""Meshes of interferometers, columns of couplers and phases that make any matrix.

Reading order: `mzi`, `columns`, `mesh`, `decomposition` (unitary to phases), `takagi` and `symmetric` (cores that are
their own transpose), `s_matrix`, `touchstone`. Imports `optics._checks`, `_dark` and `_numbers` only.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from optics.meshes.mzi import cell_elements
from optics.meshes.columns import apply_columns
from optics.meshes.mesh import cells, Mesh, make_mesh
from optics.meshes.symmetric import (
    SymmetricCore,
    make_symmetric_core,
    program_symmetric,
    tied_gradient,
)

__all__ = [
    "cell_elements",
    "apply_columns",
    "cells",
    "Mesh",
    "make_mesh",
    "SymmetricCore",
    "make_symmetric_core",
    "program_symmetric",
    "tied_gradient",
]
