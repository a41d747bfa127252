"""Training methods, one a file, all with the interface of `optics.learning.method`."""

from optics.learning.fit import FitResult, evaluate, fit, output_field
from optics.learning.forward_mode import ForwardMode
from optics.learning.in_silico import InSilico
from optics.learning.method import AbstractMethod, Cost, GradientMethod, StepReport
from optics.learning.physics_aware import PhysicsAware
from optics.learning.rule import (
    AbstractLearningRule,
    Bench,
    GradientEstimate,
    Network,
    Weights,
    weights_of,
    with_weights,
)

__all__ = [
    "AbstractLearningRule",
    "AbstractMethod",
    "Bench",
    "Cost",
    "FitResult",
    "ForwardMode",
    "GradientEstimate",
    "GradientMethod",
    "InSilico",
    "Network",
    "PhysicsAware",
    "StepReport",
    "Weights",
    "evaluate",
    "fit",
    "output_field",
    "weights_of",
    "with_weights",
]
