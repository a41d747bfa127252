import math

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import (
    Gate,
    fsim,
    iswap_like,
    matrix_gate,
    pauli_gate,
    phased_x,
    rz,
)
from quantum.circuits.lattice import rectangle
from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.pauli import PauliString, random_paulis
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import Echo, echo_circuit, make_echo
from quantum.engines import dispatch, statevector, tensor_network

GATES = {
    "iswap_like": iswap_like(),
    "fsim": fsim(0.7, 0.3),
    "cz": Gate("cz"),
    "asymmetric": matrix_gate(np.kron(phased_x(0.4, 0.9).matrix(), np.eye(2)) @ fsim(1.1, 0.2).matrix()),
}  # fmt: skip


def echo_of(seed, two_qubit=None, n_cycles=6):
    layout = rectangle_layout(2, 3, n_cycles)
    unitary = random_circuit(layout.lattice, n_cycles, seed=seed, two_qubit=two_qubit)
    return make_echo(layout, unitary)


@pytest.fixture(scope="module")
def network():
    echo = Echo(random_circuit(rectangle(3, 3), 9, seed=1), 0, (4,))
    return tensor_network.expectation_network(echo_circuit(echo), echo.observable)


@pytest.mark.parametrize("name", GATES)
def test_echoes_agree_with_the_state_vector(name):
    for seed in range(3):
        echo = echo_of(seed, GATES[name])
        circuit = echo_circuit(echo)
        found = tensor_network.expectations([circuit], [echo.observable])[0, 0]
        exact = statevector.expectation(statevector.run(circuit), echo.observable)
        # A few hundred gates of rounding 1e-16 each.
        assert found == pytest.approx(exact, abs=1e-12)
        assert abs(exact) > 1e-4


def test_any_string_on_a_literal_circuit_agrees_too():
    circuit = random_circuit(rectangle(2, 3), 4, seed=5) + Circuit(
        6, ((Operation(rz(0.3), (2,)), Operation(phased_x(0.4, 1.0), (5,))),)
    )
    strings = random_paulis(6, 8, seed=3)
    exact = [statevector.expectation(statevector.run(circuit), s) for s in strings]
    found = tensor_network.expectations([circuit], strings)
    assert found[0] == pytest.approx(exact, abs=1e-13)
    single = tensor_network.expectations([circuit], strings, "single")
    assert single[0] == pytest.approx(exact, abs=1e-5)


@pytest.mark.parametrize("name", GATES)
def test_the_state_comes_out_with_qubit_0_first(name):
    circuit = random_circuit(rectangle(2, 2), 5, seed=7, two_qubit=GATES[name])
    assert tensor_network.state(circuit) == pytest.approx(statevector.run(circuit), abs=1e-13)


def test_the_common_call_knows_it_by_name():
    echo = echo_of(1)
    found = [
        dispatch.expectation(echo_circuit(echo), echo.observable, engine=name, precision="double")
        for name in ("tensor_network", "reference")
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-12)


def test_nothing_to_contract_is_still_a_number():
    idle = Circuit(3)
    turned = Circuit(3, ((Operation(pauli_gate("X"), (1,)),),))
    strings = [PauliString(), PauliString.parse("IZI"), PauliString.parse("IXI")]
    found = tensor_network.expectations([idle, turned], strings)
    assert found == pytest.approx(np.array([[1, 1, 0], [1, -1, 0]]))


def test_an_echo_without_butterfly_is_one_without_any_tensor():
    unitary = random_circuit(rectangle(3, 3), 6, seed=0)
    echo = Echo(unitary, 0, ())
    network = tensor_network.expectation_network(
        echo_circuit(echo, prune=False), PauliString.parse("Z" + 8 * "I")
    )
    assert network.n_tensors == 0
    assert tensor_network.contract(network) == pytest.approx(1)


def test_literal_and_pruned_circuit_give_the_same_network():
    echo = echo_of(2)
    pruned, literal = (
        tensor_network.expectation_network(echo_circuit(echo, prune=p), echo.observable)
        for p in (True, False)
    )
    assert pruned.n_tensors == literal.n_tensors
    assert tensor_network.contract(pruned) == pytest.approx(
        tensor_network.contract(literal), abs=1e-12
    )


def test_an_iswap_like_gate_is_a_matrix_between_two_wires():
    for gate, legs in ((iswap_like(), 2), (Gate("cz"), 2), (fsim(0.7, 0.3), 4)):
        circuit = random_circuit(rectangle(2, 2), 8, seed=0, two_qubit=gate)
        network = tensor_network.expectation_network(circuit, PauliString.parse("ZIII"))
        assert max(array.ndim for array in network.arrays) == legs


def test_a_sweep_costs_what_a_state_vector_costs(network):
    plan = tensor_network.search_plan(network, start="sweep")
    # One index more than qubits is open while a gate is taken in.
    assert plan.largest <= 2**10
    bound = network.n_tensors * 2 ** (9 + 2) * tensor_network.FLOPS_PER_MULTIPLY_ADD
    assert plan.flops < bound
    assert plan.n_slices == 1


def test_the_cost_of_a_chain_is_counted_by_hand():
    # vector . matrix . vector: 4 + 2 complex multiply-adds in the best order.
    tensors = (np.ones(2), np.ones((2, 2)), np.ones(2))
    chain = tensor_network.TensorNetwork(tensors, (("a",), ("a", "b"), ("b",)))
    plan = tensor_network.search_plan(chain, start="sweep")
    assert plan.flops == 8 * (4 + 2)
    assert tensor_network.contract(chain, plan) == pytest.approx(4)


def test_annealing_lowers_the_cost_and_keeps_the_value(network):
    first = tensor_network.search_plan(network, start="greedy")
    better = tensor_network.search_plan(network, start="greedy", sweeps=200)
    assert better.flops < first.flops
    exact = tensor_network.contract(network, tensor_network.search_plan(network))
    for plan in (first, better):
        assert tensor_network.contract(network, plan) == pytest.approx(exact, abs=1e-12)


def test_slices_keep_to_the_limit_and_add_up(network):
    whole = tensor_network.search_plan(network, sweeps=100)
    sliced = tensor_network.search_plan(network, sweeps=100, max_elements=2**7)
    assert sliced.largest <= 2**7 < whole.largest
    assert sliced.n_slices > 1
    assert sliced.flops > whole.flops
    at_once = tensor_network.search_plan(network, max_elements=2**7)  # no annealing, only slicing
    assert at_once.largest <= 2**7
    values = [tensor_network.contract(network, plan) for plan in (whole, sliced)]
    assert values[1] == pytest.approx(values[0], abs=1e-12)


def test_the_same_seed_finds_the_same_plan(network):
    plans = [tensor_network.search_plan(network, sweeps=50, seed=s) for s in (3, 3, 4)]
    assert plans[0].flops == plans[1].flops != plans[2].flops


def test_what_cannot_be_is_named(network):
    with pytest.raises(ValueError, match="`start` must be one of sweep"):
        tensor_network.search_plan(network, start="best")
    with pytest.raises(ValueError, match="`max_elements` must be at least 2"):
        tensor_network.search_plan(network, max_elements=1)
    with pytest.raises(ValueError, match="`sweeps` must be at least 0"):
        tensor_network.search_plan(network, sweeps=-1)
    with pytest.raises(ValueError, match="`circuit` must have at most 20 qubits"):
        tensor_network.state(Circuit(21))
    echo = Echo(random_circuit(rectangle(6, 6), 12, seed=0), 0, (14,))
    large = tensor_network.expectation_network(echo_circuit(echo), echo.observable)
    with pytest.raises(ValueError, match=r"must contract within 2\^27 elements here, but needs"):
        tensor_network.contract(large)
    assert math.isfinite(tensor_network.search_plan(large).flops)
