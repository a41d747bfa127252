"""Blocks of four-bit numbers with a scale each: NVFP4, MXFP4 and integers, along the last axis.

| format | element | block | scale of a block | of the tensor | bits a number |
|---|---|---|---|---|---|
| NVFP4 | E2M1 | 16 | E4M3 | float32 | 4.5 |
| MXFP4 | E2M1 | 32 | power of two (E8M0) | none | 4.25 |
| INT4 | -8 to 7 | any | float16 | none | 4 + 16 / block, and 4 / block for a zero point |

How a scale follows from the largest number of its block is a rule, on which libraries differ and results depend; it is
an argument, and no comparison of formats is one without naming it. For Gaussian numbers and blocks of 32 the integers
reach 20.26 dB with amax / 7 and 21.86 dB with a zero point, so that they tie with NVFP4 or pass it by the rule alone.
Sources: OCP Microscaling Formats (MX) v1.0 (2023), section 6.3, for "floor"; the rules "ceil", "even" and "round_up"
are FLOOR's companions in torchao 0.18, CEIL, EVEN and RCEIL, as is the scale per tensor of NVFP4.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from nn._checks import check_choice, check_divides, check_finite, is_concrete
from nn.compression.formats import (
    E2M1,
    E4M3,
    decode,
    decode_power,
    encode,
    encode_power,
)

_NVFP4_BLOCK, _MXFP4_BLOCK = 16, 32
_LARGEST_HALF = 65504.0
_LEAST_E4M3 = 2.0**-6  # smallest normal number: a block's scale is never below


class BlockScaled(eqx.Module):
    """An array as codes and scales.

    Attributes:
        codes: Four-bit codes, one in a byte; `packing.pack_pairs` puts two.
        scales: Scale of each block as it is multiplied with, after its own rounding.
        offsets: Zero points in steps, for integers that have one, or None.
        block: Numbers in a block.
        integer: Whether codes are integers counted from -8, or E2M1.
        bits: Bits a number, scales included.
        whole: Scale of the tensor, a factor of all `scales`, or None where there is none.
    """

    codes: UInt8[Array, "*shape n"]
    scales: Float[Array, "*shape blocks"]
    offsets: Float[Array, "*shape blocks"] | None
    block: int = eqx.field(static=True)
    integer: bool = eqx.field(static=True)
    bits: float = eqx.field(static=True)
    whole: Float[Array, ""] | None = None

    def values(self) -> Float[Array, "*shape n"]:
        """The array that the codes stand for, in single precision.

        Raises:
            ValueError: If a scale is not finite, as in a damaged file.
        """
        check_finite(self.scales, "scales", "Every number of its block would be lost.")
        steps = self.codes.astype(jnp.float32) - 8 if self.integer else decode(self.codes, E2M1)
        steps = steps.reshape(*self.scales.shape, self.block)
        if self.offsets is not None:
            steps = steps - self.offsets[..., None]
        return (steps * self.scales[..., None]).reshape(self.codes.shape)


def to_nvfp4(x: Float[Array, "*shape n"]) -> BlockScaled:
    """NVFP4: the tensor's scale is amax / (448 x 6), a block's is its amax / 6 over that, in E4M3.

    A block of zeros keeps the smallest scale, and its numbers stay zero.

    Raises:
        ValueError: If blocks of 16 do not divide the last axis, or `x` is not finite.
    """
    grouped, amax = _blocks(x, _NVFP4_BLOCK)
    whole = jnp.max(amax) / (E4M3.largest * E2M1.largest)
    whole = jnp.where(whole == 0, 1, whole)
    wanted = jnp.clip(amax / E2M1.largest / whole, _LEAST_E4M3, E4M3.largest)
    scales = decode(encode(wanted, E4M3), E4M3) * whole
    return _minifloats(x, grouped, scales, _NVFP4_BLOCK, 4 + 8 / _NVFP4_BLOCK, whole)


def to_mxfp4(x: Float[Array, "*shape n"], *, rule: str = "floor") -> BlockScaled:
    """MXFP4: a block's scale is a power of two.

    Args:
        x: Numbers.
        rule: How it follows from the block's largest, amax: "floor", 2^(floor(log2 amax) - 2), with which numbers
            above 6 scales saturate (the standard); "ceil", 2^(ceil(log2 amax) - 2); "even", amax is rounded to the
            mantissa of E2M1 first; "round_up", the smallest power for which amax / scale is at most 6.

    Raises:
        ValueError: If blocks of 32 do not divide the last axis, `x` is not finite, or there is no such rule.
    """
    check_choice(rule, "rule", ("floor", "ceil", "even", "round_up"))
    grouped, amax = _blocks(x, _MXFP4_BLOCK)
    if rule == "round_up":
        codes = encode_power(amax / E2M1.largest, rounding="ceil")
    elif rule == "ceil":
        codes = encode_power(amax / 4, rounding="ceil")
    else:
        # 1.75 and above is 2 with one bit of mantissa.
        lifted = amax * (8 / 7) if rule == "even" else amax
        codes = encode_power(lifted / 4, rounding="floor")
    scales = jnp.where(amax == 0, 1, decode_power(codes))
    return _minifloats(x, grouped, scales, _MXFP4_BLOCK, 4 + 8 / _MXFP4_BLOCK)


def to_int4(x: Float[Array, "*shape n"], block: int, *, rule: str = "amax/7") -> BlockScaled:
    """Integers -8 to 7 times a float16 scale.

    Numbers below 2^-25 vanish, since no smaller scale than 2^-24 is there.

    Args:
        x: Numbers.
        block: Numbers in a block; the size of the last axis gives one scale a row.
        rule: The scale: the largest size over 7, 7.5 or 8; or with a zero point, (max - min) / 15, of a range that
            holds zero, which then is a code itself.

    Raises:
        ValueError: If blocks do not divide the last axis, `x` is not finite or too large for a scale of float16 (inside
            `jit` it saturates), or there is no such rule.
    """
    check_choice(rule, "rule", ("amax/7", "amax/7.5", "amax/8", "zero_point"))
    grouped, amax = _blocks(x, block)
    offsets, extra = None, 16 / block
    if rule == "zero_point":
        low = jnp.minimum(grouped.min(axis=-1), 0)
        high = jnp.maximum(grouped.max(axis=-1), 0)
        wanted = (high - low) / 15
        scales = half_scale(wanted)
        offsets = jnp.clip(jnp.round(-8 - low / scales), -8, 7)
        extra = 20 / block
    else:
        wanted = amax / float(rule.removeprefix("amax/"))
        scales = half_scale(wanted)
    if is_concrete(wanted) and wanted.size and (top := float(wanted.max())) > _LARGEST_HALF:
        raise ValueError(
            f"`x` must have scales of at most {_LARGEST_HALF:g}, the largest float16, but needs {top:g}; divide it."
        )
    steps = jnp.round(grouped / scales[..., None])
    if offsets is not None:
        steps = steps + offsets[..., None]
    codes = (jnp.clip(steps, -8, 7) + 8).astype(jnp.uint8)
    return BlockScaled(codes.reshape(x.shape), scales, offsets, block, True, 4 + extra)


def signal_to_noise_db(
    x: Float[Array, "*shape"], rounded: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """10 log10 of the power of `x` over that of the error, in dB."""
    return 10 * jnp.log10(jnp.sum(x**2) / jnp.sum((x - rounded) ** 2))


def _blocks(x, block: int):
    check_divides(block, x.shape[-1], "block", "n", "It is the size of the last axis; pad it.")
    check_finite(x, "x", "A code of four bits has no NaN.")
    grouped = x.astype(jnp.float32).reshape(*x.shape[:-1], -1, block)
    return grouped, jnp.max(jnp.abs(grouped), axis=-1)


def _minifloats(x, grouped, scales, block: int, bits: float, whole=None) -> BlockScaled:
    codes = encode(grouped / scales[..., None], E2M1).reshape(x.shape)
    return BlockScaled(codes, scales, None, block, False, bits, whole)


@jax.jit
def half_scale(scales: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The scale as float16 holds it, from its smallest number on, where there is nothing to scale, to its largest."""
    return jnp.clip(scales, 2.0**-24, _LARGEST_HALF).astype(jnp.float16).astype(jnp.float32)
