import jax.numpy as jnp
import numpy as np
import pytest

from nn.compression.packing import pack_halves, pack_pairs, unpack_halves, unpack_pairs


def test_pairs_of_codes_share_a_byte_the_even_one_below():
    codes = jnp.arange(16, dtype=jnp.uint8).reshape(2, 8)
    packed = pack_pairs(codes)
    assert packed[0, 0] == 0x10
    np.testing.assert_array_equal(unpack_pairs(packed), codes)


def test_an_odd_number_of_codes_leaves_the_last_upper_half_zero():
    codes = jnp.array([[1, 2, 15], [4, 5, 6]], jnp.uint8)
    packed = pack_pairs(codes)
    np.testing.assert_array_equal(packed, [[0x21, 0x0F], [0x54, 0x06]])
    np.testing.assert_array_equal(unpack_pairs(packed, 3), codes)
    with pytest.raises(ValueError, match="`n` must lie between 3 and 4, but is 5"):
        unpack_pairs(packed, 5)


@pytest.mark.parametrize("axis", [0, -1])
def test_halves_lie_as_they_were(axis):
    codes = jnp.asarray(np.random.default_rng(0).integers(0, 16, (4, 6)), jnp.uint8)
    packed = pack_halves(codes, axis)
    np.testing.assert_array_equal(packed & 0xF, np.split(codes, 2, axis)[0])
    np.testing.assert_array_equal(unpack_halves(packed, axis), codes)


def test_what_does_not_fit_is_named():
    with pytest.raises(
        ValueError, match="`codes` must be below 16, to fit into four bits, but has 16"
    ):
        pack_pairs(jnp.array([16, 0], jnp.uint8))
    with pytest.raises(ValueError, match="`codes` must have an even axis 0, but its shape is"):
        pack_halves(jnp.zeros((3, 2), jnp.uint8), 0)
