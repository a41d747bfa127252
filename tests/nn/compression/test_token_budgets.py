from dataclasses import replace

import equinox as eqx
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from nn.compression.pruned_prefill import Seen, Stage, cache_bytes, prefill_macs, pruned_prefill
from nn.compression.token_budgets import compress_caches, count_kept, pooling, pyramid
from nn.compression.token_rules import fastv, merging
from nn.models import DecoderConfig, make_decoder
from tests.exact import language_model_laws as laws

CONFIG = DecoderConfig(9, 8, 3, heads=2, kv_heads=1, head_dim=4, hidden=6, query_key_norm=True)
RNG = np.random.default_rng(2)
# One token of the text, nine of a picture of 3 x 3, three of the text; then two of the answer.
X, ANSWER = jnp.asarray(RNG.normal(size=(1, 13, 8))), jnp.asarray([[5, 2]])
SPAN = {"n_image": 9, "first_image": 1}
prefill = eqx.filter_jit(pruned_prefill)
extend = eqx.filter_jit(lambda decoder, tokens, caches: decoder.extend(tokens, caches))


@pytest.fixture(scope="module")
def decoder():
    return laws.drawn(lambda: make_decoder(CONFIG, key=jax.random.key(0)).unrolled())


@pytest.fixture(scope="module")
def read(decoder):
    return prefill(decoder.body, X, n_new=2, stages=(Stage(2, 4, fastv),), **SPAN)


def seen(hidden):
    m = len(hidden)
    return Seen(jnp.ones(m), jnp.asarray(hidden), jnp.asarray(hidden[0]), jnp.arange(m))


def test_the_pyramid_halves_at_the_end_of_each_stage():
    # Four stages of 32 layers and 576 tokens, the sizes of LLaVA.
    cuts = [(stage.layer, stage.keep) for stage in pyramid(576, 32)]
    assert cuts == [(8, 288), (16, 144), (24, 72)]
    assert pyramid(9, 5, n_stages=1) == ()
    assert pyramid(10, 5, n_stages=2, share=0.3, rule=merging) == (Stage(2, 3, merging),)


def test_pooling_takes_means_over_areas():
    hidden = RNG.normal(size=(9, 2))
    middle, means = pooling(3)(seen(hidden), 1)
    assert means is not None
    np.testing.assert_array_equal(middle, [4])
    np.testing.assert_allclose(means[0], hidden.mean(axis=0), rtol=1e-12)
    middle, means = pooling(3)(seen(hidden), 9)
    assert means is not None
    np.testing.assert_array_equal(middle, np.arange(9))
    np.testing.assert_allclose(means, hidden, rtol=1e-12)
    # The upper left of 2 x 2 areas holds one patch, two halves and a quarter.
    middle, means = pooling(3)(seen(hidden), 4)
    assert means is not None
    np.testing.assert_array_equal(middle, [0, 2, 6, 8])
    square = hidden.reshape(3, 3, 2)
    corner = square[0, 0] + (square[0, 1] + square[1, 0]) / 2 + square[1, 1] / 4
    np.testing.assert_allclose(means[0], corner / 2.25, rtol=1e-12)


def test_decoding_from_cut_caches_is_decoding_with_what_was_cut_hidden(decoder, read):
    """Reference: the whole caches, where a slot at position -1 is one that nobody sees."""
    cut = compress_caches(read, 2, first_image=1)
    hidden = []
    for cache, weights, n_image in zip(read.caches, read.weights, (9, 9, 4), strict=True):
        picture = np.asarray(weights)[1 : 1 + n_image]
        gone = 1 + np.argsort(-picture)[2:]
        hidden.append(replace(cache, positions=cache.positions.at[gone].set(-1)))
    found, wanted, whole = (
        extend(decoder, ANSWER, caches)[0] for caches in (cut, tuple(hidden), read.caches)
    )
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    assert np.abs(np.asarray(found) - np.asarray(whole)).max() > 1e-3
    # Four of the text and two of the picture in each layer, of keys and values with 4 numbers of 8 bytes.
    assert [cache.capacity for cache in cut] == [8, 8, 8]
    assert cache_bytes(cut) == 3 * 6 * 2 * 4 * 8
    assert cache_bytes(read.caches) == (13 + 13 + 8) * 2 * 4 * 8
    np.testing.assert_array_equal(cut[0].positions[jnp.asarray([0, 3, 4, 5])], [0, 10, 11, 12])


def test_cut_caches_take_the_answer_word_by_word(decoder, read):
    caches, found = compress_caches(read, 2, first_image=1), []
    at_once = extend(decoder, ANSWER, caches)[0]
    for i in range(2):
        logits, caches = extend(decoder, ANSWER[:, i : i + 1], caches)
        found.append(logits)
    np.testing.assert_allclose(np.concatenate(found, axis=1), at_once, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="room for 1 further tokens, but hold 8 of 8"):
        decoder.extend(ANSWER[:, :1], caches)


def test_a_cut_that_keeps_all_changes_nothing(read):
    for cache, same in zip(read.caches, compress_caches(read, 9, first_image=1), strict=True):
        assert eqx.tree_equal(cache, same)


def test_the_formula_counts_the_products_that_are_done(decoder):
    """All matrix products of the program are the formula's, and the weights of the last token for the rules."""
    stages = (Stage(1, 5, fastv), Stage(2, 2, fastv))
    program = jax.make_jaxpr(
        lambda x: pruned_prefill(decoder.body, x, n_new=0, stages=stages, **SPAN).hidden
    )(X)
    n_tokens = (13, 9, 6)
    # SwiGLU has three maps where the formula has two.
    counted = prefill_macs(n_tokens, width=8, hidden=9, keys=2 * 4)
    asked = sum(n * 8 + n * n * 8 // 4 for n in n_tokens[:2])
    assert _products(program.jaxpr) == counted + asked


def _products(jaxpr):
    """Multiplications of all matrix products of a program without loops, what nobody asks for left out."""
    live, total = {v for v in jaxpr.outvars if not hasattr(v, "val")}, 0
    for equation in reversed(jaxpr.eqns):
        if not live & set(equation.outvars):
            continue
        live |= {v for v in equation.invars if not hasattr(v, "val")}
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            total += _products(inner)
        if equation.primitive.name == "dot_general":
            (axes, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += equation.outvars[0].aval.size * int(np.prod([left[a] for a in axes]))
    return total


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda read: count_kept(9, 0), "`share` must be above 0 and at most 1, but is 0"),
        (lambda read: count_kept(9, float("nan")), "`share` must be above 0"),
        (lambda read: pyramid(8, 2, n_stages=3), "`n_stages` must lie between 1 and 2"),
        (lambda read: pyramid(8, 4, share=0), "`share` must be above 0"),
        (lambda read: pooling(3)(seen(np.ones((8, 2))), 4), "`hidden` must have size 9 along axis 0"),
        (lambda read: pooling(3)(seen(np.ones((9, 2))), 5), "`keep` must be a square from 1 to 9, but is 5"),
        (lambda read: pooling(3)(seen(np.ones((9, 2))), 0), "`keep` must be a square from 1 to 9, but is 0"),
        (lambda read: compress_caches(read, 0), "`keep` must be at least 1, but is 0"),
        (lambda read: compress_caches(read, 1, first_image=6), "`first_image` must lie between 0 and 4, but is 6"),
        (
            lambda read: compress_caches(read._replace(weights=tuple(w * np.nan for w in read.weights)), 1),
            "`scores` must be finite",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_named(read, call, message):
    with pytest.raises(ValueError, match=message):
        call(read)
