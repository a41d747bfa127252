"""Mach-Zehnder cell: two couplers, an internal and an external phase shifter, and what goes wrong with them.

Light meets the external shifter phi (top arm), the left coupler, the internal shifter theta (top arm), the loss of the
two arms, and the right coupler. With the coupler C(a) = [[cos a, i sin a], [i sin a, cos a]], 50:50 at a = pi/4,

    T(theta, phi) = C(pi/4 + e_right) diag(h_top exp(i theta), h_bottom) C(pi/4 + e_left) diag(exp(i phi), 1)

and without errors, in closed form,

    T = i exp(i theta/2) [[exp(i phi) sin(theta/2), cos(theta/2)], [exp(i phi) cos(theta/2), -sin(theta/2)]]:

cross at theta = 0, bar at theta = pi. Time factor exp(-i omega t), so a longer arm is a positive phase. The
arrangement is that of Clements et al., Optica 3, 1460 (2016), DOI 10.1364/OPTICA.3.001460. The couplers alone send
the share cos^2(pi/4 + e) straight on. Every element is reciprocal: light sent backwards sees the transpose of T.
Left out: reflections, wavelength dependence, polarisation.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from optics._numbers import takes_numbers

BALANCED = jnp.pi / 4  # Coupler angle of a 50:50 splitter, rad.


class Cell(NamedTuple):
    """Physical state of cells, all of one shape; `BALANCED` couplers and unit transmission are the ideal.

    Attributes:
        theta: Internal phase, rad.
        phi: External phase, rad.
        left: Angle of the left coupler, rad.
        right: Angle of the right coupler, rad.
        top: Amplitude transmission of the top arm, in (0, 1].
        bottom: Amplitude transmission of the bottom arm, in (0, 1].
    """

    theta: Float[Array, "*shape"]
    phi: Float[Array, "*shape"]
    left: Float[Array, "*shape"]
    right: Float[Array, "*shape"]
    top: Float[Array, "*shape"]
    bottom: Float[Array, "*shape"]


@takes_numbers
def coupler_matrix(angle: Float[Array, "*shape"]) -> Complex[Array, "*shape 2 2"]:
    """Directional coupler C(angle); it sends the power share cos^2(angle) straight on.

    Args:
        angle: Coupler angle, rad; pi/4 is 50:50, 0 passes, pi/2 crosses.
    """
    straight, across = jnp.cos(angle) + 0j, 1j * jnp.sin(angle)
    return _matrix(straight, across, across, straight)


@takes_numbers
def phase_shifter_matrix(phase: Float[Array, "*shape"]) -> Complex[Array, "*shape 2 2"]:
    """Phase shifter on the top arm: diag(exp(i phase), 1), phase in rad."""
    shift = jnp.exp(1j * phase)
    dark = jnp.zeros_like(shift)
    return _matrix(shift, dark, dark, jnp.ones_like(shift))


@takes_numbers
def amplitude_transmission(loss_db: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Field factor 10^(-dB / 20) of an insertion loss in decibels of power."""
    return 10 ** (-loss_db / 20)


def cell_elements(cell: Cell) -> Complex[Array, "element ..."]:
    """The four elements T00, T01, T10, T11 of each cell, multiplied out."""
    top = cell.top * jnp.exp(1j * cell.theta)
    cos_left, sin_left = jnp.cos(cell.left), jnp.sin(cell.left)
    cos_right, sin_right = jnp.cos(cell.right), jnp.sin(cell.right)
    external = jnp.exp(1j * cell.phi)
    return jnp.stack(
        [
            external * (cos_right * cos_left * top - sin_right * sin_left * cell.bottom),
            1j * (cos_right * sin_left * top + sin_right * cos_left * cell.bottom),
            1j * external * (sin_right * cos_left * top + cos_right * sin_left * cell.bottom),
            cos_right * cos_left * cell.bottom - sin_right * sin_left * top,
        ]
    )


@takes_numbers
def mzi_matrix(
    theta: Float[Array, "*shape"],
    phi: Float[Array, "*shape"],
    *,
    left_error: Float[Array, "*shape"] | None = None,
    right_error: Float[Array, "*shape"] | None = None,
    arm_loss_db: Float[Array, "*shape 2"] | None = None,
) -> Complex[Array, "*shape 2 2"]:
    """Transfer matrix T(theta, phi) of a cell, from (top, bottom) input to (top, bottom) output.

    Args:
        theta: Internal phase, rad; the power share cos^2(theta/2) crosses.
        phi: External phase, rad.
        left_error: Deviation of the left coupler from pi/4, rad.
        right_error: Deviation of the right coupler from pi/4, rad.
        arm_loss_db: Insertion loss of top and bottom arm, dB of power.
    """
    balanced = jnp.full_like(theta, BALANCED)
    one = jnp.ones_like(theta)
    cell = Cell(
        theta,
        phi,
        balanced if left_error is None else balanced + left_error,
        balanced if right_error is None else balanced + right_error,
        one if arm_loss_db is None else amplitude_transmission(arm_loss_db[..., 0]),
        one if arm_loss_db is None else amplitude_transmission(arm_loss_db[..., 1]),
    )
    return _matrix(*cell_elements(cell))


def _matrix(a, b, c, d):
    return jnp.stack([jnp.stack([a, b], axis=-1), jnp.stack([c, d], axis=-1)], axis=-2)
