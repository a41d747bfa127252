"""Linear maps on chips that train themselves: the derivative of a map is measured, with light sent forward only.

Forward mode needs a core that is its own transpose, A = A^T (`optics.meshes.symmetric`; Z. Xue et al., Nature 632, 280
(2024), DOI 10.1038/s41586-024-07687-4, Fig. 5a). Any real map y = x W has room in one of n_in + n_out ports,

    A = g [[0, W], [W^T, 0]],

data enter at the first n_in ports and are read at the last n_out, the error c = dL/dy enters at the last n_out ports of
the same face, runs the same way, and what the first n_in ports show is dL/dx = W c. Taps in both runs give the tied
phases and the attenuations by optics' own rule (`tied_gradient`): a phase gets -Im sum (u_first c_second + u_second
c_first). So every map can be trained so, for twice the ports of two meshes around attenuators; a square map that is to
be symmetric itself would need no more ports than it has. Training may leave the corners of A that start as zeros: they
carry light that nobody reads. Gain, bias, and all that is no linear map (norms, softmax, residuals) are electronics,
whose derivatives are known; they are taken at the values measured.

What a homodyne detector reads is real, y = Re(A x), so that the cotangent of the complex field is c itself.

All maps of a model are blocks of one chip, set at the same time. The derivative is measured as above or, for
comparison, taken from a belief about the chip, with the data measured all the same: the ideal model or the mean device
make this physics-aware training (L. G. Wright et al., Nature 601, 549 (2022), DOI 10.1038/s41586-021-04223-6), what
really stands behind the counter the true gradient, which no learner has.
"""

from collections.abc import Collection
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from nn.layers import AbstractLinear, Dense, linear_maps, replace_linear
from optics.hardware.chip import BlockSettings, ChipBench, ChipTwin, ProgrammedBlocks
from optics.meshes import Mesh, SymmetricCore, tied_gradient
from optics.meshes.decomposition import decompose_unitary


class Seat(AbstractLinear):
    """Place of a map that is a block of a chip.

    Attributes:
        bias: Bias, added in electronics, or None.
        block: Number of the block.
    """

    bias: Float[Array, " n_out"] | None
    block: int = eqx.field(static=True)
    n_in: int = eqx.field(static=True)
    n_out: int = eqx.field(static=True)

    def __call__(
        self, x: Float[Array, "*batch n_in"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch n_out"]:
        """Raises TypeError: light needs a chip."""
        raise TypeError("`Seat` has no chip; put the model on one by `on_bench`.")


class ChipProgram(eqx.Module):
    """A model whose maps are set on a chip; all of its arrays train.

    Attributes:
        model: The model with a seat in the place of each map.
        settings: What the chip is commanded to, a block for each map.
        gain: Factor of the electronics behind each block.
    """

    model: Any
    settings: BlockSettings
    gain: Float[Array, " block"]

    @property
    def n_ports(self) -> int:
        """Ports of each block."""
        return self.settings.attenuation.shape[-1]

    def maps(self, matrices: Complex[Array, "block port port"]) -> list[Float[Array, "n_in n_out"]]:
        """What homodyne detection sees of each block of a chip that has these matrices, gain included."""
        seats = [seat for _, seat in linear_maps(self.model) if isinstance(seat, Seat)]
        return [
            self.gain[seat.block] * _seen(matrices[seat.block], seat.n_in, seat.n_out)
            for seat in seats
        ]


def program_chip(
    model: Any, *, names: Collection[str] | None = None, n_ports: int | None = None
) -> ChipProgram:
    """Sets maps of a model on the blocks of a chip, as if it had no errors.

    Args:
        model: Built of `Dense` maps; a stack of blocks is unrolled first.
        names: Paths of the maps that light shall carry, see `nn.layers.linear_maps`; None takes all.
        n_ports: Ports of each block; None takes as many as the largest map needs.

    Raises:
        ValueError: If a name is unknown, a map is no single `Dense` one, or has more inputs and outputs than there
            are ports.
    """
    there = dict(linear_maps(model))
    names = list(there) if names is None else names
    unknown = sorted(set(names) - set(there))
    if unknown or not names:
        raise ValueError(
            f"`names` must hold paths of maps of the model ({', '.join(there)}), but is {sorted(names)}."
        )
    maps = [(name, linear) for name, linear in there.items() if name in names]
    needs = max(linear.n_in + linear.n_out for _, linear in maps)
    n_ports = needs if n_ports is None else n_ports
    if n_ports < needs:
        raise ValueError(
            f"`n_ports` must be at least {needs}, the inputs and outputs of the largest map, but is {n_ports}."
        )
    cores, places = [], {}
    for name, linear in maps:
        if not isinstance(linear, Dense) or linear.weight.ndim != 2:
            raise ValueError(
                f"`model` must have single `Dense` maps, but {name} is none; unroll its stack of blocks."
            )
        places[name] = len(cores)
        wanted = np.zeros((n_ports, n_ports))
        wanted[: linear.n_in, linear.n_in : linear.n_in + linear.n_out] = linear.weight
        dtype = jnp.result_type(linear.weight, jnp.complex64)
        cores.append(program_real(wanted + wanted.T, dtype=dtype))

    def seat(name, linear):
        if name not in places:
            return None
        return Seat(bias=linear.bias, block=places[name], n_in=linear.n_in, n_out=linear.n_out)

    settings = BlockSettings(
        jnp.stack([core.pack() for core in cores]), jnp.stack([core.attenuation for core in cores])
    )
    return ChipProgram(
        replace_linear(model, seat), settings, jnp.stack([core.gain for core in cores])
    )


def program_real(matrix: Float[np.ndarray, "port port2"], *, dtype: Any) -> SymmetricCore:
    """Core without errors that is a real symmetric matrix and mostly feels its splitters in second order only.

    A = V S V^T with V = Q diag(1 or i), Q the real eigenvectors and i for negative eigenvalues. Cells of its mesh are
    real up to phases that the next ones take back, so that a small error of a splitter adds i times a real matrix. Not
    so behind zeros, where a cell has no phase to choose, and the vectors of a map in a corner, alike in pairs of
    eigenvalues +s and -s, make zeros when they meet (so do the mixed ones of a general Takagi factorisation, far more).
    Of three orders of the vectors that with the fewest such cells is taken. None were left for maps 8 -> 8, 8 -> 10 and
    12 -> 16, whose order is 2; one to eight for 3 -> 3, 5 -> 5 and 4 -> 7, whose order is 1.

    Args:
        matrix: Symmetric matrix, not zero.
        dtype: complex64 or complex128.
    """
    values, vectors = np.linalg.eigh(matrix)
    dark = np.abs(values) < 1e-6 * np.abs(values).max()
    places = np.arange(len(values))
    below, nothing, above = (
        places[chosen] for chosen in (~dark & (values < 0), dark, ~dark & (values > 0))
    )
    tries = []
    for order in ((below, nothing, above), (nothing, below, above), (below, np.roll(above, 1), nothing)):  # fmt: skip
        at = np.concatenate(order)
        turned = vectors[:, at] * np.where(values[at] < 0, 1j, 1)
        tries.append((decompose_unitary(turned, dtype=dtype), np.abs(values[at])))
    mesh, sizes = min(tries, key=lambda found: _idle_cells(found[0]))
    real = jnp.finfo(dtype).dtype
    return SymmetricCore(mesh, (sizes / sizes.max()).astype(real), sizes.max().astype(real))


def _idle_cells(mesh: Mesh) -> int:
    """Cells that mix nothing, to single precision."""
    return int(np.sum(np.abs(np.sin(np.asarray(mesh.theta)[mesh.present])) < 1e-6))


class BlockLinear(AbstractLinear):
    """A map on one block of a chip that is set.

    Attributes:
        phase: Phases that the block is set to, rad.
        attenuation: Its attenuations.
        gain: Factor of the electronics.
        bias: Bias, added in electronics, or None.
        block: The block as set.
        belief: The block's matrix as it is believed to be, through which the error goes; None sends it through the
            block itself.
    """

    phase: Float[Array, " parameter"]
    attenuation: Float[Array, " port"]
    gain: Float[Array, ""]
    bias: Float[Array, " n_out"] | None
    block: ProgrammedBlocks
    belief: Complex[Array, "port port"] | None
    n_in: int = eqx.field(static=True)
    n_out: int = eqx.field(static=True)

    def __call__(
        self, x: Float[Array, "*batch n_in"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch n_out"]:
        """Measures what the block makes of the amplitudes.

        Raises:
            ValueError: If there is no key.
        """
        if key is None:
            raise ValueError(
                "`key` must be a PRNG key, since a chip is measured with noise, but is None."
            )
        flat = x.reshape(-1, self.n_in)
        if self.belief is None:
            light = _forward_pass((self.phase, self.attenuation, flat), self.block, self.n_out, key)
        else:
            clean = flat @ _seen(self.belief, self.n_in, self.n_out)
            measured = _measured(jax.lax.stop_gradient(flat), self.block, self.n_out, key)
            # The measured value with the believed derivative.
            light = clean + jax.lax.stop_gradient(measured - clean)
        y = (self.gain * light).reshape(*x.shape[:-1], self.n_out)
        return y if self.bias is None else y + jnp.broadcast_to(self.bias, y.shape)


def on_bench(program: ChipProgram, bench: ChipBench, belief: ChipTwin | None = None) -> Any:
    """The model with its maps on a chip.

    Args:
        program: The model and what the chip is set to.
        bench: The chip.
        belief: Chip through which the derivative is taken; None measures it in forward mode.
    """
    # Attenuators stay in their range; a value outside has the derivative of the light at the edge.
    raw = program.settings.attenuation
    settings = program.settings._replace(
        attenuation=raw + jax.lax.stop_gradient(jnp.clip(raw, 0, 1) - raw)
    )
    blocks = bench.program(jax.lax.stop_gradient(settings), 1.0)
    believed = None if belief is None else belief.transfer_matrices(settings, 1.0)

    def lit(_name, seat):
        if not isinstance(seat, Seat):
            return None
        place = seat.block
        return BlockLinear(
            phase=settings.tied[place],
            attenuation=settings.attenuation[place],
            gain=program.gain[place],
            bias=seat.bias,
            block=jax.tree.map(lambda leaf: leaf[place], blocks),
            belief=None if believed is None else believed[place],
            n_in=seat.n_in,
            n_out=seat.n_out,
        )

    return replace_linear(program.model, lit)


def _seen(matrix, n_in: int, n_out: int):
    """Real part from the ports of the data to those of the output, as a weight (n_in, n_out)."""
    return jnp.real(matrix[n_in : n_in + n_out, :n_in]).T


def _loaded(x, block: ProgrammedBlocks, first: int):
    """Amplitudes at the ports from `first` on, the others dark."""
    after = block.n_ports - first - x.shape[-1]
    return jnp.pad(x, ((0, 0), (first, after))).astype(jnp.result_type(x, jnp.complex64))


def _read(field, first: int, count: int):
    return jnp.real(field[:, first : first + count])


def _measured(x, block: ProgrammedBlocks, n_out: int, key):
    field = block.measure_field(_loaded(x, block, 0), key=key)
    return _read(field, x.shape[-1], n_out)


@eqx.filter_custom_vjp
def _forward_pass(lit, block, n_out, key):
    return _measured(lit[2], block, n_out, key)


@_forward_pass.def_fwd
def _data_run(_perturbed, lit, block, n_out, key):
    x = lit[2]
    data_key, error_key = jax.random.split(key)
    light = block.measure_taps(_loaded(x, block, 0), key=data_key)
    return _read(light.output, x.shape[-1], n_out), (light, error_key)


@_forward_pass.def_bwd
def _error_run(kept, cotangent, _perturbed, lit, block, _n_out, _key):
    n_in = lit[2].shape[-1]
    light, key = kept
    error = block.measure_taps(_loaded(cotangent, block, n_in), key=key)
    found = tied_gradient(light, error)
    return found.phases, found.attenuation, _read(error.output, 0, n_in)
