"""Groups of atoms that turn freely, and the line they turn about, found from all of their atoms.

The line goes through the middle of the atoms. Its direction is the one that the moments of the group single out: with
A = sum_k (r_k - c)(r_k - c)^T of eigenvalues a <= b <= c,

    three atoms, or a plane (a = 0):   the normal
    a < b = c, flat:                   the direction of a, such as of 13CH3 with its carbon
    a = b < c, long:                   the direction of c, such as of C-CH3 with both carbons

A symmetric top has two equal moments; distorted ones pass while one gap is less than half of the other. On the order of
the atoms nothing depends. Differentiable in positions: the direction is refined by two steps of inverse iteration,
whose derivative is that of an isolated eigenvector, however the other two coincide.

Left out: groups that turn about a line that their own atoms do not show, such as O-CH3 about its bond to a ring.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

_PLANE = 1e-3  # moment across a plane over the next, our choice: 3 % of the width
_LINE = 1e-6
_CLEAR = 0.5  # the smaller gap over the larger


def check_rotors(rotors: tuple[tuple[int, ...], ...], n_atoms: int) -> None:
    """Raises ValueError unless groups have three or more atoms that exist, each in one group only."""
    named = [k for group in rotors for k in group]
    if any(not 0 <= k < n_atoms for k in named) or len(set(named)) < len(named):
        raise ValueError(
            f"`rotors` must name each of atoms 0 to {n_atoms - 1} at most once, but are {rotors}."
        )
    if any(len(group) < 3 for group in rotors):
        raise ValueError(
            f"`rotors` must hold three atoms or more each, which fix an axis, but are {rotors}."
        )


def check_turning(places, rotors: tuple[tuple[int, ...], ...]) -> None:
    """Raises ValueError unless each group shows a line to turn about; traced positions pass."""
    if isinstance(places, Tracer):
        return
    at = np.asarray(places, dtype=float)
    for group in rotors:
        arms = at[list(group)] - at[list(group)].mean(axis=0)
        low, middle, high = np.linalg.eigvalsh(arms.T @ arms)
        if middle <= _LINE * high:
            raise ValueError(
                f"`rotors` must not lie on a line, but {group} does; add an atom beside it or leave it out."
            )
        gaps = sorted((middle - low, high - middle))
        plane = len(group) == 3 or low <= _PLANE * middle
        if (not plane and gaps[0] > _CLEAR * gaps[1]) or gaps[1] <= _PLANE * high:
            raise ValueError(
                f"`rotors` must show an axis, but the moments of {group} are as {low / high:.2g} to "
                f"{middle / high:.2g} to 1; name the atoms of one symmetric top, such as the three protons of a methyl "
                "group."
            )


def turning_line(
    places: Float[Array, "atoms 3"],
) -> tuple[Float[Array, " 3"], Float[Array, " 3"]]:
    """Middle and unit direction of the line that a group turns about; the sign of the direction means nothing."""
    centre = places.mean(axis=0)
    arms = places - centre[None]
    if len(places) == 3:
        normal = jnp.cross(arms, jnp.roll(arms, -1, axis=0)).sum(axis=0)
        return centre, normal / jnp.linalg.norm(normal)
    moments = jnp.einsum("ka,kb->ab", arms, arms)
    values, vectors = jnp.linalg.eigh(jax.lax.stop_gradient(moments))
    flat = (values[1] - values[0] >= values[2] - values[1]) | (values[0] <= _PLANE * values[1])
    axis = jnp.where(flat, vectors[:, 0], vectors[:, 2])
    for _ in range(2):
        shifted = moments - (axis @ moments @ axis) * jnp.eye(3, dtype=moments.dtype)
        scale = jax.lax.stop_gradient(values[2])
        axis = jnp.linalg.solve(shifted + scale * jnp.outer(axis, axis), axis)
        axis = axis / jnp.linalg.norm(axis)
    return centre, axis
