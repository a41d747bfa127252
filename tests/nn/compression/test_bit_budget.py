import itertools

import numpy as np
import pytest

from nn.compression.bit_budget import choose_bits, trace_costs

OPTIONS = np.array([2, 3, 4, 8])


@pytest.fixture(params=range(4))
def problem(request):
    rng = np.random.default_rng(request.param)
    sizes = rng.integers(1, 9, 5) * 8
    # Not always less at more bits, as losses that are measured.
    costs = rng.exponential(1, (5, 1)) * 4.0**-OPTIONS * rng.uniform(0.3, 3, (5, 4))
    return costs, sizes[:, None] * OPTIONS[None] // 8 * 2


def _by_trying(costs, n_bytes, budget):
    rows = np.arange(len(costs))
    every = [np.array(c) for c in itertools.product(range(costs.shape[1]), repeat=len(costs))]
    return min(costs[rows, c].sum() for c in every if n_bytes[rows, c].sum() <= budget)


def _budgets(n_bytes):
    return np.linspace(n_bytes.min(axis=1).sum(), n_bytes.max(axis=1).sum() + 3, 6).astype(int)


def test_exact_is_the_best_of_all_and_greedy_lies_between_its_bound_and_the_budget(problem):
    for budget in _budgets(problem[1]):
        best = _by_trying(*problem, budget)
        exact, greedy = (choose_bits(*problem, int(budget), method=m) for m in ("exact", "greedy"))
        assert exact.cost == pytest.approx(best, rel=1e-12)
        assert exact.bound == exact.cost
        assert greedy.bound <= best * (1 + 1e-12) <= greedy.cost * (1 + 2e-12)
        for plan in (exact, greedy):
            taken = np.arange(5), plan.choice
            assert plan.n_bytes == problem[1][taken].sum() <= budget
            assert plan.cost == pytest.approx(problem[0][taken].sum())


def test_more_budget_is_never_worse(problem):
    plans = [choose_bits(*problem, int(b)).cost for b in _budgets(problem[1])]
    assert (np.diff(plans) <= 0).all()
    bounds = [choose_bits(*problem, int(b), method="greedy").bound for b in _budgets(problem[1])]
    assert (np.diff(bounds) <= 1e-12).all()


def test_greedy_is_near_on_many_parts():
    rng = np.random.default_rng(0)
    costs = rng.exponential(1, (200, 1)) * 4.0 ** -OPTIONS[None]
    n_bytes = np.tile(OPTIONS * 16, (200, 1))
    exact, greedy = (choose_bits(costs, n_bytes, 12_000, method=m) for m in ("exact", "greedy"))
    assert exact.cost <= greedy.cost < 1.01 * exact.cost
    assert exact.cost * 0.99 < greedy.bound <= exact.cost


def test_an_expert_that_is_never_chosen_has_the_fewest_bits():
    costs = np.tile([1.0, 0.1], (3, 1))
    n_bytes = np.tile([1, 2], (3, 1))
    plan = choose_bits(costs, n_bytes, 5, uses=np.array([0.0, 1.0, 3.0]))
    np.testing.assert_array_equal(plan.choice, [0, 1, 1])
    assert plan.cost == pytest.approx(0.4)


def test_cost_by_the_trace_is_that_of_the_quadratic_form():
    # Loss sum h_j d_j^2 / 2 with errors of equal size in all coordinates.
    h, d = np.array([1.0, 3.0, 8.0]), 0.1
    assert trace_costs(np.array([h.sum()]), np.array([[d**2]])) == pytest.approx(
        (h * d**2).sum() / 2
    )


def test_bad_input_is_named():
    costs, n_bytes = np.ones((2, 2)), np.array([[1, 2], [3, 4]])
    with pytest.raises(ValueError, match=r"`budget` must be at least 4 bytes.*but is 3"):
        choose_bits(costs, n_bytes, 3)
    with pytest.raises(ValueError, match="`costs` must be finite, but has 1 NaN"):
        choose_bits(np.array([[1.0, np.nan], [1.0, 1.0]]), n_bytes, 9)
    with pytest.raises(ValueError, match="`uses` must not be negative, but has -1"):
        choose_bits(costs, n_bytes, 9, uses=np.array([1.0, -1.0]))
    with pytest.raises(ValueError, match="`n_bytes` must have size 2 along axis 1"):
        choose_bits(costs, n_bytes[:, :1], 9)
    with pytest.raises(ValueError, match="`method` must be one of exact, greedy"):
        choose_bits(costs, n_bytes, 9, method="guess")
    many = np.array([[1, 10**9], [1, 10**9 + 1]])
    with pytest.raises(ValueError, match="`method` must be greedy for 2 parts and"):
        choose_bits(costs, many, 10**9)
