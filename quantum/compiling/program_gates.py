"""What the gates of an echo program are: how long each lasts, as numbers, as JAX sees them, and as a circuit.

The plan of a program (`echo_program.plan`) says which sweeps there are and which of them a gate adds up. A sweep e of
class c at place x_e lasts w_e (1 + r_c + r'_c t / t_0) t with w_e in proportion to its fraction times
exp(sum_l m_l P_l(2 x_e - 1)), the w_e of a class adding up to 1; `echo_program` has sources and conventions. Modulation
m and rescaling r, r' are what a search varies, so these parts run on NumPy and JAX alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import matrix_gate
from quantum.compiling.echo_program import EchoProgram, Pair, ProgramPlan, check_spins, plan
from quantum.compiling.trotter import packed, pair_matrix
from quantum.spins.hamiltonian import SpinHamiltonian


@dataclass(frozen=True)
class PairGate:
    """exp(-i I_i . T_ij . I_j duration) on the spins i, j; the duration is in seconds, rescaling included."""

    spins: Pair
    duration: float


def durations(found: ProgramPlan, time, modulation, rescaling, time_scale: float | int):
    """Duration of each gate in seconds, rescaling included.

    Args:
        found: The plan at this time.
        time: Time in seconds.
        modulation: m_1, m_2, ...
        rescaling: r and r' of each class, (classes, 2).
        time_scale: t_0 in seconds.
    """
    sums, owners = gate_matrix(found)
    shapes = modes(found.centres, len(modulation))
    weights = sweep_weights(found.fractions, found.owners, shapes, modulation, len(rescaling))
    factors = 1 + rescaling[:, 0] + rescaling[:, 1] * (time / time_scale)
    return time * (sums @ weights) * factors[owners]


def modes(centres: Sequence[float] | np.ndarray, n_modes: int) -> np.ndarray:
    """P_1, P_2, ... at 2 x - 1 for the place x of each sweep, (sweeps, modes)."""
    return np.polynomial.legendre.legvander(2 * np.asarray(centres) - 1, n_modes)[..., 1:]


def sweep_weights(fractions, owners, shapes, modulation, n_classes: int, xp=np):
    """w_e of each sweep; they add up to 1 in every class that has any. Sweeps of fraction 0 are padding."""
    raw = xp.asarray(fractions) * xp.exp(shapes @ xp.asarray(modulation))
    member = xp.arange(n_classes)[:, None] == xp.asarray(owners)[None]
    totals = xp.where(member, raw[None], 0).sum(axis=1)
    return raw / xp.where(totals == 0, 1, totals)[xp.asarray(owners)]


def gate_matrix(found: ProgramPlan) -> tuple[np.ndarray, np.ndarray]:
    """Which sweeps each gate adds up, (gates, sweeps) of 0 and 1, and the class of each gate."""
    sums = np.zeros((len(found.gates), len(found.owners)))
    for row, (_, _, events) in enumerate(found.gates):
        sums[row, list(events)] = 1
    return sums, np.array([owner for _, owner, _ in found.gates], dtype=int)


def pair_gates(program: EchoProgram, time: float | int) -> tuple[PairGate, ...]:
    """Gates of one evolution U(t), in time order.

    Args:
        program: The program.
        time: Time in seconds, positive.

    Raises:
        ValueError: If the time is not positive.
    """
    found = plan(program, time)
    rescaling = np.array([group.rescaling for group in program.classes])
    lasting = durations(found, time, program.modulation, rescaling, program.time_scale)
    return tuple(PairGate(gate[0], float(d)) for gate, d in zip(found.gates, lasting, strict=True))


def program_circuit(
    program: EchoProgram, hamiltonian: SpinHamiltonian, time: float | int
) -> Circuit:
    """Circuit of U(t) of one molecule, for couplers between all qubits; gates are exact 4 x 4 matrices.

    Raises:
        ValueError: If the time is not positive, there are fields, or spins of the program are not there.
    """
    if np.any(np.asarray(hamiltonian.fields)):
        raise ValueError("`hamiltonian` must have no fields, but has; programs hold pairs only.")
    check_spins(program, hamiltonian.n_spins)
    tensors = np.asarray(hamiltonian.couplings)
    operations = [
        Operation(matrix_gate(pair_matrix(tensors[gate.spins], gate.duration)), gate.spins)
        for gate in pair_gates(program, time)
    ]
    return Circuit(hamiltonian.n_spins, packed(operations))
