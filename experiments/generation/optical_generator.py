"""Generator of `experiments.generation.optical_generation`: a small encoder, phase layers, a camera, and its training.

    seed = E(noise, class),   y = T M_L ... T M_1 exp(i seed),   picture = e (mean of |y|^2 over squares of pixels)

E is digital, e an exposure. Every training has one loss and one program: what differs is what carries light from plane
to plane (`Modelled`, `Revealed`, `Measured`), and with it whose derivative is taken.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from nn.layers import Dense, make_dense
from optics.hardware import OpticalBench
from optics.learning import descend, draw_batch, run_in_calls
from optics.learning.loop import cosine_decay
from optics.learning.passes import frames_per_output, measure_output
from optics.learning.protocols import Weights, with_weights
from optics.learning.rules.forward_mode import forward_layer
from optics.networks import DiffractiveNetwork
from optics.networks.readout import read_pictures
from optics.waves import modulation

STEPS_PER_CALL = 50


class Encoder(eqx.Module):
    """Noise and class to numbers: linear maps with rectifiers between.

    Attributes:
        maps: The maps.
    """

    maps: tuple[Dense, ...]

    def __call__(self, noise, labels):
        """Numbers of each row."""
        classes = jnp.arange(self.maps[0].n_in - noise.shape[1])
        x = jnp.concatenate([noise, (labels[:, None] == classes[None]).astype(noise.dtype)], axis=1)
        for one in self.maps[:-1]:
            x = jax.nn.relu(one(x))
        return self.maps[-1](x)


def make_encoder(sizes: tuple[int, ...], *, key) -> Encoder:
    """Maps between the given sizes; outputs are about one rad."""
    keys = jax.random.split(key, len(sizes) - 1)
    pairs = zip(sizes[:-1], sizes[1:], keys, strict=True)
    return Encoder(tuple(make_dense(n, m, key=k, bias=True) for n, m, k in pairs))


class Generator(eqx.Module):
    """What is trained: phases of the layers, the encoder, the exposure.

    Attributes:
        phase: Commanded phases, rad.
        encoder: Noise and class to seeds.
        log_exposure: ln e.
    """

    phase: Array
    encoder: Encoder
    log_exposure: Array


class Optics(eqx.Module):
    """What is not trained.

    Attributes:
        network: Nominal planes.
        side: Pixels of a picture along a side.
        pool: Camera pixels along a side of each.
    """

    network: DiffractiveNetwork
    side: int = eqx.field(static=True)
    pool: int = eqx.field(static=True)

    def light(self, generator: Generator, noise, labels):
        """exp(i seed) on the panel: each number of the seed is a block of pixels."""
        shape = self.network.phase.shape[1:]
        seed = generator.encoder(noise, labels)
        n = round(seed.shape[1] ** 0.5)
        seed = seed.reshape(-1, n, n)
        for axis in (1, 2):
            seed = jnp.repeat(seed, shape[axis - 1] // n, axis=axis)
        return modulation(seed)

    def pictures(self, generator: Generator, field):
        """Numbers of the pictures that a field is at the camera."""
        pooled = read_pictures(field, self.side, self.pool)
        return jnp.exp(generator.log_exposure) * pooled.reshape(len(pooled), -1)


class Modelled(eqx.Module):
    """The nominal model of a layer."""

    network: DiffractiveNetwork

    def __call__(self, field, phase, layer, *, key, time):
        """Field behind the layer."""
        del layer, key, time
        return self.network.layer(field, phase)


class Revealed(eqx.Module):
    """The hardware itself, errors and all, without noise: what no learner has."""

    twin: Any

    def __call__(self, field, phase, layer, *, key, time):
        """Field behind the layer."""
        del layer, key, time
        return self.twin.run(field, phase)


class Measured(eqx.Module):
    """The hardware as measured, with forward mode's derivative."""

    bench: OpticalBench
    n_layers: int = eqx.field(static=True)

    def __call__(self, field, phase, layer, *, key, time):
        """Field behind the layer; the error of the last layer passes first."""
        times = time + layer, time + 2 * self.n_layers - 1 - layer
        return forward_layer(self.bench, field, phase, key=key, times=times)


def mismatch(generator: Generator, optics: Optics, carrier, batch, *, key, time):
    """Mean square difference of generated and taught pictures.

    Args:
        generator: What is trained.
        optics: What is not.
        carrier: Takes light from plane to plane.
        batch: Noise, labels, taught pictures.
        key: PRNG key of measurements.
        time: Number of the first one.
    """
    noise, labels, taught = batch

    def step(field, inputs):
        return carrier(field, inputs[0], inputs[1], key=inputs[2], time=time), None

    n_layers = len(generator.phase)
    planes = (generator.phase, jnp.arange(n_layers), jax.random.split(key, n_layers))
    field, _ = jax.lax.scan(step, optics.light(generator, noise, labels), planes)
    return jnp.mean((optics.pictures(generator, field) - taught) ** 2)


class ByGradient(eqx.Module):
    """Loss and gradient along a carrier of light."""

    optics: Optics
    carrier: Any

    def __call__(self, generator, batch, *, key, time):
        """Loss and gradient of a batch."""
        return jax.value_and_grad(mismatch)(
            generator, self.optics, self.carrier, batch, key=key, time=time
        )


class ByPerturbation(eqx.Module):
    """Loss and SPSA's gradient of phases and encoder alike, from camera frames behind the last layer.

    J. C. Spall, IEEE Trans. Autom. Control 37, 332 (1992), DOI 10.1109/9.119632.

    Attributes:
        optics: What is not trained.
        bench: Hardware.
        sizes: Perturbation of phases, rad, and of digital numbers.
    """

    optics: Optics
    bench: OpticalBench
    sizes: tuple[float, float] = eqx.field(static=True)

    def __call__(self, generator, batch, *, key, time):
        """Loss and estimated gradient of a batch; both sides see the same batch."""
        noise, labels, taught = batch
        keys = jax.random.split(key, 3)
        flat, unravel = ravel_pytree(generator)
        signs = unravel(jax.random.rademacher(keys[0], flat.shape, flat.dtype))
        n_layers = len(generator.phase)

        def look(sign, key, time):
            moved = jax.tree.map(
                lambda w, s, size: w + sign * size * s, generator, signs, by_part(generator, *self.sizes)
            )  # fmt: skip
            made = expose(moved, self.optics, self.bench, noise, labels, key=key, time=time)
            return jnp.mean((made - taught) ** 2)

        above = look(1, keys[1], time)
        below = look(-1, keys[2], time + n_layers)
        gradient = jax.tree.map(
            lambda s, size: s * (above - below) / (2 * size),
            signs,
            by_part(generator, *self.sizes),
        )
        return (above + below) / 2, gradient


def by_part(generator: Generator, phase, digital) -> Generator:
    """One number for all phases, another for all that is digital."""
    parts = jax.tree.map(lambda _: digital, generator)
    return eqx.tree_at(lambda g: g.phase, parts, phase)


def expose(generator: Generator, optics: Optics, bench, noise, labels, *, key, time):
    """Generated pictures on the hardware, by one frame behind the last layer."""
    network = with_weights(optics.network, Weights(generator.phase, None))
    light = optics.light(generator, noise, labels)
    return optics.pictures(generator, measure_output(network, bench, light, key=key, time=time))


class Cost(NamedTuple):
    """What training asked of the hardware.

    Attributes:
        passes: Samples sent through one layer and recorded.
        frames: Camera frames.
        time: Measurements one after the other.
    """

    passes: int
    frames: int
    time: int


def cost_of_forward(n_layers: int, n_steps: int, batch_size: int) -> Cost:
    """Each sample goes through each layer as data and as error, measured as a field, four frames."""
    time = 2 * n_layers * n_steps
    return Cost(time * batch_size, 4 * time * batch_size, time)


def cost_of_perturbation(n_layers: int, n_steps: int, batch_size: int) -> Cost:
    """Each sample goes twice through all layers; behind the last one a frame is enough."""
    frames = 2 * frames_per_output(n_layers) * n_steps * batch_size
    time = 2 * n_layers * n_steps
    return Cost(time * batch_size, frames, time)


def train(generator, rule, pairs, *, rates, n_steps, batch_size, key, time_per_step=0, name=""):
    """Adam along a cosine to a tenth; phases stay in [0, 2 pi).

    Args:
        generator: Start; any pytree if `rates` is one number.
        rule: `(generator, batch, key=, time=)` -> loss, gradient.
        pairs: Noise, labels, taught pictures.
        rates: First steps of phases, rad, and of digital numbers.
        n_steps: Steps.
        batch_size: Pairs in a step.
        key: PRNG key.
        time_per_step: Measurements in a step, one after the other.
        name: Who trains.

    Returns:
        Generator, and the loss of each step.
    """
    state = generator, _optimiser(rates, 1).init(generator)

    def call(state, done, chunk):
        return _steps(
            state, rule, pairs, key, rates, np.float32(n_steps),
            np.arange(done, done + chunk), np.int32(time_per_step), batch_size,
        )  # fmt: skip

    state, losses = run_in_calls(
        call, state, n_steps,
        steps_per_call=STEPS_PER_CALL, name=name, remedy="lower `phase_rate` and `digital_rate`",
    )  # fmt: skip
    return state[0], losses


def _optimiser(rates, n_steps):
    def scale(updates, _):
        if isinstance(updates, Generator):
            return jax.tree.map(lambda u, r: -r * u, updates, by_part(updates, *rates))
        return jax.tree.map(lambda u: -rates[1] * u, updates)

    schedule = optax.scale_by_schedule(lambda count: cosine_decay(count, n_steps))
    return optax.chain(optax.scale_by_adam(), optax.stateless(scale), schedule)


def _wrapped(weights):
    if not isinstance(weights, Generator):
        return weights
    return eqx.tree_at(lambda g: g.phase, weights, jnp.mod(weights.phase, 2 * jnp.pi))


@eqx.filter_jit
def _steps(state, rule, pairs, key, rates, n_steps, indices, time_per_step, batch_size):
    def look(weights, index):
        chosen, rest = draw_batch(index, batch_size, len(pairs[0]), key=key)
        batch = tuple(array[chosen] for array in pairs)
        loss, gradient = rule(weights, batch, key=rest, time=time_per_step * index)
        return gradient, loss

    return descend(look, state, _optimiser(rates, n_steps), indices, project=_wrapped)


class Digital(eqx.Module):
    """Loss and gradient of an encoder whose numbers are the pictures."""

    def __call__(self, encoder, batch, *, key, time):
        """Loss and gradient of a batch."""
        del key, time
        noise, labels, taught = batch
        loss = lambda one: jnp.mean((one(noise, labels) - taught) ** 2)  # noqa: E731
        return jax.value_and_grad(loss)(encoder)


@eqx.filter_jit
def imagine(generator: Generator, optics: Optics, noise, labels):
    """Pictures in the model."""
    network = with_weights(optics.network, Weights(generator.phase, None))
    return optics.pictures(generator, network(optics.light(generator, noise, labels)))


@eqx.filter_jit
def run_hardware(generator: Generator, optics: Optics, bench, noise, labels, *, key, time):
    """Pictures on the hardware."""
    return expose(generator, optics, bench, noise, labels, key=key, time=time)
