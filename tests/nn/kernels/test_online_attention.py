from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels import dense_attention, online_attention


def _operands(length, dtype=jnp.float64, heads=4, kv_heads=2, keys=None):
    draw = np.random.default_rng(length).normal
    shapes = (
        (1, length, heads, 6),
        (1, keys or length, kv_heads, 6),
        (1, keys or length, kv_heads, 5),
    )
    return tuple(jnp.asarray(draw(size=shape), dtype) for shape in shapes)


def _with_gradients(attend, operands, pull):
    """Values and the gradients of all three, under one compilation."""

    @jax.jit
    def both(operands, pull):
        out, back = jax.vjp(attend, *operands)
        return out, *back(pull)

    return both(operands, pull)


def _agree(operands, atol, *, rows=16, columns=7, **how):
    pull = jnp.asarray(np.random.default_rng(1).normal(size=(*operands[0].shape[:-1], 5)))
    pull = pull.astype(operands[0].dtype)
    online = partial(online_attention, **how, block_queries=rows, block_keys=columns)
    got = _with_gradients(online, operands, pull)
    expected = _with_gradients(partial(dense_attention, **how), operands, pull)
    for name, a, b in zip(("out", "dq", "dk", "dv"), got, expected, strict=True):
        assert a.dtype == b.dtype, name
        wide = (x.astype(jnp.float64) for x in (a, b))
        np.testing.assert_allclose(*wide, atol=atol, err_msg=name)


@pytest.mark.parametrize(("length", "window", "scale"), [(1, None, None), (63, 5, 0.7)])
def test_values_and_gradients_are_those_of_the_plain_form_at_any_length(length, window, scale):
    _agree(_operands(length), 1e-13, window=window, scale=scale)


def test_300_tokens_in_single_precision_agree_to_a_millionth():
    _agree(_operands(300, jnp.float32), 3e-6, rows=128, columns=33)


def test_a_cache_in_any_order_with_empty_slots_and_a_query_before_all_of_it():
    # Positions 2 to 24, eight of the slots empty; the first query sees nothing, the last all.
    slots = np.full(31, -1)
    order = np.random.default_rng(0).permutation(31)[:23]
    slots[order] = np.arange(2, 25)
    at = {"query_positions": jnp.array([1, 2, 11, 12, 24]), "key_positions": jnp.asarray(slots)}
    operands = _operands(5, keys=31)
    _agree(operands, 1e-13, **at, window=9)
    assert not online_attention(*operands, **at)[:, 0].any()


def test_keys_that_nobody_sees_cost_nothing_and_leave_no_trace():
    """The blocks of a cache that is not yet full are not read: NaN in them does not show."""
    q, k, v = _operands(32)
    empty = jnp.arange(32) >= 16
    at = {"query_positions": jnp.arange(32), "key_positions": jnp.where(empty, -1, jnp.arange(32))}
    hide = jnp.broadcast_to(empty[None, :, None, None], k.shape)
    attend = partial(online_attention, **at, block_queries=16, block_keys=8)
    expected = dense_attention(q, k, v, **at)
    np.testing.assert_allclose(attend(q, jnp.where(hide, jnp.nan, k), v), expected, atol=1e-13)


def test_half_precision_comes_out_as_from_the_plain_form():
    operands = _operands(15, jnp.bfloat16)
    got, expected = online_attention(*operands), dense_attention(*operands)
    assert got.dtype == jnp.bfloat16
    # Both sum in single precision and round once: two roundings of 2^-9 of values up to 4.
    np.testing.assert_allclose(*(a.astype(jnp.float64) for a in (got, expected)), atol=2.0**-6)


def test_the_gradient_does_not_store_the_weights():
    q = jax.ShapeDtypeStruct((1, 4096, 2, 8), jnp.float32)
    gradient = jax.grad(lambda *a: online_attention(*a).sum(), argnums=(0, 1, 2))
    used = jax.jit(gradient).lower(q, q, q).compile().memory_analysis().temp_size_in_bytes
    # The weights alone would be 2 * 4096^2 * 4 = 134 MB; queries, keys, values and their gradients are 1.6 MB.
    assert used < 5e6


def test_large_scores_do_not_overflow_and_all_keys_are_seen_without_order():
    q, k, v = _operands(9, keys=30)
    np.testing.assert_allclose(
        online_attention(300 * q, k, v, causal=False, block_keys=7),
        dense_attention(300 * q, k, v, causal=False),
        atol=1e-12,
    )


def test_nothing_to_attend_to_is_zero_and_an_empty_block_is_refused():
    q, k, v = _operands(3)
    assert online_attention(q[:, :0], k[:, :0], v[:, :0]).shape == (1, 0, 4, 5)
    assert not online_attention(q, k[:, :0], v[:, :0], causal=False).any()
    with pytest.raises(ValueError, match="`block_keys` must be at least 1, but is 0"):
        online_attention(q, k, v, block_keys=0)
