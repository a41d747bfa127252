"""Tests of the search for programs: budgets kept, errors lowered, ingredients left alone, draws by seed."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from quantum.compiling import program_search
from quantum.compiling.echo_program import decomposed, first_order
from quantum.compiling.program_error import error, make_task, mean_gates, parameters
from quantum.compiling.program_search import (
    ablation,
    at_budget,
    draw_molecules,
    fit_parameters,
    optimise,
)
from quantum.nmr.average_hamiltonian import reversible_hamiltonian
from quantum.spins.dipolar import TOLUENE_SAUPE, molecule_couplings
from quantum.spins.molecule import toluene

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


def test_a_search_that_got_lost_changes_nothing(tasks, monkeypatch):
    """An optimiser that ends above where it began, as L-BFGS may where a line search fails."""
    start = at_budget(first_order(5, STRUCK), TIMES, BUDGET)
    away = SimpleNamespace(x=np.full(6, 0.3), fun=1e9)
    monkeypatch.setattr(program_search, "minimize", lambda *_, **__: away)
    found = fit_parameters(start, tasks[0])
    assert np.array_equal(np.concatenate([np.ravel(p) for p in parameters(found)]), np.zeros(6))


def test_step_sizes_stay_where_only_rescaling_is_free_and_the_other_way_round(tasks):
    start = at_budget(first_order(5, STRUCK), TIMES, BUDGET)
    for free in ("rescaling", "modulation"):
        options = {name: name == free for name in ("rescaling", "modulation")}
        modulation, rescaling = parameters(
            fit_parameters(start, tasks[0], n_iterations=3, **options)
        )
        assert np.any(modulation) == (free == "modulation")
        assert np.any(rescaling) == (free == "rescaling")


def test_more_mutations_never_raise_the_error_and_at_last_lower_it(tasks):
    """With one seed a longer search goes on from a shorter one, so errors can only fall; no gradients."""
    mean = np.asarray(tasks[0].hamiltonians[0].couplings)
    start = decomposed(first_order(5, STRUCK), mean, shares=(1, 1, 1))
    options = {"budget": BUDGET, "seed": 2, "allowed": ("decomposition",)}
    found = [optimise(start, tasks[0], n_mutations=n, **options) for n in (1, 4, 8, 12)]
    errors = [rms(error(program, tasks[0])) for program in found]
    assert all(np.diff(errors) <= 0)
    assert errors[-1] < rms(error(at_budget(start, TIMES, BUDGET), tasks[0]))


def test_what_costs_more_than_the_budget_is_refused(tasks):
    """One sweep of all pairs is paid for; a class that comes four times in it is not, however small its error."""
    mean = np.asarray(tasks[0].hamiltonians[0].couplings)
    start = decomposed(first_order(5, STRUCK), mean, shares=(1, 1, 1))
    often = replace(start, classes=(replace(start.classes[0], share=4.0), *start.classes[1:]))
    least, dear = (mean_gates(at_budget(p, TIMES, 1.0), TIMES) for p in (start, often))
    assert dear > least
    for seed in range(4):
        found = optimise(
            start, tasks[0], budget=least, seed=seed, n_mutations=8, allowed=("decomposition",)
        )
        assert mean_gates(found, TIMES) <= least


def test_the_budget_is_the_largest_that_fits(tasks):
    program = at_budget(first_order(5, STRUCK), TIMES, BUDGET)
    more = replace(program, budget=1.0001 * program.budget)
    assert mean_gates(program, TIMES) <= BUDGET < mean_gates(more, TIMES)


def test_gates_are_pruned_where_that_is_allowed(tasks):
    start = replace(first_order(5, STRUCK), pruned=True)
    options = {"budget": BUDGET, "seed": 0, "n_mutations": 1, "n_iterations": 1}
    for allowed in ((), ("pruning",)):
        assert optimise(start, tasks[0], **options, allowed=allowed).pruned == bool(allowed)


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
    expected = np.asarray(reversible_hamiltonian(table).couplings)
    assert np.allclose(still[0].couplings, expected, atol=1e-9)
    moved = draw_molecules(toluene(), TOLUENE_SAUPE, 2, seed=0, keep=KEEP)
    apart = [
        np.abs(np.asarray(h.couplings) - expected).max() / np.abs(expected).max() for h in moved
    ]
    assert all(0.005 < a < 0.3 for a in apart)
    assert apart[0] != apart[1]


def test_atoms_and_order_are_drawn_as_wide_as_asked():
    """The bond of 13C and H1 lies along z: D goes as S_zz / r^3."""
    table = np.asarray(molecule_couplings(toluene(), TOLUENE_SAUPE))
    # Of a symmetric tensor with entries of variance s^2 without its trace S_zz has 2/3 s^2.
    order = math.sqrt(2 / 3) * 0.01 / TOLUENE_SAUPE[2, 2]
    # Both ends move: r by sqrt(2) s.
    bond = 3 * math.sqrt(2) * 2e-12 / 1.0865e-10
    for shift, order_shift, expected in ((0.0, 0.01, order), (2e-12, 0.0, bond)):
        drawn = draw_molecules(
            toluene(), TOLUENE_SAUPE, 80, seed=5, shift=shift, order_shift=order_shift, keep=(0, 1)
        )
        ours = np.array([float(h.couplings[0, 1, 2, 2]) for h in drawn])
        ratio = ours / (4 * math.pi * 2 / 9 * table[0, 1])
        # Four standard errors of a standard deviation and of a mean.
        assert ratio.std(ddof=1) == pytest.approx(expected, rel=4 / math.sqrt(160))
        assert abs(ratio.mean() - 1) < 4 * expected / math.sqrt(80) + 6 * expected**2


def test_bad_input_is_named(tasks):
    with pytest.raises(ValueError, match="`allowed` must be among"):
        optimise(first_order(5, STRUCK), tasks[0], budget=BUDGET, seed=0, allowed=("luck",))
    with pytest.raises(ValueError, match="`n_molecules` must be at least 1"):
        draw_molecules(toluene(), TOLUENE_SAUPE, 0, seed=0)
