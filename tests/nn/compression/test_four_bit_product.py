import jax.numpy as jnp
import numpy as np
import pytest

from nn.compression.four_bit_product import four_bit_product, tile_of
from nn.compression.packing import pack_halves

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
VALUES = np.concatenate([E2M1, -E2M1])


@pytest.mark.parametrize("shape", [(4, 1, 8), (2, 2, 16)], ids=["small groups", "chunks"])
@pytest.mark.parametrize("format", ["int4", "nvfp4", "mxfp4"])
def test_codes_and_scales_have_the_values_of_their_format(shape, format):
    rng = np.random.default_rng(0)
    groups, chunks, half = shape
    codes = rng.integers(0, 16, (groups, chunks, 2 * half, 5)).astype(np.uint8)
    stored = {
        "int4": rng.uniform(0.1, 3, (groups, 5)).astype(np.float16),
        # From the smallest below normal to the largest.
        "nvfp4": rng.choice(np.array([1, 7, 8, 56, 100, 126], np.uint8), (groups, 5)),
        "mxfp4": rng.integers(110, 140, (groups, 5)).astype(np.uint8),
    }[format]
    if format == "nvfp4":
        e, m = stored // 8, stored % 8 / 8
        scale = np.where(e == 0, 2.0**-6 * m, 2.0 ** (e.astype(float) - 7) * (1 + m))
    else:
        scale = stored.astype(float) if format == "int4" else 2.0 ** (stored.astype(float) - 127)
    steps = codes - 8.0 if format == "int4" else VALUES[codes]
    wanted = (steps * scale[:, None, None]).reshape(-1, 5)
    weights = pack_halves(jnp.asarray(codes), -2), jnp.asarray(stored), None, format
    low, high = tile_of(*weights)
    np.testing.assert_allclose(jnp.concatenate([low, high], -2).reshape(-1, 5), wanted, rtol=1e-7)
    x = rng.normal(size=(2, len(wanted)))
    # The inputs of one group are zero.
    x[0, : 2 * half] = 0
    size = np.abs(x) @ np.abs(wanted)
    for rows in (x, x[:1]):
        y = four_bit_product(jnp.asarray(rows, jnp.float32), *weights)
        # Sums of 64 products in single precision.
        assert (np.abs(y - rows @ wanted) < 1e-6 * size[: len(rows)]).all()
