"""Texts whose answers lie far back, and small decoders with one kind of attention each, trained on them.

Three tasks in equal parts. Needle: noise, in it a few marks with a symbol each; at the end the marks again in another
order, and each symbol is asked for. Recall: pairs of key and value, all keys different; then the keys in another order,
and each value is asked for. Copy: a row of random symbols, then the row again, symbol by symbol. All need attention to
one token far away; copying needs it by place, for symbols repeat. Every text counts the same in the loss, however many
answers it holds.

A symbol is found by the token before it. Two blocks can learn to bring that token along, but did not in 250 steps, and
then nothing is found whatever attention reads; so a token's vector is the sum of one of its own and one of the token
before (`PairEmbedding`), the shift by which D. Y. Fu et al., arXiv 2212.14052 (H3), give recurrences the same ability.
One block of attention is then enough. Rotary positions turn half of each head; the other half finds by content at any
distance.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from experiments.harness.fields import at_least
from experiments.harness.training import train
from nn.kernels import BranchSizes
from nn.layers.attention import Attention, make_attention
from nn.layers.block_mixture_attention import BlockMixtureAttention
from nn.layers.embedding import Embedding, make_embedding
from nn.layers.feed_forward import make_swiglu
from nn.layers.native_sparse_attention import make_native_sparse_attention
from nn.layers.normalisation import make_rms_norm
from nn.layers.rotary import Rotary
from nn.layers.stack import Block, make_stack
from nn.models import Decoder, DecoderConfig
from nn.models.decoder import frame
from nn.models.indexed_decoder import give_index, index_reports, only_indices, with_k
from nn.training import adamw, cross_entropy, draw_rows

Kind = Literal["dense", "index", "blocks", "branches"]
TASKS = ("needle", "recall", "copy")
FEW_STEPS = (
    300  # trainings as short as that spend more time in the optimising compiler than it saves
)


class Texts(NamedTuple):
    """Texts with their answers.

    Attributes:
        tokens: Tokens, (text, length).
        counts: Which tokens, from the second on, are answers.
        task: Number of the task.
    """

    tokens: np.ndarray
    counts: np.ndarray
    task: np.ndarray


@dataclass(frozen=True)
class Sizes:
    """A small decoder and what it may read.

    Attributes:
        length: Tokens of a text, a multiple of 4.
        width: Size of a token's vector.
        n_layers: Blocks of the decoder.
        heads: Heads.
        hidden: Hidden size of the feed-forward layers.
        k: Keys that the index keeps.
        index_heads: Heads of the index.
        index_dim: Size of an index key.
        block: Keys in a block of the mixture, and of NSA, whose compressed keys stand for as many, one after the other.
        n_mixed: Blocks of the mixture, a query's own among them.
        n_chosen: Blocks that NSA chooses, a query's own among them.
        window: Keys in NSA's window.
        batch_size: Texts in a step.
        learning_rate: Largest step.
        n_steps: Steps of every model; counts of steps that are multiples of 25 compile least.
        n_sparse: Of these, the last ones, in which the indexed model attends to chosen keys only.
        n_index: Steps in which the index alone learns, between.
    """

    length: int = 64
    width: int = 64
    n_layers: int = 2
    heads: int = 4
    hidden: int = 128
    k: int = 24
    index_heads: int = 4
    index_dim: int = 16
    block: int = 8
    n_mixed: int = 3
    n_chosen: int = 2
    window: int = 4
    batch_size: int = 24
    learning_rate: float = 3e-3
    n_steps: int = 400
    n_sparse: int = 100
    n_index: int = 100

    def __post_init__(self):
        at_least(self, 8, "length")
        at_least(self, 1, "n_sparse", "n_index", "batch_size", "n_layers", "heads", "k")
        if self.length % 4:
            raise ValueError(f"`length` must be a multiple of 4, but is {self.length}.")
        if self.n_steps <= self.n_sparse:
            raise ValueError(
                f"`n_steps` must be above `n_sparse`, {self.n_sparse}, but is {self.n_steps}."
            )

    @property
    def branches(self) -> BranchSizes:
        """Branches of NSA."""
        return BranchSizes(self.block, self.block, self.block, self.n_chosen, 0, 1, self.window)

    def keys_read(self, kind: Kind) -> int:
        """Keys that the last token of a text attends to; the index scores all, in a smaller space."""
        sizes = self.branches
        return {
            "dense": self.length,
            "index": min(self.k, self.length),
            "blocks": min(self.n_mixed * self.block, self.length),
            "branches": sizes.count_compressed(self.length)
            + self.n_chosen * self.block
            + self.window,
        }[kind]

    @property
    def n_needles(self) -> int:
        """Needles in a text, and questions for them."""
        return max(1, min(4, self.length // 8))

    @property
    def decoder(self) -> DecoderConfig:
        """The decoder around the attention; tokens beside the symbols are the marks and the beginning of a row."""
        return DecoderConfig(
            self.length // 2 + self.n_needles + 1, self.width, self.n_layers, self.heads, self.heads,
            self.width // self.heads, self.hidden,
        )  # fmt: skip


def make_texts(n_texts: int, sizes: Sizes, seed: int) -> Texts:
    """Random texts of the three tasks in turn."""
    rng = np.random.default_rng(seed)
    n, symbols = sizes.length, sizes.length // 2
    m, start = sizes.n_needles, symbols + sizes.n_needles
    marks = np.arange(symbols, start)
    tokens = rng.integers(0, symbols, (n_texts, n))
    counts = np.zeros((n_texts, n), bool)
    task = np.arange(n_texts) % 3
    for text, answers, kind in zip(tokens, counts, task, strict=True):
        if kind == 0:
            # No needle falls on another: distinct places, each moved by those before it.
            places = np.sort(rng.choice(n - 3 * m, m, replace=False)) + np.arange(m)
            order = rng.permutation(m)
            text[places] = rng.permutation(marks)
            text[n - 2 * m :: 2], text[n - 2 * m + 1 :: 2] = (
                text[places[order]],
                text[places[order] + 1],
            )
            answers[n - 2 * m + 1 :: 2] = True
        elif kind == 1:  # keys are the lower half of the symbols, values the upper
            keys = rng.permutation(symbols // 2)[: n // 4]
            values = rng.integers(symbols // 2, symbols, len(keys))
            order = rng.permutation(len(keys))
            text[:] = np.stack([[*keys, *keys[order]], [*values, *values[order]]], 1).reshape(-1)
            answers[n // 2 + 1 :: 2] = True
        else:
            text[0] = start
            text[n // 2 :] = text[: n // 2]
            answers[n // 2 + 1 :] = True
    return Texts(tokens.astype(np.int32), counts[:, 1:], task)


class PairEmbedding(eqx.Module):
    """Embedding of a token and of the one before it, for whole texts: it knows nothing of tokens in a cache.

    Attributes:
        own: Table of the token itself.
        before: Table of the token before it; the first token of a text has none.
    """

    own: Embedding
    before: Embedding

    @property
    def weight(self) -> Float[Array, "vocabulary width"]:
        """Table of the tokens themselves, by which others know width and type."""
        return self.own.weight

    def __call__(self, tokens: Int[Array, "batch n"]) -> Float[Array, "batch n width"]:
        """Sum of both vectors."""
        before = jnp.pad(self.before(tokens[:, :-1]), ((0, 0), (1, 0), (0, 0)))
        return self.own(tokens) + before


def make_model(kind: Kind, sizes: Sizes, key: Any) -> Decoder:
    """A decoder with random weights; the indexed one begins as a dense one (`give_index`)."""
    config, dim = sizes.decoder, sizes.width // sizes.heads

    def make_block(key):
        mixer_key, feed_key = jax.random.split(key)
        plain = {
            "heads": sizes.heads,
            "head_dim": dim,
            "rotary": Rotary(dim // 2),
            "key": mixer_key,
        }
        mixer = (
            make_native_sparse_attention(
                sizes.width, kv_heads=sizes.heads, sizes=sizes.branches, **plain
            )
            if kind == "branches"
            else make_attention(sizes.width, **plain)
        )
        if kind == "blocks" and isinstance(mixer, Attention):
            mixer = BlockMixtureAttention(mixer, sizes.block, sizes.n_mixed)
        norms = [make_rms_norm(sizes.width) for _ in range(2)]
        feed = make_swiglu(sizes.width, sizes.hidden, key=feed_key)
        return Block(norms[0], mixer, norms[1], feed)

    frame_key, *keys = jax.random.split(key, 3)
    model = frame(
        config,
        lambda key: make_stack(make_block, config.n_layers, key=key),
        jnp.float32,
        key=frame_key,
    )
    # Vectors as large as what the first block adds to them.
    tables = [make_embedding(config.vocabulary, sizes.width, scale=0.5, key=key) for key in keys]
    return eqx.tree_at(lambda m: m.embedding, model, PairEmbedding(*tables))


def answer_loss(model: Decoder, batch: Any, key: Any):
    """Mean over texts of the mean loss of their answers."""
    del key
    tokens, counts, _ = batch
    return _mean_answers(cross_entropy(model(tokens[:, :-1]), tokens[:, 1:]), counts).mean()


def index_only_loss(model: Decoder, batch: Any, key: Any):
    """Loss of the index, the mean over blocks."""
    del key
    return index_reports(model, batch[0][:, :-1]).loss.mean()


def both_losses(model: Decoder, batch: Any, key: Any):
    """Loss of the answers and of the index; neither moves what the other does."""
    return answer_loss(model, batch, key) + index_only_loss(model, batch, key)


def measure(model: Decoder, batch: Any):
    """Share of right answers and mean loss of each text."""
    tokens, counts, _ = batch
    logits, targets = model(tokens[:, :-1]), tokens[:, 1:]
    right = (logits.argmax(axis=-1) == targets).astype(jnp.float32)
    return _mean_answers(right, counts), _mean_answers(cross_entropy(logits, targets), counts)


def measure_index(model: Decoder, batch: Any):
    """What `measure` tells, and shares of attention's weight, (text, block), on the chosen keys, the best and the last.

    The shares are those at the answers. All in one program, for it compiles longer than it runs.
    """
    tokens, counts, _ = batch
    report = index_reports(model, tokens[:, :-1])
    shares = tuple(
        _mean_answers(part, jnp.broadcast_to(counts, part.shape)).T
        for part in (report.recall, report.best, report.last)
    )
    return (*measure(model, batch), *shares)


def _mean_answers(values, counts):
    return jnp.where(counts, values, 0).sum(axis=-1) / counts.sum(axis=-1)


class Trainer(NamedTuple):
    """Draws and optimisers of one configuration; the same objects for all seeds, so that nothing compiles twice."""

    sizes: Sizes
    draw: Any
    whole: Any
    index: Any
    sparse: Any


@cache
def make_trainer(sizes: Sizes) -> Trainer:
    """Optimisers: for whole trainings, for the index, and for the stage with few keys at a third of the rate."""
    rate = sizes.learning_rate
    return Trainer(
        sizes,
        draw_rows(sizes.batch_size),
        adamw(rate, sizes.n_steps),
        adamw(rate, sizes.n_index, weight_decay=0.0),
        adamw(rate / 3, sizes.n_sparse),
    )


def train_dense_and_indexed(trainer: Trainer, texts: Texts, key: Any, tick: Any) -> tuple[Any, ...]:
    """A dense decoder, and the indexed one that leaves it `n_sparse` steps before the end."""
    sizes, data = trainer.sizes, jax.tree.map(jnp.asarray, texts)
    make_key, train_key, index_key = jax.random.split(key, 3)
    common = _common(sizes, train_key, tick)
    first = sizes.n_steps - sizes.n_sparse
    half = train(
        make_model("dense", sizes, make_key), answer_loss, data, trainer.draw, trainer.whole, first,
        name="dense", **common,
    )  # fmt: skip
    indexed = give_index(
        half.model, None, heads=sizes.index_heads, dim=sizes.index_dim, key=index_key
    )
    indexed = train(
        indexed, index_only_loss, data, trainer.draw, trainer.index, sizes.n_index,
        trainable=only_indices(indexed), name="index", **common,
    ).model  # fmt: skip
    indexed = train(
        with_k(indexed, sizes.k), both_losses, data, trainer.draw, trainer.sparse, sizes.n_sparse,
        name="indexed", **common,
    ).model  # fmt: skip
    dense = train(
        half.model, answer_loss, data, trainer.draw, trainer.whole, sizes.n_steps,
        start=half.state, name="dense", **common,
    )  # fmt: skip
    return dense.model, indexed


def train_one(kind: Kind, trainer: Trainer, texts: Texts, key: Any, tick: Any) -> Decoder:
    """A decoder of blocks or branches, trained from the beginning."""
    make_key, train_key, _ = jax.random.split(key, 3)
    data = jax.tree.map(jnp.asarray, texts)
    return train(
        make_model(kind, trainer.sizes, make_key), answer_loss, data, trainer.draw, trainer.whole,
        trainer.sizes.n_steps, name=kind, **_common(trainer.sizes, train_key, tick),
    ).model  # fmt: skip


def _common(sizes: Sizes, key: Any, tick: Any) -> dict[str, Any]:
    """Options of all trainings."""
    return {
        "key": key,
        "on_progress": tick,
        "steps_per_call": 25,
        "optimise": sizes.n_steps > FEW_STEPS,
    }
