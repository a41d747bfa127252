"""The one linear map of all learning systems: y = x W + b, whatever carries it out.

A model is built of `Dense` maps. Whoever wants another carrier (a photonic mesh, four-bit weights, a low-rank update)
derives a class from `AbstractLinear` and puts it in the place of every map, or of some, by `replace_linear`; the model
does not know. Where light carries a map stands in `experiments`, for libraries do not know each other.
"""

import abc
import functools
import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import check_at_least, check_axis


class AbstractLinear(eqx.Module):
    """A linear map along the last axis.

    Attributes:
        n_in: Size of the last axis of the input.
        n_out: Size of the last axis of the output.
    """

    n_in: eqx.AbstractVar[int]
    n_out: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(
        self, x: Float[Array, "*batch n_in"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch n_out"]:
        """Applies the map; `key` is for hardware that is noisy, others ignore it."""


class Dense(AbstractLinear):
    """y = x W + b in the arithmetic of the machine.

    Attributes:
        weight: W. Stored as (input, output): the products of one token read it row by row, which is up to 1.3 times
            as fast as the transpose on a CPU.
        bias: b, or None for none.
    """

    weight: Float[Array, "n_in n_out"]
    bias: Float[Array, " n_out"] | None
    n_in: int = eqx.field(static=True)
    n_out: int = eqx.field(static=True)

    def __init__(
        self,
        weight: Float[Array, "n_in n_out"],
        bias: Float[Array, " n_out"] | None = None,
    ):
        self.weight, self.bias = weight, bias
        # The last two axes: a stack of layers holds its weights along a first one.
        self.n_in, self.n_out = weight.shape[-2:]

    def __call__(
        self, x: Float[Array, "*batch n_in"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch n_out"]:
        """Applies the map.

        Raises:
            ValueError: If the last axis of `x` has another size.
        """
        del key
        check_axis(x, "x", -1, self.n_in, "It is the input of a linear map of this size.")
        y = x @ self.weight
        return y if self.bias is None else y + jnp.broadcast_to(self.bias, y.shape)


class StackedDense(AbstractLinear):
    """A `Dense` map of a stack, used where it lies: for decoding, where to copy it out takes twice as long as its use.

    A single vector is multiplied as a sum of `_STREAMS` products, each of some components and rows of W, of which XLA
    makes one loop. It reads that many rows at once, which memory gives faster than one after the other.

    Attributes:
        stack: W of all maps along a first axis.
        bias: b of this map, or None for none.
        index: Number of this map.
    """

    stack: Float[Array, "layers n_in n_out"]
    bias: Float[Array, " n_out"] | None
    index: Int[Array, ""]
    n_in: int = eqx.field(static=True)
    n_out: int = eqx.field(static=True)

    def __init__(
        self,
        stack: Float[Array, "layers n_in n_out"],
        bias: Float[Array, " n_out"] | None,
        index: Int[Array, ""],
    ):
        self.stack, self.bias, self.index = stack, bias, index
        self.n_in, self.n_out = stack.shape[-2:]

    @property
    def weight(self) -> Float[Array, "n_in n_out"]:
        """A copy of W of this map."""
        return jax.lax.dynamic_index_in_dim(self.stack, self.index, keepdims=False)

    def __call__(
        self, x: Float[Array, "*batch n_in"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch n_out"]:
        """Applies the map.

        Raises:
            ValueError: If the last axis of `x` has another size.
        """
        if x.size != self.n_in or self.n_in % _STREAMS:
            return Dense(self.weight, self.bias)(x, key=key)
        check_axis(x, "x", -1, self.n_in, "It is the input of a linear map of this size.")
        dtype = jnp.result_type(x, self.stack)
        wide = jnp.promote_types(jnp.float32, dtype)
        size = self.n_in // _STREAMS

        def product(i, part):
            start = (self.index, *(jnp.full_like(self.index, n) for n in (i * size, 0)))
            (rows,) = jax.lax.dynamic_slice(self.stack, start, (1, size, self.n_out))
            return part * rows.astype(wide)

        parts = x.astype(wide).reshape(_STREAMS, size, 1)
        products = functools.reduce(jnp.add, itertools.starmap(product, enumerate(parts)))
        # The rest of the sum as a product: XLA would draw a plain sum into the loop and go through W column by column.
        y = (jnp.ones(size, wide) @ products).astype(dtype).reshape(*x.shape[:-1], self.n_out)
        return y if self.bias is None else y + jnp.broadcast_to(self.bias, y.shape)


# On a CPU 16 and 32 rows at once read the maps of a decoder of 512 at 17.3 and 17.6 GB/s, plain products at 14.3.
_STREAMS = 32


def make_dense(
    n_in: int,
    n_out: int,
    *,
    key: PRNGKeyArray,
    bias: bool = False,
    scale: float | None = None,
    dtype: Any = jnp.float32,
) -> Dense:
    """A map with normal weights of standard deviation `scale`, by default 1 / sqrt(n_in), and a bias of zeros.

    Args:
        n_in: Inputs.
        n_out: Outputs.
        key: PRNG key.
        bias: Whether it has a bias.
        scale: Standard deviation of a weight.
        dtype: Type of weights and bias.

    Raises:
        ValueError: If a size is below 1.
    """
    check_at_least(n_in, 1, "n_in")
    check_at_least(n_out, 1, "n_out")
    spread = n_in**-0.5 if scale is None else scale
    weight = spread * jax.random.normal(key, (n_in, n_out), dtype)
    return Dense(weight, jnp.zeros(n_out, dtype) if bias else None)


def linear_maps(model: Any) -> list[tuple[str, AbstractLinear]]:
    """All linear maps of a model with their paths, such as `blocks[0].mixer.query`, in the order of the tree."""
    found = jax.tree_util.tree_flatten_with_path(model, is_leaf=_is_linear)[0]
    return [
        (jax.tree_util.keystr(path).lstrip("."), leaf) for path, leaf in found if _is_linear(leaf)
    ]


def replace_linear(
    model: Any, replacement: Callable[[str, AbstractLinear], AbstractLinear | None]
) -> Any:
    """Puts other carriers in the place of linear maps.

    Args:
        model: Any pytree of modules.
        replacement: (path, map) -> the map that takes its place, or None to keep it. It must have the same sizes.

    Raises:
        ValueError: If a replacement has other sizes; names the path.
    """

    def exchange(path, leaf):
        if not _is_linear(leaf):
            return leaf
        name = jax.tree_util.keystr(path).lstrip(".")
        new = replacement(name, leaf)
        if new is None:
            return leaf
        if (new.n_in, new.n_out) != (leaf.n_in, leaf.n_out):
            raise ValueError(
                f"`replacement` must keep the sizes of {name}, {leaf.n_in} to {leaf.n_out}, "
                f"but gave {new.n_in} to {new.n_out}."
            )
        return new

    return jax.tree_util.tree_map_with_path(exchange, model, is_leaf=_is_linear)


def _is_linear(leaf) -> bool:
    return isinstance(leaf, AbstractLinear)
