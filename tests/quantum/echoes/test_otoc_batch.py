"""Correlators in one batch against one circuit at a time on the plain reference."""

import numpy as np
import pytest

from quantum.circuits import lattice, layouts
from quantum.circuits.circuit import Circuit
from quantum.circuits.gates import Gate
from quantum.circuits.pauli import PauliString, random_paulis
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes import otoc, otoc_batch
from quantum.engines import statevector


@pytest.fixture(scope="module")
def echoes():
    layout = layouts.EchoLayout(lattice.rectangle(2, 4), 0, (6,), 6, 2)
    return [otoc.make_echo(layout, random_circuit(layout.lattice, 6, seed=s)) for s in (0, 1)]


@pytest.fixture(scope="module")
def insertions():
    strings = random_paulis(8, 8, seed=0)
    identity = PauliString()
    return [*zip(strings[::2], strings[1::2], strict=True), (identity, identity), ()]


@pytest.fixture(scope="module")
def expected(echoes, insertions):
    return np.array(
        [
            [
                statevector.expectation(
                    statevector.run(otoc.echo_circuit(echo, given, prune=False)), echo.observable
                )
                for given in insertions
            ]
            for echo in echoes
        ]
    )


@pytest.mark.parametrize(
    ("engine", "precision", "tolerance"),
    [("cirq", "single", 3e-6), ("jax", "double", 1e-12), ("reference", "double", 1e-12)],
)
def test_batch_is_the_literal_circuits_one_by_one(
    echoes, insertions, expected, engine, precision, tolerance
):
    found = otoc_batch.correlators(echoes, insertions, engine=engine, precision=precision)
    assert np.abs(found - expected).max() < tolerance
    assert np.ptp(expected, axis=1).min() > 0.01  # the strings matter


def test_third_order_with_two_butterflies_and_gates_like_the_insertions():
    grid = lattice.rectangle(2, 3)
    there = random_circuit(grid, 3, seed=5, two_qubit=Gate("cz"))
    paulis = PauliString.parse("YXZYXZ").moment()
    there = there[:2] + Circuit(6, (paulis, paulis)) + there[2:]
    echo = otoc.Echo(there, 0, (4, 5), order=3, butterfly="Y", cut=3)
    strings = random_paulis(6, 12, seed=1)
    insertions = [strings[k : k + 3] for k in range(0, 12, 3)]
    found = otoc_batch.correlators([echo], insertions, engine="jax", precision="double")
    expected = otoc_batch.correlators([echo], insertions, engine="reference", precision="double")
    assert np.abs(found - expected).max() < 1e-12


def test_marks_leave_what_strings_leave(echoes):
    string = PauliString.parse("XYZXYZXY")
    circuit, touched, places = otoc_batch.marked_circuit(echoes[0])
    plain = otoc.echo_circuit(echoes[0], (string, PauliString.parse("ZXYZXYZX")))
    assert circuit.n_operations == plain.n_operations
    assert circuit.n_two_qubit == plain.n_two_qubit
    assert {loop for loop, _ in places.values()} == {0, 1}
    assert touched == tuple(range(8))


def test_butterfly_outside_the_cone_gives_one():
    grid = lattice.rectangle(1, 6)
    echo = otoc.Echo(random_circuit(grid, 1, seed=0), 0, (5,), cut=1)
    insertions = [random_paulis(6, 2, seed=s) for s in range(3)]
    found = otoc_batch.correlators([echo], insertions, engine="cirq")
    np.testing.assert_allclose(found, 1, atol=1e-6)


def test_bad_input_is_named(echoes, insertions):
    with pytest.raises(ValueError, match="`engine` must be one of auto"):
        otoc_batch.correlators(echoes, insertions, engine="abacus")
    with pytest.raises(ValueError, match="`strings` must hold one string for each of 2 loops"):
        otoc_batch.correlators(echoes, [(PauliString(),)], engine="cirq")
