"""Small convolutional encoders of pictures: trained with labels, by VICReg without them, or left random.

All have one form, so that they differ by their training alone: two convolutions of stride 2, an activation between
them, and a normalisation of each place over its channels. The judge, whose features measure distances between sets of
pictures, is a further one with a start of its own, its places averaged.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.training import train
from nn.generation import PixelCodec
from nn.generation.codec import AbstractCodec, NetworkCodec, fit_axes, fit_linear_decoder
from nn.layers import Dense
from nn.training import adamw, cross_entropy, draw_rows
from nn.training.self_supervised import vicreg_loss

PROJECTED = 64  # numbers that VICReg's loss sees; our choice


class Encoder(eqx.Module):
    """Pictures (batch, y, x, 1) -> features (batch, places, channels).

    Attributes:
        first: Kernel (5, 5, 1, hidden).
        second: Kernel (3, 3, hidden, channels).
    """

    first: jax.Array
    second: jax.Array

    def __call__(self, images: jax.Array) -> jax.Array:
        """Features."""
        x = _convolve(jax.nn.gelu(_convolve(images - 0.5, self.first)), self.second)
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-5)
        return x.reshape(len(x), -1, x.shape[-1])


def _convolve(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def make_encoder(hidden: int, channels: int, *, seed: int) -> Encoder:
    """A random encoder, its kernels of variance 2 over the numbers that they sum."""
    rng = np.random.default_rng(seed)
    shapes = (5, 5, 1, hidden), (3, 3, hidden, channels)
    return Encoder(*(_draw(rng, shape, 2.0) for shape in shapes))


def _draw(rng: np.random.Generator, shape: tuple[int, ...], power: float) -> jax.Array:
    """Normal numbers of variance `power` over what is summed, by NumPy: JAX would compile for each shape."""
    scale = (power / np.prod(shape[:-1])) ** 0.5
    return jnp.asarray(scale * rng.normal(size=shape), jnp.float32)


def make_linear(n_in: int, n_out: int, *, seed: int) -> Dense:
    """A random linear map with a bias."""
    weight = _draw(np.random.default_rng(seed), (n_in, n_out), 1.0)
    return Dense(weight, jnp.zeros(n_out, jnp.float32))


class Classifier(eqx.Module):
    """An encoder with a linear read-out, of all its features or of their mean over places.

    Attributes:
        encoder: The encoder.
        head: The read-out.
        is_pooled: Whether places are averaged.
    """

    encoder: Encoder
    head: Dense
    is_pooled: bool = eqx.field(static=True)

    def features(self, images: jax.Array) -> jax.Array:
        """What the read-out sees, (batch, numbers)."""
        found = self.encoder(images)
        return found.mean(axis=1) if self.is_pooled else found.reshape(len(found), -1)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits."""
        return self.head(self.features(images))


def make_classifier(
    side: int, hidden: int, channels: int, n_out: int, *, is_pooled: bool, seed: int
) -> Classifier:
    """A classifier of square pictures, not trained."""
    places = 1 if is_pooled else (-(-side // 4)) ** 2
    encoder = make_encoder(hidden, channels, seed=seed)
    return Classifier(encoder, make_linear(places * channels, n_out, seed=seed + 1), is_pooled)


def train_with_labels(
    model: Classifier, data: tuple, n_steps: int, batch_size: int, *, key: jax.Array
) -> Classifier:
    """The classifier trained on (pictures, labels); the rate is our choice."""
    optimiser = adamw(5e-3, n_steps, weight_decay=0.01)
    draw = draw_rows(batch_size)
    return train(
        model, _label_loss, data, draw, optimiser, n_steps, key=key, name="with labels"
    ).model


def _label_loss(model, batch, _key):
    images, labels = batch
    return cross_entropy(model(images), labels).mean()


def train_without_labels(
    encoder: Encoder, images: jax.Array, n_steps: int, batch_size: int, *, key: jax.Array, seed: int
) -> Encoder:
    """The encoder trained by VICReg on two views of each picture, through a projector that is then dropped."""
    n = encoder(images[:1])[0].size
    projector = (
        make_linear(n, PROJECTED, seed=seed),
        make_linear(PROJECTED, PROJECTED, seed=seed + 1),
    )
    optimiser = adamw(3e-3, n_steps, weight_decay=0.01)
    found = train(
        (encoder, projector),
        partial(_view_loss, shift=max(1, images.shape[1] // 10)),
        images,
        draw_rows(batch_size),
        optimiser,
        n_steps,
        key=key,
        name="without labels",
    )
    return found.model[0]


def _view_loss(model, images, key, *, shift):
    encoder, (first, second) = model
    found = []
    for one in jax.random.split(key):
        features = encoder(view(images, shift, key=one))
        found.append(second(jax.nn.gelu(first(features.reshape(len(features), -1)))))
    return vicreg_loss(*found)


def view(images: jax.Array, shift: int, *, key: jax.Array) -> jax.Array:
    """Pictures moved by up to `shift` pixels along each axis, brighter or darker by 0.6 to 1.4, with noise of 0.1."""
    keys = jax.random.split(key, 3)
    padded = jnp.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    corners = jax.random.randint(keys[0], (len(images), 2), 0, 2 * shift + 1)
    size = images.shape[1:]
    cut = lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), size)  # noqa: E731
    moved = jax.vmap(cut)(padded, corners)
    bright = jax.random.uniform(keys[1], (len(images), 1, 1, 1), images.dtype, 0.6, 1.4)
    return bright * moved + 0.1 * jax.random.normal(keys[2], images.shape, images.dtype)


def make_codecs(
    config: Any, training: tuple[jax.Array, jax.Array], points: jax.Array, seed: int
) -> list[AbstractCodec]:
    """Pixels and three encoders trained on (pictures, labels), whole and on axes of `points`; `config` has sizes."""
    side = points.shape[1]
    key = jax.random.key(config.seed + seed)
    images, labels = training
    n_classes = int(labels.max()) + 1
    blank = make_classifier(
        side,
        config.hidden,
        config.channels,
        n_classes,
        is_pooled=False,
        seed=config.seed + 2 * seed,
    )
    trained = {
        "labels": train_with_labels(
            blank, (images, labels), config.label_steps, config.batch_size, key=key
        ).encoder,
        "vicreg": train_without_labels(
            blank.encoder,
            images,
            config.vicreg_steps,
            config.batch_size,
            key=key,
            seed=config.seed + 2 * seed + 500,
        ),
        "random": blank.encoder,
    }
    found: list[AbstractCodec] = [PixelCodec(height=side, width=side, patch=config.patch)]
    for name, encoder in trained.items():
        encode = eqx.filter_jit(encoder)
        some = images[: 4 * config.n_points]
        decoder = fit_linear_decoder(encode(some), some)
        found.append(NetworkCodec(encoder=encode, decoder=decoder, name=name))
    return found + [fit_axes(codec, points, config.n_axes) for codec in found]


def short_name(name: str) -> str:
    """Name of a metric: "labels, 16 axes" -> "labels_axes"."""
    source, *axes = name.split(", ")
    return f"{source}_axes" if axes else source
