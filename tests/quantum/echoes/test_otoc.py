import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, iswap_like, pauli_gate
from quantum.circuits.lattice import Lattice, rectangle
from quantum.circuits.layouts import echo_layout, rectangle_layout
from quantum.circuits.pauli import PauliString, random_paulis
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import Echo, correlator, echo_circuit, make_echo
from quantum.engines import dispatch
from tests.exact.random_circuits import dense, random_mixture


def drawn(seed):
    """An echo with everything at random: gates, size, order, letter, cut, butterflies."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    depth = int(rng.integers(1, 7))
    unitary = (
        random_mixture(n, 2 * depth, seed)
        if seed % 2
        else random_circuit(rectangle(1, n), depth, seed=seed, order="AB")
    )
    measured, *others = (int(q) for q in rng.permutation(n))
    struck = tuple(others[: int(rng.integers(1, len(others) + 1))])
    order, cut = int(rng.integers(1, 4)), int(rng.integers(2 * depth + 1))
    return Echo(unitary, measured, struck, order, "XYZ"[seed % 3], cut)


def value(circuit, echo):
    return dispatch.expectation(circuit, echo.observable, engine="reference", precision="double")


def matrix(string, n):
    return dense(Circuit(n, (string.moment(),)))


def by_matrices(echo, strings):
    """<U_k^dagger M U_k M> from dense matrices, written down from the definition."""
    n = echo.unitary.n_qubits
    m = matrix(echo.observable, n)
    b = matrix(PauliString.on(dict.fromkeys(echo.butterflies, echo.butterfly)), n)
    cut = echo.cut or 0
    first, second = dense(echo.unitary[:cut]), dense(echo.unitary[cut:])
    chosen = strings or (PauliString(),) * echo.order
    total = np.eye(2**n)
    for number, string in enumerate(chosen):
        s = matrix(string, n)
        turned = s @ second.conj().T @ b @ second @ s
        total = first.conj().T @ turned @ first @ (m if number else np.eye(2**n)) @ total
    return (total.conj().T @ m @ total @ m)[0, 0].real


@pytest.mark.parametrize("seed", range(60))
def test_pruned_is_literal_is_the_definition(seed):
    echo = drawn(seed)
    strings = random_paulis(echo.unitary.n_qubits, echo.order, seed=seed) if seed % 3 else ()
    pruned, literal = (echo_circuit(echo, strings, prune=p) for p in (True, False))
    assert pruned.n_operations <= literal.n_operations
    wanted = by_matrices(echo, strings)
    assert value(pruned, echo) == pytest.approx(wanted, abs=1e-12)
    assert value(literal, echo) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_an_echo_nobody_disturbs_comes_back_and_costs_nothing(order):
    echo = Echo(random_circuit(rectangle(2, 3), 5, seed=0), 2, (), order)
    # All loops cancel, and what is left are the M between them, which do not act on |0>.
    assert echo_circuit(echo).n_two_qubit == 0
    assert value(echo_circuit(echo), echo) == pytest.approx(1, abs=1e-14)
    assert value(echo_circuit(echo, prune=False), echo) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_a_butterfly_outside_the_cone_of_m_leaves_the_echo_at_1(order):
    # On a chain a layer reaches one step further: after 4 layers of AB no further than 4 sites.
    chain = rectangle(1, 8)
    far = Echo(random_circuit(chain, 4, seed=3, order="AB"), 0, (7,), order)
    assert value(echo_circuit(far, prune=False), far) == pytest.approx(1, abs=1e-13)
    near = Echo(far.unitary, 0, (1,), order)
    assert abs(value(echo_circuit(near, prune=False), near) - 1) > 0.01


@pytest.mark.parametrize("seed", range(12))
def test_clifford_circuits_give_plus_or_minus_1(seed):
    rng = np.random.default_rng(seed)
    n = 4
    moments = []
    for _ in range(8):
        moments.append(tuple(Operation(Gate(rng.choice(["h", "s", "x", "y"])), (q,)) for q in range(n)))  # fmt: skip
        a = int(rng.integers(n - 1))
        moments.append((Operation(Gate("cz") if seed % 2 else iswap_like(0), (a, a + 1)),))
    found = [
        value(echo_circuit(echo), echo)
        for butterfly in range(1, n)
        for echo in [Echo(Circuit(n, tuple(moments)), 0, (butterfly,), 1)]
    ]
    np.testing.assert_allclose(np.abs(found), 1, atol=1e-12)


def test_some_clifford_circuit_gives_minus_1():
    # X spreads to X Z over a CZ after H: B(t) anticommutes with M.
    flips = Circuit(2, ((Operation(Gate("h"), (0,)),), (Operation(Gate("cz"), (0, 1)),)))
    assert correlator(Echo(flips, 0, (0,), 1)) == pytest.approx(1, abs=1e-6)
    struck = Echo(flips, 0, (0,), 1, butterfly="Z")
    assert correlator(struck) == pytest.approx(-1, abs=1e-6)


def test_order_1_is_the_commutator_of_b_and_m():
    # Re <B(t) M B(t) M> = 1 - <|[B(t), M]|^2> / 2.
    unitary = random_circuit(rectangle(2, 2), 3, seed=2)
    u, n = dense(unitary), 4
    b, m = (matrix(PauliString.on({q: letter}), n) for q, letter in ((3, "X"), (0, "Z")))
    moved = u.conj().T @ b @ u
    commutator = moved @ m - m @ moved
    wanted = 1 - (commutator.conj().T @ commutator)[0, 0].real / 2
    echo = Echo(unitary, 0, (3,), 1)
    assert value(echo_circuit(echo), echo) == pytest.approx(wanted, abs=1e-13)


def test_mean_over_all_strings_keeps_only_pairs_of_paulis():
    # Two qubits: all 16 x 16 pairs of strings, against the sum over pairs of Pauli coefficients of B(t) at the cut.
    n, unitary, cut = 2, random_mixture(2, 6, 5), 2
    echo = Echo(unitary, 0, (1,), 2, "X", cut)
    letters = [PauliString.parse(a + b) for a in "IXYZ" for b in "IXYZ"]
    values = [value(echo_circuit(echo, (s, t)), echo) for s in letters for t in letters]
    late, early = dense(unitary[cut:]), dense(unitary[:cut])
    at_cut = late.conj().T @ np.kron(np.eye(2), pauli_gate("X").matrix()) @ late
    paulis = [matrix(s, n) for s in letters]
    weights = [abs(np.trace(p @ at_cut) / 4) ** 2 for p in paulis]
    m = matrix(echo.observable, n)
    turned = [early.conj().T @ p @ early for p in paulis]
    pairs = sum(
        wa * wb * (pa @ m @ pb @ m @ pb @ m @ pa @ m)[0, 0].real
        for wa, pa in zip(weights, turned, strict=True)
        for wb, pb in zip(weights, turned, strict=True)
    )
    assert np.mean(values) == pytest.approx(pairs, abs=1e-13)
    assert np.std(values) > 0.01


def test_the_published_cut_counts_moments():
    layout = echo_layout(18)
    echo = make_echo(layout, random_circuit(layout.lattice, 14, seed=0))
    assert echo.cut == 14 // 2 + 2


def test_pruning_an_18_qubit_echo_takes_out_two_fifths_of_its_couplers():
    layout = echo_layout(18)
    echo = make_echo(layout, random_circuit(layout.lattice, 14, seed=0))
    literal, pruned = (echo_circuit(echo, prune=p).n_two_qubit for p in (False, True))
    assert pruned < 0.6 * literal


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda u: Echo(u, 4, (1,)), r"`measured` must lie on the lattice \(0 to 3\), but is 4"),
        (lambda u: Echo(u, 0, (9,)), "`butterflies` must lie on the lattice"),
        (lambda u: Echo(u, 0, (1,), 0), "`order` must be at least 1, but is 0"),
        (lambda u: Echo(u, 0, (1,), butterfly="I"), "`butterfly` must be one of X, Y, Z"),
        (lambda u: Echo(u, 0, (1,), cut=99), "`cut` must lie between 0 and the 6 moments of U, but is 99"),
        (lambda u: make_echo(rectangle_layout(2, 3, 3), u), "`unitary` must have 6 qubits like the layout, but has 4"),
        (lambda u: echo_circuit(Echo(u, 0, (1,)), (PauliString(),) * 2), "`cut` of the echo must be set"),
        (lambda u: echo_circuit(Echo(u, 0, (1,), cut=1), (PauliString(),)), "each of 2 loops, but holds 1"),
    ],
)  # fmt: skip
def test_what_is_no_echo_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(random_circuit(Lattice(((0, 0), (0, 1), (1, 0), (1, 1))), 3, seed=0))
