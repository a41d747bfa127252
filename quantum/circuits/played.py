"""What of a gate is really played, decided by its unitary in this one place.

On the chip a turn about z is a change of the frame in which later pulses are played: no time, no error. It is virtual
in any guise, rz, Z, S, T or a phase, as a matrix, or on both qubits of a pair. A turn about z beside a pulse, as in
Cirq's PhasedXZ or Qiskit's U, comes with it for nothing, so any other gate of one qubit is one pulse. The identity is a
turn by nothing, so it is virtual as well. A `phased_x` by name is a pulse for every angle but 0: one that drives a full
turn is played although its matrix is that of none.

Waiting is no gate either, but it takes time: `wait` for so many seconds on its qubit, `align` until all qubits that are
aligned in the same moment are done with what they were at. See `noise.schedule`.
"""

from functools import lru_cache

from quantum.circuits.gates import Gate
from quantum.circuits.tolerance import ACCEPTED, is_diagonal, split_product

WAITING = frozenset({"wait", "align"})


def is_waiting(gate: Gate) -> bool:
    """Whether a gate is time that passes, and nothing else."""
    return gate.name in WAITING


@lru_cache(maxsize=65536)
def is_virtual(gate: Gate) -> bool:
    """Whether a gate is a turn about z of its qubits, which takes no time and has no error."""
    if gate.name == "phased_x":
        return abs(gate.parameters[0]) < 2 * ACCEPTED
    matrix = gate.matrix()
    return is_diagonal(matrix) and (gate.n_qubits == 1 or split_product(matrix) is not None)


def is_played(gate: Gate) -> bool:
    """Whether a gate takes a pulse, with its time and its error."""
    return not (is_waiting(gate) or is_virtual(gate))
