"""Orbax as an engine of `bench_checkpoint`: its `StandardCheckpointer`, which saves beside the training.

Its files are synced, which is the default of TensorStore. A save has ended when the folder has its name.
"""

import os

from checkpoint_loop import SavedLoop
from worker import serve


class Checkpoints:
    """Saves and loads by Orbax."""

    def __init__(self, task):
        import jax
        import orbax.checkpoint as ocp  # pyright: ignore
        from jax_checkpoint_state import JaxState

        self._state = JaxState(task)
        self._saver = ocp.StandardCheckpointer()
        self.advance, self.n_bytes = self._state.advance, self._state.n_bytes
        self.versions = {"jax": jax.__version__, "orbax-checkpoint": ocp.__version__}

    def begin(self, path):
        """Starts a save."""
        self._saver.save(path, self._state.tensors)

    def done(self, path):
        """Whether it is committed."""
        return os.path.exists(path)

    def wait(self):
        """Waits for that."""
        self._saver.wait_until_finished()

    def load(self, path):
        """The state of a save as arrays of JAX."""
        return self._saver.restore(path, self._state.blank())

    def arrays(self, loaded):
        """What was loaded, by name."""
        return loaded


def build(task, arrays):
    """Prepares the engine."""
    del arrays
    return SavedLoop(Checkpoints(task), task["folder"])


if __name__ == "__main__":
    serve(build)
