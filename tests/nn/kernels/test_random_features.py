import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels.random_features import (
    orthogonal_directions,
    performer_attention,
    positive_features,
)

DIM = 4
RNG = np.random.default_rng(0)
QUERY, KEY = jnp.asarray(RNG.normal(size=(2, 1, DIM)) / 2)


@jax.jit
def estimates(keys):
    """exp(q.k) from the 6 features of each key of JAX: a full block of directions, and half of one."""

    def one(key):
        directions = orthogonal_directions(6, DIM, key=key, dtype=jnp.float64)
        phi_q, phi_k = positive_features(QUERY, directions), positive_features(KEY, directions)
        return (phi_q * phi_k).sum()

    return jax.vmap(one)(keys)


def test_features_have_no_bias():
    found = estimates(jax.random.split(jax.random.key(1), 4000))
    error = found.std() / 4000**0.5
    exact = jnp.exp((QUERY * KEY).sum())
    assert error < 0.02 * exact
    assert abs(found.mean() - exact) < 4 * error


def test_directions_are_orthogonal_in_blocks_and_as_long_as_normal_vectors():
    directions = orthogonal_directions(4000, DIM, key=jax.random.key(2), dtype=jnp.float64)
    block = directions[:DIM]
    products = block @ block.T
    np.testing.assert_allclose(products - jnp.diag(jnp.diag(products)), 0, atol=1e-13)
    # Each component is normal: 16,000 of them give the mean to 0.8 %, the square to 1.1 %, the fourth power to 10 %.
    for power, moment in ((1, 0), (2, 1), (4, 3)):
        assert abs(float((directions**power).mean()) - moment) < 0.35 * power / 4


def softmax_attention(q, k, v, causal):
    logits = np.einsum("nhd,mhd->hnm", q, k) / DIM**0.5
    weights = np.exp(logits) * (np.tril(np.ones(logits.shape[1:])) if causal else 1)
    return np.einsum("hnm,mhv->nhv", weights / weights.sum(-1, keepdims=True), v)


# Short enough that the spread of a feature, exp(|q + k|^2), has no tail that decides the error.
Q, K, V = jnp.asarray(RNG.normal(size=(3, 10, 2, DIM)) * np.reshape([0.3, 0.3, 1], (3, 1, 1, 1)))


def test_the_error_falls_as_one_over_the_root_of_the_number():
    numbers = np.array([64, 256, 1024])
    exact = {causal: softmax_attention(Q, K, V, causal) for causal in (True, False)}

    def squares(key):
        directions = orthogonal_directions(1024, DIM, key=key, dtype=jnp.float64)

        def square(n, causal):
            found = performer_attention(Q, K, V, directions[:n], causal=causal)
            return ((found - exact[causal]) ** 2).mean()

        return jnp.array([[square(n, causal) for n in numbers] for causal in exact])

    keys = jax.random.split(jax.random.key(3), 24)
    for found in jnp.sqrt(jax.jit(jax.vmap(squares))(keys).mean(axis=0)):
        slope = np.polyfit(np.log(numbers), np.log(found), 1)[0]
        # 24 draws: each error is known to about 10 %, the slope over a factor of 16 to 0.05.
        assert abs(slope + 0.5) < 0.15
        assert found[-1] < 0.01


def test_long_queries_do_not_overflow_and_the_future_changes_nothing():
    directions = orthogonal_directions(16, DIM, key=jax.random.key(4))
    q, k, v = (jnp.asarray(x, jnp.float32) for x in (100 * Q, K, V))
    attend = jax.jit(lambda q, k, v: performer_attention(q, k, v, directions))
    before, after = attend(q, k, v), attend(q, k.at[7].mul(3.0), v.at[7].add(1.0))
    assert jnp.isfinite(before).all()
    np.testing.assert_array_equal(before[:7], after[:7])
    assert jnp.abs(before[7:] - after[7:]).max() > 0.1


def test_bad_input_is_named():
    directions = jnp.ones((3, 5))
    with pytest.raises(ValueError, match="`queries` must have size 5 along axis -1"):
        performer_attention(Q, K, V, directions)
    with pytest.raises(ValueError, match="`x` must have size 5 along axis -1"):
        positive_features(QUERY, directions)
    with pytest.raises(ValueError, match="`n_features` must be at least 1"):
        orthogonal_directions(0, 4, key=jax.random.key(0))
