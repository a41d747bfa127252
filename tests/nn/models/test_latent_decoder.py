import equinox as eqx
import jax
import numpy as np
import pytest

from nn.layers.mixture import MixtureConfig
from nn.models.latent_decoder import LatentConfig, make_latent_decoder, tensor_table
from tests.exact import language_model_laws as laws

CONFIG = LatentConfig(
    vocabulary=11, width=8, n_layers=3, n_dense=1, heads=2, query_rank=6, rank=5, key_dim=4,
    rotary_dim=2, value_dim=3, hidden=10, index_heads=2, index_dim=4, n_kept=3,
    rotary_base=500.0, norm_eps=1e-5,
    mixture=MixtureConfig(4, 2, 6, "sigmoid", scale=2.5, selection_bias=True, shared_hidden=6),
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return laws.drawn(lambda: make_latent_decoder(CONFIG, key=jax.random.key(0)))


def test_cached_logits_are_those_of_the_whole_text(model):
    laws.cached_equals_full(model)
    laws.scanned_equals_unrolled(model)


def test_later_tokens_change_nothing(model):
    laws.the_future_changes_nothing(model)


def test_all_but_the_index_learns_from_the_text(model):
    gradient = laws.gradients_are_slopes(
        model, lambda m: m.body.blocks[1].blocks.mixer.latent_up.weight
    )
    for path, leaf in jax.tree_util.tree_flatten_with_path(gradient)[0]:
        name = jax.tree_util.keystr(path)
        moved = np.abs(leaf).max() > 0
        assert moved == ("indexer" not in name and not name.endswith(".feed.bias")), name


def test_each_array_has_its_tensor(model):
    leaves = jax.tree_util.tree_flatten_with_path(eqx.filter(model, eqx.is_array))[0]
    shapes = {jax.tree_util.keystr(path).lstrip("."): leaf.shape for path, leaf in leaves}
    table = tensor_table(CONFIG)
    assert set(table) == set(shapes)
    assert len(table["body.blocks[1].blocks.feed.experts.up.weight"].names[1]) == 4
    assert table["body.blocks[1].blocks.mixer.output.weight"].names == (
        "model.layers.1.self_attn.o_proj.weight",
        "model.layers.2.self_attn.o_proj.weight",
    )


def test_base_and_eps_are_those_of_the_sizes(model):
    block = model.body.blocks[1].blocks
    assert block.mixer.rotary.base == 500
    assert [norm.eps for norm in (model.norm, block.mixer_norm, block.feed_norm)] == [1e-5] * 3


def test_published_sizes_count_as_published():
    # Sizes of the release of DeepSeek-V3 (arXiv 2412.19437, section 4.2), whose abstract says 671B; no index, and
    # without the blocks that predict a further token.
    config = LatentConfig(
        129_280, 7168, 61, 3, 128, 1536, 512, 128, 64, 128, 18_432,
        MixtureConfig(
            256, 8, 2048, "sigmoid", scale=2.5, selection_bias=True, n_groups=8, n_groups_chosen=4,
            shared_hidden=2048,
        ),
        index_heads=0,
    )  # fmt: skip
    shapes = eqx.filter_eval_shape(lambda: make_latent_decoder(config, key=jax.random.key(0)))
    assert round(sum(leaf.size for leaf in jax.tree.leaves(shapes)) / 1e9) == 671


def test_more_dense_blocks_than_blocks_are_named():
    with pytest.raises(ValueError, match="`n_dense` must lie between 0 and 3, but is 4"):
        LatentConfig(**(vars(CONFIG) | {"n_dense": 4}))
