"""Products with packed four-bit weights, unpacked a few groups at a time.

    y_k = sum_g s_gk sum_{j in g} x_j (c_jk - z_gk)

with codes c, a scale s for each group g of inputs and output k, and the step z that stands for zero. Codes lie as
(group, chunk of it, input, output), two in a byte by halves of a chunk (`packing.pack_halves`): outputs are contiguous,
and neither half has to be interleaved. E2M1 codes are turned into integers of twice their value.

One token multiplies some groups at a time and applies a scale once a group; several tokens share a tile of unpacked
weights of about a MB, which stays in the cache. Groups whose inputs are all zero are skipped, which saves work after a
ReLU. Above all that branch keeps XLA from fusing slices at a running index into the products, which then would not
vectorise: up to six times slower. Also tried on a CPU, one token, 2048 x 8192, over the product in single precision
(0.5 to 0.9 here): a tile and a product of matrices, 7.6; the tile carried over to the next turn, 1.1 to 1.3; E2M1 bits
shifted into float16, 1.0 with blocks of 32 and 3.6 of 16; and for eight tokens all weights unpacked first, 2.9.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped, UInt8

_TILE = 2**18  # numbers in a tile of unpacked weights
_FEW = 8  # rows of bytes of a group: two groups a turn then


def four_bit_product(
    x: Float[Array, "tokens n_in"],
    packed: UInt8[Array, "groups chunks half n_out"],
    scales: Shaped[Array, "groups n_out"],
    zero_points: Shaped[Array, "groups n_out"] | None,
    format: str,
) -> Float[Array, "tokens n_out"]:
    """x W in single precision.

    Args:
        x: Inputs.
        packed: Codes.
        scales: Scales as the format stores them.
        zero_points: Zero points in steps from -8, or None for 0.
        format: "int4", "nvfp4" or "mxfp4".
    """
    weights = (packed, scales, zero_points)
    if len(x) == 1:
        return _one_token(x[0], weights, format)[None]
    groups, chunks, half, n_out = packed.shape
    # With many tokens the sum of outputs, read and written each turn, would cost more than a larger tile.
    numbers = max(_TILE, 2 * len(x) * n_out)
    most = max(1, numbers // (2 * chunks * half * n_out))
    together = max(n for n in range(1, min(most, groups) + 1) if groups % n == 0)
    parts = jnp.moveaxis(x.reshape(len(x), groups // together, -1, 2, half), 1, 0)

    @jax.checkpoint
    def turn(total, operands):
        x, weights = operands  # x (tokens, chunks, 2, half)
        packed, scales, zero_points = weights
        for part, tile in enumerate(tile_of(packed, scales, zero_points, format)):
            total += x[:, :, part].reshape(len(x), -1) @ tile.reshape(-1, n_out)
        return total, None

    start = jnp.zeros((len(x), n_out), jnp.float32)
    return jax.lax.scan(turn, start, (parts, _turns(weights, together)))[0]


def tile_of(
    packed: UInt8[Array, "groups chunks half n_out"],
    scales: Shaped[Array, "groups n_out"],
    zero_points: Shaped[Array, "groups n_out"] | None,
    format: str,
) -> tuple[Float[Array, "groups chunks half n_out"], Float[Array, "groups chunks half n_out"]]:
    """The weights of the first and of the second half of each chunk."""
    scale = _decoded(scales, format)[:, None, None]
    if format == "int4":
        zero = jnp.float32(8) if zero_points is None else _zero(zero_points)[:, None, None]
        low, high = ((_number(codes) - zero) for codes in (packed & 0xF, packed >> 4))
    else:
        low, high = (_number(_doubled(codes)) for codes in (packed & 0xF, packed >> 4))
    return low * scale, high * scale


def _one_token(x: Float[Array, " n_in"], weights, format: str) -> Float[Array, " n_out"]:
    groups, chunks, half, n_out = weights[0].shape
    together = 2 if chunks == 1 and half <= _FEW and groups % 2 == 0 else 1
    parts = x.reshape(groups // together, together, chunks, 2, half)

    def products(total, x, codes):
        """Adds x c of a chunk, straight-line."""
        low, high = x
        if format == "int4":
            # b = 16 high + low: x_high / 16 in front of b saves the shift that would single out `high`.
            high = high / 16
            first, second, low = codes[0] & 0xF, codes[0], low - high
        else:
            first, second = codes
        for row in range(half):
            total = total + low[row] * _number(first[row]) + high[row] * _number(second[row])
        return total

    def start_of(x, zero_points):
        if format != "int4":
            return jnp.zeros(n_out, jnp.float32)
        zero = jnp.float32(8) if zero_points is None else _zero(zero_points)
        return -x.sum() * jnp.broadcast_to(zero, n_out)

    def decoded(packed):
        # Before the branch: E2M1 codes are worked on as bytes, 64 at once.
        return (packed,) if format == "int4" else (_doubled(packed & 0xF), _doubled(packed >> 4))

    def groups_of_one_chunk(total, x, codes, scales, zero_points):
        for i in range(together):
            zero = None if zero_points is None else zero_points[i]
            own = products(start_of(x[i], zero), x[i, 0], [part[i, 0] for part in codes])
            total = total + own * _decoded(scales[i], format)
        return total

    def chunk(own, operands):
        x, packed = operands
        return jax.lax.cond((x != 0).any(), products, _kept, own, x, decoded(packed)), None

    @jax.checkpoint
    def turn(total, operands):
        x, (packed, scales, zero_points) = operands
        if chunks == 1:
            work = (total, x, decoded(packed), scales, zero_points)
            return jax.lax.cond((x != 0).any(), groups_of_one_chunk, _kept, *work), None
        zero = None if zero_points is None else zero_points[0]
        own, _ = jax.lax.scan(chunk, start_of(x[0], zero), (x[0], packed[0]))
        return total + own * _decoded(scales[0], format), None

    operands = (parts, _turns(weights, together))
    return jax.lax.scan(turn, jnp.zeros(n_out, jnp.float32), operands)[0]


def _kept(total, *_) -> Float[Array, " n_out"]:
    return total


def _turns(weights, together: int):
    return jax.tree.map(lambda a: a.reshape(-1, together, *a.shape[1:]), weights)


def _number(codes) -> Float[Array, "*shape"]:
    # By way of int32, which vectorises; from a byte at once it does not.
    return codes.astype(jnp.int32).astype(jnp.float32)


def _zero(points) -> Float[Array, "*shape"]:
    return 8 + points.astype(jnp.float32)


def _doubled(codes: UInt8[Array, "*shape"]) -> Array:
    """Twice the value of E2M1 codes, in bytes: sizes 0, 1, 2, 3, 4, 6, 8, 12."""
    size = codes & 7
    size = size + jnp.maximum(size, 4) + 2 * jnp.maximum(size, 6) - 16
    return jnp.where(codes >= 8, -size, size).astype(jnp.int8)


def _decoded(scales, format: str) -> Float[Array, "*shape"]:
    """Scales in single precision, halved where codes are doubled."""
    if format == "int4":
        return scales.astype(jnp.float32)
    if format == "nvfp4":
        # The bits of E4M3 below the sign, in the place of float16's, are 2^-8 of its value; sizes below normal too.
        bits = scales.astype(jnp.uint16) << 7
        return jax.lax.bitcast_convert_type(bits, jnp.float16).astype(jnp.float32) * 128
    # E8M0 is the exponent of single precision.
    return jax.lax.bitcast_convert_type(scales.astype(jnp.int32) << 23, jnp.float32) / 2
