"""Small floating-point formats of the Open Compute Project: E2M1, E4M3 and E8M0, to codes and back.

    value = (-1)^s 2^(e - bias) (1 + m / 2^M)   (e > 0),      (-1)^s 2^(1 - bias) m / 2^M   (e = 0)

E2M1 has neither infinity nor NaN and ends at 6; E4M3 (the "fn" kind) has one NaN, no infinity, and ends at 448; E8M0
is a power of two without sign or zero, code 255 for NaN, and serves as the scale of a block. Rounding is to the
nearest, ties to the even code. Libraries differ in what is too large: JAX and ml_dtypes make NaN of it, torch the
largest number; here that is an argument. Formats: OCP Microscaling Formats (MX) v1.0 (2023), section 5.3; E4M3:
P. Micikevicius et al., arXiv 2209.05433 (2022).
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from nn._checks import check_choice, check_finite


@dataclass(frozen=True)
class Minifloat:
    """A format with a sign bit.

    Attributes:
        name: Name.
        exponent_bits: Bits of the exponent.
        mantissa_bits: Bits of the mantissa, M.
        bias: Bias of the exponent.
        largest: Largest number.
        nan_code: Code of NaN without sign; None where there is none.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    largest: float
    nan_code: int | None

    @property
    def n_bits(self) -> int:
        """Bits of a code."""
        return 1 + self.exponent_bits + self.mantissa_bits


E2M1 = Minifloat("E2M1", 2, 1, 1, 6.0, None)
E4M3 = Minifloat("E4M3", 4, 3, 7, 448.0, 0x7F)
E8M0_BIAS, E8M0_NAN = 127, 255


def encode(
    x: Float[Array, "*shape"], format: Minifloat, *, overflow: str = "saturate"
) -> UInt8[Array, "*shape"]:
    """Codes of the nearest numbers of a format, ties to the even code.

    Args:
        x: Numbers, computed with in single precision.
        format: `E2M1` or `E4M3`.
        overflow: What becomes of a number that rounds beyond the largest, and of infinity: the largest, or NaN.

    Raises:
        ValueError: If the format has no NaN and `x` holds one (inside `jit` it becomes zero: look before), or
            `overflow` asks for it.
    """
    check_choice(overflow, "overflow", ("saturate", "nan"))
    if format.nan_code is None:
        if overflow == "nan":
            raise ValueError(
                f"`overflow` must be saturate, since {format.name} has no NaN, but is nan."
            )
        check_finite(jnp.where(jnp.isinf(x), 0, x), "x", f"{format.name} has no NaN.")
    return _encode(x, format, overflow)


# One program in place of some twenty. All its operations are exact, so that it gives the same codes as one by one.
@partial(jax.jit, static_argnames=("format", "overflow"))
def _encode(x, format: Minifloat, overflow: str):
    x = x.astype(jnp.float32)
    size = jnp.where(jnp.isnan(x), 0, jnp.abs(x))
    m = format.mantissa_bits
    least = 1 - format.bias
    exponent = jnp.maximum(jnp.where(size == 0, least, jnp.frexp(size)[1] - 1), least)
    units = jnp.round(jnp.ldexp(jnp.minimum(size, 2 * format.largest), m - exponent))
    code = (exponent + format.bias - 1) * 2**m + units.astype(jnp.int32)
    top = _code_of(format.largest, format)
    beyond = top if overflow == "saturate" or format.nan_code is None else format.nan_code
    code = jnp.where((code > top) | jnp.isinf(x), beyond, code)
    if format.nan_code is not None:
        code = jnp.where(jnp.isnan(x), format.nan_code, code)
    sign = jnp.signbit(x).astype(jnp.int32) << (format.n_bits - 1)
    return (code + sign).astype(jnp.uint8)


@partial(jax.jit, static_argnames=("format",))
def decode(codes: UInt8[Array, "*shape"], format: Minifloat) -> Float[Array, "*shape"]:
    """Numbers of codes, in single precision."""
    return jnp.asarray(_values(format))[codes.astype(jnp.int32)]


def encode_power(x: Float[Array, "*shape"], *, rounding: str = "nearest") -> UInt8[Array, "*shape"]:
    """E8M0 codes of positive numbers: exponent + 127.

    Args:
        x: Numbers; zero, what is negative and what is not finite give NaN, code 255.
        rounding: To the nearest power in value, a tie upwards (1.5 gives 2), or to the next below or above.
    """
    check_choice(rounding, "rounding", ("nearest", "floor", "ceil"))
    return _encode_power(x, rounding)


@partial(jax.jit, static_argnames=("rounding",))
def _encode_power(x, rounding: str):
    x = x.astype(jnp.float32)
    fraction, exponent = jnp.frexp(x)  # x = fraction 2^exponent, fraction in [1/2, 1)
    up = {"floor": False, "ceil": fraction > 0.5, "nearest": fraction >= 0.75}[rounding]
    code = jnp.clip(exponent - 1 + E8M0_BIAS + jnp.where(up, 1, 0), 0, E8M0_NAN)
    return jnp.where((x > 0) & jnp.isfinite(x), code, E8M0_NAN).astype(jnp.uint8)


@jax.jit
def decode_power(codes: UInt8[Array, "*shape"]) -> Float[Array, "*shape"]:
    """2^(code - 127) in single precision; code 255 gives NaN."""
    exponent = codes.astype(jnp.int32) - E8M0_BIAS
    return jnp.where(codes == E8M0_NAN, jnp.nan, jnp.ldexp(jnp.float32(1), exponent))


def _code_of(value: float, format: Minifloat) -> int:
    return int(np.flatnonzero(_values(format) == np.float32(value))[0])


def _values(format: Minifloat) -> np.ndarray:
    """All numbers of a format by code."""
    codes = np.arange(2**format.n_bits)
    m = format.mantissa_bits
    sign = np.where(codes >> (format.n_bits - 1), -1.0, 1.0)
    exponent = (codes >> m) % 2**format.exponent_bits
    part = (codes % 2**m) / 2**m
    size = np.where(
        exponent == 0, 2.0 ** (1 - format.bias) * part, 2.0 ** (exponent - format.bias) * (1 + part)
    )
    if format.nan_code is not None:
        size[codes % 2 ** (format.n_bits - 1) == format.nan_code] = np.nan
    return (sign * size).astype(np.float32)
