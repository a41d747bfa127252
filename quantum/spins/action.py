"""Acts with a spin Hamiltonian on states without building its matrix, and bounds its spectrum.

    H = sum_c h_c,   h_c = sum_(i<j in c) w_c I_i . T_ij . I_j + sum_(i in c) v_c f_i . I_i

Spins are taken in blocks of at most three neighbours, a cluster c is a pair of blocks, and every pair of spins lies in
a cluster; pairs and fields that lie in several are shared out evenly (w_c, v_c). So H psi is a sum of products of
64 x 64 matrices with the state reshaped to 64 rows: 10 products for 15 spins, where every pair by itself would be 105
passes through memory, and the compiled program has one product for each cluster. Up to six spins are one cluster.

A Hamiltonian without odd powers of I_y is a real matrix. Its products are then real too, with real and imaginary parts
of the states as columns, a quarter of the work of complex ones. The double-quantum forms are real, XY + YX after a turn
of 45 degrees about z; `real_frame` finds the turn.

Bounds: the extreme eigenvalues of the clusters add up to bounds that always hold; Lanczos (Lanczos, J. Res. Natl.
Bur. Stand. 45, 255 (1950), through ARPACK) finds the true edges, typically 1.5 to 3 times closer.

Left out: blocks that follow the molecule; on the sizes at hand neighbours in the order of spins are as good.
"""

import math
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Complex, Float, Shaped
from scipy.sparse.linalg import LinearOperator, eigsh

from quantum._checks import check_choice
from quantum.spins.hamiltonian import SpinHamiltonian, spin_product

DTYPES = {"single": jnp.complex64, "double": jnp.complex128}
_BLOCK = 3
_LANCZOS_TOLERANCE: Any = 1e-3
# Share of the width added on either side of Lanczos values: they lie inside the spectrum by at most the tolerance.
_MARGIN = 0.01
_ROUNDING = 1e-6  # a coupling may have come in single precision


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SpinAction:
    """A Hamiltonian ready to act on columns, (2^n, columns).

    Attributes:
        matrices: h_c in rad/s, one for each pair of blocks.
        n_spins: Number of spins n.
    """

    matrices: tuple[Shaped[Array, "_ _"], ...]
    n_spins: int = field(metadata={"static": True})

    @property
    def is_real(self) -> bool:
        """Whether H is a real matrix."""
        return not jnp.issubdtype(self.matrices[0].dtype, jnp.complexfloating)

    def scaled(self, middle: float | Array, radius: float | Array) -> "SpinAction":
        """(H - middle) / radius, which costs no pass of its own over the states."""
        first, *rest = self.matrices
        first = first - jnp.asarray(middle, first.dtype) * jnp.eye(len(first), dtype=first.dtype)
        return SpinAction(
            tuple(m / jnp.asarray(radius, m.dtype) for m in (first, *rest)), self.n_spins
        )

    def __call__(self, columns: Shaped[Array, "states columns"]) -> Shaped[Array, "states columns"]:
        """H applied to every column, in rad/s."""
        sizes = [2 ** len(block) for block in blocks(self.n_spins)]
        tensor = columns.reshape(*sizes, columns.shape[1])
        total = jnp.zeros((), columns.dtype)
        for places, matrix in zip(_clusters(len(sizes)), self.matrices, strict=True):
            shape = [sizes[place] for place in places] * 2
            k = len(places)
            axes = (tuple(range(k, 2 * k)), places)
            # Without a precision a GPU would round single to ten bits.
            moved = jnp.tensordot(matrix.reshape(shape), tensor, axes, precision="highest")
            total = total + jnp.moveaxis(moved, tuple(range(k)), places)
        return total.reshape(columns.shape)


class Bounds(NamedTuple):
    """An interval that holds the spectrum, in rad/s."""

    lowest: float
    highest: float


def blocks(n_spins: int) -> list[range]:
    """Neighbouring spins that share a block: all up to six spins, else about three."""
    count = 1 if n_spins <= 2 * _BLOCK else math.ceil(n_spins / _BLOCK)
    edges = np.linspace(0, n_spins, count + 1).round().astype(int)
    return [range(low, high) for low, high in pairwise(edges)]


def make_action(
    hamiltonian: SpinHamiltonian, *, precision: str = "single", real: bool | None = None
) -> SpinAction:
    """Prepares a Hamiltonian for acting on states; differentiable in its tensors.

    Args:
        hamiltonian: Any spin Hamiltonian.
        precision: "single" (complex64) or "double" (complex128, which needs JAX's 64-bit mode).
        real: Whether to drop odd powers of I_y, which the caller knows to vanish; by default looked up, and False under
            tracing, where values cannot be looked at.

    Raises:
        ValueError: If `precision` is unknown, double precision is switched off in JAX, or `real` is asked of a
            Hamiltonian that is not.
    """
    dtype = complex_type(precision)
    traced = isinstance(hamiltonian.couplings, Tracer)
    found = False if traced else is_real(hamiltonian)
    if real and not (found or traced):
        raise ValueError(
            "`real` must be False for this Hamiltonian, but is True; it holds odd powers of I_y (see `real_frame`)."
        )
    real = found if real is None else real
    n = hamiltonian.n_spins
    places = blocks(n)
    couplings, vectors = hamiltonian.couplings, hamiltonian.fields
    if not (traced or isinstance(vectors, Tracer)):
        couplings, vectors = np.asarray(couplings), np.asarray(vectors)
    matrices = []
    for cluster in _clusters(len(places)):
        spins = [spin for place in cluster for spin in places[place]]
        share = np.array([max(len(places) - 1, 1)] * len(spins))
        block_of = np.repeat(np.arange(len(cluster)), [len(places[place]) for place in cluster])
        within = block_of[:, None] == block_of[None]
        weights = np.where(within, 1 / share[:, None], 1.0) / 2  # each pair comes in both orders
        pairs = np.ix_(spins, spins)
        tensor = couplings[pairs] * weights[:, :, None, None]
        fields = vectors[np.array(spins)] / share[:, None]
        matrix = _cluster_matrix(tensor, fields, dtype)
        matrices.append(jnp.asarray(matrix.real if real else matrix))
    return SpinAction(tuple(matrices), n)


def apply(
    hamiltonian: SpinHamiltonian,
    states: Complex[Array, "*batch states"],
    *,
    precision: str = "single",
) -> Complex[Array, "*batch states"]:
    """H psi / hbar in rad/s for a batch of states; linear in the states and in the Hamiltonian."""
    return _applied(make_action(hamiltonian, precision=precision), states)


@jax.jit
def _applied(action: SpinAction, states):
    return from_columns(action(to_columns(states, action)), states.shape[:-1])


def to_columns(
    states: Complex[Array, "*batch states"], action: SpinAction
) -> Shaped[Array, "states columns"]:
    """States as the columns that an action takes: complex, or real parts followed by imaginary parts."""
    flat = states.reshape(-1, states.shape[-1]).T
    columns = jnp.concatenate([flat.real, flat.imag], axis=1) if action.is_real else flat
    return columns.astype(action.matrices[0].dtype)


def from_columns(
    columns: Shaped[Array, "states columns"], batch: tuple[int, ...]
) -> Complex[Array, "*batch states"]:
    """Inverse of `to_columns`."""
    if not jnp.issubdtype(columns.dtype, jnp.complexfloating):
        real, imaginary = jnp.split(columns, 2, axis=1)
        columns = jax.lax.complex(real, imaginary)
    return columns.T.reshape(*batch, columns.shape[0])


def times_i(columns: Shaped[Array, "states columns"]) -> Shaped[Array, "states columns"]:
    """i times the states that columns stand for."""
    if jnp.issubdtype(columns.dtype, jnp.complexfloating):
        return 1j * columns
    real, imaginary = jnp.split(columns, 2, axis=1)
    return jnp.concatenate([-imaginary, real], axis=1)


def is_real(hamiltonian: SpinHamiltonian) -> bool:
    """Whether no odd power of I_y occurs, so that H is a real matrix."""
    tensor, fields = np.asarray(hamiltonian.couplings), np.asarray(hamiltonian.fields)
    odd = max(
        np.abs(tensor[..., (0, 2), 1]).max(initial=0), np.abs(tensor[..., 1, (0, 2)]).max(initial=0)
    )
    largest = max(np.abs(tensor).max(initial=0), np.abs(fields).max(initial=0))
    return bool(max(odd, np.abs(fields[:, 1]).max(initial=0)) <= _ROUNDING * largest)


def real_frame(hamiltonian: SpinHamiltonian) -> tuple[SpinHamiltonian, Float[np.ndarray, "3 3"]]:
    """The Hamiltonian with all spins turned about z so that it is real, where 0 or 45 degrees do that.

    Returns:
        The turned Hamiltonian (the same one if neither helps), and the rotation R that turned it: I . f becomes I .
        (R f).
    """
    if is_real(hamiltonian):
        return hamiltonian, np.eye(3)
    half = math.sqrt(0.5)
    turn = np.array([[half, -half, 0.0], [half, half, 0.0], [0.0, 0.0, 1.0]])
    turns = np.broadcast_to(turn, (hamiltonian.n_spins, 3, 3))
    turned = hamiltonian.rotated(turns.astype(hamiltonian.couplings.dtype))
    return (turned, turn) if is_real(turned) else (hamiltonian, np.eye(3))


def rigorous_bounds(action: SpinAction) -> Bounds:
    """Bounds that always hold: the extreme eigenvalues of the clusters, added up."""
    energies = [np.linalg.eigvalsh(np.asarray(matrix)) for matrix in action.matrices]
    return Bounds(sum(float(e[0]) for e in energies), sum(float(e[-1]) for e in energies))


def spectral_bounds(action: SpinAction) -> Bounds:
    """Edges of the spectrum by Lanczos, with a margin of 1 % of the width, never wider than the rigorous bounds."""
    safe = rigorous_bounds(action)
    size = 2**action.n_spins
    if len(action.matrices) == 1 or safe.highest == safe.lowest:
        return safe
    act = jax.jit(SpinAction.__call__)
    dtype = action.matrices[0].dtype
    operator: Any = LinearOperator(
        shape=(size, size),
        matvec=lambda v: np.asarray(act(action, jnp.asarray(v.reshape(-1, 1), dtype)))[:, 0],  # pyright: ignore
        dtype=np.dtype(dtype),
    )
    start = np.random.default_rng(0).normal(size=size).astype(dtype)
    edges = [
        float(
            eigsh(operator, 1, which=side, v0=start, tol=_LANCZOS_TOLERANCE, return_eigenvectors=False)[0]
        )
        for side in ("SA", "LA")
    ]  # fmt: skip
    margin = _MARGIN * (edges[1] - edges[0])
    return Bounds(max(safe.lowest, edges[0] - margin), min(safe.highest, edges[1] + margin))


def complex_type(precision: str):
    """complex64 or complex128.

    Raises:
        ValueError: If the precision is unknown, or double where JAX has 64-bit numbers switched off.
    """
    check_choice(precision, "precision", tuple(DTYPES))
    if precision == "double" and not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise ValueError(
            "`precision` must be \"single\" while JAX has 64-bit numbers switched off, but is 'double'; set "
            "jax_enable_x64."
        )
    return DTYPES[precision]


def _clusters(n_blocks: int) -> list[tuple[int, ...]]:
    return list(combinations(range(n_blocks), 2)) if n_blocks > 1 else [(0,)]


@cache
def _operators(n_spins: int) -> Complex[np.ndarray, "spins 3 states states"]:
    return np.array([[spin_product(n_spins, {i: a}) for a in range(3)] for i in range(n_spins)])


def _cluster_matrix(tensor, fields, dtype):
    """sum_ij I_i . T_ij . I_j + sum_i f_i . I_i for the few spins of a cluster; NumPy's arrays compile nothing."""
    xp = jnp if isinstance(fields, jax.Array) or isinstance(tensor, jax.Array) else np
    spins = xp.asarray(_operators(fields.shape[0]), dtype)
    partners = xp.einsum("ijab,jbpq->iapq", tensor.astype(dtype), spins, optimize=True)
    pairs = xp.einsum("iapq,iaqr->pr", spins, partners, optimize=True)
    return pairs + xp.einsum("ia,iapq->pq", fields.astype(dtype), spins)
