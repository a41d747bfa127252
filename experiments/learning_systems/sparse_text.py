"""A real decoder on real text with few keys: perplexity, and how much of attention's weight the keys catch.

The decoder was trained with dense attention and stays as it is; only the index learns, from attention's own weights.
Four ways to choose k keys in every block: by the index (DSA), the best by the weights of dense attention itself (which
no index can beat in weight), the last k (a window), and a mixture of blocks of k / 4 keys (MoBA), which learns nothing.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from experiments.data import corpora
from experiments.harness.training import train
from nn.kernels import select_keys
from nn.kernels.selection import gathered_attention
from nn.layers.attention import Attention
from nn.layers.block_mixture_attention import BlockMixtureAttention
from nn.layers.indexed_attention import attention_weights
from nn.models import Decoder, load_decoder
from nn.models.indexed_decoder import give_index, index_reports, only_indices, with_k
from nn.training import adamw, cross_entropy, draw_windows, evaluate
from nn.weights import SMOLLM2, gguf_tokenizer, open_packaged

RULES = ("index", "best", "last", "blocks")
# Of the text that the index learns from, in bytes: some hundred windows.
_TRAIN_BYTES = 400_000


class BestAttention(eqx.Module):
    """Attention to the k keys with most of its own weight, all heads together; computed densely, to compare with."""

    attention: Attention
    k: int = eqx.field(static=True)

    def __call__(self, x: Any, cache: None = None, *, key: Any = None) -> tuple[Any, None]:
        """Mixes whole texts."""
        q, keys, v, gate = self.attention.project(x, jnp.arange(x.shape[1]), key=key)
        choice = select_keys(attention_weights(q, keys).sum(axis=2), self.k)
        mixed, _ = gathered_attention(q, keys, v, choice)
        return self.attention.finish(mixed, gate, key=key), cache


def is_here() -> bool:
    """Whether SmolLM2 and the plays are installed."""
    return SMOLLM2.is_installed and corpora.available("shakespeare")


def load_real(n_windows: int, length: int) -> tuple[Decoder, np.ndarray, np.ndarray]:
    """SmolLM2, tokens of other plays to learn from, and the first windows of Hamlet, (window, length)."""
    file = open_packaged(SMOLLM2)
    tokenizer = gguf_tokenizer(file.metadata)
    text = corpora.to_text(corpora.load_corpus("shakespeare").train[:_TRAIN_BYTES])
    test = tokenizer.encode(corpora.document("shakespeare", "hamlet")).ids[: n_windows * length]
    learned = np.array(tokenizer.encode(text).ids, np.int32)
    return load_decoder(file), learned, np.array(test, np.int32).reshape(n_windows, length)


def with_rule(model: Decoder, rule: str, k: int) -> Decoder:
    """The indexed decoder with k keys chosen by a rule."""
    if rule == "index":
        return with_k(model, k)
    plain = model.body.blocks.mixer.attention
    mixer = {
        "dense": lambda: plain,
        "best": lambda: BestAttention(plain, k),
        "last": lambda: dataclasses.replace(plain, window=k),
        "blocks": lambda: BlockMixtureAttention(plain, max(1, k // 4), 4),
    }[rule]()
    return eqx.tree_at(lambda m: m.body.blocks.mixer, model, mixer)


def train_index(
    model: Decoder,
    tokens: np.ndarray,
    length: int,
    n_steps: int,
    *,
    key: Any,
    tick: Callable[[int, float], None] | None = None,
) -> tuple[Decoder, np.ndarray]:
    """The decoder with an index of four heads of 32 that has learned from its attention; and the losses, in nats."""
    make_key, train_key = jax.random.split(key)
    indexed = give_index(model, None, heads=4, dim=32, key=make_key)
    trained = train(
        indexed, _index_loss, jnp.asarray(tokens), draw_windows(1, length),
        adamw(3e-3, n_steps, weight_decay=0.0), n_steps, key=train_key, trainable=only_indices(indexed),
        steps_per_call=5, name="index", on_progress=tick,
    )  # fmt: skip
    return trained.model, trained.losses


def measure_text(model: Decoder, windows: np.ndarray, ks: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Of an indexed decoder: mean loss of each window, in nats, dense and by rule and k; weight caught by k, in blocks.

    Returns:
        `loss.dense` (window), `loss.<rule>` (k, window), `weight.<index, best, last>` (k, block).
    """
    found = {"loss.dense": evaluate(_losses, with_rule(model, "dense", 0), windows, batch_size=1)}
    for rule in RULES:
        found[f"loss.{rule}"] = np.stack(
            [evaluate(_losses, with_rule(model, rule, k), windows, batch_size=1) for k in ks]
        )
    for k in ks:
        caught = evaluate(_weights, with_k(model, k), windows, batch_size=1)
        for name, values in zip(("index", "best", "last"), caught, strict=True):
            found.setdefault(f"weight.{name}", np.zeros((0, values.shape[1])))
            both = [found[f"weight.{name}"], values.mean(axis=0)[None]]
            found[f"weight.{name}"] = np.concatenate(both)
    return found


def _index_loss(model, tokens, key):
    del key
    return index_reports(model, tokens).loss.mean()


def _losses(model, tokens):
    return cross_entropy(model(tokens[:, :-1]), tokens[:, 1:]).mean(axis=-1)


def _weights(model, tokens):
    """Weight caught, (window, block), of dense attention on the way of the model with few keys."""
    report = index_reports(model, tokens)
    return tuple(part.mean(axis=-1).T for part in (report.recall, report.best, report.last))
