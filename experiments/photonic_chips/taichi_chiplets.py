"""What the experiments on Taichi share: images on waveguides, training of many chiplets at once, accuracy.

Only glue: the optics is in `optics.networks.taichi`, arrangements, loss and labels in `optics.networks.coded_chiplets`.
One compiled step trains all chiplets of all runs (seeds, codes, error sizes) together, as further axes of every array.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from experiments.data.tasks import Task
from experiments.harness.context import Context
from optics.learning import adam, descend, draw_batch, run_in_calls
from optics.networks import load_amplitudes, shrink, taichi
from optics.networks.coded_chiplets import (
    Arrangement,
    coded_labels,
    coded_loss,
    detected_powers,
    largest_chip,
    with_shot_noise,
)
from optics.networks.taichi import Chiplet, Diffractor, SlabGeometry


@dataclass(frozen=True)
class Chips:
    """One kind of chiplet and its training. The paper gives none of these numbers: all are our choice.

    Attributes:
        side: Images are averaged to side x side pixels, one waveguide each.
        n_ports: Ports of the interferometric core.
        n_masks: Phase masks in each encoder and decoder.
        slab: Slab of free propagation.
        bias: Share of the power in the waveguide of constant amplitude.
        gain: From relative region power to logits.
        n_steps: Optimiser steps, the same for every arrangement.
        batch_size: Images a step.
        learning_rate: Adam's first step, rad; falls to a tenth along a cosine.
    """

    side: int = 8
    n_ports: int = 16
    n_masks: int = 1
    slab: SlabGeometry = field(default_factory=SlabGeometry)
    bias: float = 0.1
    gain: float = 15.0
    n_steps: int = 300
    batch_size: int = 64
    learning_rate: float = 0.1

    @property
    def n_inputs(self) -> int:
        """Waveguides: one a pixel and one for the bias."""
        return self.side**2 + 1

    def diffractor(self) -> Diffractor:
        """The slabs."""
        return _diffractor(self.n_inputs, self.n_ports, self.slab)

    def n_parameters(self) -> int:
        """Trained phases of one chiplet."""
        return self.n_ports**2 + 2 * self.n_masks * self.n_inputs


class Wide(NamedTuple):
    """A monolithic chip: slabs and how many waveguides and ports it has."""

    diffractor: Diffractor
    n_inputs: int
    n_ports: int


def monolith(chips: Chips, n_parameters: int) -> Wide:
    """The largest single chip with at most so many trained phases; it gets dark inputs where the core outgrows them."""
    n_inputs, n = largest_chip(n_parameters, chips.n_inputs, chips.n_masks)
    return Wide(_diffractor(n_inputs, n, chips.slab), n_inputs, n)


@lru_cache
def _diffractor(n_inputs: int, n_ports: int, slab: SlabGeometry) -> Diffractor:
    return taichi.make_diffractor(n_inputs, n_ports, slab)


def shrink_task(task: Task, side: int) -> Task:
    """The task with images as rows of side^2 features."""
    train, test = (jnp.asarray(shrink(np.asarray(x), side)) for x in (task.x_train, task.x_test))
    return Task(train, task.y_train, test, task.y_test, task.class_names, task.source)


class Runs(NamedTuple):
    """Independent trainings that share a compiled step; the first axis of every array is the run.

    Attributes:
        chiplets: Start.
        code: Words, (run, class, sub-task); of a series, the one of `output_codes.direct_code`.
        joint: Weight of the joint loss in [0, 1]; 0 trains each chiplet on its own sub-task.
        error: Standard deviation of splitter and phase errors that training draws anew each step, rad.
        keys: PRNG keys of batches and errors.
    """

    chiplets: Chiplet
    code: jax.Array
    joint: jax.Array
    error: jax.Array
    keys: jax.Array


def make_runs(
    chips: Chips,
    diffractor: Diffractor,
    codes: np.ndarray,
    keys,
    *,
    n_chiplets: int,
    joint: ArrayLike = 1.0,
    error: ArrayLike = 0.0,
) -> Runs:
    """Runs with random chiplets; codes (run, class, sub-task); keys, and joint and error where they differ, by run."""
    make = partial(taichi.make_chiplets, n_chiplets, diffractor, n_masks=chips.n_masks)
    starts = [make(key=jax.random.fold_in(key, 0)) for key in keys]
    return Runs(
        jax.tree.map(lambda *a: jnp.stack(a), *starts),
        jnp.asarray(codes),
        jnp.broadcast_to(jnp.asarray(joint, jnp.float32), len(keys)),
        jnp.broadcast_to(jnp.asarray(error, jnp.float32), len(keys)),
        jnp.stack(keys),
    )


def train(
    context: Context,
    label: str,
    chips: Chips,
    diffractor: Diffractor,
    runs: Runs,
    task: Task,
    *,
    arrangement: Arrangement = "broad",
    n_symbols: int = 2,
    learning_rate: float | None = None,
    steps_per_call: int = 25,
) -> tuple[Chiplet, np.ndarray]:
    """Trains all runs and returns their chiplets and losses (run, step).

    Raises:
        FloatingPointError: If a loss stops being finite; names the step.
    """
    rate = chips.learning_rate if learning_rate is None else learning_rate
    spec = taichi.trainable(runs.chiplets)
    moving, fixed = eqx.partition(runs.chiplets, spec)
    # Copies, since the buffers are donated to the compiled step.
    moving = jax.tree.map(jnp.copy, moving)
    static = (arrangement, n_symbols, bool(np.any(np.asarray(runs.error) > 0)))

    def run(state, first, n_now):
        return _train_steps(
            state, fixed, diffractor, runs, task.x_train, task.y_train, first, n_now,
            chips, rate, static,
        )  # fmt: skip

    with context.progress(label, chips.n_steps) as ticker:
        state, losses = run_in_calls(
            run,
            (moving, adam(rate, chips.n_steps).init(moving)),
            chips.n_steps,
            # Calls of equal length share a program.
            steps_per_call=math.ceil(chips.n_steps / math.ceil(chips.n_steps / steps_per_call)),
            name=label,
            remedy=f"lower `learning_rate` ({rate:g} rad)",
            on_progress=lambda n_now, loss: ticker.advance(n_now, f"loss {loss:.3f}"),
        )
    return eqx.combine(state[0], fixed), losses.T


@partial(jax.jit, static_argnums=(7, 8, 9, 10), donate_argnums=0)
def _train_steps(state, fixed, diffractor, runs, images, labels, first, n_now, chips, rate, static):
    arrangement, n_symbols, with_errors = static
    n_inputs = diffractor.wide.shape[0]

    def look_at_one(moving, fixed, code, joint, error, key, index):
        chosen, error_key = draw_batch(index + 1, chips.batch_size, labels.shape[0], key=key)
        fields = load_amplitudes(images[chosen], n_inputs, chips.bias)

        def loss(moving):
            real, rest = moving, fixed
            if with_errors:
                rough = taichi.draw_chiplets(
                    eqx.combine(moving, fixed),
                    key=error_key,
                    splitter_error=error,
                    phase_error=error,
                )
                real, rest = rough, jax.tree.map(lambda _: None, rough)
            powers = detected_powers(
                arrangement, eqx.combine(real, rest), diffractor, fields, code.shape[1], n_symbols
            )
            return coded_loss(powers, labels[chosen], code, joint, chips.gain)

        value, gradient = jax.value_and_grad(loss)(moving)
        return gradient, value

    def look(moving, index):
        return jax.vmap(look_at_one, in_axes=(0,) * 6 + (None,))(
            moving, fixed, runs.code, runs.joint, runs.error, runs.keys, index
        )

    return descend(look, state, adam(rate, chips.n_steps), first + jnp.arange(n_now))


class Scores(NamedTuple):
    """Share of test images classified correctly, in percent, one entry a run.

    Attributes:
        soft: By the sum of log probabilities.
        hard: By the nearest code word of the brightest regions.
        transmission: Mean share of the light into a chiplet, or into the first of a series, that reaches detectors.
    """

    soft: np.ndarray
    hard: np.ndarray
    transmission: np.ndarray


def evaluate(
    chips: Chips,
    diffractor: Diffractor,
    chiplets: Chiplet,
    code,
    task: Task,
    *,
    arrangement: Arrangement = "broad",
    n_symbols: int = 2,
    photons: float = np.inf,
    error: float = 0.0,
    key=None,
) -> Scores:
    """Runs all test images through all runs.

    Args:
        chips: Kind of chiplet.
        diffractor: Slabs.
        chiplets: Trained phases, first axis the run.
        code: Words (run, class, sub-task).
        task: Task of shrunken images.
        arrangement: See `optics.networks.coded_chiplets`.
        n_symbols: Detector regions.
        photons: Photons into a chiplet for one image, with normal shot noise of the counts (good from tens of them).
        error: Standard deviation of splitter and phase errors of the chips, rad, drawn for each run.
        key: PRNG key of errors and noise.
    """
    n_runs = chiplets.encoder_phase.shape[0]
    keys = jax.random.split(jax.random.key(0) if key is None else key, n_runs)
    static = (arrangement, n_symbols, chips.bias, chips.gain)
    sizes = jnp.asarray([error, 1 / photons], jnp.float32)
    found = _evaluate(
        chiplets, jnp.asarray(code), keys, diffractor, task.x_test, task.y_test, sizes, static
    )
    soft, hard, transmission = (np.asarray(a) for a in found)
    return Scores(100 * soft, 100 * hard, transmission)


@partial(jax.jit, static_argnums=7)
def _evaluate(chiplets, code, keys, diffractor, images, labels, sizes, static):
    arrangement, n_symbols, bias, gain = static
    error, per_photon = sizes
    fields = load_amplitudes(images, diffractor.wide.shape[0], bias)

    def one(chiplets, code, key):
        error_key, shot_key = jax.random.split(key)
        rough = taichi.draw_chiplets(
            chiplets, key=error_key, splitter_error=error, phase_error=error
        )
        powers = detected_powers(arrangement, rough, diffractor, fields, code.shape[1], n_symbols)
        counted = with_shot_noise(powers, per_photon, key=shot_key)
        soft, hard = coded_labels(counted, code, gain)
        reached = jnp.mean(jnp.sum(powers, axis=-1))
        return jnp.mean(soft == labels), jnp.mean(hard == labels), reached

    return jax.lax.map(lambda a: one(*a), (chiplets, code, keys))
