"""Training methods, one a file, all with the interface of `optics.learning.rule`."""

from optics.learning.fit import FitResult, evaluate, fit, output_field
from optics.learning.forward_mode import ForwardMode
from optics.learning.in_silico import InSilico
from optics.learning.physics_aware import PhysicsAware
from optics.learning.rule import (
    AbstractLearningRule,
    GradientEstimate,
    Weights,
    weights_of,
    with_weights,
)

__all__ = [
    "AbstractLearningRule",
    "FitResult",
    "ForwardMode",
    "GradientEstimate",
    "InSilico",
    "PhysicsAware",
    "Weights",
    "evaluate",
    "fit",
    "output_field",
    "weights_of",
    "with_weights",
]
