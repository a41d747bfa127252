"""Spins 1/2 with pair couplings and fields: the Hamiltonians of NMR, and of any circuit they are turned into.

    H / hbar = sum_(i<j) I_i . T_ij . I_j + sum_i f_i . I_i                                       [rad/s]

I = sigma / 2 are spin operators, T_ij a real 3 x 3 matrix for each pair (T_ji its transpose), f_i a real vector. Every
secular, average and toggling-frame Hamiltonian of the dipolar echo is of this form: a pulse that turns spin i by R_i
turns couplings and fields alike, T_ij -> R_i T_ij R_j^T and f_i -> R_i f_i, so an average over a pulse sequence is an
average of rotated tensors. Spin 0 is the most significant bit, |0> is spin up (I_z = +1/2).

Left out: spins above 1/2, terms on three and more spins, relaxation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from quantum._numbers import as_real

PAULIS = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
_MOST_HELD = 5
_MOST_DENSE = 13  # 2^13 squared in complex128 is 1 GB
_SYMMETRY_TOLERANCE = 1e-6  # of the largest coupling; tensors may come in single precision


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SpinHamiltonian:
    """A Hamiltonian as tensors; a pytree, so it can be traced, batched and differentiated.

    Attributes:
        couplings: T_ij in rad/s, (spins, spins, 3, 3), with T_ji = T_ij^T and nothing for i = j.
        fields: f_i in rad/s, (spins, 3).
        isotopes: Nuclide of each spin, which says what a pulse turns; () where it is not known.
    """

    couplings: Float[Array, "spins spins 3 3"]
    fields: Float[Array, "spins 3"]
    isotopes: tuple[str, ...] = field(default=(), metadata={"static": True})

    @property
    def n_spins(self) -> int:
        """Number of spins."""
        return self.fields.shape[-2]

    def __add__(self, other: "SpinHamiltonian") -> "SpinHamiltonian":
        if self.isotopes and other.isotopes and self.isotopes != other.isotopes:
            raise ValueError(
                f"`isotopes` must be those of the other Hamiltonian, but are {self.isotopes} and {other.isotopes}; "
                "bring the spins into one order."
            )
        names = self.isotopes or other.isotopes
        return SpinHamiltonian(self.couplings + other.couplings, self.fields + other.fields, names)

    def __sub__(self, other: "SpinHamiltonian") -> "SpinHamiltonian":
        return self + (-1.0) * other

    def __mul__(self, factor) -> "SpinHamiltonian":
        return replace(self, couplings=factor * self.couplings, fields=factor * self.fields)

    __rmul__ = __mul__

    def __neg__(self) -> "SpinHamiltonian":
        return (-1.0) * self

    def rotated(self, rotations: Float[Array | np.ndarray, "spins 3 3"]) -> "SpinHamiltonian":
        """The Hamiltonian with every spin operator turned: I_i . f becomes I_i . (R_i f)."""
        turned = jnp.einsum("iab,ijbc,jdc->ijad", rotations, self.couplings, rotations)
        fields = jnp.einsum("iab,ib->ia", rotations, self.fields)
        return replace(self, couplings=turned, fields=fields)

    def of(self, spins: Sequence[int]) -> "SpinHamiltonian":
        """The terms among some of the spins, in the order given."""
        kept = np.array(spins, dtype=int)
        names = tuple(self.isotopes[k] for k in kept) if self.isotopes else ()
        return SpinHamiltonian(self.couplings[np.ix_(kept, kept)], self.fields[kept], names)


def make_hamiltonian(
    couplings: Float[Array, "spins spins 3 3"] | np.ndarray,
    fields: Float[Array, "spins 3"] | np.ndarray | None = None,
) -> SpinHamiltonian:
    """Checks tensors and makes a Hamiltonian of them.

    Args:
        couplings: T_ij in rad/s; both T_ij and T_ji = T_ij^T have to be given.
        fields: f_i in rad/s; none by default.

    Raises:
        ValueError: If a shape is wrong, a value is not finite, a spin couples to itself, or T_ji differs from T_ij^T or
            a value is complex, so that H would not be Hermitian.
    """
    tensor = np.asarray(couplings)
    if tensor.ndim != 4 or tensor.shape[0] != tensor.shape[1] or tensor.shape[2:] != (3, 3):
        raise ValueError(
            f"`couplings` must have shape (spins, spins, 3, 3), but has {tensor.shape}; give a 3 x 3 tensor a pair."
        )
    n = len(tensor)
    vectors = np.zeros((n, 3)) if fields is None else np.asarray(fields)
    if vectors.shape != (n, 3):
        raise ValueError(
            f"`fields` must have shape {(n, 3)}, but has {vectors.shape}; give one a spin."
        )
    for name, values in (("couplings", tensor), ("fields", vectors)):
        if np.iscomplexobj(values) and np.abs(np.imag(values)).max(initial=0) > 0:
            raise ValueError(
                f"`{name}` must be real for a Hermitian Hamiltonian, but have an imaginary part of "
                f"{np.abs(np.imag(values)).max():.3g} rad/s; take the real part, decay is no part of H."
            )
        if not np.isfinite(values).all():
            raise ValueError(
                f"`{name}` must be finite, but hold {(~np.isfinite(values)).sum()} values that are not; give 0 rad/s "
                "for none."
            )
    scale = np.abs(tensor).max(initial=0)
    error = np.abs(tensor - tensor.transpose(1, 0, 3, 2)).max(initial=0)
    if error > _SYMMETRY_TOLERANCE * scale:
        raise ValueError(
            f"`couplings` must satisfy T_ji = T_ij^T for a Hermitian Hamiltonian, but differ by {error:.3g} rad/s; "
            "give every pair in both orders."
        )
    own = np.abs(tensor[np.arange(n), np.arange(n)]).max(initial=0)
    if own > 0:
        raise ValueError(
            f"`couplings` must be zero from a spin to itself, but reach {own:.3g} rad/s; use `fields`."
        )
    return SpinHamiltonian(as_real(tensor), as_real(vectors))


def dense(hamiltonian: SpinHamiltonian) -> Complex[np.ndarray, "states states"]:
    """The matrix of H / hbar in rad/s, complex128: the plain reference that every propagation is held against.

    Raises:
        ValueError: If there are more than 13 spins.
    """
    n = hamiltonian.n_spins
    if n > _MOST_DENSE:
        raise ValueError(
            f"`hamiltonian` must have at most {_MOST_DENSE} spins for a dense matrix, but has {n}; use "
            "`spin_evolution`."
        )
    couplings, fields = np.asarray(hamiltonian.couplings), np.asarray(hamiltonian.fields)
    found = np.zeros((2**n, 2**n), dtype=complex)
    product = _held if n <= _MOST_HELD else lambda n, *axes: spin_product(n, dict(axes))
    for i in range(n):
        for a in range(3):
            if fields[i, a]:
                found += fields[i, a] * product(n, (i, a))
            for j in range(i + 1, n):
                for b in range(3):
                    if couplings[i, j, a, b]:
                        found += couplings[i, j, a, b] * product(n, (i, a), (j, b))
    return found


@lru_cache(maxsize=512)
def _held(n_spins: int, *axes: tuple[int, int]) -> Complex[np.ndarray, "states states"]:
    """`spin_product` of few spins, kept: five spins have 105 of them, 2 MB in all."""
    found = spin_product(n_spins, dict(axes))
    found.setflags(write=False)
    return found


def spin_product(n_spins: int, axes: dict[int, int]) -> Complex[np.ndarray, "states states"]:
    """Dense product of spin operators I_a (a = 0, 1, 2 for x, y, z), the identity on spins that are not named."""
    found = np.eye(1, dtype=complex)
    for spin in range(n_spins):
        found = np.kron(found, PAULIS[axes[spin]] / 2 if spin in axes else np.eye(2))
    return found
