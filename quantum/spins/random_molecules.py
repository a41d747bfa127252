"""Molecules at random: real ones whose atoms and order are moved, and made-up ones of a bond with protons around it.

Both give dipolar couplings D_ij in Hz, of the kind that `dipolar` computes for a molecule as it is.

Constants of the made-up ones: dipolar constants in Hz A^3 and the order along the long axis from the sheet of the NMR
experiment of Google Quantum AI and collaborators, arXiv 2510.19550 (second-hand); the cube and the least distance are
our choice.
"""

from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from quantum._checks import check_count, check_in_range
from quantum.spins.coupling_table import CouplingTable
from quantum.spins.dipolar import molecule_couplings
from quantum.spins.molecule import ANGSTROM, Molecule

_PROTONS, _PROBE, _ORDER = 120_120.0, 30_211.0, 0.1758
_RADIUS, _NEAREST = 2.5, 1.7  # A


def moved_couplings(
    molecule: Molecule,
    saupe: np.ndarray,
    n_molecules: int,
    *,
    seed: int,
    shift: float | int = 2e-12,
    order_shift: float | int = 0.01,
) -> tuple[CouplingTable, ...]:
    """D_ij in Hz of molecules with atoms and order tensor moved at random, normally distributed.

    Args:
        molecule: About which they are drawn.
        saupe: Its order tensor.
        n_molecules: How many.
        seed: Of the draws.
        shift: Standard deviation of each coordinate in metres.
        order_shift: Standard deviation of each entry of the order tensor, before its trace is taken off.

    Raises:
        ValueError: If there is no molecule to draw, or a drawn one is not valid.
    """
    check_count(n_molecules, "n_molecules", 1)
    check_in_range(shift, "shift", 0, 1e-10, "m")
    rng = np.random.default_rng(seed)
    places = np.asarray(molecule.positions)
    found = []
    for _ in range(n_molecules):
        moved = replace(molecule, positions=jnp.asarray(rng.normal(places, shift)))
        noise = rng.normal(0, order_shift, (3, 3))
        noise = (noise + noise.T) / 2
        tensor = saupe + noise - np.trace(noise) / 3 * np.eye(3)
        found.append(molecule_couplings(moved, tensor))
    return tuple(found)


def scattered_couplings(
    n_spins: int, bond: float | int, *, seed: int | Sequence[int]
) -> Float[np.ndarray, "spins spins"]:
    """D_ij in Hz of a probe, a proton bound to it along z, and others at random within a cube about the probe.

    Args:
        n_spins: Spins, the probe first and its proton second; at least 3.
        bond: Length of the bond in metres; it alone may be shorter than 1.7 A.
        seed: Of the places.

    Raises:
        ValueError: If there are fewer than 3 spins, or the bond is no length between 0.5 and 5 A.
    """
    check_count(n_spins, "n_spins", 3)
    check_in_range(bond, "bond", 0.5 * ANGSTROM, 5 * ANGSTROM, "m", "Is it in metres?")
    rng, bond_in_angstrom = np.random.default_rng(seed), bond / ANGSTROM
    places = np.zeros((n_spins, 3))
    apart = np.zeros((n_spins, n_spins))
    while apart[1:].min() < _NEAREST:
        places[2:] = rng.uniform(-_RADIUS, _RADIUS, (n_spins - 2, 3))
        places[1] = 0, 0, bond_in_angstrom
        apart = np.linalg.norm(places[:, None] - places, axis=-1) + 9 * np.eye(n_spins)
        apart[1, 0] = 9  # the bond alone may be shorter
    apart[1, 0] = apart[0, 1]
    cosine = (places[:, None, 2] - places[:, 2]) / apart
    constant = np.full((n_spins, n_spins), _PROTONS)
    constant[0] = constant[:, 0] = _PROBE
    couplings_hz = -constant * _ORDER * (3 * cosine**2 - 1) / 2 / apart**3
    np.fill_diagonal(couplings_hz, 0)
    return couplings_hz
