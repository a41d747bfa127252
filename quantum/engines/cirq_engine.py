"""Our circuits to Cirq and back, and runs on qsim: the only file that imports cirq, cirq_google and qsimcirq.

Single precision runs on qsim, double on Cirq's own simulator, since qsim has no double. Both number bits as we do,
qubit 0 the most significant, and our fsim is `cirq.FSimGate` to the letter. Cirq's powers of X, Y and Z carry a global
phase that our turns lack; `from_cirq` drops it, so a circuit that was read equals its source up to one phase. A gate is
known by its class only where its matrix says the same. A moment of Cirq lasts as long as the longest operation in it;
ours as long as its longest gate, so a moment with a `WaitGate` is followed by one that aligns all qubits.

qsim rounds gate matrices to single precision. A circuit and its inverse round alike, so the norm drifts with depth
(2.5e-5 in 1300 gates): expectation values are divided by the norm.

Sources: Cirq and qsim, Google Quantum AI, DOI 10.5281/zenodo.4062499 (Cirq), 10.5281/zenodo.4023103 (qsim).
"""

import contextlib
import functools
import importlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cirq
import numpy as np
import qsimcirq

from quantum.circuits.circuit import Circuit, Moment, Operation
from quantum.circuits.gates import Gate, fsim, matrix_gate, phased_x, rz, wait
from quantum.circuits.pauli import Observable, PauliString, real_weight
from quantum.circuits.played import is_virtual
from quantum.circuits.tolerance import EXACT, same_up_to_phase, split_product
from quantum.engines import circuit_json, statevector
from quantum.engines.memory import n_threads

# States held at a time for expectation values, measured at 22 to 24 qubits.
N_STATES = {"single": 1, "double": 4}
_MOST_FUSED = (
    4  # qubits of a fused gate; fastest of 2, 3, 4 or within a third of it from 18 qubits on
)
_MOST_FUSED_BLOCKS = 3  # the same for blocks that are fused already

_FIXED = {
    "i": cirq.I, "x": cirq.X, "y": cirq.Y, "z": cirq.Z, "h": cirq.H, "s": cirq.S, "s_dagger": cirq.S**-1, "cz": cirq.CZ,
}  # fmt: skip
_NAMES = {gate: name for name, gate in _FIXED.items()}
# Powers of a gate, by pi times the exponent. Cirq's iSWAP has +i off the diagonal, so its angle turns round.
_POWERS = {
    cirq.XPowGate: lambda turn: phased_x(turn, 0),
    cirq.YPowGate: lambda turn: phased_x(turn, math.pi / 2),
    cirq.ZPowGate: rz,
    cirq.ISwapPowGate: lambda turn: fsim(-turn / 2, 0),
    cirq.CZPowGate: lambda turn: fsim(0, -turn),
}


def to_cirq(circuit: Circuit, qubits: Sequence[cirq.Qid] | None = None) -> cirq.Circuit:
    """The same circuit in Cirq, moment by moment.

    Args:
        circuit: The circuit.
        qubits: Qubits to put it on, ours in order; `cirq.LineQubit`s by default.

    Raises:
        ValueError: If the number of `qubits` is not the circuit's.
    """
    line = list(qubits) if qubits is not None else cirq.LineQubit.range(circuit.n_qubits)
    if len(line) != circuit.n_qubits:
        raise ValueError(
            f"`qubits` must be {circuit.n_qubits} like the circuit's, but are {len(line)}."
        )
    return cirq.Circuit(
        cirq.Moment(_gate(op.gate).on(*(line[q] for q in op.qubits)) for op in moment)
        for moment in circuit.moments
    )


def from_cirq(circuit: cirq.AbstractCircuit, qubits: Sequence[cirq.Qid] | None = None) -> Circuit:
    """A Cirq circuit of one- and two-qubit gates, moment by moment, up to a global phase.

    Operations that are a product of one-qubit gates come over as those, sub-circuits gate by gate, and a `WaitGate` as
    waits with a moment of its own behind it that aligns the qubits.

    Args:
        circuit: Circuit without measurements and free parameters.
        qubits: Our qubits in order; all qubits of the circuit, sorted, by default.

    Raises:
        ValueError: If an operation has no unitary of one or two qubits, acts on a qubit not in `qubits`, or has a tag
            that says of its time what is not so here.
    """
    order = sorted(circuit.all_qubits()) if qubits is None else list(qubits)
    numbers = {qubit: number for number, qubit in enumerate(order)}
    flat: Any = circuit
    if any(isinstance(op.untagged, cirq.CircuitOperation) for op in circuit.all_operations()):
        flat = cirq.unroll_circuit_op(circuit, deep=True, tags_to_check=None)
    used = sorted(numbers[qubit] for qubit in flat.all_qubits() & numbers.keys())
    moments = []
    for place, moment in enumerate(flat):
        strangers = sorted(moment.qubits - numbers.keys())
        if strangers:
            raise ValueError(
                f"`qubits` must hold all of the circuit's, but moment {place} acts on {strangers[0]}."
            )
        read = [pair for op in moment if op.qubits for pair in _read_operation(op, place)]
        moments.append(tuple(Operation(g, tuple(numbers[q] for q in on)) for g, on in read))
        if any(gate.name == "wait" for gate, _ in read):
            moments.append(tuple(Operation(Gate("align"), (q,)) for q in used))
    return Circuit(max(len(order), 1), tuple(moments))


def read_observable(observable: Any, numbers: dict[Any, int]) -> Observable:
    """A Pauli string or sum of Cirq as ours.

    Args:
        observable: `cirq.PauliString`, a Pauli gate on its qubit, or `cirq.PauliSum`.
        numbers: Our number of every qubit.

    Raises:
        TypeError: If it is something else.
        ValueError: If a coefficient is not real.
    """
    strings = (
        [observable] if isinstance(observable, cirq.PauliString) else
        list(observable) if isinstance(observable, cirq.PauliSum) else None
    )  # fmt: skip
    if strings is None:
        raise TypeError(
            f"`observable` must be a Pauli string or sum of Cirq, but is {type(observable).__name__}."
        )
    return Observable(
        tuple(
            (
                real_weight(string.coefficient),
                PauliString.on({numbers[q]: str(letter) for q, letter in string.items()}),
            )
            for string in strings
        )
    )


def read_json(
    text: str, source: str
) -> tuple[tuple[Moment, ...], int, tuple[tuple[int, int], ...], bool]:
    """A measured circuit on the square grid from Cirq's JSON text; only what `circuit_json` knows is built from it.

    Args:
        text: The JSON text.
        source: Where it came from, for messages.

    Returns:
        The moments without the last one, the number of the one qubit that the last one measures, (row, column) of
        every qubit in order, and whether the measurement inverts its result (`invert_mask`).

    Raises:
        ValueError: If the text is truncated, holds a type outside `circuit_json.TYPES`, an unfit gate or other qubits,
            or the last moment is not the measurement of one qubit, or one that confuses its result.
    """
    importlib.import_module("cirq_google")  # makes its gates known to Cirq's tables
    plain = json.dumps(circuit_json.checked(text, source))
    with _told(source):
        read = cirq.read_json(json_text=plain, resolvers=[_known_type])
    if isinstance(read, cirq.FrozenCircuit):
        read = read.unfreeze()
    if len(read) < 2:
        raise ValueError(
            f"`path` must hold a circuit and its measurement, but {source} holds {len(read)} moments."
        )
    with _told(source):
        qubits = sorted(read.all_qubits())
    if not all(isinstance(qubit, cirq.GridQubit) for qubit in qubits):
        raise ValueError(
            f"`path` must place its qubits on a grid, but {qubits[0]!r} of {source} is not."
        )
    last = list(read[-1])
    if len(last) != 1 or not cirq.is_measurement(last[0]) or len(last[0].qubits) != 1:
        raise ValueError(
            f"`path` must end with the measurement of one qubit, but {source} ends with {last}."
        )
    gate = last[0].untagged.gate
    if getattr(gate, "confusion_map", None):
        raise ValueError(
            f"`path` must measure Z without errors, but {source} confuses the result ({last[0]}); take that out of the "
            "file and apply it to the value, see `quantum.noise.readout`."
        )
    inverted = any(getattr(gate, "invert_mask", ()))
    sites = tuple((int(q.row), int(q.col)) for q in qubits)  # pyright: ignore[reportAttributeAccessIssue]
    with _told(source):
        # Of an echo the unitary is wanted; what a tag says of the time of its gates is for who plays it.
        plain = cirq.Circuit(cirq.Moment(op.untagged for op in moment) for moment in read[:-1])
        moments = from_cirq(plain, qubits).moments
    # Moments are counted by the layout of an echo, so without those that only align.
    kept = (m for m in moments if not m or any(op.gate.name != "align" for op in m))
    return tuple(kept), qubits.index(last[0].qubits[0]), sites, inverted


@contextlib.contextmanager
def _told(source: str) -> Iterator[None]:
    """What Cirq cannot make of a file, with the name of the file."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        if str(error).startswith("`"):
            raise
        raise ValueError(
            f"`path` must hold what Cirq can build, but of {source} it says: {' '.join(str(error).split())}"
        ) from error


def _known_type(cirq_type: str) -> Any:
    """Cirq's own maker of a type that a file may hold; None for any other."""
    if cirq_type not in circuit_json.TYPES:
        return None
    return next(filter(None, (resolve(cirq_type) for resolve in cirq.DEFAULT_RESOLVERS)), None)


def state(circuit: Circuit, precision: str = "single") -> np.ndarray:
    """State after a circuit; qsim in single precision, Cirq's own simulator in double."""
    line = cirq.LineQubit.range(circuit.n_qubits)
    program = to_cirq(circuit)
    if precision == "double":
        result = cirq.Simulator(dtype=np.complex128).simulate(program, qubit_order=line)
        return np.asarray(result.final_state_vector)
    options = qsimcirq.QSimOptions(  # pyright: ignore[reportPrivateImportUsage]
        max_fused_gate_size=_MOST_FUSED, cpu_threads=n_threads(circuit.n_qubits)
    )
    # The wrapped result would copy the state to normalise it.
    simulator = qsimcirq.QSimSimulator(options)  # pyright: ignore[reportPrivateImportUsage]
    return simulator.simulate_into_1d_array(program, qubit_order=line)[1]


def expectations(
    circuits: Sequence[Circuit], observables: Sequence[PauliString], precision: str = "single"
) -> np.ndarray:
    """Expectation values, (circuits, observables)."""
    found = np.empty((len(circuits), len(observables)))
    for row, circuit in enumerate(circuits):
        final = state(circuit, precision)
        norm = statevector.expectation(final, PauliString())
        found[row] = [statevector.expectation(final, o) / norm for o in observables]
    return found


def prepared(
    circuit: Circuit, *, most_fused: int = _MOST_FUSED, threads: int = 1, own: bool = False
) -> Callable[[], np.ndarray]:
    """A run in single precision with the translation to Cirq done beforehand, for benchmarks.

    Args:
        circuit: The circuit.
        most_fused: Most qubits of a gate that qsim fuses.
        threads: Threads of qsim.
        own: Whether Cirq's own simulator runs it instead of qsim.
    """
    line = cirq.LineQubit.range(circuit.n_qubits)
    program = to_cirq(circuit)
    if own:
        simulator = cirq.Simulator(dtype=np.complex64)
        return lambda: np.asarray(simulator.simulate(program, qubit_order=line).final_state_vector)
    options = qsimcirq.QSimOptions(max_fused_gate_size=most_fused, cpu_threads=threads)  # pyright: ignore[reportPrivateImportUsage]
    qsim = qsimcirq.QSimSimulator(options)  # pyright: ignore[reportPrivateImportUsage]
    return lambda: qsim.simulate_into_1d_array(program, qubit_order=line)[1]


def run_blocks(
    n_qubits: int,
    blocks: Iterable[tuple[tuple[int, ...], np.ndarray]],
    start: np.ndarray | None = None,
) -> np.ndarray:
    """State after fused blocks on qsim, complex64; hands over in a tenth of the time that a Cirq circuit takes.

    Args:
        n_qubits: Number of qubits.
        blocks: Qubits and matrix of every block in time order, as `program.blocks` gives them.
        start: State before, complex64; it stays as it is. All qubits in |0> by default.
    """
    circuit = qsimcirq.qsim.Circuit()  # pyright: ignore[reportAttributeAccessIssue]
    circuit.num_qubits = n_qubits
    for time, (support, matrix) in enumerate(blocks):
        elements = np.ascontiguousarray(matrix, dtype=complex).view(float).ravel().tolist()
        places = [n_qubits - 1 - qubit for qubit in support]  # qsim counts from the other end
        qsimcirq.qsim.add_matrix_gate(time, places, elements, circuit)  # pyright: ignore[reportAttributeAccessIssue]
    options = qsimcirq.QSimOptions(  # pyright: ignore[reportPrivateImportUsage]
        max_fused_gate_size=_MOST_FUSED_BLOCKS, cpu_threads=n_threads(n_qubits)
    )
    given = options.as_dict() | {"c": circuit, "s": 0}
    before = 0 if start is None else start.astype(np.complex64).view(np.float32)
    return qsimcirq.qsim.qsim_simulate_fullstate(given, before).view(np.complex64)  # pyright: ignore[reportAttributeAccessIssue]


@functools.lru_cache(maxsize=65536)
def _gate(gate: Gate) -> cirq.Gate:
    if gate.name in _FIXED:
        return _FIXED[gate.name]
    if gate.name == "fsim":
        return cirq.FSimGate(*gate.parameters)
    if gate.name in ("wait", "align"):
        return cirq.WaitGate(cirq.Duration(nanos=1e9 * sum(gate.parameters)))
    if gate.name == "rz":
        return cirq.rz(gate.parameters[0])
    if gate.name == "phased_x":
        theta, phi = (p / math.pi for p in gate.parameters)
        return cirq.PhasedXPowGate(exponent=theta, phase_exponent=phi, global_shift=-0.5)
    # Ours in single precision are unitary to 1e-7, which Cirq would refuse.
    return cirq.MatrixGate(gate.matrix(), unitary_check=False)


Read = tuple[Gate, tuple[cirq.Qid, ...]]


def _read_operation(operation: cirq.Operation, place: int) -> list[Read]:
    """Our gates for one operation, each with its qubits."""
    qubits = operation.qubits
    gate: Any = operation.untagged.gate
    if isinstance(gate, cirq.WaitGate) and not cirq.is_parameterized(gate):
        return [(wait(1e-9 * float(gate.duration.total_nanos())), (q,)) for q in qubits]
    if len(qubits) > 2:
        parts = cirq.decompose_once(operation, None)
        if parts is not None and all(len(part.qubits) == 1 for part in parts):
            return [read for part in parts for read in _read_operation(part, place)]
    ours = _read_gate(operation, place)
    _check_tags(operation, ours, place)
    factors = split_product(ours.matrix()) if ours.name == "matrix" and len(qubits) == 2 else None
    if factors is None:
        return [(ours, qubits)]
    return [(matrix_gate(f), (q,)) for f, q in zip(factors, qubits, strict=True)]


def _read_gate(operation: cirq.Operation, place: int) -> Gate:
    matrix = cirq.unitary(operation, None) if len(operation.qubits) <= 2 else None
    if matrix is None or any(qubit.dimension != 2 for qubit in operation.qubits):
        raise ValueError(
            f"`circuit` must hold unitary gates on one or two qubits, but moment {place} holds {operation}; "
            "decompose it, give its parameters values, or take measurements out."
        )
    gate = operation.untagged.gate
    named = _named(gate) if gate is not None else None
    if named is not None and same_up_to_phase(named.matrix(), matrix, EXACT):
        return named
    return matrix_gate(matrix)


def _check_tags(operation: cirq.Operation, gate: Gate, place: int) -> None:
    """Refuses what a tag says against what the unitary says: a Z that takes a pulse, another gate that takes none."""
    for tag in operation.tags:
        told = {"PhysicalZTag": False, "VirtualTag": True}.get(type(tag).__name__)
        if told is not None and told != is_virtual(gate):
            raise ValueError(
                f"`circuit` must hold turns about z that take no time and other gates that do, but moment {place} "
                f"holds {operation} with {tag!r}; take the tag off."
            )


def _named(gate: Any) -> Gate | None:
    """Our gate of the same angles, where there is one."""
    if gate in _NAMES:
        return Gate(_NAMES[gate])
    if isinstance(gate, cirq.FSimGate):
        return fsim(float(gate.theta), float(gate.phi))
    if not hasattr(gate, "exponent"):
        return None
    turn = math.pi * float(gate.exponent)
    if isinstance(gate, cirq.PhasedXPowGate):
        return phased_x(turn, math.pi * float(gate.phase_exponent))
    for kind, ours in _POWERS.items():
        if isinstance(gate, kind):
            return ours(turn)
    return None
