import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels.block_attention import keys_of_blocks, select_blocks
from nn.kernels.pallas_block_sparse import pallas_block_attention
from nn.kernels.selection import Selection, gathered_attention

N, BLOCK = 11, 4  # the last block has three keys
POSITIONS = jnp.array([0, 3, 4, 10])


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    shapes = (2, 4, 4, 5), (2, N, 2, 5), (2, N, 2, 3)
    return tuple(jnp.asarray(rng.normal(size=shape)) for shape in shapes)


def _blocks(groups):
    """Two blocks of each query; the second query of the first text has lost all of its own."""
    scores = jnp.asarray(np.random.default_rng(1).normal(size=(2, 4, groups, 3)))
    indices, valid = select_blocks(scores, 2, BLOCK, query_positions=POSITIONS)
    return Selection(indices, valid.at[0, 1].set(False))


@pytest.mark.parametrize("groups", [2, 4])
def test_the_kernel_is_attention_to_the_gathered_blocks_with_its_gradient(arrays, groups):
    blocks = _blocks(groups)
    keys = keys_of_blocks(blocks, BLOCK, N, POSITIONS)

    @jax.jit
    def both(arrays):
        kernel = lambda *a: pallas_block_attention(  # noqa: E731
            *a, blocks, block_size=BLOCK, query_positions=POSITIONS, scale=0.7
        )
        reference = lambda *a: gathered_attention(*a, keys, scale=0.7)[0]  # noqa: E731
        found = []
        for attend in (kernel, reference):
            mixed, back = jax.vjp(attend, *arrays)
            found.append((mixed, *back(jnp.sin(jnp.arange(96.0)).reshape(2, 4, 4, 3))))
        return found

    ours, expected = both(arrays)
    for mine, reference in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine, reference, atol=1e-13)
    np.testing.assert_array_equal(ours[0][0, 1], 0)
    assert abs(ours[0]).max() > 0.5


def test_half_precision_is_summed_in_single(arrays):
    half = tuple(array.astype(jnp.bfloat16) for array in arrays)
    kernel = jax.jit(
        lambda a: pallas_block_attention(
            *a, _blocks(4), block_size=BLOCK, query_positions=POSITIONS
        )
    )
    mixed = kernel(half)
    assert mixed.dtype == jnp.bfloat16
    exact = kernel(tuple(array.astype(jnp.float32) for array in half))
    np.testing.assert_allclose(mixed.astype(jnp.float32), exact, atol=0.01)


def test_it_is_lowered_for_a_gpu():
    q, k = jnp.ones((1, 8, 4, 16), jnp.float32), jnp.ones((1, 64, 2, 16), jnp.float32)
    blocks = Selection(jnp.zeros((1, 8, 2, 2), int), jnp.ones((1, 8, 2, 2), bool))
    kernel = jax.jit(
        lambda q, k: pallas_block_attention(q, k, k, blocks, block_size=16, interpret=False)
    )
    text = kernel.trace(q, k).lower(lowering_platforms=("cuda",)).as_text()
    assert "triton" in text


def test_blocks_that_do_not_fit_are_named(arrays):
    with pytest.raises(ValueError, match="`groups` must divide `heads`, but is 3, and heads is 4"):
        pallas_block_attention(*arrays, _blocks(3), block_size=BLOCK)
    with pytest.raises(ValueError, match="`kv_heads` must divide `groups`, but is 2"):
        pallas_block_attention(*arrays, _blocks(1), block_size=BLOCK)
    with pytest.raises(ValueError, match="`blocks` must have the batch and the queries"):
        pallas_block_attention(arrays[0][:, 1:], *arrays[1:], _blocks(2), block_size=BLOCK)
    with pytest.raises(ValueError, match="`block_size` must be at least 1, but is 0"):
        pallas_block_attention(*arrays, _blocks(2), block_size=0)
