"""Learning rules: each turns measurements or a model into a gradient. One file, one rule.

`forward_mode` (FFM), `mesh_forward_mode`, `chip_forward_mode`; with a model: `in_silico`, `noise_aware`,
`physics_aware`; by other measurements: `in_situ_backprop`, `mesh_in_situ`, `feedback_alignment`, `perturbative`. A new
rule goes here.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from optics.learning.rules.in_silico import InSilico
from optics.learning.rules.noise_aware import NoiseAware
from optics.learning.rules.physics_aware import PhysicsAware
from optics.learning.rules.forward_mode import ForwardMode
from optics.learning.rules.mesh_forward_mode import MeshForwardMode
from optics.learning.rules.chip_forward_mode import fit_blocks
from optics.learning.rules.in_situ_backprop import InSituBackprop
from optics.learning.rules.feedback_alignment import FeedbackAlignment, make_random_feedback
from optics.learning.rules.perturbative import FiniteDifference, ScoreFunction, Spsa

__all__ = [
    "InSilico",
    "NoiseAware",
    "PhysicsAware",
    "ForwardMode",
    "MeshForwardMode",
    "fit_blocks",
    "InSituBackprop",
    "FeedbackAlignment",
    "make_random_feedback",
    "FiniteDifference",
    "ScoreFunction",
    "Spsa",
]
