"""Low-rank updates of linear maps (LoRA): the map stays as it is, a product of two thin matrices trains beside it.

    y = f(x) + (scale / rank) x A B,   A normal with standard deviation n_in^-1/2,  B = 0 to begin with

so that at first nothing changes. `merge_low_rank` adds A B to the weights and leaves plain maps.

Source: E. J. Hu et al., arXiv 2106.09685.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_at_least
from nn.layers.linear import AbstractLinear, Dense, linear_maps, replace_linear


class LowRank(AbstractLinear):
    """A linear map with an update of low rank.

    Attributes:
        down: A.
        up: B.
        inner: The map.
        scale: Factor of the update, by its rank.
        n_in: Size of the input.
        n_out: Size of the output.
    """

    down: Float[Array, "*stacked n_in rank"]
    up: Float[Array, "*stacked rank n_out"]
    inner: AbstractLinear
    scale: float = eqx.field(static=True)
    n_in: int = eqx.field(static=True)
    n_out: int = eqx.field(static=True)

    def __call__(
        self, x: Float[Array, "*batch n_in"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch n_out"]:
        """Applies the map and its update; `key` is for the map."""
        y = self.inner(x, key=key)
        return y + (self._factor() * (x @ self.down) @ self.up).astype(y.dtype)

    def merged(self) -> Dense:
        """The same map as one matrix.

        Raises:
            TypeError: If the map has no matrix to add to.
        """
        if not isinstance(self.inner, Dense):
            raise TypeError(
                f"`inner` must be a Dense map to be merged, but is a {type(self.inner).__name__}. "
                "Keep the update apart."
            )
        weight = self.inner.weight + self._factor() * (self.down @ self.up)
        return eqx.tree_at(lambda dense: dense.weight, self.inner, weight)

    def _factor(self) -> float:
        return self.scale / max(self.down.shape[-1], 1)


def add_low_rank(
    model: Any,
    rank: int,
    *,
    key: PRNGKeyArray,
    scale: float | int = 1,
    chosen: Callable[[str], bool] = lambda path: True,
) -> Any:
    """The model with an update beside each chosen `Dense` map; it computes the same until the update has trained.

    Args:
        model: Any pytree of modules, scanned or not.
        rank: Rank of the updates; 0 leaves nothing to train.
        key: PRNG key.
        scale: Factor of the update; it is divided by the rank.
        chosen: Whether a map has an update, by its path (`nn.layers.linear_maps`).

    Raises:
        ValueError: If the rank is negative, or no map is chosen.
    """
    check_at_least(rank, 0, "rank")
    paths = [path for path, old in linear_maps(model) if isinstance(old, Dense) and chosen(path)]
    if not paths:
        raise ValueError(
            "`chosen` must choose at least one Dense map, but chooses none. `linear_maps` lists their paths."
        )
    keys = dict(zip(paths, jax.random.split(key, len(paths)), strict=True))

    def update(path, old):
        if path not in keys:
            return None
        *stacked, n_in, n_out = old.weight.shape
        dtype = old.weight.dtype
        down = n_in**-0.5 * jax.random.normal(keys[path], (*stacked, n_in, rank), dtype)
        up = jnp.zeros((*stacked, rank, n_out), dtype)
        return LowRank(down=down, up=up, inner=old, scale=float(scale), n_in=n_in, n_out=n_out)

    return replace_linear(model, update)


def merge_low_rank(model: Any) -> Any:
    """The model with all updates added to their matrices."""
    return replace_linear(model, lambda _, old: old.merged() if isinstance(old, LowRank) else None)


def only_low_rank(model: Any) -> Any:
    """Tree of booleans, true for the updates: what trains (`nn.training.train`)."""

    def mark(leaf):
        marks = jax.tree.map(lambda _: False, leaf)
        if _is_low_rank(leaf):
            marks = eqx.tree_at(lambda m: (m.down, m.up), marks, (True, True))
        return marks

    return jax.tree.map(mark, model, is_leaf=_is_low_rank)


def _is_low_rank(leaf) -> bool:
    return isinstance(leaf, LowRank)
