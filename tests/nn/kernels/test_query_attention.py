import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels.attention import dense_attention
from nn.kernels.query_attention import query_attention

# Two texts, one query each with 4 heads, 6 slots of 2 heads of keys of 5 and values of 3 numbers.
RNG = np.random.default_rng(4)
Q = jnp.asarray(RNG.normal(size=(2, 1, 4, 5)))
K, V = (jnp.asarray(RNG.normal(size=(2, 6, 2, size))) for size in (5, 3))
RING = jnp.array([6, 7, 2, 3, -1, 5])


@pytest.mark.parametrize(
    "how",
    [
        {"query_positions": jnp.array([7]), "key_positions": RING},
        {"query_positions": jnp.array([6]), "key_positions": RING, "window": 2, "scale": 0.3},
        {"query_positions": jnp.array([0]), "key_positions": RING, "causal": False},
        {"query_positions": jnp.array([-2]), "key_positions": RING, "causal": False},
        {"query_positions": jnp.array([1]), "key_positions": RING},  # sees nothing
    ],
    ids=["ring", "window", "all", "before the first", "none"],
)
def test_one_query_finds_what_dense_attention_finds(how):
    found, expected = (
        jax.jit(lambda q, k, v, form=form: form(q, k, v, **how))(Q, K, V)
        for form in (query_attention, dense_attention)
    )
    np.testing.assert_allclose(found, expected, atol=1e-14)
    assert np.any(expected) == (int(how["query_positions"][0]) != 1)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="`k` must have size 5 along axis -1"):
        query_attention(Q, K[..., :4], V, query_positions=jnp.array([7]), key_positions=RING)
