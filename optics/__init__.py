"""Differentiable wave optics, an opaque hardware twin, and the ways to train a system on it.

Reading order: `field`, `sources`, `propagation` and `fresnel` (with `sampling` to choose between them), `elements`,
`modulator`, `zernike`, `detectors`, `holography`; then `free_space` (one geometry prepared for repeated use),
`imperfections`, `twin`, `bench`, `diffractive`, `activations`, and the package `learning`.
Through a diffuser: `scattering`, `focusing`, `focus_search`.
Behind a wall: `non_line_of_sight`, `hidden_wavefront`; in weak light: `weak_light`.
On the chip: `mzi`, `mesh`, `mesh_decomposition`, `mesh_imperfections`, `mesh_bench`, `self_configuration`, `s_matrix`;
`takagi`, `symmetric_mesh`, `chip` (cores that are their own transpose, as `learning.chip_forward_mode` needs them);
then `taichi` (chiplets side by side), `output_codes`, `chip_budget`.
Resonators: `coupled_modes`, `rational_fit`, `exceptional_points`. Is a system its own transpose: `reciprocity`.
"""

from optics.hardware.bench import OpticalBench
from optics.hardware.chip import make_chip
from optics.hardware.detectors import Camera, PhotonCounter
from optics.hardware.imperfections import Imperfections, preset
from optics.hardware.mesh_bench import MeshBench, make_mesh_bench
from optics.hardware.mesh_imperfections import MeshImperfections, mesh_preset
from optics.hardware.twin import make_twin
from optics.imaging.hidden_scene import SceneGeometry, make_hidden_bench
from optics.media.free_space import FreeSpace, make_free_space
from optics.media.geometry import Geometry
from optics.media.scattering import Scatterer, make_medium, phase_screen, place_scatterer
from optics.meshes.decomposition import decompose_matrix, decompose_unitary
from optics.meshes.mesh import Mesh, make_mesh
from optics.meshes.symmetric import SymmetricCore, program_symmetric
from optics.networks.diffractive import DiffractiveNetwork, make_network
from optics.networks.output_codes import make_output_code
from optics.networks.readout import Readout, make_readout
from optics.networks.taichi import Chiplet, SlabGeometry, make_chiplets, make_diffractor
from optics.resonators.coupled_modes import ModeBench, ModeSheet, make_mode_twin
from optics.waves.field import Field
from optics.waves.propagation import angular_spectrum, propagate, rayleigh_sommerfeld
from optics.waves.sampling import SamplingWarning, recommend_propagator

__all__ = [
    "Camera",
    "Chiplet",
    "DiffractiveNetwork",
    "Field",
    "FreeSpace",
    "Geometry",
    "Imperfections",
    "Mesh",
    "MeshBench",
    "MeshImperfections",
    "ModeBench",
    "ModeSheet",
    "OpticalBench",
    "PhotonCounter",
    "Readout",
    "SamplingWarning",
    "Scatterer",
    "SceneGeometry",
    "SlabGeometry",
    "SymmetricCore",
    "angular_spectrum",
    "decompose_matrix",
    "decompose_unitary",
    "make_chip",
    "make_chiplets",
    "make_diffractor",
    "make_free_space",
    "make_hidden_bench",
    "make_medium",
    "make_mesh",
    "make_mesh_bench",
    "make_mode_twin",
    "make_network",
    "make_output_code",
    "make_readout",
    "make_twin",
    "mesh_preset",
    "phase_screen",
    "place_scatterer",
    "preset",
    "program_symmetric",
    "propagate",
    "rayleigh_sommerfeld",
    "recommend_propagator",
]
