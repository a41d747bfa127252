"""Ways of training a vision transformer for a chip: in silico, with a model of the errors, and on the chip itself.

Chips are drawn with errors of unit size and scaled, so that one chip is met at every level of an error and all levels
share one compiled program. Every way starts from the same weights, set on the chip as if it had no errors, and makes as
many steps of the same optimiser on the same batches:

- in_silico: in the ideal model, without noise; set on the chip afterwards.
- fitted: the same, and then its matrices are fitted anew by phases that know the errors of the chip.
- vaccinated: in models of other chips with errors as large, another one each step (noise-aware training).
- mean_device: on the chip, the error sent through a model that has the chip's mean loss and its converters but no
  random error (physics-aware training).
- forward: on the chip, the error sent through it in forward mode.
- true_gradient: on the chip, by the derivative of what stands behind the counter; the bound for all others.

Ways that end off the chip get one gain for each block by a measurement of its matrix.
"""

import dataclasses
from functools import cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.harness.compiling import jit_once
from experiments.harness.training import train
from experiments.learning_systems.photonic_forward import ChipProgram, on_bench
from nn.training import adamw, cross_entropy, draw_rows
from optics.hardware import MeshImperfections, draw_chip, nominal_matrices
from optics.hardware.chip import ChipBench, ChipTwin
from optics.hardware.mesh_bench import MeshTwin

WAYS = ("in_silico", "fitted", "vaccinated", "mean_device", "forward", "true_gradient")
# Spread of the loss over arms relative to the mean loss; our choice.
LOSS_SPREAD = 0.25
# So few steps are over before a better program would be compiled.
FEW_STEPS = 30
UNIT = MeshImperfections(
    splitter_error=1.0, phase_error=1.0, loss_db=1.0, loss_spread_db=LOSS_SPREAD
)


class Pool(NamedTuple):
    """Chips along a first axis, one of which a step is made on.

    Attributes:
        bench: What is measured.
        belief: Through what the error is sent; None is forward mode.
    """

    bench: ChipBench
    belief: ChipTwin | None


def draw_chips(n_ports: int, n_blocks: int, n_chips: int, *, key: PRNGKeyArray) -> ChipTwin:
    """Folded chips with errors of unit size, along a first axis."""
    return _drawn(n_ports, n_blocks, jax.random.split(key, n_chips))


@jit_once
def _drawn(n_ports: int, n_blocks: int, keys) -> ChipTwin:
    make = lambda key: draw_chip(n_ports, n_blocks, UNIT, construction="folded", key=key)[0]  # noqa: E731
    return jax.vmap(make)(keys)


def scaled(twin: MeshTwin, sizes: MeshImperfections) -> MeshTwin:
    """A mesh drawn with errors of unit size, with others; the spread of its loss follows the loss."""
    drawn = twin.core.left_error, twin.core.right_error, twin.core.arm_loss_db
    factors = sizes.splitter_error, sizes.splitter_error, sizes.loss_db
    core = eqx.tree_at(
        lambda core: (core.left_error, core.right_error, core.arm_loss_db),
        twin.core,
        tuple(f * jnp.asarray(unit) for f, unit in zip(factors, drawn, strict=True)),
    )
    levels = None if sizes.voltage_bits is None else 2**sizes.voltage_bits - 1
    control = dataclasses.replace(
        twin.control, offset=sizes.phase_error * twin.control.offset, levels=levels
    )
    return MeshTwin(core, control)


def scaled_chip(chip: ChipTwin, sizes: MeshImperfections) -> ChipTwin:
    """Chips along a first axis, likewise."""
    # Along chips and blocks.
    each = jax.vmap(jax.vmap(lambda half: scaled(half, sizes)))
    halves = chip.cores.second, chip.cores.first
    second, first = (None if half is None else each(half) for half in halves)
    return eqx.tree_at(
        lambda c: (c.cores.second, c.cores.first),
        chip,
        (second, first),
        is_leaf=lambda leaf: leaf is None,
    )


def mean_device(chip: ChipTwin, sizes: MeshImperfections) -> ChipTwin:
    """What the data sheet says of a chip: its converters and its mean loss, no random error."""
    known = scaled_chip(chip, dataclasses.replace(sizes, splitter_error=0.0, phase_error=0.0))
    even = lambda half: eqx.tree_at(  # noqa: E731
        lambda half: half.core.arm_loss_db, half, jnp.full_like(half.core.arm_loss_db, sizes.loss_db)
    )  # fmt: skip
    return eqx.tree_at(lambda c: c.cores.second, known, even(known.cores.second))


def bench_of(chips: ChipTwin, sizes: MeshImperfections) -> ChipBench:
    """Benches of chips along a first axis, with the noise of the sizes."""
    make = lambda chip: ChipBench(  # noqa: E731
        chip, detector_noise=sizes.detector_noise, tap_noise=sizes.tap_noise
    )
    return jax.vmap(make)(chips)


def loss(program: ChipProgram, batch: Any, key: PRNGKeyArray) -> Float[Array, ""]:
    """Cross-entropy of a batch (images, labels, chips)."""
    images, labels, pool = batch
    logits = on_bench(program, pool.bench, pool.belief)(images, key=key)
    return cross_entropy(logits, labels).mean()


@cache
def drawing(batch_size: int):
    """Draws a batch and a chip from (images, labels, chips)."""
    rows = draw_rows(batch_size)

    def draw(data, key):
        images, labels, pool = data
        n_chips = jax.tree.leaves(pool)[0].shape[0]
        number = jax.random.randint(jax.random.fold_in(key, 1), (), 0, n_chips)
        chip = jax.tree.map(lambda leaf: leaf[number], pool)
        return *rows((images, labels), key), chip

    return draw


@cache
def optimiser(learning_rate: float, n_steps: int) -> optax.GradientTransformation:
    """Adam on a cosine, with attenuations kept in [0, 1]."""

    def keep(updates, state, params=None):
        def inside(update, program):
            bounded = jnp.clip(program.settings.attenuation + update.settings.attenuation, 0, 1)
            bounded = bounded - program.settings.attenuation
            return eqx.tree_at(lambda u: u.settings.attenuation, update, bounded)

        return inside(updates, params), state

    bound = optax.GradientTransformation(lambda params: optax.EmptyState(), keep)
    return optax.chain(adamw(learning_rate, n_steps, weight_decay=0.0), bound)


def _one_of(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], tree)


def _repeated(tree: Any, n: int) -> Any:
    """One chip n times along a first axis."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (n, *leaf.shape[1:])), tree)


class Lab:
    """One start and one chip, and all that prepares the one for the other.

    Args:
        program: The start, set as on a chip without errors.
        images: Training images.
        labels: Their classes.
        n_steps: Steps of each way.
        batch_size: Images in a step.
        learning_rate: Largest step.
        n_fit: Steps in which matrices are fitted.
        n_chips: Chips from which a way that needs others draws.
        key: PRNG key of chips, batches and noise.
    """

    def __init__(
        self, program: ChipProgram, images: Array, labels: Array, n_steps: int, batch_size: int,
        learning_rate: float, n_fit: int, n_chips: int, *, key: PRNGKeyArray,
    ):  # fmt: skip
        self.program, self.data = program, (images, labels)
        self.n_steps, self.n_fit, self.n_chips = n_steps, n_fit, n_chips
        self.batch_size, self.learning_rate = batch_size, learning_rate
        self.keys = jax.random.split(key, 4)
        self.own = self._drawn_chips(1, self.keys[0])
        self._in_silico = None

    def prepare(self, way: str, sizes: MeshImperfections) -> tuple[ChipProgram, ChipBench]:
        """The program that a way makes for the chip with errors of these sizes, and the chip.

        Raises:
            ValueError: If there is no such way.
        """
        if way not in WAYS:
            raise ValueError(f"`way` must be one of {', '.join(WAYS)}, but is {way!r}.")
        real = scaled_chip(self.own, sizes)
        benches = bench_of(real, sizes)
        bench = _one_of(benches)
        if way in ("in_silico", "fitted"):
            program, wanted = self.in_silico(sizes)
            program = self._with_gains(program, wanted, bench)
            if way == "fitted":
                program = self._fitted(program, wanted, _one_of(real))
            return program, bench
        known = mean_device(self.own, sizes)
        if way == "vaccinated":
            models = scaled_chip(self._drawn_chips(self.n_chips, self.keys[1]), sizes)
            # Before it has a chip, gains are set for the mean device.
            start = self._with_gains(*_as_wanted(self.program), _one_of(bench_of(known, sizes)))
            program = self._trained(start, Pool(bench_of(models, sizes), models))
            # What it learnt to want is what it does on the mean device: its gains make up for losses already.
            return self._with_gains(program, _maps_on(program, _one_of(known)), bench), bench
        belief = {"forward": None, "true_gradient": real, "mean_device": known}[way]
        start = self._with_gains(*_as_wanted(self.program), bench)
        return self._trained(start, _repeated(Pool(benches, belief), self.n_chips)), bench

    def _drawn_chips(self, n_chips: int, key: PRNGKeyArray) -> ChipTwin:
        return draw_chips(self.program.n_ports, self.program.gain.shape[0], n_chips, key=key)

    def in_silico(self, sizes: MeshImperfections) -> tuple[ChipProgram, list]:
        """The program trained in the ideal model, the same for all chips, and its matrices."""
        if self._in_silico is None:
            ideal = MeshImperfections(voltage_bits=sizes.voltage_bits)
            model = scaled_chip(self.own, ideal)
            pool = _repeated(Pool(bench_of(model, ideal), model), self.n_chips)
            self._in_silico = _as_wanted(self._trained(self.program, pool))
        return self._in_silico

    def _trained(self, program: ChipProgram, pool: Pool) -> ChipProgram:
        rate = optimiser(self.learning_rate, self.n_steps)
        data, draw = (*self.data, pool), drawing(self.batch_size)
        return train(
            program, loss, data, draw, rate, self.n_steps, key=self.keys[2], optimise=self.n_steps > FEW_STEPS
        ).model  # fmt: skip

    def _fitted(self, program: ChipProgram, wanted: list, chip: ChipTwin) -> ChipProgram:
        """Phases with which a known chip carries the wanted matrices as well as it can."""
        rate = optimiser(self.learning_rate, self.n_fit)
        data = (chip, wanted)
        return train(program, _misfit, data, _all, rate, self.n_fit, key=self.keys[2]).model

    def _with_gains(self, program: ChipProgram, wanted: list, bench: ChipBench) -> ChipProgram:
        """The gain of each block by least squares between its matrix and one measurement of the real one."""
        found = _measured_maps(program, bench, self.keys[3])
        pairs = zip(found, wanted, strict=True)
        factors = jnp.stack([jnp.vdot(got, want) / jnp.vdot(got, got) for got, want in pairs])
        return eqx.tree_at(lambda p: p.gain, program, program.gain * factors)


def _as_wanted(program: ChipProgram) -> tuple[ChipProgram, list]:
    """A program, and the matrices that it has in the ideal model."""
    return program, _ideal_maps(program)


@jit_once
def _ideal_maps(program: ChipProgram) -> list:
    return program.maps(nominal_matrices(program.settings, 1.0))


@jit_once
def _maps_on(program: ChipProgram, chip: ChipTwin) -> list:
    return program.maps(chip.transfer_matrices(program.settings, 1.0))


@jit_once
def _measured_maps(program: ChipProgram, bench: ChipBench, key):
    blocks = bench.program(program.settings, 1.0)
    n = program.n_ports
    keys = jax.random.split(key, blocks.n_blocks)
    eye = jnp.eye(n, dtype=jnp.result_type(program.gain, jnp.complex64))
    rows = jax.lax.map(lambda b: b[0].measure_field(eye, key=b[1]), (blocks, keys))
    return program.maps(jnp.swapaxes(rows, 1, 2))


def relative_errors(found: list, wanted: list) -> Float[Array, " block"]:
    """||found - wanted|| / ||wanted|| of each map."""
    return jnp.stack(
        [
            jnp.linalg.norm(got - want) / jnp.linalg.norm(want)
            for got, want in zip(found, wanted, strict=True)
        ]
    )


def _misfit(program: ChipProgram, batch, _key) -> Float[Array, ""]:
    chip, wanted = batch
    maps = program.maps(chip.transfer_matrices(program.settings, 1.0))
    return jnp.sum(relative_errors(maps, wanted) ** 2)


def _all(data, _key):
    return data


@jit_once
def right(program: ChipProgram, bench: ChipBench, images, labels, key) -> Array:
    """Whether each image is told right by the model on the chip."""
    return on_bench(program, bench)(images, key=key).argmax(-1) == labels
