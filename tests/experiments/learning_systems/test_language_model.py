import jax.numpy as jnp
import numpy as np
import pytest

from experiments.data import corpora
from experiments.learning_systems import language_model
from experiments.learning_systems.byte_ngrams import count_ngrams
from nn.training import evaluate

TINY = language_model.Config(
    n_train=100_000, n_test=3000, width=16, n_layers=1, heads=2, context=16, n_steps=200, learning_rate=1e-2,
    repeats=1, most_order=4, n_sample=6, real_model=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    return language_model.run(TINY)


def test_the_decoder_learns_more_than_how_often_each_byte_comes(outcome):
    _, test = language_model._texts(TINY)
    shares = np.bincount(test, minlength=256) / len(test)
    entropy = -np.sum(shares * np.log2(shares, where=shares > 0, out=np.zeros(256)))
    # Not even the frequencies of the held-out bytes themselves say so much.
    assert outcome.metrics["bits_per_byte.decoder"].value < entropy - 0.1
    assert outcome.arrays["losses"][0, 0] > 7.5  # 8 bits before it has seen anything


def test_ngrams_gain_by_their_context_and_the_best_on_training_text_is_reported(outcome):
    orders, bits = outcome.arrays["bits.ngrams"]
    assert orders.tolist() == [2, 3, 4]
    assert bits[0] > bits[1] > bits[2]
    assert outcome.metrics["order.ngrams"].value == 4
    assert outcome.metrics["bits_per_byte.ngrams"].value == bits[2]


def test_decoder_and_ngrams_are_scored_on_the_same_bytes(outcome):
    text, test = language_model._texts(TINY)
    pairs = count_ngrams(text, 2)
    every = np.arange(256, dtype=np.uint8)
    table = np.stack(
        [
            pairs.probabilities(np.stack([np.full(256, a, np.uint8), every], 1).ravel(), 1)[::2]
            for a in every
        ]
    )
    # A model whose logits are those of the pairs has to be given the bits that the pairs are given.
    logits = jnp.log(jnp.asarray(table))
    windows = language_model.held_out_windows(test, TINY.context)
    nats = evaluate(
        language_model._scored,
        lambda tokens: logits[tokens],
        jnp.asarray(windows, jnp.int32),
        batch_size=64,
    )
    assert nats.mean() / np.log(2) == pytest.approx(outcome.arrays["bits.ngrams"][1, 0], rel=1e-9)


def test_every_scored_byte_has_half_a_context_before_it_and_is_scored_once():
    windows = language_model.held_out_windows(np.arange(40), 8)
    scored = windows[:, -4:].ravel()
    np.testing.assert_array_equal(scored, np.arange(5, 5 + len(scored)))
    assert len(scored) >= 40 - 5 - 4


def test_the_decoder_writes_on_and_all_is_drawn(outcome):
    sample = corpora.to_text(outcome.arrays["sample"])
    assert sample.startswith("def ")
    assert outcome.arrays["sample"].size == 4 + 6
    assert len(outcome.figure().axes) == 3
