from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels import dense_attention
from nn.kernels.pallas_attention import pallas_attention


def _operands(length, dtype=jnp.float64, keys=None):
    """Two heads of keys with two of queries each."""
    draw = np.random.default_rng(length).normal
    shapes = ((1, length, 4, 6), (1, keys or length, 2, 6), (1, keys or length, 2, 5))
    return tuple(jnp.asarray(draw(size=shape), dtype) for shape in shapes)


def _with_gradients(attend, operands):
    def both(operands, pull):
        out, back = jax.vjp(attend, *operands)
        return out, *back(pull)

    pull = np.random.default_rng(1).normal(size=(*operands[0].shape[:-1], 5))
    return jax.jit(both)(operands, jnp.asarray(pull, operands[0].dtype))


# 19 and 41 fill no whole blocks of 8 and 4; the window ends within a block; a sequence is shorter than a block.
@pytest.mark.parametrize(
    ("length", "how"),
    [(19, {"window": 6}), (3, {"scale": 0.7}), (41, {"causal": False, "keys": 19})],
    ids=["window", "short", "all"],
)
def test_values_and_gradients_are_those_of_the_reference(length, how):
    operands = _operands(length, keys=how.pop("keys", None))
    kernel = partial(pallas_attention, block_queries=8, block_keys=4, **how)
    got = _with_gradients(kernel, operands)
    expected = _with_gradients(partial(dense_attention, **how), operands)
    for name, a, b in zip(("out", "dq", "dk", "dv"), got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13, err_msg=name)


def test_half_precision_is_summed_in_single():
    operands = _operands(5, jnp.bfloat16)
    got, expected = pallas_attention(*operands, block_queries=4), dense_attention(*operands)
    assert got.dtype == jnp.bfloat16
    # One rounding each, 2^-9 of values up to 4.
    np.testing.assert_allclose(*(a.astype(jnp.float64) for a in (got, expected)), atol=2.0**-6)


def test_values_and_gradients_are_lowered_for_a_gpu():
    q, k = (jax.ShapeDtypeStruct((1, 32, heads, 16), jnp.float32) for heads in (4, 2))

    def loss(*operands):
        return pallas_attention(
            *operands, block_queries=16, block_keys=16, window=20, interpret=False
        ).sum()

    traced = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2))).trace(q, k, k)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    # Forwards, for queries, and for keys and values.
    assert text.count("custom_call @__gpu$xla.gpu.triton") == 3


def test_empty_operands_and_blocks_are_refused():
    q, k, v = _operands(3)
    with pytest.raises(ValueError, match=r"`q, k and v` must be at least 1, but is 0\. None may"):
        pallas_attention(q[:, :0], k[:, :0], v[:, :0])
    with pytest.raises(ValueError, match="`block_queries` must be at least 1"):
        pallas_attention(q, k, v, block_queries=0)
    with pytest.raises(ValueError, match="lengths differ"):
        pallas_attention(q, k[:, :2], v[:, :2])
