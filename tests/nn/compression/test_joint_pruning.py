import jax.numpy as jnp
import numpy as np
import pytest

from nn.compression import joint_pruning as pruning

RNG = np.random.default_rng(0)
A = RNG.normal(size=(5, 5))
A = A + A.T
BATCHES = jnp.asarray(RNG.normal(size=(3, 5)))
GATES = {"odd": jnp.ones((1, 3)), "even": jnp.ones(2)}
SIZES = {"a": 100, "b": 100}


def _loss(gates, slope):
    """slope . g + g A g / 2 with g of both kinds."""
    g = jnp.concatenate([gates["odd"][0], gates["even"]])
    return slope @ g + g @ jnp.asarray(A) @ g / 2


def _work(left):
    return left["a"] + left["b"]


@pytest.fixture(scope="module")
def slopes():
    return pruning.gate_slopes(_loss, GATES, BATCHES)


def _sums(m):
    """Blocks of a matrix of five gates summed, in the order of names: "even" before "odd"."""
    return [[m[3:, 3:].sum(), m[:3, 3:].sum()], [m[3:, :3].sum(), m[:3, :3].sum()]]


def test_worth_is_the_mean_square_of_the_gradient_by_the_gate(slopes):
    found = pruning.taylor_worth(slopes)
    expected = ((np.asarray(BATCHES) + A.sum(axis=1)) ** 2).mean(axis=0)
    np.testing.assert_allclose(found["odd"], expected[None, :3], rtol=1e-10)
    np.testing.assert_allclose(found["even"], expected[3:], rtol=1e-10)


def test_curvature_is_summed_over_units_of_two_kinds(slopes):
    found = pruning.joint_curvature(_loss, GATES, BATCHES[0])
    np.testing.assert_allclose(found, _sums(A), rtol=1e-10)
    single = np.asarray(BATCHES) + A.sum(axis=1)
    fisher = pruning.fisher_curvature(slopes)
    np.testing.assert_allclose(fisher, _sums(single.T @ single / 3), rtol=1e-10)


@pytest.mark.parametrize(("between", "b"), [(0.0, 0.1), (-1.0, 0.15), (0.9, 0.025)])
def test_shares_are_those_of_least_loss_along_the_budget(between, b):
    # On a + b = 1/2 the minimum of a^2 + 4 b^2 + 2 h a b lies at b = (1 - h) / (10 - 4 h); the grid has steps of 0.025.
    curvature = 2 * np.array([[1, between], [between, 4]])
    found = pruning.joint_shares(curvature, SIZES, _work, 150)
    assert found["b"] == pytest.approx(b, abs=1e-9)
    assert found["a"] == pytest.approx(0.5 - b, abs=1e-9)


def test_shares_lie_on_the_steps_up_to_the_largest():
    found = pruning.joint_shares(np.diag([1.0, 5.0]), SIZES, _work, 150, most=0.6, steps=2)
    assert found == {"a": 0.6, "b": 0.0}


def test_equal_shares_fit_the_budget_and_no_more():
    share = pruning.equal_shares(SIZES, _work, 150)["a"]
    assert _work({k: 100 - np.ceil(share * 100 - 1e-9) for k in SIZES}) == 150
    assert pruning.equal_shares(SIZES, _work, 200) == {"a": 0, "b": 0}


def test_the_least_worthy_go_but_for_the_best_of_a_layer():
    worth = {"a": np.array([[1.0, 2, 3, 4], [0.1, 0.2, 0.3, 0.3]]), "b": np.array([5.0, 5, 6])}
    found = pruning.remove_shares(worth, {"a": 0.5, "b": 0.3})
    # Of equal ones the later goes, and one of the second layer stays.
    assert found["a"].tolist() == [[0, 1, 1, 1], [0, 0, 1, 0]]
    assert found["b"].tolist() == [1, 0, 1]
    everything = pruning.remove_shares(worth, {"a": 1.0, "b": 0.0})
    assert everything["a"].tolist() == [[0, 0, 0, 1], [0, 0, 1, 0]]


def test_one_threshold_goes_over_all_kinds_until_the_budget_is_met():
    worth = {"a": np.array([1.0, 4, 9]), "b": np.array([2.0, 3, 0.5])}
    work = lambda left: 10 * left["a"] + left["b"]  # noqa: E731
    found = pruning.remove_by_threshold(worth, work, 23)
    assert found["a"].tolist() == [0, 1, 1]
    assert found["b"].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    "ask",
    [
        lambda: pruning.joint_shares(np.eye(2), SIZES, _work, 10, most=0.8),
        lambda: pruning.equal_shares(SIZES, _work, 10, most=0.8),
        lambda: pruning.remove_by_threshold(
            {k: np.arange(100.0) for k in SIZES}, _work, 10, most=0.8
        ),
    ],
)
def test_a_budget_that_cannot_be_met_is_named(ask):
    with pytest.raises(ValueError, match=r"`budget` must be at least 40.* but is 10"):
        ask()
    with pytest.raises(ValueError, match=r"`shares\['a'\]` must lie between 0 and 1, but is 1.5"):
        pruning.remove_shares({"a": np.ones(2)}, {"a": 1.5})
