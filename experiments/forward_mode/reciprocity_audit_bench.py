"""The bench that the reciprocity audit judges: its passes, its random problems, and the gradient of forward mode."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from optics.learning.relocations import Relocation
from optics.learning.rules.forward_mode import forward_pass
from optics.waves import modulation


def nameless(relocation: Relocation) -> Relocation:
    """A name is static, and each new one would mean a new program."""
    return dataclasses.replace(relocation, name="")


@eqx.filter_jit
def measure(bench, fields, phase, key):
    """Before the laboratory drifts; flat weights stand at pi, which electronics takes off again."""
    if phase is None:
        return -bench.measure_field(fields, jnp.full(bench.geometry.shape, np.pi), key=key)
    return bench.measure_field(fields, phase, key=key)


@eqx.filter_jit
def problems(config, key, dtype):
    """Random amplitudes on a central block of two fifths of the panel; a square of a thirteenth to be lit."""
    n = config.pixels
    low, high = round(0.3 * n), round(0.7 * n)
    block = jax.random.uniform(key, (config.samples, high - low, high - low))
    amplitude = jnp.zeros((config.samples, n, n)).at[:, low:high, low:high].set(block)
    amplitude = amplitude / jnp.sqrt(jnp.mean(amplitude**2, axis=(1, 2), keepdims=True))
    corner, side = round(0.625 * n), max(2, n // 13)
    target = np.zeros((config.samples, n, n))
    target[:, corner : corner + side, corner : corner + side] = (n / side) ** 2
    return amplitude.astype(dtype), jnp.asarray(target, jnp.finfo(dtype).dtype)


@eqx.filter_jit
def forward_gradient(network, bench, field, targets, key, relocation):
    """Gradient of forward mode with relocated errors, the error at the output, and the fields behind each modulator."""
    estimate, data = forward_pass(network, bench, field, targets, key=key, relocation=relocation)
    error = jax.grad(network.readout.loss)(estimate.output, targets)
    return estimate.gradient.phase, error, modulation(network.phase)[:, None] * data.loaded
