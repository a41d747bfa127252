"""Laws that every language model here obeys, compiled once for each model."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.training import next_token_loss

TOKENS = jnp.asarray(np.random.default_rng(7).integers(0, 11, (2, 7)))


def drawn(make):
    """The model that `make` makes, its numbers drawn by NumPy: JAX would compile a program for each shape."""
    rng = np.random.default_rng(5)

    def draw(path, leaf):
        mean = 1.0 if "norm" in jax.tree_util.keystr(path[-2:]) else 0.0
        return jnp.asarray(mean + 0.3 * rng.normal(size=leaf.shape))

    return jax.tree_util.tree_map_with_path(draw, eqx.filter_eval_shape(make))


@eqx.filter_jit
def _logits(model, tokens):
    return model(tokens)


@eqx.filter_jit
def _extended(model, tokens, caches):
    return model.extend(tokens, caches)


@eqx.filter_jit
def _slope(model, tokens):
    return eqx.filter_value_and_grad(next_token_loss)(model, tokens)


def _cached(model, chunks, capacity=7):
    caches, found, first = model.init_caches(2, capacity), [], 0
    for n in chunks:
        logits, caches = _extended(model, TOKENS[:, first : first + n], caches)
        found.append(logits)
        first += n
    return np.concatenate(found, axis=1)


def cached_equals_full(model, chunks=(3, 3, 1)):
    """A prompt, a chunk behind it, and single tokens give the logits of the whole text."""
    full = np.asarray(_logits(model, TOKENS))
    scale = np.abs(full).max()
    # Double precision through a few layers: 1e-12 of the largest logit.
    np.testing.assert_allclose(_cached(model, chunks), full, atol=1e-12 * scale)
    assert np.std(full) > 0.01
    return full


def scanned_equals_unrolled(model):
    full = np.asarray(_logits(model, TOKENS))
    single = model.unrolled()
    np.testing.assert_allclose(_cached(single, (1,) * 7), full, atol=1e-12)
    assert eqx.tree_equal(single.scanned(), model)


def the_future_changes_nothing(model):
    full = np.asarray(_logits(model, TOKENS))
    other = np.asarray(_logits(model, TOKENS.at[:, 4].set((TOKENS[:, 4] + 1) % 11)))
    np.testing.assert_array_equal(other[:, :4], full[:, :4])
    assert (np.abs(other[:, 4:] - full[:, 4:]).max(axis=(0, 2)) > 1e-6).all()


def the_past_changes_nothing(model, beyond):
    """The first token does not reach further than `beyond` positions."""
    full = np.asarray(_logits(model, TOKENS))
    other = np.asarray(_logits(model, TOKENS.at[:, 0].set((TOKENS[:, 0] + 1) % 11)))
    np.testing.assert_array_equal(other[:, beyond + 1 :], full[:, beyond + 1 :])
    assert (np.abs(other - full).max(axis=(0, 2))[: beyond + 1] > 1e-9).all()


def gradients_are_slopes(model, where):
    """All weights have a finite gradient; that of one is the slope of the loss."""
    weights = jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))
    _, gradient = _slope(model, TOKENS)
    assert len(jax.tree.leaves(gradient)) == len(weights)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    step = 1e-6 * jnp.cos(jnp.arange(where(model).size).reshape(where(model).shape))
    up, down = (
        _slope(eqx.tree_at(where, model, where(model) + sign * step), TOKENS)[0] for sign in (1, -1)
    )
    slope = float((up - down) / 2)
    # Central differences err by the square of the step, 1e-12, times a third derivative, here up to 1e6.
    np.testing.assert_allclose(float((where(gradient) * step).sum()), slope, rtol=1e-5)
    return gradient


def overflow_is_not_a_number(model):
    caches = model.init_caches(2, 6)
    _, caches = model.extend(TOKENS[:, :5], caches)
    with pytest.raises(ValueError, match="must have room for 2 further tokens, but hold 5 of 6"):
        model.extend(TOKENS[:, 5:], caches)
    logits = _cached(model, (1,) * 7, capacity=6)
    assert np.isfinite(logits[:, :6]).all()
    assert np.isnan(logits[:, 6:]).all()
