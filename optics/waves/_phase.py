"""Optical phases to full precision: of 1e6 wavelengths only the fraction of the last one counts.

A path of 0.388 m at 532 nm is 5e6 rad, so a float32 phase would be wrong by 0.3 rad. Two remedies:
values that can be looked at now are worked out in float64 on the host; traced float32 values use
products with an exact rounding error (Dekker 1971, DOI 10.1007/BF01397083) and the exact remainder
`fmod`. A length that float32 stores is itself rounded to 3e-8, which over 1 m is up to 0.3 rad of
visible light; so every part takes the wavelength that the field stores, `as_stored`. A distance that is known keeps
its digits also where the wavelength is traced; one that is traced in single precision was rounded before it came here,
by 0.13 rad at 0.388 m, and is then the distance meant.
"""

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optics._checks import is_concrete

# NumPy or jax.numpy arrays and scalars: one formula serves the host and the traced path.
Number = Any


def as_stored(length) -> Number:
    """A length as a `Field` stores it: rounded to single precision in JAX's 32-bit mode, if it is known now."""
    return np.asarray(length, jnp.result_type(float)) if is_concrete(length) else length


def host_or_traced(*values) -> tuple[ModuleType, tuple[Number, ...]]:
    """Gives numpy and float64 scalars if every value is known now, else jax.numpy and arrays."""
    if all(is_concrete(value) for value in values):
        return np, tuple(np.float64(np.asarray(value)) for value in values)
    dtype = jnp.result_type(float, *[v for v in values if isinstance(v, jax.Array)])
    return jnp, tuple(jnp.asarray(value, dtype=dtype) for value in values)


def carrier(xp: ModuleType, distance: Number, wavelength: Number) -> Number:
    """exp(i 2 pi distance / wavelength); `fmod` is exact, only the last wavelength is rounded.

    Args:
        xp: What `host_or_traced` gave.
        distance: As it came in, not what `host_or_traced` made of it: a known length keeps its digits beside a traced
            single-precision wavelength, as a rounded one and the rest.
        wavelength: What `host_or_traced` gave.
    """
    if xp is np:
        length = np.float64(np.asarray(distance))
        return np.exp(2j * np.pi * (np.fmod(length, wavelength) / wavelength))
    if not is_concrete(distance):
        return jnp.exp(
            2j * np.pi * _last_cycle(jnp.asarray(distance, wavelength.dtype), wavelength)
        )
    length = np.float64(np.asarray(distance))
    stored = np.asarray(length, wavelength.dtype)
    rest = np.asarray(length - stored, wavelength.dtype)
    cycles = _last_cycle(jnp.asarray(stored), wavelength) + rest / wavelength
    return jnp.exp(2j * np.pi * cycles)


@jax.custom_jvp
def _last_cycle(distance: Number, wavelength: Number) -> Number:
    return jnp.fmod(distance, wavelength) / wavelength


@_last_cycle.defjvp
def _last_cycle_jvp(primals, tangents):
    # Of the smooth distance / wavelength: where a whole number of wavelengths fits, the remainder is nearly one
    # wavelength or nearly none as it rounds, and its own derivative counts one cycle too many or too few.
    (distance, wavelength), (d_distance, d_wavelength) = primals, tangents
    slope = (d_distance - distance / wavelength * d_wavelength) / wavelength
    return _last_cycle(distance, wavelength), slope


def cycles_of(xp: ModuleType, length: Number, wavelength: Number) -> Number:
    """Length over wavelength, whole cycles dropped, for lengths of any kind."""
    if not _is_single(length):
        cycles = length / wavelength
        return cycles - xp.round(cycles)
    cycles, rest = _quotient(length, wavelength)
    return (cycles - xp.round(cycles)) + rest


def ratio_product(
    a: Number, b: Number, c: Number, d: Number, *, count: int = 1
) -> tuple[Number, Number]:
    """(a / b) (c / d) / count as a sum of two numbers.

    The second is zero in float64, where one number will do. `count` is an integer below 2^24.
    """
    if not _is_single(a):
        return (a / b) * (c / d) / count, 0.0
    (first, first_low), (second, second_low) = _quotient(a, b), _quotient(c, d)
    high, low = _product(first, second)
    low = low + (first * second_low + first_low * second)
    result, result_low = _quotient(high, np.float32(count))
    return result, result_low + low / count


def fractional_cycles(xp: ModuleType, rate: tuple[Number, Number], count: Number) -> Number:
    """Rate times count, whole cycles dropped; `count` is known on the host, in double precision."""
    high, low = rate
    if not _is_single(high):
        cycles = high * count
        return cycles - xp.round(cycles)
    coarse = np.asarray(count, np.float32)
    rest = np.asarray(count - coarse, np.float32)  # 0 for integers below 2^24
    cycles, error = _product(high, coarse)
    return (cycles - xp.round(cycles)) + (error + (low * coarse + high * rest))


def sqrt_excess(xp: ModuleType, w: Number) -> tuple[Number, Number]:
    """For w >= -1: sqrt(1 + w), and sqrt(1 + w) - 1 - w / 2 free of cancellation.

    With r = sqrt(1 + w) the second is -(r - 1)^2 / 2 = -w^2 / (2 (1 + r)^2).
    """
    root = xp.sqrt(1 + w)
    return root, -(w**2) / (2 * (1 + root) ** 2)


def frequency_indices(n: int) -> np.ndarray:
    """0, 1, ..., -2, -1: the integer of every sample in FFT order."""
    return np.fft.ifftshift(np.arange(n) - n // 2).astype(float)


def _is_single(value: Number) -> bool:
    # Not jnp.result_type: without x64 that calls a NumPy float64 single as well.
    return np.dtype(value.dtype) == np.float32


def _quotient(a: Number, b: Number) -> tuple[Number, Number]:
    quotient = a / b
    back, error = _product(quotient, b)
    return quotient, ((a - back) - error) / b


def _product(a: Number, b: Number) -> tuple[Number, Number]:
    product = a * b
    (a_high, a_low), (b_high, b_low) = _split(a), _split(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _split(a: Number) -> tuple[Number, Number]:
    # 2^12 + 1 cuts the 24 bits of a float32 into two halves whose products are exact.
    shifted = 4097.0 * a
    high = shifted - (shifted - a)
    return high, a - high
