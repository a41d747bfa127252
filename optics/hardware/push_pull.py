"""Meshes whose internal phases are driven in push-pull, theta/2 on one arm and -theta/2 on the other.

`optics.meshes.mzi` sets theta on the top arm alone, which differs by a phase exp(i theta/2) of both outputs. That
phase is no freedom of its own: pushed through the cells behind, it adds to their external phases and at last to those
of the outputs. So commanded phases are the same up to a fixed linear map, but independent ERRORS of theta are not: on
one arm an error of theta also moves the phase of both outputs by half of it. The errors that the table of Z. Zheng et
al., Nat. Mach. Intell. 5, 1119 (2023), DOI 10.1038/s42256-023-00723-4, rests on are push-pull ones, and those of its
splitters are of the power share: (1 + e) / 2 straight on, e normal, which is half of e in the angle (both from its
code, github THPCILab/DAT_MPNN, model and drawn errors).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from optics._checks import check_in_range
from optics._numbers import takes_numbers
from optics.hardware.mesh_bench import MeshTwin
from optics.hardware.mesh_imperfections import PhaseControl
from optics.meshes.mesh import Mesh


@takes_numbers
def single_arm_offsets(
    mesh: Mesh, theta_error: Float[Array, "column slot"], phi_error: Float[Array, "column slot"]
) -> Float[Array, " parameter"]:
    """Offsets of the phases of a mesh that act as the given errors of push-pull cells, in the order of `Mesh.pack`.

    Args:
        mesh: Mesh; its layout only is used.
        theta_error: Error of each internal phase, half of it on each arm with opposite sign, rad.
        phi_error: Error of each external phase, rad.
    """
    theta, phi = np.asarray(theta_error), np.array(phi_error)
    common = np.zeros(mesh.n_ports)
    for column, there in enumerate(mesh.present):
        slots = np.nonzero(there)[0]
        top = 2 * slots + column % 2
        # diag(exp(i a), exp(i b)) in front of a cell is a - b on its external shifter and b behind it on both ports.
        phi[column, slots] += common[top] - common[top + 1]
        behind = common[top + 1] - theta[column, slots] / 2
        common[top], common[top + 1] = behind, behind
    offsets = np.concatenate([theta[mesh.present], phi[mesh.present], common])
    return jnp.asarray(offsets, mesh.theta.dtype)


def make_push_pull_twin(
    mesh: Mesh,
    *,
    split_error: float | int = 0.0,
    phase_error: float | int = 0.0,
    key: PRNGKeyArray,
) -> MeshTwin:
    """Draws one chip of push-pull cells with static errors.

    Args:
        mesh: Nominal mesh.
        split_error: Standard deviation of e, where a coupler sends the power share (1 + e) / 2 straight on.
        phase_error: Standard deviation of the errors of all internal and external phases, rad.
        key: PRNG key; the same key gives the same chip, and errors proportional to their size.

    Raises:
        ValueError: If a size is out of range.
    """
    check_in_range(split_error, "split_error", 0, 0.2, "", "Beyond, draws leave [-1, 1].")
    check_in_range(phase_error, "phase_error", 0, float("inf"), "rad")
    real, shape = mesh.theta.dtype, mesh.present.shape
    draws = jax.random.normal(key, (4, *shape), real)
    # cos^2(pi/4 + angle) = (1 + e) / 2
    angles = -0.5 * jnp.arcsin(jnp.clip(split_error * draws[:2], -1, 1))
    core = eqx.tree_at(
        lambda m: (m.left_error, m.right_error), mesh, (angles[0], angles[1]), is_leaf=_is_none
    )
    offset = single_arm_offsets(mesh, phase_error * draws[2], phase_error * draws[3])
    control = PhaseControl(
        gain=jnp.ones_like(offset), offset=offset, kernel=None, drift=None, mesh=mesh, levels=None
    )
    return MeshTwin(core, control)


def _is_none(leaf) -> bool:
    return leaf is None
