import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.generation import picture_encoders as encoders

RNG = np.random.default_rng(0)
IMAGES = jnp.asarray(RNG.uniform(size=(6, 8, 8, 1)), jnp.float32)


def test_features_are_normalised_at_each_place_and_each_picture_is_by_itself():
    encoder = encoders.make_encoder(3, 5, seed=0)
    found = np.asarray(encoder(IMAGES))
    assert found.shape == (6, 4, 5)
    np.testing.assert_allclose(found.mean(axis=-1), 0, atol=1e-6)
    # The small number under the root makes it a little less.
    np.testing.assert_allclose((found**2).mean(axis=-1), 1, rtol=0.03)
    np.testing.assert_allclose(encoder(IMAGES[2:3])[0], found[2], atol=1e-6)


def test_views_are_moved_by_whole_pixels():
    # One bright pixel: it moves by at most one, its light is scaled, and the noise is small beside it.
    images = jnp.zeros((200, 8, 8, 1), jnp.float32).at[:, 4, 4].set(10.0)
    found = np.asarray(encoders.view(images, 1, key=jax.random.key(0)))[..., 0]
    places = np.array([np.unravel_index(one.argmax(), one.shape) for one in found]) - 4
    assert set(map(tuple, places)) == {(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)}
    bright = found.max(axis=(1, 2)) / 10
    assert 0.55 < bright.min() < 0.7
    assert 1.3 < bright.max() < 1.45


def test_the_loss_without_labels_is_that_of_two_different_views():
    encoder = encoders.make_encoder(3, 5, seed=0)
    maps = encoders.make_linear(20, 4, seed=1), encoders.make_linear(4, 4, seed=2)
    loss = lambda key: encoders._view_loss((encoder, maps), IMAGES, key, shift=1)  # noqa: E731
    one = float(loss(jax.random.key(0)))
    # Views alike would leave the first term out; here it is there.
    assert one > 0
    assert one != pytest.approx(float(loss(jax.random.key(1))), rel=1e-6)
