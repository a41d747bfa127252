import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.learning_systems import sparse_text
from nn.models import DecoderConfig, make_decoder

CONFIG = DecoderConfig(11, 8, 2, 2, 1, 4, 8)
N = 12


@pytest.fixture(scope="module")
def model():
    """A decoder with random weights, large ones so that attention is not even."""
    plain = make_decoder(CONFIG, key=jax.random.key(0))
    plain = jax.tree.map(lambda a: 3 * a if a.ndim == 3 else a, plain)
    tokens = np.random.default_rng(0).integers(0, 11, 60)
    return sparse_text.train_index(plain, tokens, N, 40, key=jax.random.key(1))


def test_with_all_keys_every_rule_is_dense_attention(model):
    windows = np.random.default_rng(1).integers(0, 11, (2, N))
    found = sparse_text.measure_text(model[0], windows, (N,))
    assert found["loss.dense"].shape == (2,)
    for rule in sparse_text.RULES:
        np.testing.assert_allclose(found[f"loss.{rule}"][0], found["loss.dense"], atol=1e-5)
    for share in ("index", "best", "last"):
        np.testing.assert_allclose(found[f"weight.{share}"], np.ones((1, 2)), atol=1e-5)


def test_the_best_keys_hold_most_weight_and_the_index_learns(model):
    indexed, losses = model
    assert losses[-10:].mean() < 0.95 * losses[:10].mean()
    tokens = jnp.asarray(np.random.default_rng(2).integers(0, 11, (1, N)))
    few, some = (sparse_text.with_rule(indexed, rule, 3) for rule in ("best", "last"))
    dense = sparse_text.with_rule(indexed, "dense", 0)
    run = jax.jit(lambda tokens: [one(tokens) for one in (dense, few, some)])
    whole, best, last = (np.asarray(logits)[0] for logits in run(tokens))
    # The first three tokens see no more than three keys.
    for logits in (best, last):
        np.testing.assert_allclose(logits[:3], whole[:3], atol=1e-5)
        assert abs(logits[3:] - whole[3:]).max() > 1e-3
