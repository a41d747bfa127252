"""Functions with a value and a slope where there is no light: root, quotient and phase of zero.

A target picture has dark pixels, a crop may be flat, two images may be equal. There the chain rule meets 0 / 0 or
0 times infinity, and one such pixel turns a whole gradient into NaN. Each function here says what it gives instead; the
inner `where` keeps the unused branch away from the singular point, for a derivative looks at both. Each is
one program, so that a call outside of `jit` does not compile and start six.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array


@jax.jit
def root(value: ArrayLike) -> Array:
    """Square root; zero with zero slope at and below zero."""
    value = jnp.asarray(value)
    lit = ~(value <= 0)  # NaN stays NaN
    return jnp.where(lit, jnp.sqrt(jnp.where(lit, value, 1)), 0)


@jax.jit
def quotient(a: ArrayLike, b: ArrayLike, dark: ArrayLike = 0.0) -> Array:
    """Quotient a / b for b above zero; `dark` with zero slope elsewhere."""
    a, b = jnp.asarray(a), jnp.asarray(b)
    lit = ~(b <= 0)  # NaN stays NaN
    return jnp.where(lit, a / jnp.where(lit, b, 1), dark)


@jax.jit
def argument(value: Array) -> Array:
    """Phase of a complex number in (-pi, pi]; zero with zero slope where it vanishes.

    A negative zero as imaginary part, as conjugation and rounding leave it, would give -pi for a negative number.
    """
    lit = value != 0
    angle = jnp.angle(jnp.where(lit, value, 1))
    return jnp.where(angle > -jnp.pi, angle, jnp.abs(angle))
