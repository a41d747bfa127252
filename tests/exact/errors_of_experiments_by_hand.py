"""Errors of two or three numbers by hand, for what experiments make of their samples."""

import math
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np

from experiments.benchmarks import bench_nmr, bench_propagation, timing
from experiments.echoes import (
    hamiltonian_learning,
    otoc_cost,
    otoc_decay,
    otoc_interference,
    otoc_noise,
    otoc_noise_ratios,
)
from experiments.forward_mode import reciprocity_audit
from experiments.harness.comparison import Row
from experiments.harness.measurement import Measurement, Reference
from experiments.molecules import nmr_echo_pulses, nmr_geometry_verdict, nmr_mitigation
from quantum.echoes.interference import Interference
from quantum.echoes.pauli_growth import Growth
from quantum.engines.classical_cost import Machine
from quantum.estimates import Bootstrap, Estimate
from quantum.inference.decays import DecayComparison, DecayFit
from quantum.inference.normalised_curve import fit_normalised
from tests.exact.errors_by_hand import FLAT, HALF, LEVEL, Case

PUBLISHED = Reference("x", 1.0, 4.0, "", "", "table", True)

HARNESS = (
    # s = sqrt 2, over sqrt 2.
    Case(Measurement.from_samples, lambda: Measurement.from_samples([1.0, 3.0]).stderr, 1),
    Case(Measurement.of, lambda: Measurement.of(Estimate(2.0, 0.5), n=4).stderr, 0.5),
    Case(Measurement.sd, lambda: Measurement(0, 0.5, n=4).sd, 1),
    Case(Row.sigma, lambda: Row("x", Measurement(5, 3), PUBLISHED).sigma, 4 / 5),
    Case(timing.ratio, lambda: timing.ratio(np.array([[2.0], [3]]), np.array([[2.0], [1]])).stderr, 1),
    # Milliseconds.
    Case(
        bench_propagation._milliseconds,
        lambda: bench_propagation._milliseconds(np.array([[1e-3], [3e-3]])).stderr,
        1,
    ),
    Case(
        bench_nmr._accuracy,
        lambda: bench_nmr._accuracy(3, np.array([[0.0, 1], [2, 1]]), None)["standard_error.3"].value,
        1,
    ),
    # The jackknife of a mean is its s / sqrt n; of a root mean square, leaving out one of (0, 0, sqrt 3) gives
    # (sqrt 1.5, sqrt 1.5, 0): variance 1/3, times n - 1.
    Case(
        reciprocity_audit._jackknife,
        lambda: reciprocity_audit._jackknife(lambda keep: np.array([0.0, 0, 3])[keep].mean(), 3).stderr,
        1,
    ),
    Case(
        reciprocity_audit._agreement,
        lambda: reciprocity_audit._agreement("x", np.zeros(3), np.array([0, 0, 3**0.5]))["rms_error.x"].stderr,
        (2 / 3) ** 0.5,
    ),
)  # fmt: skip


def _root_mean() -> float | None:
    # Of two durations for each of two molecules.
    return nmr_mitigation._root_mean(np.array([[0.0, 8.0], [2.0, 10.0]])).stderr


def _learned() -> list[float | None]:
    learned = {
        "values": np.array([[1.0], [3.0]]), "errors": np.full((2, 1), 2.0), "bootstrap": np.ones(1),
        "profile_at": np.linspace(-1, 1, 3), "profile": np.zeros((2, 3)), "p_value": np.ones(2),
    }  # fmt: skip
    found = nmr_geometry_verdict.compare("toluene", "x", "A", learned, np.zeros((2, 1)))
    return [
        found[f"toluene.{name}.x"].stderr
        for name in ("value", "rms", "pull_mean", "pull_spread", "coverage", "profile_coverage")
    ]


def _normalised_fit() -> np.ndarray:
    sigmas = np.full(4, 0.4)
    return fit_normalised(LEVEL, FLAT.data, sigmas, 4, seed=0)[0].covariance


def _whole_molecule() -> np.ndarray:
    sample = SimpleNamespace(couplings_hz=np.zeros((2, 2)), methyl=(1,), internal=lambda: None)
    drawn = np.array([[[1.0], [3.0]], [[0.0], [0.0]]])  # (strikes, states, steps)
    with patch.object(nmr_echo_pulses, "pulsed_echo_by_typicality", lambda *_, **__: drawn):
        found = nmr_echo_pulses.whole_molecule(sample, 5e-6, (1,), 1.0, 2, 0)  # pyright: ignore[reportArgumentType]
    return found["whole"][1]


MOLECULES = (
    # Means (1, 9): s / sqrt 2 = 4 of the mean 5, over 2 sqrt 5.
    Case(nmr_mitigation._root_mean, _root_mean, 2 / 5**0.5),
    # Misses 1 and 3 of mean square 5, pulls half of them: a root mean square over sqrt(2 n) = 2; a count of 68.3 %.
    Case(
        nmr_geometry_verdict.compare,
        _learned,
        [2, 5**0.5 / 2, 0.5, 5**0.5 / 4, *[(0.683 * 0.317 / 2) ** 0.5] * 2],
    ),
    # sigma^2 / n, and sigma^2 of the common factor times the level 1 squared.
    Case(fit_normalised, _normalised_fit, [[0.4**2 / 4 + 0.4**2]]),
    Case(nmr_echo_pulses.whole_molecule, _whole_molecule, [[1], [0]]),
)


def _blind() -> list[float | None]:
    config = hamiltonian_learning.Config(n_sets=2)
    learned = {
        "estimate": config.truth + np.pi * np.array([0.3, -0.1]), "all": np.pi * np.array([0.5, 0.2]),
        "width": np.pi * np.array([1.0, 3]), "half_width": np.pi * np.array([0.1, 0.3]), "slope": np.ones(2),
    }  # fmt: skip
    found = hamiltonian_learning._metrics(config, learned, "x")
    return [found[f"{name}.x"].stderr for name in ("phase", "width", "half_width", "error")]


def _measured_errors() -> np.ndarray:
    config, rng = hamiltonian_learning.Config(shots=400), np.random.default_rng(0)
    return hamiltonian_learning._measure(config, np.array([0.6, 1.0]), rng)[1]


def _decays() -> list[float | None]:
    """A fit whose chi^2 exceeds its degrees of freedom fourfold."""
    one = Estimate(1.0, 0.0)
    laws = DecayComparison(
        DecayFit("exponential", one, Estimate(0.5, 0.1), 12.0, 5),
        DecayFit("power_law", one, Estimate(2.0, 0.3), 20.0, 5),
    )
    config = otoc_decay.Config()
    with patch.object(otoc_decay, "decay", lambda *_: (np.arange(5), laws)):
        values = np.tile([0.0, 0.0, 3.0], (len(config.n_cycles), 1))
        found = otoc_decay._metrics(config, config.sizes[0], "x", values)
    return [found[f"{name}.x"].stderr for name in ("late_sd", "tau", "alpha")]


def _spread_of_parts() -> list[float | None]:
    ensemble = Interference(np.array([0.0, 4.0]), np.zeros((2, 2)))
    drawn = lambda statistic, *arrays, **_: Bootstrap(Estimate(statistic(*arrays), 0.3), 0.0, 0.0)  # noqa: E731
    with patch.object(otoc_interference, "bootstrap", drawn):
        found = otoc_interference._sd(ensemble)
    return [found.value, found.stderr]


def _over_strings() -> list[float | None]:
    """Two insertions that each correlate by 1/2 with the value without one."""
    ensemble = Interference(HALF[0], np.stack([HALF[1], HALF[1]], axis=1))
    found = otoc_interference._correlations(otoc_interference.Config(), ensemble, {})
    return [
        found[f"correlation.{name}"].stderr for name in ("with_insertion", "with_insertion_mean")
    ]


def _learned_phase() -> np.ndarray:
    """Cosine and sine of the phase as correlators; the bootstrap put in."""
    config = hamiltonian_learning.Config(n_sets=2, n_circuits=2)
    sets = [np.array([[0.0, 0.3], [0.0, 0.3j]])] * 2
    with patch.object(
        hamiltonian_learning, "group_bootstrap", lambda *_, **__: np.array([[1.0], [3]])
    ):
        found = hamiltonian_learning._learn(config, sets, np.random.default_rng(0))
    assert found is not None
    exact = np.cos(config.truth), np.sin(config.truth)
    errors = [math.sqrt((1 - (0.6 * c) ** 2) / config.shots) for c in exact]
    fisher = sum((0.6 * slope / e) ** 2 for slope, e in zip(exact[::-1], errors, strict=True))
    return np.array([found["all"][1], *(found["width"] * fisher**0.5)])


LAW = Growth(intercept=0.0, slope=1.0, slope_error=0.0, residual=1.0, mean_size=3.0, n_fitted=4)


def _filled() -> list[float | None]:
    counts = {"n_qubits": np.array([1, 1]), "strings": np.array([4.0, 8]), "loops": np.ones(2)}
    arrays = {f"small.{name}": values for name, values in counts.items()}
    laws = {"strings": LAW, "loops": Growth(0.0, 1.0, 0.25, 0.0, 1.0, 2)}
    found = otoc_cost._growth_metrics(arrays, laws)
    return [found[f"growth.{name}"].stderr for name in ("strings.filled.1", "loops.slope")]


def _decades() -> list[float | None]:
    machine = Machine("x", 1e12, 1e12, 1e12, 1.0)
    found = otoc_cost._others(otoc_cost.Config(), machine, {"strings": LAW, "loops": LAW}, 18, 4, 9)
    return [found[name][1] for name in ("pauli_strings", "monte_carlo")]


def _stack() -> dict[str, np.ndarray]:
    """One circuit under all noise models: values and errors of the signal, the echo, and both under strings."""
    models = len(otoc_noise._models(NOISE)) - 1
    stack = {"fidelity": np.array([0.5]), "coherent": np.array([[0.0, 1.0, 3.0]])}
    for name, value, error in (
        ("signal", 0.3, 0.2), ("reference", 0.6, 0.3), ("diagonal", 0.1, 0.15), ("diagonal_reference", 0.5, 0.2),
    ):  # fmt: skip
        stack[name] = np.full((1, models), value)
        stack[f"{name}_covariance"] = (error**2 * np.eye(models))[None]
    return stack


NOISE = otoc_noise.Config(frames=2)
CONTRAST = 1 - 2 * 0.0067  # of willow_rcs
NORMALISED = 0.25 / 0.6  # hypot(0.2, 0.3 / 2) over 0.6


def _mitigated() -> list[float]:
    done = otoc_noise._mitigate(
        otoc_noise.Config(frames=2, shots=math.inf), _stack(), 1.0, np.random.default_rng(0)
    )
    names = ("raw", "readout", "normalised", "off_diagonal", "off_diagonal_normalised")
    return [float(done[n][1][0]) for n in (*names, "global_rescale", "zne_linear", "twirled")]


def _signal_sd() -> float | None:
    stack = {"exact": np.array([0.0, 0.0, 3.0]), "diagonal_exact": np.zeros(3)}
    return otoc_noise_ratios.ratio_metrics(stack, {}, "x")["signal.total.x"].stderr


ECHOES = (
    # An error and widths in units of pi; a root mean square sqrt(0.05) over sqrt(2 n) = 2.
    Case(hamiltonian_learning._metrics, _blind, [0.2, 1, 0.1, 0.05**0.5 / 2]),
    # sqrt((1 - 0.36) / 400), and no less than one flipped shot.
    Case(hamiltonian_learning._measure, _measured_errors, [0.04, 1 / 400]),
    Case(otoc_decay.spread, lambda: otoc_decay.spread(np.array([[0.0, 0, 3]]))[1], [3**0.5 / 4]),
    # Twice the errors: of a spread none, of 1 / rate 0.1 / 0.5^2, of the power 0.3.
    Case(otoc_decay._metrics, _decays, [3**0.5 / 4, 0.8, 0.6]),
    Case(otoc_interference._sd, _spread_of_parts, [8**0.5, 0.3]),
    Case(
        otoc_interference._correlation,
        lambda: otoc_interference._correlation("x", *HALF)["x"].stderr,
        3 / 8,
    ),
    Case(otoc_interference._correlations, _over_strings, [3 / 8, 3 / 8]),
    # s of refits 1 and 3, and the Cramer-Rao error of each set in units of the one by hand.
    Case(hamiltonian_learning._learn, _learned_phase, [2**0.5, 1, 1]),
    # Shares 1 and 2 of the ceiling 4.
    Case(otoc_cost._growth_metrics, _filled, [0.5, 0.25]),
    # Half a doubling of the strings; samples go with the square of the spread.
    Case(otoc_cost._others, _decades, [0.5 * math.log10(2), math.log10(2)]),
    # Readout takes contrast from the raw value and its error alike; a ratio 0.1 / 0.5 under strings has the error
    # hypot(0.15, 0.2 / 5) / 0.5; fidelity 1/2 to the power -1; scales 1, 1.5, 2 count
    # (11, 2, -7) / 6; frames give 1 and 3.
    Case(
        otoc_noise._mitigate,
        _mitigated,
        [
            CONTRAST * 0.2, 0.2, NORMALISED, CONTRAST * 0.25,
            math.hypot(NORMALISED, math.hypot(0.15, 0.04) / 0.5), 2 * CONTRAST * 0.2, 0.2 * (29 / 6) ** 0.5, 1,
        ],
    ),
    # As `std_with_error`, whatever the distribution.
    Case(otoc_noise_ratios.ratio_metrics, _signal_sd, 3**0.5 / 4),
)  # fmt: skip

CASES = (*HARNESS, *MOLECULES, *ECHOES)
