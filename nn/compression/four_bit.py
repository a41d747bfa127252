"""A linear map that holds its weights in four bits, packed, and unpacks them where they meet the input.

In the place of the `Dense` maps of a model by `nn.layers.replace_linear(model, in_four_bits(to_nvfp4))`. Bytes are
those of the format: half a byte a code, and scales as it stores them. How the product goes: `four_bit_product`.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float16, PRNGKeyArray, UInt8

from nn._checks import check_axis, check_finite
from nn.compression.blocks import BlockScaled
from nn.compression.formats import E4M3, encode, encode_power
from nn.compression.four_bit_product import four_bit_product, tile_of
from nn.compression.packing import pack_halves
from nn.layers.linear import AbstractLinear, Dense

_CHUNK = 32  # inputs whose codes are unpacked in one straight run


class FourBitLinear(AbstractLinear):
    """y = x W + b with W in four bits.

    Attributes:
        packed: Codes, two in a byte: (groups, chunks of a group, half a chunk, outputs).
        scales: Scale of each group and output as its format stores it: float16 for integers, a byte for the others.
        zero_points: Zero points in steps, or None.
        whole: Scale of the tensor, or None.
        bias: b, or None.
        format: "int4", "nvfp4" or "mxfp4".
    """

    packed: UInt8[Array, "*stack groups chunks half n_out"]
    scales: Float16[Array, "*stack groups n_out"] | UInt8[Array, "*stack groups n_out"]
    zero_points: Float16[Array, "*stack groups n_out"] | None
    whole: Float[Array, "*stack"] | None
    bias: Float[Array, "*stack n_out"] | None
    n_in: int = eqx.field(static=True)
    n_out: int = eqx.field(static=True)
    format: str = eqx.field(static=True)

    def __call__(
        self, x: Float[Array, "*batch n_in"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch n_out"]:
        """Applies the map, in single precision.

        Raises:
            ValueError: If the last axis of `x` has another size.
        """
        del key
        check_axis(x, "x", -1, self.n_in, "It is the input of a linear map of this size.")
        rows = x.astype(jnp.float32).reshape(-1, self.n_in)
        y = four_bit_product(rows, self.packed, self.scales, self.zero_points, self.format)
        if self.whole is not None:
            y = y * self.whole
        if self.bias is not None:
            y = y + jnp.broadcast_to(self.bias.astype(y.dtype), y.shape)
        return y.reshape(*x.shape[:-1], self.n_out).astype(x.dtype)

    def weight(self) -> Float[Array, "n_in n_out"]:
        """W in single precision, of a map that is not stacked."""
        low, high = tile_of(self.packed, self.scales, self.zero_points, self.format)
        values = jnp.concatenate([low, high], axis=-2).reshape(self.n_in, self.n_out)
        return values if self.whole is None else values * self.whole

    @property
    def n_bytes(self) -> int:
        """Bytes of codes, scales and zero points: what a product reads of the weights."""
        parts = (self.packed, self.scales, self.zero_points, self.whole)
        return sum(part.nbytes for part in parts if part is not None)


def make_four_bit(
    rounded: BlockScaled, bias: Float[Array, " n_out"] | None = None
) -> FourBitLinear:
    """The map of rounded weights.

    Args:
        rounded: Codes and scales of W^T, (n_out, n_in), as `gptq` gives them and `to_nvfp4` of the transpose.
        bias: b, or None.

    Raises:
        ValueError: If `rounded` is no matrix, a scale is not finite, or a block is odd.
    """
    if rounded.codes.ndim != 2:
        raise ValueError(
            f"`rounded` must hold a matrix, but its codes have shape {rounded.codes.shape}; make one map for each."
        )
    check_finite(rounded.scales, "rounded.scales", "Every weight of its block would be lost.")
    if rounded.block % 2:
        raise ValueError(
            f"`rounded` must have blocks of an even size, but has {rounded.block}; a byte holds two of a block."
        )
    n_out, n_in = rounded.codes.shape
    chunk = _CHUNK if rounded.block % _CHUNK == 0 else rounded.block
    codes = rounded.codes.T.reshape(n_in // rounded.block, -1, chunk, n_out)
    scales, whole = rounded.scales.T, rounded.whole
    if rounded.integer:
        format, kept = "int4", scales.astype(jnp.float16)
    elif whole is not None:
        format, kept = "nvfp4", encode(scales / whole, E4M3)
    else:
        format, kept = "mxfp4", encode_power(scales)
    points = None if rounded.offsets is None else rounded.offsets.T.astype(jnp.float16)
    return FourBitLinear(
        packed=pack_halves(codes, axis=-2), scales=kept, zero_points=points, whole=whole, bias=bias,
        n_in=n_in, n_out=n_out, format=format,
    )  # fmt: skip


def in_four_bits(
    quantise: Callable[[Array], BlockScaled],
) -> Callable[[str, AbstractLinear], FourBitLinear | None]:
    """What `replace_linear` takes to put all `Dense` maps of a model, stacked ones too, into four bits.

    Args:
        quantise: Rounds an array in blocks along its last axis, such as `to_nvfp4` or `partial(to_int4, block=32)`.
    """

    def replacement(path: str, linear: AbstractLinear) -> FourBitLinear | None:
        del path
        if not isinstance(linear, Dense):
            return None
        weights = linear.weight.reshape(-1, linear.n_in, linear.n_out)
        maps = [make_four_bit(quantise(weight.T)) for weight in weights]
        stack = linear.weight.shape[:-2]
        whole = jax.tree.map(lambda *a: jnp.stack(a).reshape(*stack, *a[0].shape), *maps)
        return eqx.tree_at(lambda m: m.bias, whole, linear.bias, is_leaf=lambda leaf: leaf is None)

    return replacement
