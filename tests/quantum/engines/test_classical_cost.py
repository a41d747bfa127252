import math

import numpy as np
import pytest

from quantum.circuits.lattice import rectangle
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.pauli_paths import sample_off_diagonal
from quantum.engines import classical_cost as cost
from quantum.engines.pauli_propagation import propagate_paulis

FRONTIER = cost.make_frontier()


def test_frontier_in_single_precision_lies_above_its_linpack_in_double():
    # Linpack 1.102 EFLOP/s; the vector peak in single equals that in double, so it must lie above, not far.
    assert 1.102e18 < FRONTIER.peak_flops < 2 * 1.102e18
    # Half of 9.2 PB is high-bandwidth memory.
    assert FRONTIER.memory_bytes / 2**50 == pytest.approx(4.6, abs=0.05)


def test_state_vectors_of_the_fact_sheet():
    # 8 bytes an amplitude: 2^32 is 34 GB, 36 qubits 550 GB, 40 qubits 8.8 TB in complex64.
    sizes = [cost.state_vector_cost(n, 1, FRONTIER).memory_bytes for n in (32, 36, 40)]
    assert sizes == pytest.approx([34e9, 550e9, 8.8e12], rel=0.02)
    assert cost.state_vector_cost(49, 1, FRONTIER).fits
    assert not cost.state_vector_cost(50, 1, FRONTIER).fits


def test_a_gate_by_matrix_product_counts_the_same_operations():
    # A 4 x 4 matrix on 2^n / 4 columns: 4 x 4 x 2^n / 4 complex multiply-adds of 8 flop.
    assert cost.state_vector_cost(10, 3, FRONTIER).flops == 3 * 8 * 4 * 4 * 2**10 / 4


def test_a_state_vector_is_bound_by_memory_and_a_contraction_by_arithmetic():
    vector = cost.state_vector_cost(36, 100, cost.make_frontier(1.0))
    assert vector.seconds == pytest.approx(100 * 2 * vector.memory_bytes / FRONTIER.bandwidth)
    plan = cost.contraction_cost(1e24, 2**20, FRONTIER)
    assert plan.seconds == pytest.approx(1e24 / (0.2 * 37632 * 47.8e12))
    half = cost.contraction_cost(1e24, 2**20, cost.make_frontier(0.1))
    assert half.seconds == pytest.approx(2 * plan.seconds)


def test_pauli_strings_fill_the_cone_and_never_more():
    circuit = random_circuit(rectangle(1, 4), 24, seed=3)
    evolved = propagate_paulis(circuit, PauliString.parse("IIIX"))
    # All but the identity, which keeps its weight of zero.
    assert evolved.n_terms == 4**4 - 1
    assert cost.pauli_strings_cost(4, 1, FRONTIER).flops == 32 * 4**4


@pytest.fixture(scope="module")
def evolved():
    return propagate_paulis(random_circuit(rectangle(2, 2), 24, seed=1), PauliString.parse("IIIX"))


def test_the_spread_of_drawn_loops_follows_the_formula(evolved):
    n_samples = 20000
    _, error = sample_off_diagonal(evolved, PauliString.parse("ZIII"), n_samples, seed=0)
    measured = error * math.sqrt(n_samples)
    # The coefficients of 255 strings are Gaussian only roughly: L^6 strays by some 10 % from circuit to circuit.
    assert measured == pytest.approx(cost.loop_sample_sd(evolved.n_terms), rel=0.1)


def test_the_spread_of_gaussian_coefficients_is_exact():
    b = np.random.default_rng(0).normal(size=400_000)
    b /= np.linalg.norm(b)
    total = np.abs(b).sum()
    # L^3 sum over all loops of |b_a b_b b_c| b_d^2, d running over every string in turn; half of them count.
    variance = total**6 * np.mean(b**2) / 2
    # L has a relative error of 0.76 / sqrt(n), so L^3 one of 0.4 %.
    assert math.sqrt(variance) == pytest.approx(cost.loop_sample_sd(len(b)), rel=0.015)


def test_samples_needed_bring_the_error_down_as_asked():
    rng = np.random.default_rng(1)
    samples = cost.samples_needed(2.0, 3.0, 1.5)
    assert samples == 16
    means = rng.normal(scale=3.0, size=(20000, 16)).mean(axis=1)
    assert 1.5 / means.std() == pytest.approx(2.0, rel=0.02)  # 0.5 % standard error


def test_monte_carlo_grows_by_sixteen_for_each_qubit():
    ten, eleven = (cost.monte_carlo_cost(n, 0.01, FRONTIER) for n in (10, 11))
    assert eleven.flops == pytest.approx(16 * ten.flops)
    finer = cost.monte_carlo_cost(10, 0.01, FRONTIER, signal_to_noise=3)
    assert finer.flops == pytest.approx(9 * ten.flops)


def test_kept_strings_and_a_measured_spread_replace_the_ceilings():
    most, kept = (cost.pauli_strings_cost(10, 7, FRONTIER, n_strings=n) for n in (None, 4**9))
    assert (kept.flops, kept.memory_bytes) == (most.flops / 4, most.memory_bytes / 4)
    whole, half = (
        cost.monte_carlo_cost(10, 0.01, FRONTIER, sample_sd=s)
        for s in (None, cost.loop_sample_sd(4.0**10) / 2)
    )
    assert half.flops == pytest.approx(whole.flops / 4)


def test_what_cannot_be_is_named():
    with pytest.raises(ValueError, match="`n_strings` must lie between"):
        cost.pauli_strings_cost(3, 1, FRONTIER, n_strings=65)
    with pytest.raises(ValueError, match="`efficiency` must lie between"):
        cost.make_frontier(1.5)
    with pytest.raises(ValueError, match="`signal_sd` must be positive"):
        cost.monte_carlo_cost(10, 0.0, FRONTIER)
    with pytest.raises(ValueError, match="`n_qubits` must be at least 1"):
        cost.state_vector_cost(0, 1, FRONTIER)
    with pytest.raises(ValueError, match="`peak_flops` must be positive"):
        cost.Machine("none", -1.0, 1.0, 1.0, 0.5)
    with pytest.raises(ValueError, match="`n_strings` must be at least 1"):
        cost.loop_sample_sd(0)
