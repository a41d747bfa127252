"""What `bench_compression` asks of every engine: the arrays of its tasks, and the formats by name.

MiniLM's 36 maps where its package is installed, else normal ones of the same shapes, which take as long. The inputs of
a map are not MiniLM's: their Gram matrix has power i^-1 in random directions. Which one it is does not change the time.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nn.compression import to_int4, to_mxfp4, to_nvfp4
from nn.compression.four_bit import make_four_bit
from nn.layers import Dense, linear_maps
from nn.layers.expert_dispatch import expert_capacity
from nn.models import load_encoder
from nn.weights import MINILM, open_packaged

ROUNDINGS = {"int4": partial(to_int4, block=32), "nvfp4": to_nvfp4, "mxfp4": to_mxfp4}


def product_arrays(format: str, n_in: int, n_out: int, n_tokens: int, seed: int) -> dict:
    """Inputs, weights, and the numbers that their four-bit codes stand for."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((n_in, n_out), np.float32)
    linear = make_four_bit(ROUNDINGS[format](jnp.asarray(weight.T)))
    x = rng.standard_normal((n_tokens, n_in), np.float32)
    return {"x": x, "weight": weight, "rounded": np.asarray(linear.weight())}


def bits(format: str) -> float:
    """Bits that a product reads for each weight, scales included."""
    linear = make_four_bit(ROUNDINGS[format](jnp.ones((64, 64))))
    scale_of_all = 0 if linear.whole is None else linear.whole.nbytes
    return 8 * (linear.n_bytes - scale_of_all) / 64**2


def gptq_arrays(n_maps: int, width: int, seed: int) -> tuple[dict, list[int]]:
    """Maps and Gram matrices, and which Gram matrix each map has.

    Args:
        n_maps: Maps, at most 36 of MiniLM.
        width: Its width; another than 384 has normal weights.
        seed: Seed of what is drawn.
    """
    rng = np.random.default_rng(seed)
    if MINILM.is_installed and width == 384:
        model = load_encoder(open_packaged(MINILM), heads=12)
        # Layer by layer, as they lie in the model.
        maps = [linear for _, linear in linear_maps(model.blocks)]
        stacks = [linear.weight for linear in maps if isinstance(linear, Dense)]
        weights = [np.asarray(stack[i]) for i in range(len(stacks[0])) for stack in stacks]
    else:
        shapes = [(width, width)] * 4 + [(width, 4 * width), (4 * width, width)]
        weights = [rng.standard_normal(s, np.float32) for _ in range(6) for s in shapes]
    arrays = {f"weight{i}": weight for i, weight in enumerate(weights[:n_maps])}
    sizes = sorted({len(weight) for weight in arrays.values()})
    for k, n in enumerate(sizes):
        turn = np.linalg.qr(rng.standard_normal((n, n)))[0]
        arrays[f"gram{k}"] = ((turn / np.arange(1, n + 1)) @ turn.T).astype(np.float32)
    return arrays, [sizes.index(len(weight)) for weight in weights[:n_maps]]


def dispatch_arrays(
    n_tokens: int, width: int, hidden: int, n_experts: int, n_chosen: int, factor: float, seed: int
) -> tuple[dict, int]:
    """Experts, tokens and who serves each, so evenly that none is dropped; and rows of an expert."""
    rng = np.random.default_rng(seed)
    capacity = expert_capacity(n_tokens, n_chosen, n_experts, factor)
    scores = np.asarray(jax.nn.softmax(jnp.asarray(rng.standard_normal((n_tokens, n_experts)))))
    # Token t has experts t, t + 1, ... of a random order: each expert has its share.
    order = np.argsort(rng.permutation(n_tokens))
    chosen = (order[:, None] * n_chosen + np.arange(n_chosen)) % n_experts
    weights = np.take_along_axis(scores, chosen, axis=1).astype(np.float32)
    shapes = {"gate": (width, hidden), "up": (width, hidden), "down": (hidden, width)}
    arrays = {
        name: rng.standard_normal((n_experts, *shape), np.float32) * np.float32(shape[0] ** -0.5)
        for name, shape in shapes.items()
    }
    arrays["tokens"] = rng.standard_normal((n_tokens, width), np.float32)
    arrays |= {"experts": chosen.astype(np.int32), "weights": weights}
    return arrays | {"scores": scores.astype(np.float32)}, capacity
