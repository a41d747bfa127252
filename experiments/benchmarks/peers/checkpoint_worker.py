"""`nn.checkpoint` as an engine of `bench_checkpoint`.

The variant is the kind of snapshot: "auto", or "copies".
"""

from checkpoint_loop import SavedLoop
from worker import serve


class Checkpoints:
    """Saves and loads by this package."""

    def __init__(self, task):
        import jax
        from jax_checkpoint_state import JaxState

        from nn.checkpoint import load, save

        self._state = JaxState(task)
        self._how, self._save, self._load = task["variant"], save, load
        self._handle = None
        self.advance, self.n_bytes = self._state.advance, self._state.n_bytes
        self.versions = {"jax": jax.__version__}

    def begin(self, path):
        """Starts a save."""
        self._handle = self._save(path, self._state.tensors, snapshot=self._how)

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
    return SavedLoop(Checkpoints(task), task["folder"])


if __name__ == "__main__":
    serve(build)
