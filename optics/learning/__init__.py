"""Training methods, one a file, all with the interface of `optics.learning.method`."""

from optics.learning.fit import FitResult, evaluate, fit, output_field
from optics.learning.method import AbstractMethod, GradientMethod, MeasurementCost, StepReport
from optics.learning.methods.dual_adaptive import DualAdaptive, OutputPhysicsAware
from optics.learning.methods.forward_forward import ForwardForward, make_label_light
from optics.learning.methods.layerwise import Layerwise
from optics.learning.methods.swarm import CmaEs, ParticleSwarm
from optics.learning.protocols import (
    AbstractLearningRule,
    Bench,
    GradientEstimate,
    Network,
    Weights,
    weights_of,
    with_weights,
)
from optics.learning.rules.feedback_alignment import (
    DenseFeedback,
    FeedbackAlignment,
    RandomFeedback,
    make_random_feedback,
)
from optics.learning.rules.forward_mode import ForwardMode
from optics.learning.rules.in_silico import InSilico
from optics.learning.rules.in_situ_backprop import InSituBackprop
from optics.learning.rules.mesh_forward_mode import MeshForwardMode
from optics.learning.rules.mesh_in_situ import MeshInSitu
from optics.learning.rules.noise_aware import NoiseAware
from optics.learning.rules.perturbative import FiniteDifference, ScoreFunction, Spsa
from optics.learning.rules.physics_aware import PhysicsAware

__all__ = [
    "AbstractLearningRule",
    "AbstractMethod",
    "Bench",
    "CmaEs",
    "DenseFeedback",
    "DualAdaptive",
    "FeedbackAlignment",
    "FiniteDifference",
    "FitResult",
    "ForwardForward",
    "ForwardMode",
    "GradientEstimate",
    "GradientMethod",
    "InSilico",
    "InSituBackprop",
    "Layerwise",
    "MeasurementCost",
    "MeshForwardMode",
    "MeshInSitu",
    "Network",
    "NoiseAware",
    "OutputPhysicsAware",
    "ParticleSwarm",
    "PhysicsAware",
    "RandomFeedback",
    "ScoreFunction",
    "Spsa",
    "StepReport",
    "Weights",
    "evaluate",
    "fit",
    "make_label_light",
    "make_random_feedback",
    "output_field",
    "weights_of",
    "with_weights",
]
