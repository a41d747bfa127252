"""Dipolar couplings of an oriented molecule: positions and a Saupe tensor to frequencies, methyl groups turning.

    D_ij = -(mu0 / 4 pi) gamma_i gamma_j hbar / (2 pi) < u^T S u / r^3 >                                       [Hz]

r and u are length and direction of i -> j in the frame of the molecule, S is the Saupe order tensor (symmetric,
traceless, S_ab = <(3 l_a l_b - delta_ab) / 2> with direction cosines l of the field): u^T S u = <P_2(cos theta)>.
< > averages over groups that turn freely, each about the line that all of its atoms show (`rotors`), independently of
the others. Within a group that gives -1/2 of the coupling along the axis for pairs across it; the trapezoidal rule on
the turn is exact for such pairs from three steps on and converges geometrically for others.

Sources: A. Saupe, Z. Naturforsch. A 19, 161 (1964); the form and the sign are those of arXiv:2510.19550 as reported by
public study notes, and give its printed coupling of C and H1. Everything is differentiable in positions and tensor.

Left out: couplings of the turn with the order of the molecule, vibrations, anisotropic J.
"""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float
from scipy.constants import hbar, mu_0

from quantum._checks import check_array, check_count
from quantum.spins.coupling_table import CouplingTable
from quantum.spins.molecule import Molecule, check_positions
from quantum.spins.rotors import check_rotors, check_turning, turning_line

# Order of toluene in EBBA at 295 K; arXiv:2510.19550 as reported by public study notes.
TOLUENE_SAUPE = np.diag([-0.1582, -0.0176, 0.1758])
# Our choice; the tensor is not known to us.
DIMETHYLBIPHENYL_SAUPE = 0.4 * np.diag([-0.5, -0.5, 1.0])
# In units of m/A, so that single precision neither over- nor underflows: 1 / r^3 and hbar are far from 1.
_SCALE = 1e10
_PER_RATIOS = mu_0 * hbar * _SCALE**3 / (8 * math.pi**2)
_ROTATION_STEPS = (
    24  # pairs of a methyl group with others 2 A away converge to 1e-9 of their coupling
)
# rad/s/T: the least and the greatest of a nucleus are 0.5e7 and 28.5e7 in size.
_RATIOS = (1e6, 1e9)
_TRACE = 1e-6
_ROUNDING = 1e-6


def check_saupe(saupe: Float[Array, "3 3"] | np.ndarray) -> None:
    """Raises ValueError unless a Saupe tensor is symmetric and traceless with eigenvalues between -1/2 and 1."""
    tensor = np.asarray(saupe)
    check_array(tensor, "saupe", (3, 3), hint="give the order tensor in the frame of the molecule")
    tensor = np.real(tensor)
    skew = np.abs(tensor - tensor.T).max()
    if skew > _ROUNDING:
        raise ValueError(
            f"`saupe` must be symmetric, but differs by {skew:.3g} from its transpose; give S_ab = S_ba."
        )
    if abs(np.trace(tensor)) > _TRACE:
        raise ValueError(
            f"`saupe` must be traceless, but its trace is {np.trace(tensor):.3g}; subtract a third of it "
            "from the diagonal."
        )
    values = np.linalg.eigvalsh(tensor)
    if values[0] < -0.5 - _ROUNDING or values[-1] > 1 + _ROUNDING:
        raise ValueError(
            f"`saupe` must have eigenvalues between -1/2 and 1, but has {values[0]:.3g} to {values[-1]:.3g}; "
            "is it the mean of (3 l_a l_b - delta_ab) / 2?"
        )


def couplings(
    positions: Float[Array, "spins 3"] | np.ndarray,
    gyromagnetic: Float[Array, " spins"] | np.ndarray,
    saupe: Float[Array, "3 3"] | np.ndarray,
    rotors: Sequence[Sequence[int]] = (),
    *,
    rotation_steps: int = _ROTATION_STEPS,
) -> Float[Array, "spins spins"]:
    """Dipolar couplings in Hz, symmetric with a zero diagonal; values are checked where they are not traced.

    Args:
        positions: Metres, in the frame of the molecule.
        gyromagnetic: Gyromagnetic ratios in rad/s/T, 0 for an atom that only shows where a group turns.
        saupe: Order tensor in that frame.
        rotors: Groups that turn freely and independently; a methyl group's three protons, with or without its carbon.
        rotation_steps: Angles of a turn; a multiple of 3, so that the sites of a methyl group stay alike.

    Raises:
        ValueError: If atoms overlap or are in no metres, ratios are in no rad/s/T, the tensor is no Saupe tensor, or
            rotors or steps are wrong.
    """
    groups = tuple(tuple(int(k) for k in group) for group in rotors)
    check_array(positions, "positions", ("spins", 3), "m", "x, y and z for each spin")
    n = positions.shape[0]
    check_array(gyromagnetic, "gyromagnetic", (n,), "rad/s/T", "one for each position")
    check_rotors(groups, n)
    check_count(rotation_steps, "rotation_steps", 3)
    if rotation_steps % 3:
        raise ValueError(f"`rotation_steps` must be a multiple of 3, but is {rotation_steps}.")
    _check_ratios(gyromagnetic)
    _check_geometry(positions, groups)
    if not isinstance(saupe, Tracer):
        check_saupe(saupe)
    mean = _mean_order(positions, saupe, groups, rotation_steps, tuple(range(n)))
    return _in_hz(mean, gyromagnetic)


def molecule_couplings(
    molecule: Molecule, saupe: Float[Array, "3 3"] | np.ndarray
) -> CouplingTable:
    """Couplings in Hz of the spins 1/2, protons last, with the nuclide of each.

    Groups turn about the line that all of their atoms show, also those without spin.

    Args:
        molecule: Nuclei, positions and the groups that turn.
        saupe: Order tensor in its frame.

    Raises:
        ValueError: If atoms overlap, the tensor is no Saupe tensor, there is no spin 1/2, or a nucleus of spin above
            1/2 is not left out.
    """
    if not isinstance(saupe, Tracer):
        check_saupe(saupe)
    names = tuple(molecule.isotopes[k] for k in molecule.spin_places())
    return CouplingTable(couplings_by_order(molecule, saupe), names)


def couplings_by_order(
    molecule: Molecule, order: Float[Array, "3 3"] | np.ndarray
) -> Float[Array, "spins spins"]:
    """Couplings in Hz for any symmetric matrix in place of the order tensor, in which they are linear.

    Raises:
        ValueError: If atoms overlap, there is no spin 1/2, or a nucleus of spin above 1/2 is not left out.
    """
    kept = molecule.spin_places()
    check_rotors(molecule.rotors, len(molecule.isotopes))
    _check_geometry(molecule.positions, molecule.rotors)
    mean = _mean_order(molecule.positions, order, molecule.rotors, _ROTATION_STEPS, kept)
    return _in_hz(mean, molecule.gyromagnetic[list(kept)])


def _check_ratios(gyromagnetic) -> None:
    if isinstance(gyromagnetic, Tracer):
        return
    ratios = np.asarray(gyromagnetic)
    sizes = np.abs(ratios)
    wrong = ratios[(sizes > 0) & ((sizes < _RATIOS[0]) | (sizes > _RATIOS[1]))]
    if wrong.size:
        raise ValueError(
            f"`gyromagnetic` must lie between {_RATIOS[0]:g} and {_RATIOS[1]:g} rad/s/T in size, but one is "
            f"{wrong[0]:g}; are they in rad/s/T? The proton has 2.675e8."
        )


def _check_geometry(positions, groups) -> None:
    if not isinstance(positions, Tracer):
        check_positions(np.asarray(positions))
        check_turning(positions, groups)


def _mean_order(positions, saupe, groups, steps: int, kept: tuple[int, ...]):
    places = jnp.asarray(positions) * _SCALE
    tensor = jnp.asarray(saupe, dtype=places.dtype)
    # A group without a spin moves nothing that couples.
    groups = tuple(group for group in groups if set(group) & set(kept))
    if not groups:
        return _rigid(places[np.array(kept)], tensor)
    return _averaged(places, tensor, groups, steps, kept)


def _in_hz(mean, gyromagnetic):
    ratios = jnp.asarray(gyromagnetic, dtype=mean.dtype)
    return -_PER_RATIOS * ratios[:, None] * ratios[None, :] * mean


@partial(jax.jit, static_argnums=(2, 3, 4))
def _averaged(places, saupe, groups, steps: int, kept: tuple[int, ...]):
    """< u^T S u / r^3 > for all pairs of the atoms that are kept."""
    frames = _turned(places, groups, steps)[:, np.array(kept)]
    same = jax.vmap(lambda at: _order_over_cube(at, at, saupe))(frames).mean(axis=0)
    if len(groups) == 1:
        return same
    # Two groups turn independently, so all pairs of their angles count.
    table = jax.vmap(
        lambda at: jax.vmap(lambda to: _order_over_cube(at, to, saupe))(frames).mean(axis=0)
    )
    owner = np.full(places.shape[0], -1)
    for number, group in enumerate(groups):
        owner[list(group)] = number
    owner = owner[list(kept)]
    apart = (owner[:, None] != owner) & (owner[:, None] >= 0) & (owner >= 0)
    return jnp.where(apart, table(frames).mean(axis=0), same)


@jax.jit
def _rigid(places, saupe):
    """u^T S u / r^3 for all pairs."""
    return _order_over_cube(places, places, saupe)


def _order_over_cube(at, to, saupe):
    """u^T S u / r^3 from each of `at` to each of `to`, in A^-3; zero from a spin to itself."""
    vectors = to[None, :] - at[:, None]
    square = jnp.sum(vectors**2, axis=-1) + jnp.eye(at.shape[0], dtype=at.dtype)
    projected = jnp.einsum("ija,ab,ijb->ij", vectors, saupe, vectors)
    return jnp.where(np.eye(at.shape[0], dtype=bool), 0, projected / square**2.5)


def _turned(places, groups, steps: int):
    """Positions at every angle of the turn, (steps, spins, 3): all groups at the same angle."""
    angles = 2 * math.pi * np.arange(steps) / steps
    c = jnp.asarray(np.cos(angles), dtype=places.dtype)[:, None, None]
    s = jnp.asarray(np.sin(angles), dtype=places.dtype)[:, None, None]
    frames = jnp.broadcast_to(places, (steps, *places.shape))
    for group in groups:
        index = np.array(group)
        centre, axis = turning_line(places[index])
        arms = places[index] - centre[None]
        along = (arms @ axis)[:, None] * axis[None]  # Rodrigues
        across = jnp.cross(jnp.broadcast_to(axis, arms.shape), arms)
        turned = c * (arms - along)[None] + s * across[None] + (centre[None] + along)[None]
        frames = frames.at[:, index].set(turned)
    return frames
