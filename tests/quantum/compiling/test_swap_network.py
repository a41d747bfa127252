import itertools

import numpy as np
import pytest

from quantum.compiling.swap_network import swap_network
from quantum.compiling.trotter import trotter_circuit
from quantum.engines import dispatch
from quantum.engines.statevector import run
from quantum.spins.hamiltonian import make_hamiltonian
from tests.exact.random_circuits import unitary


def random_hamiltonian(n, seed=0):
    rng = np.random.default_rng(seed)
    tensor = np.zeros((n, n, 3, 3))
    for i in range(n):
        for j in range(i):
            tensor[i, j] = rng.normal(size=(3, 3))
            tensor[j, i] = tensor[i, j].T
    return make_hamiltonian(tensor, rng.normal(size=(n, 3)))


def in_order(network):
    """Unitary with every spin put back on the qubit of its number."""
    n = network.circuit.n_qubits
    tensor = unitary(network.circuit).reshape((2,) * n + (2**n,))
    return tensor.transpose(*network.places, n).reshape(2**n, 2**n)


@pytest.mark.parametrize(
    ("n", "steps", "order"), [(2, 1, 1), (3, 2, 1), (4, 1, 1), (3, 1, 2), (4, 2, 2), (3, 1, 4)]
)
def test_a_network_is_the_product_formula_once_the_spins_are_in_order(n, steps, order):
    hamiltonian = random_hamiltonian(n)
    network = swap_network(hamiltonian, 0.6, steps, order=order)
    if order > 1 or steps == 1:
        wanted = unitary(trotter_circuit(hamiltonian, 0.6, steps, order=order))
    else:
        # The second first-order step starts from a reversed line and meets the pairs in another order.
        wanted, spins = np.eye(2**n), list(range(n))
        for _ in range(steps):
            pairs = []
            for layer in range(n):
                for left in range(layer % 2, n - 1, 2):
                    pairs.append((spins[left], spins[left + 1]))
                    spins[left : left + 2] = spins[left + 1], spins[left]
            step = trotter_circuit(hamiltonian, 0.6 / steps, 1, order=1, pairs=pairs)
            wanted = unitary(step) @ wanted
    np.testing.assert_allclose(in_order(network), wanted, atol=1e-10)


@pytest.mark.parametrize("n", [2, 5, 9, 15])
def test_every_pair_meets_once_among_neighbours_and_the_line_ends_reversed(n):
    network = swap_network(random_hamiltonian(n), 0.1, 1)
    assert network.places == tuple(range(n))[::-1]
    assert network.circuit.n_two_qubit == n * (n - 1) // 2
    line, met = list(range(n)), set()
    for operation in network.circuit.operations():
        if len(operation.qubits) == 2:
            left, right = operation.qubits
            assert right == left + 1
            met.add(frozenset((line[left], line[right])))
            line[left], line[right] = line[right], line[left]
    assert met == {frozenset(pair) for pair in itertools.combinations(range(n), 2)}


def test_two_networks_bring_the_spins_home():
    assert swap_network(random_hamiltonian(5), 0.1, 2).places == (0, 1, 2, 3, 4)
    assert swap_network(random_hamiltonian(5), 0.1, 1, order=2).places == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("engine", ["cirq", "qiskit"])
def test_engines_agree_on_the_state(engine):
    circuit = swap_network(random_hamiltonian(4), 0.6, 1, order=2).circuit
    found = dispatch.state(circuit, engine=engine, precision="double")
    assert abs(np.vdot(found, run(circuit))) == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 3}, "`order` must be 1, 2 or 4"),
        ({"n_steps": 0}, "`n_steps` must be at least 1"),
        ({"time": np.inf}, "`time` must be finite"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        swap_network(random_hamiltonian(3), **({"time": 1.0, "n_steps": 1} | arguments))
