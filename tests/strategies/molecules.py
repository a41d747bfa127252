"""Random valid molecules and what they are in NumPy alone, written from the definitions and not from the library.

`FUZZ` cases are drawn where nothing is set; the environment variable LIGHTECHO_FUZZ asks for another number.
"""

import math
import os
from dataclasses import dataclass

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from scipy.constants import hbar, mu_0
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

FUZZ = int(os.environ.get("LIGHTECHO_FUZZ", "200"))
fuzz = settings(max_examples=FUZZ, deadline=None, database=None, derandomize=True)
# rad/s/T; typed in again from Harris et al. (2001) and CODATA 2022.
RATIOS = {
    "1H": 2.6752218708e8, "13C": 6.728284e7, "15N": -2.71261804e7,
    "19F": 2.518148e8, "29Si": -5.319e7, "31P": 1.08394e8,
}  # fmt: skip
PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@dataclass(frozen=True)
class Drawn:
    """Atoms in the order of a file, with everything that a Hamiltonian needs."""

    places: np.ndarray  # m, (atoms, 3)
    isotopes: tuple[str, ...]
    saupe: np.ndarray
    scalar_hz: np.ndarray  # J of the spins in the order of `order`
    offsets_hz: np.ndarray
    time: float
    angle: float
    axis: np.ndarray

    @property
    def order(self) -> list[int]:
        """Atoms with a spin 1/2, protons last, otherwise as they stand."""
        found = [k for k, name in enumerate(self.isotopes) if name in RATIOS]
        protons = [k for k in found if self.isotopes[k] == "1H"]
        return [k for k in found if k not in protons] + protons


@st.composite
def molecules(draw, least: int = 2, most: int = 4) -> Drawn:
    """Molecules of two to four spins 1/2 of any nuclides, among them up to two atoms that take no part."""
    kinds = draw(st.lists(st.sampled_from(sorted(RATIOS)), min_size=least, max_size=most))
    others = draw(st.lists(st.sampled_from(["12C", "14N", "2H"]), max_size=2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    names = tuple(str(name) for name in rng.permutation([*kinds, *others]))
    sites = rng.permutation(27)[: len(names)]  # a lattice of 2 A: no two atoms nearer than 1.2 A
    places = 2.0 * np.stack(np.unravel_index(sites, (3, 3, 3)), 1)
    places += rng.uniform(-0.23, 0.23, places.shape)
    n = len(kinds)
    scalar = np.triu(rng.normal(0, 80, (n, n)), 1)
    axis = rng.normal(size=3)
    return Drawn(
        1e-10 * places, names, order_tensor(rng), scalar + scalar.T, rng.normal(0, 500, n),
        rng.uniform(0, 3e-3), rng.uniform(-6, 6), axis / np.linalg.norm(axis),
    )  # fmt: skip


def order_tensor(rng: np.random.Generator) -> np.ndarray:
    """A Saupe tensor: eigenvalues between -1/2 and 1 that add up to 0, in any frame."""
    largest = rng.uniform(-0.5, 1.0)
    # The other two add up to -largest; both above -1/2 and below 1.
    low, high = max(-0.5, -largest - 1), min(1.0, -largest + 0.5)
    other = rng.uniform(low, high)
    turn = Rotation.random(random_state=rng).as_matrix()
    return turn @ np.diag([largest, other, -largest - other]) @ turn.T


def coupling(first, second, at, to, saupe) -> float:
    """D in Hz of two nuclei at fixed places, from the field of one dipole at the other."""
    apart = to - at
    r = math.sqrt(apart @ apart)
    order = apart @ saupe @ apart / r**2
    return -mu_0 / (4 * math.pi) * RATIOS[first] * RATIOS[second] * hbar / (2 * math.pi) * order / r**3  # fmt: skip


def operator(n: int, spin: int, axis) -> np.ndarray:
    """n . I of one spin of n."""
    one = np.tensordot(np.asarray(axis, float), PAULI, 1) / 2
    return np.kron(np.kron(np.eye(2**spin), one), np.eye(2 ** (n - 1 - spin)))


def secular_matrix(names, couplings_hz, scalar_hz, offsets_hz) -> np.ndarray:
    """H / hbar in rad/s of spins 1/2 in a strong field."""
    n = len(names)
    found = np.zeros((2**n, 2**n), complex)
    x, y, z = ([operator(n, k, axis) for k in range(n)] for axis in np.eye(3))
    for i in range(n):
        found -= 2 * math.pi * math.copysign(offsets_hz[i], offsets_hz[i] * RATIOS[names[i]]) * z[i]
        for j in range(i):
            scalar, zz = scalar_hz[i, j], z[i] @ z[j]
            product = x[i] @ x[j] + y[i] @ y[j] + zz
            if names[i] == names[j]:
                term = couplings_hz[i, j] * (3 * zz - product) + scalar * product
            else:
                term = (2 * couplings_hz[i, j] + scalar) * zz
            found += 2 * math.pi * term
    return found


def echo_value(matrix, struck, angle, axis, time, probes) -> float:
    """C(t) from exponentials of whole matrices."""
    n = len(matrix).bit_length() - 1
    forth = expm(-1j * time * matrix)
    strike = expm(-1j * angle * sum(operator(n, k, axis) for k in struck))
    walk = forth.conj().T @ strike @ forth
    read = sum(operator(n, k, (1, 0, 0)) for k in probes)
    return float(np.trace(read @ walk @ read @ walk.conj().T).real / np.trace(read @ read).real)
