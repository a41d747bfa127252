import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers.embedding import Embedding, make_embedding

TABLE = Embedding(jnp.arange(6.0).reshape(3, 2))


def test_a_token_is_its_row_and_logits_are_products_with_rows():
    np.testing.assert_array_equal(TABLE(jnp.array([[2, 0]])), [[[4, 5], [0, 1]]])
    np.testing.assert_array_equal(TABLE.logits(jnp.array([1.0, 10])), [10, 32, 54])


@pytest.mark.parametrize("token", [-1, 3])
def test_a_token_out_of_the_vocabulary_is_an_error_or_not_a_number(token):
    with pytest.raises(ValueError, match=f"must lie in the vocabulary of 3, but hold {token}"):
        TABLE(jnp.array([0, token]))
    inside = jax.jit(TABLE.__call__)(jnp.array([0, token]))
    np.testing.assert_array_equal(np.isnan(inside).any(axis=1), [False, True])


def test_a_table_is_made_with_its_scale():
    table = make_embedding(400, 300, key=jax.random.key(1), scale=0.1)
    assert abs(float(table.weight.std()) / 0.1 - 1) < 0.01  # known to 0.2 %
    with pytest.raises(ValueError, match="`vocabulary` must be at least 1"):
        make_embedding(0, 3, key=jax.random.key(1))
