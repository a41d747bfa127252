"""torch's distributed checkpoint (DCP) in one process as an engine of `bench_checkpoint` and `checkpoint_stall`.

Its files are synced. A step that donates writes into its tensors, one that keeps makes new ones. The training is that
of `jax_checkpoint_training.py` in torch, whose optimiser writes into its tensors.
"""

from checkpoint_loop import SavedLoop, SavedTraining, draw_state
from worker import serve

_SIDE = 512  # as in jax_checkpoint_state.py


class Checkpoints:
    """Saves and loads by DCP.

    Args:
        state: Has `tensors`, a state dictionary that may be nested.
    """

    def __init__(self, state):
        import torch  # pyright: ignore
        import torch.distributed.checkpoint as dcp  # pyright: ignore

        self._state, self._torch, self._dcp = state, torch, dcp
        self._future = None
        self.versions = {"torch": str(torch.__version__)}

    def begin(self, path):
        """Starts a save, after the end of the one before."""
        self.wait()
        writer = self._dcp.FileSystemWriter(path, sync_files=True)
        self._future = self._dcp.async_save(
            self._state.tensors, storage_writer=writer, no_dist=True
        )

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
        tensors = self._state.tensors
        found = {name: self._torch.empty_like(tensor) for name, tensor in tensors.items()}
        self._dcp.load(found, checkpoint_id=path, no_dist=True)
        return found

    def arrays(self, loaded):
        """What was loaded, by name."""
        return {name: tensor.numpy() for name, tensor in loaded.items()}


class State:
    """The state of `bench_checkpoint` in torch."""

    def __init__(self, task):
        import torch  # pyright: ignore

        torch.set_grad_enabled(False)
        self._torch, self._n_products = torch, task["n_products"]
        drawn = draw_state(task["n_tensors"], task["tensor_mib"], task["seed"])
        self.tensors = {name: torch.from_numpy(array).clone() for name, array in drawn.items()}
        self.n_bytes = sum(array.nbytes for array in drawn.values())
        self._x = torch.eye(_SIDE)

    def advance(self, donating):
        """One step."""
        x = self._x
        for _ in range(self._n_products):
            x = self._torch.tanh(x @ x.T + x)
        self._x, add = x, 1e-3 * x[0, 0]
        if donating:
            for tensor in self.tensors.values():
                tensor.mul_(0.999).add_(add)
        else:
            self.tensors = {name: 0.999 * a + add for name, a in self.tensors.items()}


class Training:
    """Layers trained by Adam in torch, as `JaxTraining` is in JAX.

    Args:
        task: As of `JaxTraining`.
    """

    def __init__(self, task):
        import torch  # pyright: ignore

        torch.manual_seed(task["seed"])
        self._task, width = task, task["width"]
        self._layers = [
            torch.nn.Parameter(torch.randn(width, width) / width**0.5)
            for _ in range(task["n_layers"])
        ]
        self._optimiser = torch.optim.Adam(self._layers, 1e-4)
        self._x = torch.randn(task["n_rows"], width)
        self._loss = torch.nn.functional.mse_loss
        self._tanh = torch.tanh
        self.versions = {"torch": str(torch.__version__)}

    def step(self):
        """Nothing: all is in `measure`."""

    def check(self):
        """Bytes of the state."""
        import numpy as np

        return {"bytes": np.array([3.0 * sum(layer.nbytes for layer in self._layers)])}

    @property
    def tensors(self):
        """What is saved."""
        layers = {str(i): layer.detach() for i, layer in enumerate(self._layers)}
        return {"layers": layers, "optimiser": self._optimiser.state_dict()}

    def measure(self, what, **how):
        """Calls of steps, and what saves cost."""
        del what
        saved = SavedTraining(Checkpoints(self), self._task["folder"], **how)
        per_call, n_steps = self._task["steps_per_call"], self._task["n_steps"]
        for n_done in range(0, n_steps, per_call):
            for _ in range(min(per_call, n_steps - n_done)):
                self._optimiser.zero_grad()
                y = self._x
                for layer in self._layers:
                    y = y + self._tanh(y @ layer)
                self._loss(y, self._x).backward()
                self._optimiser.step()
            saved.after_call(min(n_done + per_call, n_steps))
        return saved.report()


def build(task, arrays):
    """Prepares the engine."""
    del arrays
    if "n_layers" in task:
        return Training(task)
    state = State(task)
    return SavedLoop(Checkpoints(state), state, task["folder"])


if __name__ == "__main__":
    serve(build)
