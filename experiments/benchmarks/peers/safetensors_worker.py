"""safetensors with arrays of JAX as an engine of `bench_checkpoint`.

It saves while the loop waits, and leaves the file to the system; the file is synced here, as the others sync theirs.
"""

import os

from checkpoint_loop import SavedLoop
from worker import serve


class Checkpoints:
    """Saves and loads by safetensors.

    Args:
        state: Has `tensors`, and `blank()` of the same without numbers.
    """

    def __init__(self, state):
        import jax
        import safetensors
        from safetensors import flax

        self._state, self._files, self._put = state, flax, jax.device_put
        self.versions = {"jax": jax.__version__, "safetensors": safetensors.__version__}

    def begin(self, path):
        """A whole save."""
        os.mkdir(path)
        # A dictionary of its own: safetensors 0.8.0 puts arrays of NumPy into the one that it is given.
        tensors = dict(self._state.tensors)
        self._files.save_file(tensors, os.path.join(path, "state.safetensors"))
        with open(os.path.join(path, "state.safetensors"), "rb") as file:
            os.fsync(file.fileno())

    def done(self, path):
        """It is, once it returns."""
        return os.path.exists(path)

    def wait(self):
        """Nothing to wait for."""

    def load(self, path):
        """The state of a save as arrays of JAX."""
        found = self._files.load_file(os.path.join(path, "state.safetensors"))
        return {name: self._put(found[name], s.sharding) for name, s in self._state.blank().items()}

    def arrays(self, loaded):
        """What was loaded, by name."""
        return loaded


def build(task, arrays):
    """Prepares the engine."""
    del arrays
    from jax_checkpoint_state import JaxState

    state = JaxState(task)
    return SavedLoop(Checkpoints(state), state, task["folder"])


if __name__ == "__main__":
    serve(build)
