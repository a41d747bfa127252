import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers.caches import check_room, make_cache, make_recurrent_state, overflowed


def _entries(first, n):
    """Entries that tell the position of their token."""
    return {"k": jnp.arange(first, first + n, dtype=jnp.float32).reshape(1, n, 1)}


def _tokens(cache):
    """Pairs of position and entry of the filled slots, by position."""
    filled = sorted(
        zip(cache.positions.tolist(), cache.entries["k"][0, :, 0].tolist(), strict=True)
    )
    return [pair for pair in filled if pair[0] >= 0]


@pytest.mark.parametrize("chunks", [(5,), (1, 1, 3), (2, 3)])
def test_slots_know_their_tokens(chunks):
    cache, seen = make_cache(1, 6, k=(1,)), 0
    for n in chunks:
        np.testing.assert_array_equal(cache.next_positions(n), np.arange(seen, seen + n))
        cache, entries, positions = cache.extend(**_entries(seen, n))
        seen += n
        assert entries is cache.entries
        assert positions is cache.positions
    assert _tokens(cache) == [(i, i) for i in range(5)]
    assert (cache.positions == -1).sum() == 1


@pytest.mark.parametrize("chunks", [(3, 4), (1,) * 7, (7,), (2, 5)])
def test_a_ring_keeps_the_last_tokens_and_shows_what_it_pushes_out(chunks):
    cache, seen = make_cache(1, 3, ring=True, k=(1,)), 0
    for n in chunks:
        before = _tokens(cache)
        cache, entries, positions = cache.extend(**_entries(seen, n))
        seen += n
        if n > 1:
            shown = dict(zip(positions.tolist(), entries["k"][0, :, 0].tolist(), strict=True))
            assert dict(before) | {i: i for i in range(seen - n, seen)} == {
                place: entry for place, entry in shown.items() if place >= 0
            }
    assert _tokens(cache) == [(i, i) for i in (4, 5, 6)]
    assert not overflowed(cache)


def test_one_token_too_many_is_an_error_or_known_under_jit():
    cache = make_cache(1, 2, k=(1,)).append(**_entries(0, 2))
    assert not overflowed(cache)
    with pytest.raises(ValueError, match="must have room for 1 further tokens, but hold 2 of 2"):
        cache.append(**_entries(2, 1))
    with pytest.raises(ValueError, match="but hold 2 of 2"):
        check_room([{"layer": cache}], 1)
    full = jax.jit(lambda cache: cache.append(**_entries(2, 1)))(cache)
    assert overflowed((full, None))
    assert not overflowed(
        make_recurrent_state(1, kept=3, channels=2, heads=1, key_dim=2, value_dim=2)
    )


def test_entries_must_be_those_of_the_cache():
    cache = make_cache(1, 4, k=(1,), v=(2,))
    with pytest.raises(ValueError, match="`new` must hold the entries k, v, but holds k"):
        cache.append(**_entries(0, 1))
    with pytest.raises(ValueError, match="`v` must have size 2 along axis 1"):
        cache.append(**_entries(0, 2), v=jnp.zeros((1, 1, 2)))
    with pytest.raises(ValueError, match="`capacity` must be at least 1, but is 0"):
        make_cache(1, 0, k=(1,))
    with pytest.raises(ValueError, match="`shapes` must be at least 1, but is 0"):
        make_cache(1, 2)


def test_a_state_is_precise_whatever_its_window():
    state = make_recurrent_state(
        2, kept=3, channels=5, heads=2, key_dim=3, value_dim=4, dtype=jnp.bfloat16
    )
    assert (state.window.shape, state.window.dtype) == ((2, 3, 5), jnp.bfloat16)
    assert (state.state.shape, state.state.dtype) == ((2, 2, 3, 4), jnp.float32)
