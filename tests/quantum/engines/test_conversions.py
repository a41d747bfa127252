"""Circuits and observables of Cirq and Qiskit at the public call, against their own expectation values."""

import cirq
import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Pauli, SparsePauliOp, Statevector

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, phased_x
from quantum.circuits.pauli import Observable, PauliString
from quantum.engines.conversions import as_circuit
from quantum.engines.dispatch import ENGINES, expectation, expectations, state
from quantum.noise.model import NoiseModel
from quantum.noise.noisy_expectation import noisy_expectation

A, B, C = cirq.GridQubit(2, 1), cirq.NamedQubit("ancilla"), cirq.LineQubit(5)
ANSATZ = cirq.Circuit(
    cirq.H(A), cirq.CNOT(A, B) ** 0.3, cirq.ry(0.7)(C), cirq.CZ(B, C), cirq.T(A), cirq.rx(0.2)(A)
)
ENERGY = 0.5 * cirq.Z(A) * cirq.X(C) - cirq.Y(B) * cirq.Z(C) + 0.25


def two_turns():
    return Circuit(2, ((Operation(phased_x(0.3, 0), (0,)), Operation(phased_x(1.1, 0), (1,))),))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_sum_of_cirq_after_a_circuit_of_cirq_on_every_engine(engine):
    wanted = cirq.Simulator(dtype=np.complex128).simulate_expectation_values(ANSATZ, ENERGY)[0]
    found = expectation(ANSATZ.freeze(), ENERGY, engine=engine, precision="double")
    assert found == pytest.approx(wanted.real, abs=1e-12)


def test_text_counts_the_qubits_of_cirq_as_cirq_sorts_them():
    simulator = cirq.Simulator(dtype=np.complex128)
    first = sorted([A, B, C])[0]
    wanted = simulator.simulate_expectation_values(ANSATZ, cirq.Y(first) + cirq.Z(first))[0].real
    assert expectation(ANSATZ, "Y + Z", precision="double") == pytest.approx(wanted, abs=1e-12)


def test_qiskit_counts_from_the_other_end():
    program = QuantumCircuit(3)
    program.h(0)
    program.cx(0, 1)
    program.ry(0.7, 2)
    program.cz(1, 2)
    program.rx(0.3, 1)
    for observable in (SparsePauliOp(["ZIX", "IYY", "III"], [0.3, -2, 0.1]), Pauli("-ZZI")):
        wanted = Statevector(program).expectation_value(observable).real
        assert expectation(program, observable, precision="double") == pytest.approx(
            wanted, abs=1e-12
        )


def test_text_strings_and_sums_of_ours():
    cosines = np.cos([0.3, 1.1])
    found = expectations(
        [two_turns()],
        ["ZI", "-IZ", PauliString.parse("ZZ"), "2 ZI - 0.5 IZ + 3 II", "YI", "XX - XX"],
        precision="double",
    )
    wanted = [
        cosines[0], -cosines[1], cosines.prod(), 2 * cosines[0] - 0.5 * cosines[1] + 3, -np.sin(0.3), 0,
    ]  # fmt: skip
    np.testing.assert_allclose(found[0], wanted, atol=1e-14)


def test_a_state_of_a_circuit_of_qiskit():
    program = QuantumCircuit(2)
    program.x(1)
    np.testing.assert_allclose(np.abs(state(program)), [0, 1, 0, 0], atol=1e-6)
    assert as_circuit(program) == Circuit(2, ((Operation(Gate("x"), (1,)),),))


@pytest.mark.parametrize("engine", ["density_matrix", "trajectories", "twirled_trajectories"])
def test_noise_on_a_sum_is_the_sum_of_noise(engine):
    noise = NoiseModel(one_qubit_error=0.2)
    options = {"engine": engine, "n_trajectories": 200, "seed": 3, "precision": "double"}
    energy = Observable.parse("0.5 ZI - 2 XY + 0.25 II")
    whole = noisy_expectation(two_turns(), energy, noise, **options)
    parts = [noisy_expectation(two_turns(), text, noise, **options) for text in ("ZI", "XY")]
    exact = noisy_expectation(two_turns(), energy, noise).value
    if engine == "density_matrix":
        assert whole.value == pytest.approx(0.5 * parts[0].value - 2 * parts[1].value + 0.25)
        assert exact != pytest.approx(expectation(two_turns(), energy), abs=1e-3)
    else:
        assert abs(whole.value - exact) < 5 * whole.stderr


@pytest.mark.parametrize(
    ("circuit", "observable", "error", "message"),
    [
        (QuantumCircuit(2), "ZI", ValueError, "beside a Qiskit circuit"),
        (two_turns(), 3, TypeError, "`observable` must be a `PauliString`"),
        ("H 0", "ZI", TypeError, "`circuit` must be a `Circuit`, a `cirq.Circuit`"),
        (ANSATZ, cirq.CNOT(A, B), TypeError, "Pauli string or sum of Cirq"),
        (ANSATZ, 1j * cirq.Z(A) * cirq.Z(B), ValueError, "finite real weights"),
        (QuantumCircuit(1), Statevector([1, 0]), TypeError, "`Pauli` or `SparsePauliOp`"),
        (two_turns(), "IIZ", ValueError, "but one acts on 2"),
        (cirq.Circuit(cirq.measure(A)), cirq.Z(A), ValueError, "take measurements out"),
    ],
)
def test_what_has_no_counterpart_is_named(circuit, observable, error, message):
    with pytest.raises(error, match=message):
        expectation(circuit, observable)
