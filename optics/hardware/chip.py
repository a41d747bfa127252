"""A photonic chip of blocks y = A x, each a symmetric core beside a general one: its settings, hardware and bench.

    A = r A_sym + (1 - r) A_gen

r is the symmetry ratio in our definition; the one of Z. Xue et al., Nature 632, 280 (2024), DOI
10.1038/s41586-024-07687-4, Fig. 5, is unknown, as are core size, number of cores and their layout. A_sym is a
mirrored core with attenuators whose halves have tied phases; A_gen, the asymmetric remainder, is one whose halves
have phases of their own. Both are lit by the same inputs, and their outputs are added with the weights r and 1 - r.

A controller commands phases and attenuations; what light meets are those with the chip's errors: splitters, losses,
heaters, crosstalk, voltage steps, drift (`optics.hardware.mesh_imperfections`), drawn for each half of each core of
its own, or once for a symmetric core that is folded. Fields are detected coherently behind a block, with noise, and
loaded into the next by electronics; taps at the shifters of the symmetric core show the light inside. Nothing but the
block is optical. Left out: errors of attenuators, modulators and of the sum; light that taps take.
"""

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from optics._checks import check_in_range, check_shape
from optics._numbers import takes_numbers
from optics.hardware.mesh_bench import MeshTwin, draw_mesh_twin
from optics.hardware.mesh_imperfections import MeshImperfections
from optics.hardware.opaque import add_noise, add_white, opaque, root_mean_square
from optics.meshes.mesh import Mesh, cells, make_mesh
from optics.meshes.symmetric import CoreFields, SymmetricCore

Construction = Literal["mirrored", "folded"]


class BlockSettings(NamedTuple):
    """What a chip is commanded to, or anything shaped like it (a gradient); blocks along the first axis.

    Attributes:
        tied: Phases of both halves of each symmetric core, in the order of `Mesh.pack`, rad.
        attenuation: Attenuations of the symmetric cores, in [0, 1].
        free: Phases of the second and then of the first half of each general core, rad; None on a chip without such.
    """

    tied: Float[Array, "*block parameter"]
    attenuation: Float[Array, "*block port"]
    free: Float[Array, "*block two_parameters"] | None = None


class BlockLight(NamedTuple):
    """What is measured when fields are sent into the inputs of a block.

    Attributes:
        output: Field behind the block.
        first: Taps at the shifters of the symmetric core's mirrored half, in the order of `Mesh.pack`.
        middle: Taps in front of its attenuators.
        second: Taps at the shifters of its second half.
    """

    output: Complex[Array, "sample port"]
    first: Complex[Array, "sample parameter"]
    middle: Complex[Array, "sample port"]
    second: Complex[Array, "sample parameter"]


def make_settings(
    n_ports: int, n_blocks: int, *, symmetric: bool = True, key: PRNGKeyArray, dtype=jnp.complex64
) -> BlockSettings:
    """Random start: meshes from the Haar measure, attenuators open.

    Args:
        n_ports: Ports of each core, at least 2.
        n_blocks: Blocks.
        symmetric: Without general cores.
        key: PRNG key.
        dtype: complex64 or complex128.
    """
    if n_blocks < 1:
        raise ValueError(f"`n_blocks` must be at least 1, but is {n_blocks}.")

    draw = jax.vmap(lambda k: make_mesh(n_ports, key=k, dtype=dtype).pack())
    phases = draw(jax.random.split(key, (1 if symmetric else 3) * n_blocks))
    open_ = jnp.ones((n_blocks, n_ports), phases.dtype)
    if symmetric:
        return BlockSettings(phases, open_)
    tied, *free = jnp.split(phases, 3)
    return BlockSettings(tied, open_, jnp.concatenate(free, axis=1))


def nominal_matrices(
    settings: BlockSettings, ratio: float | Array
) -> Complex[Array, "block port port"]:
    """A = r A_sym + (1 - r) A_gen of each block in the ideal model of the chip; differentiable.

    Args:
        settings: Commanded phases and attenuations.
        ratio: Symmetry ratio in [0, 1]; of no effect on a chip without general cores, which is fully symmetric.

    Raises:
        ValueError: If the ratio is outside [0, 1].
    """
    n_ports = settings.attenuation.shape[-1]
    mesh = _empty_mesh(n_ports, settings.tied.dtype)

    def core(phase, attenuation):
        second, first = phase[: n_ports**2], phase[n_ports**2 :]
        gain = jnp.ones((), phase.dtype)
        return SymmetricCore(mesh.unpack(second), attenuation, gain, mesh.unpack(first)).matrix()

    return _mix(jax.vmap(core)(*_all_cores(settings)), settings, ratio)


def _all_cores(settings: BlockSettings):
    """Phases of both halves and attenuations of all cores, the symmetric ones first."""
    phase = jnp.concatenate([settings.tied, settings.tied], axis=1)
    if settings.free is None:
        return phase, settings.attenuation
    open_ = jnp.ones_like(settings.attenuation)
    return jnp.concatenate([phase, settings.free]), jnp.concatenate([settings.attenuation, open_])


def _mix(cores, settings: BlockSettings, ratio):
    """r A_sym + (1 - r) A_gen from the matrices of all cores, or A_sym where there is no other."""
    check_in_range(ratio, "ratio", 0, 1)
    if settings.free is None:
        return cores
    n_blocks = settings.tied.shape[0]
    return ratio * cores[:n_blocks] + (1 - ratio) * cores[n_blocks:]


class CoreTwin(eqx.Module):
    """One drawn core; build it with `draw_core_twin`. A `Twin` for `optics.hardware.mesh_bench.MeshBench`.

    Attributes:
        second: Drawn mesh of the second half.
        first: Drawn mesh of the mirrored half; None where the core is folded.
    """

    second: MeshTwin
    first: MeshTwin | None

    def realise(
        self, phase: Array, amplitude: Array | None = None, time: int | Array = 0
    ) -> SymmetricCore:
        """Core for commanded phases (rad) and attenuations (None: 1) at a measurement number.

        Args:
            phase: N^2 tied phases, or 2 N^2, those of the second half and then those of the first.
            amplitude: Attenuations, or None.
            time: Number of the measurement.
        """
        parameters = self.second.core.n_parameters
        phase, own = phase[:parameters], phase[-parameters:]
        mirror = None if self.first is None else self.first.realise(own, None, time)
        n, real = self.second.core.n_ports, phase.dtype
        attenuation = jnp.ones(n, real) if amplitude is None else amplitude
        mesh = self.second.realise(phase, None, time)
        return SymmetricCore(mesh, attenuation, jnp.ones((), real), mirror)


def draw_core_twin(
    mesh: Mesh,
    hardware: MeshImperfections,
    *,
    construction: Construction = "mirrored",
    key: PRNGKeyArray,
) -> CoreTwin:
    """Draws one core with the given sizes of errors.

    Args:
        mesh: Nominal mesh of a half.
        hardware: Sizes of the errors.
        construction: "mirrored", two halves with errors of their own, or "folded", one mesh crossed twice.
        key: PRNG key of the draw; the same key gives the same core.
    """
    if construction not in ("mirrored", "folded"):
        raise ValueError(f"`construction` must be mirrored or folded, but is {construction!r}.")
    draw = jax.vmap(lambda k: draw_mesh_twin(mesh, hardware, key=k))
    # Mapped, although there are two only: random numbers are most of what there is to compile.
    halves = draw(jax.random.split(key))
    second, first = (jax.tree.map(lambda leaf, i=i: leaf[i], halves) for i in range(2))
    return CoreTwin(second, first if construction == "mirrored" else None)


class ChipTwin(eqx.Module):
    """All cores of one drawn chip; build it with `draw_chip`.

    Attributes:
        cores: Drawn cores, stacked along a leading axis: symmetric ones of all blocks, then general ones.
        n_ports: Ports of each core.
        symmetric: Without general cores.
    """

    cores: CoreTwin
    n_ports: int = eqx.field(static=True)
    symmetric: bool = eqx.field(static=True)

    def transfer_matrices(
        self, settings: BlockSettings, ratio: float | Array, time: int | Array = 0
    ) -> Complex[Array, "block port port"]:
        """Matrices that light meets once the chip is set, at a measurement number."""

        def matrix(twin, phase, attenuation):
            return twin.realise(phase, attenuation, time).matrix()

        return _mix(jax.vmap(matrix)(self.cores, *_all_cores(settings)), settings, ratio)

    def taps(self, settings: BlockSettings, time: int | Array = 0) -> CoreFields:
        """Light inside each symmetric core for unit light into each of its inputs: (block, input, ...)."""
        n_blocks = settings.tied.shape[0]

        def fields(twin, phase, attenuation):
            core = twin.realise(phase, attenuation, time)
            eye = jnp.eye(self.n_ports, dtype=jnp.result_type(phase, jnp.complex64))
            return core.internal_fields(eye)

        cores = jax.tree.map(lambda leaf: leaf[:n_blocks], self.cores)
        return jax.vmap(fields)(cores, settings.tied, settings.attenuation)


class ChipBench(eqx.Module):
    """One chip, opaque to whoever trains on it."""

    _twin: ChipTwin = eqx.field(repr=False)
    _noise: Float[Array, " detector_and_tap"] = eqx.field(repr=False)

    def __init__(
        self, twin: ChipTwin, *, detector_noise: float | int = 0.0, tap_noise: float | int = 0.0
    ):
        """Puts a twin behind the counter.

        Args:
            twin: The drawn chip.
            detector_noise: Noise of a measured field, rms relative to the rms over the ports of each sample.
            tap_noise: The same at the taps, relative to the rms over the taps of one kind.

        Raises:
            ValueError: If a noise is negative.
        """
        for name, size in (("detector_noise", detector_noise), ("tap_noise", tap_noise)):
            check_in_range(size, name, 0, float("inf"))
        self._twin = twin
        self._noise = jnp.asarray([detector_noise, tap_noise], float)

    @property
    def n_ports(self) -> int:
        """Ports of each block."""
        return self._twin.n_ports

    def quiet(self) -> "ChipBench":
        """The same hardware without noise of detectors and taps, for the experimenter; errors and drifts stay."""
        return ChipBench(self._twin)

    def reveal(self) -> ChipTwin:
        """What stands behind the counter, for the experimenter who set it up; a learner must not ask."""
        return self._twin

    def program(
        self, settings: BlockSettings, ratio: float | Array, *, time: int | Array = 0
    ) -> "ProgrammedBlocks":
        """Sets all blocks.

        Args:
            settings: Commanded phases and attenuations.
            ratio: Symmetry ratio in [0, 1].
            time: Number of the measurement since the chip was switched on; its phases drift with it.

        Raises:
            ValueError: If the settings are not this chip's, or the ratio is outside [0, 1].
        """
        n, twin = self.n_ports, self._twin
        check_shape(settings.tied, "settings.tied", (n**2,), f"The chip has {n} ports.")
        if (settings.free is None) != twin.symmetric:
            has = "no" if twin.symmetric else "its"
            raise ValueError(
                f"`settings` must be for a chip with {has} general cores, but are not."
            )
        matrices, taps = twin.transfer_matrices(settings, ratio, time), twin.taps(settings, time)
        pack = twin.cores.second.core.pack_fields
        noise = jnp.broadcast_to(self._noise, (matrices.shape[0], 2))
        inside = jax.vmap(lambda t: (pack(t.first), t.middle, pack(t.second)))(taps)
        return ProgrammedBlocks(jnp.swapaxes(matrices, -1, -2), inside, noise)


class ProgrammedBlocks(eqx.Module):
    """Blocks of a chip as they are set now; scan over it to get one block after the other."""

    _to_output: Complex[Array, "*block input port"] = eqx.field(repr=False)
    _to_taps: tuple[Array, Array, Array] = eqx.field(repr=False)
    _noise: Float[Array, "*block detector_and_tap"] = eqx.field(repr=False)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return self._noise.shape[0]

    @property
    def n_ports(self) -> int:
        """Ports of each block."""
        return self._to_output.shape[-1]

    @takes_numbers
    def measure_field(
        self, field: Complex[Array, "sample port"], *, key: PRNGKeyArray
    ) -> Complex[Array, "sample port"]:
        """Sends fields into the inputs of one block and measures the fields at its outputs."""
        return opaque(add_noise(field @ self._to_output, self._noise[0], key=key), "ChipBench")

    @takes_numbers
    def measure_taps(
        self, field: Complex[Array, "sample port"], *, key: PRNGKeyArray
    ) -> BlockLight:
        """Like `measure_field`, and reads the taps inside the symmetric core."""
        clean = [field @ self._to_output, *(field @ to_tap for to_tap in self._to_taps)]
        sizes = [self._noise[0], *3 * [self._noise[1]]]
        # One draw for all: random numbers are most of what there is to compile.
        white = jax.random.normal(
            key, (*field.shape[:-1], sum(c.shape[-1] for c in clean)), field.dtype
        )
        parts = jnp.split(white, np.cumsum([c.shape[-1] for c in clean])[:-1], axis=-1)
        noisy = [
            add_white(values, part, size, level=root_mean_square(values, 1))
            for values, part, size in zip(clean, parts, sizes, strict=True)
        ]
        return opaque(BlockLight(*noisy), "ChipBench")


def draw_chip(
    n_ports: int,
    n_blocks: int,
    hardware: MeshImperfections,
    *,
    symmetric: bool = True,
    construction: Construction = "mirrored",
    key: PRNGKeyArray,
    dtype=jnp.complex64,
) -> tuple[ChipTwin, ChipBench]:
    """Draws a chip: its transparent twin, for the record, and the bench that a learner gets.

    Args:
        n_ports: Ports of each core, at least 2.
        n_blocks: Blocks, each with errors of its own.
        hardware: Sizes of the errors.
        symmetric: Without general cores.
        construction: How each core is built, see `draw_core_twin`; general cores need two halves.
        key: PRNG key of the draw; the same key gives the same chip.
        dtype: complex64 or complex128.

    Raises:
        ValueError: If there is no block, general cores are to be folded, or fewer than two ports.
    """
    if n_blocks < 1:
        raise ValueError(f"`n_blocks` must be at least 1, but is {n_blocks}.")
    if not symmetric and construction == "folded":
        raise ValueError(
            "`construction` must be mirrored on a chip with general cores, whose halves differ, but is 'folded'."
        )
    mesh = _empty_mesh(n_ports, jnp.finfo(dtype).dtype)
    keys = jax.random.split(key, n_blocks if symmetric else 2 * n_blocks)
    draw = lambda k: draw_core_twin(mesh, hardware, construction=construction, key=k)  # noqa: E731
    cores = jax.vmap(draw)(keys)
    twin = ChipTwin(cores, n_ports, symmetric)
    bench = ChipBench(twin, detector_noise=hardware.detector_noise, tap_noise=hardware.tap_noise)
    return twin, bench


def _empty_mesh(n_ports: int, real) -> Mesh:
    shape = cells(n_ports).shape
    dark = jnp.zeros(shape, real)
    return Mesh(dark, dark, jnp.zeros(n_ports, real))
