import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.training import cross_entropy, evaluate, next_token_loss


def test_the_loss_is_minus_the_log_of_the_probability():
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])) + 3
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([0, 1])), [np.log(2), np.log(5)])
    assert cross_entropy(logits.astype(jnp.bfloat16), jnp.array([0, 1])).dtype == jnp.float32


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_not_trained_on_unseen(label):
    assert np.isnan(cross_entropy(jnp.zeros((1, 3)), jnp.array([label])))[0]


def test_each_token_is_judged_by_the_one_after_it():
    tokens = jnp.array([[0, 1, 2, 0]])
    # Sure of the successor, n + 1 modulo 3, by a logit of 5.
    model = lambda t: 5.0 * jax.nn.one_hot((t + 1) % 3, 3)  # noqa: E731
    right = np.log(np.exp(5) + 2) - 5
    np.testing.assert_allclose(next_token_loss(model, tokens), right)
    other = tokens.at[0, -1].set(1)
    np.testing.assert_allclose(next_token_loss(model, other), right + 5 / 3)
    counts = jnp.array([[True, True, False]])
    np.testing.assert_allclose(next_token_loss(model, other, counts=counts), right)
    assert next_token_loss(model, other, counts=jnp.zeros((1, 3), bool)) == 0


def test_every_row_is_measured_once_whatever_the_batch():
    data = {"x": np.arange(7.0), "y": np.arange(7.0) ** 2}
    measure = lambda model, batch: model * batch["x"] + batch["y"]  # noqa: E731
    for batch_size in (3, 7, 10):
        found = evaluate(measure, 2.0, data, batch_size=batch_size)
        np.testing.assert_array_equal(found, 2 * data["x"] + data["y"])


def test_rows_that_do_not_agree_or_are_not_finite_are_named():
    with pytest.raises(ValueError, match=r"same number of rows, at least one, but has \[2, 3\]"):
        evaluate(lambda m, b: b[0], 1.0, (np.ones(2), np.ones(3)), batch_size=2)
    with pytest.raises(FloatingPointError, match="does not for row 4"):
        evaluate(lambda m, b: 1 / b, 1.0, np.array([1.0, 2, 3, 4, 0]), batch_size=2)
