import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels.attention import dense_attention
from nn.kernels.indexed_attention import index_loss, index_recall, index_scores, select_keys
from nn.kernels.selection import gathered_attention, selected_mask

N, HEADS, DIM = 12, 3, 4
SEEN = jnp.broadcast_to(np.tri(N, dtype=bool), (2, N, N))
_loss = jax.jit(index_loss)


@pytest.fixture(scope="module")
def index():
    rng = np.random.default_rng(0)
    shapes = (2, N, HEADS, DIM), (2, N, DIM), (2, N, HEADS)
    return tuple(jnp.asarray(rng.normal(size=shape)) for shape in shapes)


@pytest.fixture(scope="module")
def latents():
    """Queries of four heads, and one head of keys whose first dims are the values, as latents are."""
    rng = np.random.default_rng(1)
    q, k = rng.normal(size=(2, N, 4, 6)), rng.normal(size=(2, N, 1, 6))
    return jnp.asarray(q), jnp.asarray(k), jnp.asarray(k[..., :5])


@pytest.fixture(scope="module")
def scores(index):
    return jax.jit(index_scores)(*index)


@pytest.fixture(scope="module")
def attention(latents):
    """Weights of causal attention, (batch, q, heads, k)."""
    q, k = np.asarray(latents[0]), np.asarray(latents[1])[:, :, 0]
    weights = np.exp(np.einsum("bqhd,bkd->bqhk", q, k) / 6**0.5) * np.tri(N)[:, None]
    return weights / weights.sum(axis=-1, keepdims=True)


@jax.jit
def _attend(index, latents):
    scores = index_scores(*index)
    return [gathered_attention(*latents, select_keys(scores, k))[0] for k in (3, N, N + 5)]


def test_scores_are_the_weighted_rectified_products(index, scores):
    q, k, w = (np.asarray(array) for array in index)
    expected = np.zeros((2, N, N))
    for b, t, s, j in np.ndindex(2, N, N, HEADS):
        expected[b, t, s] += w[b, t, j] * max(0, q[b, t, j] @ k[b, s])
    np.testing.assert_allclose(scores, expected, atol=1e-13)


def test_gradients_of_the_scores_are_right(index):
    f = jax.jit(lambda *index: jnp.sum(jnp.sin(index_scores(*index))))
    slopes = jax.jit(jax.grad(f, argnums=(0, 1, 2)))(*index)
    rng = np.random.default_rng(2)
    ways = [jnp.asarray(rng.normal(size=a.shape)) for a in index]
    far, near = (
        f(*(a + step * way for a, way in zip(index, ways, strict=True))) for step in (1e-6, -1e-6)
    )
    along = sum(float((slope * way).sum()) for slope, way in zip(slopes, ways, strict=True))
    assert float(far - near) / 2e-6 == pytest.approx(along, rel=1e-6)


def test_all_keys_chosen_is_dense_attention(index, latents):
    some, whole, more = _attend(index, latents)
    dense = jax.jit(dense_attention)(*latents)
    np.testing.assert_allclose(whole, dense, atol=1e-13)
    np.testing.assert_allclose(more, dense, atol=1e-13)
    assert abs(some - dense).max() > 0.1


def test_the_future_changes_nothing(index, latents):
    past = 7
    factor = np.where(np.arange(N) < past, 1.0, -3.0)
    stir = lambda array: array * factor.reshape(N, *[1] * (array.ndim - 2))  # noqa: E731
    stirred = [tuple(jnp.asarray(stir(np.asarray(a))) for a in group) for group in (index, latents)]
    before, after = _attend(index, latents)[0], _attend(*stirred)[0]
    np.testing.assert_array_equal(before[:, :past], after[:, :past])
    assert abs(before[:, past:] - after[:, past:]).max() > 0.1


@pytest.mark.parametrize("heads", [1, 3])
def test_token_by_token_behind_a_cache_chooses_the_same_where_scores_tie(index, heads):
    """With one head a third of the scores are exactly 0; the slots of the cache that are still empty never count."""
    q, k, w = index[0][:, :, :heads], index[1], index[2][:, :, :heads]
    scores = jax.jit(index_scores)(q, k, w)
    if heads == 1:
        assert float((scores == 0).mean()) > 0.3
    whole = selected_mask(select_keys(scores, 4), N)
    step = jax.jit(
        lambda q, k, w, t: select_keys(
            index_scores(q, k, w),
            4,
            query_positions=t[None],
            key_positions=jnp.where(jnp.arange(N) <= t, jnp.arange(N), -1),
        )
    )
    for t in range(N):
        seen = jnp.where((jnp.arange(N) <= t)[None, :, None], k, 7.0)
        choice = step(q[:, t : t + 1], seen, w[:, t : t + 1], jnp.array(t))
        np.testing.assert_array_equal(selected_mask(choice, N)[:, 0], whole[:, t])


def test_equal_keys_have_equal_scores_for_one_query_alone_and_among_all():
    """67 keys in single precision, of three kinds: with the last few summed in another order, rounding broke ties."""
    rng = np.random.default_rng(2)
    kinds = rng.integers(0, 3, 67)
    q, kind_keys, w = (
        rng.normal(size=shape).astype(np.float32) for shape in ((67, 1, 24), (3, 24), (67, 1))
    )
    score = jax.jit(index_scores)
    whole = np.asarray(score(jnp.asarray(q), jnp.asarray(kind_keys[kinds]), jnp.asarray(w)))
    for t in (40, 65, 66):
        alone = score(*(jnp.asarray(a) for a in (q[t : t + 1], kind_keys[kinds], w[t : t + 1])))[0]
        for scores in (whole[t], np.asarray(alone)):
            assert all(len(np.unique(scores[kinds == kind])) == 1 for kind in range(3))
    assert (whole[[40, 65, 66]] != 0).any()


def test_the_loss_is_the_divergence_from_summed_attention(scores, attention):
    expected = 0.0
    for b, t in np.ndindex(2, N):
        p = np.asarray(attention[b, t, :, : t + 1]).sum(axis=0)
        i = np.exp(np.asarray(scores[b, t, : t + 1]))
        p, i = p / p.sum(), i / i.sum()
        expected += (p * np.log(p / i)).sum() / (2 * N)
    assert float(_loss(scores, jnp.asarray(attention), SEEN)) == pytest.approx(expected, rel=1e-12)
    assert expected > 0.1


def test_the_loss_is_zero_where_the_index_knows_attention_and_moves_the_index_alone(attention):
    summed = attention.sum(axis=-2)
    known = np.log(np.where(SEEN, summed, 1)) + 3.0
    assert abs(float(_loss(jnp.asarray(known), jnp.asarray(attention), SEEN))) < 1e-14
    both = jax.jit(jax.grad(index_loss, argnums=(0, 1)))
    by_scores, by_attention = both(jnp.asarray(0.5 * known), jnp.asarray(attention), SEEN)
    assert not by_attention.any()
    # d KL / d I = (softmax(I) - p) / rows.
    softmax = np.where(SEEN, np.exp(0.5 * known), 0)
    slope = softmax / softmax.sum(axis=-1, keepdims=True) - summed / 4
    np.testing.assert_allclose(by_scores, slope / (2 * N), atol=1e-14)


def test_on_the_chosen_keys_both_sides_are_normalised_among_them(scores, latents, attention):
    @jax.jit
    def sparse(scores, latents):
        choice = select_keys(scores, 4)
        _, weights = gathered_attention(*latents, choice)
        chosen = jnp.take_along_axis(scores, choice.indices[:, :, 0], axis=-1)
        return index_loss(chosen, weights, choice.valid[:, :, 0]), selected_mask(choice, N)[:, :, 0]

    loss, mask = sparse(scores, latents)
    kept = np.where(np.asarray(mask)[:, :, None], attention, 0)
    kept /= kept.sum(axis=-1, keepdims=True)
    assert float(loss) == pytest.approx(float(_loss(scores, jnp.asarray(kept), mask)), rel=1e-12)
    assert float(loss) > 0.05


def test_rows_that_see_nothing_give_no_loss_and_no_gradient():
    scores = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    attention = jnp.zeros((2, 2, 2)).at[0, :, 0].set(0.5)
    counts = jnp.array([[True, True], [False, False]])
    both = jax.jit(jax.value_and_grad(index_loss))
    value, slope = both(scores, attention, counts)
    assert float(value) == pytest.approx(np.log(1 + np.e), rel=1e-12)
    assert not slope[1].any()
    assert np.isfinite(np.asarray(slope)).all()
    nothing, slope = both(scores, attention, counts & False)
    assert float(nothing) == 0
    assert not slope.any()


def test_recall_is_the_weight_that_the_choice_catches(scores, attention):
    @jax.jit
    def recall(scores, attention):
        choice = select_keys(scores, 4)
        return index_recall(choice, attention), selected_mask(choice, N)

    ours, mask = recall(scores, jnp.asarray(attention))
    caught = np.where(mask, attention, 0).sum(axis=(-2, -1)) / 4
    np.testing.assert_allclose(ours, caught, atol=1e-14)
    np.testing.assert_allclose(ours[:, :4], 1, atol=1e-14)
    best, _ = recall(jnp.asarray(attention.sum(axis=-2)), jnp.asarray(attention))
    assert (best >= ours - 1e-14).all()
    assert float((best - ours).max()) > 0.1


def test_sizes_that_do_not_fit_are_named(index):
    q, k, w = index
    with pytest.raises(ValueError, match="`k` must have size 4 along axis -1"):
        index_scores(q, k[..., :3], w)
    with pytest.raises(ValueError, match="`weights` must have size 3 along axis -1"):
        index_scores(q, k, w[..., :2])
    with pytest.raises(ValueError, match="`k` must be at least 1, but is -1"):
        select_keys(jnp.ones((2, 3, 3)), -1)
