import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nn.layers import expert_balance as balance
from nn.layers.mixture import Routing

CHOICES = jnp.array([[0, 1], [0, 2], [0, 1]])
SCORES = jnp.array([[0.5, 0.3, 0.1, 0.1], [0.6, 0.1, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]])
ROUTING = Routing(CHOICES, jnp.ones((3, 2)), SCORES)


def test_the_balance_loss_is_that_of_the_paper():
    # f = (3, 2, 1, 0) / 6, P = means of the columns.
    expected = 4 * (3 / 6 * 0.5 + 2 / 6 * 0.7 / 3 + 1 / 6 * 0.5 / 3)
    assert float(balance.balance_loss(ROUTING)) == pytest.approx(expected, rel=1e-12)
    # Sigmoid scores need not sum to one.
    double = ROUTING._replace(scores=2 * SCORES)
    assert float(balance.balance_loss(double)) == pytest.approx(expected, rel=1e-12)


def test_an_even_load_costs_one_and_its_gradient_moves_scores_from_the_busy():
    even = Routing(jnp.array([[0, 1], [2, 3]]), jnp.ones((2, 2)), jnp.full((2, 4), 0.25))
    assert float(balance.balance_loss(even)) == pytest.approx(1)
    loss = lambda z: balance.balance_loss(ROUTING._replace(scores=jax.nn.softmax(z)))  # noqa: E731
    slope = np.asarray(jax.grad(loss)(jnp.log(SCORES)))
    assert (slope[:, 0] > 0).all()
    assert (slope[:, 3] < 0).all()


def test_the_loss_of_logits_is_the_square_of_their_logsumexp():
    logits = jnp.log(jnp.array([[1.0, 2, 3], [1, 1, 2]]))
    assert float(balance.router_z_loss(logits)) == pytest.approx(
        (np.log(6) ** 2 + np.log(4) ** 2) / 2
    )


def test_a_bias_falls_where_the_load_is_above_the_mean_and_rises_below():
    counts = balance.choices_of(ROUTING)
    np.testing.assert_array_equal(counts, [3, 2, 1, 0])
    bias = jnp.array([0.1, 0.2, 0.3, 0.4])
    found = balance.updated_bias(bias, counts, 0.01)
    np.testing.assert_allclose(found, [0.09, 0.19, 0.31, 0.41], rtol=1e-12)
    even = balance.updated_bias(bias, jnp.array([3, 3, 3, 3]), 0.01)
    np.testing.assert_array_equal(even, bias)


def test_gradient_descent_on_the_pull_is_the_rule():
    bias, counts = jnp.array([0.1, 0.2, 0.3, 0.4]), balance.choices_of(ROUTING)
    value, slope = jax.value_and_grad(balance.bias_pull)(bias, counts)
    assert float(value) == 0
    descent = optax.sgd(0.01)
    moved = optax.apply_updates(bias, descent.update(slope, descent.init(bias))[0])
    np.testing.assert_allclose(moved, balance.updated_bias(bias, counts, 0.01), rtol=1e-12)


@pytest.mark.parametrize("rule", [balance.bias_pull, lambda b, c: balance.updated_bias(b, c, 0.1)])
def test_counts_of_other_experts_are_named(rule):
    with pytest.raises(ValueError, match="`counts` must have size 4 along axis 0"):
        rule(jnp.zeros(4), jnp.zeros(3, jnp.int32))
    with pytest.raises(ValueError, match="`rate` must be positive"):
        balance.updated_bias(jnp.zeros(4), jnp.zeros(4, jnp.int32), 0.0)
