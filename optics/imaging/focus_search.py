"""Focusing through a scattering medium by plain intensities: stepwise sequential search and particle swarm.

Both know one number a frame, the light on the target, and both steer super-pixels rather than pixels, since each
pixel alone would vanish in the speckle. Loss, target and result are those of `optics.imaging.focusing`.

    stepwise sequential  one super-pixel after the other is run through its phases and left at the best (Vellekoop and
                         Mosk, Opt. Commun. 281, 3071 (2008), DOI 10.1016/j.optcom.2008.02.022)
    particle swarm       v <- w v + c1 r1 (p - x) + c2 r2 (g - x), x <- x + v (Kennedy and Eberhart 1995, DOI
                         10.1109/ICNN.1995.488968), with phases as angles: p - x is the short way round (our choice)
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from optics._checks import check_in_range
from optics._numbers import takes_numbers
from optics.hardware.bench import OpticalBench
from optics.imaging.focusing import FocusResult, expand_blocks, intensity_loss

FASTEST = math.pi  # Largest step of a phase, rad: the way to its opposite.


@dataclass(frozen=True)
class SwarmSettings:
    """Settings of a particle swarm; the defaults are the constriction values.

    Inertia 0.7298 with attractions 1.49618: M. Clerc and J. Kennedy, IEEE Trans. Evol. Comput. 6, 58 (2002), DOI
    10.1109/4235.985692.

    Attributes:
        n_particles: Particles; one frame each an iteration.
        inertia: w.
        cognitive: c1, towards the particle's own best.
        social: c2, towards the best of the swarm.
        n_blocks: Super-pixels along each side of the modulator.
    """

    n_particles: int = 20
    inertia: float = 0.7298
    cognitive: float = 1.49618
    social: float = 1.49618
    n_blocks: int = 16

    def __post_init__(self):
        for name in ("n_particles", "n_blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, but is {getattr(self, name)}.")
        check_in_range(self.inertia, "inertia", 0, 1)
        check_in_range(self.cognitive, "cognitive", 0, 4)
        check_in_range(self.social, "social", 0, 4)


class _Swarm(NamedTuple):
    position: Array
    velocity: Array
    best: Array
    best_loss: Array


@takes_numbers
@partial(eqx.filter_jit)
def particle_swarm_focus(
    bench: OpticalBench,
    illumination: Complex[Array, "y x"],
    target: Float[Array, "y x"],
    *,
    settings: SwarmSettings,
    key: PRNGKeyArray,
    n_iterations: int = 400,
    time: int | Array = 0,
) -> FocusResult:
    """Focuses by particle swarm; one particle starts flat, like every other method, the rest at random.

    Args:
        bench: Hardware with the medium in it.
        illumination: Field that falls on the modulator.
        target: Where the light is wanted, ones and zeros.
        settings: Swarm.
        key: PRNG key of starts, moves and camera noise.
        n_iterations: Moves of the whole swarm; the start costs one more round of frames.
        time: Number of the first measurement.

    Returns:
        Best phase seen; losses are the best so far, the first one that of the flat modulator.
    """
    n_particles, n_modes = settings.n_particles, settings.n_blocks**2
    shape = (illumination.shape[0], illumination.shape[1])
    real = jnp.finfo(illumination.dtype).dtype
    start_key, move_key, noise_key = jax.random.split(key, 3)

    def losses(position, index):
        keys = jax.random.split(jax.random.fold_in(noise_key, index), n_particles)
        moments = time + index * n_particles + jnp.arange(n_particles)

        def loss(phase, noise, moment):
            shown = expand_blocks(phase, shape)
            frame = bench.measure_intensity(illumination, shown, key=noise, time=moment)
            return intensity_loss(frame, target)

        return jax.vmap(loss)(position, keys, moments)

    position = 2 * jnp.pi * jax.random.uniform(start_key, (n_particles, n_modes), real)
    position = position.at[0].set(0)
    first = losses(position, 0)
    swarm = _Swarm(position, jnp.zeros_like(position), position, first)

    def step(swarm, index):
        moved = _move(swarm, settings, jax.random.fold_in(move_key, index))
        found = losses(moved.position, index)
        better = found < swarm.best_loss
        best = jnp.where(better[:, None], moved.position, swarm.best)
        swarm = moved._replace(best=best, best_loss=jnp.minimum(found, swarm.best_loss))
        return swarm, jnp.min(swarm.best_loss)

    swarm, history = jax.lax.scan(step, swarm, 1 + jnp.arange(n_iterations))
    winner = swarm.best[jnp.argmin(swarm.best_loss)]
    phase = jnp.mod(expand_blocks(winner, shape), 2 * jnp.pi)
    frames = n_particles * (n_iterations + 1)
    return FocusResult(phase, jnp.concatenate([first[:1], history]), frames, frames)


def _move(swarm: _Swarm, settings: SwarmSettings, key) -> _Swarm:
    own, common = jax.random.uniform(key, (2, *swarm.position.shape), swarm.position.dtype)
    leader = swarm.best[jnp.argmin(swarm.best_loss)]
    velocity = settings.inertia * swarm.velocity
    velocity += settings.cognitive * own * _short_way(swarm.best - swarm.position)
    velocity += settings.social * common * _short_way(leader[None] - swarm.position)
    velocity = jnp.clip(velocity, -FASTEST, FASTEST)
    return swarm._replace(position=swarm.position + velocity, velocity=velocity)


def _short_way(angle: Array) -> Array:
    return jnp.mod(angle + jnp.pi, 2 * jnp.pi) - jnp.pi


@takes_numbers
@partial(eqx.filter_jit)
def stepwise_focus(
    bench: OpticalBench,
    illumination: Complex[Array, "y x"],
    target: Float[Array, "y x"],
    *,
    key: PRNGKeyArray,
    n_blocks: int = 16,
    n_steps: int = 4,
    time: int | Array = 0,
) -> FocusResult:
    """Focuses super-pixel by super-pixel: the light on the target is measured at `n_steps` phases of one.

    It varies as a + b cos(phi - phi_0), so phi_0 = arg sum_k I_k exp(i phi_k) uses all steps; the super-pixel is left
    there before the next one is touched.

    Args:
        bench: Hardware with the medium in it.
        illumination: Field that falls on the modulator.
        target: Where the light is wanted, ones and zeros.
        key: PRNG key of camera noise.
        n_blocks: Super-pixels along each side.
        n_steps: Phases tried for each, at least 3.
        time: Number of the first measurement.

    Returns:
        One pass over all super-pixels; losses are those of the modulator as it was before each super-pixel.
    """
    check_in_range(n_steps, "n_steps", 3, 1000, hint="Two phases cannot tell a sine from a cosine.")
    n_modes, shape = n_blocks**2, (illumination.shape[0], illumination.shape[1])
    real = jnp.finfo(illumination.dtype).dtype
    steps = 2 * jnp.pi * jnp.arange(n_steps, dtype=real) / n_steps

    def measure(blocks, noise, moment):
        shown = expand_blocks(blocks, shape)
        frame = bench.measure_intensity(illumination, shown, key=noise, time=moment)
        return jnp.sum(frame * target.astype(frame.dtype)), intensity_loss(frame, target)

    def step(blocks, index):
        trials = jnp.tile(blocks, (n_steps, 1)).at[:, index].set(steps)
        keys = jax.random.split(jax.random.fold_in(key, index), n_steps)
        moments = time + index * n_steps + jnp.arange(n_steps)
        light, found = jax.vmap(measure)(trials, keys, moments)
        best = jnp.angle(jnp.sum(light * jnp.exp(1j * steps)))
        return blocks.at[index].set(jnp.mod(best, 2 * jnp.pi).astype(real)), found[0]

    blocks, losses = jax.lax.scan(step, jnp.zeros(n_modes, real), jnp.arange(n_modes))
    frames = n_modes * n_steps
    return FocusResult(expand_blocks(blocks, shape), losses, frames, frames)
