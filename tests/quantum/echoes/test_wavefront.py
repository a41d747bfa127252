import numpy as np
import pytest

from quantum.circuits.lattice import rectangle, willow
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes import wavefront
from quantum.echoes.otoc import Echo, echo_circuit
from quantum.engines import statevector
from quantum.engines.pauli_propagation import propagate_paulis, zero_state_map


@pytest.fixture(scope="module")
def circuit():
    return random_circuit(rectangle(2, 3), 4, seed=2)


def test_one_state_holds_the_echo_of_every_measured_qubit(circuit):
    found = wavefront.correlator_map(circuit, 4, engine="reference")
    for qubit in range(6):
        echo = Echo(circuit, qubit, (4,), order=1)
        state = statevector.run(echo_circuit(echo, prune=False))
        exact = statevector.expectation(state, echo.observable)
        assert found[qubit] == pytest.approx(exact, abs=1e-6)  # marginals of a complex64 state
    assert np.ptp(found) > 0.3


def test_the_chip_of_105_qubits_is_exact_inside_its_cone_and_one_outside():
    chip = willow()
    circuit = random_circuit(chip, 3, seed=5)
    cone = wavefront.cone_qubits(circuit, 52)
    found = wavefront.correlator_map(circuit, 52, engine="reference", precision="double")
    expected = zero_state_map(propagate_paulis(circuit, PauliString.on({52: "X"})))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    outside = np.setdiff1d(np.arange(105), cone)
    np.testing.assert_array_equal(found[outside], 1)
    assert np.abs(found[list(cone)] - 1).max() > 0.1


def test_the_butterfly_flips_one_qubit_and_the_way_back_mends_the_rest(circuit):
    start, there, struck, back = wavefront.four_steps(circuit, 4, engine="reference")
    np.testing.assert_array_equal(start, 1)
    # X turns Z of its own qubit over and leaves the others as they were.
    flip = np.where(np.arange(6) == 4, -1, 1)
    np.testing.assert_allclose(struck, flip * there, atol=1e-6)
    np.testing.assert_allclose(back, wavefront.correlator_map(circuit, 4, engine="reference"))
    assert abs(there).max() < 0.99
    # Z commutes with a butterfly Z before anything is spread.
    quiet = wavefront.four_steps(circuit[:1], 4, letter="Z", engine="reference", steps=(2,))
    calm = wavefront.four_steps(circuit[:1], 4, engine="reference", steps=(1,))
    np.testing.assert_allclose(quiet, calm, atol=1e-6)


def test_polarisations_are_those_of_an_asymmetric_product_state():
    angles = np.array([0.2, 1.0, 2.5])
    state = np.ones(1)
    for angle in angles:
        state = np.kron(state, [np.cos(angle / 2), np.sin(angle / 2)])
    np.testing.assert_allclose(wavefront.polarisations(state), np.cos(angles), atol=1e-12)


def test_a_front_of_known_speed_is_found_with_its_error():
    # A front of tanh form at 0.4 t + 0.6 + noise of 0.1 per circuit: the jackknife must see sd / sqrt(n).
    rng = np.random.default_rng(0)
    cycles, distance, shifts = np.arange(1, 13), np.arange(12), rng.normal(0, 0.1, 200)
    centre = 0.4 * cycles[None, :, None] * (1 + shifts[:, None, None]) + 0.6
    profiles = 0.5 * (1 - np.tanh((distance - centre) / 2))
    fitted = wavefront.fit_velocity(profiles, cycles, 2, 12)
    expected = 0.4 * 0.1 / np.sqrt(200)
    assert fitted.stderr == pytest.approx(expected, rel=0.25)
    # Straight lines between whole distances bend the front by a few per cent of a step.
    assert abs(fitted.steps_per_cycle - 0.4) < 4 * fitted.stderr + 0.01
    assert len(fitted.radii) == 11


def test_the_front_is_where_the_profile_last_falls_through_the_level():
    assert wavefront.front_radius(np.array([1.0, 0.3, 0.8, 0.2, 0.0])) == pytest.approx(2.5)
    assert np.isnan(wavefront.front_radius(np.array([0.3, 0.2])))
    assert np.isnan(wavefront.front_radius(np.array([1.0, 0.9])))
    chip = willow()
    maps = np.where(chip.distances(52) == 3, -1.0, 1.0)
    np.testing.assert_allclose(
        wavefront.radial_profile(chip, 52, maps)[:5], [0, 0, 0, 2, 0], atol=1e-15
    )


def test_bad_input_is_named():
    profiles = np.ones((4, 5, 3))
    with pytest.raises(ValueError, match="`profiles` must hold at least 3 circuits"):
        wavefront.fit_velocity(profiles[:2], np.arange(5), 0, 4)
    with pytest.raises(ValueError, match="`first` and `last` must span at least 3 cycles"):
        wavefront.fit_velocity(profiles, np.arange(5), 0, 4)
