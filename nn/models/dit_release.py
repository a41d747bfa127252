"""Tensors of the original release of the diffusion transformer, and of SiT, under the names of diffusers.

The release holds queries, keys and values as one matrix, one below the other, and the fixed positions as a tensor. Its
frequencies are those of `frequency_shift` 0; nothing in a file says so. Patches are laid out as by diffusers.

Source: the code beside W. Peebles, S. Xie, arXiv 2212.09748, whose names N. Ma et al., arXiv 2401.08740 (SiT), keep.
"""

from collections.abc import Mapping

import numpy as np

from nn.models.dit import DitConfig, grid_positions

_OUTER = {
    "x_embedder.proj": "pos_embed.proj",
    "t_embedder.mlp.0": "transformer_blocks.0.norm1.emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "transformer_blocks.0.norm1.emb.timestep_embedder.linear_2",
    "y_embedder.embedding_table": "transformer_blocks.0.norm1.emb.class_embedder.embedding_table",
    "final_layer.adaLN_modulation.1": "proj_out_1",
    "final_layer.linear": "proj_out_2",
}
_BLOCK = {
    "attn.proj": "attn1.to_out.0",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
    "adaLN_modulation.1": "norm1.linear",
}


def name_as_diffusers(
    tensors: Mapping[str, np.ndarray], config: DitConfig
) -> dict[str, np.ndarray]:
    """Tensors under the names that `nn.models.dit.flatten_tensors` takes; names that are unknown stay, to be reported.

    Args:
        tensors: By name.
        config: Sizes.

    Raises:
        ValueError: If positions are not those of a grid of these rows and columns.
    """
    found = {}
    for name in tensors:
        array = np.asarray(tensors[name])
        stem, _, kind = name.rpartition(".")
        if name == "pos_embed":
            _check_positions(array, config)
        elif stem in _OUTER:
            found[f"{_OUTER[stem]}.{kind}"] = array
        elif name.startswith("blocks."):
            found |= _of_block(name, array)
        else:
            found[name] = array
    return found


def _of_block(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    _, number, rest = name.split(".", 2)
    inner, _, kind = rest.rpartition(".")
    block = f"transformer_blocks.{number}"
    if inner == "attn.qkv" and len(array) % 3 == 0:
        thirds = zip("qkv", np.split(array, 3), strict=True)
        return {f"{block}.attn1.to_{letter}.{kind}": part for letter, part in thirds}
    return {f"{block}.{_BLOCK[inner]}.{kind}" if inner in _BLOCK else name: array}


def _check_positions(array: np.ndarray, config: DitConfig) -> None:
    ours = grid_positions(config.rows, config.columns, config.width)[None]
    if array.shape != ours.shape or not np.allclose(array, ours, atol=1e-4):
        raise ValueError(
            f"`tensors` must hold positions of {config.rows} x {config.columns} places of width {config.width} as "
            f"pos_embed, but hold others, of shape {array.shape}. Were they trained, or for another size?"
        )
