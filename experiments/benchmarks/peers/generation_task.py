"""Random weights of a small diffusion transformer, by diffusers' names, which all engines that generate share."""

import numpy as np


def dit_weights(task):
    """Tensors by name, (output, input) as torch has them, of variance 1 / input; biases of 0.1, so that a slip shows.

    Blocks share the layers of times and the table of classes, of which diffusers keeps a copy in each.
    """
    rng = np.random.default_rng(task["seed"])
    width, channels, told = task["width"], task["channels"], 256

    def matrix(n_out, n_in):
        return rng.standard_normal((n_out, n_in), np.float32) / np.float32(np.sqrt(n_in))

    def layer(name, n_out, n_in):
        bias = np.float32(0.1) * rng.standard_normal(n_out, np.float32)
        return {f"{name}.weight": matrix(n_out, n_in), f"{name}.bias": bias}

    emb = layer("timestep_embedder.linear_1", width, told)
    emb |= layer("timestep_embedder.linear_2", width, width)
    classes = rng.standard_normal((task["classes"] + 1, width), np.float32)
    emb["class_embedder.embedding_table.weight"] = classes
    weights = layer("pos_embed.proj", width, channels)
    weights["pos_embed.proj.weight"] = weights["pos_embed.proj.weight"][:, :, None, None]
    weights |= layer("proj_out_1", 2 * width, width) | layer("proj_out_2", channels, width)
    for i in range(task["n_layers"]):
        block = {"norm1.linear": (6 * width, width), "ff.net.0.proj": (4 * width, width)}
        block |= {f"attn1.to_{part}": (width, width) for part in ("q", "k", "v", "out.0")}
        block["ff.net.2"] = (width, 4 * width)
        found = {f"norm1.emb.{name}": array for name, array in emb.items()}
        for name, sizes in block.items():
            found |= layer(name, *sizes)
        weights |= {f"transformer_blocks.{i}.{name}": array for name, array in found.items()}
    return weights
