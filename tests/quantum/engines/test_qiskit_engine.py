import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Gate as TheirGate
from qiskit.circuit import Parameter
from qiskit.circuit.library import PauliGate, UnitaryGate
from qiskit.quantum_info import Operator

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, fsim, iswap_like, matrix_gate, phased_x, rz
from quantum.circuits.pauli import PauliString
from quantum.engines import qiskit_engine
from quantum.engines.qiskit_engine import from_qiskit, to_qiskit
from tests.exact.random_circuits import FIXED, dense, equal_up_to_phase, random_mixture

NAMED = [*map(Gate, FIXED), phased_x(0.7, -2.1), rz(1.3), fsim(0.4, -0.9), iswap_like()]
ODD = matrix_gate(np.eye(4)[[1, 3, 0, 2]] * np.exp(1j * np.arange(4)))


def their_matrix(program):
    """Unitary in our order: Qiskit's qubit 0 is the last bit, so its reversed register is ours."""
    return Operator(program.reverse_bits()).data


@pytest.mark.parametrize("gate", [*NAMED, ODD], ids=lambda g: g.name)
def test_a_gate_has_the_same_matrix_there_and_is_the_same_on_return(gate):
    circuit = Circuit(3, ((Operation(gate, (2, 0)[: gate.n_qubits]),),))
    program = to_qiskit(circuit)
    np.testing.assert_allclose(their_matrix(program), dense(circuit), atol=1e-14)
    back = from_qiskit(program)
    assert [op.gate.name for op in back.operations()] == [gate.name]
    np.testing.assert_allclose(dense(back), dense(circuit), atol=1e-14)


@pytest.mark.parametrize("seed", range(25))
def test_circuits_keep_their_unitary_both_ways(seed):
    circuit = random_mixture(1 + seed % 5, 6, seed)
    program = to_qiskit(circuit)
    np.testing.assert_allclose(their_matrix(program), dense(circuit), atol=1e-12)
    back = from_qiskit(program)
    assert len(back) <= len(circuit)
    np.testing.assert_allclose(dense(back), dense(circuit), atol=1e-12)


def test_qiskits_own_gates_come_over_up_to_a_phase():
    program = QuantumCircuit(3)
    program.h(0)
    program.sx(1)
    program.rx(0.3, 2)
    program.ry(0.4, 0)
    program.p(0.7, 1)
    program.cx(2, 0)
    program.iswap(0, 1)
    program.barrier()
    program.cp(0.6, 1, 2)
    program.crx(0.2, 0, 2)
    program.append(UnitaryGate(ODD.matrix()), [1, 0])
    program.tdg(2)
    ours = from_qiskit(program)
    assert equal_up_to_phase(dense(ours), their_matrix(program))
    assert {"phased_x", "rz", "fsim", "h"} <= {op.gate.name for op in ours.operations()}


def test_gates_move_to_the_earliest_moment():
    program = QuantumCircuit(3)
    program.x(0)
    program.cz(0, 1)
    program.x(2)
    assert [len(moment) for moment in from_qiskit(program).moments] == [2, 1]


@pytest.mark.parametrize("precision", ["single", "double"])
def test_qubit_0_is_the_most_significant_bit_here_and_the_least_there(precision):
    circuit = Circuit(3, ((Operation(Gate("x"), (0,)),),))
    assert np.abs(qiskit_engine.state(circuit, precision)).argmax() == 0b100
    assert np.abs(Operator(to_qiskit(circuit)).data[:, 0]).argmax() == 0b001
    assert qiskit_engine.state(circuit, precision).dtype == np.dtype(
        {"single": "complex64", "double": "complex128"}[precision]
    )


def test_letters_meet_their_own_qubits():
    # |1> on qubit 0, |+> on 1, |+i> on 2: each string but the right one gives 0.
    gates = (Gate("x"), Gate("h"), phased_x(-np.pi / 2, 0))
    turns = tuple(Operation(gate, (q,)) for q, gate in enumerate(gates))
    strings = [PauliString.parse(text) for text in ("ZXY", "YXZ", "XZY", "ZII", "IIY", "III")]
    found = qiskit_engine.expectations([Circuit(3, (turns,))], strings, "double")
    np.testing.assert_allclose(found, [[-1, 0, 0, -1, 1, 1]], atol=1e-12)


def test_a_gate_is_known_by_its_matrix_and_not_by_its_name():
    mine = TheirGate("h", 1, [])
    mine.definition = QuantumCircuit(1)
    mine.definition.rx(0.3, 0)
    inside = QuantumCircuit(2)
    inside.h(0)
    inside.cx(0, 1)
    inside.delay(5, 1, "us")
    program = QuantumCircuit(3)
    program.append(mine, [0])
    program.append(inside.to_instruction(), [2, 1])
    ours = from_qiskit(program)
    named = [(op.gate.name, op.qubits) for op in ours.operations()]
    assert named == [("phased_x", (0,)), ("h", (2,)), ("matrix", (2, 1)), ("wait", (1,))]
    assert next(ours.operations()).gate == phased_x(0.3, 0)
    assert equal_up_to_phase(dense(ours), their_matrix(program))


class Disguised(TheirGate):
    """Has the name of another gate, and no definition."""

    def __init__(self):
        super().__init__("h", 1, [])

    def __array__(self, dtype=None, copy=None):
        return np.diag([1, 1j])


def test_a_matrix_is_believed_before_a_name():
    program = QuantumCircuit(1)
    program.append(Disguised(), [0])
    (operation,) = from_qiskit(program).operations()
    np.testing.assert_allclose(operation.gate.matrix(), np.diag([1, 1j]), atol=1e-15)


def test_a_product_of_gates_comes_over_as_those_and_a_wide_block_gate_by_gate():
    program = QuantumCircuit(3)
    program.append(PauliGate("XZ"), [0, 1])
    program.append(PauliGate("XYZ"), [0, 1, 2])
    ours = from_qiskit(program)
    assert {len(op.qubits) for op in ours.operations()} == {1}
    assert equal_up_to_phase(dense(ours), their_matrix(program))


def test_a_gate_in_single_precision_goes_there_and_back():
    rough = matrix_gate(fsim(0.4, 0.3).matrix().astype(np.complex64))
    circuit = Circuit(2, ((Operation(rough, (0, 1)),),))
    found = qiskit_engine.expectations([circuit], [PauliString.parse("ZI")], "double")
    np.testing.assert_allclose(found, 1, atol=1e-6)
    assert next(from_qiskit(to_qiskit(circuit)).operations()).gate.name == "fsim"


def unbound():
    program = QuantumCircuit(1)
    program.rx(Parameter("angle"), 0)
    return program


def measured():
    program = QuantumCircuit(1, 1)
    program.measure(0, 0)
    return program


def wide():
    program = QuantumCircuit(3)
    program.ccx(0, 1, 2)
    return program


@pytest.mark.parametrize(
    ("make", "message"),
    [(unbound, "holds `rx` on 1"), (measured, "holds `measure` on 1"), (wide, "holds `ccx` on 3")],
)
def test_what_does_not_come_over_is_named(make, message):
    with pytest.raises(ValueError, match=f"^`circuit` must hold unitary gates .* {message}"):
        from_qiskit(make())
