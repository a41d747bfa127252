import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels import dense_attention, visible
from nn.kernels.attention import check_operands, masked_softmax

# Two texts of 7 tokens, 4 heads of queries to 2 of keys, keys of 5 and values of 3 numbers.
BATCH, LENGTH, HEADS, KV_HEADS, HEAD_DIM, VALUE_DIM = 2, 7, 4, 2, 5, 3


@pytest.fixture(scope="module")
def operands():
    draw = np.random.default_rng(3).normal
    q = draw(size=(BATCH, LENGTH, HEADS, HEAD_DIM))
    k = draw(size=(BATCH, LENGTH, KV_HEADS, HEAD_DIM))
    v = draw(size=(BATCH, LENGTH, KV_HEADS, VALUE_DIM))
    return tuple(jnp.asarray(a) for a in (q, k, v))


def _by_loops(q, k, v, seen):
    """The formula, one query at a time; `seen` is (batch, head, query) -> list of keys."""
    out = np.zeros((*q.shape[:-1], v.shape[-1]))
    for b, p, h in np.ndindex(q.shape[:-1]):
        keys = seen(b, h, p)
        if keys:
            shared = h // (q.shape[2] // k.shape[2])
            weights = np.exp([q[b, p, h] @ k[b, s, shared] / np.sqrt(q.shape[-1]) for s in keys])
            out[b, p, h] = weights / weights.sum() @ v[b, keys, shared]
    return out


def test_causal_attention_with_shared_keys_is_its_formula(operands):
    expected = _by_loops(*map(np.asarray, operands), lambda b, h, p: list(range(p + 1)))
    np.testing.assert_allclose(dense_attention(*operands), expected, atol=1e-14)


def test_a_mask_of_one_head_of_one_text_reaches_no_other(operands):
    mask = np.ones((BATCH, HEADS, LENGTH, LENGTH), bool)
    mask[1, 2, :, 3] = False

    def seen(b, h, p):
        return [s for s in range(LENGTH) if mask[b, h, p, s]]

    expected = _by_loops(*map(np.asarray, operands), seen)
    got = dense_attention(*operands, causal=False, mask=jnp.asarray(mask))
    np.testing.assert_allclose(got, expected, atol=1e-14)


def test_who_sees_whom_follows_from_positions():
    ring = jnp.array([4, 5, -1, 3])  # an empty slot, and an order that is not that of time
    assert visible(jnp.array([3, 5]), ring).tolist() == [[0, 0, 0, 1], [1, 1, 0, 1]]
    assert visible(jnp.array([5]), ring, window=2).tolist() == [[1, 1, 0, 0]]
    assert visible(jnp.array([0]), ring, causal=False).tolist() == [[1, 1, 0, 1]]


def test_the_last_queries_alone_get_what_they_get_in_the_whole(operands):
    q, k, v = operands
    full = dense_attention(q, k, v, window=3)
    slots = np.array([6, 0, 5, 1, 4, 2, 3])
    late = dense_attention(
        q[:, 5:],
        k[:, slots],
        v[:, slots],
        query_positions=jnp.array([5, 6]),
        key_positions=jnp.asarray(slots),
        window=3,
    )
    np.testing.assert_allclose(late, full[:, 5:], atol=1e-14)


def test_rows_that_see_nothing_are_zero_and_leave_no_gradient(operands):
    mask = jnp.ones((LENGTH, LENGTH), bool).at[4].set(False)

    def attend(q, k, v):
        return dense_attention(q, k, v, mask=mask)

    out, pull = jax.vjp(attend, *operands)
    assert not out[:, 4].any()
    assert out[:, 3].all()
    # Only row 4 is asked for: nothing may come back, NaN least of all.
    for gradient in pull(jnp.zeros_like(out).at[:, 4].set(1.0)):
        assert not np.asarray(gradient).any()
    # And the others are what they are without it.
    whole = pull(jnp.ones_like(out))
    assert all(np.isfinite(gradient).all() for gradient in whole)
    assert whole[2].any()


def test_masked_softmax_survives_scores_that_overflow_an_exponential():
    scores = jnp.array([[1000.0, 999.0, 5000.0], [-1000.0, -1000.0, 0.0]])
    mask = jnp.array([[True, True, False], [True, True, False]])
    e = np.exp(-1.0)
    np.testing.assert_allclose(
        masked_softmax(scores, mask), [[1 / (1 + e), e / (1 + e), 0], [0.5, 0.5, 0]], atol=1e-15
    )


def test_half_precision_is_summed_in_single(operands):
    short = tuple(a.astype(jnp.bfloat16) for a in operands)
    got = dense_attention(*short)
    assert got.dtype == jnp.bfloat16
    exact = dense_attention(*(a.astype(jnp.float64) for a in short))
    # One rounding of the result, 2^-9 of values up to 4, and no more.
    np.testing.assert_allclose(got.astype(jnp.float64), exact, rtol=2.0**-8, atol=1e-6)


def test_operands_that_do_not_fit_are_named(operands):
    q, k, v = operands
    with pytest.raises(
        ValueError, match="`kv_heads` must divide `heads`, but is 2, and heads is 3"
    ):
        dense_attention(q[:, :, :3], k, v)
    with pytest.raises(ValueError, match="`k` must have size 5 along axis -1"):
        check_operands(q, k[..., :4], v)
    with pytest.raises(ValueError, match="`k` and `v` must have the same sequence"):
        check_operands(q, k[:, :6], v)
    with pytest.raises(ValueError, match=r"`q` must be .*, but its shape is"):
        check_operands(q[0, 0], k, v)


def test_positions_windows_and_masks_that_do_not_fit_are_named(operands):
    q, k, v = operands
    some = jnp.arange(LENGTH)
    with pytest.raises(ValueError, match="must be given together"):
        dense_attention(q, k, v, query_positions=some)
    with pytest.raises(ValueError, match=r"2 queries and 7 keys\. The last .* stand at 5"):
        dense_attention(q[:, 5:], k, v)
    with pytest.raises(ValueError, match="`window` must be at least 1, but is 0"):
        dense_attention(q, k, v, window=0)
    with pytest.raises(ValueError, match="`window` must be None where `causal` is false"):
        dense_attention(q, k, v, window=2, causal=False)
    with pytest.raises(ValueError, match=r"`mask` must be .* but its shape is \(4, 7, 7\)"):
        dense_attention(q, k, v, mask=jnp.ones((4, 7, 7), bool))
