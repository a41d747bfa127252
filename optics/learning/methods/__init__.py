"""Training methods that are more than a gradient rule. One file, one method.

`dual_adaptive` with `error_predictor`, `layerwise`, `forward_forward`, `swarm`. A new method goes here.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from optics.learning.methods.dual_adaptive import DualAdaptive, OutputPhysicsAware
from optics.learning.methods.layerwise import Layerwise
from optics.learning.methods.forward_forward import ForwardForward, make_label_light, checkerboard
from optics.learning.methods.swarm import CmaEs, ParticleSwarm

__all__ = [
    "DualAdaptive",
    "OutputPhysicsAware",
    "Layerwise",
    "ForwardForward",
    "make_label_light",
    "checkerboard",
    "CmaEs",
    "ParticleSwarm",
]
