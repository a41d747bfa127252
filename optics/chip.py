"""A photonic chip of several mirrored or folded cores that is programmed with matrices: its hardware and its bench.

Each block of the chip is one core, y = A x (`optics.symmetric_mesh`). The controller holds the wanted matrices in
electronics; before every measurement campaign it computes phases and attenuations for them with the ideal model of
the core (`optics.core_programming`) and sets them. What light then meets is A with the chip's errors: splitters,
losses, heaters, crosstalk, voltage steps, drift (`optics.mesh_imperfections`), drawn for each half of each core of
its own, or once per core where it is folded. Fields are detected coherently at the end of each block, with noise, and
loaded into the next by electronics, which may scale them; nothing but the block is optical. Setting of Z. Xue et al.,
Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4, Fig. 5; core size, number of cores and their layout are
unknown there.

A symmetric matrix gets tied phases, which errors common to both halves leave symmetric. Other matrices need halves
with phases of their own, so that a folded core cannot realise them. Left out: errors of attenuators and modulators.
"""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from optics._checks import check_in_range, check_shape
from optics.core_programming import program_core
from optics.mesh import Mesh, cells
from optics.mesh_bench import MeshTwin, make_mesh_twin
from optics.mesh_imperfections import MeshImperfections
from optics.symmetric_mesh import SymmetricCore

Construction = Literal["mirrored", "folded"]


class CoreTwin(eqx.Module):
    """One drawn core; build it with `make_core_twin`. A `Twin` for `optics.mesh_bench.MeshBench`.

    Attributes:
        second: Drawn mesh of the second half.
        first: Drawn mesh of the mirrored half; None where the core is folded.
    """

    second: MeshTwin
    first: MeshTwin | None

    def realise(
        self, phase: Array, amplitude: Array | None = None, time: int | Array = 0
    ) -> SymmetricCore:
        """Core for commanded tied phases (rad) and attenuations (None: 1) at a measurement number."""
        mirror = None if self.first is None else self.first.realise(phase, None, time)
        n, real = self.second.core.n_ports, phase.dtype
        attenuation = jnp.ones(n, real) if amplitude is None else amplitude
        mesh = self.second.realise(phase, None, time)
        return SymmetricCore(mesh, attenuation, jnp.ones((), real), mirror)

    def realise_core(self, core: SymmetricCore, time: int | Array = 0) -> SymmetricCore:
        """What a programmed core is on the chip, with phases of their own in each half where it has such."""
        mesh = self.second.realise(core.mesh.pack(), None, time)
        if self.first is None:
            return SymmetricCore(mesh, core.attenuation, core.gain)
        mirror = self.first.realise(core.first.pack(), None, time)
        return SymmetricCore(mesh, core.attenuation, core.gain, mirror)


def make_core_twin(
    mesh: Mesh,
    imperfections: MeshImperfections,
    *,
    construction: Construction = "mirrored",
    key: PRNGKeyArray,
) -> CoreTwin:
    """Draws one core with the given sizes of errors.

    Args:
        mesh: Nominal mesh of a half.
        imperfections: Sizes of the errors.
        construction: "mirrored", two halves with errors of their own, or "folded", one mesh crossed twice.
        key: PRNG key of the draw; the same key gives the same core.
    """
    _check_construction(construction)
    second, first = jax.random.split(key)
    return CoreTwin(
        make_mesh_twin(mesh, imperfections, key=second),
        make_mesh_twin(mesh, imperfections, key=first) if construction == "mirrored" else None,
    )


class ChipTwin(eqx.Module):
    """All cores of one drawn chip; build it with `make_chip`.

    Attributes:
        cores: Drawn cores, stacked along a leading axis.
        n_ports: Ports of each core.
        symmetric: Whether matrices are programmed with tied phases.
    """

    cores: CoreTwin
    n_ports: int = eqx.field(static=True)
    symmetric: bool = eqx.field(static=True)

    def transfer_matrices(
        self, wanted: Complex[Array, "block port port"], time: int | Array = 0
    ) -> Complex[Array, "block port port"]:
        """Matrices on the chip, electronic gain included, once the wanted ones are programmed."""

        def realised(cores, matrix):
            core = program_core(matrix, symmetric=self.symmetric)
            return cores.realise_core(core, time).matrix()

        return jax.vmap(realised)(self.cores, wanted)


class ChipBench(eqx.Module):
    """One chip, opaque to whoever trains on it.

    Attributes:
        n_ports: Ports of each block.
    """

    _twin: ChipTwin = eqx.field(repr=False)
    _detector_noise: Float[Array, ""] = eqx.field(repr=False)

    def __init__(self, twin: ChipTwin, *, detector_noise: float | int = 0.0):
        """Puts a twin behind the counter.

        Args:
            twin: The drawn chip.
            detector_noise: Noise of a measured field, rms relative to the rms over the ports of each sample.

        Raises:
            ValueError: If the noise is negative.
        """
        check_in_range(detector_noise, "detector_noise", 0, float("inf"))
        self._twin = twin
        self._detector_noise = jnp.asarray(detector_noise, float)

    @property
    def n_ports(self) -> int:
        """Ports of each block."""
        return self._twin.n_ports

    def program(
        self, wanted: Complex[Array, "block port port"], *, time: int | Array = 0
    ) -> "ProgrammedBlocks":
        """Sets all blocks to the wanted matrices.

        Args:
            wanted: One matrix a block; symmetric where the chip is.
            time: Number of the measurement since the chip was switched on; its phases drift with it.

        Raises:
            ValueError: If the size of the matrices is not the chip's.
        """
        n = self.n_ports
        check_shape(wanted, "wanted", (n, n), "One row and column a port.")
        matrices = self._twin.transfer_matrices(wanted, time)
        noise = jnp.full(matrices.shape[0], self._detector_noise)
        return ProgrammedBlocks(matrices, noise)


class ProgrammedBlocks(eqx.Module):
    """Blocks of a chip as they are set now; scan over it, or index it by `jax.tree.map`, to get one block."""

    _matrix: Complex[Array, "*block port port"] = eqx.field(repr=False)
    _noise: Float[Array, "*block"] = eqx.field(repr=False)

    def measure_field(
        self, field: Complex[Array, "sample port"], *, key: PRNGKeyArray
    ) -> Complex[Array, "sample port"]:
        """Sends fields into the inputs of one block and measures the fields at its outputs."""
        clean = field @ self._matrix.T
        power = jnp.mean(jnp.abs(clean) ** 2, axis=-1, keepdims=True)
        white = jax.random.normal(key, clean.shape, clean.dtype)
        return clean + (self._noise * jnp.sqrt(power) * white).astype(clean.dtype)


def make_chip(
    n_ports: int,
    n_blocks: int,
    imperfections: MeshImperfections,
    *,
    construction: Construction = "mirrored",
    symmetric: bool = True,
    key: PRNGKeyArray,
    dtype=jnp.complex64,
) -> tuple[ChipTwin, ChipBench]:
    """Draws a chip: its transparent twin, for the record, and the bench that a learner gets.

    Args:
        n_ports: Ports of each core, at least 2.
        n_blocks: Cores, each with errors of its own.
        imperfections: Sizes of the errors.
        construction: "mirrored" or "folded".
        symmetric: Programs symmetric matrices with tied phases; False programs any matrix.
        key: PRNG key of the draw; the same key gives the same chip.
        dtype: complex64 or complex128.

    Raises:
        ValueError: If there is no such construction, no block, or a folded chip is to realise any matrix.
    """
    _check_construction(construction)
    if n_blocks < 1:
        raise ValueError(f"`n_blocks` must be at least 1, but is {n_blocks}.")
    if construction == "folded" and not symmetric:
        raise ValueError(
            "`construction` must be mirrored for matrices that are not symmetric, but is folded: one mesh crossed "
            "twice has the same phases both ways."
        )
    shape = cells(n_ports, "triangular").shape
    dark = jnp.zeros(shape, jnp.finfo(dtype).dtype)
    mesh = Mesh(dark, dark, jnp.zeros(n_ports, dark.dtype), layout="triangular")
    cores = jax.vmap(
        lambda k: make_core_twin(mesh, imperfections, construction=construction, key=k)
    )(jax.random.split(key, n_blocks))
    twin = ChipTwin(cores, n_ports, symmetric)
    return twin, ChipBench(twin, detector_noise=imperfections.detector_noise)


def _check_construction(construction: str) -> None:
    if construction not in ("mirrored", "folded"):
        raise ValueError(f"`construction` must be mirrored or folded, but is {construction!r}.")
