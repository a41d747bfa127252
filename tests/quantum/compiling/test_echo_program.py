"""Tests of echo programs: product formulas as special cases, exact pruning, budgets, bad input."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg

from quantum.compiling.echo_program import (
    EchoProgram,
    PairClass,
    decomposed,
    first_order,
    plan,
)
from quantum.compiling.program_gates import pair_gates, program_circuit
from quantum.compiling.swap_network import swap_network
from quantum.compiling.trotter import pair_matrix, trotter_circuit
from quantum.nmr.average_hamiltonian import reversible_hamiltonian
from quantum.nmr.strike import butterfly
from quantum.spins.dipolar import TOLUENE_SAUPE, molecule_couplings
from quantum.spins.hamiltonian import dense, spin_product
from quantum.spins.molecule import toluene

KEEP = (0, 1, 2, 4, 6, 7)  # 13C, H1, an ortho, a meta and two methyl protons of toluene
STRUCK = (4, 5)
TIME = 0.75e-3


@pytest.fixture(scope="module")
def molecule():
    table = np.asarray(molecule_couplings(toluene(), TOLUENE_SAUPE))[np.ix_(KEEP, KEEP)]
    return reversible_hamiltonian(table)


def embedded(pair, matrix, n_spins):
    """A pair's gate as a matrix on all spins, by permuting axes."""
    rest = [k for k in range(n_spins) if k not in pair]
    whole = np.kron(matrix, np.eye(2 ** len(rest))).reshape(2 * n_spins * (2,))
    order = np.argsort([*pair, *rest])
    return whole.transpose([*order, *(order + n_spins)]).reshape(2 * (2**n_spins,))


def unitary(program, molecule, time):
    tensors = np.asarray(molecule.couplings)
    found = np.eye(2**molecule.n_spins, dtype=complex)
    for gate in pair_gates(program, time):
        found = embedded(gate.spins, pair_matrix(tensors[gate.spins], gate.duration), 6) @ found
    return found


def trace_echo(evolution):
    """The echo as the sheet defines it, Tr[S_x W S_x W^dag] / Tr[S_x^2], from dense matrices."""
    strike = np.kron(np.eye(2), np.asarray(butterfly(5, [k - 1 for k in STRUCK], np.pi)))
    loop = evolution.conj().T @ strike @ evolution
    probe = spin_product(6, {0: 0})
    return np.trace(probe @ loop @ probe @ loop.conj().T).real / np.trace(probe @ probe).real


def circuit_matrix(circuit):
    found = np.eye(2**circuit.n_qubits, dtype=complex)
    for operation in circuit.operations():
        found = embedded(operation.qubits, operation.gate.matrix(), circuit.n_qubits) @ found
    return found


@pytest.mark.parametrize("order", [1, 2, 4])
def test_uniform_program_is_the_product_formula(molecule, order):
    program = first_order(6, STRUCK, 1, order=order)
    time = TIME if order < 4 else TIME / 2
    formula = trotter_circuit(molecule, time, program.steps_at(time), order=order)
    assert np.abs(unitary(program, molecule, time) - circuit_matrix(formula)).max() < 1e-12


def test_alternating_sweeps_are_second_order(molecule):
    alternating = replace(first_order(6, STRUCK, 2), symmetric_from=1)
    steps = alternating.steps_at(TIME)
    assert steps % 2 == 0
    found = unitary(alternating, molecule, TIME)
    formula = trotter_circuit(molecule, TIME, steps // 2, order=2)
    assert np.abs(found - circuit_matrix(formula)).max() < 1e-12


def staggered(molecule, pruned):
    """A program that uses every ingredient."""
    program = replace(first_order(6, STRUCK, 2), symmetric_from=2, modulation=(0.2, -0.1))
    program = decomposed(program, np.asarray(molecule.couplings), shares=(2, 1, 0.5))
    classes = tuple(
        replace(group, rescaling=(0.03 * k, -0.01 * k)) for k, group in enumerate(program.classes)
    )
    return replace(program, classes=classes, pruned=pruned)


def test_pruning_does_not_change_the_echo(molecule):
    whole = staggered(molecule, False)
    pruned = replace(whole, pruned=True, budget=0, growth=0)
    whole = replace(whole, budget=0, growth=0)
    assert len(pair_gates(pruned, TIME)) < len(pair_gates(whole, TIME))
    echoes = [trace_echo(unitary(program, molecule, TIME)) for program in (whole, pruned)]
    assert echoes[0] < 0.99  # the butterfly is felt
    assert echoes[0] == pytest.approx(echoes[1], abs=1e-12)


def test_error_vanishes_with_steps(molecule, monkeypatch):
    """A staggered program is a consistent formula: at zero rescaling, quadratically where it alternates."""
    exact = scipy.linalg.expm(-1j * dense(molecule) * TIME)
    base = staggered(molecule, False)
    base = replace(base, classes=tuple(replace(g, rescaling=(0, 0)) for g in base.classes))
    base = replace(base, modulation=(), growth=0)
    misses = []
    for steps in (8, 16):  # multiples of 4, so that every class alternates in whole pairs
        monkeypatch.setattr(EchoProgram, "steps_at", lambda self, time, n=steps: n)
        misses.append(np.abs(unitary(base, molecule, TIME) - exact).mean())
    assert misses[0] < 0.1
    assert 1.8 < np.log2(misses[0] / misses[1]) < 2.2


def test_durations_of_each_pair_add_up_to_the_rescaled_time(molecule):
    program = staggered(molecule, False)
    lasting: dict = {}
    for gate in pair_gates(program, TIME):
        lasting[gate.spins] = lasting.get(gate.spins, 0) + gate.duration
    for group in program.classes:
        r, slope = group.rescaling
        expected = TIME * (1 + r + slope * TIME / program.time_scale)
        assert [lasting[p] for p in group.pairs] == pytest.approx(len(group.pairs) * [expected])


def test_weak_pairs_come_seldom_and_counts_keep_to_the_budget(molecule):
    program = staggered(molecule, False)
    steps = program.steps_at(4 * TIME)
    times = [sum(owner == k for owner in plan(program, 4 * TIME).owners) for k in range(3)]
    assert times == [2 * steps, steps, round(steps / 2)]
    for time in (TIME, 2 * TIME, 4 * TIME):
        allowed = program.budget * (time / program.time_scale) ** program.growth
        assert program.count(time) <= allowed
        assert program.count(time) == len(pair_gates(program, time))


def test_steps_grow_with_the_power_of_time():
    for growth in (0, 1, 2):
        program = replace(first_order(6, STRUCK, 4), growth=growth)
        found = [program.steps_at(k * program.time_scale) for k in (1, 3)]
        ratio = found[1] / found[0]
        assert ratio == pytest.approx(
            3**growth, rel=0.1
        )  # fused gates make a step a little cheaper


def test_modulation_lengthens_late_steps():
    program = replace(first_order(6, STRUCK, 4), modulation=(0.5,))
    lasting = [g.duration for g in pair_gates(program, TIME) if g.spins == (1, 2)]
    assert len(lasting) > 2
    assert np.all(np.diff(lasting) > 0)
    assert sum(lasting) == pytest.approx(TIME)


def test_counts_agree_with_a_swap_network(molecule):
    """Without merging across steps a first-order step is one network, a gate for every meeting."""
    program = first_order(6, STRUCK, 1)
    network = swap_network(molecule, 2 * program.time_scale, 2)
    merged = sum(len(events) - 1 for _, _, events in plan(program, 2 * program.time_scale).gates)
    assert program.count(2 * program.time_scale) + merged == network.circuit.n_two_qubit


def test_circuit_holds_the_gates(molecule):
    program = staggered(molecule, True)
    circuit = program_circuit(program, molecule, TIME)
    assert circuit.n_two_qubit == program.count(TIME)
    assert np.abs(circuit_matrix(circuit) - unitary(program, molecule, TIME)).max() < 1e-12


def test_bad_input_is_named(molecule):
    group = PairClass(((0, 1),))
    with pytest.raises(ValueError, match="`classes` must name every pair"):
        EchoProgram((group, PairClass(((1, 0),))), (2,), 10)
    with pytest.raises(ValueError, match="`struck` must not hold the probe"):
        first_order(6, (0,))
    with pytest.raises(ValueError, match="`order` must be 1, 2 or 4"):
        first_order(6, STRUCK, order=3)
    with pytest.raises(ValueError, match="`share` must be 1 in every class for order 2"):
        decomposed(
            first_order(6, STRUCK, order=2), np.asarray(molecule.couplings), shares=(2, 1, 1)
        )
    with pytest.raises(ValueError, match="`time` must be positive"):
        pair_gates(first_order(6, STRUCK), -TIME)
    with pytest.raises(ValueError, match="`bounds` must fall"):
        decomposed(first_order(6, STRUCK), np.asarray(molecule.couplings), bounds=(0.1, 0.3))
    with pytest.raises(ValueError, match="`hamiltonian` must have no fields"):
        program_circuit(
            first_order(6, STRUCK),
            reversible_hamiltonian(np.zeros((6, 6)), offsets_hz=np.ones(6)),
            TIME,
        )
    with pytest.raises(ValueError, match="`program` must name spins"):
        program_circuit(first_order(8, STRUCK), molecule, TIME)
