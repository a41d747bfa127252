"""Two rings that turn against each other: a potential of mean force and couplings averaged over the dihedral angle.

    <D_ij> = int D_ij(phi) exp(-V(phi) / RT) dphi / int exp(-V(phi) / RT) dphi,   V(phi) = B (cos 2 phi - cos 2 phi_0)^2

V has its minima at +-phi_0 and 180 degrees +- phi_0, as the symmetry of two rings joined by a bond asks for, and
barriers B (1 -+ cos 2 phi_0)^2 at 0 and 90 degrees. One angle labels it, so that learning the angle and choosing among
candidates are the same thing at two resolutions.

The nine `candidates` are ours: minima interpolated linearly between the three angles that arXiv:2510.19550, as reported
by public study notes, gives for molecular dynamics (32.4 degrees), density functional theory (41.8) and a double well
(50). The potentials of the paper are not known to us, and V is our choice in form and height.

Left out: bending and stretching together with the turn; order tensors that change with the angle.
"""

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float
from scipy.constants import R as GAS_CONSTANT

from quantum._checks import check_count, check_in_range

# arXiv:2510.19550 as reported by public study notes: minima of molecular dynamics, vacuum DFT and a double well.
_CANDIDATE_ENDS = (32.4, 41.8, 50.0)


def candidates(n: int = 9) -> Float[np.ndarray, " candidates"]:
    """Minima of the candidate potentials in radians, from 32.4 over 41.8 to 50 degrees; n is odd.

    Raises:
        ValueError: If `n` is even or below 3.
    """
    check_count(n, "n", 3)
    if n % 2 == 0:
        raise ValueError(f"`n` must be odd, so that the middle candidate is there, but is {n}.")
    low, middle, high = _CANDIDATE_ENDS
    half = n // 2 + 1
    degrees = np.concatenate([np.linspace(low, middle, half), np.linspace(middle, high, half)[1:]])
    return np.deg2rad(degrees)


def torsion_weights(
    angles: Float[Array, " angles"] | np.ndarray,
    minimum: float | int | Array,
    height: float | int,
    temperature: float | int,
) -> Float[Array, " angles"]:
    """Boltzmann weights of equally spaced angles, adding up to 1; differentiable in the minimum.

    Args:
        angles: Dihedral angles in radians, equally spaced over a whole turn (or 0 to pi).
        minimum: phi_0 in radians.
        height: B in J/mol.
        temperature: Kelvin.

    Raises:
        ValueError: If the minimum is beyond a turn, the height negative or the temperature not positive.
    """
    if not isinstance(minimum, Tracer):
        check_in_range(
            float(minimum), "minimum", -2 * math.pi, 2 * math.pi, "rad", "Is it in radians?"
        )
    check_in_range(height, "height", 0, 1e6, "J/mol")
    check_in_range(temperature, "temperature", 1e-3, 1e5, "K")
    depth = (jnp.cos(2 * jnp.asarray(angles)) - jnp.cos(2 * jnp.asarray(minimum))) ** 2
    unscaled = jnp.exp(-(height / (GAS_CONSTANT * temperature)) * depth)
    return unscaled / jnp.sum(unscaled)


def averaged_couplings(
    couplings: Callable[[Float[Array, ""]], Float[Array, "spins spins"]],
    minimum: float | int | Array,
    height: float | int,
    temperature: float | int,
    n_angles: int = 48,
) -> Float[Array, "spins spins"]:
    """Couplings averaged over the potential by the trapezoidal rule on a turn, which converges geometrically.

    Args:
        couplings: Couplings in Hz at a dihedral angle in radians.
        minimum: phi_0 in radians.
        height: B in J/mol.
        temperature: Kelvin.
        n_angles: Angles of the rule.

    Raises:
        ValueError: If there are fewer than 8 angles, or height or temperature are out of range.
    """
    check_count(n_angles, "n_angles", 8)
    angles = jnp.arange(n_angles) * (2 * math.pi / n_angles)
    weights = torsion_weights(angles, minimum, height, temperature)
    table = jnp.stack([couplings(angle) for angle in angles])
    return jnp.tensordot(weights.astype(table.dtype), table, 1)
