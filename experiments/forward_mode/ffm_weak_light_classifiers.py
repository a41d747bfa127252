"""Classifiers in weak light: optical ones that count photons in regions, and a digital one on noisy images.

Only glue: cameras are `optics.hardware.detectors`, the scene is `optics.imaging.hidden_scene`.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.context import Context
from optics.hardware import Camera, PhotonCounter, count_photons, flir_bfs_u3_89s6m
from optics.hardware.detectors import expose, photons_from_counts
from optics.imaging import (
    SceneGeometry,
    draw_hidden_bench,
    make_wavefront,
    picture_frames,
    train_wavefront,
)
from optics.imaging.hidden_scene import read_regions
from optics.imaging.weak_light import scale_to_photons
from optics.learning.rules import ForwardMode
from optics.networks import encode_images

STRENGTHS = (
    0.003,
    0.03,
    0.3,
)  # Inverse regularisation tried by the digital classifier (our choice).
DRAWS = 2  # Noisy copies of each training image.


def detect(photons, camera: Camera | PhotonCounter, key):
    """One frame as photo-electrons, whatever the camera."""
    if isinstance(camera, PhotonCounter):
        return count_photons(photons, camera, key=key)
    return photons_from_counts(expose(photons, camera, key=key), camera)


def optical_accuracies(
    intensity, regions, labels, levels, camera, key
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy (%) at each mean number of photons per camera pixel, one frame a test object; and a frame of each level.

    Regions with equal counts are told apart by lot, so that a dark frame scores by chance and not by the first class.
    """
    found = [
        _optical(intensity, regions, labels, level, camera, jax.random.fold_in(key, i))
        for i, level in enumerate(jnp.asarray(levels))
    ]
    scores, frames = zip(*found, strict=True)
    return np.array(scores), np.stack([np.asarray(frame) for frame in frames])


@jax.jit
def _optical(intensity, regions, labels, level, camera, key):
    noise_key, lot_key = jax.random.split(key)
    frames = detect(scale_to_photons(intensity, level), camera, noise_key)
    powers = read_regions(frames, regions)
    lot = jax.random.uniform(lot_key, powers.shape, powers.dtype, maxval=1e-3)
    return 100 * jnp.mean(jnp.argmax(powers + lot, axis=-1) == labels), frames[0]


def digital_accuracies(
    task, optics, photons, camera, key, ticker: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy (%) of logistic regression on plain images, trained at each level, and trained at the brightest.

    Args:
        task: Images and labels.
        optics: Panel: the object is imaged onto as many camera pixels as it takes there, then binned to its own pixels.
        photons: Photons that leave an object of mean brightness in one frame.
        camera: The camera the optical classifier has.
        key: PRNG key.
        ticker: Told after each level.
    """
    n_train = len(task.y_train)
    everything = jnp.concatenate([task.x_train, task.x_test])
    labels, truth = np.tile(np.asarray(task.y_train), DRAWS), np.asarray(task.y_test)
    models, test = [], []
    for i, total in enumerate(photons):
        keys = jax.random.split(jax.random.fold_in(key, i), DRAWS)
        draws = [
            np.asarray(
                _image(everything, optics.geometry.shape, optics.image_fill, total, camera, k)
            )
            for k in keys
        ]
        models.append(_best_model(np.concatenate([d[:n_train] for d in draws]), labels))
        test.append(draws[0][n_train:])
        ticker.advance()
    matched = [100 * m.score(images, truth) for m, images in zip(models, test, strict=True)]
    brightest = models[int(np.argmax(photons))]
    fixed = [100 * brightest.score(images, truth) for images in test]
    return np.array(matched), np.array(fixed)


@partial(jax.jit, static_argnums=(1, 2))
def _image(images, shape, fill, photons, camera, key):
    """Image of the object on the camera, 1:1, summed over the camera pixels of each object pixel, dark level taken off.

    In units of the mean signal of an object pixel, so that every light level has the same scale.
    """
    height, width = images.shape[-2:]
    factor = int(min(shape[0] * fill / height, shape[1] * fill / width))
    power = jnp.square(jnp.real(encode_images(images, shape, fill=fill)))
    power = power * (photons / (shape[0] * shape[1]))
    if isinstance(camera, PhotonCounter):
        # Counts of several pixels add to one Poisson variable: drawn at once, with the dark counts of all.
        camera = eqx.tree_at(lambda c: c.dark_counts, camera, camera.dark_counts * factor**2)
        camera = eqx.tree_at(lambda c: c.full_well, camera, camera.full_well * factor**2)
        sums = detect(_bin(power, height, width, factor), camera, key) - camera.dark_counts
        efficiency = camera.quantum_efficiency
    else:
        sums, efficiency = _bin(detect(power, camera, key), height, width, factor), 1.0
    unit = efficiency * photons / (height * width)
    return (sums / unit).reshape(len(images), -1)


def _bin(frames, height: int, width: int, factor: int):
    top, left = (frames.shape[1] - factor * height) // 2, (frames.shape[2] - factor * width) // 2
    lit = frames[:, top : top + factor * height, left : left + factor * width]
    return lit.reshape(-1, height, factor, width, factor).sum(axis=(2, 4))


def _best_model(images: np.ndarray, labels: np.ndarray):
    """Logistic regression; strength chosen on the quarter of training images held out, then fitted on all copies."""
    n = len(labels) // DRAWS
    cut = 3 * n // 4
    scores = [
        _model(images, strength).fit(images[:cut], labels[:cut]).score(images[cut:n], labels[cut:n])
        for strength in STRENGTHS
    ]
    return _model(images, STRENGTHS[int(np.argmax(scores))]).fit(images, labels)


def _model(images: np.ndarray, strength: float):
    """One scale for all pixels: a scale each would blow up those that no training image lights."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    scale = FunctionTransformer(_scaled, kw_args={"factor": 1 / float(images.std())})
    return make_pipeline(scale, LogisticRegression(C=strength, max_iter=2000, tol=1e-2))


def _scaled(images: np.ndarray, factor: float) -> np.ndarray:
    return images * factor


def train_behind_wall(context: Context, name: str, config, task, key) -> jax.Array:
    """Trains the illumination of objects behind a wall by forward mode; returns noise-free test frames."""
    optics = config.optics
    wall_key, bench_key, start_key, train_key = jax.random.split(key, 4)
    geometry = SceneGeometry(
        optics.geometry.shape,
        optics.pixel_pitch,
        optics.wavelength,
        to_wall=optics.distance / 2,
        to_object=optics.distance / 2,
    )
    bench, quiet = (
        draw_hidden_bench(
            geometry, config.hardware, wall_key=wall_key, key=bench_key, camera=camera
        )
        for camera in (flir_bfs_u3_89s6m(), None)
    )
    start = make_wavefront(
        geometry, optics.network(1, task.n_classes, start_key).readout, key=start_key
    )
    with context.progress(name, optics.n_steps) as ticker:
        found = train_wavefront(
            start,
            ForwardMode(),
            _reflect(task.x_train, optics),
            task.y_train,
            key=train_key,
            bench=bench,
            n_steps=optics.n_steps,
            batch_size=optics.batch_size,
            learning_rate=optics.learning_rate,
            on_progress=lambda n, loss: ticker.advance(n, f"loss {loss:.3f}"),
        )
    return picture_frames(quiet, found.phase, _reflect(task.x_test, optics), key=train_key)


def _reflect(images, optics):
    """Grey values as amplitude reflectivities, enlarged to the size they have on the panel of the bench."""
    encoded = jnp.real(encode_images(images, optics.geometry.shape, fill=optics.image_fill))
    # Normalised to one power a sample by the encoder; reflectivities must not exceed 1.
    return encoded / jnp.max(encoded, axis=(-2, -1), keepdims=True)
