"""Push-pull cells: errors of theta without a common phase, splitters by their power share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.push_pull import make_push_pull_twin, single_arm_offsets
from optics.meshes.mesh import make_mesh
from optics.meshes.mzi import coupler_matrix

MESH = make_mesh(5, key=jax.random.key(0), dtype=jnp.complex128)


def push_pull_matrix(theta, phi, output_phase):
    """Product of cells B diag(exp(i theta/2), exp(-i theta/2)) B diag(exp(i phi), 1), one at a time."""
    coupler = np.array([[1, 1j], [1j, 1]]) / np.sqrt(2)
    total = np.eye(5, dtype=complex)
    for column, slot in zip(*np.nonzero(MESH.present), strict=True):
        top = 2 * slot + column % 2
        arms = np.diag(np.exp(0.5j * theta[column, slot] * np.array([1, -1])))
        cell = np.eye(5, dtype=complex)
        outer = np.diag([np.exp(1j * phi[column, slot]), 1])
        cell[top : top + 2, top : top + 2] = coupler @ arms @ coupler @ outer
        total = cell @ total
    return np.exp(1j * output_phase)[:, None] * total


def test_offsets_turn_a_single_arm_mesh_into_a_push_pull_one():
    """Offsets of the phases themselves: M(theta, phi) in push-pull is the mesh of zeros with those offsets."""
    theta, phi = np.asarray(MESH.theta), np.asarray(MESH.phi)
    mesh = MESH.unpack(single_arm_offsets(MESH, MESH.theta, MESH.phi))
    np.testing.assert_allclose(mesh.matrix(), push_pull_matrix(theta, phi, np.zeros(5)), atol=1e-13)


def test_errors_add_to_commanded_phases():
    """By linearity, errors of a programmed mesh act as errors of the push-pull mesh with the same matrix."""
    draws = 0.3 * jax.random.normal(jax.random.key(1), (2, *MESH.present.shape))
    start = single_arm_offsets(MESH, MESH.theta, MESH.phi)
    mesh = MESH.unpack(start + single_arm_offsets(MESH, draws[0], draws[1]))
    theta, phi = np.asarray(MESH.theta + draws[0]), np.asarray(MESH.phi + draws[1])
    np.testing.assert_allclose(mesh.matrix(), push_pull_matrix(theta, phi, np.zeros(5)), atol=1e-13)


def test_splitters_have_the_drawn_power_share():
    twin = make_push_pull_twin(
        make_mesh(40, key=jax.random.key(0), dtype=jnp.complex128),
        split_error=0.1,
        key=jax.random.key(2),
    )
    errors = np.stack(jax.tree.leaves((twin.core.left_error, twin.core.right_error)))
    straight = np.abs(coupler_matrix(jnp.pi / 4 + jnp.asarray(errors))[..., 0, 0]) ** 2
    share = 2 * straight - 1
    # 1600 draws: the standard deviation is known to 1 / sqrt(3200) = 1.8 %, the mean to 0.1 / 40.
    assert share.std() == pytest.approx(0.1, rel=0.08)
    assert abs(share.mean()) < 0.01
    assert abs(np.corrcoef(errors[0].ravel(), errors[1].ravel())[0, 1]) < 0.15


def test_a_chip_without_errors_is_its_model():
    twin = make_push_pull_twin(MESH, key=jax.random.key(3))
    phase = MESH.pack()
    actual = twin.realise(phase, None, 0).matrix()
    np.testing.assert_allclose(actual, MESH.matrix(), atol=1e-13)


def test_sizes_out_of_range_are_named():
    with pytest.raises(ValueError, match=r"`split_error` must lie between 0 and 0\.2, but is 0\.5"):
        make_push_pull_twin(MESH, split_error=0.5, key=jax.random.key(0))
    with pytest.raises(ValueError, match="`phase_error` must lie between 0 and inf, but is -1"):
        make_push_pull_twin(MESH, phase_error=-1, key=jax.random.key(0))
