from dataclasses import replace

import cirq
import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate
from quantum.circuits.lattice import rectangle
from quantum.circuits.noisy_circuit import NoisyCircuit
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.engines import statevector
from quantum.engines.cirq_engine import to_cirq
from quantum.engines.density_matrix import expectation, expectations, run
from quantum.noise.model import add_noise, willow_pink, willow_rcs


@pytest.fixture(scope="module")
def circuit():
    return random_circuit(rectangle(2, 2), 4, seed=5)


def test_without_noise_it_is_the_projector_on_the_state(circuit):
    state = statevector.run(circuit)
    np.testing.assert_allclose(run(circuit), np.outer(state, state.conj()), atol=1e-13)


def test_noise_agrees_with_cirq(circuit):
    model = replace(willow_rcs().scaled(5), relax_in_gates=True, theta_error=0.01, phi_error=0.02)
    noisy = add_noise(circuit, model)
    line = cirq.LineQubit.range(4)
    theirs = cirq.Circuit()
    for step in noisy.steps:
        if isinstance(step, Operation):
            one = to_cirq(Circuit(4, ((step,),)), line)
            theirs.append(one.all_operations(), strategy=cirq.InsertStrategy.NEW)
        else:
            channel = cirq.KrausChannel(list(step.channel.kraus))
            on = channel.on(*(line[q] for q in step.qubits))
            theirs.append(on, strategy=cirq.InsertStrategy.NEW)
    simulator = cirq.DensityMatrixSimulator(dtype=np.complex128)
    expected = simulator.simulate(theirs, qubit_order=line).final_density_matrix
    np.testing.assert_allclose(run(noisy), expected, atol=1e-7)  # Cirq checks Kraus sums to 1e-8


def test_it_stays_a_state(circuit):
    rho = run(add_noise(circuit, willow_pink().scaled(20)))
    np.testing.assert_allclose(np.trace(rho), 1, rtol=1e-12)
    np.testing.assert_allclose(rho, rho.conj().T, atol=1e-14)
    assert np.linalg.eigvalsh(rho).min() > -1e-14
    assert np.trace(rho @ rho).real < 0.9


def test_relaxation_for_very_long_ends_in_zero(circuit):
    # The quoted errors hold what full relaxation does.
    model = replace(willow_rcs(), one_qubit_error=0.75, two_qubit_error=15 / 16)
    noisy = add_noise(circuit, replace(model, t1=1e-12, relax_in_gates=True))
    rest = [s for s in noisy.steps if not isinstance(s, Operation)][-4:]
    rho = run(NoisyCircuit(4, tuple(circuit.operations()) + tuple(rest)))
    # The last moment couples all four qubits, and each is relaxed after it.
    np.testing.assert_allclose(rho[0, 0].real, 1, atol=1e-12)


def test_expectation_of_a_string_off_the_diagonal():
    bell = Circuit(3, ((Operation(Gate("h"), (0,)),), (Operation(Gate("cz"), (0, 2)),)))
    rho = run(bell)
    # |+> on 0 with 2 in |0>: X on 0 and Z on 2 are sharp, Y on 0 is 0.
    strings = [PauliString.parse("XIZ"), PauliString.parse("YIZ"), PauliString.parse("IZZ")]
    np.testing.assert_allclose([expectation(rho, s) for s in strings], [1, 0, 1], atol=1e-14)
    np.testing.assert_allclose(expectations([bell], strings), [[1, 0, 1]], atol=1e-14)


def test_what_the_measured_qubit_cannot_feel_does_not_matter():
    circuit = random_circuit(rectangle(2, 3), 2, seed=2)
    noisy = add_noise(circuit, willow_rcs().scaled(20))
    z = PauliString.on({0: "Z"})
    seen = noisy.seen_from((0,))
    assert len(seen.steps) < len(noisy.steps)
    assert expectation(run(seen), z) == pytest.approx(expectation(run(noisy), z), abs=1e-13)


def test_a_mixed_start_is_the_average_over_all_states(circuit):
    flipped = [
        Circuit(4, (*((Operation(Gate("x"), (q,)),) for q in up), *circuit.moments))
        for up in ((), (1,), (3,), (1, 3))
    ]
    average = np.mean([run(one) for one in flipped], axis=0)
    found = run(NoisyCircuit(4, tuple(circuit.operations())).mixed((1, 3)))
    np.testing.assert_allclose(found, average, atol=1e-14)


def test_too_many_qubits_are_refused_with_the_memory_they_would_take():
    with pytest.raises(ValueError, match=r"at most 12 qubits .* has 16 \(68.7 GB\)"):
        run(random_circuit(rectangle(4, 4), 1, seed=0))
