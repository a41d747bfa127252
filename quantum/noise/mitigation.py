"""Error mitigation for echoes, each method by itself: what it does to numbers or circuits, and its price in error bars.

- Normalisation by the echo that no butterfly disturbs: the same filtered circuit without B has the value 1, so what it
  yields on the hardware is the echo's fidelity, and the signal is divided by it (X. Mi et al., Science 374, 1479
  (2021), DOI 10.1126/science.abg5029; the formula of the 2025 experiment is not known to us).
- Dynamical decoupling: fewer idle errors. The pulses are not simulated; pure dephasing while idle is slowed down by a
  factor (our choice of 4, a parameter), relaxation stays.
- Global rescale: one factor for all circuits, by least squares on sizes that can be simulated; `rescale_exponent`
  carries it to larger ones as F^-c with the fidelity estimate F of `noise.echo_fidelity`.

Pauli twirling is in `pauli_frames`, zero-noise extrapolation in `extrapolation`. Leaves out probabilistic error
cancellation, symmetry verification and the statistics of calibration data.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from quantum._checks import check_in_range
from quantum.circuits.tolerance import EXACT
from quantum.estimates import Estimate, ratio_with_error, signal_to_noise
from quantum.noise.model import NoiseModel

DECOUPLED_DEPHASING = 0.25  # our choice
_MOST_SAMPLING = 0.8  # no more of a noise power than this is put down to sampling (our choice)


def normalise(signal: Estimate, reference: Estimate) -> Estimate:
    """Signal over the reference echo, errors taken as independent.

    Raises:
        ValueError: If the reference lies within 3 standard errors of 0, where the ratio has no meaning.
    """
    if not abs(reference.value) > 3 * reference.stderr:
        raise ValueError(
            f"`reference` must stand clear of 0, but is {reference.value:.3g} +- {reference.stderr:.3g}; "
            "take more shots or fewer cycles."
        )
    return ratio_with_error(signal, reference)


def correct_readout(read: Estimate, model: NoiseModel, qubit: int | None = None) -> Estimate:
    """Expectation of Z of one qubit from the one read, by inverting `NoiseModel.read_out`.

    Args:
        read: What was read.
        model: Noise of the readout.
        qubit: Qubit that was read, for its row in the table; the chip's numbers by default.

    Raises:
        ValueError: If the readout carries no information, e0 + e1 = 1.
    """
    model = model if qubit is None else model.on(qubit)
    contrast = 1 - model.readout_zero - model.readout_one
    if contrast < EXACT:  # rounding of 1 - 1/2 - 1/2
        raise ValueError("`model` must have readout errors below 1/2, but reads nothing.")
    offset = model.readout_one - model.readout_zero
    return Estimate((read.value - offset) / contrast, read.stderr / contrast)


class Reading(NamedTuple):
    """Means of an ensemble of circuits as a device gives them.

    Attributes:
        read: As they are read, with flips and the noise of the shots.
        read_error: Standard errors of the true means as they are read: flips take contrast from errors too.
        corrected: The same with the readout undone.
        error: Standard errors of the true means.
    """

    read: Float[np.ndarray, " circuits"]
    read_error: Float[np.ndarray, " circuits"]
    corrected: Float[np.ndarray, " circuits"]
    error: Float[np.ndarray, " circuits"]


def read_means(
    means: Float[np.ndarray, " circuits"],
    errors: Float[np.ndarray, " circuits"],
    model: NoiseModel,
    shots: float | int,
    *,
    seed: int | Sequence[int] | np.random.Generator,
) -> Reading:
    """Means of a measured Z as a device reads them: z after the flips, with a variance of (1 - z^2) / shots.

    Args:
        means: True mean of every circuit.
        errors: Their standard errors from elsewhere, such as a finite number of trajectories.
        model: Noise of the readout.
        shots: Shots of every mean, infinity for no noise of theirs; the normal law is taken for the binomial one.
        seed: Of the shots.

    Raises:
        ValueError: If there is no shot, or the readout carries no information.
    """
    if not shots >= 1:
        raise ValueError(f"`shots` must be at least 1, but is {shots}.")
    z = model.read_out(means)
    spread = np.sqrt(np.maximum(1 - z**2, 0) / shots)
    read = z + spread * np.random.default_rng(seed).normal(size=len(z))
    # The correction is linear, so two values of it give all.
    zero, one = (correct_readout(Estimate(r, 0.0), model).value for r in (0.0, 1.0))
    contrast = model.read_out(1.0) - model.read_out(0.0)
    return Reading(read, contrast * errors, zero + (one - zero) * read, errors)


def with_decoupling(model: NoiseModel, factor: float | int = DECOUPLED_DEPHASING) -> NoiseModel:
    """The chip with dynamical decoupling: pure dephasing while idle goes on at `factor` of its rate.

    Raises:
        ValueError: If the factor lies outside [0, 1].
    """
    check_in_range(factor, "factor", 0, 1)
    return replace(model, idle_dephasing=model.idle_dephasing * factor)


def fit_rescale(exact: np.ndarray, estimate: np.ndarray) -> Estimate:
    """Factor a that brings a * estimate closest to the exact values, without offset.

    Its error comes from the scatter of the residuals, so it needs at least two circuits.

    Raises:
        ValueError: If the arrays do not pair up, hold fewer than two circuits, or the estimate is 0 throughout.
    """
    x, y = np.asarray(exact, float), np.asarray(estimate, float)
    if x.shape != y.shape or x.ndim != 1 or x.size < 2 or not np.any(y):
        raise ValueError(
            f"`exact` and `estimate` must pair up, 2 or more with some signal, but are {x.shape} and {y.shape}."
        )
    power = float(y @ y)
    factor = float(x @ y) / power
    influence = y * (x - factor * y)
    return Estimate(factor, float(np.sqrt(influence @ influence * x.size / (x.size - 1)) / power))


def rescale_exponent(factors: Sequence[Estimate], fidelities: Sequence[float]) -> Estimate:
    """Exponent c of the law a = F^-c through the rescale factors of several sizes, weighted by their errors.

    Raises:
        ValueError: If there are no sizes, a factor is not positive, or a fidelity lies outside (0, 1).
    """
    if not factors or len(factors) != len(fidelities):
        raise ValueError(
            f"`factors` must pair up with `fidelities`, but there are {len(factors)} and {len(fidelities)}."
        )
    if min(f.value for f in factors) <= 0 or not all(0 < f < 1 for f in fidelities):
        raise ValueError("`factors` must be positive and `fidelities` between 0 and 1.")
    loss = -np.log(fidelities)
    log_factor = np.log([f.value for f in factors])
    weight = np.array([f.value / max(f.stderr, 1e-12) for f in factors]) ** 2
    norm = float(weight @ loss**2)
    return Estimate(float(weight @ (loss * log_factor)) / norm, norm**-0.5)


def device_signal_to_noise(
    exact: np.ndarray, estimate: np.ndarray, sampling_error: np.ndarray, kind: str = "raw"
) -> tuple[Estimate, float]:
    """`statistics.signal_to_noise` without the noise that a simulation adds by drawing few trajectories.

    A device draws a new trajectory for every shot, so its noise is systematic error plus shot noise. The mean square of
    the sampling errors is taken off the noise power, at most 80 % of it; the ratio is then a lower bound.

    Args:
        exact: Noiseless value of every circuit.
        estimate: Mitigated value of every circuit.
        sampling_error: Standard error of each from the finite number of trajectories.
        kind: raw, rescaled or correlated, as in `statistics.signal_to_noise`.

    Returns:
        The ratio, and the share of the noise power that is sampling, before the limit.
    """
    found = signal_to_noise(exact, estimate, kind=kind)
    x, y = np.asarray(exact, float), np.asarray(estimate, float)
    slope = 1.0 if kind == "raw" else float(np.cov(x, y, bias=True)[0, 1] / np.var(y))
    residual = y - x if kind == "raw" else x - x.mean() - slope * (y - y.mean())
    share = slope**2 * float(np.mean(np.square(sampling_error)) / np.mean(residual**2))
    gain = (1 - min(share, _MOST_SAMPLING)) ** -0.5
    return Estimate(gain * found.value, gain * found.stderr), share
