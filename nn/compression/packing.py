"""Two codes of four bits in a byte, in two layouts.

Pairs, as files of weights have them: the code of even index in the lower half, the next in the upper. Halves, for
products: a byte holds the codes j and j + n / 2 of n along an axis, so that the lower halves of all bytes are the first
half of the codes as they lie and nothing has to be interleaved.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from nn._checks import check_in_range, is_concrete


def pack_pairs(codes: UInt8[Array, "*shape n"]) -> UInt8[Array, "*shape half"]:
    """Codes 2 i and 2 i + 1 in byte i, the even one in its lower half.

    An odd number of codes leaves the upper half of the last byte zero, and `unpack_pairs` has to be told the number.

    Raises:
        ValueError: If a code is above 15.
    """
    _check_codes(codes)
    if codes.shape[-1] % 2:
        codes = jnp.concatenate([codes, jnp.zeros_like(codes[..., :1])], axis=-1)
    return codes[..., ::2] | (codes[..., 1::2] << 4)


def unpack_pairs(
    packed: UInt8[Array, "*shape half"], n: int | None = None
) -> UInt8[Array, "*shape n"]:
    """The codes of `pack_pairs`.

    Args:
        packed: Bytes.
        n: Codes there were; None for two in every byte.

    Raises:
        ValueError: If so many codes do not fill the bytes.
    """
    both = jnp.stack([packed & 0xF, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)
    if n is None:
        return both
    most = both.shape[-1]
    check_in_range(n, "n", max(most - 1, 0), most, hint="Two codes are in a byte.")
    return both[..., :n]


def pack_halves(codes: UInt8[Array, "*shape n"], axis: int = -1) -> UInt8[Array, "..."]:
    """Codes j and j + n / 2 along an axis in byte j, the former in its lower half.

    Raises:
        ValueError: If the axis is odd or a code is above 15.
    """
    _check_codes(codes)
    if codes.shape[axis] % 2:
        raise ValueError(
            f"`codes` must have an even axis {axis}, but its shape is {codes.shape}; pad it."
        )
    low, high = jnp.split(codes, 2, axis=axis)
    return low | (high << 4)


def unpack_halves(packed: UInt8[Array, "..."], axis: int = -1) -> UInt8[Array, "..."]:
    """The codes of `pack_halves`."""
    return jnp.concatenate([packed & 0xF, packed >> 4], axis=axis)


def _check_codes(codes) -> None:
    if is_concrete(codes) and codes.size and (largest := int(np.asarray(codes).max())) > 15:
        raise ValueError(f"`codes` must be below 16, to fit into four bits, but has {largest}.")
