"""Tests of the search for programs: budgets kept, errors lowered, ingredients left alone, draws by seed."""

from dataclasses import replace

import numpy as np
import pytest

from quantum.dipolar import TOLUENE_SAUPE, molecule_couplings
from quantum.echo_program import decomposed, first_order
from quantum.molecule import toluene
from quantum.nmr import average_hamiltonian
from quantum.program_error import error, make_task, mean_gates
from quantum.program_search import ablation, at_budget, draw_molecules, fit_parameters, optimise

KEEP = (0, 1, 2, 6, 7)
STRUCK = (3, 4)
TIMES = (0.375e-3, 0.75e-3, 1.125e-3)
BUDGET = 20


@pytest.fixture(scope="module")
def tasks():
    drawn = draw_molecules(toluene(), TOLUENE_SAUPE, 4, seed=3, keep=KEEP)
    return make_task(drawn[:2], STRUCK, 2.5, TIMES), make_task(drawn[2:], STRUCK, 2.5, TIMES)


@pytest.fixture(scope="module")
def trials(tasks):
    names = ("first order, as published", "order 2", "all", "without decomposition")
    return ablation(*tasks, budget=BUDGET, seed=1, n_mutations=6, n_iterations=8, names=names)


def rms(errors):
    return np.sqrt(np.mean(errors**2))


def test_all_keep_to_the_budget_and_spend_it(trials):
    for trial in trials:
        assert 0.6 * BUDGET < trial.gates <= BUDGET
        assert trial.gates == mean_gates(trial.program, TIMES)


def test_program_beats_the_formulas_on_held_out_molecules(trials):
    plain, second, best, _ = (rms(trial.held_out) for trial in trials)
    assert best < min(plain, second)


def test_errors_are_those_of_the_programs(trials, tasks):
    for trial in trials:
        assert np.array_equal(trial.held_out, error(trial.program, tasks[1]))


def test_what_is_not_allowed_stays(trials):
    published, second, _, without = (trial.program for trial in trials)
    assert not published.pruned
    assert second.modulation == ()
    assert [g.rescaling for g in second.classes] == [(0.0, 0.0)]
    assert {g.share for g in without.classes} == {1.0}


def test_gradient_search_lowers_the_training_error(tasks):
    mean = np.asarray(tasks[0].hamiltonians[0].couplings)
    start = decomposed(first_order(5, STRUCK), mean, shares=(2, 1, 0.5))
    start = at_budget(replace(start, symmetric_from=1), TIMES, BUDGET)
    found = fit_parameters(start, tasks[0], n_iterations=8, modulation=False)
    assert found.modulation == (0.0, 0.0, 0.0, 0.0)
    assert rms(error(found, tasks[0])) < 0.8 * rms(error(start, tasks[0]))


def test_search_repeats_with_its_seed(tasks):
    options = {"budget": BUDGET, "n_mutations": 3, "n_iterations": 1, "allowed": ("budgeting",)}
    start = first_order(5, STRUCK)
    first, again = (optimise(start, tasks[0], seed=7, **options) for _ in range(2))
    assert first == again


def test_molecules_are_drawn_about_their_mean():
    still = draw_molecules(
        toluene(), TOLUENE_SAUPE, 1, seed=0, shift=0.0, order_shift=0.0, keep=KEEP
    )
    table = np.asarray(molecule_couplings(toluene(), TOLUENE_SAUPE))[np.ix_(KEEP, KEEP)]
    expected = np.asarray(average_hamiltonian(table).couplings)
    assert np.allclose(still[0].couplings, expected, atol=1e-9)
    moved = draw_molecules(toluene(), TOLUENE_SAUPE, 2, seed=0, keep=KEEP)
    apart = [
        np.abs(np.asarray(h.couplings) - expected).max() / np.abs(expected).max() for h in moved
    ]
    assert all(0.005 < a < 0.3 for a in apart)
    assert apart[0] != apart[1]


def test_bad_input_is_named(tasks):
    with pytest.raises(ValueError, match="`allowed` must be among"):
        optimise(first_order(5, STRUCK), tasks[0], budget=BUDGET, seed=0, allowed=("luck",))
    with pytest.raises(ValueError, match="`n_molecules` must be at least 1"):
        draw_molecules(toluene(), TOLUENE_SAUPE, 0, seed=0)
