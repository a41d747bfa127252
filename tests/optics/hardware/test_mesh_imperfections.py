import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.mesh_imperfections import (
    CATALOGUE,
    PRESETS,
    MeshImperfections,
    crosstalk_kernel,
    draw_control,
    draw_mesh,
    spread_heat,
)
from optics.meshes.mesh import Mesh
from tests.exact.small_mesh import plain_mesh

KEY = jax.random.key(0)
MESH, PHASES = plain_mesh(6)
COMMANDED = np.asarray(PHASES)
LARGE = plain_mesh(40)[0]
chip_of = jax.jit(draw_mesh, static_argnums=1)
control_of = jax.jit(draw_control, static_argnums=1)


def control(**sizes):
    return control_of(MESH, MeshImperfections(**sizes), key=jax.random.key(1))


spread = jax.jit(spread_heat)


@eqx.filter_jit
def actual(control, phases):
    return control.actual(phases)


def test_every_size_has_an_entry_and_every_preset_its_name():
    assert set(CATALOGUE) == {f.name for f in dataclasses.fields(MeshImperfections)}
    assert MeshImperfections.preset("chip") is PRESETS["chip"]


def test_ideal_chip_does_what_it_is_told():
    np.testing.assert_allclose(actual(control(), PHASES), PHASES, atol=1e-15)
    chip = chip_of(MESH, MeshImperfections.preset("ideal"), key=KEY)
    assert chip.left_error is chip.right_error is chip.arm_loss_db is None


def test_splitters_left_and_right_are_drawn_apart_with_the_stated_spread():
    chip = chip_of(LARGE, MeshImperfections(splitter_error=0.05), key=KEY)
    left, right = np.asarray(chip.left_error).ravel(), np.asarray(chip.right_error).ravel()
    # 800 draws: standard error of a spread is sd / sqrt(1600), of a correlation 1 / sqrt(800).
    assert abs(left.std() - 0.05) < 5 * 0.05 / np.sqrt(1600)
    assert abs(right.std() - 0.05) < 5 * 0.05 / np.sqrt(1600)
    assert abs(np.corrcoef(left, right)[0, 1]) < 5 / np.sqrt(800)


def test_loss_never_amplifies():
    chip = chip_of(MESH, MeshImperfections(loss_db=0.1, loss_spread_db=0.5), key=KEY)
    assert np.min(chip.arm_loss_db) == 0
    assert np.linalg.norm(jax.jit(Mesh.matrix)(chip), 2) < 1


def test_crosstalk_is_the_sum_over_all_other_heaters():
    kappa, decay = 0.03, 0.5
    # Positions (port, row of shifters along the light): theta of column c at 2 c + 1, phi at 2 c, outputs at the end.
    columns, slots = np.nonzero(MESH.present)
    ports = 2 * slots + columns % 2
    along = np.concatenate([2 * columns + 1, 2 * columns, np.full(6, 12)])
    across = np.concatenate([ports, ports, np.arange(6)])
    distance = np.hypot(along[:, None] - along, across[:, None] - across)
    coupling = np.where(distance > 0, kappa * np.exp(-(distance - 1) / decay), 0)
    coupling[coupling < kappa / 100] = 0
    found = actual(control(crosstalk=kappa, crosstalk_range=decay), PHASES)
    np.testing.assert_allclose(found, COMMANDED + coupling @ COMMANDED, atol=1e-13)
    assert coupling.max() == kappa


def test_a_skew_kernel_sends_heat_to_the_side_it_points_to():
    # Kernels of this library are symmetric; a measured one need not be. Index (middle + 1, middle + 2) is one port
    # across and two rows along the light: from theta of column 0 at port 0, (0, 1), to theta of column 1, (1, 3).
    kernel = np.zeros((5, 5))
    kernel[2 + 1, 2 + 2] = 0.25
    columns, slots = np.nonzero(MESH.present)
    hot = int(np.flatnonzero((columns == 0) & (slots == 0))[0])
    warm = int(np.flatnonzero((columns == 1) & (slots == 0))[0])
    heat = np.zeros(PHASES.shape)
    heat[hot] = 2.0
    wanted = np.zeros(PHASES.shape)
    wanted[warm] = 0.5
    found = spread(MESH, jnp.asarray(heat), jnp.asarray(kernel))
    np.testing.assert_allclose(found, wanted, atol=1e-15)


def test_crosstalk_reaches_only_neighbours_and_not_the_heater():
    kernel = crosstalk_kernel(0.1, 0.3)
    middle = kernel.shape[0] // 2
    assert kernel[middle, middle] == 0
    assert kernel[middle, middle + 1] == kernel[middle + 1, middle] == 0.1
    one = np.eye(36)[3]
    assert np.asarray(spread(MESH, jnp.asarray(one), jnp.asarray(kernel)))[3] == 0


@pytest.mark.parametrize("bits", [1, 3])
def test_voltage_steps_are_even_in_voltage(bits):
    # phi = gamma V^2: the phases that b bits can show are 2 pi (k / (2^b - 1))^2.
    top = 2**bits - 1
    levels = 2 * np.pi * (np.arange(top + 1) / top) ** 2
    phases = np.linspace(0, 2 * np.pi - 1e-6, 36)
    found = np.asarray(actual(control(voltage_bits=bits), jnp.asarray(phases)))
    nearest = np.abs(np.sqrt(levels)[:, None] - np.sqrt(phases)).argmin(0)
    np.testing.assert_allclose(found, levels[nearest], atol=1e-12)


def test_quantised_phases_still_have_a_slope():
    quantised = control(voltage_bits=4)
    slope = jax.jit(jax.grad(lambda p: jnp.sum(quantised.actual(p))))(PHASES)
    np.testing.assert_allclose(slope, 1, atol=1e-12)


def test_gamma_scales_the_phase_and_offset_adds():
    heaters = control(gamma_spread=0.01, phase_error=0.1)
    zero, half = (np.asarray(actual(heaters, jnp.asarray(s * COMMANDED))) for s in (0, 1))
    ratio = (half - zero) / COMMANDED
    assert 0.004 < np.std(ratio) < 0.02  # 36 draws: 0.01 within 5 standard errors of 12 %
    assert 0.04 < np.std(zero) < 0.16


def test_drift_has_the_stated_spread_and_forgets_in_the_stated_time():
    drift = control_of(LARGE, MeshImperfections(drift=0.02, drift_time=100.0), key=KEY).drift
    assert drift is not None
    at = eqx.filter_jit(drift)
    now, soon, later = (np.asarray(at(jnp.asarray(t))) for t in (0, 100, 1000))
    # 1600 phases: standard error of a spread 1.8 %, of a correlation 2.5 %.
    assert abs(now.std() / 0.02 - 1) < 0.09
    assert abs(later.std() / 0.02 - 1) < 0.09
    assert abs(np.mean(now * soon) / 0.02**2 - np.exp(-1)) < 0.125
    assert abs(np.mean(now * later) / 0.02**2) < 0.125


def test_drift_of_matrix_values_can_be_that_of_the_paper():
    # Sheet section 8: programmed values drift by 0.010-0.012 % sd; 1e-4 rad of the presets is within a factor of three.
    size = dataclasses.replace(
        MeshImperfections.preset("ideal"), drift=MeshImperfections.preset("chip").drift
    )
    drifting = control_of(MESH, size, key=KEY)
    values = jax.jit(jax.vmap(lambda t: jnp.abs(MESH.unpack(drifting.actual(PHASES, t)).matrix())))(
        jnp.arange(0, 20000, 500)
    )
    assert 0.3e-4 < float(jnp.mean(jnp.std(values, axis=0))) < 3e-4


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"splitter_error": -0.1}, "`splitter_error` must lie between 0 and inf, but is -0.1"),
        ({"crosstalk": 2.0}, "`crosstalk` must lie between 0 and 1"),
        ({"voltage_bits": 0}, "`voltage_bits` must lie between 1 and 24, but is 0 bits"),
        ({"drift_time": 0.0}, "`drift_time` must be positive"),
    ],
)
def test_impossible_sizes_are_named(sizes, message):
    with pytest.raises(ValueError, match=message):
        MeshImperfections(**sizes)


def test_unknown_preset_is_named():
    with pytest.raises(ValueError, match="`preset` must be one of ideal, careful, chip, rough"):
        MeshImperfections.preset("perfect")
