"""Networks of light as models: what is trained, whatever it runs on.

Reading order: `activations`, `encoders` (data to light), `readout` (light to classes); `layers` (the loop over them),
`diffractive` (phase layers), `mesh_network`, `taichi` (chiplets), `output_codes`, `coded_chiplets` (many on one task).
Stands on `media` and `meshes`; hardware never imports from here.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from optics.networks.activations import ACTIVATIONS
from optics.networks.encoders import (
    encode_images,
    encode_low_frequencies,
    encode_harmonics,
    load_amplitudes,
    shrink,
)
from optics.networks.readout import IntensityTarget, PortReadout, make_readout
from optics.networks.diffractive import DiffractiveNetwork, make_network
from optics.networks.mesh_network import MeshNetwork, make_mesh_network

__all__ = [
    "ACTIVATIONS",
    "encode_images",
    "encode_low_frequencies",
    "encode_harmonics",
    "load_amplitudes",
    "shrink",
    "IntensityTarget",
    "PortReadout",
    "make_readout",
    "DiffractiveNetwork",
    "make_network",
    "MeshNetwork",
    "make_mesh_network",
]
