import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cirq_google.engine import load_device_noise_properties, load_median_device_calibration
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Kraus, SuperOp
from qiskit_aer.noise import NoiseModel as AerModel
from qiskit_aer.noise import (
    QuantumError,
    ReadoutError,
    amplitude_damping_error,
    coherent_unitary_error,
    depolarizing_error,
    pauli_error,
    thermal_relaxation_error,
)

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate
from quantum.estimates import Estimate
from quantum.noise.calibrations import from_aer, from_cirq, from_qiskit
from quantum.noise.cross_entropy import circuit_fidelity, flip_bits
from quantum.noise.mitigation import correct_readout
from quantum.noise.model import NoiseModel, add_noise, echo_fidelity

BOTH = tuple(Operation(Gate("x"), (q,)) for q in (0, 1))
FLIPS = Circuit(2, (BOTH, (Operation(Gate("cz"), (1, 0)),)))


@pytest.fixture(scope="module")
def backend():
    return GenericBackendV2(3, seed=1)


def test_a_table_stands_for_what_differs_and_the_chip_for_the_rest():
    model = NoiseModel(
        0.01, 0.02, t1=20e-6, readout_one=0.1,
        qubits={1: {"one_qubit_error": 0.03, "t1": 5e-6, "readout_one": 0.2}},
        couplers={(1, 0): {"two_qubit_error": 0.05}},
    )  # fmt: skip
    found = [fault.channel.pauli_error for fault in add_noise(FLIPS, model).faults]
    np.testing.assert_allclose(found, [0.01, 0.03, 0.05], rtol=1e-12)
    assert echo_fidelity(FLIPS, model) == pytest.approx(0.99 * 0.97 * 0.95, rel=1e-12)
    assert circuit_fidelity(FLIPS, model) == pytest.approx(0.99 * 0.97 * 0.95 * 0.95 * 0.9)
    fall = model.idle_channel(1e-6, 1).kraus[-1][0, 1]
    assert abs(fall) ** 2 == pytest.approx(1 - math.exp(-1 / 5), rel=1e-12)
    assert model.read_out(-1.0, 1) == pytest.approx(-0.6)
    assert correct_readout(Estimate(-0.6, 0.01), model, 1).value == pytest.approx(-1.0)
    twice = model.scaled(2)
    assert twice.on(1).one_qubit_error == 0.06
    assert twice.on(0, 1).two_qubit_error == 0.1
    assert twice.on(1).t1 == 2.5e-6
    read = flip_bits(np.array([0, 0, 0, 1.0]), [0.0, 0.0], [0.1, 0.2])
    np.testing.assert_allclose(read, [0.02, 0.08, 0.18, 0.72])


def test_t2_is_the_decay_of_the_coherence():
    model = NoiseModel(t1=20e-6, t2=15e-6)
    channel = model.idle_channel(3e-6)
    rho = np.full((2, 2), 0.5)
    after = np.einsum("kij,jl,kml->im", channel.kraus, rho, channel.kraus.conj())
    assert abs(after[0, 1]) == pytest.approx(0.5 * math.exp(-3 / 15), rel=1e-12)
    assert NoiseModel(t1=20e-6, t2=40e-6).pure_dephasing_time == math.inf
    row = NoiseModel(t1=20e-6, t_phi=5e-6, qubits={0: {"t2": 10e-6}}).on(0)
    assert row.pure_dephasing_time == pytest.approx(1 / (1 / 10e-6 - 1 / 40e-6))


def test_relaxation_beyond_the_quoted_error_of_a_gate_is_refused():
    model = NoiseModel(1e-3, 1e-3, t1=20e-6, relax_in_gates=True)
    with pytest.raises(ValueError, match=r"on \(1, 0\) relaxation alone .* where 0.001 is quoted"):
        add_noise(FLIPS, model)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoiseModel(t1=1e-6, t2=3e-6), "`t2` must be at most 2 T1 = 2e-06 s, but is 3e-06 s"),
        (lambda: NoiseModel(t_phi=1e-6, t2=1e-6), "`t2` must stand alone"),
        (lambda: NoiseModel(qubits={0: {"t3": 1.0}}), "`qubits` must be one of one_qubit_error"),
        (lambda: NoiseModel(qubits={0: {"t1": -1.0}}), "`t1` must be positive"),
        (lambda: NoiseModel(t1=1e-6, qubits={0: {"t2": 3e-6}}), "`t2` must be at most"),
        (lambda: NoiseModel(couplers={(0, 0): {"two_qubit_error": 0.1}}), "`couplers` must have two qubits"),
        (lambda: NoiseModel(couplers={(0, 1): {"t1": 0.1}}), "`couplers` must be one of two_qubit_error"),
        (lambda: flip_bits(np.ones(4) / 4, [0.1], 0.0), r"`readout_zero` must have shape \(2,\)"),
        (lambda: from_cirq({}, ["a"]), "`qubits` must be listed in the calibration"),
        (lambda: from_aer(AerModel(), 2), "`noise_model` must hold errors"),
    ],
)  # fmt: skip
def test_bad_tables_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.interop
def test_a_calibration_of_google_becomes_tables():
    calibration: Any = load_median_device_calibration("willow_pink")
    qubits = sorted(key[0] for key in calibration["single_qubit_idle_t1_micros"])[:4]
    model = from_cirq(calibration, qubits)
    one = [calibration["single_qubit_rb_pauli_error_per_gate"][(q,)][0] for q in qubits]
    np.testing.assert_allclose([model.on(q).one_qubit_error for q in range(4)], one)
    t1 = calibration["single_qubit_idle_t1_micros"][(qubits[2],)][0]
    assert model.on(2).t1 == pytest.approx(1e-6 * t1)
    cycles = calibration["two_qubit_parallel_cz_gate_xeb_pauli_error_per_cycle"]
    key = next(key for key in cycles if set(key) <= set(qubits))
    pair = tuple(qubits.index(q) for q in key)
    assert model.on(*pair).two_qubit_error == pytest.approx(cycles[key][0] - one[pair[0]] - one[pair[1]])  # fmt: skip
    properties: Any = load_device_noise_properties("willow_pink")
    other = from_cirq(properties, qubits)
    assert other.on(1).t_phi == pytest.approx(1e-9 * properties.tphi_ns[qubits[1]])
    # Cirq's own noise takes the error of a cycle for that of the gate.
    assert other.on(*pair).two_qubit_error == pytest.approx(cycles[key][0])


@pytest.mark.interop
def test_a_target_of_qiskit_becomes_tables(backend):
    model, target = from_qiskit(backend), backend.target
    assert model == from_qiskit(target)
    # r (1 + 1/2) and r (1 + 1/4) of the worst gate.
    worst = max(target[name][(1,)].error for name in ("sx", "x"))
    assert model.on(1).one_qubit_error == pytest.approx(1.5 * worst)
    both = [target["cx"][pair] for pair in ((0, 2), (2, 0))]
    assert model.on(2, 0).two_qubit_error == pytest.approx(1.25 * max(b.error for b in both))
    assert model.on(0, 2).two_qubit_time == max(b.duration for b in both)
    assert model.on(2).t1 == target.qubit_properties[2].t1
    assert model.on(2).t2 == target.qubit_properties[2].t2
    assert model.on(0).readout_one == target["measure"][(0,)].error


@pytest.mark.interop
def test_a_noise_model_of_aer_becomes_tables():
    theirs = AerModel()
    theirs.add_all_qubit_quantum_error(depolarizing_error(0.02, 1), ["x", "sx"])
    theirs.add_quantum_error(depolarizing_error(0.3, 1), "x", [1])
    theirs.add_quantum_error(depolarizing_error(0.1, 2), "cz", [1, 0])
    theirs.add_quantum_error(depolarizing_error(0.5, 1), "id", [0])
    theirs.add_readout_error(ReadoutError([[0.9, 0.1], [0.2, 0.8]]), [1])
    model = from_aer(theirs, 2)
    assert model.on(0).one_qubit_error == pytest.approx(0.75 * 0.02)
    assert model.on(1).one_qubit_error == pytest.approx(0.75 * 0.3)
    assert model.on(0, 1).two_qubit_error == pytest.approx(15 / 16 * 0.1)
    assert (model.on(1).readout_zero, model.on(1).readout_one) == pytest.approx((0.1, 0.2))
    error = depolarizing_error(0.3, 1)
    assert np.trace(SuperOp(error).data).real / 4 == pytest.approx(1 - 0.75 * 0.3)


def test_the_two_qubit_gate_is_chosen():
    name = "two_qubit_parallel_{}_gate_xeb_pauli_error_per_gate".format
    known = {name("cz"): {("a", "b"): [0.02]}, name("sqrt_iswap"): {("b", "a"): [0.01]}}
    models = [from_cirq(known, ["a", "b"], gate) for gate in ("cz", "sqrt_iswap")]
    found = [model.on(0, 1).two_qubit_error for model in models]
    assert found == [0.02, 0.01]


@pytest.mark.interop
def test_the_error_of_a_gate_on_its_own_qubits_replaces_that_on_all():
    theirs = AerModel()
    theirs.add_all_qubit_quantum_error(depolarizing_error(0.2, 1), ["x"])
    theirs.add_quantum_error(depolarizing_error(0.02, 1), "x", [1], warnings=False)
    theirs.add_all_qubit_quantum_error(depolarizing_error(0.4, 2), ["cz"])
    theirs.add_quantum_error(depolarizing_error(0.1, 2), "cz", [1, 0], warnings=False)
    theirs.add_all_qubit_readout_error(ReadoutError([[0.9, 0.1], [0.2, 0.8]]))
    theirs.add_readout_error(ReadoutError([[0.99, 0.01], [0.02, 0.98]]), [1], warnings=False)
    model = from_aer(theirs, 3)
    found = [model.on(q).one_qubit_error for q in range(3)]
    np.testing.assert_allclose(found, [0.15, 0.015, 0.15], rtol=1e-9)
    found = [model.on(*pair).two_qubit_error for pair in ((0, 1), (1, 2))]
    np.testing.assert_allclose(found, [15 / 160, 15 / 40], rtol=1e-9)
    assert [model.on(q).readout_zero for q in range(3)] == [0.1, 0.01, 0.1]


KRAUS = amplitude_damping_error(0.3)


@pytest.mark.interop
@pytest.mark.parametrize(
    "error",
    [
        thermal_relaxation_error(5e-5, 9e-5, 1e-5),  # T2 > T1: as Kraus operators
        thermal_relaxation_error(5e-5, 2e-5, 1e-5).tensor(depolarizing_error(0.1, 1)),  # resets
        pauli_error([("XY", 0.1), ("ZI", 0.2), ("II", 0.7)]).compose(KRAUS.expand(KRAUS)),
        coherent_unitary_error(np.diag([1, 1, 1, 1j])),
        QuantumError(  # the same qubits in the other order, and a step on one of two
            [
                (
                    [
                        (Kraus(pauli_error([("IX", 0.2), ("YZ", 0.2), ("II", 0.6)])), [1, 0]),
                        (Kraus(KRAUS), [1]),
                    ],
                    1.0,
                )
            ]
        ),
    ],
)
def test_every_kind_of_aers_errors_has_its_process_fidelity(error):
    theirs = AerModel()
    name, places = ("x", [0]) if error.num_qubits == 1 else ("cz", [0, 1])
    theirs.add_quantum_error(error, name, places)
    row = from_aer(theirs, 2).on(*places)
    found = row.one_qubit_error if len(places) == 1 else row.two_qubit_error
    wanted = 1 - np.trace(SuperOp(error).data).real / 4**error.num_qubits
    assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.interop
def test_what_cannot_be_taken_from_aer_is_refused():
    joint = AerModel()
    joint.add_readout_error(ReadoutError(np.eye(4)[[1, 0, 2, 3]]), [0, 1])
    with pytest.raises(ValueError, match=r"`noise_model` must read qubits one by one"):
        from_aer(joint, 2)


def test_an_over_rotation_beyond_the_quoted_error_is_told():
    model = NoiseModel(two_qubit_error=1e-4, theta_error=0.2, seed=1)
    with pytest.warns(
        UserWarning, match=r"gate on \(1, 0\) worse than quoted: .* quoted is 0.0001"
    ):
        add_noise(FLIPS, model)
    add_noise(FLIPS, NoiseModel(theta_error=0.2, seed=1))  # nothing quoted, nothing to say


def test_a_number_that_one_qubit_lacks_is_the_median_of_the_others():
    known = {"single_qubit_idle_t1_micros": {("a",): [10.0], ("b",): [30.0], ("c",): [20.0]}}
    model = from_cirq(known, ["a", "b", "c", "d"])
    assert model.on(3).t1 == pytest.approx(20e-6)
    properties = [SimpleNamespace(t1=10e-6, t2=25e-6)]
    target = SimpleNamespace(num_qubits=1, qubit_properties=properties, operation_names=())
    assert from_qiskit(target).on(0).t2 == 20e-6
