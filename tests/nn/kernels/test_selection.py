import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels.attention import dense_attention
from nn.kernels.selection import Selection, gathered_attention, select_top, selected_mask

N, HEADS, DIM = 9, 4, 5


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    shapes = (2, N, HEADS, DIM), (2, N, 2, DIM), (2, N, 2, 3)
    return tuple(jnp.asarray(rng.normal(size=shape)) for shape in shapes)


def _random_choice(groups, chosen=4):
    """For each query some keys at or before it, in any order; the first query of each text chooses none."""
    rng = np.random.default_rng(1)
    indices = np.zeros((2, N, groups, chosen), int)
    valid = np.zeros(indices.shape, bool)
    for place in np.ndindex(2, N, groups):
        keys = rng.permutation(place[1] + 1)[:chosen] if place[1] else []
        indices[place][: len(keys)], valid[place][: len(keys)] = keys, True
    return Selection(jnp.asarray(indices), jnp.asarray(valid))


def test_the_highest_come_first_and_of_equals_the_earliest():
    scores = jnp.array([[0.0, 2.0, -0.0, 2.0, 1.0, 0.0], [-1.0, -jnp.inf, 5.0, 0.0, 5.0, -2.0]])
    seen = jnp.array([[True] * 6, [True, True, False, False, False, False]])
    indices, valid = select_top(scores, seen, 4)
    np.testing.assert_array_equal(indices, [[1, 3, 4, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(valid, [[True] * 4, [True, True, False, False]])
    # The third of three zeros is left out, the second has a minus sign.
    np.testing.assert_array_equal(select_top(scores[:1], seen[:1], 5).indices, [[1, 3, 4, 0, 2]])


def test_a_query_alone_chooses_what_it_chooses_among_all():
    rng = np.random.default_rng(0)
    scores = rng.integers(-1, 2, (40, 40)) * rng.choice([-0.0, 1.0], (40, 40))
    scores = jnp.asarray(scores)
    seen = jnp.tri(40, dtype=bool)
    whole = jax.tree.map(np.asarray, select_top(scores, seen, 7))
    rows = np.asarray(scores)
    for t in (0, 5, 39):
        alone = select_top(scores[t, : t + 1], seen[t, : t + 1], 7)
        n = len(alone.indices)
        np.testing.assert_array_equal(alone.indices, whole.indices[t, :n])
    for t in range(40):
        order = sorted(range(t + 1), key=lambda s: (-rows[t, s], s))[:7]
        np.testing.assert_array_equal(whole.indices[t, : len(order)], order)
        assert int(whole.valid[t].sum()) == len(order)


def test_what_is_not_seen_is_never_chosen_and_nan_shows():
    scores = jnp.array([jnp.inf, jnp.nan, 1.0, 3.0])
    none = select_top(scores, jnp.zeros(4, bool), 2)
    assert not none.valid.any()
    some = select_top(scores, jnp.array([False, True, True, False]), 3)
    np.testing.assert_array_equal(some.indices, [1, 2, 0])
    np.testing.assert_array_equal(some.valid, [True, True, False])


def test_attention_to_the_chosen_equals_dense_attention_under_their_mask(arrays):
    """One group for all heads, one for each head of keys, one for each head of queries; gradients too."""
    choices = [_random_choice(groups) for groups in (1, 2, 4)]
    pull = jnp.asarray(np.cos(np.arange(2 * N * HEADS * 3)).reshape(2, N, HEADS, 3))

    @jax.jit
    def both(arrays, choices):
        found = []
        for choice in choices:
            mask = jnp.moveaxis(selected_mask(choice, N), -2, 1)
            mask = jnp.repeat(mask, HEADS // mask.shape[1], axis=1)
            gathered = lambda *a: gathered_attention(*a, choice, queries_at_once=4)[0]  # noqa: B023, E731
            dense = lambda *a: dense_attention(*a, mask=mask)  # noqa: B023, E731
            for attend in (gathered, dense):
                mixed, back = jax.vjp(attend, *arrays)
                found.append((mixed, *back(pull)))
            found[-2] = (*found[-2], mask.sum())
        return found

    found = both(arrays, choices)
    for choice, ours, theirs in zip(choices, found[::2], found[1::2], strict=True):
        assert int(ours[4]) == int(choice.valid.sum()) * HEADS // choice.valid.shape[2]
        np.testing.assert_array_equal(ours[0][:, 0], 0)
        assert abs(np.asarray(ours[0])).max() > 0.5
        for mine, reference in zip(ours, theirs, strict=False):
            np.testing.assert_allclose(mine, reference, atol=1e-12)


def test_weights_stand_in_the_order_of_the_choice(arrays):
    choice = _random_choice(1)
    mixed, weights = jax.jit(gathered_attention)(*arrays, choice)
    weights, values = np.asarray(weights), np.asarray(arrays[2])
    np.testing.assert_allclose(weights[:, 1:].sum(axis=-1), 1, atol=1e-14)
    rows = np.stack([values[b, choice.indices[b, :, 0], 1] for b in (0, 1)])
    by_hand = np.einsum("bqc,bqce->bqe", weights[:, :, 3], rows)
    np.testing.assert_allclose(mixed[:, :, 3], by_hand, atol=1e-13)


def test_half_precision_is_summed_in_single(arrays):
    q, k, v = (array.astype(jnp.bfloat16) for array in arrays)
    choice = _random_choice(1)
    attend = jax.jit(gathered_attention)
    mixed, weights = attend(q, k, v, choice)
    assert mixed.dtype == jnp.bfloat16
    assert weights.dtype == jnp.float32
    exact = attend(*(a.astype(jnp.float32) for a in (q, k, v)), choice)[0]
    np.testing.assert_array_equal(mixed, exact.astype(jnp.bfloat16))


def test_bad_choices_are_named(arrays):
    q, k, v = arrays
    with pytest.raises(ValueError, match="`k` must be at least 1, but is 0"):
        select_top(jnp.ones(3), jnp.ones(3, bool), 0)
    with pytest.raises(ValueError, match="`groups` must divide `heads`, but is 3, and heads is 4"):
        gathered_attention(q, k, v, _random_choice(3))
    with pytest.raises(ValueError, match=r"`selection` must have the batch and the queries of `q`"):
        gathered_attention(q[:, 1:], k, v, _random_choice(1))
    with pytest.raises(ValueError, match="`queries_at_once` must be at least 1, but is 0"):
        gathered_attention(q, k, v, _random_choice(1), queries_at_once=0)
