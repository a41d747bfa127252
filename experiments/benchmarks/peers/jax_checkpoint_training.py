"""A real training whose state is saved on the way: `nn.training.train`, with donation, of layers by Adam.

For engines of `checkpoint_stall`; it runs in the environments of peers too, which have what `nn.training` imports.
"""

import sys
from pathlib import Path

from checkpoint_loop import SavedTraining


class JaxTraining:
    """An engine of `worker.serve`.

    Args:
        task: `n_layers`, `width`, `n_rows` of a batch, `steps_per_call`, `n_steps`, `folder` and `seed`.
        make_package: Of an object with `tensors`: what saves, as of `SavedLoop`.
    """

    def __init__(self, task, make_package):
        sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
        import jax
        import jax.numpy as jnp
        import optax

        from nn.training import train

        self._task, self._jax = task, jax
        self._train, self._adam = train, optax.adam(1e-4)
        key = jax.random.key(task["seed"])
        width = task["width"]
        keys = jax.random.split(key, task["n_layers"])
        self._layers = [jax.random.normal(k, (width, width)) / width**0.5 for k in keys]
        self._x = jax.random.normal(key, (task["n_rows"], width))

        def loss(layers, x, key):
            del key
            y = x
            for layer in layers:
                y = y + jnp.tanh(y @ layer)
            return jnp.mean((y - x) ** 2)

        self._loss = loss
        self.tensors = None
        self._package = make_package(self)
        self.versions = self._package.versions

    def step(self):
        """Nothing: all is in `measure`."""

    def check(self):
        """Bytes of the state."""
        import numpy as np

        return {"bytes": np.array([3.0 * sum(layer.nbytes for layer in self._layers)])}

    def measure(self, what, **how):
        """Calls of steps, and what saves cost."""
        del what
        task = self._task
        saved = SavedTraining(self._package, task["folder"], **how)

        def on_state(state):
            self.tensors = {"weights": state.weights, "memory": state.memory}
            saved.after_call(state.n_done)
            self.tensors = None  # the next call is given its buffers

        self._train(
            self._layers,
            self._loss,
            self._x,
            lambda x, key: x,
            self._adam,
            task["n_steps"],
            key=self._jax.random.key(1),
            steps_per_call=task["steps_per_call"],
            on_state=on_state,
        )
        return saved.report()
