import math

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation, cancel_inverses
from quantum.circuits.gates import Gate, fsim, matrix_gate, phased_x, rz, wait
from quantum.circuits.pauli import PauliString
from quantum.circuits.played import is_played, is_virtual, is_waiting
from quantum.engines.dispatch import ENGINES, expectation

T = np.diag([1, np.exp(0.25j * math.pi)])
VIRTUAL = [
    Gate("i"), Gate("z"), Gate("s"), Gate("s_dagger"), rz(0.3), phased_x(0.0, 0.7), matrix_gate(T),
    matrix_gate(T.astype(np.complex64)), matrix_gate(np.kron(T, Gate("z").matrix())), matrix_gate(np.eye(4)),
    fsim(0.0, 0.0), fsim(-math.pi, 0.0),
]  # fmt: skip
PLAYED = [
    Gate("x"), Gate("h"), phased_x(1e-3, 0.7), Gate("cz"), fsim(0.0, 0.3), fsim(math.pi / 2, 0.0),
    matrix_gate(Gate("x").matrix() @ T), matrix_gate(np.kron(T, Gate("x").matrix())),
]  # fmt: skip


def test_a_turn_about_z_is_virtual_in_any_guise():
    assert [is_virtual(gate) for gate in VIRTUAL] == [True] * len(VIRTUAL)
    assert [is_virtual(gate) for gate in PLAYED] == [False] * len(PLAYED)
    assert not any(map(is_played, VIRTUAL))
    assert all(map(is_played, PLAYED))


def test_a_full_turn_is_played_though_its_matrix_is_that_of_none():
    assert is_played(phased_x(2 * math.pi, 0.3))


def test_time_passes_backwards_too_and_is_not_taken_back():
    pause = Operation(wait(1e-6), (0,))
    circuit = Circuit(1, ((pause,), (pause,)))
    assert is_waiting(pause.gate)
    assert not is_played(pause.gate)
    assert circuit.inverse() == circuit
    assert cancel_inverses(circuit) == circuit
    flip = Operation(Gate("x"), (0,))
    assert cancel_inverses(Circuit(1, ((flip,), (pause,), (flip,)))).n_operations == 3
    for wrong in (-1e-6, 1000):  # seconds, not nanoseconds
        with pytest.raises(ValueError, match=r"`parameters` must lie between 0 and 1, but is .* s"):
            wait(wrong)


@pytest.mark.parametrize("engine", [e for e in ENGINES if e != "jax"])
def test_engines_let_time_pass(engine):
    turn = (Operation(phased_x(0.4, 0.2), (0,)),)
    pause = (Operation(wait(1e-6), (0,)), Operation(Gate("align"), (1,)))
    circuit = Circuit(2, (turn, pause, (Operation(Gate("cz"), (1, 0)),)))
    value = expectation(circuit, PauliString.parse("ZI"), engine=engine)
    assert value == pytest.approx(math.cos(0.4), abs=1e-6)


def test_a_wait_is_told_in_the_text_of_a_circuit():
    assert "1000ns" in str(Circuit(1, ((Operation(wait(1e-6), (0,)),),)))
