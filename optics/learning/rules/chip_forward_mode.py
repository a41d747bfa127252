"""Fully forward mode on a chip of symmetric cores: no model, no light sent backwards.

Blocks y_l = A_l x_l follow each other, x_{l+1} = y_l, with coherent detection and re-loading in between; the powers
at the last block's ports go to the loss. With the cotangent c = dL/d(Re y) - i dL/d(Im y),

    D_l = dL/dA_l = sum over samples of c_l x_l^T,      c_{l-1} = A_l^T c_l

and on a symmetric core A^T c = A c: the error enters the same inputs as the data (Z. Xue et al., Nature 632, 280
(2024), DOI 10.1038/s41586-024-07687-4, Fig. 5a). The ports alone give D, of which a symmetric matrix answers to
(D + D^T) / 2. The gradient of what is set inside comes from taps: each tied phase sums over its two shifters,

    dL/dphase = -r Im sum (u_first c_second + u_second c_first),      dL/dattenuation = r Re sum u_middle c_middle

with u from the data pass and c from the error pass (`optics.meshes.symmetric.tied_gradient`), r the symmetry ratio. Two
other controllers were tried and dropped: to factor the wanted matrices anew after each update makes phases, and the
chip's errors with them, jump; the chain rule from D through a model of the core fails once crosstalk has turned the
phases.

Where a block has an asymmetric remainder, A = r A_sym + (1 - r) A_gen, the chip still sends the error forward, and A
stands in for A^T: what it gets wrong is (1 - r) (A_gen - A_gen^T) c per block. The last block needs no
transport and stays exact. Forward light cannot reach the gradient of A_gen's own phases, which are therefore left as
they are, by every method.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int, PRNGKeyArray

from optics._checks import check_positive, check_shape
from optics._numbers import takes_numbers
from optics.hardware.chip import (
    BlockSettings,
    ChipBench,
    ProgrammedBlocks,
    nominal_matrices,
)
from optics.learning.loop import adam, descend
from optics.meshes.symmetric import tied_gradient
from optics.networks.readout import PortReadout

MEASUREMENTS_PER_BLOCK = 2  # One data and one error pass.


class ChipGradient(NamedTuple):
    """What is known after one batch.

    Attributes:
        loss: Mean loss of the batch.
        matrix: dL/d(Re A) - i dL/d(Im A) of each block.
        settings: Derivative with respect to the settings; zero for the phases of general cores, which are not
            trained.
        output: Field behind the last block.
    """

    loss: Float[Array, ""]
    matrix: Complex[Array, "block port port"]
    settings: BlockSettings
    output: Complex[Array, "sample port"]


class BlockTask(NamedTuple):
    """Loaded fields and their classes.

    Attributes:
        x_train: Training fields.
        y_train: Their classes.
        x_test: Test fields.
        y_test: Their classes.
    """

    x_train: Complex[Array, "train port"]
    y_train: Int[Array, " train"]
    x_test: Complex[Array, "test port"]
    y_test: Int[Array, " test"]


class BlockFit(NamedTuple):
    """Outcome of `fit_blocks`.

    Attributes:
        settings: Settings before each epoch and after the last one.
        loss: Training loss likewise, as the rule saw it.
        correct: Which test samples are right before each epoch and after the last, in the model or as measured.
    """

    settings: BlockSettings
    loss: Float[Array, " epoch_and_end"]
    correct: Bool[Array, "epoch_and_end test"]


def measure_chip_gradient(
    blocks: ProgrammedBlocks,
    settings: BlockSettings,
    field,
    labels,
    readout: PortReadout,
    *,
    ratio: float | Array,
    key: PRNGKeyArray,
) -> ChipGradient:
    """Gradient measured on the chip: data, then error, through every block in the same direction.

    Args:
        blocks: The chip as set to `settings`.
        settings: Commanded settings.
        field: Loaded fields, (sample, port).
        labels: Class of each sample.
        readout: Loss, computed in electronics from the measured field.
        ratio: Symmetry ratio, the weight with which the symmetric cores are added.
        key: PRNG key of measurement noise.
    """
    data_key, error_key = jax.random.split(key)

    def data(x, inputs):
        block, block_key = inputs
        light = block.measure_taps(x, key=block_key)
        return light.output, (x, light)

    keys = jax.random.split(data_key, blocks.n_blocks)
    output, (loaded, u) = jax.lax.scan(data, field, (blocks, keys))
    loss, cotangent = jax.value_and_grad(readout.loss)(output, labels)

    def error(c_y, inputs):
        block, x, u, block_key = inputs
        c = block.measure_taps(c_y, key=block_key)
        return c.output, (c_y.T @ x, *tied_gradient(u, c, gain=ratio))

    keys = jax.random.split(error_key, blocks.n_blocks)
    _, found = jax.lax.scan(error, cotangent, (blocks, loaded, u, keys), reverse=True)
    matrix, phases, attenuation = found
    return ChipGradient(loss, matrix, _settings(phases, attenuation, settings), output)


def model_gradient(
    transfer: Callable[[BlockSettings], Array],
    settings: BlockSettings,
    field,
    labels,
    readout: PortReadout,
) -> ChipGradient:
    """Gradient by automatic differentiation: in silico with the ideal model, exact with that of the chip's twin.

    Args:
        transfer: Settings -> matrices of all blocks.
        settings: Settings.
        field: Loaded fields, (sample, port).
        labels: Class of each sample.
        readout: Loss.
    """
    matrices, pull_back = jax.vjp(transfer, settings)

    def loss(matrices):
        output = run_blocks(matrices, field)
        return readout.loss(output, labels), output

    (value, output), matrix = jax.value_and_grad(loss, has_aux=True)(matrices)
    found = pull_back(matrix)[0]
    return ChipGradient(value, matrix, _settings(found.tied, found.attenuation, settings), output)


@takes_numbers
def run_blocks(matrices: Complex[Array, "block port port"], field) -> Array:
    """Field behind the last block without noise."""
    return jax.lax.scan(lambda x, a: (x @ a.T, None), field, matrices)[0]


def _settings(tied, attenuation, like: BlockSettings) -> BlockSettings:
    return BlockSettings(
        tied, attenuation, None if like.free is None else jnp.zeros_like(like.free)
    )


def fit_blocks(
    start: BlockSettings,
    task: BlockTask,
    readout: PortReadout,
    *,
    ratio: float | Array,
    bench: ChipBench | None = None,
    n_epochs: int = 100,
    learning_rate: float | Array = 0.03,
    key: PRNGKeyArray,
) -> BlockFit:
    """Trains all blocks, by forward mode on a bench or, without one, in the ideal model.

    Adam in electronics, one step an epoch on all training samples, the step falling to a tenth along a cosine: the
    same for both (our choice; the paper's is unknown). Can be compiled and mapped over runs as a whole.

    Args:
        start: Initial settings.
        task: Training and test samples.
        readout: Loss and decision.
        ratio: Symmetry ratio in [0, 1].
        bench: Chip to train and test on; None trains and tests in the model.
        n_epochs: Epochs.
        learning_rate: Adam's initial step, rad for phases, 1 for attenuations.
        key: PRNG key of measurement noise.

    Raises:
        ValueError: If a number is out of range or the samples do not fit the ports.
    """
    if n_epochs < 1:
        raise ValueError(f"`n_epochs` must be at least 1, but is {n_epochs}.")
    check_positive(learning_rate, "learning_rate")
    n_blocks, n_ports = start.attenuation.shape
    for name, samples in (("x_train", task.x_train), ("x_test", task.x_test)):
        check_shape(samples, name, (n_ports,), "One amplitude a port.")

    def test(settings, epoch):
        """Gradient and test result at the present settings, from the chip or from the model."""
        if bench is None:
            model = partial(nominal_matrices, ratio=ratio)
            gradient = model_gradient(model, settings, task.x_train, task.y_train, readout)
            return gradient, readout.correct(run_blocks(model(settings), task.x_test), task.y_test)
        keys = jax.random.split(jax.random.fold_in(key, epoch))
        time = epoch * MEASUREMENTS_PER_BLOCK * n_blocks
        blocks = bench.program(settings, ratio, time=time)
        batch = (settings, task.x_train, task.y_train, readout)
        gradient = measure_chip_gradient(blocks, *batch, ratio=ratio, key=keys[0])
        output = measure_blocks(blocks, task.x_test, key=keys[1])
        return gradient, readout.correct(output, task.y_test)

    def look(settings, epoch):
        gradient, correct = test(settings, epoch)
        return gradient.settings, (settings, gradient.loss, correct)

    optimiser = adam(learning_rate, n_epochs)
    # One epoch more, whose update is dropped, looks at the end; a look of its own would compile everything twice.
    epochs = jnp.arange(n_epochs + 1)
    state = (start, optimiser.init(start))
    _, (settings, loss, correct) = descend(look, state, optimiser, epochs, project=_project)
    return BlockFit(settings, loss, correct)


def _project(settings) -> BlockSettings:
    """Keeps attenuations in [0, 1]; the chip takes phases modulo 2 pi."""
    return settings._replace(attenuation=jnp.clip(settings.attenuation, 0, 1))


def measure_blocks(blocks: ProgrammedBlocks, field, *, key: PRNGKeyArray) -> Array:
    """Field measured behind the last block for loaded fields."""

    def data(x, inputs):
        block, block_key = inputs
        return block.measure_field(x, key=block_key), None

    return jax.lax.scan(data, field, (blocks, jax.random.split(key, blocks.n_blocks)))[0]
