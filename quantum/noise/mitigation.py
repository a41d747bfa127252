"""Error mitigation for echoes, each method by itself: what it does to numbers or circuits, and its price in error bars.

- Normalisation by the echo that no butterfly disturbs: the same filtered circuit without B has the value 1, so what it
  yields on the hardware is the echo's fidelity, and the signal is divided by it (X. Mi et al., Science 374, 1479
  (2021), DOI 10.1126/science.abg5029; the formula of the 2025 experiment is not known to us).
- Dynamical decoupling: fewer idle errors. The pulses are not simulated; pure dephasing while idle is slowed down by a
  factor (our choice of 4, a parameter), relaxation stays.
- Pauli twirling (randomised compiling; J. Wallman and J. Emerson, Phys. Rev. A 94, 052325 (2016),
  DOI 10.1103/PhysRevA.94.052325): a random Pauli P before a gate G, and after it what undoes it, G P^dagger G^dagger.
  That must be a product of one-qubit gates, or it could not be played. All 16 Paulis qualify for CZ and iSWAP. For
  fsim(pi/2, phi) with another phi only 8 do, {I, Z} x {I, Z} times {II, XX}: they make errors of the swap angle and of
  the one-qubit phases stochastic, while the ZZ part of an error of the controlled phase commutes with all of them and
  stays coherent.
- Global rescale: one factor for all circuits, by least squares on sizes that can be simulated; `rescale_exponent`
  carries it to larger ones as F^-c with the fidelity estimate F of `noise.echo_fidelity`.
- Zero-noise extrapolation: signals at amplified noise lambda, continued to lambda = 0. A signal that is a sum over
  Pauli paths of weight h, each damped by exp(-lambda h), with weights normally distributed (mean mu, variance s^2),
  decays as S_0 exp(-mu lambda + s^2 lambda^2 / 2): log S is quadratic ("gaussian"; the law of the NMR companion, arXiv
  2510.19550, second-hand). Also linear and exponential.

Leaves out probabilistic error cancellation, symmetry verification and the statistics of calibration data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.optimize import least_squares

from quantum._checks import check_choice, check_in_range
from quantum.circuits.channels import PAULI_LETTERS, pauli_matrices
from quantum.circuits.circuit import Moment, Operation
from quantum.circuits.gates import Gate, matrix_gate, pauli_gate
from quantum.estimates import Estimate, ratio_with_error, signal_to_noise
from quantum.noise.model import Frame, NoiseModel

DECOUPLED_DEPHASING = 0.25  # our choice
LAWS = ("linear", "exponential", "gaussian")
_MOST_SAMPLING = 0.8  # no more of a noise power than this is put down to sampling (our choice)
_PRODUCT_TOLERANCE = 1e-9  # second singular value of a product of one-qubit gates, up to rounding


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


def correct_readout(read: Estimate, model: NoiseModel) -> Estimate:
    """Expectation of Z of one qubit from the one read, by inverting `NoiseModel.read_out`.

    Raises:
        ValueError: If the readout carries no information, e0 + e1 = 1.
    """
    contrast = 1 - model.readout_zero - model.readout_one
    if contrast <= 0:
        raise ValueError("`model` must have readout errors below 1/2, but reads nothing.")
    offset = model.readout_one - model.readout_zero
    return Estimate((read.value - offset) / contrast, read.stderr / contrast)


def with_decoupling(model: NoiseModel, factor: float | int = DECOUPLED_DEPHASING) -> NoiseModel:
    """The chip with dynamical decoupling: pure dephasing while idle goes on at `factor` of its rate.

    Raises:
        ValueError: If the factor lies outside [0, 1].
    """
    check_in_range(factor, "factor", 0, 1)
    return replace(model, idle_dephasing=model.idle_dephasing * factor)


@lru_cache(maxsize=256)
def frames(gate: Gate) -> tuple[tuple[tuple[str, str], tuple[Gate, Gate]], ...]:
    """Pauli letters that may precede a two-qubit gate, each with the one-qubit gates that undo it afterwards."""
    matrix, found = gate.matrix(), []
    for number, pauli in enumerate(pauli_matrices(2)):
        undo = _factors(matrix @ pauli @ matrix.conj().T)
        if undo is not None:
            letters = (PAULI_LETTERS[number // 4], PAULI_LETTERS[number % 4])
            found.append((letters, undo))
    return tuple(found)


def pauli_frame(*, seed: int) -> Frame:
    """Random Pauli frames for `noise.add_noise`: another valid one around every two-qubit gate."""
    rng = np.random.default_rng(seed)

    def frame(operation: Operation) -> tuple[Moment, Moment]:
        valid = frames(operation.gate)
        letters, undo = valid[rng.integers(len(valid))]
        before = tuple(
            Operation(pauli_gate(p), (q,)) for p, q in zip(letters, operation.qubits, strict=True)
        )
        after = tuple(Operation(g, (q,)) for g, q in zip(undo, operation.qubits, strict=True))
        return before, after

    return frame


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


@dataclass(frozen=True)
class Extrapolation:
    """How signals at several noise scales are combined into the one at zero: S_0 = sum_i coefficients_i S_i.

    Attributes:
        coefficients: One for each scale.
        rate: mu of the law, 0 for the linear one.
        spread: s^2 of the law, 0 unless it is gaussian.
    """

    coefficients: np.ndarray
    rate: float = 0.0
    spread: float = 0.0

    def apply(self, values: np.ndarray, covariance: np.ndarray) -> Estimate:
        """Zero-noise value of one circuit from its values at all scales and their covariance."""
        c = self.coefficients
        return Estimate(float(c @ values), float(np.sqrt(c @ covariance @ c)))


def fit_extrapolation(
    scales: Sequence[float | int] | np.ndarray, values: np.ndarray, law: str = "gaussian"
) -> Extrapolation:
    """Learns the law of decay from an ensemble, which all its circuits share, each with an S_0 of its own.

    One circuit alone hardly fixes a curvature, and OTOC(2) signals have either sign, so a logarithm of each is no way.
    The linear law has nothing to share; its coefficients are those of the straight line through the scales.

    Args:
        scales: Noise scales lambda, 1 for the device as it is.
        values: Signals, (circuits, scales).
        law: linear, exponential or gaussian.

    Raises:
        ValueError: If the law is unknown, scales are too few or repeat, or shapes do not fit.
    """
    check_choice(law, "law", LAWS)
    x, y = np.asarray(scales, float), np.atleast_2d(np.asarray(values, float))
    needed = 3 if law == "gaussian" else 2
    if x.ndim != 1 or len(np.unique(x)) != x.size or x.size < needed or y.shape[1] != x.size:
        raise ValueError(
            f"`scales` must be {needed} or more different noise scales, one for each column of `values`, "
            f"but are {list(scales)} for shape {y.shape}."
        )
    if law == "linear":
        return Extrapolation(np.linalg.pinv(np.stack([np.ones_like(x), x], axis=1))[0])

    def shape(parameters: np.ndarray) -> np.ndarray:
        rate, spread = parameters if law == "gaussian" else (parameters[0], 0.0)
        return np.exp(-rate * x + spread * x**2 / 2)

    def residuals(parameters: np.ndarray) -> np.ndarray:
        g = shape(parameters)
        # For a given shape the best S_0 of every circuit is a projection, so only the shape is searched.
        return (y - np.outer(y @ g / (g @ g), g)).ravel() / np.abs(y).max()

    found = least_squares(residuals, [0.5, 0.0] if law == "gaussian" else [0.5]).x
    g = shape(found)
    return Extrapolation(
        g / (g @ g), float(found[0]), float(found[1]) if law == "gaussian" else 0.0
    )


def extrapolate_to_zero(
    scales: Sequence[float | int] | np.ndarray,
    values: np.ndarray,
    errors: np.ndarray,
    law: str = "gaussian",
) -> Estimate:
    """Zero-noise value of one signal of constant sign: log S is a polynomial in lambda, weighted by the errors.

    Args:
        scales: Noise scales lambda.
        values: Signals, all of one sign unless the law is linear.
        errors: Their standard errors, independent of one another, positive.
        law: linear (in S), exponential (log S linear) or gaussian (log S quadratic).

    Raises:
        ValueError: If the law is unknown, there are too few points, an error is not positive or the sign changes.
    """
    check_choice(law, "law", LAWS)
    x, y, e = (np.asarray(a, float) for a in (scales, values, errors))
    degree = 2 if law == "gaussian" else 1
    if not x.shape == y.shape == e.shape or x.ndim != 1 or len(np.unique(x)) <= degree:
        raise ValueError(
            f"`scales` must hold {degree + 1} or more different scales like `values`, but is {x.shape}."
        )
    if not np.all(e > 0):
        raise ValueError(f"`errors` must be positive, but the least is {e.min():g}.")
    if law != "linear":
        if np.ptp(np.sign(y)) > 0 or not np.all(y):
            raise ValueError(
                "`values` must have one sign for a law in the logarithm, but have two."
            )
        x, y, e, sign = x, np.log(np.abs(y)), e / np.abs(y), np.sign(y[0])
    design = np.vander(x, degree + 1, increasing=True) / e[:, None]
    covariance = np.linalg.inv(design.T @ design)
    start = float((covariance @ design.T @ (y / e))[0])
    error = float(np.sqrt(covariance[0, 0]))
    if law == "linear":
        return Estimate(start, error)
    return Estimate(float(sign * np.exp(start)), float(np.exp(start)) * error)


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


def _factors(matrix: np.ndarray) -> tuple[Gate, Gate] | None:
    """Inverse of a two-qubit unitary as two one-qubit gates, or None if it is no product of such."""
    table = matrix.conj().T.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)
    left, values, right = np.linalg.svd(table)
    if values[1] > _PRODUCT_TOLERANCE:
        return None
    # The one singular value left is |A| |B| = 2, a root of 2 for each factor.
    first, second = np.sqrt(2) * left[:, 0].reshape(2, 2), np.sqrt(2) * right[0].reshape(2, 2)
    return matrix_gate(first), matrix_gate(second)
