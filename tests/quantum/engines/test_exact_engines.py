"""Every exact engine against dense matrices on hundreds of circuits of every gate, in both precisions."""

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.pauli import PauliString, random_paulis
from quantum.engines import dispatch
from tests.exact.random_circuits import dense, random_gate

TOLERANCES = {"single": 1e-5, "double": 1e-10}
# Places of gates in a group are the same, so that JAX compiles once for each: qubits, circuits.
GROUPS = [(3, 110), (4, 70), (5, 20)]
ONE_RUN = ("reference", "density_matrix", "pauli_propagation", "tensor_network")
PAULIS = {
    "I": np.eye(2),
    "X": np.array([[0, 1], [1, 0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]),
}


def places(n_qubits, rng):
    """Four moments of pairs in any direction, each among one-qubit gates on some of the qubits."""
    moments = []
    for _ in range(4):
        order = [int(q) for q in rng.permutation(n_qubits)]
        moments.append([(q,) for q in order if rng.random() < 0.7])
        moments.append([tuple(order[k : k + 2]) for k in range(0, n_qubits - 1, 2)])
    return [*moments, [(q,) for q in range(n_qubits)]]


def filled(n_qubits, moments, rng):
    """A circuit with gates of every kind in given places."""

    def draw(size):
        while True:
            gate = random_gate(rng)
            if gate.n_qubits == size:
                return gate

    return Circuit(
        n_qubits, tuple(tuple(Operation(draw(len(q)), q) for q in moment) for moment in moments)
    )


def dense_values(circuits, strings):
    """<P> by Kronecker products alone; shares nothing with an engine but the matrices of gates."""
    states = np.stack([dense(circuit)[:, 0] for circuit in circuits])
    found = []
    for letters in (dict(string.factors) for string in strings):
        matrix = np.eye(1)
        for qubit in range(circuits[0].n_qubits):
            matrix = np.kron(matrix, PAULIS[letters.get(qubit, "I")])
        found.append(np.einsum("ci,ij,cj->c", states.conj(), matrix, states).real)
    return np.stack(found, axis=1)


@pytest.fixture(scope="module")
def cases():
    """For every group its circuits, three strings, and the values by dense matrices."""
    found = []
    for seed, (n_qubits, n_circuits) in enumerate(GROUPS):
        rng = np.random.default_rng(seed)
        moments = places(n_qubits, rng)
        circuits = [filled(n_qubits, moments, rng) for _ in range(n_circuits)]
        # One string on all qubits, so that no engine leaves any of them out.
        full = PauliString.on({q: "XYZ"[int(rng.integers(3))] for q in range(n_qubits)})
        strings = [full, *random_paulis(n_qubits, 2, seed=seed)]
        found.append((circuits, strings, dense_values(circuits, strings)))
    return found


def test_there_are_hundreds_of_circuits_with_values_of_all_sizes(cases):
    values = np.concatenate([v.ravel() for _, _, v in cases])
    assert sum(len(circuits) for circuits, _, _ in cases) == 200
    assert values.std() > 0.2
    assert np.mean(np.abs(values) > 0.01) > 0.6


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("engine", dispatch.ENGINES)
def test_exact_engines_agree(engine, precision, cases):
    # Where both precisions are the same run, or the same search for an order, a fifth of the circuits shows it; of
    # those that search for an order at every value, every second is taken.
    step = 5 if precision == "single" and engine in ONE_RUN else 1 + (engine == "tensor_network")
    for circuits, strings, values in cases:
        found = dispatch.expectations(circuits[::step], strings, engine=engine, precision=precision)
        np.testing.assert_allclose(found, values[::step], rtol=0, atol=TOLERANCES[precision])
