"""Costs of whole decoders: what they store, out of the sizes that `nn.models` makes them by.

A model is a list of layers, each a mixer and a feed-forward layer with a norm before both, between an embedding and a
head. A sparse form takes the place of attention by `ModelCost.with_mixers`, as it does in the model.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nn._checks import check_at_least
from nn.models.decoder import DecoderConfig
from nn.models.hybrid import HybridConfig
from nn.models.latent_decoder import LatentConfig
from nn.roofline.chip import Chip
from nn.roofline.feeds import FeedCost
from nn.roofline.mixers import (
    AbstractMixerCost,
    AttentionCost,
    DeltaCost,
    IndexCost,
    LatentCost,
    Map,
    Vectors,
)


@dataclass(frozen=True)
class LayerCost:
    """Layers of one kind.

    Attributes:
        mixer: What mixes along the sequence.
        feed: The feed-forward layer.
        count: How many there are.
    """

    mixer: AbstractMixerCost
    feed: FeedCost
    count: int

    def maps(self) -> list[Map]:
        """Maps that every token goes through, in one layer."""
        return [*self.mixer.maps(), *self.feed.maps()]

    def weights(self) -> int:
        """Numbers of weights outside the experts, in one layer, with both norms."""
        vectors = self.mixer.other_weights() + self.feed.other_weights() + 2 * self.feed.width
        return sum(map_.products for map_ in self.maps()) + vectors

    def expert(self) -> int:
        """Numbers of one expert."""
        return sum(map_.products for map_ in self.feed.expert())


@dataclass(frozen=True)
class ModelCost:
    """A decoder.

    Attributes:
        name: Name.
        vocabulary: Tokens there are.
        width: Size of a token.
        layers: Its layers, kind by kind.
        tied: Whether the head is the table of embeddings.
    """

    name: str
    vocabulary: int
    width: int
    layers: tuple[LayerCost, ...]
    tied: bool = False

    def n_tables(self, tables: str = "both") -> int:
        """Tables of the vocabulary that count, see `Conventions`."""
        return {"none": 0, "head": 1, "both": 1 if self.tied else 2}[tables]

    def n_weights(self, tables: str = "both", n_experts: int | None = None) -> int:
        """Numbers of weights.

        Args:
            tables: Which tables of the vocabulary count, see `Conventions`.
            n_experts: Experts that count in each layer; None for all.
        """
        total = self.n_tables(tables) * self.vocabulary * self.width + self.width
        for layer in self.layers:
            experts = layer.feed.n_experts if n_experts is None else n_experts
            total += layer.count * (layer.weights() + experts * layer.expert())
        return total

    def n_active(self, tables: str = "both") -> int:
        """Numbers of weights that serve one token."""
        total = self.n_weights(tables, 0)
        return total + sum(
            layer.count * layer.feed.n_chosen * layer.expert() for layer in self.layers
        )

    def kept_bytes(self, chip: Chip, n_tokens: int, batch: int = 1) -> dict[str, float]:
        """Bytes of caches, index, states and windows after so many tokens of each row.

        Args:
            chip: Says in how many bits.
            n_tokens: Tokens of a row.
            batch: Rows.
        """
        check_at_least(n_tokens, 0, "n_tokens")
        check_at_least(batch, 1, "batch")
        vectors = [(layer.count, layer.mixer.kept(n_tokens)) for layer in self.layers]
        return add_bytes(chip, vectors, batch)

    def stored_bytes(self, chip: Chip, n_tokens: int, batch: int = 1) -> float:
        """Bytes of all weights and of what is kept: what the memory of a chip has to hold."""
        kept = sum(self.kept_bytes(chip, n_tokens, batch).values())
        return chip.weights.bytes(self.n_weights()) + kept

    def with_mixers(
        self, exchange: Callable[[AbstractMixerCost], AbstractMixerCost]
    ) -> "ModelCost":
        """The model with other mixers.

        Args:
            exchange: mixer -> the one in its place.
        """
        layers = tuple(
            dataclasses.replace(layer, mixer=exchange(layer.mixer)) for layer in self.layers
        )
        return dataclasses.replace(self, layers=layers)


def add_bytes(
    chip: Chip, layers: list[tuple[int, list[Vectors]]], batch: int = 1
) -> dict[str, float]:
    """Bytes of vectors by format, over layers given as (count, vectors of one)."""
    total: dict[str, float] = {}
    for count, vectors in layers:
        for kind, n_vectors, size in vectors:
            found = batch * count * getattr(chip, kind).bytes(size, n_vectors)
            total[kind] = total.get(kind, 0.0) + found
    return total


def describe(config: DecoderConfig | HybridConfig | LatentConfig, name: str = "") -> ModelCost:
    """Costs of the model that a configuration of `nn.models` makes.

    Args:
        config: Sizes.
        name: Name of the model.

    Raises:
        TypeError: If it is a configuration of something else.
    """
    kinds: list[tuple[type, Callable[[Any], tuple[LayerCost, ...]]]] = [
        (DecoderConfig, _decoder),
        (HybridConfig, _hybrid),
        (LatentConfig, _latent),
    ]
    for kind, layers in kinds:
        if isinstance(config, kind):
            return ModelCost(name, config.vocabulary, config.width, layers(config), config.tied)
    raise TypeError(
        f"`config` must be a {', '.join(kind.__name__ for kind, _ in kinds)}, but is a {type(config).__name__}."
    )


def _decoder(config: DecoderConfig) -> tuple[LayerCost, ...]:
    mixer = AttentionCost(
        config.width,
        config.heads,
        config.kv_heads,
        config.head_dim,
        query_key_norm=config.query_key_norm,
        window=config.window,
    )
    feed = FeedCost(config.width, config.hidden, config.mixture)
    return (LayerCost(mixer, feed, config.n_layers),)


def _hybrid(config: HybridConfig) -> tuple[LayerCost, ...]:
    delta = DeltaCost(
        config.width,
        config.delta_heads,
        config.delta_key_heads,
        config.delta_key_dim,
        config.delta_value_dim,
        config.convolution,
    )
    full = AttentionCost(
        config.width,
        config.heads,
        config.kv_heads,
        config.head_dim,
        query_key_norm=True,
        gated=True,
    )
    feed = FeedCost(config.width, 0, config.mixture)
    periods = config.n_layers // config.period
    return (
        LayerCost(delta, feed, periods * (config.period - 1)),
        LayerCost(full, feed, periods),
    )


def _latent(config: LatentConfig) -> tuple[LayerCost, ...]:
    index = None
    if config.index_heads:
        index = IndexCost(
            config.width,
            config.query_rank,
            config.index_heads,
            config.index_dim,
            config.n_kept,
        )
    mixer = LatentCost(
        config.width,
        config.heads,
        config.query_rank,
        config.rank,
        config.key_dim,
        config.rotary_dim,
        config.value_dim,
        index,
    )
    layers = (
        LayerCost(mixer, FeedCost(config.width, config.hidden), config.n_dense),
        LayerCost(
            mixer, FeedCost(config.width, 0, config.mixture), config.n_layers - config.n_dense
        ),
    )
    return tuple(layer for layer in layers if layer.count)
