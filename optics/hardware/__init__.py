"""Imperfect hardware that can be measured and not differentiated.

Reading order: `detectors`, `holography`, `modulator`; `imperfections`, `twin` (the physics of one bench, hidden);
`opaque` (what every bench shares), `bench` (what a learner sees of a twin); `mesh_imperfections`, `mesh_bench`,
`push_pull`, `self_configuration`; `chip`, `chip_budget`. Stands on `media` and `meshes`; a network never imports from
here.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from optics.hardware.detectors import Camera, PhotonCounter, count_photons, flir_bfs_u3_89s6m
from optics.hardware.imperfections import Imperfections
from optics.hardware.twin import draw_twin
from optics.hardware.bench import OpticalBench
from optics.hardware.mesh_imperfections import MeshImperfections
from optics.hardware.mesh_bench import MeshBench
from optics.hardware.chip import make_settings, nominal_matrices, draw_chip

__all__ = [
    "Camera",
    "PhotonCounter",
    "count_photons",
    "flir_bfs_u3_89s6m",
    "Imperfections",
    "draw_twin",
    "OpticalBench",
    "MeshImperfections",
    "MeshBench",
    "make_settings",
    "nominal_matrices",
    "draw_chip",
]
