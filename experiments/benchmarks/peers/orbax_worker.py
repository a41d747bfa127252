"""Orbax as an engine of `bench_checkpoint` and `checkpoint_stall`: its `StandardCheckpointer`.

It saves beside the training, and its files are synced, which is the default of TensorStore. A save has ended when the
folder has its name.
"""

import os

from checkpoint_loop import SavedLoop
from worker import serve


class Checkpoints:
    """Saves and loads by Orbax.

    Args:
        state: Has `tensors`, and `blank()` of the same without numbers.
    """

    def __init__(self, state):
        import jax
        import orbax.checkpoint as ocp  # pyright: ignore

        self._state, self._saver = state, ocp.StandardCheckpointer()
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
    if "n_layers" in task:
        from jax_checkpoint_training import JaxTraining

        return JaxTraining(task, Checkpoints)
    from jax_checkpoint_state import JaxState

    state = JaxState(task)
    return SavedLoop(Checkpoints(state), state, task["folder"])


if __name__ == "__main__":
    serve(build)
