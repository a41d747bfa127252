import dataclasses
import json
import os
import subprocess
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.peers import environments
from experiments.benchmarks.peers.environments import EngineError, find_interpreter
from nn.models.autoencoder_kl import (
    FLUX,
    STABLE_DIFFUSION,
    AutoencoderConfig,
    make_autoencoder,
    rename_tensors,
    tensor_table,
)
from nn.weights import AssignmentError, assign, read_safetensors
from tests.exact import language_model_laws as laws

CONFIG = AutoencoderConfig(channels=3, latents=2, widths=(4, 8), blocks=1, groups=2, mapped=True)
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, 4, 6, 3))
LATENTS = RNG.normal(size=(2, 2, 3, 2))
WORKER = Path(environments.__file__).with_name("autoencoder_worker.py")
PEERS = {
    "stable diffusion": AutoencoderConfig(3, 4, (32, 64), 2, 8, mapped=True),
    "flux": AutoencoderConfig(3, 16, (16, 32), 2, 8, mapped=False),
}
encoded = eqx.filter_jit(lambda model, x: model.encode(x))
decoded = eqx.filter_jit(lambda model, x: model.decode(x))


@pytest.fixture(scope="module")
def model():
    return laws.drawn(lambda: make_autoencoder(CONFIG, key=jax.random.key(0)))


def conv(m, x, stride=1):
    """One picture, pixel by pixel."""
    weight, bias = np.asarray(m.weight), np.asarray(m.bias)
    edge = weight.shape[-1] // 2
    before = edge if stride == 1 else 0
    padded = np.pad(x, ((before, edge), (before, edge), (0, 0)))
    side = weight.shape[-1]
    rows, columns = (n // stride for n in x.shape[:2])
    y = np.zeros((rows, columns, len(weight)))
    for i, j in np.ndindex(rows, columns):
        part = padded[stride * i : stride * i + side, stride * j : stride * j + side]
        y[i, j] = np.einsum("yxc,ocyx->o", part, weight) + bias
    return y


def norm(m, x):
    cut = x.reshape(*x.shape[:2], 2, -1)
    cut = cut - cut.mean((0, 1, 3), keepdims=True)
    cut = cut / np.sqrt((cut**2).mean((0, 1, 3), keepdims=True) + 1e-6)
    return cut.reshape(x.shape) * np.asarray(m.weight) + np.asarray(m.bias)


def silu(x):
    return x / (1 + np.exp(-x))


def block(m, x):
    y = conv(m.conv2, silu(norm(m.norm2, conv(m.conv1, silu(norm(m.norm1, x))))))
    return y + (x if m.shortcut is None else conv(m.shortcut, x))


def middle(m, x):
    dense = lambda m, v: v @ np.asarray(m.weight) + np.asarray(m.bias)  # noqa: E731
    x = block(m.first, x)
    v = norm(m.norm, x).reshape(-1, 8)
    score = np.exp(dense(m.mixer.query, v) @ dense(m.mixer.key, v).T / np.sqrt(8))
    mixed = score / score.sum(-1, keepdims=True) @ dense(m.mixer.value, v)
    return block(m.second, x + dense(m.mixer.output, mixed).reshape(x.shape))


def test_the_encoder_is_what_the_formulas_say(model):
    encoder = model.encoder
    x = block(encoder.levels[0].blocks[0], conv(encoder.entry, IMAGES[1]))
    x = block(encoder.levels[1].blocks[0], conv(encoder.levels[0].resize, x, stride=2))
    x = conv(encoder.exit, silu(norm(encoder.norm, middle(encoder.middle, x))))
    x = conv(model.to_latents, x)
    mean, log_variance = encoded(model, jnp.asarray(IMAGES))
    np.testing.assert_allclose(mean[1], x[..., :2], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(log_variance[1], x[..., 2:], rtol=1e-8, atol=1e-9)
    far = eqx.tree_at(lambda m: m.to_latents.bias, model, jnp.asarray([0.0, 0.0, 99.0, -99.0]))
    assert np.unique(encoded(far, jnp.asarray(IMAGES))[1]).tolist() == [-30, 20]


def test_the_decoder_is_what_the_formulas_say(model):
    decoder = model.decoder
    x = middle(decoder.middle, conv(decoder.entry, conv(model.from_latents, LATENTS[1])))
    for b in decoder.levels[0].blocks:
        x = block(b, x)
    x = conv(decoder.levels[0].resize, x[np.arange(4) // 2][:, np.arange(6) // 2])
    for b in decoder.levels[1].blocks:
        x = block(b, x)
    x = conv(decoder.exit, silu(norm(decoder.norm, x)))
    np.testing.assert_allclose(decoded(model, jnp.asarray(LATENTS))[1], x, rtol=1e-8, atol=1e-9)


def test_published_sizes_count_as_published():
    # 83,653,863 numbers in the file of Stable Diffusion's; Flux lacks Q and P and has 16 latents in the place of 4.
    counts = []
    for config in (STABLE_DIFFUSION, FLUX):
        hollow = eqx.filter_eval_shape(lambda c=config: make_autoencoder(c, key=jax.random.key(0)))
        counts.append(sum(leaf.size for leaf in jax.tree.leaves(hollow)))
    wider = 24 * (9 * 512 + 1) + 12 * 9 * 512
    assert counts == [83_653_863, 83_653_863 - 72 - 20 + wider]


def published(model):
    """Arrays of the model under the names of diffusers."""
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(model, eqx.is_array))
    arrays = {jax.tree_util.keystr(path).lstrip("."): np.asarray(leaf) for path, leaf in leaves}
    return {
        str(source.names): arrays[path].T if source.transposed else arrays[path]
        for path, source in tensor_table(model.config).items()
    }


def test_old_names_are_taken_and_all_that_does_not_fit_is_named(model):
    tensors = published(model)
    assert "decoder.up_blocks.0.upsamplers.0.conv.weight" in tensors
    old = {name.replace(".to_out.0.", ".proj_attn."): array for name, array in tensors.items()}
    assert old.keys() != tensors.keys()
    assert eqx.tree_equal(assign(model, rename_tensors(old), tensor_table(CONFIG)), model)
    with pytest.raises(ValueError, match=r"`tensors` must hold .*to_out.0.weight once"):
        rename_tensors(tensors | old)
    tensors["decoder.conv_in.weight"] = np.ones((8, 3, 3, 3))
    tensors["decoder.extra"] = tensors.pop("quant_conv.bias")
    with pytest.raises(AssignmentError) as caught:
        assign(model, rename_tensors(tensors), tensor_table(CONFIG))
    report = caught.value.report
    assert report.missing == ("quant_conv.bias",)
    assert report.leftovers == ("decoder.extra",)
    assert len(report.wrong_shapes) == 1


def test_what_does_not_fit_is_named(model):
    for call, message in (
        (lambda: model.decode(jnp.ones((1, 2, 2, 3))), "`latents` must have size 2 along axis"),
        (lambda: model.encode(jnp.ones((1, 4, 4, 1))), "`images` must have size 3 along axis"),
        (lambda: model.encode(jnp.ones((1, 4, 5, 3))), "`scale` must divide `width`, but is 2"),
        (lambda: dataclasses.replace(CONFIG, groups=3), "`groups` must divide `widths`"),
        (lambda: dataclasses.replace(CONFIG, widths=()), "`widths` must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    try:
        python = find_interpreter("diffusers")
    except EngineError as error:
        pytest.skip(str(error))
    folder, tasks = tmp_path_factory.mktemp("autoencoders"), {}
    for name, config in PEERS.items():
        (folder / name).mkdir()
        n = len(config.widths)
        tasks[str(folder / name)] = {
            "block_out_channels": config.widths, "latent_channels": config.latents,
            "layers_per_block": config.blocks, "norm_num_groups": config.groups,
            "use_quant_conv": config.mapped, "use_post_quant_conv": config.mapped,
            "down_block_types": ["DownEncoderBlock2D"] * n, "up_block_types": ["UpDecoderBlock2D"] * n,
        }  # fmt: skip
    (folder / "tasks.json").write_text(json.dumps(tasks))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, str(WORKER), str(folder / "tasks.json")],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.interop
@pytest.mark.parametrize("name", PEERS)
def test_diffusers_says_the_same(name, folder):
    config = PEERS[name]
    hollow = eqx.filter_eval_shape(lambda: make_autoencoder(config, key=jax.random.key(0)))
    tensors = rename_tensors(read_safetensors(folder / name / "model.safetensors"))
    model = assign(hollow, tensors, tensor_table(config))
    with np.load(folder / name / "outputs.npz") as file:
        theirs = {key: array.transpose(0, 2, 3, 1) for key, array in file.items()}

    def agree(found, key, tolerance):
        assert found.dtype == jnp.float32
        scale = np.abs(theirs[key]).max()
        np.testing.assert_allclose(found, theirs[key], atol=tolerance * scale)

    mean, log_variance = encoded(model, jnp.asarray(theirs["images"]))
    agree(mean, "mean", 1e-4)
    agree(log_variance, "log_variance", 1e-4)
    agree(decoded(model, jnp.asarray(theirs["latents"])), "pictures", 1e-4)
    agree(eqx.filter_jit(model.decoder.middle)(jnp.asarray(theirs["inside"])), "middle", 1e-5)
