import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers import linear_maps
from nn.layers.patches import patches
from nn.models.dinov3 import (
    SMALL,
    SMALL_PLUS,
    DinoConfig,
    flatten_tensors,
    make_dinov3,
    place_angles,
    tensor_table,
)
from nn.weights import AssignmentError, assign
from tests.exact import language_model_laws as laws

GATED = DinoConfig(
    patch=2, channels=3, width=16, n_layers=2, heads=2, hidden=10, gated=True, registers=2
)
PLAIN = dataclasses.replace(GATED, gated=False)
RNG = np.random.default_rng(0)
IMAGES = jnp.asarray(RNG.normal(size=(2, 4, 6, 3)))
said = eqx.filter_jit(lambda model, images: model(images))


@pytest.fixture(scope="module", params=[GATED, PLAIN], ids=["gated", "plain"])
def model(request):
    return laws.drawn(lambda: make_dinov3(request.param, key=jax.random.key(0)))


def by_numpy(model, image):
    """The formulas of the module for one picture of 4 x 6 pixels, without any of its functions."""

    def dense(m, v):
        return v @ np.asarray(m.weight) + (0 if m.bias is None else np.asarray(m.bias))

    def norm(m, v):
        v = (v - v.mean(-1, keepdims=True)) / np.sqrt(v.var(-1, keepdims=True) + 1e-5)
        return v * np.asarray(m.weight) + np.asarray(m.bias)

    def turned(v):
        # Heads of 8: pairs (0, 4), (1, 5) turn with y, (2, 6), (3, 7) with x, as complex numbers; 2 x 3 places.
        places = [(y, x) for y in (-0.5, 0.5) for x in (-2 / 3, 0, 2 / 3)]
        angles = [(y, y / 10, x, x / 10) for y, x in places]
        waves = np.exp(2j * np.pi * np.concatenate([np.zeros((3, 4)), angles]))
        pairs = (v[..., :4] + 1j * v[..., 4:]) * waves
        return np.concatenate([pairs.real, pairs.imag], axis=-1)

    def feed(m, v):
        if hasattr(m, "gate"):
            gate = dense(m.gate, v)
            return dense(m.down, gate / (1 + np.exp(-gate)) * dense(m.up, v))
        v = dense(m.expand, v)
        return dense(m.contract, v * (1 + np.vectorize(math.erf)(v / np.sqrt(2))) / 2)

    cut = [image[y : y + 2, x : x + 2].ravel() for y in (0, 2) for x in (0, 2, 4)]
    h = np.concatenate(
        [model.class_token[None], model.registers, dense(model.embedding, np.stack(cut))]
    )
    for block in model.body.unrolled().blocks:
        v, mixer = norm(block.mixer_norm, h), block.mixer
        heads = lambda m, v=v: dense(m, v).reshape(9, 2, 8).swapaxes(0, 1)  # noqa: E731
        q, k = turned(heads(mixer.query)), turned(heads(mixer.key))
        score = np.exp(q @ k.swapaxes(1, 2) / np.sqrt(8))
        mixed = (score / score.sum(-1, keepdims=True) @ heads(mixer.value)).swapaxes(0, 1)
        h = h + np.asarray(block.mixer_scale) * dense(mixer.output, mixed.reshape(9, 16))
        h = h + np.asarray(block.feed_scale) * feed(block.feed, norm(block.feed_norm, h))
    return norm(model.norm, h)


def test_it_is_what_the_formulas_say(model):
    found = said(model, IMAGES)
    for image, tokens in zip(np.asarray(IMAGES), np.asarray(found), strict=True):
        np.testing.assert_allclose(tokens, by_numpy(model, image), rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(model.describe(IMAGES), np.asarray(found)[:, 3:])


def test_a_picture_spans_the_same_places_whatever_its_size():
    angles = place_angles(2, 4, 8).reshape(2, 4, 2, 2)
    # Of the coarser grid each centre lies amid two, or four, of the finer one.
    fine = place_angles(4, 8, 8).reshape(2, 2, 4, 2, 2, 2)
    np.testing.assert_allclose(fine.mean(axis=(1, 3)), angles, atol=1e-14)
    assert angles[0, 0, 0, 0] == pytest.approx(-np.pi)  # the upper of two rows
    assert angles[0, 0, 1, 0] == pytest.approx(-1.5 * np.pi)  # the first of four columns


def test_a_new_model_is_single_and_its_blocks_add_little():
    new = make_dinov3(GATED, key=jax.random.key(0))
    found = said(new, IMAGES.astype(jnp.float32))
    assert found.dtype == jnp.float32  # with 64-bit on, as the tests are
    bare = new.embedding(patches(IMAGES.astype(jnp.float32), 2))
    np.testing.assert_allclose(found[:, 3:], new.norm(bare), atol=1e-3)
    # Not because they have nothing to add.
    assert all(np.any(jax.tree.leaves(m)[0]) for _, m in linear_maps(new))


def test_published_sizes_count_as_published():
    # The release calls them 21M and 29M.
    for config, millions in ((SMALL, 21.6), (SMALL_PLUS, 28.7)):
        shapes = eqx.filter_eval_shape(lambda c=config: make_dinov3(c, key=jax.random.key(0)))
        count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
        assert count / 1e6 == pytest.approx(millions, abs=0.05)


def published(model, prefix):
    """The model's arrays under the names and in the axes of transformers."""
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(model, eqx.is_array))
    arrays = {jax.tree_util.keystr(path).lstrip("."): np.asarray(leaf) for path, leaf in leaves}
    table = tensor_table(model.config)
    found: dict[str, np.ndarray] = {"embeddings.mask_token": np.ones((1, 1, 16))}
    assert set(table) == set(arrays)
    for path, source in table.items():
        array = np.swapaxes(arrays[path], -1, -2) if source.transposed else arrays[path]
        if isinstance(source.names, tuple):
            found |= {
                f"{prefix}{name}": part for name, part in zip(source.names, array, strict=True)
            }
        else:
            found[source.names] = array
    kernel = found["embeddings.patch_embeddings.weight"].reshape(16, 2, 2, 3)
    found["embeddings.patch_embeddings.weight"] = kernel.transpose(0, 3, 1, 2)
    found["embeddings.cls_token"] = found["embeddings.cls_token"][None, None]
    found["embeddings.register_tokens"] = found["embeddings.register_tokens"][None]
    return found


def test_old_and_new_names_are_taken_and_all_that_does_not_fit_is_named(model):
    for prefix in ("", "model."):
        tensors = published(model, prefix)
        again = assign(model, flatten_tensors(tensors), tensor_table(model.config))
        assert eqx.tree_equal(again, model)
    wrong = published(model, "model.")
    wrong["model.layer.1.attention.k_proj.bias"] = np.ones(16)
    wrong["embeddings.register_tokens"] = np.ones((1, 5, 16))
    wrong["model.layer.0.norm1.weight"] = np.ones(8)
    del wrong["model.layer.0.layer_scale2.lambda1"]
    with pytest.raises(AssignmentError) as caught:
        assign(model, flatten_tensors(wrong), tensor_table(model.config))
    report = caught.value.report
    assert report.missing == ("layer.0.layer_scale2.lambda1",)
    assert report.leftovers == ("layer.1.attention.k_proj.bias",)
    assert [line.split()[0] for line in report.wrong_shapes] == [
        "embeddings.register_tokens", "layer.0.norm1.weight",
    ]  # fmt: skip
    wrong["layer.0.norm1.weight"] = np.ones(16)
    with pytest.raises(ValueError, match=r"`tensors` must hold layer.0.norm1.weight once"):
        flatten_tensors(wrong)


def test_sizes_that_do_not_fit_are_named():
    for change, message in (
        ({"heads": 3}, "`heads` must divide `width`"),
        ({"heads": 8}, "`4` must divide `the size of a head`"),
        ({"registers": -1}, "`registers` must be at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(GATED, **change)
    with pytest.raises(ValueError, match="`4` must divide `head_dim`"):
        place_angles(2, 2, 6)
