import equinox as eqx
import jax
import numpy as np
import pytest

from nn.models.decoder import DecoderConfig, make_decoder
from nn.models.indexed_decoder import give_index, index_reports, only_indices, with_k

TOKENS = np.random.default_rng(0).integers(0, 10, (3, 16))


@pytest.fixture(scope="module")
def dense():
    return make_decoder(DecoderConfig(10, 8, 2, 2, 2, 4, 8), key=jax.random.key(0))


@pytest.fixture(scope="module")
def indexed(dense):
    return give_index(dense, None, heads=2, dim=4, key=jax.random.key(1))


def test_an_index_is_given_to_every_block_and_with_all_keys_nothing_changes(dense, indexed):
    @jax.jit
    def run(tokens):
        few = with_k(indexed, 3)
        first = few.body.unrolled().blocks[0]
        alone = first.mixer.report(first.mixer_norm(few.embedding(tokens)))
        return (dense(tokens), with_k(indexed, 16)(tokens)), index_reports(few, tokens), alone

    (plain, all_keys), report, first = run(TOKENS)
    np.testing.assert_allclose(all_keys, plain, atol=2e-6)
    assert report.recall.shape == (2, 3, 16)
    np.testing.assert_allclose(report.recall[0], first.recall, atol=1e-6)
    np.testing.assert_allclose(report.loss[0], first.loss, rtol=1e-5)
    # Three keys of sixteen catch less than all weight, and no more than the best three.
    assert (report.recall <= report.best + 1e-6).all()
    assert report.best.min() < 0.9


def test_only_the_indices_are_told_to_train(indexed):
    chosen, rest = eqx.partition(indexed, only_indices(indexed))
    ours = jax.tree.leaves(indexed.body.blocks.mixer.indexer)
    assert [leaf.shape for leaf in jax.tree.leaves(chosen)] == [leaf.shape for leaf in ours]
    assert not jax.tree.leaves(rest.body.blocks.mixer.indexer)
    assert jax.tree.leaves(rest.body.blocks.mixer.attention)
