"""A small decoder of bytes whose feed-forward layers are mixtures, trained here with its experts kept busy or not.

The experts' load is balanced by the auxiliary loss, by the bias of the choice alone, or not at all. All three are one
program: the coefficients are arrays of the model that do not train. The bias follows the sign of its expert's load by
plain descent on `nn.layers.expert_balance.bias_pull`, all else AdamW.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from experiments.harness.compiling import jit_once
from experiments.harness.fields import at_least
from experiments.harness.training import train
from nn.layers.expert_balance import balance_loss, bias_pull, choices_of, router_z_loss
from nn.layers.mixture import Mixture, MixtureConfig, mix_by_loop
from nn.layers.stack import Block, Stack
from nn.models import Decoder, DecoderConfig, make_decoder
from nn.training import adamw, cross_entropy, draw_windows

Balance = Literal["none", "loss", "bias"]
BALANCES: tuple[Balance, ...] = ("none", "loss", "bias")


@dataclass(frozen=True)
class Sizes:
    """The decoder and its training.

    Attributes:
        width: Size of a token's vector.
        n_layers: Blocks.
        heads: Heads.
        n_experts: Experts of a layer.
        n_chosen: Experts that serve a token.
        hidden: Hidden size of an expert.
        context: Bytes that it sees.
        batch_size: Windows in a step.
        n_steps: Steps.
        learning_rate: Largest step of AdamW.
        balance: Coefficient of the auxiliary loss, where it balances.
        z: Coefficient of the loss of the router's logits, in all trainings.
        bias_rate: Step of the bias, where it balances.
    """

    width: int = 32
    n_layers: int = 2
    heads: int = 4
    n_experts: int = 16
    n_chosen: int = 2
    hidden: int = 32
    context: int = 32
    batch_size: int = 16
    n_steps: int = 600
    learning_rate: float = 5e-3
    balance: float = 0.01
    z: float = 0.001
    bias_rate: float = 0.002

    def __post_init__(self):
        at_least(self, 1, "n_layers", "heads", "batch_size", "n_steps", "n_chosen", "hidden")
        at_least(self, 4, "context")
        at_least(self, self.n_chosen, "n_experts")


class Balanced(eqx.Module):
    """A decoder with what its training weighs.

    Attributes:
        decoder: The decoder.
        coefficients: Of the auxiliary loss, the loss of logits, and the pull on the bias.
    """

    decoder: Decoder
    coefficients: Array


class Routed(NamedTuple):
    """What the mixtures of a decoder did, along a first axis for the layers.

    Attributes:
        experts: Chosen experts of each token, (layers, tokens, chosen).
        inputs: What the mixtures were given, (layers, tokens, width).
        penalties: Auxiliary loss, loss of logits and pull of each layer, (layers, 3).
    """

    experts: Array
    inputs: Array
    penalties: Array


def make_model(sizes: Sizes, balance: Balance, key: Any) -> Balanced:
    """An untrained decoder."""
    mixture = MixtureConfig(sizes.n_experts, sizes.n_chosen, sizes.hidden, selection_bias=True)
    config = DecoderConfig(
        vocabulary=256, width=sizes.width, n_layers=sizes.n_layers, heads=sizes.heads, kv_heads=sizes.heads,
        head_dim=sizes.width // sizes.heads, hidden=0, tied=True, mixture=mixture,
    )  # fmt: skip
    chosen = {"none": (0, sizes.z, 0), "loss": (sizes.balance, sizes.z, 0), "bias": (0, sizes.z, 1)}
    return Balanced(_made(config, key), jnp.asarray(chosen[balance], jnp.float32))


@eqx.filter_jit
def _made(config: DecoderConfig, key) -> Decoder:
    return make_decoder(config, key=key)


def routed(
    decoder: Decoder, tokens: Array, mix: Callable[..., Array] = mix_by_loop
) -> tuple[Array, Routed]:
    """Logits and what the mixtures did.

    Args:
        decoder: Decoder whose feed-forward layers are mixtures, stacked.
        tokens: Tokens (batch, n).
        mix: How chosen experts are run: (experts, tokens, routing) -> sum.
    """
    arrays, rest = eqx.partition(decoder.body.blocks, eqx.is_array)

    def step(x, layer):
        block: Block = eqx.combine(layer, rest)
        x = x + block.mixer(block.mixer_norm(x))[0]  # pyright: ignore[reportCallIssue]
        given = block.feed_norm(x).reshape(-1, x.shape[-1])  # pyright: ignore[reportCallIssue]
        mixture: Mixture = block.feed
        routing = mixture.route(given)
        penalties = jnp.stack(
            [
                balance_loss(routing),
                router_z_loss(mixture.router(given)),
                bias_pull(_bias(mixture), choices_of(routing)),
            ]
        )
        y = mixture.finish(given, mix(mixture.experts, given, routing))
        return x + y.reshape(x.shape), Routed(routing.experts, given, penalties)

    x, found = jax.lax.scan(step, decoder.embedding(tokens), arrays)
    return decoder.embedding.logits(decoder.norm(x)), found


def _bias(mixture: Mixture) -> Array:
    assert mixture.bias is not None
    return mixture.bias


def penalised_loss(model: Balanced, windows: Array, key: Any = None) -> Array:
    """Cross-entropy of the next byte and the weighed penalties of all layers."""
    del key
    logits, found = routed(model.decoder, windows[:, :-1])
    loss = cross_entropy(logits, windows[:, 1:]).mean()
    return loss + (found.penalties.sum(axis=0) * model.coefficients).sum()


@cache
def _rules(sizes: Sizes):
    """Batches and steps; the same functions for all trainings, which then share a program.

    `optax.partition` would do the same and take a third longer to compile.
    """
    rest = adamw(sizes.learning_rate, sizes.n_steps)
    bias = lambda tree: tree.decoder.body.blocks.feed.bias  # noqa: E731

    def update(updates, state, params=None):
        # A pull is no gradient: it must not count in the norm by which gradients are clipped.
        pull = bias(updates)
        others = eqx.tree_at(bias, updates, jnp.zeros_like(pull))
        updates, state = rest.update(others, state, params)
        return eqx.tree_at(bias, updates, -sizes.bias_rate * pull), state

    optimiser = optax.GradientTransformation(rest.init, update)
    return draw_windows(sizes.batch_size, sizes.context + 1), optimiser


def train_decoder(
    sizes: Sizes, balance: Balance, text: np.ndarray, key: Any, on_progress: Any = None
) -> Decoder:
    """A decoder trained on bytes.

    Args:
        sizes: The decoder and its training.
        balance: What keeps the experts busy.
        text: Bytes.
        key: PRNG key.
        on_progress: Called with (steps, loss).
    """
    make_key, train_key = jax.random.split(key)
    model = make_model(sizes, balance, make_key)
    trains = eqx.tree_at(lambda m: m.coefficients, jax.tree.map(eqx.is_inexact_array, model), False)
    trained = train(
        model, penalised_loss, jnp.asarray(text, jnp.int32), *_rules(sizes), sizes.n_steps,
        key=train_key, trainable=trains, name=f"the decoder balanced by {balance}", on_progress=on_progress,
    )  # fmt: skip
    return trained.model.decoder


@jit_once
def measured(decoder: Decoder, windows: Array, mix: Any = mix_by_loop) -> tuple[Array, Routed]:
    """Bits of each byte of windows (rows, context), and what the mixtures did."""
    logits, found = routed(decoder, windows[:, :-1], mix)
    return cross_entropy(logits, windows[:, 1:]) / math.log(2), found


def with_feeds(decoder: Decoder, change: Callable[[int, Mixture], Any]) -> Decoder:
    """The decoder with another layer in the place of each mixture: (layer, mixture) -> layer, all of one kind."""
    body = decoder.body.unrolled()
    blocks = tuple(
        eqx.tree_at(lambda b: b.feed, block, change(i, block.feed))
        for i, block in enumerate(body.blocks)
    )
    return eqx.tree_at(lambda d: d.body, decoder, Stack(blocks, body.n_blocks).scanned())


@jit_once
def bits_of(decoder: Decoder, windows: Array) -> Array:
    """Bits of each byte by the decoder as it is."""
    return cross_entropy(decoder(windows[:, :-1]), windows[:, 1:]) / math.log(2)
