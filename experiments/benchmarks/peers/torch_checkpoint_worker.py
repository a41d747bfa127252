"""torch's distributed checkpoint (DCP) in one process as an engine of `bench_checkpoint`, with files synced.

A step that donates writes into its tensors, one that keeps makes new ones.
"""

from checkpoint_loop import SavedLoop, draw_state
from worker import serve

_SIDE = 512  # as in jax_checkpoint_state.py


class Checkpoints:
    """Saves and loads by DCP."""

    def __init__(self, task):
        import torch  # pyright: ignore
        import torch.distributed.checkpoint as dcp  # pyright: ignore

        torch.set_grad_enabled(False)
        self._torch, self._dcp, self._n_products = torch, dcp, task["n_products"]
        drawn = draw_state(task["n_tensors"], task["tensor_mib"], task["seed"])
        self._tensors = {name: torch.from_numpy(array).clone() for name, array in drawn.items()}
        self.n_bytes = sum(array.nbytes for array in drawn.values())
        self._x = torch.eye(_SIDE)
        self._future = None
        self.versions = {"torch": str(torch.__version__)}

    def begin(self, path):
        """Starts a save."""
        writer = self._dcp.FileSystemWriter(path, sync_files=True)
        self._future = self._dcp.async_save(self._tensors, storage_writer=writer, no_dist=True)

    def done(self, path):
        """Whether it is committed."""
        del path
        return self._future is None or self._future.done()

    def wait(self):
        """Waits for that."""
        if self._future is not None:
            self._future.result()

    def load(self, path):
        """The state of a save as new tensors."""
        found = {name: self._torch.empty_like(tensor) for name, tensor in self._tensors.items()}
        self._dcp.load(found, checkpoint_id=path, no_dist=True)
        return found

    def arrays(self, loaded):
        """What was loaded, by name."""
        return {name: tensor.numpy() for name, tensor in loaded.items()}

    def advance(self, donating):
        """One step."""
        x = self._x
        for _ in range(self._n_products):
            x = self._torch.tanh(x @ x.T + x)
        self._x, add = x, 1e-3 * x[0, 0]
        if donating:
            for tensor in self._tensors.values():
                tensor.mul_(0.999).add_(add)
        else:
            self._tensors = {name: 0.999 * a + add for name, a in self._tensors.items()}


def build(task, arrays):
    """Prepares the engine."""
    del arrays
    return SavedLoop(Checkpoints(task), task["folder"])


if __name__ == "__main__":
    serve(build)
