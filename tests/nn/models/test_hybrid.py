import equinox as eqx
import jax
import numpy as np
import pytest

from nn.layers.mixture import MixtureConfig
from nn.models.hybrid import HybridConfig, make_hybrid, separate_tensors, tensor_table
from tests.exact import language_model_laws as laws

CONFIG = HybridConfig(
    vocabulary=11, width=8, n_layers=6, heads=2, kv_heads=1, head_dim=4, rotary_dim=2, period=3,
    delta_heads=4, delta_key_heads=2, delta_key_dim=3, delta_value_dim=2, convolution=3,
    mixture=MixtureConfig(4, 2, 6, shared_hidden=3, shared_gated=True),
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return laws.drawn(lambda: make_hybrid(CONFIG, key=jax.random.key(0)))


def test_cached_logits_are_those_of_the_whole_text(model):
    laws.cached_equals_full(model)
    laws.scanned_equals_unrolled(model)


def test_later_tokens_change_nothing(model):
    laws.the_future_changes_nothing(model)


def test_every_weight_has_its_gradient(model):
    gradient = laws.gradients_are_slopes(
        model, lambda m: m.body.blocks.blocks[0].blocks.mixer.log_rate
    )
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


def test_only_attention_keeps_more_for_longer_texts(model):
    short, long = (model.init_caches(2, n) for n in (5, 9))
    grown = [a.shape != b.shape for a, b in zip(*map(jax.tree.leaves, (short, long)), strict=True)]
    # Keys, values and positions of attention, in one array each for all periods.
    assert sum(grown) == 3
    assert short[1].entries["k"].shape == (2, 2, 5, 1, 4)


def test_each_array_has_its_tensor(model):
    leaves = jax.tree_util.tree_flatten_with_path(eqx.filter(model, eqx.is_array))[0]
    shapes = {jax.tree_util.keystr(path).lstrip("."): leaf.shape for path, leaf in leaves}
    table = tensor_table(CONFIG)
    assert set(table) == set(shapes)
    assert table["body.blocks.blocks[0].blocks.mixer.log_rate"].names == (
        ("model.layers.0.linear_attn.A_log", "model.layers.1.linear_attn.A_log"),
        ("model.layers.3.linear_attn.A_log", "model.layers.4.linear_attn.A_log"),
    )
    assert table["body.blocks.blocks[1].mixer.output.weight"].names == (
        "model.layers.2.self_attn.o_proj.weight",
        "model.layers.5.self_attn.o_proj.weight",
    )


def test_fused_maps_are_taken_apart_head_by_head():
    # Two heads of keys; each row says what it is: 10 head + (query 0, key 1, value 2, gate 3).
    one = np.repeat([0, 1, 2, 3], [3, 3, 4, 4])
    rows = np.concatenate([one, 10 + one])[:, None] * np.ones(5)
    start = "model.layers.0.linear_attn."
    ba = np.array([0, 1, 2, 3, 4, 5, 6, 7])[:, None] * np.ones(5)
    parts = separate_tensors(
        {
            f"{start}in_proj_qkvz.weight": rows,
            f"{start}in_proj_ba.weight": ba,
            f"{start}conv1d.weight": np.ones((6, 1, 3)),
            "other": ba,
        },
        CONFIG,
    )
    found = {name.removeprefix(start): array[:, 0].tolist() for name, array in parts.items()}
    assert found["query.weight"] == [0, 0, 0, 10, 10, 10]
    assert found["gate.weight"] == [3] * 4 + [13] * 4
    assert found["strength.weight"] == [0, 1, 4, 5]
    assert found["decay.weight"] == [2, 3, 6, 7]
    assert parts[f"{start}conv1d.weight"].shape == (6, 3)
    assert parts["other"] is ba


def test_published_sizes_count_as_published():
    # Sizes of the release of Qwen3-Next-80B-A3B.
    config = HybridConfig(
        151_936, 2048, 48, 16, 2, 256, 64, 32, 16, 128, 128,
        MixtureConfig(512, 10, 512, shared_hidden=512, shared_gated=True),
    )  # fmt: skip
    shapes = eqx.filter_eval_shape(lambda: make_hybrid(config, key=jax.random.key(0)))
    assert round(sum(leaf.size for leaf in jax.tree.leaves(shapes)) / 1e9) == 80


def test_blocks_that_fill_no_period_are_named():
    with pytest.raises(ValueError, match="`period` must divide `n_layers`, but is 4"):
        HybridConfig(**(vars(CONFIG) | {"period": 4}))
