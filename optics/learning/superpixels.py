"""Trial weights on a coarse grid, and their measured loss: what all methods share that see the loss alone.

A zeroth-order method pays for every number it searches, and a panel has many. It may search super-pixels: one offset
for a block of `superpixel` neighbours along every axis behind the layer, added to the weights it started from.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from optics._numbers import takes_numbers
from optics.learning.passes import measure_output
from optics.learning.protocols import Bench, Network, Weights, weights_of, with_weights


def check_count(value: int, name: str, least: int = 1) -> None:
    """Raises ValueError unless a count is at least `least`."""
    if value < least:
        raise ValueError(f"`{name}` must be at least {least}, but is {value}.")


def coarse_zeros(network: Network, superpixel: int) -> Weights:
    """Offsets of zero, one per super-pixel."""
    return jax.tree.map(
        lambda w: jnp.zeros((w.shape[0], *(-(-n // superpixel) for n in w.shape[1:])), w.dtype),
        weights_of(network),
    )


def spread(offsets: Weights, network: Network, superpixel: int) -> Weights:
    """Coarse offsets repeated over their super-pixels; the last of a row is cut where the grid ends."""
    if superpixel == 1:
        return offsets

    def one(coarse, fine):
        for axis in range(1, fine.ndim):
            coarse = jnp.repeat(coarse, superpixel, axis=axis)
        return coarse[tuple(slice(0, n) for n in fine.shape)]

    return jax.tree.map(one, offsets, weights_of(network))


def share(slopes: Weights, network: Network, superpixel: int) -> Weights:
    """Derivatives in the offsets of super-pixels -> mean derivative in their pixels, for every pixel.

    For exact slopes this is the block average of the gradient: the projection on what super-pixels can follow.
    """
    if superpixel == 1:
        return slopes

    def count(fine):
        sizes = [np.full(-(-n // superpixel), superpixel) for n in fine.shape[1:]]
        for size, n in zip(sizes, fine.shape[1:], strict=True):
            size[-1] = n - superpixel * (len(size) - 1)
        product = np.ones(())
        for size in sizes:
            product = np.multiply.outer(product, size)
        return jnp.asarray(product[None], fine.dtype)

    counts = jax.tree.map(count, weights_of(network))
    means = jax.tree.map(lambda s, n: s / jnp.broadcast_to(n, s.shape), slopes, counts)
    return spread(means, network, superpixel)


def moved(network: Network, offsets: Weights, superpixel: int):
    """Network with offsets added to its weights."""
    fine = spread(offsets, network, superpixel)
    weights = jax.tree.map(jnp.add, weights_of(network), fine)
    return with_weights(network, Weights(*weights))


def trial(
    network: Network, bench: Bench, field, labels, offsets: Weights, superpixel: int, *, key, time
) -> tuple[Float[Array, ""], Array]:
    """Measured loss of the network with offsets, and the light at the camera that it comes from."""
    output = measure_output(moved(network, offsets, superpixel), bench, field, key=key, time=time)
    return network.readout.loss(output, labels), output


@takes_numbers
def from_vector(network: Network, superpixel: int, vector: Float[Array, " n"]) -> Weights:
    """Coarse offsets from one long vector."""
    return ravel_pytree(coarse_zeros(network, superpixel))[1](vector)


def n_offsets(network: Network, superpixel: int) -> int:
    """Length of that vector."""
    shapes = jax.eval_shape(lambda n: coarse_zeros(n, superpixel), network)
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))


@takes_numbers
@partial(eqx.filter_jit)
def population_losses(
    network: Network,
    bench: Bench,
    field,
    labels,
    vectors: Float[Array, "population n"],
    superpixel: int,
    *,
    key,
    time,
) -> tuple[Float[Array, " population"], Float[Array, " population"]]:
    """Measured loss, and share of samples classified correctly, of many trial vectors one after the other."""

    def one(inputs):
        index, vector = inputs
        offsets = from_vector(network, superpixel, vector)
        when = time + index * network.n_layers
        loss, output = trial(
            network, bench, field, labels, offsets, superpixel,
            key=jax.random.fold_in(key, index), time=when,
        )  # fmt: skip
        return loss, jnp.mean(network.readout.correct(output, labels))

    return jax.lax.map(one, (jnp.arange(vectors.shape[0]), vectors))
