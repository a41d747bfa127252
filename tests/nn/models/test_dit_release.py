import dataclasses

import equinox as eqx
import jax
import numpy as np
import pytest

from nn.models.dit import DitConfig, flatten_tensors, grid_positions, make_dit, tensor_table
from nn.models.dit_release import name_as_diffusers
from nn.weights import AssignmentError, assign

CONFIG = DitConfig(
    rows=2, columns=3, channels=8, classes=4, width=8, n_layers=2, heads=2, hidden=12
)


def drawn_release():
    """Tensors of a small model in the form of the release: patches of 2 x 2 pixels with 2 colours."""
    rng = np.random.default_rng(0)
    shapes = {
        "x_embedder.proj.weight": (8, 2, 2, 2), "x_embedder.proj.bias": (8,),
        "t_embedder.mlp.0.weight": (8, 256), "t_embedder.mlp.0.bias": (8,),
        "t_embedder.mlp.2.weight": (8, 8), "t_embedder.mlp.2.bias": (8,),
        "y_embedder.embedding_table.weight": (5, 8),
        "final_layer.linear.weight": (8, 8), "final_layer.linear.bias": (8,),
        "final_layer.adaLN_modulation.1.weight": (16, 8), "final_layer.adaLN_modulation.1.bias": (16,),
    }  # fmt: skip
    for i in range(2):
        for name, n_out, n_in in (
            ("attn.qkv", 24, 8), ("attn.proj", 8, 8), ("mlp.fc1", 12, 8), ("mlp.fc2", 8, 12),
            ("adaLN_modulation.1", 48, 8),
        ):  # fmt: skip
            shapes[f"blocks.{i}.{name}.weight"] = (n_out, n_in)
            shapes[f"blocks.{i}.{name}.bias"] = (n_out,)
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return tensors | {"pos_embed": grid_positions(2, 3, 8).astype(np.float32)[None]}


def loaded(tensors, config=CONFIG):
    hollow = eqx.filter_eval_shape(lambda: make_dit(config, key=jax.random.key(0)))
    return assign(
        hollow, flatten_tensors(name_as_diffusers(tensors, config), config), tensor_table(config)
    )


def test_each_tensor_of_the_release_is_placed():
    tensors = drawn_release()
    model = loaded(tensors)
    said = lambda leaf: np.asarray(leaf)  # noqa: E731
    blocks = model.body.blocks
    for i in range(2):
        whole = tensors[f"blocks.{i}.attn.qkv.weight"]
        for part, rows in ((blocks.mixer.query, whole[:8]), (blocks.mixer.key, whole[8:16])):
            np.testing.assert_array_equal(said(part.weight[i]), rows.T)
        bias = tensors[f"blocks.{i}.attn.qkv.bias"][16:]
        np.testing.assert_array_equal(said(blocks.mixer.value.bias[i]), bias)
        for part, name in (
            (blocks.mixer.output, "attn.proj"), (blocks.feed.expand, "mlp.fc1"),
            (blocks.feed.contract, "mlp.fc2"), (blocks.modulation, "adaLN_modulation.1"),
        ):  # fmt: skip
            np.testing.assert_array_equal(
                said(part.weight[i]), tensors[f"blocks.{i}.{name}.weight"].T
            )
    for part, name in (
        (model.time[0], "t_embedder.mlp.0"), (model.time[1], "t_embedder.mlp.2"),
        (model.head, "final_layer.linear"), (model.modulation, "final_layer.adaLN_modulation.1"),
    ):  # fmt: skip
        np.testing.assert_array_equal(said(part.weight), tensors[f"{name}.weight"].T)
    np.testing.assert_array_equal(
        said(model.table.weight), tensors["y_embedder.embedding_table.weight"]
    )


def test_all_that_does_not_fit_is_named():
    wrong = drawn_release()
    wrong["blocks.1.attn.q_norm.weight"] = np.ones(4)
    wrong["blocks.0.attn.qkv.weight"] = np.ones((25, 8))
    wrong["extra"] = np.ones(1)
    with pytest.raises(AssignmentError) as caught:
        loaded(wrong)
    report = caught.value.report
    assert report.leftovers == ("blocks.0.attn.qkv.weight", "blocks.1.attn.q_norm.weight", "extra")
    assert report.missing == tuple(
        f"transformer_blocks.0.attn1.to_{letter}.weight" for letter in "qkv"
    )
    with pytest.raises(ValueError, match=r"positions of 3 x 2 places of width 8"):
        loaded(drawn_release(), dataclasses.replace(CONFIG, rows=3, columns=2))
