"""Costs of the layers that mix along the sequence: weights, what they keep of a token, products of a step.

A step takes `new` tokens of each row behind `before` that are kept already: one token of decoding, a chunk of a prompt,
or the drafts that are verified at once. Products are multiplications with their addition. A query sees its own key too,
which does not come from memory, so that a token behind n reads n and multiplies with n + 1.

    attention          heads (key + value) products for each key seen
    latent, absorbed   heads (2 rank + rotary) for each key seen; its latent is read by all heads
    latent, expanded   heads (key + rotary + value) for each, and rank heads (key + value) more for each latent kept
    index              heads dim for each key seen, and attention to the kept ones alone
    delta rule         3 key value for each head: reading the old value, writing the new one, reading for the query
    the same in chunks of C, for each: 2 C^2 key + 3 C key value + C^2 value + C (C - 1) / 2 value (substitution)

The formulas are of the layers of `nn.layers`, whose modules give the sources.
"""

import abc
from dataclasses import dataclass
from typing import NamedTuple

from nn.roofline.conventions import Conventions

# Parts of the products that are no products of matrices.
ELEMENTWISE = ("convolution", "state update")


class Map(NamedTuple):
    """A linear map of each token."""

    n_in: int
    n_out: int

    @property
    def products(self) -> int:
        """Products for a token, and numbers of the matrix."""
        return self.n_in * self.n_out


class Vectors(NamedTuple):
    """Vectors that are kept, in one of the formats of a chip: cache, index, state or window."""

    format: str
    count: int
    size: int


class AbstractMixerCost(abc.ABC):
    """What a layer that mixes along the sequence costs, for one row of a batch."""

    @abc.abstractmethod
    def maps(self) -> list[Map]:
        """Linear maps of each token."""

    @abc.abstractmethod
    def other_weights(self) -> int:
        """Numbers of weights that are no matrix of `maps`."""

    @abc.abstractmethod
    def kept(self, n: int) -> list[Vectors]:
        """What is kept of n tokens."""

    @abc.abstractmethod
    def read(self, before: int, new: int) -> list[Vectors]:
        """What a step reads of that. Where each query chooses keys, at most so much: no two choose the same."""

    @abc.abstractmethod
    def products(self, before: int, new: int, conventions: Conventions) -> dict[str, int]:
        """Products of a step by part, beside those of `maps`."""

    def written(self, before: int, new: int) -> list[Vectors]:
        """What a step adds to what is kept, or writes anew where its size is fixed."""
        del before
        return self.kept(new)


@dataclass(frozen=True)
class AttentionCost(AbstractMixerCost):
    """Softmax attention with shared heads of keys.

    Attributes:
        width: Size of a token.
        heads: Heads of queries.
        kv_heads: Heads of keys and values.
        head_dim: Size of a head.
        query_key_norm: Whether queries and keys are normalised.
        gated: Whether the output is gated.
        window: Tokens a query sees; None for all.
    """

    width: int
    heads: int
    kv_heads: int
    head_dim: int
    query_key_norm: bool = False
    gated: bool = False
    window: int | None = None

    def maps(self) -> list[Map]:
        """Queries (with gates), keys, values, output."""
        inside, shared = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return [
            Map(self.width, inside * (1 + self.gated)),
            Map(self.width, shared),
            Map(self.width, shared),
            Map(inside, self.width),
        ]

    def other_weights(self) -> int:
        """Both norms."""
        return 2 * self.head_dim * self.query_key_norm

    def kept(self, n: int) -> list[Vectors]:
        """Keys and values."""
        slots = n if self.window is None else min(n, self.window)
        return [Vectors("cache", 2 * self.kv_heads * slots, self.head_dim)]

    def read(self, before: int, new: int) -> list[Vectors]:
        """All that is kept; of a window that is full, the token itself is the last."""
        del new
        seen = before if self.window is None else min(before, self.window - 1)
        return [Vectors("cache", 2 * self.kv_heads * seen, self.head_dim)]

    def products(self, before: int, new: int, conventions: Conventions) -> dict[str, int]:
        """Scores and sums."""
        seen = conventions.keys_seen(before, new, self.window)
        return {"attention": 2 * self.heads * self.head_dim * seen}


@dataclass(frozen=True)
class IndexCost:
    """The index that picks the keys of each query (DSA).

    Attributes:
        width: Size of a token.
        source: Size of what its queries are made of.
        heads: Its heads.
        dim: Size of its keys.
        n_kept: Keys that a query keeps.
    """

    width: int
    source: int
    heads: int
    dim: int
    n_kept: int

    def maps(self) -> list[Map]:
        """Queries, key, weights of the heads."""
        return [
            Map(self.source, self.heads * self.dim),
            Map(self.width, self.dim),
            Map(self.width, self.heads),
        ]

    def other_weights(self) -> int:
        """The norm of the keys."""
        return 2 * self.dim

    def kept(self, n: int) -> Vectors:
        """One key a token."""
        return Vectors("index", n, self.dim)

    def products(self, before: int, new: int, conventions: Conventions) -> int:
        """Scores of all keys seen."""
        return self.heads * self.dim * conventions.keys_seen(before, new)


@dataclass(frozen=True)
class LatentCost(AbstractMixerCost):
    """Latent attention (MLA), perhaps with an index.

    Attributes:
        width: Size of a token.
        heads: Heads.
        query_rank: Size of the latent of the queries.
        rank: Size of the latent.
        key_dim: Size of the part of a key that is made of the latent.
        rotary_dim: Size of the rotary part, which is kept beside the latent.
        value_dim: Size of a value.
        index: The index; None for all keys.
    """

    width: int
    heads: int
    query_rank: int
    rank: int
    key_dim: int
    rotary_dim: int
    value_dim: int
    index: IndexCost | None = None

    def maps(self) -> list[Map]:
        """All maps; that from the latent costs a token the same in both forms."""
        key = self.key_dim + self.rotary_dim
        return [
            Map(self.width, self.query_rank),
            Map(self.query_rank, self.heads * key),
            Map(self.width, self.rank + self.rotary_dim),
            self._up(),
            Map(self.heads * self.value_dim, self.width),
            *([] if self.index is None else self.index.maps()),
        ]

    def other_weights(self) -> int:
        """Norms of both latents and of the index."""
        index = 0 if self.index is None else self.index.other_weights()
        return self.query_rank + self.rank + index

    def kept(self, n: int) -> list[Vectors]:
        """Latents with their rotary keys, and keys of the index."""
        latents = [Vectors("cache", n, self.rank), Vectors("cache", n, self.rotary_dim)]
        return latents if self.index is None else [*latents, self.index.kept(n)]

    def read(self, before: int, new: int) -> list[Vectors]:
        """All keys of the index, and the latents that it keeps."""
        if self.index is None:
            return self.kept(before)
        return [
            *LatentCost.kept(self, min(before, new * self.index.n_kept))[:2],
            self.index.kept(before),
        ]

    def products(self, before: int, new: int, conventions: Conventions) -> dict[str, int]:
        """Scores and sums in the form that is asked for, and of the index."""
        most = None if self.index is None else self.index.n_kept
        seen = conventions.keys_seen(before, new, most)
        found = {}
        if conventions.latent_form == "absorbed":
            found["attention"] = self.heads * (2 * self.rank + self.rotary_dim) * seen
        else:
            size = self.key_dim + self.rotary_dim + self.value_dim
            found["attention"] = self.heads * size * seen
            found["expansion"] = self._up().products * before
        if self.index is not None:
            found["index"] = self.index.products(before, new, conventions)
        return found

    def _up(self) -> Map:
        return Map(self.rank, self.heads * (self.key_dim + self.value_dim))


@dataclass(frozen=True)
class DeltaCost(AbstractMixerCost):
    """The gated delta rule with its convolution.

    Attributes:
        width: Size of a token.
        heads: Heads of values.
        key_heads: Heads of queries and keys.
        key_dim: Size of a key.
        value_dim: Size of a value.
        length: Length of the convolution.
    """

    width: int
    heads: int
    key_heads: int
    key_dim: int
    value_dim: int
    length: int = 4

    @property
    def channels(self) -> int:
        """Channels of the convolution: queries, keys and values."""
        return 2 * self.key_heads * self.key_dim + self.heads * self.value_dim

    def maps(self) -> list[Map]:
        """Queries, keys, values, gate, strength, decay, output."""
        wide, tall = self.key_heads * self.key_dim, self.heads * self.value_dim
        sizes = (wide, wide, tall, tall, self.heads, self.heads)
        return [*(Map(self.width, size) for size in sizes), Map(tall, self.width)]

    def other_weights(self) -> int:
        """Convolution, norm, rates and their biases."""
        return self.length * self.channels + self.value_dim + 2 * self.heads

    def kept(self, n: int) -> list[Vectors]:
        """The state and the inputs of the convolution, whatever n is."""
        del n
        return [
            Vectors("state", self.heads * self.key_dim, self.value_dim),
            Vectors("window", self.length - 1, self.channels),
        ]

    def read(self, before: int, new: int) -> list[Vectors]:
        """All of it."""
        del new
        return self.kept(before)

    def products(self, before: int, new: int, conventions: Conventions) -> dict[str, int]:
        """The rule, token by token or in chunks, and the convolution."""
        del before
        found = {"convolution": self.length * self.channels * new}
        chunk, size = conventions.delta_chunk, self.key_dim * self.value_dim
        if chunk is None or new == 1:
            found["state"] = 2 * self.heads * size * new
            return found | {"state update": self.heads * size * new}
        c = min(chunk, new)
        dots = 2 * c * c * self.key_dim + 3 * c * size + c * c * self.value_dim
        solve = c * (c - 1) // 2 * self.value_dim
        return found | {"state": self.heads * -(-new // c) * (dots + solve)}
