"""Loss and gradient of one mesh in JAX, given its output fields; shared by the workers of `bench_mesh` that use JAX."""

import jax
import jax.numpy as jnp


class MeshGradient:
    """Mean squared error of the output powers, and its derivative with respect to all phases.

    Args:
        arrays: Input fields, target powers and phases.
        forward: Maps ((theta, phi, output_phase), fields (batch, port)) to the output fields.
        versions: Versions of the packages used.
    """

    def __init__(self, arrays, forward, versions):
        self.versions = {"jax": jax.__version__} | versions
        fields, target = jnp.asarray(arrays["fields"]), jnp.asarray(arrays["target"])
        self._phases = tuple(jnp.asarray(arrays[k]) for k in ("theta", "phi", "output_phase"))

        def intensity(phases):
            out = forward(phases, fields)
            return jnp.real(out) ** 2 + jnp.imag(out) ** 2

        def loss(phases):
            return jnp.mean((intensity(phases) - target) ** 2)

        self._gradient = jax.jit(jax.value_and_grad(loss))
        self._intensity = jax.jit(intensity)

    def step(self):
        """Loss and gradient."""
        jax.block_until_ready(self._gradient(self._phases))

    def check(self):
        """Loss, gradient in the order theta, phi, output_phase, and output powers."""
        value, gradient = self._gradient(self._phases)
        flat = jnp.concatenate([g.ravel() for g in gradient])
        return {"loss": value, "gradient": flat, "intensity": self._intensity(self._phases)}
