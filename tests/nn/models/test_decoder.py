import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.models import DecoderConfig, make_decoder
from nn.models.decoder import tensor_table
from nn.weights import assign
from tests.exact import language_model_laws as laws

LLAMA = DecoderConfig(
    vocabulary=11, width=8, n_layers=2, heads=4, kv_heads=2, head_dim=4, hidden=12
)
QWEN3 = DecoderConfig(
    vocabulary=11, width=8, n_layers=2, heads=4, kv_heads=2, head_dim=4, hidden=12,
    query_key_norm=True, tied=True, window=3,
)  # fmt: skip
KEY = jax.random.key(0)


@pytest.fixture(scope="module", params=[LLAMA, QWEN3], ids=["llama", "qwen3-window"])
def model(request):
    return make_decoder(request.param, key=KEY, dtype=jnp.float64)


def test_cached_logits_are_those_of_the_whole_text(model):
    laws.cached_equals_full(model)
    laws.scanned_equals_unrolled(model)


def test_later_tokens_change_nothing(model):
    laws.the_future_changes_nothing(model)


def test_every_weight_has_its_gradient(model):
    gradient = laws.gradients_are_slopes(model, lambda m: m.body.blocks.mixer.key.weight)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


def test_a_full_cache_is_told():
    laws.overflow_is_not_a_number(make_decoder(LLAMA, key=KEY, dtype=jnp.float64))


def test_a_window_keeps_a_ring_of_its_length_and_sees_no_further():
    model = make_decoder(QWEN3, key=KEY, dtype=jnp.float64)
    assert model.init_caches(2, 7).entries["k"].shape == (2, 2, 3, 2, 4)
    one = eqx.tree_at(lambda m: m.body, model.unrolled(), model.unrolled().body.blocks[0])
    logits = lambda tokens: one.body(one.embedding(tokens))[0]  # noqa: E731
    changed = laws.TOKENS.at[:, 0].set((laws.TOKENS[:, 0] + 1) % 11)
    np.testing.assert_array_equal(logits(changed)[:, 3:], logits(laws.TOKENS)[:, 3:])


def test_published_sizes_count_as_published():
    # Qwen3-14B: 40 layers of 5120, 40 / 8 heads of 128, 17,408 hidden; arXiv 2505.09388, Table 1, and its release.
    config = DecoderConfig(151_936, 5120, 40, 40, 8, 128, 17_408, query_key_norm=True)
    shapes = eqx.filter_eval_shape(lambda: make_decoder(config, key=jax.random.key(0)))
    assert round(sum(leaf.size for leaf in jax.tree.leaves(shapes)) / 1e9, 2) == 14.77


@pytest.mark.parametrize("gguf", [False, True])
def test_published_tensors_fill_the_model(model, gguf):
    """Random tensors in the shapes of the files; single entries are looked up by hand."""
    config = QWEN3 if model.head is None else LLAMA
    arrays = eqx.filter(model, eqx.is_array)
    leaves = jax.tree_util.tree_flatten_with_path(arrays)[0]
    shapes = {jax.tree_util.keystr(path).lstrip("."): leaf.shape for path, leaf in leaves}
    rng, tensors = np.random.default_rng(0), {}
    for path, source in tensor_table(config, gguf=gguf).items():
        layered = isinstance(source.names, tuple)
        shape = shapes[path][1:] if layered else shapes[path]
        for name in source.names if layered else (source.names,):
            tensors[name] = rng.normal(size=shape[::-1] if source.transposed else shape)
    filled = assign(model, tensors, tensor_table(config, gguf=gguf))
    down = "blk.1.ffn_down.weight" if gguf else "model.layers.1.mlp.down_proj.weight"
    np.testing.assert_array_equal(filled.body.blocks.feed.down.weight[1], tensors[down].T)
    query = "blk.1.attn_q.weight" if gguf else "model.layers.1.self_attn.q_proj.weight"
    order = [0, 2, 1, 3] if gguf and config is LLAMA else [0, 1, 2, 3]
    np.testing.assert_array_equal(
        filled.body.blocks.mixer.query.weight[1, :, 4:8], tensors[query].T[:, 4:8][:, order]
    )


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(
        ValueError, match="`kv_heads` must divide `heads`, but is 3, and heads is 4"
    ):
        make_decoder(DecoderConfig(11, 8, 1, 4, 3, 4, 8), key=KEY)
    with pytest.raises(ValueError, match="`n_blocks` must be at least 1"):
        make_decoder(DecoderConfig(11, 8, 0, 4, 2, 4, 8), key=KEY)
