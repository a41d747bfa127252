"""Cross-entropy benchmarking: how much of a random circuit survives noise, from the bitstrings alone.

A deep random circuit on n qubits has output probabilities p(x) that follow Porter and Thomas: D p is exponentially
distributed, D = 2^n, with the exact moments of a Haar-random state

    <p^k> = k! (D - 1)! / (D + k - 1)!,        <p^2> = 2 / (D (D + 1)).

With q the distribution that the device draws from, normalised such that q = p gives 1 whatever the statistics of p:

    linear XEB     (D sum p q - 1) / (D sum p^2 - 1)
    log XEB        (sum (q - 1/D) log p) / (sum (p - 1/D) log p)
    speckle purity (D sum q^2 - 1) (D + 1) / (D - 1), whose root is the fidelity and needs no simulation.

All three say f (purity: f^2) for q = f p + (1 - f) / D. An error somewhere inside a scrambling circuit gives a
distribution that has nothing to do with p, hence the digital error model: the fidelity is the probability of no error,
prod (1 - e) over all gates and readouts, with Pauli errors e. Errors that do not change the output, such as a Z before
the readout, make XEB a little larger.

Sources: S. Boixo et al., Nature Physics 14, 595 (2018), DOI 10.1038/s41567-018-0124-x; F. Arute et al., Nature 574, 505
(2019), DOI 10.1038/s41586-019-1666-5 (linear XEB, digital error model, speckle purity). The normalisation by sum p^2
is the usual one for circuits too shallow for Porter-Thomas statistics. Leaves out spoofing and patch circuits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantum._checks import check_array, check_count, check_in_range
from quantum.circuits.circuit import Circuit
from quantum.engines import dispatch
from quantum.engines.dispatch import Precision
from quantum.engines.memory import check_memory
from quantum.estimates import Estimate, mean_with_error
from quantum.noise.model import NoiseModel, add_noise
from quantum.noise.trajectories import draw_errors, with_errors


def porter_thomas_moment(dimension: int, k: int) -> float:
    """Exact mean of p^k over Haar-random states of `dimension` levels."""
    check_count(dimension, "dimension", 1)
    check_count(k, "k", 0)
    return float(np.prod([(j + 1) / (dimension + j) for j in range(k)]))


def linear_xeb(ideal: np.ndarray, samples: np.ndarray) -> Estimate:
    """Linear XEB fidelity of sampled bitstrings, with its standard error.

    Args:
        ideal: Probability of every bitstring without noise, (2^n,).
        samples: Numbers of the bitstrings that were read.

    Raises:
        ValueError: If `ideal` is no distribution, or a sample is none of its bitstrings.
        FloatingPointError: If `ideal` is uniform, which no sample can tell from noise.
    """
    return _sampled(_linear_score(_distribution(ideal, "ideal")), samples)


def log_xeb(ideal: np.ndarray, samples: np.ndarray) -> Estimate:
    """Logarithmic XEB fidelity of sampled bitstrings; arguments and errors are those of `linear_xeb`.

    Raises:
        ValueError: As `linear_xeb`; also if a probability is zero.
    """
    return _sampled(_log_score(_distribution(ideal, "ideal")), samples)


def linear_fidelity(ideal: np.ndarray, actual: np.ndarray) -> float:
    """Linear XEB fidelity of a known distribution, the limit of infinitely many samples."""
    return float(_same_size(ideal, actual) @ _linear_score(_distribution(ideal, "ideal")))


def log_fidelity(ideal: np.ndarray, actual: np.ndarray) -> float:
    """Logarithmic XEB fidelity of a known distribution."""
    return float(_same_size(ideal, actual) @ _log_score(_distribution(ideal, "ideal")))


def speckle_purity(collision: float | int, dimension: int) -> float:
    """Purity f^2 of a depolarised random state from the chance that two of its bitstrings agree.

    Args:
        collision: sum q^2, or an unbiased estimate of it, which may put the purity slightly below zero.
        dimension: Number of bitstrings, 2^n.
    """
    check_count(dimension, "dimension", 2)
    return (dimension * collision - 1) * (dimension + 1) / (dimension - 1)


def collision_probability(samples: np.ndarray) -> float:
    """Unbiased estimate of sum q^2: the share of pairs of samples that agree."""
    array = np.asarray(samples)
    check_count(array.size, "samples", 2)
    counts = np.unique(array, return_counts=True)[1].astype(float)
    return float(np.sum(counts * (counts - 1)) / (array.size * (array.size - 1)))


def sample(probabilities: np.ndarray, n_samples: int, *, seed: int) -> np.ndarray:
    """Draws numbers of bitstrings; qubit 0 is the most significant bit."""
    check_count(n_samples, "n_samples", 1)
    cumulative = np.cumsum(_distribution(probabilities, "probabilities"))
    drawn = np.random.default_rng(seed).random(n_samples) * cumulative[-1]
    return np.searchsorted(cumulative, drawn, side="right")


def flip_bits(
    probabilities: np.ndarray,
    readout_zero: float | int | Sequence[float],
    readout_one: float | int | Sequence[float],
) -> np.ndarray:
    """What is read when every bit is misread independently.

    Args:
        probabilities: Distributions along the last axis, 2^n long.
        readout_zero: Probability to read 1 in |0>, of all qubits or of each.
        readout_one: Probability to read 0 in |1>.

    Raises:
        ValueError: If a probability lies outside [0, 1], or there are not as many as qubits.
    """
    array = np.asarray(probabilities, dtype=float)
    n = _n_qubits(array.shape[-1], "probabilities")
    given = {"readout_zero": readout_zero, "readout_one": readout_one}
    for name, values in given.items():
        if np.ndim(values):
            check_array(values, name, (n,))
        for value in np.ravel(values):
            check_in_range(float(value), name, 0, 1)
    rates = zip(*(np.broadcast_to(np.asarray(v, float), (n,)) for v in given.values()), strict=True)
    for qubit, (zero_flips, one_flips) in enumerate(rates):
        bits = array.reshape(-1, 2, 2 ** (n - 1 - qubit))
        zero, one = bits[:, 0], bits[:, 1]
        read_one = zero_flips * zero + (1 - one_flips) * one
        array = np.stack([zero + one - read_one, read_one], axis=1)
    return array.reshape(np.shape(probabilities))


def digital_fidelity(n_one_qubit: int, n_two_qubit: int, n_read: int, model: NoiseModel) -> float:
    """Digital error model, prod (1 - e) over gates and readouts; readout counts with the mean of its two errors.

    Gates are those that are played, so without turns about z; `circuit_fidelity` counts them in a circuit.
    """
    read = (model.readout_zero + model.readout_one) / 2
    errors = (model.one_qubit_error, model.two_qubit_error, read)
    counts = (n_one_qubit, n_two_qubit, n_read)
    return math.prod((1 - e) ** n for e, n in zip(errors, counts, strict=True))


def circuit_fidelity(circuit: Circuit, model: NoiseModel) -> float:
    """Digital error model of a circuit that reads all its qubits: each played gate and each readout with its error."""
    rows = [model.on(qubit) for qubit in range(circuit.n_qubits)]
    read = [(row.readout_zero + row.readout_one) / 2 for row in rows]
    errors = [*read, *(model.error(operation) for operation in circuit.operations())]
    return math.prod(1 - error for error in errors)


@dataclass(frozen=True)
class NoisyOutput:
    """Output distribution of a noisy circuit from trajectories, no error at all kept apart.

    Attributes:
        ideal: Probabilities without noise, (2^n,).
        clean: Probabilities read without a gate error, (2^n,): `ideal` but for the readout.
        struck: Probabilities read after at least one error, (trajectories, 2^n).
        clean_weight: Probability of no gate error.
    """

    ideal: np.ndarray
    clean: np.ndarray
    struck: np.ndarray
    clean_weight: float

    def mean(self) -> np.ndarray:
        """Distribution that the device draws from."""
        weight = self.clean_weight
        return weight * self.clean + (1 - weight) * self.struck.mean(axis=0)

    def linear(self) -> Estimate:
        """Linear XEB fidelity in the limit of many samples; the error is that of the finite trajectories."""
        return self._fidelity(_linear_score(self.ideal))

    def log(self) -> Estimate:
        """Logarithmic XEB fidelity in the limit of many samples."""
        return self._fidelity(_log_score(self.ideal))

    def purity(self) -> float:
        """Speckle purity in the limit of many samples; pairs of different trajectories alone, so without bias."""
        n, weight = len(self.struck), self.clean_weight
        total = self.struck.sum(axis=0)
        between = (total @ total - np.sum(self.struck**2)) / (n * (n - 1))
        collision = weight**2 * self.clean @ self.clean + (1 - weight) ** 2 * between
        collision += 2 * weight * (1 - weight) * self.clean @ total / n
        return speckle_purity(float(collision), self.ideal.size)

    def _fidelity(self, score: np.ndarray) -> Estimate:
        struck = mean_with_error(self.struck @ score)
        value = self.clean_weight * float(self.clean @ score)
        rest = 1 - self.clean_weight
        return Estimate(value + rest * struck.value, rest * struck.stderr)


def noisy_output(
    circuit: Circuit,
    model: NoiseModel,
    n_trajectories: int,
    *,
    seed: int,
    engine: str = "auto",
    precision: Precision = "single",
) -> NoisyOutput:
    """Runs a circuit without noise and along Pauli trajectories, and reads all qubits.

    Args:
        circuit: Circuit that starts from |0...0>.
        model: Noise; over-rotations and anything but Pauli errors enter by their Pauli twirl.
        n_trajectories: Trajectories with an error, at least 2.
        seed: Seed of the errors.
        engine: Engine by name.
        precision: "single" or "double".

    Raises:
        ValueError: If there are too few trajectories, the engine cannot run the circuit, or the distributions
            do not fit into memory together.
    """
    check_count(n_trajectories, "n_trajectories", 2, "One has no standard error.")
    # States, probabilities and two copies on the way: eight complex64 arrays a trajectory, as measured.
    check_memory(circuit.n_qubits, precision, 8 * (n_trajectories + 1))
    noisy = add_noise(circuit, model).twirled()
    weight, drawn = draw_errors(noisy, n_trajectories, seed=seed)
    # Without any channel nothing can strike, and the weight of what is drawn is 0.
    circuits = [with_errors(noisy, errors) for errors in drawn or [{}] * n_trajectories]
    states = [dispatch.state(c, engine=engine, precision=precision) for c in (circuit, *circuits)]
    probabilities = np.abs(np.stack(states)).astype(float) ** 2
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    rows = [model.on(qubit) for qubit in range(circuit.n_qubits)]
    flips = [r.readout_zero for r in rows], [r.readout_one for r in rows]
    read = flip_bits(probabilities, *flips)
    return NoisyOutput(probabilities[0], read[0], read[1:], weight)


def _linear_score(ideal: np.ndarray) -> np.ndarray:
    """Score of every bitstring, such that its mean over samples is the fidelity."""
    return _normalised_score(ideal, ideal)


def _log_score(ideal: np.ndarray) -> np.ndarray:
    if not ideal.min() > 0:
        raise ValueError(
            "`ideal` must be positive for every bitstring, but is 0 for one; use linear XEB."
        )
    return _normalised_score(np.log(ideal), ideal)


def _normalised_score(score: np.ndarray, ideal: np.ndarray) -> np.ndarray:
    score = score - score.mean()
    scale = float(ideal @ score)
    # Rounding of a single-precision state, far below the 1 / D of a scrambled one.
    if not scale > 1e-10 * np.abs(score).max() or np.ptp(ideal) < 1e-5 * ideal.max():
        raise FloatingPointError(
            "`ideal` must not be uniform, or no sample can tell it from noise; add cycles."
        )
    return score / scale


def _sampled(score: np.ndarray, samples: np.ndarray) -> Estimate:
    array = np.asarray(samples)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise TypeError(
            f"`samples` must be whole numbers on one axis, but are {array.dtype} of shape {array.shape}."
        )
    if array.size and not 0 <= array.min() <= array.max() < score.size:
        raise ValueError(
            f"`samples` must lie between 0 and {score.size - 1}, but hold {array.min()} to {array.max()}."
        )
    return mean_with_error(score[array])


def _distribution(probabilities: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(probabilities, dtype=float)
    if array.ndim != 1:
        raise ValueError(f"`{name}` must have one axis, but its shape is {array.shape}.")
    _n_qubits(array.size, name)
    # A state in single precision misses 1 by some 1e-6.
    if not (array.min() >= 0 and abs(array.sum() - 1) < 1e-4):
        raise ValueError(
            f"`{name}` must be probabilities that sum to 1, but sum to {array.sum():g}."
        )
    return array


def _same_size(ideal: np.ndarray, actual: np.ndarray) -> np.ndarray:
    found = _distribution(actual, "actual")
    if found.size != np.size(ideal):
        raise ValueError(
            f"`actual` must have {np.size(ideal)} bitstrings like `ideal`, but has {found.size}."
        )
    return found


def _n_qubits(size: int, name: str) -> int:
    n = int(size).bit_length() - 1
    if size != 2**n or n < 1:
        raise ValueError(f"`{name}` must have a length of 2, 4, 8, ..., but has {size}.")
    return n
