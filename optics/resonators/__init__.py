"""Coupled resonators and their exceptional points.

Reading order: `small_matrices`, `coupled_modes`, `rational_fit`, `exceptional_points`. Stands on `learning` and
`hardware`.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from optics.resonators.coupled_modes import ModeSheet, ModeImperfections, draw_mode_twin, ModeBench
from optics.resonators.exceptional_points import (
    splitting,
    measure_fit,
    search,
    mode_overlap,
    fit_exponent,
    follow_poles,
    circle,
)

__all__ = [
    "ModeSheet",
    "ModeImperfections",
    "draw_mode_twin",
    "ModeBench",
    "splitting",
    "measure_fit",
    "search",
    "mode_overlap",
    "fit_exponent",
    "follow_poles",
    "circle",
]
