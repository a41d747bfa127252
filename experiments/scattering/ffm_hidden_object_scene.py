"""What the experiments on hidden objects share: objects with their perfect pictures, and how pictures are judged.

Only glue: the scene is `optics.imaging.hidden_scene`, the searches are `optics.imaging.hidden_wavefront`.
"""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from optics.hardware import OpticalBench, PhotonCounter, count_photons
from optics.hardware.detectors import FIELD_CAMERA_EFFICIENCY
from optics.imaging import picture_frames
from optics.imaging.hidden_scene import (
    move_pattern,
    place,
    power_on_object,
    read_regions,
    reflectivity_of_cells,
)
from optics.imaging.hidden_wavefront import calibrate
from optics.imaging.weak_light import scale_to_photons
from optics.learning import true_gradient
from optics.learning.rules import ForwardMode
from optics.metrics import cosine_similarity, peak_signal_to_noise_ratio, structural_similarity

# Our choice: a letter without any symmetry, so that a turned or mirrored picture cannot pass for a right one.
LETTER = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]], np.float32)
CELL_PIXELS = 8  # A cell in the picture that SSIM judges, whose window needs 11 pixels.
NEAR = 0.5  # dB below the noise-free picture that still counts as enough light (our choice).


class Objects(NamedTuple):
    """Objects and what a perfect picture shows of them.

    Attributes:
        amplitude: Amplitude reflectivities.
        wanted: Power reflectivity of each cell.
        n_on_grid: How many of them, the first ones, consist of whole cells.
    """

    amplitude: jax.Array
    wanted: jax.Array
    n_on_grid: int


def draw_objects(
    cells, count: tuple[int, int], n_train: int, n_test: int, off_grid: float, key
) -> tuple[Objects, Objects]:
    """Random on/off patterns: for training partly turned and displaced, for testing on the grid."""
    train_key, test_key, off_key = jax.random.split(key, 3)
    n_off = round(off_grid * n_train)
    amplitude = _on_grid(cells, n_train - n_off, train_key)
    if n_off:
        amplitude = jnp.concatenate([amplitude, _off_grid(cells, count, n_off, off_key)])
    train = Objects(amplitude, reflectivity_of_cells(amplitude, cells), n_train - n_off)
    test = _on_grid(cells, n_test, test_key)
    return train, Objects(test, reflectivity_of_cells(test, cells), n_test)


def _on_grid(cells, n: int, key):
    pattern = jax.random.bernoulli(key, 0.5, (n, cells.shape[0])).astype(cells.dtype)
    return (pattern @ cells.reshape(cells.shape[0], -1)).reshape(n, *cells.shape[1:])


def _off_grid(cells, count, n: int, key):
    """Patterns larger than the grid, displaced by up to half a cell and turned by up to 45 degrees."""
    keys = jax.random.split(key, 3)
    side = cell_side(cells)
    patterns = jax.random.bernoulli(keys[0], 0.5, (n, count[0] + 3, count[1] + 3))
    centres = jax.random.uniform(keys[1], (n, 2), minval=-side / 2, maxval=side / 2)
    angles = jax.random.uniform(keys[2], (n,), minval=-np.pi / 4, maxval=np.pi / 4)
    moved = _moved(patterns.astype(cells.dtype), centres, angles, float(side), cells.shape[1:])
    return moved * jnp.sum(cells, axis=0)[None]


@partial(jax.jit, static_argnums=(3, 4))
def _moved(patterns, centres, angles, side, shape):
    def one(pattern, centre, angle):
        return move_pattern(pattern, shape, side=side, centre=(centre[0], centre[1]), angle=angle)

    return jax.vmap(one)(patterns, centres, angles)


def cell_side(cells) -> int:
    """Side of the square cells, pixels."""
    return round(float(np.sqrt(np.asarray(cells[0]).sum())))


def moving_letter(cells, count: tuple[int, int], n_frames: int) -> Objects:
    """A letter on a closed path over the grid, turning to and fro by 30 degrees; what leaves the grid is not seen."""
    side = cell_side(cells)
    # The letter is five squares high: they shrink where the grid has fewer rows.
    square = side * min(1.0, count[0] / 5)
    turns = 2 * np.pi * np.arange(n_frames) / n_frames
    centres = np.stack([0.5 * side * np.sin(turns), side * np.cos(turns)], axis=1)
    letters = jnp.broadcast_to(jnp.asarray(LETTER, cells.dtype), (n_frames, *LETTER.shape))
    angles = np.pi / 6 * np.sin(2 * turns)
    amplitude = _moved(letters, centres, angles, square, cells.shape[1:])
    amplitude *= jnp.sum(cells, axis=0)[None]
    return Objects(amplitude, reflectivity_of_cells(amplitude, cells), 0)


def score_pictures(
    bench: OpticalBench, phase, regions, known: Objects, sets: dict[str, Objects], key
) -> tuple[dict[str, np.ndarray], np.ndarray, jax.Array]:
    """Calibrates one gain a region on the training objects and judges single frames of each set.

    Returns:
        Metrics `cell_error.<set>` (%), `psnr.<set>` (dB), `ssim.<set>`, the pictures of the last set, and the gains.
    """
    calibration_key, *keys = jax.random.split(key, 1 + len(sets))
    frames = picture_frames(bench, phase, known.amplitude, key=calibration_key)
    gain = calibrate(read_regions(frames, regions), known.wanted)
    scores: dict[str, np.ndarray] = {}
    picture = jnp.zeros(0)
    for (name, objects), frame_key in zip(sets.items(), keys, strict=True):
        frames = picture_frames(bench, phase, objects.amplitude, key=frame_key)
        picture = read_regions(frames, regions) * gain[None]
        scores |= {f"{k}.{name}": v for k, v in judge(picture, objects.wanted).items()}
    return scores, np.asarray(picture), gain


def judge(picture, wanted) -> dict[str, np.ndarray]:
    """Share of cells on the wrong side of one half (%), PSNR over all cells and objects (dB), mean SSIM."""
    return {name: np.asarray(value) for name, value in _judge(picture, wanted).items()}


@jax.jit
def _judge(picture, wanted):
    side = round(np.sqrt(wanted.shape[-1]))
    drawn = [_draw(jnp.clip(a, 0, 1), side) for a in (picture, wanted)]
    return {
        "cell_error": 100 * jnp.mean((picture > 0.5) != (wanted > 0.5)),
        "psnr": peak_signal_to_noise_ratio(picture, wanted, data_range=1.0),
        "ssim": jnp.mean(structural_similarity(*drawn, data_range=1.0)),
    }


def _draw(cells, side: int):
    image = cells.reshape(-1, side, side)
    return jnp.repeat(jnp.repeat(image, CELL_PIXELS, axis=-2), CELL_PIXELS, axis=-1)


def photon_sweep(
    bench: OpticalBench, phase, regions, gain, objects: Objects, counts, key
) -> tuple[np.ndarray, float, float]:
    """Picture quality against photons per frame on the whole camera, each photon counted.

    The camera is a photon counter without dark counts; quantum efficiency 0.64 as the paper's field camera.

    Returns:
        PSNR (dB) for each count; the fewest photons that come within 0.5 dB of the noise-free picture, or the largest
        count tried where none does; share of the light on the object plane that arrives at the camera.
    """
    quiet = picture_frames(bench.quiet(), phase, objects.amplitude, key=key)
    best = float(judge(read_regions(quiet, regions) * gain[None], objects.wanted)["psnr"])
    counter = PhotonCounter(FIELD_CAMERA_EFFICIENCY, 0.0, 1e9)
    per_unit = float(jnp.mean(quiet))
    quality = []
    for i, total in enumerate(counts):
        expected = scale_to_photons(quiet, total / quiet[0].size)
        counted = count_photons(expected, counter, key=jax.random.fold_in(key, i))
        back = per_unit * quiet[0].size / (total * FIELD_CAMERA_EFFICIENCY)
        picture = read_regions(counted, regions) * back * gain[None]
        quality.append(float(judge(picture, objects.wanted)["psnr"]))
    enough = [c for c, q in zip(counts, quality, strict=True) if q > best - NEAR]
    light = jnp.ones(phase.shape, jnp.complex64)
    returned = jnp.mean(jnp.sum(quiet, axis=(-2, -1))) / power_on_object(bench, light, phase)
    return np.array(quality), min(enough, default=max(counts)), float(returned)


def gradient_cosines(bench: OpticalBench, network, known: Objects, key) -> dict[str, np.ndarray]:
    """Cosine of the forward-mode gradient with the true one, object at rest and exchanged before the error passes."""
    bench = bench.quiet()
    shown, wanted = known.amplitude[:8], known.wanted[:8]
    light = jnp.ones(shown.shape, jnp.complex64)
    still, other = place(bench, shown), place(bench, known.amplitude[8:16])
    run = still.reveal().run
    true = eqx.filter_jit(true_gradient)(network, run, light, wanted).gradient.phase
    found = {}
    for case, during_error in (("still", still), ("moved", other)):
        system = _Exchanging(still, during_error)
        guess = _forward_mode(network, system, light, wanted, key)
        found[f"gradient_cosine.{case}"] = np.asarray(cosine_similarity(true[0], guess[0]))
    return found


@eqx.filter_jit
def _forward_mode(network, bench, light, wanted, key):
    return ForwardMode().gradient(network, bench, light, wanted, key=key).gradient.phase


class _Exchanging(eqx.Module):
    """Shows one set of objects at time 0 (data) and another at time 1 (error)."""

    data: OpticalBench
    error: OpticalBench

    def measure_field(self, field, phase, amplitude=None, *, key, time=0):
        first = self.data.measure_field(field, phase, amplitude, key=key, time=time)
        second = self.error.measure_field(field, phase, amplitude, key=key, time=time)
        return jnp.where(jnp.asarray(time) < 1, first, second)

    def measure_intensity(self, field, phase, amplitude=None, *, key, time=0):
        return self.data.measure_intensity(field, phase, amplitude, key=key, time=time)
