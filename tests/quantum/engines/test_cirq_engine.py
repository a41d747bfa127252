import cirq
import cirq_google
import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, fsim, iswap_like, matrix_gate, phased_x, rz
from quantum.engines import cirq_engine
from quantum.engines.cirq_engine import from_cirq, to_cirq
from tests.exact.random_circuits import FIXED, dense, equal_up_to_phase, random_mixture

NAMED = [*map(Gate, FIXED), phased_x(0.7, -2.1), rz(1.3), fsim(0.4, -0.9), iswap_like()]
ODD = matrix_gate(np.eye(4)[[1, 3, 0, 2]] * np.exp(1j * np.arange(4)))


@pytest.mark.parametrize("gate", [*NAMED, ODD], ids=lambda g: g.name)
def test_a_gate_has_the_same_matrix_there_and_is_the_same_on_return(gate):
    on = (2, 0)[: gate.n_qubits]
    circuit = Circuit(3, ((Operation(gate, on),),))
    theirs = to_cirq(circuit)
    line = cirq.LineQubit.range(3)
    np.testing.assert_allclose(cirq.unitary(theirs[0].operations[0]), gate.matrix(), atol=1e-14)
    np.testing.assert_allclose(theirs.unitary(line, line), dense(circuit), atol=1e-14)
    back = next(from_cirq(theirs, line).operations())
    assert back.qubits == on
    assert back.gate.name == gate.name
    np.testing.assert_allclose(back.gate.parameters, gate.parameters, atol=1e-15)


@pytest.mark.parametrize("seed", range(25))
def test_circuits_keep_their_unitary_and_moments_both_ways(seed):
    circuit = random_mixture(1 + seed % 5, 6, seed)
    line = cirq.LineQubit.range(circuit.n_qubits)
    theirs = to_cirq(circuit)
    np.testing.assert_allclose(theirs.unitary(line, line), dense(circuit), atol=1e-12)
    back = from_cirq(theirs, line)
    assert [len(m) for m in back.moments] == [len(m) for m in circuit.moments]
    assert equal_up_to_phase(dense(back), dense(circuit), 1e-12 * 2**5)


def test_cirqs_own_gates_come_over_up_to_a_phase():
    a, b, c = cirq.LineQubit.range(3)
    theirs = cirq.Circuit(
        cirq.H(a), cirq.X(b) ** 0.3, cirq.rx(0.4)(c), cirq.Y(a) ** 0.7, cirq.ry(1.1)(b), cirq.T(c),
        cirq.ISWAP(c, a) ** 0.4, cirq.CZ(a, b) ** 0.3, cirq.CNOT(b, c), cirq.SWAP(c, a), cirq.rz(0.2)(a).with_tags("t"),
        cirq.PhasedXZGate(x_exponent=0.2, z_exponent=0.3, axis_phase_exponent=0.4)(b),
        cirq.PhasedFSimGate(0.3, 0.1, 0.2, 0.5, 0.4)(c, b), cirq.global_phase_operation(1j),
    )  # fmt: skip
    ours = from_cirq(theirs)
    assert equal_up_to_phase(dense(ours), theirs.unitary(), 1e-12)
    names = {op.gate.name for op in ours.operations()}
    assert {"phased_x", "rz", "fsim", "h"} <= names


class Disguised(cirq.XPowGate):
    """Has the class of another gate."""

    def _unitary_(self):
        return np.diag([1, 1j])


def test_a_gate_is_known_by_its_matrix_and_not_by_its_class():
    (a,) = cirq.LineQubit.range(1)
    (operation,) = from_cirq(cirq.Circuit(Disguised()(a))).operations()
    np.testing.assert_allclose(operation.gate.matrix(), np.diag([1, 1j]), atol=1e-15)


def test_products_and_sub_circuits_come_over_gate_by_gate():
    a, b, c = cirq.LineQubit.range(3)
    inner = cirq.FrozenCircuit(cirq.CNOT(a, b), cirq.wait(a, nanos=10))
    theirs = cirq.Circuit(
        cirq.ParallelGate(cirq.H, 3)(a, b, c), cirq.DensePauliString("XZ")(b, c), cirq.IdentityGate(3)(a, b, c),
        cirq.CircuitOperation(inner, repetitions=3),
    )  # fmt: skip
    ours = from_cirq(theirs)
    sizes = [len(op.qubits) for op in ours.operations()]
    assert sizes.count(2) == 3
    assert sum(op.gate.name == "wait" for op in ours.operations()) == 3
    assert equal_up_to_phase(dense(ours), theirs.unitary(), 1e-12)


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        (cirq.Z(cirq.q(0)).with_tags(cirq_google.PhysicalZTag()), "PhysicalZTag"),
        (cirq.X(cirq.q(0)).with_tags(cirq.VirtualTag()), "VirtualTag"),
    ],
)
def test_a_tag_that_says_what_is_not_so_here_is_refused(operation, told):
    with pytest.raises(ValueError, match=f"`circuit` must hold turns about z .*{told}"):
        from_cirq(cirq.Circuit(operation))
    assert from_cirq(cirq.Circuit(cirq.Z(cirq.q(0)).with_tags(cirq.VirtualTag()))).n_operations == 1


def test_a_gate_in_single_precision_runs():
    rough = matrix_gate(fsim(0.4, 0.3).matrix().astype(np.complex64))
    circuit = Circuit(2, ((Operation(rough, (0, 1)),),))
    for precision in ("single", "double"):
        np.testing.assert_allclose(np.abs(cirq_engine.state(circuit, precision))[0], 1, atol=1e-6)


def test_qubits_are_numbered_as_told():
    a, b = cirq.LineQubit.range(2)
    circuit = from_cirq(cirq.Circuit(cirq.X(a)), [b, a])
    assert next(circuit.operations()).qubits == (1,)
    assert to_cirq(circuit, [b, a]) == cirq.Circuit(cirq.X(a))


@pytest.mark.parametrize("precision", ["single", "double"])
def test_qubit_0_is_the_most_significant_bit(precision):
    circuit = Circuit(3, ((Operation(Gate("x"), (2,)),), (Operation(ODD, (2, 0)),)))
    state = cirq_engine.state(circuit, precision)
    np.testing.assert_allclose(state, dense(circuit)[:, 0], atol=1e-6)
    assert np.abs(state).argmax() not in (0, 0b001)  # the gates moved it


def test_the_state_is_in_the_precision_asked_for():
    circuit = random_mixture(3, 2, 0)
    assert cirq_engine.state(circuit, "single").dtype == np.complex64
    assert cirq_engine.state(circuit, "double").dtype == np.complex128


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda a, b, c: from_cirq(cirq.Circuit(cirq.CCZ(a, b, c))), "but moment 0 holds CCZ"),
        (lambda a, b, c: from_cirq(cirq.Circuit(cirq.X(a), cirq.measure(a))), "moment 1 holds .*take measurements"),
        (lambda a, b, c: from_cirq(cirq.Circuit(cirq.X(a), cirq.depolarize(0.1)(a))), "moment 1 holds depolarize"),
        (lambda a, b, c: from_cirq(cirq.Circuit(cirq.X(a)), [b]), r"but moment 0 acts on q\(0\)"),
        (lambda a, b, c: to_cirq(Circuit(2), [a]), "`qubits` must be 2 like the circuit's, but are 1"),
    ],
)  # fmt: skip
def test_what_does_not_come_over_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(*cirq.LineQubit.range(3))
