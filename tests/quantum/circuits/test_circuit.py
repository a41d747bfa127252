import numpy as np
import pytest

from quantum.circuits.circuit import (
    Circuit,
    Operation,
    cancel_inverses,
    light_cone,
    restrict,
)
from quantum.circuits.gates import Gate, iswap_like, matrix_gate, phased_x, rz
from quantum.circuits.lattice import rectangle
from quantum.circuits.pauli import PauliString
from quantum.engines.statevector import expectation, run
from tests.exact.random_circuits import dense, random_mixture

LATTICE = rectangle(2, 3)


@pytest.mark.parametrize("seed", range(20))
def test_a_circuit_and_its_inverse_are_the_identity(seed):
    circuit = random_mixture(1 + seed % 5, 6, seed)
    product = dense(circuit + circuit.inverse())
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-13)  # 12 moments of rounding


@pytest.mark.parametrize("seed", range(20))
def test_cancelling_leaves_the_unitary_and_empties_an_echo_without_butterfly(seed):
    circuit = random_mixture(1 + seed % 5, 6, seed)
    n = circuit.n_qubits
    assert cancel_inverses(circuit + circuit.inverse()).moments == ()
    struck = circuit + Circuit(n, ((Operation(rz(0.3), (seed % n,)),),)) + circuit.inverse()
    short = cancel_inverses(struck)
    assert short.n_operations <= struck.n_operations
    np.testing.assert_allclose(dense(short), dense(struck), atol=1e-13)


def test_what_lies_between_keeps_a_gate_and_its_inverse():
    swap, turn = Operation(iswap_like(), (0, 1)), Operation(phased_x(0.4, 0.2), (1,))
    held = Circuit(2, ((swap,), (turn,), (swap.inverse(),)))
    assert cancel_inverses(held) == held
    aside = Operation(phased_x(0.4, 0.2), (2,))
    assert cancel_inverses(Circuit(3, ((swap,), (aside,), (swap.inverse(),)))).n_operations == 1
    neighbours = [Operation(Gate("cz"), pair) for pair in ((0, 1), (1, 2))]
    assert cancel_inverses(Circuit(3, tuple((op,) for op in neighbours))).n_operations == 2


def test_the_inverse_on_swapped_qubits_is_another_operation():
    lopsided = matrix_gate(np.diag(np.exp(1j * np.arange(4))))
    there, back = Operation(lopsided, (0, 1)), Operation(lopsided.inverse(), (1, 0))
    circuit = Circuit(2, ((there,), (back,)))
    assert cancel_inverses(circuit) == circuit


@pytest.mark.parametrize("seed", range(20))
def test_what_is_measured_does_not_feel_gates_outside_the_cone(seed):
    circuit = random_mixture(5, 3, seed)
    observable = PauliString.on({seed % 5: "XYZ"[seed % 3]})
    inside = light_cone(circuit, observable.qubits)
    assert expectation(run(inside), observable) == pytest.approx(
        expectation(run(circuit), observable), abs=1e-13
    )


def test_the_cone_grows_by_a_step_for_every_layer():
    chain = rectangle(1, 9)
    pairs = {0: chain.group("A"), 1: chain.group("B")}
    layers = tuple(tuple(Operation(iswap_like(), p) for p in pairs[k % 2]) for k in range(4))
    cone = light_cone(Circuit(9, layers), (0,))
    # Backwards from qubit 0: layer B touches nothing of it, A does, then B, then A.
    assert [sorted(q for op in m for q in op.qubits) for m in cone.moments] == [
        [0, 1, 2, 3], [1, 2], [0, 1],
    ]  # fmt: skip


def test_restricting_keeps_the_physics_of_the_used_qubits():
    wide = Circuit(9, ((Operation(iswap_like(), (7, 2)), Operation(phased_x(1, 2), (4,))),))
    small, kept = restrict(wide, (8,))
    assert kept == (2, 4, 7, 8)
    assert [op.qubits for op in small.operations()] == [(2, 0), (1,)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Operation(Gate("cz"), (1, 1)), "`qubits` of `cz` must be 2 different qubits"),
        (lambda: Operation(Gate("x"), (0, 1)), "`qubits` of `x` must be 1 different qubits"),
        (lambda: Circuit(0), "`n_qubits` must be at least 1"),
        (lambda: Circuit(2, ((Operation(Gate("x"), (2,)),),)), "qubits 0 to 1, but moment 0 acts on"),
        (lambda: Circuit(2, ((Operation(Gate("x"), (1,)), Operation(Gate("cz"), (0, 1))),)), "once per moment"),
        (lambda: Circuit(2) + Circuit(3), "`other` must have 2 qubits"),
    ],
)  # fmt: skip
def test_what_is_no_circuit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
