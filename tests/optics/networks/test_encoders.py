"""Encoders: equal power for every sample, and where each number of it stands."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.networks.encoders import (
    encode_harmonics,
    encode_images,
    encode_low_frequencies,
    load_amplitudes,
    shrink,
)


def test_encoding_enlarges_centres_and_normalises():
    image = jnp.array([[[0, 5], [10, 0]]], jnp.uint8)
    field = encode_images(image, (8, 8), fill=0.5, dtype=jnp.complex128)
    assert field.shape == (1, 8, 8)
    assert float(jnp.mean(jnp.abs(field) ** 2)) == pytest.approx(1.0)
    ratio = field[0, 4:6, 2:4] / field[0, 2:4, 4:6]  # row 1, column 0 is twice row 0, column 1
    np.testing.assert_allclose(ratio, 2.0)
    assert float(jnp.abs(field[0, :2]).max()) == 0


def test_dark_image_is_a_dark_field():
    field = encode_images(jnp.zeros((1, 8, 8)), (16, 16))
    assert np.isfinite(field).all()
    assert not field.any()


def test_encoding_is_the_centre_of_the_spectrum_over_its_mean_modulus():
    images = jax.random.uniform(jax.random.key(0), (3, 12, 12))
    spectrum = np.fft.fftshift(np.fft.fft2(images), axes=(1, 2))[:, 4:8, 4:8].reshape(3, 16)
    expected = spectrum / np.abs(spectrum).mean(axis=1, keepdims=True)
    ports = encode_low_frequencies(images, 4, dtype=jnp.complex128)
    np.testing.assert_allclose(ports, expected, atol=1e-12)


def test_zero_frequency_is_at_the_middle_of_the_ports():
    ports = encode_low_frequencies(jnp.ones((1, 28, 28)), 8, dtype=jnp.complex128)
    assert int(jnp.argmax(jnp.abs(ports))) == 4 * 8 + 4
    assert float(jnp.sum(jnp.abs(ports) > 1e-12)) == 1


def test_encoding_of_a_dark_image_is_dark():
    ports = encode_low_frequencies(jnp.zeros((1, 8, 8)), 8)
    np.testing.assert_array_equal(ports, 0)


def test_loaded_light_has_unit_power_and_the_share_of_the_bias():
    features = jnp.asarray(np.random.default_rng(0).uniform(size=(7, 5)))
    x = load_amplitudes(features, 8, bias=0.2)
    np.testing.assert_allclose(jnp.sum(jnp.abs(x) ** 2, axis=-1), 1, rtol=1e-12)
    np.testing.assert_allclose(jnp.abs(x[:, 5]) ** 2, 0.2, rtol=1e-12)
    assert float(jnp.max(jnp.abs(x[:, 6:]))) == 0
    np.testing.assert_allclose(x[:, 1] / x[:, 0], features[:, 1] / features[:, 0], rtol=1e-12)


def test_harmonics_have_unit_power_and_one_share_of_ports_a_feature():
    fields = encode_harmonics(np.array([[0.0, 1.0, 0.5, 0.25]]), 8)
    assert np.sum(np.abs(fields) ** 2) == pytest.approx(1)
    # Harmonic 1 on the odd ports: angle pi f.
    assert np.angle(fields[0, 1::2]) == pytest.approx(np.pi * np.array([0, 1, 0.5, 0.25]))


def test_shrinking_averages_areas():
    image = np.arange(16.0).reshape(1, 4, 4)
    np.testing.assert_allclose(shrink(image, 2)[0], [2.5, 4.5, 10.5, 12.5], rtol=1e-6)
    np.testing.assert_allclose(shrink(image, 4)[0], np.arange(16), rtol=1e-6)
    # A pixel that is cut counts by its share: weights 1, 1/3 over 4/3.
    row = shrink(image, 3)[0, :3]
    first = np.array([1, 1 / 3]) @ image[0, :2] * 0.75
    expected = [(first[0] + first[1] / 3) * 0.75, (first[1] + first[2]) / 1.5 * 0.75 * 4 / 3]
    np.testing.assert_allclose(row[0], expected[0], rtol=1e-6)
    assert shrink(image, 3).mean() == pytest.approx(image.mean())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: encode_images(jnp.ones((1, 28, 28)), (24, 24)),
            r"`images` of 28 x 28 do not fit on 0.85 of a \(24, 24\) panel",
        ),
        (lambda: encode_low_frequencies(jnp.ones((1, 8, 8)), 9), "`side` must be at most the size"),
        (
            lambda: load_amplitudes(jnp.ones(5), 5),
            "`n_inputs` must be at least 6 for the features and a bias, but is 5",
        ),
        (
            lambda: load_amplitudes(jnp.ones(5), 6, bias=1.5),
            r"`bias` must lie between 0 and 1, but is 1\.5",
        ),
        (
            lambda: shrink(np.zeros((2, 4, 4)), 5),
            "`side` must lie between 1 and the size of square images",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
