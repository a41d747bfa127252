from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.generation import generate, make_sampling, sample
from nn.models import DecoderConfig, make_decoder

N_NEW = 6
PROMPTS = jnp.array([[3, 1, 4, 1], [2, 7, 1, 8]])


@pytest.fixture(scope="module")
def model():
    """Random numbers of NumPy in place of weights: nothing is compiled."""
    config = DecoderConfig(12, 16, 2, 4, 2, 4, 24)
    hollow = eqx.filter_eval_shape(lambda key: make_decoder(config, key=key), jax.random.key(0))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(scale=0.4, size=leaf.shape)), hollow)


@pytest.fixture(scope="module")
def recomputed(model):
    """Each token from the whole text before it, without caches; a causal model does not see what is filled up."""
    whole = eqx.filter_jit(lambda model, tokens: model(tokens))

    def recompute(sampling, key):
        tokens = jnp.pad(PROMPTS, ((0, 0), (0, N_NEW)))
        for i in range(N_NEW):
            at = PROMPTS.shape[1] + i
            token = sample(
                whole(model, tokens)[:, at - 1], sampling, key=jax.random.fold_in(key, i)
            )
            tokens = tokens.at[:, at].set(token)
        return np.asarray(tokens[:, PROMPTS.shape[1] :])

    return recompute


@pytest.mark.parametrize("temperature", [0, 0.7])
def test_tokens_are_those_of_computing_everything_anew(model, recomputed, temperature):
    sampling, key = make_sampling(temperature), jax.random.key(5)
    found = generate(model, PROMPTS, N_NEW, key=key, sampling=sampling)
    expected = recomputed(sampling, key)
    assert len(set(expected.flatten().tolist())) > 2  # no text of one token
    np.testing.assert_array_equal(found.tokens, expected)
    assert found.lengths.tolist() == [N_NEW, N_NEW]


def test_a_row_ends_at_its_stop_token_and_the_others_go_on(model, recomputed):
    key = jax.random.key(5)
    free = recomputed(make_sampling(0.7), key)
    stop = int(free[0, 2])
    found = generate(model, PROMPTS, N_NEW, key=key, sampling=make_sampling(0.7), stop_token=stop)
    for row, tokens, length in zip(free, np.asarray(found.tokens), found.lengths, strict=True):
        ends = np.flatnonzero(row == stop)
        expected = int(ends[0]) + 1 if ends.size else N_NEW
        assert int(length) == expected
        np.testing.assert_array_equal(tokens[:expected], row[:expected])
        assert (tokens[expected:] == stop).all()


def test_a_second_call_traces_nothing(model):
    class Counted(eqx.Module):
        inner: eqx.Module
        calls: list = eqx.field(static=True)

        def init_caches(self, batch, capacity):
            return self.inner.init_caches(batch, capacity)

        def extend(self, tokens, caches):
            self.calls.append(tokens.shape)
            return self.inner.extend(tokens, caches)

    class Calls(list):
        def __hash__(self):
            return id(self)

        def __eq__(self, other):
            return self is other

    calls, counts = Calls(), []
    counted = Counted(model, calls)
    for i, temperature in enumerate((0.5, 0.9)):
        tokens = PROMPTS + i
        sampling = make_sampling(temperature)
        generate(counted, tokens, N_NEW, key=jax.random.key(i), sampling=sampling, stop_token=i)
        # The prompt, and one token for all the rest.
        assert set(calls) == {(2, 4), (2, 1)}
        counts.append(len(calls))
    assert counts[0] == counts[1]


def test_one_new_token_is_enough(model, recomputed):
    found = generate(model, PROMPTS, 1, key=jax.random.key(5), sampling=make_sampling(0))
    np.testing.assert_array_equal(
        found.tokens, recomputed(make_sampling(0), jax.random.key(5))[:, :1]
    )


def test_bad_counts_are_refused_before_it_starts(model):
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="`n_new` must be at least 1, but is 0"):
        generate(model, PROMPTS, 0, key=key)
    with pytest.raises(ValueError, match="`tokens` must be at least 1, but is 0"):
        generate(model, PROMPTS[:, :0], 1, key=key)
    with pytest.raises(ValueError, match="`stop_token` must lie between 0 and inf, but is -1"):
        generate(model, PROMPTS, 1, key=key, stop_token=-1)


def test_one_text_reads_weights_and_caches_where_they_lie():
    """Maps of 32 numbers, rings of 3 tokens: scanned as it is, and one by one as for several texts."""
    config = DecoderConfig(12, 32, 2, 4, 2, 8, 32, query_key_norm=True, window=3)
    hollow = eqx.filter_eval_shape(lambda key: make_decoder(config, key=key), jax.random.key(0))
    rng = np.random.default_rng(1)
    model: Any = jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(scale=0.3, size=leaf.shape)), hollow
    )
    assert model.for_decoding(1).body.is_scanned
    extend = eqx.filter_jit(lambda model, tokens, caches: model.extend(tokens, caches))
    text = jnp.array([[3, 1, 4, 1, 5, 9, 2]])
    _, caches = extend(model, text[:, :4], model.init_caches(1, 7))
    found = []
    for i in range(4, 7):
        logits, caches = extend(model, text[:, i : i + 1], caches)
        found.append(logits[:, 0])
    expected = eqx.filter_jit(lambda model, tokens: model(tokens))(model, text)[:, 4:]
    np.testing.assert_allclose(jnp.stack(found, 1), expected, atol=1e-12)
    assert caches.layer is None
    np.testing.assert_array_equal(caches.n_seen, [7, 7])
    np.testing.assert_array_equal(caches.positions, [[6, 4, 5]] * 2)
