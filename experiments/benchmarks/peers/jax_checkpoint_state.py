"""The state of `bench_checkpoint` in JAX, and its step: some products, and new numbers in every tensor.

For engines of checkpoints; it runs in the environments of peers too.
"""

from checkpoint_loop import draw_state

_SIDE = 512  # of the matrices that are multiplied


class JaxState:
    """A state that steps.

    Args:
        task: `n_tensors`, `tensor_mib`, `seed`, `n_products` of matrices in a step, and `n_devices`, over which rows
            of tensors are cut.
    """

    def __init__(self, task):
        import jax
        import jax.numpy as jnp
        from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

        devices = jax.devices()[: task["n_devices"]]
        if len(devices) < task["n_devices"]:
            raise ValueError(f"`n_devices` must be at most {len(devices)}")
        cut = SingleDeviceSharding(devices[0])
        if len(devices) > 1:
            cut = NamedSharding(Mesh(devices, ("rows",)), PartitionSpec("rows"))
        drawn = draw_state(task["n_tensors"], task["tensor_mib"], task["seed"])
        self._jax = jax
        # A copy of one's own: a buffer of NumPy's can never be donated.
        self.tensors = {n: jax.device_put(jnp.array(a, copy=True), cut) for n, a in drawn.items()}
        self.n_bytes = sum(array.nbytes for array in self.tensors.values())
        self._x = jnp.eye(_SIDE)

        def step(tensors, x):
            def product(_, x):
                return jnp.tanh(x @ x.T + x)

            x = jax.lax.fori_loop(0, task["n_products"], product, x)
            return {n: 0.999 * a + 1e-3 * x[0, 0] for n, a in tensors.items()}, x

        self._steps = {False: jax.jit(step), True: jax.jit(step, donate_argnums=0)}

    def advance(self, donating):
        """One step; `donating` gives the buffers of the state to it."""
        self.tensors, self._x = self._steps[donating](self.tensors, self._x)
        self._jax.block_until_ready((self.tensors, self._x))

    def blank(self):
        """Shapes and shardings without numbers."""
        struct = self._jax.ShapeDtypeStruct
        return {n: struct(a.shape, a.dtype, sharding=a.sharding) for n, a in self.tensors.items()}
