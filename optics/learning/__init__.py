"""Training methods, one a file, all with the interface of `optics.learning.method`."""

from optics.learning.dual_adaptive import DualAdaptive, OutputPhysicsAware
from optics.learning.feedback_alignment import (
    DenseFeedback,
    FeedbackAlignment,
    RandomFeedback,
    make_random_feedback,
)
from optics.learning.fit import FitResult, evaluate, fit, output_field
from optics.learning.forward_forward import ForwardForward, make_label_light
from optics.learning.forward_mode import ForwardMode
from optics.learning.in_silico import InSilico
from optics.learning.in_situ_backprop import InSituBackprop
from optics.learning.layerwise import Layerwise
from optics.learning.mesh_forward_mode import MeshForwardMode
from optics.learning.mesh_in_situ import MeshInSitu
from optics.learning.method import AbstractMethod, Cost, GradientMethod, StepReport
from optics.learning.noise_aware import NoiseAware
from optics.learning.perturbative import FiniteDifference, ScoreFunction, Spsa
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
from optics.learning.swarm import CmaEs, ParticleSwarm

__all__ = [
    "AbstractLearningRule",
    "AbstractMethod",
    "Bench",
    "CmaEs",
    "Cost",
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
