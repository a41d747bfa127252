"""What errors of a mesh do to one carried matrix, and to the gradient of one map inside a transformer.

The relative error of a real matrix, ||Re(A) - W|| / ||W|| after one gain by least squares, for two carriers: two meshes
around attenuators (`photonic_linear`) and the corner of a symmetric core (`photonic_forward`). Each chip has its own
matrix of normal numbers, and one kind of error at a time. The order in an error's size is the slope of the logarithms;
the size of converters of b bits is 2^-b.

The gradient is that of the map to values in a vision transformer of random weights, one batch of digits, on chips whose
splitters and phases are equally wrong: cosine with the true one over the phases of the map.
"""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.compiling import jit_once
from experiments.learning_systems.photonic_forward import on_bench, program_chip, program_real
from experiments.learning_systems.photonic_training import (
    UNIT,
    bench_of,
    mean_device,
    scaled,
    scaled_chip,
)
from nn.training import cross_entropy
from optics.hardware import MeshImperfections, draw_chip
from optics.hardware.mesh_bench import draw_mesh_twin
from optics.meshes.decomposition import decompose_matrix
from optics.metrics import cosine_similarity

# Where each error is small against 1 and its effect large against rounding in single precision.
SIZES = {
    "splitter_error": (0.005, 0.01, 0.02),
    "phase_error": (0.0025, 0.005, 0.01),
    "loss_db": (0.02, 0.04, 0.08),
    "voltage_bits": (14, 12, 10),
}
CARRIERS = ("two_meshes", "symmetric_core")
MAP = "body.blocks[0].mixer.value"
GRADIENTS = ("forward", "forward_mirrored", "mean_device", "in_silico")


def matrix_errors(n: int, n_chips: int, *, seed: int) -> dict[str, np.ndarray]:
    """Relative errors of carried n x n matrices, (size, chip), by "carrier.kind".

    Args:
        n: Inputs and outputs.
        n_chips: Chips, each with its own matrix.
        seed: Seed of matrices and chips.
    """
    wanted = np.random.default_rng(seed).normal(size=(n_chips, n, n)).astype(np.float32)
    found = {}
    for carrier in CARRIERS:
        cores = [_core(carrier, matrix) for matrix in wanted]
        core = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cores)
        # Meshes of a core, each with errors of its own.
        meshes = (core.left, core.right) if carrier == "two_meshes" else (core.mesh,)
        key = jax.random.key(seed)
        twins = [
            _drawn(mesh, jax.random.split(jax.random.fold_in(key, i), n_chips))
            for i, mesh in enumerate(meshes)
        ]
        for kind, sizes in SIZES.items():
            rows = []
            for size in sizes:
                one = MeshImperfections(**{kind: size})
                real = [
                    jax.vmap(lambda t, m, one=one: scaled(t, one).realise(m.pack(), None, 0))(t, m)
                    for t, m in zip(twins, meshes, strict=True)
                ]
                rows.append(_relative(np.asarray(_matrices(carrier, core, real)), wanted))
            found[f"{carrier}.{kind}"] = np.asarray(rows)
    return found


def orders(errors: np.ndarray, kind: str) -> np.ndarray:
    """Slope of log error against log size, of each chip."""
    sizes = np.asarray(SIZES[kind], float)
    steps = np.log(2.0) * -sizes if kind == "voltage_bits" else np.log(sizes)
    return np.polyfit(steps, np.log(errors), 1)[0]


def _core(carrier: str, matrix: np.ndarray):
    if carrier == "two_meshes":
        return decompose_matrix(matrix)
    zero = np.zeros_like(matrix)
    return program_real(np.block([[zero, matrix.T], [matrix, zero]]), dtype=jnp.complex64)


@jit_once
def _drawn(meshes, keys):
    return jax.vmap(lambda mesh, key: draw_mesh_twin(mesh, UNIT, key=key))(meshes, keys)


@jit_once
def _matrices(carrier: str, core, meshes):
    return jax.vmap(partial(_matrix, carrier))(core, meshes)


def _matrix(carrier: str, core, meshes):
    if carrier == "two_meshes":
        core = eqx.tree_at(lambda c: (c.left, c.right), core, tuple(meshes), is_leaf=_is_none)
        return jnp.real(core.matrix())
    n = core.n_ports // 2
    core = eqx.tree_at(lambda c: c.mesh, core, meshes[0], is_leaf=_is_none)
    return jnp.real(core.matrix()[n:, :n])


def _is_none(leaf) -> bool:
    return leaf is None


def _relative(got: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    axes = (1, 2)
    gain = np.sum(got * wanted, axis=axes) / np.sum(got**2, axis=axes)
    off = gain[:, None, None] * got - wanted
    return np.sqrt(np.sum(off**2, axis=axes) / np.sum(wanted**2, axis=axes))


def gradient_cosines(
    vit,
    images,
    labels,
    base: MeshImperfections,
    sizes: tuple[float, ...],
    n_chips: int,
    *,
    seed: int,
) -> dict[str, np.ndarray]:
    """Cosines of measured and modelled gradients with the true one of their chip, (size, chip), by `GRADIENTS`.

    "forward_mirrored" is the only one on a chip whose halves have errors of their own; the others are on one whose
    halves are alike, as a folded one's are.

    Args:
        vit: The transformer, unrolled.
        images: One batch.
        labels: Its classes.
        base: Noise and all other errors.
        sizes: Errors of splitters and of phases, rad.
        n_chips: Chips.
        seed: Seed of chips and noise.
    """
    program = program_chip(vit, names=[MAP])
    make = lambda key: draw_chip(program.n_ports, 1, UNIT, key=key)[0]  # noqa: E731
    keys = jax.random.split(jax.random.key(seed), n_chips)
    mirrored = jit_once(jax.vmap(make))(keys)
    alike = eqx.tree_at(lambda c: c.cores.first, mirrored, mirrored.cores.second)
    found = {name: np.zeros((len(sizes), n_chips)) for name in GRADIENTS}

    @jit_once
    def gradient(program, bench, belief, key):
        def loss(program):
            logits = on_bench(program, bench, belief)(images, key=key)
            return cross_entropy(logits, labels).mean()

        return jax.grad(loss)(program).settings.tied[0]

    for row, size in enumerate(sizes):
        wrong = dataclasses.replace(base, splitter_error=size, phase_error=size)
        none = MeshImperfections(voltage_bits=base.voltage_bits)
        known = mean_device(alike, wrong)
        # Each with the bench it is measured on, what it believes of it, and the chip whose true gradient counts.
        real, real_mirrored, ideal = (
            scaled_chip(*pair) for pair in ((alike, wrong), (mirrored, wrong), (alike, none))
        )
        ways = {
            "forward": (bench_of(real, wrong), None, real),
            "forward_mirrored": (bench_of(real_mirrored, wrong), None, real_mirrored),
            "mean_device": (bench_of(real, wrong), known, real),
            "in_silico": (bench_of(ideal, none), ideal, real),
        }
        for name, parts in ways.items():
            for column in range(n_chips):
                bench, belief, truth = jax.tree.map(lambda leaf, i=column: leaf[i], parts)
                own = bench_of(jax.tree.map(lambda leaf: leaf[None], truth), wrong)
                quiet = jax.tree.map(lambda leaf: leaf[0], own).quiet()
                true = gradient(program, quiet, truth, keys[column])
                got = gradient(program, bench, belief, keys[column])
                found[name][row, column] = float(cosine_similarity(got, true))
    return found
