import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, fsim, iswap_like
from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import echo_circuit, make_echo
from quantum.engines import density_matrix
from quantum.noise.model import NoiseModel, add_noise
from quantum.noise.pauli_frames import frames, pauli_frame


@pytest.fixture(scope="module")
def echo():
    layout = rectangle_layout(2, 3, 6)
    return make_echo(layout, random_circuit(layout.lattice, 6, seed=3))


@pytest.mark.parametrize(
    ("gate", "number"),
    [(Gate("cz"), 16), (fsim(np.pi / 2, 0), 16), (iswap_like(), 8), (iswap_like().inverse(), 8), (fsim(0.3, 0.2), 4)],
)  # fmt: skip
def test_frames_leave_the_gate_as_it_is(gate, number):
    valid = frames(gate)
    assert len(valid) == number
    for letters, undo in valid:
        before = np.kron(*(Gate(p.lower()).matrix() for p in letters))
        played = np.kron(*(g.matrix() for g in undo)) @ gate.matrix() @ before
        overlap = np.trace(gate.matrix().conj().T @ played) / 4
        assert abs(overlap) == pytest.approx(1, abs=1e-12)


def test_frames_leave_the_echo_as_it_is(echo):
    circuit = echo_circuit(echo)
    framed = add_noise(circuit, NoiseModel(), frame=pauli_frame(seed=4))
    assert len(framed.steps) == circuit.n_operations + 4 * circuit.n_two_qubit
    plain = density_matrix.expectations([circuit, framed], [echo.observable])[:, 0]
    assert plain[0] == pytest.approx(plain[1], abs=1e-12)


def average_error(gate, angles):
    """chi matrix, in the Pauli basis, of the error that is left after averaging over all frames."""
    valid = frames(gate)
    error = fsim(*angles).matrix()
    paulis = [np.kron(Gate(a).matrix(), Gate(b).matrix()) for a in "ixyz" for b in "ixyz"]
    chi = np.zeros((16, 16), complex)
    for letters, undo in valid:
        before = np.kron(*(Gate(p.lower()).matrix() for p in letters))
        after = np.kron(*(g.matrix() for g in undo))
        total = after @ error @ gate.matrix() @ before @ gate.matrix().conj().T
        c = np.array([np.trace(p @ total) / 4 for p in paulis])
        chi += np.outer(c, c.conj()) / len(valid)
    return chi


def test_twirling_makes_all_errors_of_a_clifford_gate_stochastic():
    chi = average_error(Gate("cz"), (0.1, 0.2))
    np.testing.assert_allclose(chi, np.diag(np.diag(chi)), atol=1e-14)


def test_twirling_makes_the_swap_angle_but_not_the_zz_error_of_iswap_like_stochastic():
    swap = average_error(iswap_like(), (0.1, 0.0))
    # The ideal amplitude and that of ZZ, which a real swap angle has in second order, may stay coherent; nothing else.
    first_order = np.abs(swap[0, 1:15])
    assert first_order.max() < 1e-14
    phase = average_error(iswap_like(), (0.0, 0.2))
    assert abs(phase[0, 15]) > 0.04  # ZZ, about 0.2 / 4
    np.testing.assert_allclose(phase[0, 1:15], 0, atol=1e-14)  # the one-qubit phases are twirled


def test_coherent_error_becomes_linear_in_the_error_probability():
    # n equal over-rotations by d: coherent error of the population (n d)^2, twirled n d^2.
    n, d = 10, 0.02
    pulses = tuple((Operation(fsim(np.pi / 2, 0), (0, 1)),) for _ in range(2 * n))
    flip = Circuit(2, ((Operation(Gate("x"), (0,)),), *pulses))
    model = NoiseModel(two_qubit_error=0.0, theta_error=d, seed=1)
    z = PauliString.on({0: "Z"})
    ideal = density_matrix.expectations([flip], [z])[0, 0]
    one = add_noise(Circuit(2, ((Operation(fsim(np.pi / 2, 0), (0, 1)),),)), model).steps[0]
    turn = one.gate.parameters[0] - np.pi / 2  # type: ignore[union-attr]
    plain = density_matrix.expectations([add_noise(flip, model)], [z])[0, 0]
    framed = [add_noise(flip, model, frame=pauli_frame(seed=s)) for s in range(60)]
    twirled = density_matrix.expectations(framed, [z])[:, 0]
    # <Z> of |10> under fsim(theta) is -cos(2 theta).
    assert ideal == pytest.approx(-1, abs=1e-12)
    assert 1 + plain == pytest.approx(1 - np.cos(2 * 2 * n * turn), rel=1e-6)
    expected = 1 - np.cos(2 * turn) ** (2 * n)  # every sign equally likely
    assert abs(1 + twirled.mean() - expected) < 4 * twirled.std() / np.sqrt(60)
