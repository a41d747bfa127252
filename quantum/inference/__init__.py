"""What an experiment tells of an unknown: likelihoods, fits, their errors, decays.

Reading order: `likelihood`, `fitting`, `errors` (bootstrap, profiles, coverage), `decays`, `phase_response`,
`curve_emulator`, `normalised_curve`, `measured_curve`, `agreement` (of two devices). Stands on `engines` and `nmr`.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from quantum.inference.likelihood import Gaussian, Binomial
from quantum.inference.fitting import ForwardModel, Fit, fit, fisher_information
from quantum.inference.errors import parametric_bootstrap, group_bootstrap
from quantum.inference.decays import compare_decays, scrambled_std
from quantum.inference.phase_response import phase_model, with_phase
from quantum.inference.curve_emulator import emulate
from quantum.inference.measured_curve import read_curve

__all__ = [
    "Gaussian",
    "Binomial",
    "ForwardModel",
    "Fit",
    "fit",
    "fisher_information",
    "parametric_bootstrap",
    "group_bootstrap",
    "compare_decays",
    "scrambled_std",
    "phase_model",
    "with_phase",
    "emulate",
    "read_curve",
]
