"""Field: what it accepts, what it measures, and that its grid stays centred on sample N // 2."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.waves.field import (
    Field,
    centred_axis,
    computed_once,
    crop_to,
    grid_coordinates,
    intensity,
    middle_axis,
    middle_block,
    over_batch,
    pad_to,
)


def test_power_is_intensity_times_pixel_area():
    field = Field(jnp.full((2, 3, 5), 2j), 5e-7, 1e-3)
    np.testing.assert_allclose(field.power, [4 * 15e-6] * 2, rtol=1e-15)


def test_intensity_is_the_squared_modulus_with_a_derivative_at_zero():
    amplitude = jnp.array([3 - 4j, 0, 2j])
    np.testing.assert_allclose(intensity(amplitude), [25, 0, 4])
    np.testing.assert_allclose(intensity(jnp.array([-3.0, 2.0])), [9, 4])
    # |u| has none there.
    slope = jax.grad(lambda u: jnp.sum(intensity(u)))(amplitude)
    np.testing.assert_allclose(slope, 2 * jnp.conj(amplitude))


def test_wavenumber_and_phase():
    field = Field(jnp.full((1, 1), -1j), 5e-7, 1e-6)
    np.testing.assert_allclose(field.wavenumber * 5e-7, 2 * np.pi, rtol=1e-15)
    np.testing.assert_allclose(field.phase, -np.pi / 2, rtol=1e-7)  # complex64 amplitude


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_axis_is_zero_on_the_middle_sample(n):
    axis = centred_axis(n, 2.0)
    assert axis[n // 2] == 0
    np.testing.assert_array_equal(np.diff(axis), 2.0)


def test_coordinates_are_y_then_x():
    y, x = grid_coordinates((3, 4), 1.0)
    np.testing.assert_array_equal(y[:, 0], [-1, 0, 1])
    np.testing.assert_array_equal(x[0], [-2, -1, 0, 1])


@pytest.mark.parametrize(("small", "large"), [((3, 4), (6, 8)), ((3, 4), (4, 5)), ((1, 5), (7, 5))])
def test_padding_keeps_the_optical_axis_and_cropping_undoes_it(small, large):
    values = jnp.arange(2 * small[0] * small[1]).reshape(2, *small) + 1j
    padded = pad_to(values, large)
    middle = values[:, small[0] // 2, small[1] // 2]
    np.testing.assert_array_equal(padded[:, large[0] // 2, large[1] // 2], middle)
    np.testing.assert_array_equal(crop_to(padded, small), values)
    np.testing.assert_array_equal(jnp.sum(padded), jnp.sum(values))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.int32, np.complex64),
        (np.float32, np.complex64),
        (np.float64, np.complex128),
        (np.complex64, np.complex64),
        (np.complex128, np.complex128),
    ],
)
def test_precision_follows_the_input(dtype, expected):
    assert Field(np.ones((2, 2), dtype), 5e-7, 1e-6).amplitude.dtype == expected


def test_field_is_differentiable_in_all_its_numbers():
    field = Field(jnp.ones((2, 2), complex), 5e-7, 1e-3)
    slope = jax.grad(lambda f: f.power)(field)
    np.testing.assert_allclose(slope.amplitude, 2e-6, rtol=1e-14)
    np.testing.assert_allclose(slope.pixel_pitch, 8e-3, rtol=1e-14)


def test_known_array_can_enter_a_compiled_function():
    known = jnp.ones((2, 2), complex)
    power = jax.jit(lambda pitch: Field(known, 5e-7, pitch).power)(1e-3)
    np.testing.assert_allclose(power, 4e-6, rtol=1e-14)


@pytest.mark.parametrize(
    ("amplitude", "wavelength", "pitch", "message"),
    [
        (np.ones((2, 2)), -5e-7, 1e-6, "`wavelength` must be positive and finite, but is -5e-07 m"),
        (np.ones((2, 2)), 5e-7, 0.0, "`pixel_pitch` must be positive and finite, but is 0 m"),
        (np.ones((2, 2)), np.inf, 1e-6, "`wavelength` must be positive"),
        (np.ones((2, 2)), 5e-7, np.nan, "`pixel_pitch` must be positive"),
        (np.ones((2, 2)), np.full(3, 5e-7), 1e-6, r"single number, but its shape is \(3,\)"),
        (np.ones(2), 5e-7, 1e-6, r"axes \(..., y, x\), but its shape is \(2,\)"),
        ([[1.0, np.nan]], 5e-7, 1e-6, r"`amplitude` must be finite.*first at index \(0, 1\)"),
    ],
)
def test_bad_input_is_named(amplitude, wavelength, pitch, message):
    with pytest.raises(ValueError, match=message):
        Field(np.asarray(amplitude), wavelength, pitch)


def test_padding_never_crops_and_cropping_never_pads():
    with pytest.raises(ValueError, match="must not be below the grid"):
        pad_to(jnp.ones((4, 4), complex), (3, 8))
    with pytest.raises(ValueError, match="must not exceed the grid"):
        crop_to(jnp.ones((4, 4), complex), (3, 8))


@pytest.mark.parametrize("dtype", [float, complex])
def test_a_plane_computed_once_is_the_same_plane_with_the_same_derivative(dtype):
    plane = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5)), dtype) + dtype(0.5)
    kept, pull_back = jax.vjp(computed_once, plane)
    np.testing.assert_array_equal(kept, plane)
    np.testing.assert_array_equal(pull_back(plane)[0], plane)


def _values_in_loops_with_a_sine(function, *arguments) -> list[int]:
    """Sizes of the results of the fused loops that evaluate a sine or cosine."""
    text = jax.jit(function).lower(*arguments).compile().as_text() or ""
    loops = re.findall(r"^%?\S+ \(.*?\) -> \S+ \{.*?^\}", text, re.DOTALL | re.MULTILINE)
    waves = [loop for loop in loops if re.search(r" (sine|cosine)\(", loop)]
    roots = [re.search(r"ROOT \S+ = \w+\[([\d,]*)\]", loop) for loop in waves]
    return [int(np.prod([int(n) for n in root.group(1).split(",")])) for root in roots if root]


@pytest.mark.usefixtures("optimised")
def test_a_plane_computed_once_is_not_evaluated_for_each_field():
    phase, fields = jnp.ones((8, 16), jnp.float32), jnp.ones((32, 8, 16), jnp.complex64)

    def product(keep, phase, fields):
        plane = jax.lax.complex(jnp.cos(phase), jnp.sin(phase))
        return over_batch(keep(plane), fields) * fields

    def careless(phase, fields):
        return product(lambda plane: plane, phase, fields)

    sizes = _values_in_loops_with_a_sine(lambda p, f: product(computed_once, p, f), phase, fields)
    assert sizes
    assert max(sizes) == phase.size
    # If this fails, XLA has learnt it, and `computed_once` can go.
    assert max(_values_in_loops_with_a_sine(careless, phase, fields)) == fields.size


@pytest.mark.parametrize("n", [7, 8, 50])
def test_the_middle_of_a_window_is_half_a_sample_from_the_axis_of_an_even_one(n):
    shift = middle_axis(n) - np.asarray(centred_axis(n, 1.0))
    np.testing.assert_allclose(shift, 0.5 if n % 2 == 0 else 0)
    np.testing.assert_array_equal(middle_axis(n), -middle_axis(n)[::-1])
    for side, offset in ((2, 2.5), (3, 1.0), (3, 0.5)):
        low, high = (middle_block(n, side, o) for o in (-offset, offset))
        assert low == n - side - high
        assert abs(np.mean(middle_axis(n)[high : high + side]) - offset) <= 0.5
