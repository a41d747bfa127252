import math

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation, restrict
from quantum.circuits.gates import Gate, fsim, matrix_gate, phased_x, rz
from quantum.circuits.lattice import rectangle, willow
from quantum.circuits.pauli import PauliString, random_paulis
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import Echo, echo_circuit
from quantum.engines import pauli_propagation, statevector
from quantum.engines.pauli_propagation import Truncation, propagate_paulis
from tests.exact.random_circuits import unitary

LATTICE = rectangle(2, 3)
X2 = PauliString.on({2: "X"})


def random_unitary(size, seed):
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
    return np.linalg.qr(drawn)[0]


def every_gate(seed):
    """Each kind of gate, on pairs in both directions, so that no order of qubits can be swapped unseen."""
    rng = np.random.default_rng(seed)
    gates = [phased_x(*rng.uniform(-3, 3, 2)), rz(rng.uniform(-3, 3)), fsim(*rng.uniform(-3, 3, 2)),
             Gate("cz"), Gate("h"), Gate("s"), Gate("s_dagger"), Gate("x"), Gate("y"), Gate("z"),
             matrix_gate(random_unitary(2, seed)), matrix_gate(random_unitary(4, seed))]  # fmt: skip
    moments = []
    for index in rng.permutation(3 * len(gates)):
        gate = gates[index % len(gates)]
        qubits = tuple(int(q) for q in rng.permutation(4)[: gate.n_qubits])
        moments.append((Operation(gate, qubits),))
    return Circuit(4, tuple(moments))


@pytest.fixture(scope="module")
def circuit():
    return random_circuit(LATTICE, 5, seed=4)


@pytest.fixture(scope="module")
def evolved(circuit):
    return propagate_paulis(circuit, X2)


@pytest.fixture(scope="module")
def truncated(circuit):
    return propagate_paulis(circuit, X2, Truncation(min_coefficient=0.02))


@pytest.mark.parametrize("seed", range(4))
def test_expectations_with_every_gate_are_those_of_the_state(seed):
    circuit = every_gate(seed)
    strings = random_paulis(4, 6, seed=seed)
    found = pauli_propagation.expectations([circuit], strings)
    # 36 gates of rounding 1e-16 on up to 256 strings.
    np.testing.assert_allclose(
        found, statevector.expectations([circuit], strings), rtol=0, atol=1e-12
    )


def test_nothing_is_lost_without_truncation(evolved):
    assert evolved.norm_squared == pytest.approx(1, abs=1e-12)
    assert len(set(evolved.strings())) == evolved.n_terms > 500


def test_the_map_from_the_zero_state_is_the_echo_of_every_measured_qubit(circuit, evolved):
    echoes = [Echo(circuit, q, (2,), order=1) for q in range(6)]
    exact = [
        statevector.expectation(statevector.run(echo_circuit(e)), e.observable) for e in echoes
    ]
    np.testing.assert_allclose(pauli_propagation.zero_state_map(evolved), exact, atol=1e-12)
    assert np.ptp(exact) > 0.3


def test_the_map_at_infinite_temperature_is_the_trace(circuit, evolved):
    u = unitary(circuit)
    b = u.conj().T @ unitary(Circuit(6, (X2.moment(),))) @ u
    traces = []
    for q in range(6):
        m = unitary(Circuit(6, (PauliString.on({q: "Z"}).moment(),)))
        traces.append(np.trace(b @ m @ b @ m).real / 64)
    found = pauli_propagation.infinite_temperature_map(evolved)
    np.testing.assert_allclose(found, traces, atol=1e-12)
    y0 = PauliString.on({0: "Y", 3: "X"})
    m = unitary(Circuit(6, (y0.moment(),)))
    assert pauli_propagation.infinite_temperature_otoc(evolved, y0) == pytest.approx(
        np.trace(b @ m @ b @ m).real / 64, abs=1e-12
    )


def test_what_is_dropped_is_what_is_missing():
    # After a single gate, all that is missing from the whole sum was dropped at once.
    one = Circuit(2, ((Operation(fsim(0.3, 0.2), (0, 1)),),))
    kept = propagate_paulis(one, PauliString.on({0: "X"}), Truncation(max_terms=2))
    whole = propagate_paulis(one, PauliString.on({0: "X"}))
    assert (kept.n_terms, whole.n_terms > 3) == (2, True)
    both = [np.abs(k.coefficients).sum() for k in (whole, kept)]
    assert kept.dropped_sum == pytest.approx(both[0] - both[1], abs=1e-14)
    assert kept.norm_squared + kept.dropped_norm**2 == pytest.approx(1, abs=1e-14)


def test_errors_of_truncation_stay_within_their_bounds(circuit, evolved, truncated):
    assert truncated.norm_squared < 0.99
    exact, kept = evolved.zero_state_expectation(), truncated.zero_state_expectation()
    assert 0 < abs(exact - kept) <= truncated.dropped_sum
    # The error operator is the difference of the sums, and its norm is at most what was dropped.
    whole = dict(zip(evolved.strings(), evolved.coefficients, strict=True))
    part = dict(zip(truncated.strings(), truncated.coefficients, strict=True))
    distance = math.sqrt(sum((b - part.get(a, 0.0)) ** 2 for a, b in whole.items()))
    assert math.sqrt(1 - truncated.norm_squared) / 3 < distance <= truncated.dropped_norm
    for zero_state, found in (
        (False, pauli_propagation.infinite_temperature_map),
        (True, pauli_propagation.zero_state_map),
    ):
        error = np.abs(found(evolved) - found(truncated)).max()
        assert 0 < error <= pauli_propagation.otoc_bound(truncated, zero_state=zero_state)


def test_the_error_falls_as_less_is_dropped(circuit, evolved):
    errors = []
    for terms in (30, 300, 3000):
        kept = propagate_paulis(circuit, X2, Truncation(max_terms=terms))
        assert kept.n_terms <= terms
        errors.append(1 - kept.norm_squared)
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    light = propagate_paulis(circuit, X2, Truncation(max_weight=2))
    assert max(s.weight for s in light.strings()) == 2


def test_a_chip_of_105_qubits_costs_no_more_than_its_cone():
    chip = willow()
    struck = PauliString.on({52: "X"})
    evolved = propagate_paulis(random_circuit(chip, 2, seed=0), struck)
    assert evolved.norm_squared == pytest.approx(1, abs=1e-12)
    found = pauli_propagation.infinite_temperature_map(evolved)
    far = chip.distances(52) > 4
    np.testing.assert_allclose(found[far], 1, atol=1e-12)
    assert found[52] < 0.9


def test_a_circuit_cut_down_to_its_qubits_gives_the_same_echo():
    chip = willow()
    echo = Echo(random_circuit(chip, 3, seed=1), 52, (53,), order=1)
    small, kept = restrict(echo_circuit(echo), keep=[52, 104])
    assert small.n_qubits == len(kept) < 16
    assert 104 in kept
    number = kept.index(52)
    state = statevector.run(small)
    evolved = propagate_paulis(echo.unitary, PauliString.on({53: "X"}))
    found = statevector.expectation(state, PauliString.on({number: "Z"}))
    assert found == pytest.approx(pauli_propagation.zero_state_map(evolved)[52], abs=1e-12)
    assert abs(found) < 0.99
    assert restrict(Circuit(5)) == (Circuit(1), (0,))


def test_propagation_can_stop_at_a_number_of_strings_and_go_on(circuit, evolved):
    part, rest = pauli_propagation.propagate_while(circuit, X2, 200)
    assert 10 < part.n_terms <= 200
    total = 0.0
    for string, weight in zip(part.strings(), part.coefficients, strict=True):
        total += weight * propagate_paulis(rest, string).zero_state_expectation()
    assert total == pytest.approx(evolved.zero_state_expectation(), abs=1e-12)


def test_bad_input_is_named(circuit):
    with pytest.raises(ValueError, match="`max_terms` must be at least 1, but is 0"):
        Truncation(max_terms=0)
    with pytest.raises(ValueError, match="`min_coefficient` must lie between 0 and 1"):
        Truncation(min_coefficient=-0.1)
    with pytest.raises(ValueError, match="`strings` must act on qubits 0 to 5"):
        propagate_paulis(circuit, PauliString.on({6: "Z"}))


def test_more_strings_than_memory_are_refused_before_they_are_made(circuit, monkeypatch):
    monkeypatch.setattr(pauli_propagation, "_MOST_TERMS", 500)
    with pytest.raises(
        ValueError, match=r"at most 5\.0e\+02 Pauli strings .* give `propagate_paulis` a"
    ):
        pauli_propagation.expectations([circuit], [X2])
    assert propagate_paulis(circuit, X2, Truncation(max_terms=100)).dropped_sum > 0
    monkeypatch.setattr(pauli_propagation, "_MOST_TERMS", 100_000_000)
    monkeypatch.setattr(pauli_propagation, "available_bytes", lambda: 10**6)
    with pytest.raises(ValueError, match="to fit into memory"):
        pauli_propagation._check_terms(10**8, 80)
