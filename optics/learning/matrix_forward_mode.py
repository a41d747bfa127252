"""Fully forward mode for a chip of matrix blocks: gradients of matrices from measurements at the ports alone.

Blocks y_l = A_l x_l follow each other, x_{l+1} = y_l, with coherent detection and re-loading in between; the powers
at the last block's ports go to the loss. With the cotangent c = dL/d(Re y) - i dL/d(Im y),

    dL/dA_l = sum over samples of c_l x_l^T,      c_{l-1} = A_l^T c_l

and on a symmetric core A^T c = A c: the error enters the same inputs as the data (Z. Xue et al., Nature 632, 280
(2024), DOI 10.1038/s41586-024-07687-4, Fig. 5a). The matrices are held and updated in electronics and programmed anew
after each update, so that no tap inside the chip is needed. Blocks are partially symmetric,

    A = r S + (1 - r) G,  S = S^T,      dL/dS = r (D + D^T) / 2,      dL/dG = (1 - r) D,      D = dL/dA

with the symmetry ratio r in our definition. Where r < 1 the chip still sends the error forward, and A stands in for
A^T: what it gets wrong is (1 - r) (G - G^T) c per block, which is the price of having forward light only. The last
block's gradient needs no transport and stays exact.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Complex, Float, Int, PRNGKeyArray

from optics._checks import check_in_range, check_positive, check_shape
from optics.chip import ChipBench, ProgrammedBlocks
from optics.mesh_network import PortReadout

MEASUREMENTS_PER_BLOCK = 2  # One data and one error pass.


class BlockWeights(NamedTuple):
    """Trained matrices, or anything shaped like them.

    Attributes:
        symmetric: Symmetric part S of each block.
        general: General part G of each block.
    """

    symmetric: Complex[Array, "*batch block port port"]
    general: Complex[Array, "*batch block port port"]


class MatrixGradient(NamedTuple):
    """What is known after one batch.

    Attributes:
        loss: Mean loss of the batch.
        matrix: dL/d(Re A) - i dL/d(Im A) of each block.
        output: Field behind the last block.
    """

    loss: Float[Array, ""]
    matrix: Complex[Array, "block port port"]
    output: Complex[Array, "sample port"]


class Task(NamedTuple):
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
        weights: Weights before each epoch and after the last one.
        loss: Training loss of each epoch, as the rule saw it.
        correct: Which test samples are right before each epoch and after the last, in the model or as measured.
    """

    weights: BlockWeights
    loss: Float[Array, " epoch"]
    correct: Bool[Array, "epoch_and_end test"]


def make_block_weights(
    n_blocks: int, n_ports: int, *, key: PRNGKeyArray, dtype=jnp.complex64
) -> BlockWeights:
    """Random start: complex Gaussian matrices of unit mean gain, S symmetrised (our choice)."""

    def gaussian(key):
        return jax.random.normal(key, (n_blocks, n_ports, n_ports), dtype) / np.sqrt(n_ports)

    symmetric_key, general_key = jax.random.split(key)
    square = gaussian(symmetric_key)
    # Over sqrt(2), since the sum of two independent elements has twice the variance.
    return BlockWeights((square + _transpose(square)) / np.sqrt(2), gaussian(general_key))


def block_matrices(
    weights: BlockWeights, ratio: float | Array
) -> Complex[Array, "*batch block port port"]:
    """A = r S + (1 - r) G of each block; S is symmetrised, so that rounding cannot creep in.

    Raises:
        ValueError: If the ratio is outside [0, 1].
    """
    check_in_range(ratio, "ratio", 0, 1)
    symmetric = (weights.symmetric + _transpose(weights.symmetric)) / 2
    return ratio * symmetric + (1 - ratio) * weights.general


def weight_gradient(
    matrix: Complex[Array, "block port port"], ratio: float | Array
) -> BlockWeights:
    """Gradient of S and G from that of A: symmetrised, and scaled with the ratio."""
    return BlockWeights(ratio * (matrix + _transpose(matrix)) / 2, (1 - ratio) * matrix)


def forward_mode_gradient(
    blocks: ProgrammedBlocks, field, labels, readout: PortReadout, *, key: PRNGKeyArray
) -> MatrixGradient:
    """Gradient measured on the chip: data, then error, through every block in the same direction.

    Args:
        blocks: The chip as programmed.
        field: Loaded fields, (sample, port).
        labels: Class of each sample.
        readout: Loss, computed in electronics from the measured field.
        key: PRNG key of measurement noise.
    """
    n_blocks = jax.tree.leaves(blocks)[0].shape[0]
    data_key, error_key = jax.random.split(key)

    def data(x, inputs):
        block, block_key = inputs
        return block.measure_field(x, key=block_key), x

    output, loaded = jax.lax.scan(data, field, (blocks, jax.random.split(data_key, n_blocks)))
    loss, cotangent = jax.value_and_grad(readout.loss)(output, labels)

    def error(c, inputs):
        block, x, block_key = inputs
        return block.measure_field(c, key=block_key), c.T @ x

    keys = jax.random.split(error_key, n_blocks)
    _, matrix = jax.lax.scan(error, cotangent, (blocks, loaded, keys), reverse=True)
    return MatrixGradient(loss, matrix, output)


def model_gradient(
    matrices: Complex[Array, "block port port"], field, labels, readout: PortReadout
) -> MatrixGradient:
    """Gradient by automatic differentiation, exact for the given matrices; in silico those of the model."""

    def loss(matrices):
        output, _ = jax.lax.scan(lambda x, a: (x @ a.T, None), field, matrices)
        return readout.loss(output, labels), output

    (value, output), matrix = jax.value_and_grad(loss, has_aux=True)(matrices)
    return MatrixGradient(value, matrix, output)


def fit_blocks(
    start: BlockWeights,
    task: Task,
    readout: PortReadout,
    *,
    ratio: float | Array,
    bench: ChipBench | None = None,
    n_epochs: int = 100,
    learning_rate: float | Array = 0.01,
    key: PRNGKeyArray,
) -> BlockFit:
    """Trains all blocks, by forward mode on a bench or, without one, in the ideal model.

    Adam in electronics, one step an epoch on all training samples, the step falling to a tenth along a cosine: the
    same for both (our choice; the paper's is unknown). Can be compiled and mapped over runs as a whole.

    Args:
        start: Initial weights.
        task: Training and test samples.
        readout: Loss and decision.
        ratio: Symmetry ratio in [0, 1].
        bench: Chip to train and test on; None trains and tests in the model.
        n_epochs: Epochs.
        learning_rate: Adam's initial step, in units of a matrix element.
        key: PRNG key of measurement noise.

    Raises:
        ValueError: If a number is out of range or the samples do not fit the ports.
    """
    if n_epochs < 1:
        raise ValueError(f"`n_epochs` must be at least 1, but is {n_epochs}.")
    check_positive(learning_rate, "learning_rate")
    n_blocks, n_ports = start.symmetric.shape[0], start.symmetric.shape[-1]
    for name in ("x_train", "x_test"):
        check_shape(getattr(task, name), name, (n_ports,), "One amplitude a port.")
    optimiser = optax.adam(optax.cosine_decay_schedule(learning_rate, n_epochs, alpha=0.1))  # pyright: ignore[reportArgumentType]

    def look(weights, epoch):
        """Gradient and test result at the present weights, from the chip or from the model."""
        matrices = block_matrices(weights, ratio)
        if bench is None:
            gradient = model_gradient(matrices, task.x_train, task.y_train, readout)
            output = jax.lax.scan(lambda x, a: (x @ a.T, None), task.x_test, matrices)[0]
            return gradient, readout.correct(output, task.y_test)
        keys = jax.random.split(jax.random.fold_in(key, epoch))
        blocks = bench.program(matrices, time=epoch * MEASUREMENTS_PER_BLOCK * n_blocks)
        gradient = forward_mode_gradient(blocks, task.x_train, task.y_train, readout, key=keys[0])
        output = measure_output(blocks, task.x_test, key=keys[1])
        return gradient, readout.correct(output, task.y_test)

    def step(state, epoch):
        weights, optimiser_state = state
        gradient, correct = look(weights, epoch)
        found = weight_gradient(gradient.matrix, ratio)
        # Steepest descent follows the conjugate of c, dL/d(Re A) + i dL/d(Im A).
        found = jax.tree.map(jnp.conj, found)
        updates, optimiser_state = optimiser.update(found, optimiser_state)
        after = optax.apply_updates(weights, updates)
        return (after, optimiser_state), (weights, gradient.loss, correct)

    state = (start, optimiser.init(start))
    state, (weights, loss, correct) = jax.lax.scan(step, state, jnp.arange(n_epochs))
    weights = jax.tree.map(
        lambda all_, last: jnp.concatenate([all_, last[None]]), weights, state[0]
    )
    _, last = look(state[0], jnp.asarray(n_epochs))
    return BlockFit(weights, loss, jnp.concatenate([correct, last[None]]))


def measure_output(blocks: ProgrammedBlocks, field, *, key: PRNGKeyArray) -> Array:
    """Field measured behind the last block for loaded fields."""
    n_blocks = jax.tree.leaves(blocks)[0].shape[0]

    def data(x, inputs):
        block, block_key = inputs
        return block.measure_field(x, key=block_key), None

    return jax.lax.scan(data, field, (blocks, jax.random.split(key, n_blocks)))[0]


def _transpose(matrices):
    return jnp.swapaxes(matrices, -1, -2)
