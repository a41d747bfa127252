"""What an echo costs on a classical machine, method by method: operations, memory, and time on a stated machine.

    state vector          32 2^n flop for every two-qubit gate (its one-qubit gates fused into it: 4 complex
                          multiply-adds per amplitude, 8 flop each), 8 2^n bytes in complex64, and 16 2^n bytes moved
                          through memory for every gate; time = the longer of arithmetic and traffic
    Pauli strings         V^dagger O V needs up to 4^c strings, c the qubits that V touches, or as many as a truncation
                          keeps (`quantum.echoes.pauli_growth`); a two-qubit gate is a real 16 x 16 matrix on them, 32
                          flop a string; 4 bytes of coefficient and 2 bits a qubit for each
    Monte Carlo           rms error s / sqrt(N) against a signal of standard deviation d over circuits, so
                          N = (SNR s / d)^2 samples. For loops of four strings drawn from the 1-norm of N_s strings with
                          Gaussian coefficients the spread of one sample is s = (2 / pi)^(3/2) N_s / sqrt(2)
    contraction           flop of the plan / speed of the machine

The last line of Monte Carlo: with L = sum |b| and b normal of variance 1 / N_s, L^2 = 2 N_s / pi and the variance is
L^3 sum |b_a b_b b_c| b_d^2 = L^6 / N_s = (2 / pi)^3 N_s^2, of which loops with an imaginary phase, half of them, give
nothing; `quantum.echoes.pauli_paths.sample_off_diagonal` is this estimator. Measured, s stays below this law and comes
up to it as coefficients become Gaussian: a tenth to a third of it at 4 and 6 qubits, 0.6 at 8. Every count is an upper
bound of the plainest form of its method: the paper reports a cached Monte Carlo with an SNR of 1.1 at 40 qubits, out
of reach of drawn loops, so its algorithm (not in our sources) is a better one.

The machine is Frontier: 9,408 nodes of 4 AMD MI250X with 4.6 PB of high-bandwidth memory, Linpack 1.102 EFLOP/s in
double precision when first listed (HPCwire, 30 May 2022, "The Final Frontier"); each MI250X with 2 x 64 GB, 2 x 1.6
TB/s and 47.8 TFLOP/s in the double precision of its vector units (OLCF, Frontier User Guide,
https://docs.olcf.ornl.gov/systems/frontier_user_guide.html). That single precision runs at the same speed there is
unverified, for AMD's data sheet was out of our reach; so is a factor of two for packed or matrix instructions, which is
left out. The share of the peak that a contraction reaches is unknown in the paper (Google Quantum AI and collaborators,
Nature 646, 825 (2025), DOI 10.1038/s41586-025-09526-6): it is a parameter here, and its default is our choice.
Left out: messages between nodes, so every time is too short.
"""

import math
from dataclasses import dataclass

from quantum._checks import check_count, check_in_range

SECONDS_PER_YEAR = 365.25 * 86400
_FLOP_PER_AMPLITUDE = 32  # 4 complex multiply-adds
_BYTES_PER_AMPLITUDE = 8  # complex64
_FLOP_PER_STRING = 32  # a row of a real 16 x 16 matrix


@dataclass(frozen=True)
class Machine:
    """A computer as three numbers and what it reaches of them.

    Attributes:
        name: Name.
        peak_flops: Peak real floating point operations per second, single precision.
        memory_bytes: Memory of all accelerators together, in bytes.
        bandwidth: Bytes per second between that memory and its accelerators, all together.
        efficiency: Share of the peak that is reached, 0 to 1.

    Raises:
        ValueError: If a number is not positive, or the efficiency is above 1.
    """

    name: str
    peak_flops: float
    memory_bytes: float
    bandwidth: float
    efficiency: float

    def __post_init__(self):
        for name in ("peak_flops", "memory_bytes", "bandwidth"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ValueError(
                    f"`{name}` must be positive and finite, but is {getattr(self, name):g}."
                )
        check_in_range(self.efficiency, "efficiency", 1e-6, 1)


@dataclass(frozen=True)
class ClassicalCost:
    """What one circuit costs by one method.

    Attributes:
        flops: Real floating point operations.
        memory_bytes: Memory needed at a time, in bytes.
        seconds: Time on the machine, in s, as if the memory were there.
        fits: Whether the memory is there.
    """

    flops: float
    memory_bytes: float
    seconds: float
    fits: bool


def make_frontier(efficiency: float | int = 0.2) -> Machine:
    """Frontier in single precision.

    Args:
        efficiency: Share of the peak reached; unknown in the paper, 0.2 is our choice.
    """
    modules = 9408 * 4
    return Machine(
        "Frontier",
        modules * 47.8e12,
        modules * 128.0 * 2**30,
        modules * 3.2e12,
        float(efficiency),
    )


def contraction_cost(
    flops: float | int, largest_tensor: float | int, machine: Machine
) -> ClassicalCost:
    """Cost of a contraction plan; its largest tensor stands for the memory.

    Args:
        flops: Real floating point operations of the plan, all slices together.
        largest_tensor: Elements of its largest tensor, complex64.
        machine: Where it runs; all of it works on one slice at a time.
    """
    return _cost(float(flops), 8.0 * largest_tensor, 0.0, machine)


def state_vector_cost(n_qubits: int, n_two_qubit: int, machine: Machine) -> ClassicalCost:
    """Cost of running a circuit on a state vector, gate by gate, one-qubit gates fused into the others.

    Args:
        n_qubits: Qubits that the circuit touches.
        n_two_qubit: Two-qubit gates.
        machine: Where it runs.
    """
    check_count(n_qubits, "n_qubits", 1)
    check_count(n_two_qubit, "n_two_qubit", 0)
    amplitudes = 2.0**n_qubits
    memory = _BYTES_PER_AMPLITUDE * amplitudes
    flops = _FLOP_PER_AMPLITUDE * amplitudes * n_two_qubit
    return _cost(flops, memory, 2 * memory * n_two_qubit, machine)


def pauli_strings_cost(
    n_qubits: int, n_two_qubit: int, machine: Machine, *, n_strings: float | int | None = None
) -> ClassicalCost:
    """Cost of taking the observable through the circuit as Pauli strings.

    Args:
        n_qubits: Qubits that the circuit touches.
        n_two_qubit: Two-qubit gates.
        machine: Where it runs.
        n_strings: Strings that are kept; all 4^n by default.

    Raises:
        ValueError: If there are less than one string or more than 4^n.
    """
    check_count(n_qubits, "n_qubits", 1)
    check_count(n_two_qubit, "n_two_qubit", 0)
    strings = 4.0**n_qubits if n_strings is None else float(n_strings)
    check_in_range(strings, "n_strings", 1, 4.0**n_qubits)
    memory = strings * (4 + n_qubits / 4)
    return _cost(
        _FLOP_PER_STRING * strings * n_two_qubit, memory, 2 * memory * n_two_qubit, machine
    )


def samples_needed(
    signal_to_noise: float | int, sample_sd: float | int, signal_sd: float | int
) -> float:
    """Samples that bring the rms error of a mean to `signal_sd / signal_to_noise`.

    Raises:
        ValueError: If one of the three is not positive.
    """
    for value, name in (
        (signal_to_noise, "signal_to_noise"),
        (sample_sd, "sample_sd"),
        (signal_sd, "signal_sd"),
    ):
        if not value > 0:
            raise ValueError(f"`{name}` must be positive, but is {value:g}.")
    return float((signal_to_noise * sample_sd / signal_sd) ** 2)


def loop_sample_sd(n_strings: float | int) -> float:
    """Spread of one drawn loop of four Pauli strings, for that many strings with Gaussian coefficients."""
    if not n_strings >= 1:
        raise ValueError(f"`n_strings` must be at least 1, but is {n_strings:g}.")
    return float((2 / math.pi) ** 1.5 * n_strings / math.sqrt(2))


_FLOP_PER_LOOP = 100.0  # some table look-ups and products, our choice


def monte_carlo_cost(
    n_qubits: int,
    signal_sd: float | int,
    machine: Machine,
    *,
    signal_to_noise: float | int = 1.0,
    sample_sd: float | int | None = None,
) -> ClassicalCost:
    """Cost of drawing loops of four strings from the cached strings of B(t), all 4^n of them.

    Args:
        n_qubits: Qubits in the light cone of B.
        signal_sd: Standard deviation over circuits of the off-diagonal OTOC(2).
        machine: Where it runs.
        signal_to_noise: Wanted SNR, standard deviation over circuits / rms error.
        sample_sd: Spread of one drawn loop; that of 4^n Gaussian coefficients by default.
    """
    check_count(n_qubits, "n_qubits", 1)
    strings = 4.0**n_qubits
    spread = loop_sample_sd(strings) if sample_sd is None else sample_sd
    samples = samples_needed(signal_to_noise, spread, signal_sd)
    return _cost(_FLOP_PER_LOOP * samples, strings * (4 + n_qubits / 4), 0.0, machine)


def _cost(flops: float, memory: float, traffic: float, machine: Machine) -> ClassicalCost:
    arithmetic = flops / (machine.peak_flops * machine.efficiency)
    seconds = max(arithmetic, traffic / machine.bandwidth)
    # Plain numbers: those of a search come as NumPy's, whose truth is no bool.
    fits = bool(memory <= machine.memory_bytes)
    return ClassicalCost(float(flops), float(memory), float(seconds), fits)
