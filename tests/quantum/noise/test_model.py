import math
from dataclasses import replace

import numpy as np
import pytest
from cirq_google.engine import load_median_device_calibration

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, fsim, iswap_like, pauli_gate, phased_x
from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import echo_circuit, make_echo
from quantum.noise.model import (
    NoiseModel,
    add_noise,
    device_noise,
    echo_fidelity,
    willow_pink,
    willow_rcs,
)


def make_circuit():
    """Qubit 2 begins late and idles, qubit 1 rests in the last moment; a virtual Z in between."""
    return Circuit(
        3,
        (
            (Operation(phased_x(0.5, 0.1), (0,)), Operation(phased_x(0.7, 0.2), (1,))),
            (Operation(iswap_like(), (0, 1)),),
            (Operation(pauli_gate("Z"), (1,)),),
            (Operation(phased_x(0.3, 0.4), (2,)),),
            (Operation(iswap_like(), (0, 1)),),
        ),
    )


def faults_on(noisy, qubits):
    return [fault for fault in noisy.faults if fault.qubits == qubits]


def test_a_qubit_idles_only_after_its_first_gate():
    noisy = add_noise(make_circuit(), NoiseModel(t1=50e-6))
    # Qubit 2 begins in moment 3 and idles in 4; 0 and 1 idle in 3 alone, for Z takes no time.
    assert [len(faults_on(noisy, (q,))) for q in range(3)] == [1, 1, 1]


def test_idling_lasts_as_long_as_the_slowest_gate_of_the_moment():
    model = NoiseModel(t1=50e-6, one_qubit_time=25e-9, two_qubit_time=42e-9)
    noisy = add_noise(make_circuit(), model)
    for qubit, time in ((0, 25e-9), (2, 42e-9)):
        found = faults_on(noisy, (qubit,))[0].channel.kraus[-1][0, 1]
        assert abs(found) ** 2 == pytest.approx(1 - math.exp(-time / 50e-6), rel=1e-9)


def test_gates_carry_their_pauli_error():
    noisy = add_noise(make_circuit(), NoiseModel(one_qubit_error=0.01, two_qubit_error=0.02))
    assert [len(f.qubits) for f in noisy.faults] == [1, 1, 2, 1, 2]
    found = [f.channel.pauli_error for f in noisy.faults]
    np.testing.assert_allclose(found, [0.01, 0.01, 0.02, 0.01, 0.02], rtol=1e-12)


def test_relaxation_during_gates_is_taken_out_of_the_quoted_error():
    model = replace(willow_rcs(), relax_in_gates=True)
    circuit = Circuit(2, ((Operation(iswap_like(), (0, 1)),),))
    noisy = add_noise(circuit, model)
    assert [len(f.qubits) for f in noisy.faults] == [1, 1, 2]
    clean = np.prod([1 - f.channel.pauli_error for f in noisy.faults])
    # Equal up to products of two errors of 1e-3.
    assert clean == pytest.approx(1 - model.two_qubit_error, abs=1e-6)


def test_over_rotation_is_taken_out_of_the_quoted_error():
    model = NoiseModel(two_qubit_error=0.01, theta_error=0.05, phi_error=0.05, seed=3)
    noisy = add_noise(Circuit(2, ((Operation(iswap_like(), (0, 1)),),)), model)
    played = next(step for step in noisy.steps if isinstance(step, Operation))
    overlap = np.trace(iswap_like().matrix().conj().T @ played.gate.matrix()) / 4
    assert 1 - abs(overlap) ** 2 > 1e-5
    total = 1 - abs(overlap) ** 2 + noisy.faults[0].channel.pauli_error
    assert total == pytest.approx(0.01, rel=1e-9)


def test_a_coupler_over_rotates_alike_each_time_but_not_backwards():
    gates = [iswap_like(), iswap_like(), iswap_like().inverse()]
    circuit = Circuit(2, tuple((Operation(g, (0, 1)),) for g in gates))
    noisy = add_noise(circuit, NoiseModel(theta_error=0.05))
    extra = [
        step.gate.parameters[0] - gate.parameters[0]
        for step, gate in zip(noisy.steps, gates, strict=True)
        if isinstance(step, Operation)
    ]
    assert extra[0] == extra[1] != 0
    assert abs(abs(extra[2]) - abs(extra[0])) > 1e-6


@pytest.mark.parametrize("gate", [Gate("cz"), fsim(0.3, 0.2), iswap_like()])
def test_over_rotation_follows_the_gate(gate):
    # fsim gates commute and their angles add up, so all kinds of gates carry the same extra turn.
    model = NoiseModel(theta_error=0.05, phi_error=0.07, seed=1)
    noisy = add_noise(Circuit(2, ((Operation(gate, (0, 1)),),)), model)
    other = add_noise(Circuit(2, ((Operation(fsim(0.1, 0.0), (0, 1)),),)), model)
    extra = noisy.steps[0].gate.matrix() @ gate.matrix().conj().T  # type: ignore[union-attr]
    expected = other.steps[0].gate.matrix() @ fsim(-0.1, 0.0).matrix()  # type: ignore[union-attr]
    np.testing.assert_allclose(extra, expected, atol=1e-14)


def test_scaling_scales_every_rate():
    model, twice = willow_rcs(), willow_rcs().scaled(2)
    assert twice.two_qubit_error == 2 * model.two_qubit_error
    assert twice.t1 == model.t1 / 2
    assert twice.readout_one == model.readout_one
    assert add_noise(make_circuit(), model.scaled(0)).faults == ()


def test_readout_is_an_average_over_flips():
    model = NoiseModel(readout_zero=0.02, readout_one=0.07)
    assert model.read_out(1.0) == pytest.approx(1 - 2 * 0.02)
    assert model.read_out(-1.0) == pytest.approx(-1 + 2 * 0.07)


def test_echo_fidelity_is_the_weight_of_no_error_in_the_filtered_circuit():
    layout = rectangle_layout(2, 3, 5)
    echo = make_echo(layout, random_circuit(layout.lattice, 5, seed=1))
    model = NoiseModel(one_qubit_error=1e-3, two_qubit_error=5e-3)
    literal, filtered = echo_circuit(echo, prune=False), echo_circuit(echo)
    virtual = sum(op.gate.name == "z" for op in filtered.operations())
    ones = filtered.n_operations - filtered.n_two_qubit - virtual
    expected = 0.999**ones * 0.995**filtered.n_two_qubit
    assert echo_fidelity(filtered, model) == pytest.approx(expected, rel=1e-12)
    assert echo_fidelity(literal, model) < echo_fidelity(filtered, model)
    idle = echo_fidelity(filtered, replace(model, t1=50e-6), idle=True)
    assert idle < echo_fidelity(filtered, model)


@pytest.mark.interop
def test_willow_pink_holds_the_medians_of_the_shipped_calibration():
    metrics = load_median_device_calibration("willow_pink")
    median = lambda name: np.median([float(v[0]) for v in metrics[name].values()])  # noqa: E731
    model = willow_pink()
    cycle = median("two_qubit_parallel_cz_gate_xeb_pauli_error_per_cycle")
    pairs = [
        (model.one_qubit_error, median("single_qubit_rb_pauli_error_per_gate")),
        (model.two_qubit_error + 2 * model.one_qubit_error, cycle),
        (model.t1, 1e-6 * median("single_qubit_idle_t1_micros")),
        (model.readout_zero, median("single_qubit_p00_error")),
        (model.readout_one, median("single_qubit_p11_error")),
    ]
    # The sheet rounds to three digits.
    np.testing.assert_allclose([a for a, _ in pairs], [b for _, b in pairs], rtol=5e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NoiseModel(two_qubit_error=-0.1), "`two_qubit_error` must lie between"),
        (lambda: NoiseModel(t_phi=0.0), "`t_phi` must be positive"),
        (lambda: NoiseModel(readout_one=0.7), "`readout_one` must lie between 0 and 0.5"),
        (lambda: willow_rcs().scaled(-1), "`factor` must lie between 0"),
        (lambda: willow_rcs().scaled(3000), "`one_qubit_error` must lie between"),
        (lambda: device_noise("sycamore"), "`name` must be one of willow_rcs"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
