"""Four classes a network learns in seconds: a bright bar at one of four places, with noise."""

import jax.numpy as jnp
import numpy as np

from optics.networks.encoders import encode_images
from tests.exact.small_bench import GEOMETRY


def bars(n=64, seed=0):
    """Images of 8 x 8 and labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    images = rng.uniform(0, 0.2, (n, 8, 8))
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] += 1
    return jnp.asarray(images), jnp.asarray(labels)


def encode(images):
    """Images on the small bench."""
    return encode_images(images, GEOMETRY.shape, dtype=jnp.complex128)
