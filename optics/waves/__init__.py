"""Waves in free space: the field and what a plane does to it.

Reading order: `field`, `shifts`, `sources`, `zernike`; `band` (response of an endless grid), `sampling` (when a kernel
aliases), `elements`, `propagation` (exact kernel), `fresnel` (quadratic phase). Imports `optics._checks`, `_dark` and
`_numbers` only.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from optics.waves.field import intensity, Field
from optics.waves.sampling import recommend_propagator
from optics.waves.elements import modulation
from optics.waves.propagation import propagate

__all__ = [
    "intensity",
    "Field",
    "recommend_propagator",
    "modulation",
    "propagate",
]
