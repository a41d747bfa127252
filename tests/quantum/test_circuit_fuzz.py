"""Random circuits of Cirq, Qiskit and ours: unitaries, expectation values and noisy density matrices agree.

CIRCUIT_FUZZ sets how many cases there are of each kind, and CIRCUIT_FUZZ_FIRST the first seed.
"""

import os
from functools import cache
from typing import Any

import cirq
import numpy as np
import pytest
from qiskit.circuit import Barrier, Delay
from qiskit.circuit import Gate as QiskitGate
from qiskit.quantum_info import Operator, Pauli, SuperOp
from qiskit_aer.noise import depolarizing_error, thermal_relaxation_error

from quantum.circuits.pauli import PauliString
from quantum.engines import density_matrix, statevector
from quantum.engines.cirq_engine import from_cirq, to_cirq
from quantum.engines.qiskit_engine import from_qiskit, to_qiskit
from quantum.noise.model import NoiseModel, add_noise
from tests.exact.random_circuits import dense, equal_up_to_phase
from tests.strategies.circuits import cirq_circuit, our_circuit, pauli_text, qiskit_circuit

SEEDS = range(
    int(os.environ.get("CIRCUIT_FUZZ_FIRST", "0")),
    int(os.environ.get("CIRCUIT_FUZZ_FIRST", "0")) + int(os.environ.get("CIRCUIT_FUZZ", "180")),
)
# Gates in single precision round the unitary to 1e-7 each; a dozen of them.
SINGLE = 1e-5
DT = 2e-10
T1, T2 = (20e-6, 30e-6, 15e-6), (25e-6, 12e-6, 30e-6)
ERRORS = (0.01, 0.002, 0.03)
CHIP = NoiseModel(
    two_qubit_error=0.04,
    qubits={q: {"one_qubit_error": ERRORS[q], "t1": T1[q], "t2": T2[q]} for q in range(3)},
    couplers={(2, 0): {"two_qubit_error": 0.005}},
)
INSTANT = NoiseModel(0.0, CHIP.two_qubit_error, one_qubit_time=0.0, two_qubit_time=0.0,
                     qubits=CHIP.qubits, couplers=CHIP.couplers)  # fmt: skip


def evolved(rho, superoperator, qubits):
    """Density matrix after a superoperator on row-major density matrices."""
    n = rho.ndim // 2
    axes = [*qubits, *(q + n for q in qubits)]
    tensor = superoperator.reshape((2,) * (2 * len(axes)))
    moved = np.tensordot(tensor, rho, axes=(range(len(axes), 2 * len(axes)), axes))
    return np.moveaxis(moved, range(len(axes)), axes)


def played(matrix):
    """Factors of a unitary, and for each whether it is a turn about z."""
    if len(matrix) == 2:
        parts = [matrix]
    else:
        table = matrix.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)
        left, values, right = np.linalg.svd(table)
        if values[1] > 1e-5:
            return [(matrix, False)]
        parts = [np.sqrt(2) * left[:, 0].reshape(2, 2), np.sqrt(2) * right[0].reshape(2, 2)]
    return [(part, abs(part[0, 1]) < 1e-5) for part in parts]


def error_of(qubits):
    if len(qubits) == 1:
        return ERRORS[qubits[0]]
    return 0.005 if set(qubits) == {0, 2} else 0.04


def start(n):
    rho = np.zeros((2,) * (2 * n), complex)
    rho.flat[0] = 1
    return rho


def play(rho, matrix, qubits, depolarize, pulse=False):
    """The gates of an operation with their errors; what each qubit was busy with, None for a turn about z."""
    parts = played(np.asarray(matrix, complex))
    places = [tuple(qubits)] if len(parts) == 1 else [(q,) for q in qubits]
    busy = {}
    for (part, virtual), on in zip(parts, places, strict=True):
        rho = evolved(rho, np.kron(part, part.conj()), on)
        if not virtual or pulse:
            rho = evolved(rho, depolarize(error_of(on), len(on)), on)
            busy |= dict.fromkeys(on, len(on))
    return rho, busy


@cache
def cirq_superoperator(kind, value, n=1):
    channel = cirq.depolarize(value, n) if kind == "depolarize" else kind(value)
    return sum(np.kron(k, k.conj()) for k in cirq.kraus(channel))


def cirq_noisy(circuit, n):
    """Density matrix by Cirq's channels; a moment lasts as long as its longest operation."""
    rho: Any = start(n)
    line: list[Any] = [*cirq.LineQubit.range(n)]
    depolarize = lambda e, k: cirq_superoperator("depolarize", e, k)  # noqa: E731
    for moment in cirq.unroll_circuit_op(circuit, deep=True, tags_to_check=None):
        busy, longest = {}, 0.0
        for operation in moment:
            gate: Any = operation.gate
            on = [line.index(q) for q in operation.qubits]
            if isinstance(gate, cirq.WaitGate):
                longest = max(longest, gate.duration.total_nanos())
                continue
            for part in [operation] if len(on) < 3 else cirq.decompose_once(operation):
                here = [line.index(q) for q in part.qubits]
                turn = isinstance(part.gate, cirq.XPowGate | cirq.YPowGate | cirq.PhasedXPowGate)
                exponent = getattr(part.gate, "exponent", 0)
                pulse = turn and exponent != 0
                rho, now = play(rho, cirq.unitary(part), here, depolarize, pulse)
                busy |= now
        times = {q: (25.0, 42.0)[k - 1] for q, k in busy.items()}
        longest = max(longest, *times.values(), 0.0) if times else longest
        for qubit in range(n):
            t = 1e-9 * (longest - times.get(qubit, 0.0))
            dephasing = 1 / T2[qubit] - 1 / (2 * T1[qubit])
            fall = cirq_superoperator(cirq.amplitude_damp, 1 - np.exp(-t / T1[qubit]))
            turn = cirq_superoperator(cirq.phase_damp, 1 - np.exp(-2 * t * dephasing))
            rho = evolved(evolved(rho, fall, (qubit,)), turn, (qubit,))
    return rho.reshape(2**n, 2**n)


def row_major(error):
    """Superoperator of one of Aer's errors on one or two qubits, in our order."""
    data: Any = SuperOp(error).data
    n = int(np.log2(len(data))) // 2
    # Columns first, and the last qubit first, so all axes of either side come the other way round.
    tensor = data.reshape((2,) * (4 * n))
    half = range(2 * n - 1, -1, -1)
    return tensor.transpose(*half, *(2 * n + a for a in half)).reshape(data.shape)


@cache
def aer_depolarize(error, n):
    return row_major(depolarizing_error(error / (1 - 4.0**-n), n))


@cache
def aer_relax(qubit, seconds):
    return row_major(thermal_relaxation_error(T1[qubit], T2[qubit], seconds))


def qiskit_steps(circuit, places):
    for item in circuit.data:
        on = [places[q] for q in item.qubits]
        operation = item.operation
        if type(operation) is QiskitGate:
            block: Any = operation.definition
            yield from qiskit_steps(block, dict(zip(block.qubits, on, strict=True)))
        else:
            yield operation, on


def qiskit_noisy(circuit):
    """Density matrix by Aer's channels, gates without time: a clock for every qubit."""
    n = circuit.num_qubits
    rho, clock = start(n), [0.0] * n

    def wait_until(rho, qubits, time):
        for qubit in qubits:
            if round(1e12 * (time - clock[qubit])) > 0:
                rho = evolved(rho, aer_relax(qubit, round(time - clock[qubit], 12)), (qubit,))
            clock[qubit] = time
        return rho

    for operation, on in qiskit_steps(circuit, {q: k for k, q in enumerate(circuit.qubits)}):
        if isinstance(operation, Delay):
            unit = {"ns": 1e-9, "us": 1e-6, "dt": DT}[operation.unit]
            rho = wait_until(rho, on, clock[on[0]] + unit * operation.params[0])
            continue
        if isinstance(operation, Barrier):
            rho = wait_until(rho, on, max(clock[q] for q in on))
            continue
        matrix = Operator(operation).reverse_qargs().data
        if len(played(matrix)) == 1:
            rho = wait_until(rho, on, max(clock[q] for q in on))
        pulse = operation.name in ("r", "rx") and operation.params[0] != 0
        rho, _ = play(rho, matrix, on, aer_depolarize, pulse)
    return wait_until(rho, range(n), max(clock)).reshape(2**n, 2**n)


def close(found, wanted, seed, tolerance=SINGLE):
    assert np.abs(found - wanted).max() < tolerance, f"seed {seed}"


@pytest.mark.parametrize("part", range(4))
def test_circuits_of_cirq(part):
    for seed in SEEDS[part::4]:
        theirs = cirq_circuit(seed)
        ours = from_cirq(theirs)
        unitary = theirs.unitary()
        assert equal_up_to_phase(dense(ours), unitary, SINGLE), f"seed {seed}"
        text = pauli_text(seed, ours.n_qubits)
        line = cirq.LineQubit.range(ours.n_qubits)
        value = (
            cirq.DensePauliString(text)
            .on(*line)
            .expectation_from_state_vector(
                unitary[:, 0] / np.linalg.norm(unitary[:, 0]), {q: k for k, q in enumerate(line)}
            )
        )
        state = statevector.run(ours)
        close(statevector.expectation(state, PauliString.parse(text)), value.real, seed)
        rho = density_matrix.run(add_noise(ours, CHIP))
        close(rho, cirq_noisy(theirs, ours.n_qubits), seed)


@pytest.mark.parametrize("part", range(4))
def test_circuits_of_qiskit(part):
    for seed in SEEDS[part::4]:
        theirs = qiskit_circuit(seed)
        ours = from_qiskit(theirs, dt=DT)
        unitary = np.asarray(Operator(theirs.reverse_bits()).data)
        assert equal_up_to_phase(dense(ours), unitary, SINGLE), f"seed {seed}"
        text = pauli_text(seed, ours.n_qubits)
        # Their labels are read from the right.
        psi = unitary[:, 0]
        value = np.real(psi.conj() @ np.asarray(Pauli(text).to_matrix()) @ psi)
        found = statevector.expectation(statevector.run(ours), PauliString.parse(text))
        close(found, value, seed)
        close(density_matrix.run(add_noise(ours, INSTANT)), qiskit_noisy(theirs), seed)


@pytest.mark.parametrize("part", range(4))
def test_our_circuits_go_to_both_and_come_back(part):
    for seed in SEEDS[part::4]:
        circuit = our_circuit(seed)
        unitary, line = dense(circuit), cirq.LineQubit.range(circuit.n_qubits)
        there = to_cirq(circuit)
        close(there.unitary(line, line), unitary, seed, 1e-12)
        program = to_qiskit(circuit)
        close(Operator(program.reverse_bits()).data, unitary, seed, 1e-12)
        back = [from_cirq(there, line), from_qiskit(program)]
        for circuit_back in back:
            assert equal_up_to_phase(dense(circuit_back), unitary, 1e-11), f"seed {seed}"
        # Waits come back with their time, and nothing that was virtual is charged.
        waited = sum(op.gate.parameters[0] for op in circuit.operations() if op.gate.name == "wait")
        for circuit_back in back:
            found = [op.gate.parameters[0] for op in circuit_back.operations() if op.gate.name == "wait"]  # fmt: skip
            assert sum(found) == pytest.approx(waited, rel=1e-12), f"seed {seed}"
        played_here = [op for op in circuit.operations() if CHIP.error(op) > 0]
        for circuit_back in back:
            again = [op for op in circuit_back.operations() if CHIP.error(op) > 0]
            assert len(again) == len(played_here), f"seed {seed}"
