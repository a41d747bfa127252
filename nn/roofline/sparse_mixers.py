"""Costs of sparse attention with shared heads of keys: native (NSA), to a mixture of blocks (MoBA), by an index.

    NSA    reads one compressed key for each `stride` tokens, the chosen blocks, and the window, each of its own kind
    MoBA   reads the mean key of each block, and the chosen blocks, the query's own and last one among them
    index  reads all keys of the index, and the keys that it keeps

Tokens read are no time: to read here and there is slower than to read in order. What a head of keys reads is counted
once for all its heads of queries; in MoBA each of them chooses for itself, and up to their number more may be read.

Sources: J. Yuan et al., arXiv 2502.11089 (NSA); E. Lu et al., arXiv 2502.13189 (MoBA); DeepSeek-AI, DeepSeek-V3.2-Exp
(2025).
"""

from dataclasses import dataclass

from nn._checks import check_at_least
from nn.kernels import BranchSizes
from nn.roofline.conventions import Conventions
from nn.roofline.mixers import AbstractMixerCost, AttentionCost, IndexCost, Map, Vectors


def native_keys_read(sizes: BranchSizes, n: int, conventions: Conventions) -> int:
    """Keys that one query of native sparse attention reads of n tokens; all where that is fewer.

    Args:
        sizes: Sizes of the branches.
        n: Tokens before it.
        conventions: Says how compressed keys are counted.
    """
    return min(n, sum(_branches(sizes, n, conventions)))


def _branches(sizes: BranchSizes, n: int, conventions: Conventions) -> tuple[int, int, int]:
    """Keys of each branch: compressed, chosen, window."""
    compressed = sizes.count_compressed(n)
    if conventions.compressed == "floor":
        compressed = max(0, (n - sizes.length) // sizes.stride)
    return compressed, min(n, sizes.n_chosen * sizes.block_size), min(n, sizes.window)


@dataclass(frozen=True)
class NativeSparseCost(AbstractMixerCost):
    """Native sparse attention as in `nn.layers.native_sparse_attention`.

    Attributes:
        width: Size of a token.
        heads: Heads of queries.
        kv_heads: Heads of keys and values.
        head_dim: Size of a head.
        sizes: Sizes of the branches.
    """

    width: int
    heads: int
    kv_heads: int
    head_dim: int
    sizes: BranchSizes

    def maps(self) -> list[Map]:
        """Queries, keys and values of three branches, gates, output; compression is counted in `products`."""
        inside, shared = self.heads * self.head_dim, 3 * self.kv_heads * self.head_dim
        return [
            Map(self.width, inside),
            Map(self.width, shared),
            Map(self.width, shared),
            Map(self.width, 3 * self.heads),
            Map(inside, self.width),
        ]

    def other_weights(self) -> int:
        """Biases of the gates, and both compressions: places and two maps each."""
        places = self.sizes.length * self.head_dim
        return 3 * self.heads + 2 * (places + self._compression())

    def kept(self, n: int) -> list[Vectors]:
        """Keys and values of all branches, and the compressed ones."""
        vectors = 2 * self.kv_heads * (3 * n + self.sizes.count_compressed(n))
        return [Vectors("cache", vectors, self.head_dim)]

    def read(self, before: int, new: int) -> list[Vectors]:
        """Compressed keys, chosen blocks and window."""
        compressed, chosen, window = _branches(self.sizes, before, Conventions())
        keys = compressed + min(before, new * chosen) + min(window, self.sizes.window - 1)
        return [Vectors("cache", 2 * self.kv_heads * keys, self.head_dim)]

    def written(self, before: int, new: int) -> list[Vectors]:
        """New keys and values, and the compressed ones that are complete with them."""
        vectors = 2 * self.kv_heads * (3 * new + self._completed(before, new))
        return [Vectors("cache", vectors, self.head_dim)]

    def products(self, before: int, new: int, conventions: Conventions) -> dict[str, int]:
        """Scores and sums of the branches, and the compressions that become complete."""
        if conventions.pairs == "square":
            keys = new * sum(_branches(self.sizes, before + new, conventions))
        else:
            places = range(before + 1, before + new + 1)
            keys = sum(sum(_branches(self.sizes, n, conventions)) for n in places)
        made = 2 * self.kv_heads * self._compression() * self._completed(before, new)
        return {"attention": 2 * self.heads * self.head_dim * keys, "compression": made}

    def _compression(self) -> int:
        """Numbers of both maps of a compression, and products of one."""
        return (self.sizes.length + 1) * self.head_dim**2

    def _completed(self, before: int, new: int) -> int:
        return self.sizes.count_compressed(before + new) - self.sizes.count_compressed(before)


@dataclass(frozen=True)
class BlockMixtureCost(AbstractMixerCost):
    """Mixtures of blocks as in `nn.layers.block_mixture_attention`.

    Attributes:
        attention: The attention whose maps it has.
        block_size: Keys in a block.
        n_chosen: Blocks a query keeps, its own among them.
    """

    attention: AttentionCost
    block_size: int
    n_chosen: int

    def __post_init__(self):
        check_at_least(self.block_size, 1, "block_size")
        check_at_least(self.n_chosen, 1, "n_chosen", "A query's own block is always chosen.")

    def maps(self) -> list[Map]:
        """Those of the attention."""
        return self.attention.maps()

    def other_weights(self) -> int:
        """Those of the attention."""
        return self.attention.other_weights()

    def kept(self, n: int) -> list[Vectors]:
        """Keys, values and the sum of the keys of each block."""
        return [*self.attention.kept(n), self._sums(-(-n // self.block_size))]

    def read(self, before: int, new: int) -> list[Vectors]:
        """The block that was begun, the other chosen ones of each new token, and the sums by which they are chosen.

        Where the last block is full a new token begins one, of which nothing is kept yet.
        """
        begun, whole = before % self.block_size, before // self.block_size
        others = min(self.n_chosen - 1, whole) * self.block_size
        chosen = min(before, begun + new * others)
        return [*self.attention.kept(chosen), self._sums(before // self.block_size)]

    def written(self, before: int, new: int) -> list[Vectors]:
        """New keys and values, and the sums that they are added to."""
        blocks = -(-(before + new) // self.block_size) - before // self.block_size
        return [*self.attention.kept(new), self._sums(blocks)]

    def products(self, before: int, new: int, conventions: Conventions) -> dict[str, int]:
        """Scores and sums over the chosen blocks, and products with the means."""
        places = range(before + 1, before + new + 1)
        if conventions.pairs == "square":
            whole = before + new
            keys = new * min(-(-whole // self.block_size), self.n_chosen) * self.block_size
            means = new * -(-whole // self.block_size)
        else:
            keys = sum(self.keys_seen(n) for n in places)
            means = sum((n - 1) // self.block_size for n in places)
        size = self.attention.heads * self.attention.head_dim
        return {"attention": 2 * size * keys, "index": size * means}

    def keys_seen(self, n: int) -> int:
        """Keys of the chosen blocks, of n up to the query's own; its own block is not full."""
        own = (n - 1) % self.block_size + 1 if n else 0
        earlier = (n - own) // self.block_size
        return own + min(self.n_chosen - 1, earlier) * self.block_size

    def _sums(self, blocks: int) -> Vectors:
        return Vectors("state", blocks * self.attention.kv_heads, self.attention.head_dim)


@dataclass(frozen=True)
class IndexedCost(AbstractMixerCost):
    """Attention with shared keys to the keys that an index picks, as in `nn.layers.indexed_attention`.

    Attributes:
        attention: The attention whose maps it has.
        index: The index.
    """

    attention: AttentionCost
    index: IndexCost

    def maps(self) -> list[Map]:
        """Those of the attention and of the index."""
        return [*self.attention.maps(), *self.index.maps()]

    def other_weights(self) -> int:
        """Those of both."""
        return self.attention.other_weights() + self.index.other_weights()

    def kept(self, n: int) -> list[Vectors]:
        """Keys, values, keys of the index."""
        return [*self.attention.kept(n), self.index.kept(n)]

    def read(self, before: int, new: int) -> list[Vectors]:
        """All keys of the index, and what it keeps."""
        chosen = min(before, new * self.index.n_kept)
        return [*self.attention.kept(chosen), self.index.kept(before)]

    def products(self, before: int, new: int, conventions: Conventions) -> dict[str, int]:
        """Scores and sums over what is kept, and of the index."""
        seen = conventions.keys_seen(before, new, self.index.n_kept)
        size = self.attention.heads * self.attention.head_dim
        index = self.index.products(before, new, conventions)
        return {"attention": 2 * size * seen, "index": index}
