import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers.mixture import MixtureConfig
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
MIXTURE = DecoderConfig(
    vocabulary=11, width=8, n_layers=2, heads=2, kv_heads=1, head_dim=4, hidden=0,
    query_key_norm=True, mixture=MixtureConfig(4, 2, 6),
)  # fmt: skip
CONFIGS = {"llama": LLAMA, "qwen3-window": QWEN3, "qwen3-moe": MIXTURE}
KEY = jax.random.key(0)


@pytest.fixture(scope="module", params=CONFIGS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name):
    return laws.drawn(lambda: make_decoder(CONFIGS[name], key=KEY))


def test_cached_logits_are_those_of_the_whole_text(model):
    laws.cached_equals_full(model)
    laws.scanned_equals_unrolled(model)


def test_later_tokens_change_nothing(model):
    laws.the_future_changes_nothing(model)


@pytest.mark.parametrize("name", ["qwen3-window", "qwen3-moe"], scope="module")
def test_every_weight_has_its_gradient(model):
    gradient = laws.gradients_are_slopes(model, lambda m: m.body.blocks.mixer.key.weight)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("name", ["llama"], scope="module")
def test_a_full_cache_is_told(model):
    laws.overflow_is_not_a_number(model)


@pytest.mark.parametrize("name", ["qwen3-window"], scope="module")
def test_a_window_keeps_a_ring_of_its_length_and_sees_no_further(model):
    assert model.init_caches(2, 7, jnp.bfloat16).entries["k"].dtype == jnp.bfloat16
    assert model.init_caches(2, 7).entries["k"].shape == (2, 2, 3, 2, 4)
    # Each of the two layers reaches two tokens back.
    laws.the_past_changes_nothing(model, beyond=4)


@pytest.mark.parametrize(
    ("config", "billions"),
    [
        # Sizes of the releases; arXiv 2505.09388, Tables 1 and 2, names layers, heads and experts.
        (DecoderConfig(151_936, 5120, 40, 40, 8, 128, 17_408, query_key_norm=True), 14.77),
        (
            DecoderConfig(
                151_936,
                2048,
                48,
                32,
                4,
                128,
                0,
                query_key_norm=True,
                mixture=MixtureConfig(128, 8, 768),
            ),
            30.53,
        ),
    ],
    ids=["Qwen3-14B", "Qwen3-30B-A3B"],
)
def test_published_sizes_count_as_published(config, billions):
    shapes = eqx.filter_eval_shape(lambda: make_decoder(config, key=jax.random.key(0)))
    assert round(sum(leaf.size for leaf in jax.tree.leaves(shapes)) / 1e9, 2) == billions


@pytest.mark.parametrize("gguf", [False, True])
def test_published_tensors_fill_the_model(name, model, gguf):
    """Random tensors in the shapes of the files; single entries are looked up by hand."""
    config, table = CONFIGS[name], tensor_table(CONFIGS[name], gguf=gguf)
    arrays = eqx.filter(model, eqx.is_array)
    leaves = jax.tree_util.tree_flatten_with_path(arrays)[0]
    shapes = {jax.tree_util.keystr(path).lstrip("."): leaf.shape for path, leaf in leaves}
    rng, tensors = np.random.default_rng(0), {}

    def draw(names, shape):
        if isinstance(names, tuple):
            for inner in names:
                draw(inner, shape[1:])
        else:
            tensors[names] = rng.normal(size=shape)

    for path, source in table.items():
        *stacked, n_in, n_out = (0, *shapes[path])
        draw(source.names, (*stacked[1:], n_out, n_in) if source.transposed else shapes[path])
    filled = assign(model, tensors, table)
    if name == "qwen3-moe":
        up = "blk.1.ffn_up_exps" if gguf else "model.layers.1.mlp.experts.3.up_proj"
        up = tensors[f"{up}.weight"][3] if gguf else tensors[f"{up}.weight"]
        np.testing.assert_array_equal(filled.body.blocks.feed.experts.up.weight[1, 3], up.T)
        return
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
