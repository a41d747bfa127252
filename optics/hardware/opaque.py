"""What every piece of hardware has in common: white noise on what it measures, and no derivative through it.

A learner holds a bench in place of a laboratory. What it reads is a number, not a function: a derivative through a
measurement would hand out the hidden errors, so that asking for one raises. Noise is white, normal and as large as a
given part of a level, which is the root mean square of what is measured unless a bench sets its range otherwise; a
complex value gets the noise in both quadratures together.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, PRNGKeyArray, PyTree

from optics._dark import root
from optics._numbers import takes_numbers
from optics.waves.field import intensity


@takes_numbers
def root_mean_square(values: Inexact[Array, "..."], axes: int) -> Array:
    """Root mean square modulus over the last `axes` axes, which are kept with size 1."""
    return root(jnp.mean(intensity(values), axis=tuple(range(-axes, 0)), keepdims=True))


@takes_numbers
def add_white(values: Inexact[Array, "..."], white: Array, size: Any, *, level: Any) -> Array:
    """Values with given white numbers on them, `size` times `level` large.

    Args:
        values: Noise-free values.
        white: Independent numbers of unit variance, shaped and typed like the values.
        size: Noise relative to the level.
        level: What the noise is measured by, in the unit of the values.
    """
    return values + (size * level * white).astype(values.dtype)


@takes_numbers
def add_noise(
    values: Inexact[Array, "..."], size: Any, *, key: PRNGKeyArray, axes: int = 1, level: Any = None
) -> Array:
    """Values as measured with white noise.

    Args:
        values: Noise-free values.
        size: Noise relative to the level; None draws none, for random numbers cost more than the light.
        key: PRNG key.
        axes: Axes of one measurement, the last ones; the level is the root mean square over them.
        level: Another level, in the unit of the values.
    """
    if size is None:
        return values
    white = jax.random.normal(key, values.shape, values.dtype)
    level = root_mean_square(values, axes) if level is None else level
    return add_white(values, white, size, level=level)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def opaque(
    measured: PyTree[Array], device: str, fix: str = "Use a learning rule of `optics.learning`"
) -> PyTree[Array]:
    """What was measured, without a derivative.

    Args:
        measured: Arrays as read.
        device: Name of the class that measures.
        fix: What to do in place of a derivative; begins the sentence that the error ends with.

    Raises:
        TypeError: If differentiated, in either mode.
    """
    del device, fix
    return measured


@opaque.defjvp
def _refuse(device, fix, primals, tangents):
    raise TypeError(
        f"`{device}` is hardware: it measures and has no derivative. {fix}, or stop the gradient at what you send in."
    )
