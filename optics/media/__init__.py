"""What light passes between two planes, prepared for repeated use.

Reading order: `separable` (products of two small matrices), `free_space_kernels`, `free_space` (one geometry prepared),
`geometry` (the data sheet of a module), `scattering` (phase screens and thick media). Stands on `waves`.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from optics.media.free_space import make_free_space
from optics.media.geometry import Geometry
from optics.media.scattering import phase_screen, place_scatterer, mirrored

__all__ = [
    "make_free_space",
    "Geometry",
    "phase_screen",
    "place_scatterer",
    "mirrored",
]
