from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels import attention
from nn.kernels.block_attention import (
    BranchSizes,
    block_importance,
    block_mixture_attention,
    compressed_attention,
    compression_windows,
    keys_of_blocks,
    native_sparse_attention,
    select_blocks,
    window_keys,
)
from nn.kernels.selection import selected_mask

N, HEADS, KV, DIM, BLOCK, SCALE = 22, 4, 2, 5, 4, 0.6  # the last block has two keys
dense_attention = partial(attention.dense_attention, scale=SCALE)
SIZES = BranchSizes(length=4, stride=2, block_size=4, n_chosen=3, n_first=1, n_local=1, window=3)
ALL = BranchSizes(length=4, stride=2, block_size=4, n_chosen=9, n_first=1, n_local=2, window=N + 3)


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    make = lambda *shape: jnp.asarray(rng.normal(size=shape))  # noqa: E731
    pairs = [(make(2, N, KV, DIM), make(2, N, KV, 3)) for _ in range(3)]
    return make(2, N, HEADS, DIM), pairs, jnp.asarray(rng.uniform(size=(2, N, HEADS, 3)))


def _moba(q, kv, n_chosen):
    return block_mixture_attention(
        q, *kv, block_size=BLOCK, n_chosen=n_chosen, scale=SCALE, queries_at_once=8
    )


def _nsa(q, pairs, gates, sizes):
    means = tuple(compression_windows(a, sizes).mean(axis=-3) for a in pairs[0])
    return native_sparse_attention(
        q, means, *pairs[1:], gates, sizes, scale=SCALE, queries_at_once=8
    )


@pytest.fixture(scope="module")
def run():
    """All values in one program: MoBA with 2 blocks and all, NSA with few blocks and all, with the cotangent's pull."""

    @jax.jit
    def run(q, pairs, gates):
        moba = [_moba(q, pairs[0], n_chosen) for n_chosen in (2, 6, 9)]
        return moba, [_nsa(q, pairs, gates, sizes) for sizes in (SIZES, ALL)]

    return run


@pytest.fixture(scope="module")
def found(arrays, run):
    return run(*arrays)


def _softmax_over(scores, mask):
    """Weights by NumPy; rows without keys are zero."""
    weights = np.where(mask, np.exp(np.where(mask, scores, 0)), 0)
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total)


def _moba_mask(q, k, n_chosen):
    """Which keys each head of each query keeps, by loops over queries: (batch, heads, q, k)."""
    q, k = np.asarray(q), np.repeat(np.asarray(k), HEADS // KV, axis=2)
    mask = np.zeros((2, HEADS, N, N), bool)
    for b, h, t in np.ndindex(2, HEADS, N):
        own = t // BLOCK
        past = [k[b, i * BLOCK : (i + 1) * BLOCK, h].mean(axis=0) @ q[b, t, h] for i in range(own)]
        for block in [own, *sorted(range(own), key=lambda i: -past[i])[: n_chosen - 1]]:
            mask[b, h, t, block * BLOCK : min((block + 1) * BLOCK, t + 1)] = True
    return mask


def test_a_mixture_of_blocks_is_dense_attention_under_its_mask(arrays, found):
    q, pairs, _ = arrays
    mask = jnp.asarray(_moba_mask(q, pairs[0][0], 2))
    assert 0.2 < float(mask.mean()) < 0.35
    expected = jax.jit(dense_attention)(q, *pairs[0], mask=mask)
    np.testing.assert_allclose(found[0][0][0], expected, atol=1e-13)


def test_all_blocks_are_dense_attention(arrays, found):
    q, pairs, gates = arrays
    dense = jax.jit(dense_attention)
    for mixed, _ in found[0][1:]:
        np.testing.assert_allclose(mixed, dense(q, *pairs[0]), atol=1e-13)
    # Of the other design: all but the coarse branch, whose own reference is below.
    coarse = _coarse(arrays, ALL)[0]
    whole = [coarse, *(np.asarray(dense(q, *pair)) for pair in pairs[1:])]
    expected = sum(np.asarray(gates)[..., c, None] * part for c, part in enumerate(whole))
    np.testing.assert_allclose(found[1][1][0], expected, atol=1e-13)


def _coarse(arrays, sizes):
    """The coarse branch by NumPy from means of windows: mixed values and weights (batch, q, heads, compressed)."""
    q, pairs, _ = (jax.tree.map(np.asarray, part) for part in arrays)
    starts = range(0, N - sizes.length + 1, sizes.stride)
    k, v = (
        np.stack([a[:, s : s + sizes.length].mean(axis=1) for s in starts], axis=1)
        for a in pairs[0]
    )
    k, v = (np.repeat(a, HEADS // KV, axis=2) for a in (k, v))
    seen = np.array([[s + sizes.length - 1 <= t for s in starts] for t in range(N)])
    scores = np.einsum("bqhd,bkhd->bqhk", q, k) * SCALE
    weights = _softmax_over(scores, seen[None, :, None])
    return np.einsum("bqhk,bkhd->bqhd", weights, v), weights


def _nsa_blocks(weights, t, b, group):
    """Blocks that a query keeps, from the tokens that compressed keys and blocks share: first, own, the best others."""
    begun = t // SIZES.block_size + 1
    scores = np.zeros(begun)
    for i, weight in enumerate(weights[b, t, 2 * group : 2 * group + 2].sum(axis=0)):
        tokens = np.arange(i * SIZES.stride, i * SIZES.stride + SIZES.length)
        for j in range(begun):
            shared = (tokens // SIZES.block_size == j).sum()
            scores[j] += weight * shared / SIZES.stride
    always = {0, begun - 1}
    rest = sorted(set(range(begun)) - always, key=lambda j: (-scores[j], j))
    return always | set(rest[: SIZES.n_chosen - len(always)])


def test_native_sparse_attention_is_its_three_masked_branches(arrays, found):
    q, pairs, gates = arrays
    coarse, weights = _coarse(arrays, SIZES)
    chosen = np.zeros((2, HEADS, N, N), bool)
    for b, group, t in np.ndindex(2, KV, N):
        for block in _nsa_blocks(weights, t, b, group):
            keys = slice(block * 4, min(block * 4 + 4, t + 1))
            chosen[b, 2 * group : 2 * group + 2, t, keys] = True
    dense = jax.jit(dense_attention, static_argnames="window")
    fine = dense(q, *pairs[1], mask=jnp.asarray(chosen))
    near = dense(q, *pairs[2], window=SIZES.window)
    gates = np.asarray(gates)
    expected = gates[..., :1] * coarse + gates[..., 1:2] * fine + gates[..., 2:] * near
    np.testing.assert_allclose(found[1][0][0], expected, atol=1e-13)


@pytest.mark.parametrize(
    ("length", "stride", "block"), [(32, 16, 64), (4, 2, 6), (6, 3, 3), (4, 4, 4)]
)
def test_importance_is_the_weight_of_the_units_that_a_block_covers(length, stride, block):
    sizes = BranchSizes(length, stride, block, n_chosen=3)
    n_tokens = 3 * block + stride
    n_compressed = sizes.count_compressed(n_tokens)
    weights = np.random.default_rng(1).uniform(size=(1, 1, 4, n_compressed))
    ours = block_importance(jnp.asarray(weights), 2, 4, sizes)
    expected = np.zeros((2, 4))
    for h, i in np.ndindex(4, n_compressed):
        for token in range(i * stride, i * stride + length, stride):
            expected[h // 2, token // block] += weights[0, 0, h, i]
    np.testing.assert_allclose(ours[0, 0], expected, atol=1e-13)
    if length == stride == block:
        np.testing.assert_allclose(ours[0, 0, 0, :n_compressed], weights[0, 0, :2].sum(axis=0))


def test_the_future_changes_nothing(arrays, run, found):
    past = 9  # inside a block
    stir = lambda a: jnp.concatenate([a[:, :past], -3 * a[:, past:]], axis=1)  # noqa: E731
    for before, after in zip(
        jax.tree.leaves([[part[0] for part in kind] for kind in found]),
        jax.tree.leaves([[part[0] for part in kind] for kind in run(*jax.tree.map(stir, arrays))]),
        strict=True,
    ):
        np.testing.assert_allclose(before[:, :past], after[:, :past], atol=1e-15)
        assert abs(before[:, past:] - after[:, past:]).max() > 0.1


def test_gradients_are_right(arrays):
    """Along one direction against finite differences; what is chosen stays the same on so short a way."""
    f = jax.jit(
        lambda q, pairs, gates: (
            jnp.sin(_moba(q, pairs[0], 2)[0]).sum() + jnp.sin(_nsa(q, pairs, gates, SIZES)[0]).sum()
        )
    )
    slopes = jax.jit(jax.grad(f, argnums=(0, 1, 2)))(*arrays)
    rng = np.random.default_rng(2)
    way = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape)), arrays)
    ahead, behind = (
        float(f(*jax.tree.map(lambda a, w: a + step * w, arrays, way)))  # noqa: B023
        for step in (1e-6, -1e-6)
    )
    leaves = zip(jax.tree.leaves(slopes), jax.tree.leaves(way), strict=True)
    along = sum(float((np.asarray(slope) * np.asarray(w)).sum()) for slope, w in leaves)
    assert (ahead - behind) / 2e-6 == pytest.approx(along, rel=1e-6)
    assert abs(along) > 1


def test_three_blocks_of_512_leave_out_81_percent_of_8192_keys():
    """The published sparsity of MoBA, by counting the keys that the last query keeps; at 32K 95.31 %."""
    rng = np.random.default_rng(3)
    for n, percent in ((8192, 81.25), (32768, 95.3125)):
        scores = jnp.asarray(rng.normal(size=(1, 2, n // 512)))
        last = jnp.array([n - 1])
        blocks = select_blocks(scores, 3, 512, query_positions=last)
        keys = selected_mask(keys_of_blocks(blocks, 512, n, last), n)
        assert 100 * (1 - np.asarray(keys).mean()) == percent
        assert keys[0, :, -512:].all()


def test_tokens_read_while_decoding_are_those_of_the_formula():
    """The paper's floor((s - l) / d) + n l' + w at 8K to 64K; the compressed keys themselves are one more."""
    sizes = BranchSizes()
    for n, tokens in ((8192, 2046), (16384, 2558), (32768, 3582), (65536, 5630)):
        read = sizes.count_compressed(n) + sizes.n_chosen * sizes.block_size + sizes.window
        assert read == tokens + 1


def test_a_text_shorter_than_a_block_has_no_compressed_keys(arrays):
    q, pairs, gates = arrays
    short = jax.tree.map(lambda a: a[:, :3], (q, pairs, gates))
    assert SIZES.count_compressed(3) == 0
    mixed, _ = jax.jit(_nsa, static_argnums=3)(*short, SIZES)
    near, fine = (np.asarray(jax.jit(dense_attention)(short[0], *short[1][c])) for c in (2, 1))
    weights = np.asarray(short[2])
    np.testing.assert_allclose(
        mixed, weights[..., 2:] * near + weights[..., 1:2] * fine, atol=1e-13
    )
    nothing, weights = compressed_attention(
        short[0], *(a[:, :0] for a in pairs[0]), SIZES, query_positions=jnp.arange(3)
    )
    assert not nothing.any()
    assert weights.shape == (2, 3, HEADS, 0)


def test_a_window_begins_at_the_first_key():
    keys = window_keys(jnp.array([0, 1, 5]), 3)
    np.testing.assert_array_equal(keys.valid[:, 0].sum(axis=-1), [1, 2, 3])
    np.testing.assert_array_equal(keys.indices[2, 0], [5, 4, 3])


def test_bad_sizes_are_named(arrays):
    q, pairs, gates = arrays
    with pytest.raises(ValueError, match="`stride` must divide `block_size`, but is 16"):
        BranchSizes(block_size=40)
    with pytest.raises(ValueError, match="`n_chosen` must be at least 3, but is 2"):
        BranchSizes(n_chosen=2)
    with pytest.raises(ValueError, match="`n_chosen` must be at least 1, but is 0"):
        _moba(q, pairs[0], 0)
    with pytest.raises(ValueError, match="`block_size` must be at least 1, but is 0"):
        block_mixture_attention(q, *pairs[0], block_size=0, n_chosen=1)
    with pytest.raises(ValueError, match=r"`query_positions` must be given .* 1 queries and 22"):
        _moba(q[:, :1], pairs[0], 2)
    with pytest.raises(ValueError, match="`gates` must have size 3 along axis -1"):
        _nsa(q, pairs, gates[..., :2], SIZES)
