from dataclasses import replace

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation, light_cone, restrict
from quantum.circuits.gates import Gate, pauli_gate
from quantum.circuits.lattice import rectangle, willow
from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import echo_circuit, make_echo
from quantum.engines import density_matrix, dispatch, statevector
from quantum.noise.model import NoiseModel, add_noise, willow_rcs
from quantum.noise.noisy_expectation import NOISY_ENGINES, noisy_expectation
from tests.exact.random_circuits import random_mixture

Z0 = PauliString.on({0: "Z"})
# Strong, and with all that a model can hold: relaxation, dephasing and couplers that turn too far.
STRONG = replace(willow_rcs().scaled(20), theta_error=0.08, phi_error=0.05, relax_in_gates=True)


@pytest.fixture(scope="module")
def echo():
    layout = rectangle_layout(2, 3, 5)
    return make_echo(layout, random_circuit(layout.lattice, 5, seed=1), order=1)


@pytest.fixture(scope="module")
def exact(echo):
    return noisy_expectation(
        echo_circuit(echo), echo.observable, STRONG, engine="density_matrix"
    ).value


@pytest.fixture(scope="module")
def waiting():
    """A qubit in |1> that idles through four gates of 25 ns on another."""
    other = (Operation(pauli_gate("X"), (1,)),)
    return Circuit(2, ((Operation(pauli_gate("X"), (0,)),), *((other,) * 4)))


def test_a_flipped_qubit_under_depolarising_noise_is_the_closed_form():
    once = Circuit(1, ((Operation(pauli_gate("X"), (0,)),),))
    found = noisy_expectation(once, Z0, NoiseModel(one_qubit_error=0.03))
    # X, Y and Z each with a third of the error; X and Y flip the outcome.
    assert found.value == pytest.approx(-(1 - 4 * 0.03 / 3), abs=1e-14)
    assert found.stderr == 0


def test_a_qubit_that_waits_relaxes_as_t1_says(waiting):
    both = PauliString.parse(
        "ZZ"
    )  # without the second the gates that make it wait would be left out
    found = noisy_expectation(waiting, both, NoiseModel(t1=1e-6))
    # 1 - 2 p of having fallen in 4 x 25 ns; the other qubit is never idle and ends in |0>.
    assert found.value == pytest.approx(1 - 2 * np.exp(-0.1), abs=1e-12)


def moved(circuit, n_qubits, by):
    """The same circuit further down in a larger register."""
    moments = (
        tuple(Operation(op.gate, tuple(q + by for q in op.qubits)) for op in moment)
        for moment in circuit.moments
    )
    return Circuit(n_qubits, tuple(moments))


@pytest.mark.filterwarnings("ignore:`theta_error` and `phi_error` make the gate")
def test_couplers_keep_their_numbers_when_idle_qubits_are_left_out(echo, exact):
    circuit = moved(echo_circuit(echo), 9, 3)
    watched = PauliString.on({q + 3: p for q, p in echo.observable.factors})
    whole = density_matrix.run(add_noise(circuit, STRONG))
    found = noisy_expectation(circuit, watched, STRONG)
    assert found.value == pytest.approx(density_matrix.expectation(whole, watched), abs=1e-12)
    # Couplers turn too far by their numbers, and those have changed.
    assert abs(found.value - exact) > 1e-4


def test_gates_and_channels_that_know_their_qubits_apart_stay_as_they_are():
    # Gates of every kind in both directions; relaxation on one qubit of a pair is another than on both.
    circuit = moved(random_mixture(4, 10, 3), 7, 2)
    watched = PauliString.on({2: "Y", 4: "X"})
    noisy = add_noise(circuit, STRONG)
    wanted = density_matrix.expectation(density_matrix.run(noisy), watched)
    found = noisy_expectation(circuit, watched, STRONG)
    assert found.value == pytest.approx(wanted, abs=1e-12)
    assert abs(found.value) > 0.01


def test_steps_that_the_observable_cannot_feel_cost_nothing():
    chip = willow()
    shallow = random_circuit(chip, 1, seed=2)
    found = noisy_expectation(
        shallow, PauliString.on({52: "Z"}), willow_rcs(), engine="density_matrix"
    )
    # The few qubits of the cone by themselves, every gate with its noise.
    small, kept = restrict(light_cone(shallow, [52]), keep=[52])
    noisy = add_noise(small, willow_rcs())
    wanted = density_matrix.expectation(
        density_matrix.run(noisy), PauliString.on({kept.index(52): "Z"})
    )
    assert found.value == pytest.approx(wanted, abs=1e-12)
    ideal = statevector.expectation(statevector.run(small), PauliString.on({kept.index(52): "Z"}))
    assert 1e-4 < abs(found.value - ideal) < 0.01


@pytest.mark.parametrize("engine", ["trajectories", "twirled_trajectories"])
def test_trajectories_scatter_about_the_exact_value_by_their_error(engine, echo):
    # No T1 and nothing coherent, so that twirling is no approximation.
    model = NoiseModel(one_qubit_error=0.01, two_qubit_error=0.02, t_phi=1e-6)
    circuit, watched = echo_circuit(echo), echo.observable
    wanted = noisy_expectation(circuit, watched, model, engine="density_matrix").value
    drawn = [
        noisy_expectation(circuit, watched, model, engine=engine, n_trajectories=60, seed=seed)
        for seed in range(16)
    ]
    pulls = np.array([(d.value - wanted) / d.stderr for d in drawn])
    assert abs(pulls.mean()) < 3 / 4  # three standard errors of 16 draws
    assert 0.5 < pulls.std(ddof=1) < 1.7
    clean = dispatch.expectation(circuit, watched, precision="double")
    # What noise does is more than the bound above lets pass.
    assert abs(clean - wanted) > 2 * np.mean([d.stderr for d in drawn])


def test_trajectories_hold_relaxation_that_a_twirl_loses(waiting):
    both, model = PauliString.parse("ZZ"), NoiseModel(t1=1e-6)
    kept, twirled = (
        noisy_expectation(waiting, both, model, engine=engine, n_trajectories=2000)
        for engine in ("trajectories", "twirled_trajectories")
    )
    # The twirl falls to 0 with the same rate, not to |0>.
    for found, wanted in ((kept, 1 - 2 * np.exp(-0.1)), (twirled, -np.exp(-0.1))):
        assert 0 < found.stderr < 0.02
        assert abs(found.value - wanted) < 4 * found.stderr


def test_trajectories_of_a_whole_model_agree_with_the_density_matrix(echo, exact):
    found = noisy_expectation(
        echo_circuit(echo), echo.observable, STRONG, engine="trajectories", n_trajectories=1500
    )
    assert abs(found.value - exact) < 4 * found.stderr < 0.1
    assert abs(found.value - dispatch.expectation(echo_circuit(echo), echo.observable)) > 0.1


@pytest.mark.parametrize("engine", NOISY_ENGINES)
def test_without_noise_it_is_the_value_of_the_state(engine, echo):
    wanted = dispatch.expectation(echo_circuit(echo), echo.observable, precision="double")
    found = noisy_expectation(
        echo_circuit(echo), echo.observable, NoiseModel(), engine=engine, precision="double"
    )
    assert found.value == pytest.approx(wanted, abs=1e-12)
    assert found.stderr < 1e-12


def test_auto_is_exact_where_it_can_be_and_draws_where_it_cannot():
    for n_qubits, is_exact in ((5, True), (13, False)):
        chain = random_circuit(rectangle(1, n_qubits), 2 * n_qubits, seed=0, order="AB")
        found = noisy_expectation(chain, Z0, willow_rcs().scaled(30), n_trajectories=2)
        assert (found.stderr == 0) == is_exact


def test_few_qubits_of_the_whole_register_are_enough():
    ghost = Circuit(105, ((Operation(Gate("x"), (99,)),),))
    found = noisy_expectation(ghost, PauliString.on({99: "Z"}), NoiseModel(one_qubit_error=0.3))
    assert found.value == pytest.approx(-0.6, abs=1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"engine": "cirq"},
            "`engine` must be one of auto, density_matrix, .* Without noise it is",
        ),
        (
            {"observable": PauliString.on({6: "Z"})},
            "must act on qubits 0 to 5, but acts on qubit 6",
        ),
        ({"engine": "trajectories", "n_trajectories": 1}, "`n_trajectories` must be at least 2"),
    ],
)
def test_what_cannot_be_asked_is_named(change, message, echo):
    settings = {"observable": echo.observable, **change}
    with pytest.raises(ValueError, match=message):
        noisy_expectation(echo_circuit(echo), noise=willow_rcs(), **settings)


def test_a_density_matrix_that_is_too_large_is_refused():
    chain = random_circuit(rectangle(1, 13), 26, seed=0, order="AB")
    with pytest.raises(ValueError, match="at most 12 qubits for a density matrix, but has 13"):
        noisy_expectation(chain, Z0, willow_rcs(), engine="density_matrix")
