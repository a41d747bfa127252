"""Ways to find the one wavefront that maps every cell of a hidden object to its own camera region.

- any learning rule of `optics.learning`, step by step with objects that change between steps: `train_wavefront`;
- phase conjugation: with cell c alone in the scene, a source at region c loaded into the modulator plane returns, since
  E = E^T, the row of E that tells how each modulator pixel reaches region c; the conjugate of the sum of these rows
  aims at all regions at once. One measured field a cell. Light through one random layer: I. M. Vellekoop and A. P.
  Mosk, Opt. Lett. 32, 2309 (2007), DOI 10.1364/OL.32.002309, by search; here the row is measured at once;
- transmission matrix: the same for every pixel of every region with every cell, cells x cells x (pixels a region)
  fields; a phase pattern is then found in electronics from the measured rows alone. S. M. Popoff et al., Phys. Rev.
  Lett. 104, 100601 (2010), DOI 10.1103/PhysRevLett.104.100601, measured such a matrix from the modulator's side, which
  would take one field for every modulator pixel and cell.

All of them see the scene through measured fields and count every one; none is told the wall.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray, Shaped

from optics._checks import check_positive
from optics._dark import quotient, root
from optics._numbers import takes_numbers
from optics.hardware.bench import OpticalBench
from optics.hardware.holography import FRAMES_PER_FIELD
from optics.imaging.hidden_scene import picture_loss, place, read_regions
from optics.learning.loop import adam, descend, draw_batch, run_in_calls
from optics.learning.protocols import AbstractLearningRule, weights_of, with_weights
from optics.learning.rules.forward_mode import send_error
from optics.networks.diffractive import DiffractiveNetwork
from optics.waves.field import intensity

STEPS_PER_CALL = 20  # Of training; progress is told after each call.
CHUNK = 32  # Objects in one call; a matter of memory and compilation, not of physics.


class WavefrontFit(NamedTuple):
    """Outcome of a search for a wavefront.

    Attributes:
        phase: Phase pattern, rad.
        losses: Loss of every step, as the method saw it.
        frames: Camera frames used.
        time: Measurements made.
    """

    phase: Float[Array, "y x"]
    losses: np.ndarray
    frames: int
    time: int


@takes_numbers
def train_wavefront(
    network: DiffractiveNetwork,
    rule: AbstractLearningRule,
    objects: Float[Array, "samples y x"],
    targets: Shaped[Array, "samples ..."],
    *,
    key: PRNGKeyArray,
    bench: OpticalBench,
    n_steps: int = 300,
    batch_size: int = 16,
    learning_rate: float = 0.1,
    on_progress: Callable[[int, float], None] | None = None,
) -> WavefrontFit:
    """Trains the phase pattern under uniform light; each step shows `batch_size` drawn objects, one after the other.

    Adam with a cosine decay to a tenth, as in `optics.learning.fit`, for every rule alike.

    Args:
        network: Made by `make_wavefront`; its model of the scene is shown the same objects.
        rule: Learning rule.
        objects: Amplitude reflectivities of training objects, which somebody has to hold behind the wall.
        targets: What the readout's loss wants of each.
        key: PRNG key of draws and noise.
        bench: Made by `draw_hidden_bench`.
        n_steps: Optimiser steps.
        batch_size: Objects a step.
        learning_rate: Adam's first step, rad.
        on_progress: Called with (steps done now, mean loss of them).

    Raises:
        ValueError: If a count is below 1 or the learning rate is not positive.
        FloatingPointError: If the loss stops being finite; names the step.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, but is {batch_size}.")
    check_positive(learning_rate, "learning_rate", "rad")
    weights = jax.tree.map(jnp.copy, weights_of(network))
    dtype = jnp.result_type(network.phase, jnp.complex64)
    light = jnp.ones((batch_size, *objects.shape[-2:]), dtype)
    shown = (network, bench, light, objects, targets, key, jnp.asarray(learning_rate))

    def run(state, done, chunk):
        return _run_steps(state, jnp.asarray(done), *shown, static=(rule, chunk, n_steps))

    state, losses = run_in_calls(
        run,
        (weights, adam(learning_rate, max(n_steps, 1)).init(weights)),
        n_steps,
        steps_per_call=STEPS_PER_CALL,
        name=type(rule).__name__,
        remedy=f"lower `learning_rate` ({learning_rate:g} rad) or check the objects",
        on_progress=on_progress,
    )
    return WavefrontFit(
        phase=state[0].phase[0],
        losses=losses,
        frames=rule.frames_per_sample(1) * batch_size * n_steps,
        time=rule.measurements_per_sample(1) * n_steps,
    )


@partial(jax.jit, static_argnames="static", donate_argnums=0)
def _run_steps(
    state, first, network, bench, light, objects, targets, key, learning_rate, *, static
) -> tuple:
    rule, n_now, n_steps = static
    measurements = rule.measurements_per_sample(1)

    def look(weights, index):
        chosen, noise_key = draw_batch(index, light.shape[0], objects.shape[0], key=key)
        shown = objects[chosen]
        model = eqx.tree_at(lambda n: n.free_space.objects, with_weights(network, weights), shown)
        estimate = rule.gradient(
            model,
            place(bench, shown),
            light,
            targets[chosen],
            key=noise_key,
            time=index * measurements,
        )
        return estimate.gradient, estimate.loss

    indices = first + jnp.arange(n_now)
    return descend(look, state, adam(learning_rate, n_steps), indices, project=_wrapped)


def _wrapped(weights):
    return jax.tree.map(lambda w: jnp.mod(w, 2 * jnp.pi), weights)


@takes_numbers
def conjugate_wavefront(
    bench: OpticalBench,
    cells: Float[Array, "cells y x"],
    regions: Float[Array, "cells y x"],
    *,
    key: PRNGKeyArray,
) -> WavefrontFit:
    """Conjugate of the sum of one measured row a cell, each row with the same weight.

    Args:
        bench: Made by `draw_hidden_bench`.
        cells: Masks of the object's cells, shown alone one after the other.
        regions: Camera regions in the order of the cells.
        key: PRNG key of camera noise.
    """
    rows = _measure_rows(bench, cells, regions, key)
    # A cell that sends nothing back has no row to add.
    rows = rows * quotient(1.0, root(jnp.sum(intensity(rows), axis=(-2, -1), keepdims=True)))
    phase = jnp.mod(-jnp.angle(jnp.sum(rows, axis=0)), 2 * jnp.pi)
    return WavefrontFit(phase, np.zeros(0), FRAMES_PER_FIELD * len(cells), len(cells))


@takes_numbers
def matrix_wavefront(
    bench: OpticalBench,
    cells: Float[Array, "cells y x"],
    regions: Float[Array, "cells y x"],
    reflectivities: Float[Array, "samples cells"],
    start: Float[Array, "y x"],
    *,
    key: PRNGKeyArray,
    n_steps: int = 300,
    learning_rate: float = 0.1,
) -> WavefrontFit:
    """Measures every row that matters, then finds the phases in electronics with the loss of `CellReadout`.

    Args:
        bench: Made by `draw_hidden_bench`.
        cells: Masks of the object's cells, shown alone one after the other.
        regions: Camera regions in the order of the cells, values 0 or 1.
        reflectivities: Training objects on the grid, as power reflectivities; all of them in every step, since steps
            cost no frame here.
        start: First phases, rad.
        key: PRNG key of camera noise.
        n_steps: Optimiser steps.
        learning_rate: Adam's first step, rad.
    """
    owner, y, x = np.nonzero(np.asarray(regions))
    points = np.zeros((len(owner), *regions.shape[1:]), np.float32)
    points[np.arange(len(owner)), y, x] = 1
    keys = jax.random.split(key, len(cells))
    rows = jnp.stack(
        [
            _measure_rows(
                bench, jnp.broadcast_to(cell, points.shape), jnp.asarray(points), cell_key
            ).reshape(len(owner), -1)
            for cell, cell_key in zip(cells, keys, strict=True)
        ]
    )
    belongs = jnp.asarray(owner[:, None] == np.arange(len(regions)), regions.dtype)
    phase, losses = _fit_rows(
        rows, belongs, reflectivities, start.ravel(), n_steps, jnp.asarray(learning_rate)
    )
    n_fields = len(cells) * len(owner)
    return WavefrontFit(
        phase.reshape(start.shape), np.asarray(losses), FRAMES_PER_FIELD * n_fields, n_fields
    )


@partial(jax.jit, static_argnums=4)
def _fit_rows(rows, belongs, reflectivities, phase, n_steps, learning_rate):
    optimiser = adam(learning_rate, n_steps)
    shown = jnp.sqrt(reflectivities).astype(rows.dtype)

    def loss(phase):
        single = jnp.einsum("crn,n->cr", rows, jnp.exp(1j * phase))  # fields by cell
        return picture_loss(intensity(shown @ single) @ belongs, reflectivities)

    def look(phase, _):
        value, gradient = jax.value_and_grad(loss)(phase)
        return gradient, value

    start = (phase, optimiser.init(phase))
    (phase, _), losses = descend(look, start, optimiser, jnp.arange(n_steps), project=_wrapped)
    return phase, losses


def _measure_rows(bench, objects, sources, key) -> Complex[Array, "sources y x"]:
    """Fields returned by sources in the modulator plane, object k with source k: rows of E, by its symmetry."""
    rows = [
        _row(bench, jnp.asarray(shown), jnp.asarray(lit), chunk_key)
        for (shown, lit), chunk_key in _chunks(key, objects, sources)
    ]
    return jnp.asarray(np.concatenate(rows)[: sources.shape[0]])


@eqx.filter_jit
def _row(bench, objects, sources, key):
    fields = sources.astype(jnp.result_type(sources.dtype, jnp.complex64))
    return send_error(place(bench, objects), fields, sources[0], key=key)


@takes_numbers
def picture_frames(
    bench: OpticalBench,
    phase: Float[Array, "y x"],
    objects: Float[Array, "samples y x"],
    *,
    key: PRNGKeyArray,
) -> Float[Array, "samples y x"]:
    """One plain camera frame of each object under the programmed wavefront; no phase is measured."""
    light = jnp.ones((CHUNK, *objects.shape[1:]), jnp.result_type(phase, jnp.complex64))
    frames = [
        _frame(bench, light, phase, jnp.asarray(shown, phase.dtype), chunk_key)
        for (shown,), chunk_key in _chunks(key, objects)
    ]
    return jnp.asarray(np.concatenate(frames)[: objects.shape[0]])


@eqx.filter_jit
def _frame(bench, light, phase, objects, key):
    return place(bench, objects).measure_intensity(light, phase, key=key)


def _chunks(key, *arrays):
    """Pieces of one length, the last one filled up, so that any number of objects compiles once."""
    arrays = [np.asarray(a) for a in arrays]
    n = len(arrays[0])
    for index, start in enumerate(range(0, n, CHUNK)):
        chosen = np.arange(start, start + CHUNK) % n
        yield [a[chosen] for a in arrays], jax.random.fold_in(key, index)


@takes_numbers
def cell_to_region_matrix(
    bench: OpticalBench,
    phase: Float[Array, "y x"],
    cells: Float[Array, "cells y x"],
    regions: Float[Array, "regions y x"],
    *,
    key: PRNGKeyArray,
) -> Float[Array, "cells regions"]:
    """Power that each cell, alone in the scene, sends into each region; a diagonal matrix is a perfect picture."""
    return read_regions(picture_frames(bench, phase, cells, key=key), regions)


@takes_numbers
def diagonal_share(matrix: Float[Array, "cells regions"]) -> Float[Array, ""]:
    """Mean over cells of the share of the region light that lands in the cell's own region; 1/cells by chance."""
    return jnp.mean(quotient(jnp.diagonal(matrix), jnp.sum(matrix, axis=1)))


@takes_numbers
def calibrate(
    powers: Float[Array, "samples cells"], targets: Float[Array, "samples cells"]
) -> Float[Array, " cells"]:
    """Least-squares gain of each region from frames of known objects: g = sum p t / sum p^2."""
    return quotient(jnp.sum(powers * targets, axis=0), jnp.sum(powers**2, axis=0))
