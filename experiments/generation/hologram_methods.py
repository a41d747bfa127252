"""Reconstructions of a phase object from one hologram that need no sampler, for `hologram_prior`.

Gradient descent on the Poisson likelihood, with total variation or a prior, and Gerchberg-Saxton: R. W. Gerchberg and
W. O. Saxton, Optik 35, 237 (1972), with support, unit modulus and range
of phase known behind the object.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from nn.generation.exact_flow import GaussianMixture


class Objective(eqx.Module):
    """What the descent goes down.

    Attributes:
        matrix: P of `hologram_prior`.
        counts: y.
        photons: N.
        prior: Prior of the object.
    """

    matrix: jax.Array
    counts: jax.Array
    photons: jax.Array
    prior: GaussianMixture

    def __call__(self, z, variation, trust):
        """-ln of the Poisson likelihood, with total variation and -ln of the prior, each by its weight."""
        field = 1 + (jnp.exp(1j * jnp.pi * z) - 1) @ self.matrix.T
        expected = self.photons * (field.real**2 + field.imag**2)
        missed = jnp.sum(expected - self.counts * jnp.log(expected + 1e-6))
        side = round(z.shape[1] ** 0.5)
        picture = jnp.pad(z.reshape(-1, side, side), ((0, 0), (1, 1), (1, 1)))
        down = picture[:, 1:, :-1] - picture[:, :-1, :-1]
        across = picture[:, :-1, 1:] - picture[:, :-1, :-1]
        total = jnp.sum(jnp.sqrt(down**2 + across**2 + 1e-6))
        chance = jnp.sum(self.prior.log_density(z, jnp.ones(len(z), z.dtype)))
        return missed + variation * total - trust * chance


@eqx.filter_jit
def descend(target: Objective, variation, trust, n_steps: int, learning_rate: float) -> jax.Array:
    """Objects in [0, 1] by Adam from the mean of the prior, kept in range; the rate falls as a cosine."""
    optimiser = optax.adam(optax.cosine_decay_schedule(learning_rate, n_steps))
    start = jnp.exp(target.prior.log_weights) @ target.prior.means
    z = jnp.tile(start[None], (len(target.counts), 1))

    def step(_, carry):
        z, state = carry
        change, state = optimiser.update(jax.grad(target)(z, variation, trust), state)
        return jnp.clip(z + change, 0, 1), state

    return jax.lax.fori_loop(0, n_steps, step, (z, optimiser.init(z)))[0]


@partial(jax.jit, static_argnums=2)
def retrieve(matrix: jax.Array, intensity: jax.Array, n_rounds: int) -> jax.Array:
    """Objects in [0, 1] by Gerchberg-Saxton: each round puts the measured moduli in and the object's rules back.

    The way back is the adjoint of P, which is its inverse as far as the window holds all light.
    """
    modulus = jnp.sqrt(intensity)

    def step(_, z):
        field = 1 + (jnp.exp(1j * jnp.pi * z) - 1) @ matrix.T
        mended = modulus * field / jnp.maximum(jnp.abs(field), 1e-6)
        # The misfit goes back, so that light the window misses counts for nothing.
        behind = jnp.exp(1j * jnp.pi * z) + (mended - field) @ matrix.conj()
        phase = jnp.angle(behind * jnp.exp(-0.5j * jnp.pi)) / jnp.pi + 0.5  # cut opposite to pi / 2
        return jnp.clip(phase, 0, 1).astype(z.dtype)

    start = jnp.full((len(intensity), matrix.shape[1]), 0.5, modulus.dtype)
    return jax.lax.fori_loop(0, n_rounds, step, start)
