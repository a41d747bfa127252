"""`nn.checkpoint` as an engine of `bench_checkpoint` and `checkpoint_stall`.

Variants: "auto" and "copies", kinds of snapshot; "blocking", where the loop waits for the whole save.
"""

from checkpoint_loop import SavedLoop
from worker import serve


class Checkpoints:
    """Saves and loads by this package.

    Args:
        state: Has `tensors`, and `blank()` of the same without numbers.
        variant: How to save.
    """

    def __init__(self, state, variant):
        import jax

        from nn.checkpoint import load, save

        self._state, self._save, self._load = state, save, load
        self._waits = variant == "blocking"
        self._kind = "auto" if self._waits else variant
        self._handle = None
        self.versions = {"jax": jax.__version__}

    def begin(self, path):
        """Starts a save."""
        self._handle = self._save(path, self._state.tensors, snapshot=self._kind, wait=self._waits)

    def done(self, path):
        """Whether it is committed."""
        del path
        return self._handle is None or self._handle.done()

    def wait(self):
        """Waits for that."""
        if self._handle is not None:
            self._handle.wait()

    def load(self, path):
        """The state of a save as arrays of JAX."""
        return self._load(path, self._state.blank())

    def arrays(self, loaded):
        """What was loaded, by name."""
        return loaded


def build(task, arrays):
    """Prepares the engine."""
    del arrays
    if "n_layers" in task:
        from jax_checkpoint_training import JaxTraining

        return JaxTraining(task, lambda state: Checkpoints(state, task["variant"]))
    from jax_checkpoint_state import JaxState

    state = JaxState(task)
    return SavedLoop(Checkpoints(state, task["variant"]), state, task["folder"])


if __name__ == "__main__":
    serve(build)
