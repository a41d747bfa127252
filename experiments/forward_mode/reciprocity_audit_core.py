"""The symmetric core that the reciprocity audit judges: its true gradient and that of forward mode, side by side."""

import equinox as eqx
import jax
import jax.numpy as jnp

from optics.meshes import SymmetricCore


class MeasuredCore(eqx.Module):
    """Symmetric core as built, with noise on what is measured."""

    core: SymmetricCore
    noise: float

    def __call__(self, fields, *, key):
        """Fields behind the core as measured, the noise relative to their root mean square."""
        answer = self.core(fields)
        rms = jnp.sqrt(jnp.mean(jnp.abs(answer) ** 2, axis=-1, keepdims=True))
        return answer + self.noise * rms * jax.random.normal(key, answer.shape, answer.dtype)


@eqx.filter_jit
def core_gradients(chip, phase, x, target, key):
    """True and forward-mode gradient of the phases, the error at the output, and the fields behind each modulator.

    The layers are `phase[k]` on every port and then the core, the same core in every layer.
    """
    n_layers = len(phase)

    def cost(y):
        return jnp.mean(jnp.sum((jnp.abs(y) ** 2 - target[None]) ** 2, axis=-1))

    def through(phase):
        y = x
        for layer in range(n_layers):
            y = chip.core(jnp.exp(1j * phase[layer])[None] * y)
        return cost(y)

    keys = jax.random.split(key, 2 * n_layers)
    y, loaded = x, []
    for layer in range(n_layers):
        loaded.append(jnp.exp(1j * phase[layer])[None] * y)
        y = chip(loaded[-1], key=keys[layer])
    error = carried = jax.grad(cost)(y)
    gradient = []
    for layer in reversed(range(n_layers)):
        carried = chip(carried, key=keys[n_layers + layer])
        gradient.append(-jnp.sum(jnp.imag(loaded[layer] * carried), axis=0))
        carried = jnp.exp(1j * phase[layer])[None] * carried
    return jax.grad(through)(phase), jnp.stack(gradient[::-1]), error, jnp.stack(loaded)
