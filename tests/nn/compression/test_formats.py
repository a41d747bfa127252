import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from nn.compression.formats import (
    E2M1,
    E4M3,
    decode,
    decode_power,
    encode,
    encode_power,
)

KINDS = {E2M1: ml_dtypes.float4_e2m1fn, E4M3: ml_dtypes.float8_e4m3fn}


def _theirs(x, format):
    return np.asarray(x, np.float32).astype(KINDS[format])


@pytest.mark.parametrize("format", KINDS, ids=lambda format: format.name)
def test_every_code_has_the_value_of_ml_dtypes(format):
    codes = np.arange(2**format.n_bits, dtype=np.uint8)
    wanted = codes.view(np.uint8).astype(np.uint8)
    kind = KINDS[format]
    wanted = np.frombuffer(wanted.tobytes(), kind).astype(np.float32)
    got = np.asarray(decode(jnp.asarray(codes), format))
    np.testing.assert_array_equal(got, wanted)
    number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(got)[number], np.signbit(wanted)[number])


@pytest.mark.parametrize("format", KINDS, ids=lambda format: format.name)
def test_rounding_is_that_of_ml_dtypes_at_every_number_tie_and_neighbour(format):
    numbers = np.unique(
        np.abs(np.asarray(decode(jnp.arange(2**format.n_bits, dtype=jnp.uint8), format)))
    )
    numbers = numbers[np.isfinite(numbers)].astype(np.float32)
    ties = (numbers[1:] + numbers[:-1]) / 2
    near = [np.nextafter(ties, np.float32(way)) for way in (-np.inf, np.inf)]
    random = np.random.default_rng(0).normal(0, format.largest / 3, 2000).astype(np.float32)
    small = np.float32([0.0, 1e-30, 1e-40, 2.0**-10, 2.0**-11])
    x = np.concatenate([numbers, ties, *near, random, small])
    x = np.concatenate([x, -x])
    x = x[np.abs(x) <= format.largest]
    got = np.asarray(encode(jnp.asarray(x), format))
    np.testing.assert_array_equal(got, _theirs(x, format).view(np.uint8))


def test_what_is_too_large_is_the_largest_or_nan_as_asked():
    x = jnp.array([460.0, 464.0, 465.0, 1000.0, -jnp.inf], jnp.float32)
    np.testing.assert_array_equal(decode(encode(x, E4M3), E4M3), [448, 448, 448, 448, -448])
    nan = encode(x, E4M3, overflow="nan")
    np.testing.assert_array_equal(nan[1:4], _theirs(x[1:4], E4M3).view(np.uint8))
    assert np.isnan(decode(nan, E4M3)[2:]).all()
    assert np.isnan(decode(encode(jnp.array([jnp.nan]), E4M3), E4M3)).all()
    np.testing.assert_array_equal(decode(encode(jnp.array([7.0, 1e9]), E2M1), E2M1), [6, 6])


def test_a_format_without_nan_refuses_it():
    with pytest.raises(ValueError, match=r"`x` must be finite, but has 1 NaN.*E2M1 has no NaN"):
        encode(jnp.array([1.0, jnp.nan]), E2M1)
    with pytest.raises(ValueError, match="`overflow` must be saturate, since E2M1 has no NaN"):
        encode(jnp.array([1.0]), E2M1, overflow="nan")
    with pytest.raises(ValueError, match="`overflow` must be one of saturate, nan, but is 'wrap'"):
        encode(jnp.array([1.0]), E4M3, overflow="wrap")


def test_powers_are_those_of_ml_dtypes_and_of_the_rule():
    x = np.float32([1e-30, 0.3, 0.74, 0.75, 1, 1.4, 1.5, 3, 4, 5.9, 448, 1e30])
    wanted = x.astype(ml_dtypes.float8_e8m0fnu)
    got = encode_power(jnp.asarray(x))
    np.testing.assert_array_equal(got, wanted.view(np.uint8))
    np.testing.assert_array_equal(decode_power(got), wanted.astype(np.float32))
    below, above = (
        decode_power(encode_power(jnp.asarray(x), rounding=way)) for way in ("floor", "ceil")
    )
    np.testing.assert_array_equal(below, 2.0 ** np.floor(np.log2(x.astype(float))))
    np.testing.assert_array_equal(above, 2.0 ** np.ceil(np.log2(x.astype(float))))
    assert (encode_power(jnp.array([0.0, -1.0, jnp.nan, jnp.inf])) == 255).all()
    assert np.isnan(decode_power(jnp.array([255], jnp.uint8))).all()


def test_codes_are_the_same_inside_a_program():
    x = jnp.linspace(-8, 8, 33)
    np.testing.assert_array_equal(jax.jit(lambda x: encode(x, E2M1))(x), encode(x, E2M1))
