"""Learning on hardware: what estimates a gradient, what makes steps of it, and what is true.

Reading order: `protocols` (what rules ask of a network and a bench), `passes` (data and error through hardware),
`truth` (for the experimenter alone), `relocations` (of ports), `reciprocity`; `rules` (a batch in, a gradient out),
`superpixels`; `loop` (Adam, steps, calls), `method` (one interface for all), `methods` (more than a gradient), `fit`.
Stands on `hardware` and `networks`.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from optics.learning.protocols import AbstractLearningRule
from optics.learning.truth import true_gradient, true_phase_gradient
from optics.learning.loop import adam, descend, draw_batch, run_in_calls
from optics.learning.method import AbstractMethod, GradientMethod
from optics.learning.fit import FitResult, fit, evaluate, output_field

__all__ = [
    "AbstractLearningRule",
    "true_gradient",
    "true_phase_gradient",
    "adam",
    "descend",
    "draw_batch",
    "run_in_calls",
    "AbstractMethod",
    "GradientMethod",
    "FitResult",
    "fit",
    "evaluate",
    "output_field",
]
