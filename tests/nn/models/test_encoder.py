import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.models import load_encoder
from nn.models.encoder import EncoderConfig, make_encoder, tensor_table
from nn.weights import MINILM, MINILM_TOKENIZER, open_packaged, read_tokenizer
from tests.exact import language_model_laws as laws

CONFIG = EncoderConfig(vocabulary=11, width=8, n_layers=2, heads=2, hidden=10, max_length=9)
COUNTS = jnp.arange(7)[None] < jnp.array([7, 4])[:, None]


@pytest.fixture(scope="module")
def model():
    return laws.drawn(lambda: make_encoder(CONFIG, key=jax.random.key(0)))


@eqx.filter_jit
def _vectors(model, tokens, counts=None):
    return model(tokens, counts), model.text_vectors(tokens, counts)


def test_what_fills_up_a_batch_changes_nothing(model):
    tokens, vectors = _vectors(model, laws.TOKENS, COUNTS)
    other = jnp.where(COUNTS, laws.TOKENS, (laws.TOKENS + 3) % 11)
    others, other_vectors = _vectors(model, other, COUNTS)
    np.testing.assert_array_equal(np.asarray(others)[COUNTS], np.asarray(tokens)[COUNTS])
    np.testing.assert_array_equal(other_vectors, vectors)
    alone, alone_vector = _vectors(model, laws.TOKENS[1:, :4])
    np.testing.assert_allclose(alone[0], tokens[1, :4], rtol=1e-10)
    np.testing.assert_allclose(alone_vector[0], vectors[1], rtol=1e-10)


def test_a_text_is_the_mean_of_its_tokens_of_length_one(model):
    tokens, vectors = _vectors(model, laws.TOKENS, COUNTS)
    mean = np.asarray(tokens)[1, :4].mean(axis=0)
    np.testing.assert_allclose(vectors[1], mean / np.linalg.norm(mean), rtol=1e-10)


def test_all_tokens_see_each_other(model):
    tokens, _ = _vectors(model, laws.TOKENS, COUNTS)
    other, _ = _vectors(model, laws.TOKENS.at[0, 6].set((laws.TOKENS[0, 6] + 1) % 11), COUNTS)
    assert (np.abs(other - tokens)[0].max(axis=-1) > 1e-6).all()


def test_each_array_has_its_tensor(model):
    leaves = jax.tree_util.tree_flatten_with_path(eqx.filter(model, eqx.is_array))[0]
    assert set(tensor_table(CONFIG)) == {jax.tree_util.keystr(p).lstrip(".") for p, _ in leaves}


def test_published_sizes_count_as_published():
    # all-MiniLM-L6-v2: 22.7 million parameters with the map behind the first token, 384 x 385 of them.
    config = EncoderConfig(30_522, 384, 6, 12, 1536)
    shapes = eqx.filter_eval_shape(lambda: make_encoder(config, key=jax.random.key(0)))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert round((count + 384 * 385) / 1e6, 1) == 22.7


def test_texts_that_are_too_long_or_empty_are_named(model):
    with pytest.raises(ValueError, match="`max_length` must be at least 10, but is 9"):
        model(jnp.zeros((1, 10), int))
    with pytest.raises(ValueError, match="at least one token of each text, but none of text 1"):
        model(laws.TOKENS, COUNTS.at[1].set(False))
    empty = eqx.filter_jit(lambda model, counts: model.text_vectors(laws.TOKENS, counts))
    vectors = empty(model, COUNTS.at[1].set(False))
    np.testing.assert_array_equal(vectors[1], 0)
    assert np.isfinite(vectors).all()


def test_minilm_knows_what_sentences_are_about():
    pytest.importorskip("safetensors")
    pytest.importorskip("tokenizers")
    if not MINILM.is_installed:
        pytest.skip(f"{MINILM.package} is not installed (`make models`)")
    tokenizer = read_tokenizer(MINILM_TOKENIZER.find(), sha256=MINILM_TOKENIZER.sha256)
    texts = [
        "A kitten sleeps on the sofa.",
        "The cat is lying on a couch.",
        "Interest rates rose again today.",
    ]
    rows = [tokenizer.encode(text).ids for text in texts]
    longest = max(map(len, rows))
    tokens = np.array([row + [0] * (longest - len(row)) for row in rows])
    counts = np.arange(longest)[None] < np.array([len(row) for row in rows])[:, None]
    model = load_encoder(open_packaged(MINILM), heads=12)
    vectors = eqx.filter_jit(model.text_vectors)(jnp.asarray(tokens), jnp.asarray(counts))
    cosines = np.asarray(vectors @ vectors.T)
    np.testing.assert_allclose(np.diag(cosines), 1, atol=1e-6)
    assert cosines[0, 1] > 0.5
    assert np.abs(cosines[:2, 2]).max() < 0.1
