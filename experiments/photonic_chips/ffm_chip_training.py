"""One run of the experiment `ffm_chip`: Iris as light, training in the model and on the chip, and what is recorded.

Everything of a run is one compiled function, mapped over folds and seeds.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optics.hardware import draw_chip, make_settings, nominal_matrices
from optics.learning.rules import fit_blocks
from optics.learning.rules.chip_forward_mode import (
    BlockFit,
    BlockTask,
    measure_blocks,
    measure_chip_gradient,
    model_gradient,
)
from optics.metrics import cosine_similarity, gradient_error
from optics.networks import PortReadout, encode_harmonics

N_CLASSES = 3
# What runs once is compiled without optimisation: that takes a fifth of the time, and running it is short anyway.
_jit_once = partial(
    jax.jit, static_argnames="config", compiler_options={"xla_backend_optimization_level": 0}
)


def load_folds(config: Any) -> BlockTask:
    """All folds of all seeds, stacked: features scaled to the training fold's range, then loaded as fields."""
    from sklearn.datasets import load_iris
    from sklearn.model_selection import StratifiedKFold

    features, labels = load_iris(return_X_y=True)
    tasks = []
    for seed in range(config.repeats):
        splitter = StratifiedKFold(config.n_folds, shuffle=True, random_state=config.seed + seed)
        for train, test in splitter.split(features, labels):
            low, high = features[train].min(axis=0), features[train].max(axis=0)
            scaled = np.clip((features - low) / (high - low), 0, 1)
            fields, classes = encode_harmonics(scaled, config.n_ports), labels.astype(np.int32)
            tasks.append((fields[train], classes[train], fields[test], classes[test]))
    # Folds differ in size by one flower of a class where 50 is no multiple of their number.
    sizes = [min(len(task[i]) for task in tasks) for i in range(4)]
    return BlockTask(*(np.stack([t[i][:n] for t in tasks]) for i, n in enumerate(sizes)))  # pyright: ignore[reportArgumentType]


def train_and_test(tasks: BlockTask, keys, config: Any, ratio: float) -> dict[str, np.ndarray]:
    """Trains in the model and on chips, and records accuracies, fidelity and gradients, for all folds at once.

    Args:
        tasks: Folds, stacked.
        keys: PRNG key of start, chip and noise of each.
        config: Configuration of `experiments.photonic_chips.ffm_chip`.
        ratio: Symmetry ratio.

    Returns:
        Accuracies as shares, errors of gradients in percent by layer; folds along the first axis.
    """
    tasks = jax.tree.map(jnp.asarray, tasks)
    start, twin, bench = draw_chips(keys, config)
    ratio_ = jnp.asarray(ratio)
    ideal, ffm = _train(tasks, start, bench, keys, ratio_, config)
    found = _record(tasks, twin, bench, keys, ratio_, (ideal.settings, ffm.settings), config)
    found |= {"accuracy.ideal": ideal.correct.mean(-1), "accuracy.ffm": ffm.correct.mean(-1)}
    return {name: np.asarray(values) for name, values in found.items()}


def checkpoints(config: Any) -> np.ndarray:
    """Epochs at which in-silico weights are tried on the chip and fidelity is measured; the last one included."""
    return np.append(np.arange(0, config.n_epochs, config.checkpoints), config.n_epochs)


@_jit_once
def draw_chips(keys, config: Any):
    """Starts and chips; with general cores at r = 1 too, where their weight is 0, so that one program serves all."""
    n, blocks = config.n_ports, config.n_blocks

    def one(key):
        start_key, chip_key = jax.random.split(jax.random.fold_in(key, 0))
        start = make_settings(n, blocks, symmetric=False, key=start_key)
        return start, *draw_chip(n, blocks, config.hardware, symmetric=False, key=chip_key)

    return jax.vmap(one)(keys)


@partial(jax.jit, static_argnames="config")
def _train(tasks: BlockTask, start, bench, keys, ratio, config: Any) -> tuple[BlockFit, BlockFit]:
    readout = PortReadout(config.readout_gain, N_CLASSES)
    options = {"ratio": ratio, "n_epochs": config.n_epochs, "learning_rate": config.learning_rate}

    def one(task, start, bench, key):
        key = jax.random.fold_in(key, 1)
        ideal = fit_blocks(start, task, readout, key=key, **options)
        return ideal, fit_blocks(start, task, readout, key=key, bench=bench, **options)

    return jax.vmap(one)(tasks, start, bench, keys)


@_jit_once
def _record(tasks, twin, bench, keys, ratio, trained, config: Any):
    readout = PortReadout(config.readout_gain, N_CLASSES)
    epochs = checkpoints(config)
    n, seen = len(epochs), min(1, config.n_blocks - 1)  # Layer 2, as in Fig. 5d.

    def one(task, twin, bench, key, trained):
        ideal, ffm = trained
        look_key = jax.random.fold_in(key, 2)
        train = (task.x_train, task.y_train, readout)

        def look(settings):
            """Test accuracy on the chip, and fidelity of its matrices."""
            wanted = nominal_matrices(settings, ratio)
            got = twin.transfer_matrices(settings, ratio)
            blocks = bench.program(settings, ratio)
            output = measure_blocks(blocks, task.x_test, key=look_key)
            overlap = jnp.abs(jnp.sum(wanted.conj() * got, axis=(1, 2))) ** 2
            share = jnp.mean(readout.correct(output, task.y_test))
            return share, jnp.mean(overlap / (_power(wanted) * _power(got)))

        looked = jax.tree.map(lambda a, b: jnp.concatenate([a[epochs], b[epochs]]), ideal, ffm)
        accuracy, fidelity = jax.lax.map(look, looked)
        # What the chip measures, what is true on it, what the model believes.
        settings = jax.tree.map(lambda leaf: leaf[config.iteration], ffm)
        blocks = bench.program(settings, ratio)
        measured = measure_chip_gradient(blocks, settings, *train, ratio=ratio, key=look_key)
        true = model_gradient(partial(twin.transfer_matrices, ratio=ratio), settings, *train)
        model = model_gradient(partial(nominal_matrices, ratio=ratio), settings, *train)
        errors, cosines = jax.vmap(gradient_error), jax.vmap(cosine_similarity)
        return {
            "accuracy.in_silico": accuracy[:n],
            "fidelity": fidelity[n:],
            "gradient_error.ffm": 100 * errors(measured.matrix, true.matrix),
            "gradient_error.in_silico": 100 * errors(model.matrix, true.matrix),
            "cosine.ffm": cosines(measured.settings.tied, true.settings.tied),
            "cosine.in_silico": cosines(model.settings.tied, true.settings.tied),
            "scatter.measured": measured.matrix[seen],
            "scatter.simulated": true.matrix[seen],
        }

    return jax.vmap(one)(tasks, twin, bench, keys, trained)


def _power(matrices):
    return jnp.sum(jnp.abs(matrices) ** 2, axis=(1, 2))
