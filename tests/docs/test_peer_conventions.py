"""What docs/conventions.md says that Cirq, Qiskit, Aer, Stim and JAX do, run with the versions that are installed."""

import cirq
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import qiskit
import stim
from qiskit.circuit.library import UnitaryGate, XXPlusYYGate
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Operator, Pauli, Statevector, SuperOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error, thermal_relaxation_error

from quantum.circuits.gates import fsim, iswap_like, rz


def test_the_first_qubit_is_the_most_significant_for_cirq_and_the_least_for_qiskit_and_stim():
    first, second = cirq.LineQubit.range(2)
    state = cirq.Circuit(cirq.X(first), cirq.I(second)).final_state_vector()
    assert np.argmax(np.abs(state)) == 2
    circuit = qiskit.QuantumCircuit(2)
    circuit.x(0)
    assert np.argmax(np.abs(Statevector(circuit).data)) == 1
    np.testing.assert_array_equal(np.diag(Pauli("IZ").to_matrix()).real, [1, -1, 1, -1])
    simulator = stim.TableauSimulator()
    simulator.do(stim.Circuit("X 0\nI 1"))
    assert np.argmax(np.abs(simulator.state_vector())) == 1


def test_fsim_is_that_of_cirq_and_two_gates_of_qiskit():
    theta, phi = 0.3, 0.5
    np.testing.assert_allclose(
        fsim(theta, phi).matrix(), cirq.unitary(cirq.FSimGate(theta, phi)), atol=1e-15
    )
    circuit = qiskit.QuantumCircuit(2)
    circuit.append(XXPlusYYGate(2 * theta), [0, 1])
    circuit.cp(-phi, 0, 1)
    np.testing.assert_allclose(fsim(theta, phi).matrix(), Operator(circuit).data, atol=1e-15)


def test_iswap_has_the_other_sign():
    assert iswap_like(0.0).matrix()[1, 2].imag == -1
    assert cirq.unitary(cirq.ISWAP)[1, 2].imag == 1
    assert Operator(qiskit.circuit.library.iSwapGate()).data[1, 2].imag == 1


def test_a_turn_about_z_is_cirqs_rz_and_not_its_power():
    np.testing.assert_allclose(rz(0.7).matrix(), cirq.unitary(cirq.rz(0.7)), atol=1e-15)
    np.testing.assert_allclose(np.diag(cirq.unitary(cirq.Z**0.5)), [1, 1j], atol=1e-15)


def test_the_parameter_of_depolarising_noise_is_the_pauli_error_for_cirq_and_not_for_aer():
    np.testing.assert_allclose(1 - cirq.mixture(cirq.depolarize(0.3))[0][0], 0.3, rtol=1e-12)
    np.testing.assert_allclose(1 - depolarizing_error(0.3, 1).probabilities[0], 0.225, rtol=1e-12)
    np.testing.assert_allclose(
        1 - depolarizing_error(0.3, 2).probabilities[0], 0.3 * 15 / 16, rtol=1e-12
    )
    # Stim: X and Y of three equal parts flip a measured bit; 5 standard errors of 1e5 shots.
    flips = stim.Circuit("DEPOLARIZE1(0.3) 0\nM 0").compile_sampler(seed=1).sample(100_000).mean()
    assert abs(flips - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 1e5)


def test_a_delay_costs_nothing_in_aer_without_an_error_of_its_own():
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(thermal_relaxation_error(1e-6, 1e-6, 1e-6), ["x"])
    circuit = qiskit.QuantumCircuit(1)
    circuit.x(0)
    circuit.delay(1, 0, "s")
    circuit.save_density_matrix()  # pyright: ignore[reportAttributeAccessIssue]
    result = AerSimulator(method="density_matrix", noise_model=noise).run(circuit, shots=1).result()
    assert result.data()["density_matrix"].data[1, 1].real == pytest.approx(np.exp(-1), rel=1e-9)


def test_dephasing_is_t2_for_aer_and_a_square_for_cirq():
    relax = SuperOp(thermal_relaxation_error(20e-6, 15e-6, 3e-6)).data
    assert abs(relax[1, 1]) == pytest.approx(np.exp(-3 / 15), rel=1e-12)
    stay = cirq.kraus(cirq.phase_damp(0.3))[0]
    assert stay[1, 1] == pytest.approx(0.7**0.5)


def test_identities_take_time_and_turns_about_z_do_not_in_a_target():
    target = GenericBackendV2(2, seed=0).target
    assert target["rz"][(0,)].duration == 0
    assert target["id"][(0,)].duration > 0
    assert target.dt == pytest.approx(2.22e-10)


def test_both_refuse_unitaries_in_single_precision():
    rough = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0].astype(np.complex64)
    with pytest.raises(ValueError, match=r"(?i)not .*unitary"):
        cirq.MatrixGate(rough)
    with pytest.raises(ValueError, match="not unitary"):
        UnitaryGate(rough)


def test_a_query_that_sees_nothing_gets_the_mean_of_all_values_from_jax():
    q, v = jnp.ones((1, 2, 1, 4), jnp.float32), jnp.arange(8, dtype=jnp.float32).reshape(1, 2, 1, 4)
    mask = jnp.array([[True, False], [False, False]])[None, None]

    def second(v):
        return jax.nn.dot_product_attention(q, v, v, mask=mask)[0, 1].sum()

    value, gradient = jax.value_and_grad(second)(v)
    assert value == v.sum() / 2
    np.testing.assert_array_equal(gradient, np.full(v.shape, 0.5))
