"""Random weights of a small Qwen3, by transformers' names, which all engines that decode share."""

import numpy as np


def decoder_weights(task):
    """Tensors by name, (output, input) as torch has them, of variance 1 / input; norms are 1."""
    rng = np.random.default_rng(task["seed"])
    width, hidden, vocabulary = task["width"], task["hidden"], task["vocabulary"]
    queries, keys = (task[name] * task["head_dim"] for name in ("heads", "kv_heads"))

    def matrix(n_out, n_in):
        return rng.standard_normal((n_out, n_in), np.float32) / np.float32(np.sqrt(n_in))

    ones = lambda n: np.ones(n, np.float32)  # noqa: E731
    weights = {
        "model.embed_tokens.weight": matrix(vocabulary, width),
        "model.norm.weight": ones(width),
        "lm_head.weight": matrix(vocabulary, width),
    }
    for i in range(task["n_layers"]):
        sizes = {
            "self_attn.q_proj": (queries, width),
            "self_attn.k_proj": (keys, width),
            "self_attn.v_proj": (keys, width),
            "self_attn.o_proj": (width, queries),
            "mlp.gate_proj": (hidden, width),
            "mlp.up_proj": (hidden, width),
            "mlp.down_proj": (width, hidden),
        }
        layer = {f"{name}.weight": matrix(*size) for name, size in sizes.items()}
        layer |= {
            f"{name}.weight": ones(width)
            for name in ("input_layernorm", "post_attention_layernorm")
        }
        layer |= {f"self_attn.{name}_norm.weight": ones(task["head_dim"]) for name in "qk"}
        weights |= {f"model.layers.{i}.{name}": array for name, array in layer.items()}
    return weights
