"""Time by qubit, on circuits of ours and as Cirq and Qiskit write them; right values by hand."""

import math

import cirq
import pytest
from qiskit import QuantumCircuit

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, fsim, matrix_gate, phased_x, wait
from quantum.circuits.pauli import PauliString
from quantum.engines.cirq_engine import from_cirq
from quantum.engines.qiskit_engine import from_qiskit
from quantum.noise.cross_entropy import circuit_fidelity
from quantum.noise.model import NoiseModel, add_noise, echo_fidelity
from quantum.noise.noisy_expectation import noisy_expectation
from quantum.noise.path_weight import path_weights
from quantum.noise.schedule import Idle, schedule

T1 = 20e-6
A, B = cirq.LineQubit.range(2)


def value(circuit, model, qubit=0):
    return noisy_expectation(circuit, PauliString.on({qubit: "Z"}), model).value


def idle_times(circuit, model):
    """Seconds that each qubit idles in all."""
    total = dict.fromkeys(range(circuit.n_qubits), 0.0)
    for step in schedule(circuit, model.duration):
        if isinstance(step, Idle):
            total[step.qubit] += step.seconds
    return list(total.values())


def delayed(*delays, n_qubits=1):
    circuit = QuantumCircuit(n_qubits)
    circuit.x(0)
    for amount, unit in delays:
        circuit.delay(amount, 0, unit)
    return circuit


@pytest.mark.parametrize(("amount", "unit"), [(1000, "ns"), (1, "us"), (1e-6, "s"), (4000, "dt")])
def test_a_delay_of_qiskit_is_time_with_its_unit(amount, unit):
    circuit = from_qiskit(delayed((amount, unit)), dt=2.5e-10)
    assert value(circuit, NoiseModel(t1=T1)) == pytest.approx(1 - 2 * math.exp(-1 / 20), rel=1e-12)


def test_a_delay_in_units_of_the_backend_needs_them():
    with pytest.raises(ValueError, match=r"^`dt` must be given in s for a delay of 10 dt"):
        from_qiskit(delayed((10, "dt")))


def test_waiting_has_no_gate_error():
    model = NoiseModel(one_qubit_error=1e-3)
    circuits = [
        from_qiskit(delayed(*[(100, "ns")] * 20)),
        from_cirq(cirq.Circuit(cirq.X(A), [cirq.wait(A, nanos=100)] * 20)),
        from_cirq(cirq.Circuit(cirq.X(A), cirq.WaitGate(cirq.Duration(micros=1), 2).on(A, B))),
        from_cirq(cirq.Circuit(cirq.X(A), cirq.IdentityGate(2).on(A, B), cirq.I(A))),
    ]
    right = -(1 - 1e-3 / 0.75)
    for circuit in circuits:
        assert value(circuit, model) == pytest.approx(right, rel=1e-12)
        assert echo_fidelity(circuit, model) == pytest.approx(0.999, rel=1e-12)
        assert circuit_fidelity(circuit, model) == pytest.approx(0.999, rel=1e-12)


def test_a_qubit_idles_for_what_its_own_gate_leaves_of_the_moment():
    model = NoiseModel(t1=T1)
    flip = ((Operation(Gate("x"), (2,)),),)

    def after(theta):
        moment = (Operation(fsim(0.3, 0.2), (0, 1)), Operation(phased_x(theta, 0), (2,)))
        return value(Circuit(3, flip + (moment,) * 100), model, qubit=2)

    # A full turn keeps |1>: 100 times 17 ns.
    assert after(2 * math.pi) == pytest.approx(1 - 2 * math.exp(-1.7 / 20), rel=1e-12)
    # Half a turn: p becomes (1 - p) d, with the fixed point d / (1 + d).
    d = math.exp(-0.017 / 20)
    fixed = d / (1 + d)
    assert after(math.pi) == pytest.approx(1 - 2 * (fixed + d**100 * (1 - fixed)), rel=1e-12)
    # Without a pulse it idles through all of the moment.
    assert after(0.0) == pytest.approx(1 - 2 * math.exp(-4.2 / 20), rel=1e-12)


def test_a_turn_about_z_costs_nothing_through_either_reader():
    model = NoiseModel(one_qubit_error=0.03)
    theirs = QuantumCircuit(1)
    theirs.h(0)
    theirs.t(0)
    theirs.h(0)
    right = (1 - 0.03 / 0.75) ** 2 * math.cos(math.pi / 4)
    other = from_cirq(cirq.Circuit(cirq.H(A), cirq.T(A), cirq.H(A)))
    for circuit in (from_qiskit(theirs), other):
        assert value(circuit, model) == pytest.approx(right, rel=1e-12)
        assert echo_fidelity(circuit, model) == pytest.approx(0.97**2, rel=1e-12)
        weights = path_weights(circuit, PauliString.on({0: "Z"}), (1, 1))
        assert weights.amplitudes.size == 3  # two gates count


def test_the_digital_model_counts_what_is_played():
    theirs = QuantumCircuit(1)
    theirs.r(0.4, 0.2, 0)
    for k in range(10):
        theirs.rz(0.1 * k, 0)
    model = NoiseModel(one_qubit_error=0.03)
    assert circuit_fidelity(from_qiskit(theirs), model) == pytest.approx(0.97, rel=1e-12)
    # The turn about z within a general gate comes with its pulse.
    gate = cirq.PhasedXZGate(x_exponent=0.3, z_exponent=0.4, axis_phase_exponent=0.1)
    general = from_cirq(cirq.Circuit(gate(A)))
    assert circuit_fidelity(general, model) == pytest.approx(0.97, rel=1e-12)


def test_an_error_counts_for_gates_that_take_no_time():
    model = NoiseModel(one_qubit_error=0.03, one_qubit_time=0.0)
    circuit = Circuit(1, ((Operation(Gate("x"), (0,)),),))
    assert value(circuit, model) == pytest.approx(-(1 - 0.04), rel=1e-12)
    assert echo_fidelity(circuit, model) == pytest.approx(0.97, rel=1e-12)


def test_a_wait_holds_up_its_own_qubit_and_its_partners_alone():
    model = NoiseModel(one_qubit_time=25e-9, two_qubit_time=40e-9)
    flips = tuple(Operation(Gate("x"), (q,)) for q in range(3))
    pause = (Operation(wait(1e-6), (0,)), Operation(Gate("x"), (1,)))
    circuit = Circuit(3, (flips, pause, (Operation(Gate("cz"), (1, 2)),)))
    # 0 is done after 1025 ns; 1 plays 25 + 25 + 40, 2 waits 25 for it, and all wait for 0.
    assert idle_times(circuit, model) == pytest.approx([1e-6, 935e-9, 960e-9])
    joined = circuit + Circuit(3, ((Operation(Gate("cz"), (0, 1)),),))
    assert idle_times(joined, model) == pytest.approx([1e-6, 935e-9, 1e-6])


def test_a_barrier_lets_all_wait_for_the_latest():
    def late(barrier):
        circuit = delayed((1, "us"), n_qubits=2)
        if barrier:
            circuit.barrier()
        circuit.x(1)
        return value(from_qiskit(circuit), NoiseModel(t1=T1), qubit=1)

    assert late(True) == -1.0
    assert late(False) == pytest.approx(1 - 2 * math.exp(-1 / 20), abs=1e-9)
    plain = QuantumCircuit(2)
    plain.x(0)
    plain.barrier()
    plain.x(1)
    assert [len(moment) for moment in from_qiskit(plain).moments] == [1, 1]


def test_a_moment_of_cirq_lasts_as_long_as_the_wait_in_it():
    circuit = cirq.Circuit(
        cirq.Moment(cirq.X(A), cirq.wait(B, nanos=1000)),
        cirq.Moment(cirq.X(B)),
        cirq.Moment(cirq.wait(B, nanos=300)),
    )
    model = NoiseModel(t1=T1)
    # 0 idles 975 + 25 + 300 ns after its gate, 1 is in |1> for 300.
    assert value(from_cirq(circuit), model, 0) == pytest.approx(1 - 2 * math.exp(-1.3 / 20))
    assert value(from_cirq(circuit), model, 1) == pytest.approx(1 - 2 * math.exp(-0.3 / 20))


def test_two_qubits_that_are_turned_about_z_together_do_not_wait_for_each_other():
    turn = matrix_gate(fsim(0.0, 0.0).matrix())
    begin = (Operation(Gate("x"), (0,)), Operation(Gate("x"), (1,)))
    pause = (Operation(wait(1e-6), (0,)),)
    pair = (Operation(turn, (0, 1)),)
    circuit = Circuit(2, (begin, pause, pair, (Operation(Gate("x"), (1,)),)))
    # Qubit 1 flips back at once and stays in |0>.
    assert value(circuit, NoiseModel(t1=1e-6), 1) == pytest.approx(1.0, abs=1e-12)


def test_nothing_idles_in_a_circuit_without_noise_or_waits():
    circuit = Circuit(1, ((Operation(Gate("x"), (0,)),),) * 3)
    assert idle_times(circuit, NoiseModel()) == [0.0]
    assert add_noise(circuit, NoiseModel(t1=T1)).faults == ()


def test_a_qubit_that_does_not_start_in_zero_relaxes_from_the_beginning():
    late = Circuit(2, ((Operation(Gate("x"), (0,)),), (Operation(Gate("x"), (1,)),)))
    model = NoiseModel(t1=T1)
    assert [f.qubits for f in add_noise(late, model).faults] == [(0,)]
    assert [f.qubits for f in add_noise(late, model, mixed=(1,)).faults] == [(1,), (0,)]


def test_models_share_a_schedule_only_where_their_times_are_the_same():
    """Qubit 2 waits in |1> for a slower pulse on 0 and for the gate on 0 and 1; the circuit is the same for all."""
    pulses = tuple(Operation(Gate("x"), (q,)) for q in range(3))
    circuit = Circuit(3, (pulses, (Operation(Gate("cz"), (0, 1)),)))
    tables = (
        (42, {}),
        (142, {"qubits": {0: {"one_qubit_time": 125e-9}}}),
        (342, {"couplers": {(0, 1): {"two_qubit_time": 342e-9}}}),
    )
    for nanoseconds, table in tables:
        for t1 in (T1, T1 / 2):
            expected = 1 - 2 * math.exp(-nanoseconds * 1e-9 / t1)
            found = value(circuit, NoiseModel(t1=t1, **table), qubit=2)
            assert found == pytest.approx(expected, rel=1e-9)
