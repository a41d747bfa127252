"""Our diffusion transformer with weights of diffusers' class, drawn at random, says what that class says."""

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
from nn.layers.patches import join_patches, patches
from nn.models.dit import DitConfig, flatten_tensors, make_dit, tensor_table
from nn.weights import assign, read_safetensors

pytestmark = pytest.mark.interop

WORKER = Path(environments.__file__).with_name("diffusers_worker.py")
THEIRS = {
    "sample_size": 8, "num_layers": 3, "patch_size": 2, "attention_head_dim": 8, "num_attention_heads": 2,
    "num_embeds_ada_norm": 5, "in_channels": 4, "out_channels": 8,
}  # fmt: skip
OURS = DitConfig(
    rows=4, columns=4, channels=16, classes=5, width=16, n_layers=3, heads=2, hidden=64, outputs=32,
    time_scale=1, frequency_shift=1, feed_norm_eps=1e-5,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    try:
        python = find_interpreter("diffusers")
    except EngineError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("diffusers")
    (folder / "settings.json").write_text(json.dumps(THEIRS))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, str(WORKER), str(folder / "settings.json"), str(folder)],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_diffusers_says_the_same(folder):
    with np.load(folder / "outputs.npz") as file:
        theirs = dict(file)
    tensors = flatten_tensors(read_safetensors(folder / "model.safetensors"), OURS)

    def said(config):
        hollow = eqx.filter_eval_shape(lambda: make_dit(config, key=jax.random.key(0)))
        model = assign(hollow, tensors, tensor_table(config))
        x = patches(jnp.asarray(theirs["points"].transpose(0, 2, 3, 1)), 2)
        t, labels = jnp.asarray(theirs["times"], jnp.float32), jnp.asarray(theirs["labels"])
        found = eqx.filter_jit(lambda m: m.all_outputs(x, t, labels))(model)
        assert found.dtype == jnp.float32
        return np.asarray(join_patches(found, 8, 8, 2)).transpose(0, 3, 1, 2)

    scale = np.abs(theirs["said"]).max()
    assert scale > 0.5
    np.testing.assert_allclose(said(OURS), theirs["said"], atol=1e-5 * scale)
    original = said(dataclasses.replace(OURS, frequency_shift=0))
    assert np.abs(original - theirs["said"]).max() > 1e-3 * scale
