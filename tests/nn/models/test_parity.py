"""Our models with the weights of transformers' classes, drawn at random, give what those classes give."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.peers import environments
from experiments.benchmarks.peers.environments import EngineError, find_interpreter
from nn.layers.mixture import MixtureConfig
from nn.layers.rotary import Llama3Scaling
from nn.models import decoder, dinov3, encoder, hybrid, latent_decoder, vit
from nn.weights import assign, read_safetensors

pytestmark = pytest.mark.interop

WORKER = Path(environments.__file__).with_name("transformers_worker.py")
RNG = np.random.default_rng(3)
INPUTS = {
    "tokens": {"tokens": RNG.integers(0, 61, (2, 12))},
    "texts": {
        "tokens": RNG.integers(0, 61, (2, 12)),
        "counts": np.arange(12)[None] < np.array([12, 7])[:, None],
    },
    "wide images": {"pixels": RNG.normal(size=(2, 3, 24, 32)).astype(np.float32)},
    "images": {"pixels": RNG.normal(size=(2, 3, 16, 16)).astype(np.float32)},
}


class Case(NamedTuple):
    """A class of theirs with its sizes, and the same of ours."""

    model: str
    theirs: dict
    module: Any
    config: Any
    make: Any
    prepare: Any = lambda tensors, config: tensors
    inputs: str = "tokens"


_SIZES = {
    "vocab_size": 61, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
}  # fmt: skip
_DINO = {
    "patch_size": 4, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_register_tokens": 4,
}  # fmt: skip
_OURS = {"vocabulary": 61, "width": 32, "heads": 4, "kv_heads": 2, "head_dim": 8}
CASES = {
    "qwen3": Case(
        "Qwen3ForCausalLM",
        _SIZES | {"num_hidden_layers": 2, "intermediate_size": 48, "tie_word_embeddings": True},
        decoder,
        decoder.DecoderConfig(**_OURS, n_layers=2, hidden=48, query_key_norm=True, tied=True),
        decoder.make_decoder,
    ),
    "llama": Case(
        "LlamaForCausalLM",
        _SIZES
        | {
            "num_hidden_layers": 2, "intermediate_size": 48, "rms_norm_eps": 1e-5,
            "rope_parameters": {
                "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
            },
        },
        decoder,
        decoder.DecoderConfig(
            **_OURS, n_layers=2, hidden=48, norm_eps=1e-5, rotary_base=5e5,
            rotary_scaling=Llama3Scaling(8, context=64),
        ),
        decoder.make_decoder,
    ),
    "qwen3-moe": Case(
        "Qwen3MoeForCausalLM",
        _SIZES
        | {
            "num_hidden_layers": 2, "num_experts": 8, "num_experts_per_tok": 2,
            "moe_intermediate_size": 24, "norm_topk_prob": True,
        },
        decoder,
        decoder.DecoderConfig(
            **_OURS, n_layers=2, hidden=0, query_key_norm=True, mixture=MixtureConfig(8, 2, 24)
        ),
        decoder.make_decoder,
    ),
    "qwen3-next": Case(
        "Qwen3NextForCausalLM",
        _SIZES
        | {
            "num_hidden_layers": 8, "num_experts": 8, "num_experts_per_tok": 2,
            "moe_intermediate_size": 24, "shared_expert_intermediate_size": 16,
            "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16,
            "linear_value_head_dim": 12, "norm_topk_prob": True,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5
            },
        },
        hybrid,
        hybrid.HybridConfig(
            **_OURS, n_layers=8, rotary_dim=4, delta_heads=4, delta_key_heads=2, delta_key_dim=16,
            delta_value_dim=12,
            mixture=MixtureConfig(8, 2, 24, shared_hidden=16, shared_gated=True),
        ),
        hybrid.make_hybrid,
        hybrid.separate_tensors,
    ),
    "deepseek-v3.2": Case(
        "DeepseekV32ForCausalLM",
        # With 64 index heads no two scores are equal; their choice among equal ones is arbitrary.
        {
            "vocab_size": 61, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 4,
            "num_hidden_layers": 3, "first_k_dense_replace": 1, "intermediate_size": 48,
            "q_lora_rank": 24, "kv_lora_rank": 20, "qk_rope_head_dim": 4, "qk_nope_head_dim": 6,
            "v_head_dim": 5, "n_routed_experts": 8, "n_group": 4, "topk_group": 2,
            "num_experts_per_tok": 3, "moe_intermediate_size": 24, "n_shared_experts": 1,
            "routed_scaling_factor": 2.5, "norm_topk_prob": True,
            "index_topk": 5, "index_n_heads": 64, "index_head_dim": 16,
            "mlp_layer_types": ["dense", "sparse", "sparse"],
        },
        latent_decoder,
        latent_decoder.LatentConfig(
            vocabulary=61, width=32, n_layers=3, n_dense=1, heads=4, query_rank=24, rank=20,
            key_dim=6, rotary_dim=4, value_dim=5, hidden=48, index_heads=64, index_dim=16, n_kept=5,
            mixture=MixtureConfig(
                8, 3, 24, "sigmoid", scale=2.5, selection_bias=True, n_groups=4, n_groups_chosen=2,
                shared_hidden=24,
            ),
        ),
        latent_decoder.make_latent_decoder,
    ),
    "vit": Case(
        "ViTForImageClassification",
        {
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
            "intermediate_size": 48, "image_size": 16, "patch_size": 4, "num_channels": 3,
            "num_labels": 7,
        },
        vit,
        vit.VitConfig(16, 4, 3, 7, 32, 2, 4, 48, norm_eps=1e-12),
        vit.make_vit,
        lambda tensors, config: vit.flatten_tensors(tensors),
        "images",
    ),
    "dinov3-s+": Case(
        "DINOv3ViTModel",
        _DINO | {"intermediate_size": 48, "use_gated_mlp": True, "hidden_act": "silu"},
        dinov3,
        dinov3.DinoConfig(4, 3, 32, 2, 2, 48, gated=True, registers=4),
        dinov3.make_dinov3,
        lambda tensors, config: dinov3.flatten_tensors(tensors),
        "wide images",
    ),
    "dinov3-s": Case(
        "DINOv3ViTModel",
        _DINO | {"intermediate_size": 128},
        dinov3,
        dinov3.DinoConfig(4, 3, 32, 2, 2, 128, gated=False, registers=4),
        dinov3.make_dinov3,
        lambda tensors, config: dinov3.flatten_tensors(tensors),
        "images",
    ),
    "bert": Case(
        "BertModel",
        {
            "vocab_size": 61, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
            "intermediate_size": 48, "max_position_embeddings": 16,
        },
        encoder,
        encoder.EncoderConfig(61, 32, 2, 4, 48, 16),
        encoder.make_encoder,
        inputs="texts",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with weights and outputs of each class; all are made by one process."""
    try:
        python = find_interpreter("transformers")
    except EngineError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("transformers")
    for name, arrays in INPUTS.items():
        np.savez(folder / f"{name}.npz", **arrays)
    tasks = {
        str(folder / name): {
            "model": case.model,
            "config": case.theirs,
            "inputs": str(folder / f"{case.inputs}.npz"),
        }
        for name, case in CASES.items()
    }
    (folder / "tasks.json").write_text(json.dumps(tasks))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, str(WORKER), str(folder / "tasks.json")],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return folder


@eqx.filter_jit
def _extended(model, tokens, caches):
    return model.extend(tokens, caches)


def _single(model, tokens):
    caches, found = model.init_caches(len(tokens), tokens.shape[1]), []
    for first, last in [(0, 3), *((i, i + 1) for i in range(3, tokens.shape[1]))]:
        logits, caches = _extended(model, tokens[:, first:last], caches)
        found.append(logits)
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("name", CASES)
def test_transformers_gives_the_same(name, folder):
    case = CASES[name]
    hollow = eqx.filter_eval_shape(lambda: case.make(case.config, key=jax.random.key(0)))
    tensors = case.prepare(read_safetensors(folder / name / "model.safetensors"), case.config)
    model = assign(hollow, tensors, case.module.tensor_table(case.config), leftovers=("pooler.*",))
    arrays = {key: jnp.asarray(array) for key, array in INPUTS[case.inputs].items()}
    with np.load(folder / name / "outputs.npz") as outputs:
        theirs = dict(outputs)
    scale = np.abs(theirs["full"]).max()
    assert scale > 0.5
    if "pixels" in arrays:
        # Theirs have the channels first.
        found = eqx.filter_jit(model)(arrays["pixels"].transpose(0, 2, 3, 1))
    elif case.inputs == "texts":
        found = eqx.filter_jit(model)(arrays["tokens"], arrays["counts"])
        found, theirs["full"] = (np.asarray(a)[arrays["counts"]] for a in (found, theirs["full"]))
    else:
        found = eqx.filter_jit(model)(arrays["tokens"])
        single = _single(model.unrolled(), arrays["tokens"])
        np.testing.assert_allclose(single, theirs["single"], atol=1e-5 * scale)
    assert found.dtype == jnp.float32
    # Both in single precision: each is off by some 1e-7 of the largest output, times the layers.
    np.testing.assert_allclose(found, theirs["full"], atol=1e-5 * scale)
