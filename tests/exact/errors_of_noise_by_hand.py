"""Errors of two or three numbers by hand: mitigation, samples of bits and strings, and trajectories."""

import math
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np

from optics.resonators import exceptional_points
from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import pauli_gate
from quantum.circuits.packed_pauli import pack
from quantum.circuits.pauli import PauliString
from quantum.echoes import interference, pauli_growth, pauli_paths, wavefront
from quantum.estimates import Estimate
from quantum.nmr import methods, typicality
from quantum.nmr.average_hamiltonian import reversible_hamiltonian
from quantum.nmr.dipolar_sequences import tardis_2_like
from quantum.noise import cross_entropy, extrapolation, mitigation, strata, trajectories
from quantum.noise.model import NoiseModel, add_noise
from quantum.noise.noisy_expectation import noisy_expectation
from tests.exact.errors_by_hand import HALF, Case, stderr

# 2 over 1 on a slope of 1/4: x - y / 4 leaves x^2 (1 - rho^2) = 1/2 of noise power, to which errors of 1 add 1/16.
DAMPED = HALF[0], 2 * HALF[1], np.ones(3)


def _fitted(law: str, scales, prior=None) -> Callable[[], float]:
    """Error of S_0 of an exact decay from 2 with 1 % errors."""
    x = np.asarray(scales, float)
    y = 2 * np.exp(-0.3 * x)
    return lambda: extrapolation.fit_gaussian(x, y, 0.01 * y, law=law, prior=prior).start.stderr


def _to_zero(law: str, scales) -> Callable[[], float]:
    x = np.asarray(scales, float)
    y = -2 * np.exp(-0.3 * x)
    return lambda: extrapolation.extrapolate_to_zero(x, y, -0.01 * y, law).stderr


MITIGATION = (
    # Ratio 1/2: sqrt(0.3^2 + (0.4 / 2)^2) / 2.
    Case(
        mitigation.normalise,
        stderr(mitigation.normalise, Estimate(1.0, 0.3), Estimate(-2.0, 0.4)),
        0.13**0.5 / 2,
    ),
    # A contrast of 1 - 0.1 - 0.3.
    Case(
        mitigation.correct_readout,
        stderr(mitigation.correct_readout, Estimate(0.0, 0.3), NoiseModel(readout_zero=0.1, readout_one=0.3)),
        0.5,
    ),
    # The same contrast takes from the error of what is read.
    Case(
        mitigation.read_means,
        lambda: mitigation.read_means(
            np.zeros(1), np.full(1, 0.3), NoiseModel(readout_zero=0.1, readout_one=0.3), 1e9, seed=0
        ).read_error,
        [0.18],
    ),
    # Residuals (1, -1) / 2 about a factor of 1/2, n / (n - 1) = 2, over the power 2.
    Case(mitigation.fit_rescale, stderr(mitigation.fit_rescale, [1, 0], [1, 1]), 0.5),
    # Relative errors 1/5 at losses 1 and 2.
    Case(
        mitigation.rescale_exponent,
        stderr(mitigation.rescale_exponent, (Estimate(2.0, 0.4), Estimate(3.0, 0.6)), (math.exp(-1), math.exp(-2))),
        0.2 / 5**0.5,
    ),
    # c C c^T = 4 - 2 * 2 * 0.5 + 4.
    Case(
        extrapolation.Extrapolation.apply,
        stderr(extrapolation.Extrapolation(np.array([2.0, -1.0])).apply, np.ones(2), np.array([[1, 0.5], [0.5, 4]])),
        6**0.5,
    ),
    # 2 S_1 - S_2.
    Case(
        extrapolation.extrapolate_to_zero,
        lambda: extrapolation.extrapolate_to_zero([1, 2], np.zeros(2), np.full(2, 0.1), "linear").stderr,
        0.1 * 5**0.5,
    ),
    # In the logarithm 2 y_1 - y_2 and 3 y_1 - 3 y_2 + y_3, of relative errors of 1 %, times 2; of a negative signal.
    Case(extrapolation.extrapolate_to_zero, _to_zero("exponential", [1, 2]), 0.02 * 5**0.5),
    Case(extrapolation.extrapolate_to_zero, _to_zero("gaussian", [1, 2, 3]), 0.02 * 19**0.5),
    # Rescaled: 1/8 of the noise power is sampling of error 1 (slope 1/4, so 1/16 over 1/2), and the rest brings
    # sqrt(8/7) of the ratio and of its error.
    Case(
        mitigation.device_signal_to_noise,
        lambda: _device(*DAMPED, "rescaled"),
        [1 / 8, (8 / 7) ** 0.5 * 0.5 * 0.75**-1.5 * 3 / 8],
    ),
    # Raw: errors 1/2 beside a noise power of 1/3, so a share of 3/4 and twice the ratio and its error.
    Case(
        mitigation.device_signal_to_noise,
        lambda: _device(np.array([0.0, 0.0, 3.0]), np.array([1.0, 0.0, 3.0]), np.full(3, 0.5), "raw"),
        [3 / 4, 2 * 42**0.5 / 4],
    ),
    Case(
        extrapolation.GaussianDecay.start,
        lambda: extrapolation.GaussianDecay(np.ones(3), np.diag([9.0, 4.0, 1.0]), 0.0, 1).start.stderr,
        3,
    ),
    Case(extrapolation.fit_gaussian, _fitted("exponential", [1, 2]), 0.02 * 5**0.5),
    Case(extrapolation.fit_gaussian, _fitted("gaussian", [1, 2, 3]), 0.02 * 19**0.5),
    # Known mu and s^2 leave one scale: at 1 and 3 the mean of two logarithms.
    Case(
        extrapolation.fit_gaussian,
        _fitted("exponential", [1, 3], (Estimate(0.3, 1e-7), Estimate(0.0, 1.0))),
        0.02 / 2**0.5,
    ),
)  # fmt: skip


def _device(exact, estimate, sampling, kind) -> list[float]:
    found, share = mitigation.device_signal_to_noise(exact, estimate, sampling, kind)
    return [share, found.stderr]


# Uneven bits of one qubit: a score of +2 or -2 for each bitstring, linear as well as logarithmic.
BITS = np.array([0.75, 0.25])
OUTPUT = cross_entropy.NoisyOutput(BITS, BITS, np.eye(2), 0.6)
STRINGS = interference.Interference(
    np.array([0.0, 4.0, 2.0]), np.array([[1.0, 3.0], [0, 0], [-1, 1]])
)

# A front at v t + 1/2 for the mean of the circuits' v, since every profile is a straight line through all distances.
SPEEDS, CYCLES = np.array([1.0, 1.0, 2.5]), np.arange(1, 4)
STRAIGHT = SPEEDS[:, None, None] * CYCLES[:, None] + 1 - np.arange(9)


def _front() -> list[float]:
    found = wavefront.fit_velocity(STRAIGHT, CYCLES, 1, 3)
    return [found.stderr, *found.radii_stderr]


SAMPLES = (
    Case(cross_entropy.linear_xeb, stderr(cross_entropy.linear_xeb, BITS, np.array([0, 1])), 2),
    Case(cross_entropy.log_xeb, stderr(cross_entropy.log_xeb, BITS, np.array([0, 1])), 2),
    # Scores 2 and -2 of two trajectories, an error of 2 on the 0.4 that an error strikes.
    Case(cross_entropy.NoisyOutput.linear, lambda: OUTPUT.linear().stderr, 0.8),
    Case(cross_entropy.NoisyOutput.log, lambda: OUTPUT.log().stderr, 0.8),
    Case(interference.Interference.stderr, lambda: STRINGS.stderr, [1, 0, 1]),
    # Off-diagonal (-2, 4, 2) of variance 28/3, less a mean of 2/3.
    Case(
        interference.Interference.off_diagonal_sd, lambda: STRINGS.off_diagonal_sd(), (26 / 3) ** 0.5
    ),
    # log2 (0, 3, 0) at 1, 2, 3: slope 0, residual variance 6 / (3 - 2), over sum (n - 2)^2 = 2.
    Case(
        pauli_growth.fit_growth, lambda: pauli_growth.fit_growth([1, 2, 3], [1, 8, 1]).slope_error, 3**0.5
    ),
    # sqrt(6) / sqrt(3) at the mean, and two steps away twice the error of the slope.
    Case(
        pauli_growth.Growth.log2_at,
        lambda: pauli_growth.fit_growth([1, 2, 3], [1, 8, 1]).log2_at(4)[1],
        14**0.5,
    ),
    # X anticommutes with Z, the identity does not: signs -1 and 1.
    Case(
        pauli_paths.PathSamples.otoc,
        lambda: _walked().otoc(PauliString.on({0: "Z"}))[1],
        1,
    ),
    # Mean 0 on qubit 0; 1 on qubit 1, which nothing touches.
    Case(pauli_paths.PathSamples.otoc_map, lambda: _walked().otoc_map()[1], [1, 0]),
    # s / sqrt n = sqrt(3) / 2 / sqrt(3) of the speeds, and t times that.
    Case(wavefront.fit_velocity, _front, [0.5, 0.5, 1, 1.5]),
    # Slope 1.5 through log (0, 0, 3): residuals (1, -2, 1) / 2, so 1.5 / (3 - 2) over sum (x - mean)^2 = 2.
    Case(
        exceptional_points.fit_exponent,
        lambda: exceptional_points.fit_exponent(np.exp([0.0, 1, 2]), np.exp([0.0, 0, 3]))[1],
        0.75**0.5,
    ),
)  # fmt: skip


def _walked() -> pauli_paths.PathSamples:
    strings = (PauliString.on({}), PauliString.on({0: "X"}))
    return pauli_paths.PathSamples(2, pack(strings, 2), 1, 1)


# One X gate whose depolarising fault strikes with 1/4, and a second model in which it strikes with 1/2.
STRUCK = [
    add_noise(Circuit(1, ((Operation(pauli_gate("X"), (0,)),),)), NoiseModel(one_qubit_error=rate))
    for rate in (0.25, 0.5)
]
Z = PauliString.on({0: "Z"})
# The measured Pauli as a gate, whose own fault is beside itself.
MEASURED = add_noise(
    Circuit(1, ((Operation(pauli_gate("Z"), (0,)),), (Operation(pauli_gate("X"), (0,)),))),
    NoiseModel(one_qubit_error=0.25),
)


def _with(values, module: Any = trajectories, name: str = "trajectory_values"):
    return patch.object(module, name, lambda *_, **__: np.array(values, float))


def _pauli_error() -> float:
    with _with([5, 1, 3]):
        return trajectories.expectation(STRUCK[0], Z, 2, seed=0).stderr


def _jump_errors() -> list[float]:
    circuit = Circuit(1, ((Operation(pauli_gate("X"), (0,)),),))
    with _with([1, 3], name="run_batch"):
        one = trajectories.expectation(STRUCK[0], Z, 2, seed=0, kind="jumps").stderr
        noise = NoiseModel(one_qubit_error=0.25)
        call = noisy_expectation
        other = call(circuit, Z, noise, engine="trajectories", n_trajectories=2).stderr
    return [one, other, call(circuit, Z, noise, engine="density_matrix").stderr]


def _reweighted() -> np.ndarray:
    with _with([5, 1, 3]):
        return trajectories.reweighted(STRUCK[::-1], Z, 2, seed=0).covariance


def _stratified() -> np.ndarray:
    with _with([5, 1, 3, 1, 3], strata):
        return strata.stratified([MEASURED], Z, 4, seed=0).covariance


def _weighted() -> np.ndarray:
    """Two trajectories with the one error 1 of fault 0, which a second model has half as often."""
    tables = [{0: np.array([0.5, 0.25, 0, 0.25])}, {0: np.array([0.5, 0.125, 0, 0.375])}]
    stratum = frozenset({0}), frozenset()
    return strata._weighted_means(tables, stratum, np.array([1.0, 3.0]), [{0: 1}, {0: 1}])[1]


def _two_states() -> float:
    table = 900.0 * np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]])
    hamiltonian = reversible_hamiltonian(table, 0, "tardis-2")
    found = typicality.echo_by_typicality(
        hamiltonian, (1,), 1.0, [2e-3], n_states=2, seed=0, precision="double"
    )
    difference = abs(found.samples[0, 0] - found.samples[1, 0])
    assert difference > 1e-3
    return float(found.error[0] / difference)


def _two_states_by_the_call() -> list[float]:
    table = 900.0 * np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]])
    asked = reversible_hamiltonian(table, 0, "tardis-2"), (1,), 1.0, [2e-3]
    chosen = methods.Typicality(2, 0, "double")
    samples = typicality.echo_by_typicality(*asked, n_states=2, seed=0, precision="double").samples
    difference = abs(samples[0, 0] - samples[1, 0])
    return [float(methods.echo(*asked, method=chosen).stderr[0] / difference)]


def _two_pulsed_states() -> float:
    cycle, hamiltonian = tardis_2_like(1e-5, 1e-6), reversible_hamiltonian(np.zeros((2, 2)))
    drawn = np.array([[[1.0], [3.0]]])  # (strikes, states, times)
    with patch.object(methods, "pulsed_echo_by_typicality", lambda *_, **__: drawn):
        found = methods.echo(
            hamiltonian, (1,), 1.0, [cycle.duration], method=methods.PulsedStates(cycle, 2)
        )
    return float(found.stderr[0])


def _estimates() -> list[float]:
    ensemble = trajectories.Ensemble(np.zeros(2), np.array([[4.0, 1.0], [1.0, 9.0]]), 0.0)
    return [one.stderr for one in ensemble.estimates]


TRAJECTORIES = (
    # s / sqrt 2 = 1 of the values 1 and 3, on the part of the weight that is struck.
    Case(trajectories.expectation, _pauli_error, 0.25),
    Case(noisy_expectation, _jump_errors, [1, 1, 0]),
    # Weights 1/2 and 1/4 of what is struck times an error of 1, all of it common.
    Case(trajectories.reweighted, _reweighted, [[1 / 4, 1 / 8], [1 / 8, 1 / 16]]),
    # One stratum: variance 4/3 of (1, 3, 1, 3) over 4, times the weight 1/4 squared.
    Case(strata.stratified, _stratified, [[1 / 3 / 16]]),
    # Deviations (-1, 1), and half of them where the ratio of probabilities is 1/2: their products over n (n - 1) = 2.
    Case(strata.stratified, _weighted, [[1, 0.5], [0.5, 0.25]]),
    # |x_1 - x_2| / sqrt 2 / sqrt 2 of two states.
    Case(typicality.echo_by_typicality, _two_states, 0.5),
    Case(methods.Typicality.curve, _two_states_by_the_call, [0.5]),
    Case(methods.echo, _two_states_by_the_call, [0.5]),
    # s / sqrt 2 of the values 1 and 3.
    Case(methods.PulsedStates.curve, _two_pulsed_states, 1),
    Case(trajectories.Ensemble.estimates, _estimates, [2, 3]),
)

CASES = (*MITIGATION, *SAMPLES, *TRAJECTORIES)
