"""Focusing and seeing through scatterers, around corners and in weak light.

Reading order: `focusing`, `focus_search`, `focus_quality` (what a focus is worth); `hidden_scene` (the bench behind a
wall), `hidden_wavefront`; `weak_light`.
Stands on `learning`.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from optics.imaging.focusing import (
    FocusResult,
    square_target,
    focus_loss,
    forward_mode_focus,
    phase_conjugation,
)
from optics.imaging.focus_search import SwarmSettings, particle_swarm_focus, stepwise_focus
from optics.imaging.hidden_scene import (
    SceneGeometry,
    draw_hidden_bench,
    make_wavefront,
    square_cells,
)
from optics.imaging.hidden_wavefront import train_wavefront, picture_frames
from optics.imaging.weak_light import photon_energy

__all__ = [
    "FocusResult",
    "square_target",
    "focus_loss",
    "forward_mode_focus",
    "phase_conjugation",
    "SwarmSettings",
    "particle_swarm_focus",
    "stepwise_focus",
    "SceneGeometry",
    "draw_hidden_bench",
    "make_wavefront",
    "square_cells",
    "train_wavefront",
    "picture_frames",
    "photon_energy",
]
