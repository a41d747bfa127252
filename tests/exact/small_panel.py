"""The smallest free-space classification whose accuracy stands clear of chance, for the experiments on a panel."""

from experiments.forward_mode.panel import Optics

PANEL = {
    "depths": (2,),
    "repeats": 2,
    "n_train": 200,
    "n_test": 40,
    "optics": Optics(pixels=16, distance=1e-3, n_steps=40, batch_size=16),
}
