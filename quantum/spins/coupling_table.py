"""A table of dipolar couplings that knows whose they are.

    like spins (of one nuclide)     D (3 I_z I_z - I . I)
    unlike spins                    2 D I_z I_z

so a table of numbers alone does not say which Hamiltonian it belongs to. `CouplingTable` is such a table with the
nuclide of each spin; it reads like an array (`table[0, 1]`, `np.asarray(table)`), which then knows the nuclides no
more. Numbers without nuclides are taken for one rare spin among like ones, see `quantum.nmr.average_hamiltonian`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from quantum._checks import check_array
from quantum._numbers import as_real
from quantum.spins.nuclides import SPINS, isotope

LARGEST_HZ = 5e6  # of two protons 0.3 A apart, the least distance of two atoms of `molecule`


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class CouplingTable:
    """Couplings and the nuclides that have them; a pytree whose only leaf is the numbers.

    Attributes:
        hz: D_ij in Hz, symmetric with a zero diagonal.
        isotopes: Nuclide of each spin, such as "13C".
    """

    hz: Float[Array, "spins spins"]
    isotopes: tuple[str, ...] = field(metadata={"static": True})

    @property
    def shape(self) -> tuple[int, ...]:
        """(spins, spins)."""
        return self.hz.shape

    @property
    def dtype(self):
        """Type of the numbers."""
        return self.hz.dtype

    def __len__(self) -> int:
        return len(self.isotopes)

    def __getitem__(self, index: Any) -> Array:
        return self.hz[index]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(self.hz, dtype=dtype, copy=True if copy is None else copy)

    def __jax_array__(self) -> Array:
        return self.hz

    def __mul__(self, factor) -> "CouplingTable":
        return CouplingTable(self.hz * factor, self.isotopes)

    __rmul__ = __mul__

    def of(self, spins: Sequence[int]) -> "CouplingTable":
        """The couplings among some of the spins, in the order given."""
        kept = np.array(spins, dtype=int)
        return CouplingTable(self.hz[np.ix_(kept, kept)], tuple(self.isotopes[k] for k in kept))

    def where(self, name: str) -> tuple[int, ...]:
        """Spins of a nuclide, such as "13C" or "H"."""
        return tuple(k for k, own in enumerate(self.isotopes) if own == isotope(name))


def make_coupling_table(
    couplings_hz: Float[Array, "spins spins"] | np.ndarray, isotopes: Sequence[str]
) -> CouplingTable:
    """Numbers that were measured or computed elsewhere, with their nuclides.

    Args:
        couplings_hz: D_ij in Hz, both orders of each pair.
        isotopes: Nuclide of each spin; spins 1/2 alone.

    Raises:
        ValueError: If there is not one nuclide a spin, or one has another spin than 1/2.
    """
    names = tuple(isotope(name) for name in isotopes)
    check_array(couplings_hz, "couplings_hz", (len(names),) * 2, "Hz", "one row for each nuclide")
    wrong = [name for name in names if SPINS[name] != 0.5]
    if wrong:
        raise ValueError(
            f"`isotopes` must be spins 1/2, but hold {wrong[0]} of spin {SPINS[wrong[0]]:g}; leave its row out."
        )
    return CouplingTable(as_real(couplings_hz), names)
