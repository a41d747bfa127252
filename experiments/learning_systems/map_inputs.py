"""What the linear maps of a model are given: inputs to calibrate with, and the texts they come from."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from experiments.data import corpora
from nn.layers import AbstractLinear, linear_maps, replace_linear
from nn.weights import MINILM_TOKENIZER, read_tokenizer


class _Watched(AbstractLinear):
    """A map that keeps what it is given; for eager use only."""

    inner: AbstractLinear
    seen: list = eqx.field(static=True)
    n_in: int = eqx.field(static=True)
    n_out: int = eqx.field(static=True)

    def __call__(self, x, *, key=None):
        self.seen.append(np.asarray(x).reshape(-1, self.n_in))
        return self.inner(x, key=key)


def map_inputs(model: Any, *arguments: Any) -> dict[str, np.ndarray]:
    """Rows that each map of a model is given by one call, by the map's path; not inside `jit`, maps not stacked."""
    seen: dict[str, list] = {name: [] for name, _ in linear_maps(model)}
    replace_linear(model, partial(_watch, seen))(*arguments)
    return {name: np.concatenate(parts) for name, parts in seen.items()}


def _watch(seen: dict[str, list], name: str, linear: AbstractLinear) -> AbstractLinear:
    return _Watched(inner=linear, seen=seen[name], n_in=linear.n_in, n_out=linear.n_out)


def encoder_inputs(model: Any, tokens: Any, counts: Any) -> list[dict[str, np.ndarray]]:
    """Rows that each map of each block of an encoder is given by texts."""
    places = model.positions[: tokens.shape[1]] + model.kinds[:1]
    x = model.norm(model.words(tokens) + places[None])
    arrays, rest = eqx.partition(model.blocks, eqx.is_array)
    found = []
    for layer in range(model.n_blocks):
        block = eqx.combine(jax.tree.map(lambda a, layer=layer: a[layer], arrays), rest)
        found.append(map_inputs(block, x, counts))
        x = block(x, counts)
    return found


def paragraphs(n_texts: int, n_tokens: int) -> tuple[jax.Array, jax.Array]:
    """MiniLM's tokens, and which of them count, of paragraphs of the corpus that is there."""
    name = "shakespeare" if corpora.available("shakespeare") else "python"
    text = bytes(corpora.load_corpus(name).train).decode("utf-8", "ignore")
    parts = [part for part in text.split("\n\n") if len(part) > 200][:n_texts]
    tokenizer = read_tokenizer(MINILM_TOKENIZER.find(), sha256=MINILM_TOKENIZER.sha256)
    tokenizer.enable_truncation(n_tokens)
    tokenizer.enable_padding(length=n_tokens)
    coded = tokenizer.encode_batch(parts)
    tokens = jnp.asarray([c.ids for c in coded], jnp.int32)
    return tokens, jnp.asarray([c.attention_mask for c in coded]).astype(bool)
