import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation, light_cone
from quantum.circuits.gates import Gate, fsim, matrix_gate
from quantum.circuits.layouts import echo_layout, rectangle_layout
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import echo_circuit, make_echo
from quantum.engines import dispatch
from quantum.engines.jax_engine import expectation_of_angles
from quantum.inference.fitting import fit
from quantum.inference.likelihood import Gaussian
from quantum.inference.phase_response import (
    curves,
    half_width,
    middle_coupler,
    n_harmonics,
    phase_model,
    phase_response,
    with_phase,
)

LAYOUT = rectangle_layout(2, 3, 8)
COUPLER = middle_coupler(LAYOUT)
UNITARY = random_circuit(LAYOUT.lattice, 8, seed=5)
OBSERVABLE = make_echo(LAYOUT, UNITARY).observable
PHASES = np.array([0.3, 1.885, 4.4])


def build(order):
    def circuit(phase):
        unitary = with_phase(UNITARY, COUPLER, phase)
        if order == 0:
            return light_cone(unitary, (LAYOUT.measured,))
        return echo_circuit(make_echo(LAYOUT, unitary, order=order))

    return circuit


@pytest.fixture(scope="module")
def responses():
    return {
        k: phase_response([build(k)], OBSERVABLE, engine="reference", precision="double")
        for k in (0, 1, 2)
    }


@pytest.mark.parametrize("order", [0, 1, 2])
def test_few_phases_give_the_curve_everywhere(responses, order):
    circuits = [build(order)(phase) for phase in PHASES]
    wanted = dispatch.expectations(circuits, [OBSERVABLE], engine="reference", precision="double")
    np.testing.assert_allclose(curves(responses[order], PHASES)[0], wanted[:, 0], atol=1e-12)


def test_an_echo_of_order_k_has_up_to_2_k_n_harmonics(responses):
    # Two uses of the coupler, one of them outside the cone of M.
    assert sum(set(op.qubits) == set(COUPLER) for op in UNITARY.operations()) == 2
    found = {k: n_harmonics(build(k)) for k in (0, 1, 2)}
    assert found == {0: 1, 1: 2, 2: 4}
    # The highest one is really there, so fewer phases would not do.
    for k, count in found.items():
        assert abs(responses[k][0, count]) > 1e-4


def test_the_slope_is_the_gradient_through_the_circuit(responses):
    circuit = build(1)(1.885)
    gates = [k for k, op in enumerate(circuit.operations()) if set(op.qubits) == set(COUPLER)]
    value, angles = expectation_of_angles(circuit, OBSERVABLE, gates)
    sign = np.sign(angles[:, 1])
    assert np.all(np.abs(angles[:, 1]) == 1.885)
    gradient = jax.jit(jax.grad(lambda a: value(a)))(jnp.asarray(angles))
    model = phase_model(responses[1])
    slope = model.jacobian(np.array([1.885]))[0, 0]
    assert slope == pytest.approx(float(sign @ np.asarray(gradient)[:, 1]), rel=1e-6)


def test_the_model_is_the_curve_and_finds_the_phase(responses):
    circuits = [random_circuit(LAYOUT.lattice, 8, seed=seed) for seed in range(4)]
    builds = [
        lambda p, u=u: light_cone(with_phase(u, COUPLER, p), (LAYOUT.measured,)) for u in circuits
    ]
    harmonics = phase_response(builds, OBSERVABLE, engine="reference", precision="double")
    model = phase_model(harmonics)
    exact = model.predict(np.array([0.6 * np.pi]))
    np.testing.assert_allclose(exact, curves(harmonics, np.array([0.6 * np.pi]))[:, 0], atol=1e-12)
    found = fit(model, Gaussian(exact, np.full(4, 1e-3)))
    assert found.values[0] == pytest.approx(0.6 * np.pi, abs=1e-6)


def test_the_middle_coupler_lies_halfway_on_a_shortest_way():
    for layout in (rectangle_layout(3, 4, 8), echo_layout(18)):
        a, b = middle_coupler(layout)
        near = layout.lattice.distances(layout.measured)
        far = layout.lattice.distances(layout.butterflies[0])
        assert near[a] + far[a] == near[layout.butterflies[0]] == near[b] + far[b]
        assert abs(near[a] + near[b] - far[a] - far[b]) <= 2
        sites = np.array(layout.lattice.sites)
        middle = (sites[layout.measured] + sites[layout.butterflies[0]]) / 2
        assert np.hypot(*((sites[a] + sites[b]) / 2 - middle)) < 0.8


def test_the_phase_of_a_gate_is_found_by_its_matrix():
    swap = matrix_gate(np.eye(4)[[0, 2, 1, 3]])
    moments = [(Operation(gate, (1, 0)),) for gate in (Gate("cz"), fsim(0.3, 0.1), swap)]
    turned = with_phase(Circuit(2, tuple(moments[:2])), (0, 1), 1.0)
    assert [op.gate for op in turned.operations()] == [fsim(0.0, 1.0), fsim(0.3, 1.0)]
    with pytest.raises(ValueError, match=r"carry fsim gates alone, but .* carries `matrix`"):
        with_phase(Circuit(2, tuple(moments)), (0, 1), 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: with_phase(UNITARY, (0, 5), 1.0), "`coupler` must carry an fsim"),
        (lambda: phase_response([], OBSERVABLE), "`builds` must hold at least one"),
        (lambda: n_harmonics(lambda p: UNITARY if p < 1 else UNITARY[:2]), "`build` must place"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_half_width_is_where_the_cost_reaches_half_of_its_mean():
    phases = np.linspace(0, 2 * np.pi, 4001)
    # 1 - cos has the mean 1 and reaches 1/2 at 60 degrees, also across the end of the period.
    for truth in (1.0, 0.2, 6.0):
        found = half_width(phases, 1 - np.cos(phases - truth), truth)
        assert found == pytest.approx(np.pi / 3, abs=2e-3)
