import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels.indexed_attention import index_scores
from nn.layers.indexer import hadamard, make_indexer
from nn.layers.rotary import Rotary

N, WIDTH, SOURCE = 6, 5, 7
X, C = (jnp.asarray(np.random.default_rng(0).normal(size=(2, N, size))) for size in (WIDTH, SOURCE))
POSITIONS = jnp.arange(N)


def _make(**options):
    return make_indexer(
        WIDTH, heads=3, dim=8, source=SOURCE, key=jax.random.key(0), dtype=jnp.float64, **options
    )


@jax.jit
def _scores(x, c, positions):
    indexers = _make(rotary=Rotary(4)), _make(rotary=Rotary(4), rotated=True)
    found = []
    for indexer in indexers:
        q, weights = indexer.queries(x, c, positions)
        found.append((index_scores(q, indexer.keys(x, positions), weights), q))
    return found


def test_the_index_is_its_formula():
    indexer = _make(rotary=Rotary(4))
    turn = lambda v: np.asarray(Rotary(4)(jnp.asarray(v), POSITIONS))  # noqa: E731
    q = turn((np.asarray(C[1]) @ np.asarray(indexer.query.weight)).reshape(N, 3, 8))
    k = np.asarray(X[1]) @ np.asarray(indexer.key.weight)
    k = (k - k.mean(-1, keepdims=True)) / np.sqrt(k.var(-1, keepdims=True) + 1e-6)
    k = turn(k[:, None])[:, 0]
    w = np.asarray(X[1]) @ np.asarray(indexer.weights.weight) / np.sqrt(3 * 8)
    expected = np.einsum("tj,tjs->ts", w, np.maximum(0, np.einsum("tjd,sd->tjs", q, k)))
    np.testing.assert_allclose(_scores(X, C, POSITIONS)[0][0][1], expected, atol=1e-13)


def test_the_rotation_leaves_all_scores_and_spreads_a_large_component():
    (plain, q), (turned, turned_q) = _scores(X, C, POSITIONS)
    np.testing.assert_allclose(turned, plain, atol=1e-13)
    assert abs(turned_q - q).max() > 0.1
    spread = hadamard(jnp.eye(8)[3] * 8)
    np.testing.assert_allclose(abs(spread), 8**0.5)
    np.testing.assert_allclose(hadamard(spread), np.eye(8)[3] * 8, atol=1e-14)
    # Order 4 by Sylvester's doubling, by hand.
    by_hand = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    np.testing.assert_allclose(hadamard(jnp.eye(4)), by_hand, atol=1e-15)


def test_scores_depend_on_distances_alone():
    """Index queries and keys both have rotary positions, on the same components."""
    here, there = (_scores(X, C, POSITIONS + shift)[0][0] for shift in (0, 50))
    np.testing.assert_allclose(here, there, atol=1e-12)
    stretched = _scores(X, C, 3 * POSITIONS)[0][0]
    assert abs(stretched - here).max() > 0.01


def test_no_gradient_passes_through_the_index():
    slopes = jax.jit(jax.grad(lambda x, c: _scores(x, c, POSITIONS)[0][0].sum(), (0, 1)))(X, C)
    assert not any(slope.any() for slope in slopes)


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"`dim` must be a power of two .* but is 6"):
        make_indexer(4, heads=2, dim=6, rotated=True, key=jax.random.key(0))
    with pytest.raises(ValueError, match="`dim` must be at least 8, but is 6"):
        make_indexer(4, heads=2, dim=6, rotary=Rotary(8), key=jax.random.key(0))
    with pytest.raises(ValueError, match="`heads` must be at least 1, but is 0"):
        make_indexer(4, heads=0, dim=6, key=jax.random.key(0))
