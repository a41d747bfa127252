"""Training of a phase network in JAX, given how one plane is propagated to the next.

Shared by the workers of this package and of chromatix, so that both have the same optimiser and loss.
"""

import jax
import jax.numpy as jnp
import optax


class JaxTraining:
    """One training run: Adam on the phases of stacked masks.

    Args:
        task: Task of the benchmark.
        arrays: Fields, phases and target.
        layer: Maps (amplitudes (batch, y, x), phase (y, x)) to the amplitudes on the next plane.
        versions: Versions of the packages used.
    """

    def __init__(self, task, arrays, layer, versions):
        self.versions = {"jax": jax.__version__} | versions
        fields, target = jnp.asarray(arrays["fields"]), jnp.asarray(arrays["target"])
        optimiser = optax.adam(task["learning_rate"])

        def intensity(phases):
            field = fields
            for phase in phases:
                field = layer(field, phase)
            return jnp.real(field) ** 2 + jnp.imag(field) ** 2

        def loss(phases):
            return jnp.mean((intensity(phases) - target) ** 2)

        def update(phases, state):
            value, gradient = jax.value_and_grad(loss)(phases)
            change, state = optimiser.update(gradient, state)
            return value, optax.apply_updates(phases, change), state

        self._initial = jnp.asarray(arrays["phases"])
        self._phases, self._state = self._initial, optimiser.init(self._initial)
        self._update = jax.jit(update, donate_argnums=(0, 1))
        self._loss, self._intensity = loss, intensity
        # `update` consumes its arguments.
        self._phases = jnp.copy(self._initial)

    def step(self):
        """Loss, gradient and update."""
        value, self._phases, self._state = self._update(self._phases, self._state)
        jax.block_until_ready((value, self._phases))

    def check(self):
        """Loss, gradient and output intensity at the initial phases."""
        value, gradient = jax.jit(jax.value_and_grad(self._loss))(self._initial)
        return {
            "loss": value,
            "gradient": gradient,
            "intensity": jax.jit(self._intensity)(self._initial),
        }
