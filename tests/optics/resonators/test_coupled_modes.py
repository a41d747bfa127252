import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.resonators.coupled_modes import (
    CoupledModes,
    ModeBench,
    ModeImperfections,
    ModeSheet,
    draw_mode_twin,
    one_port_at_a_time,
    two_mode_poles,
)

SHEET = ModeSheet()
UNIT = SHEET.coupling_rad_per_s
FREQUENCY = jnp.asarray(np.linspace(-8, 8, 15) * UNIT)
# Compiled whole: one by one, each operation compiles anew for every shape.
scattering_of = jax.jit(CoupledModes.scattering)
poles_of = jax.jit(CoupledModes.poles)
measured = jax.jit(ModeBench.measure)


@jax.jit
def scattered(twin, command, frequency, drive):
    """By the hidden device."""
    return twin.modes(command).scatter(frequency, drive)


def _modes(loss, ports=2, seed=0):
    """Three coupled modes and two ports, all couplings different; rates near `UNIT`."""
    rng = np.random.default_rng(seed)
    coupling = rng.normal(size=(3, 3))
    hamiltonian = (coupling + coupling.T) / 2 - 1j * np.diag(loss)
    ports = rng.normal(size=(3, ports))
    return CoupledModes(jnp.asarray(UNIT * hamiltonian), jnp.asarray(np.sqrt(UNIT) * ports))


def test_power_is_conserved_without_gain_and_loss():
    scattering = np.asarray(scattering_of(_modes([0, 0, 0]), FREQUENCY))
    product = np.conj(np.swapaxes(scattering, 1, 2)) @ scattering
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(2), product.shape), atol=1e-12)


@pytest.mark.parametrize(("loss", "sign"), [([0.5, 0.1, 0.2], -1), ([-0.05, -0.02, -0.01], 1)])
def test_absorbed_power_is_twice_the_loss_times_the_stored_energy(loss, sign):
    modes = _modes(loss)
    drive = one_port_at_a_time(FREQUENCY, 2)
    both = jax.jit(lambda m: (m.scatter(FREQUENCY, drive), m.fields(FREQUENCY, drive)))
    outgoing, fields = (np.asarray(wave) for wave in both(modes))
    change = np.sum(np.abs(outgoing) ** 2 - np.abs(np.asarray(drive)) ** 2, axis=1)
    expected = -2 * UNIT * np.einsum("j,fjw->fw", loss, np.abs(fields) ** 2)
    np.testing.assert_allclose(change, expected, rtol=1e-9, atol=1e-12)
    assert np.all(sign * change > 0)


def test_symmetric_couplings_scatter_reciprocally_even_with_gain_and_loss():
    scattering = np.asarray(scattering_of(_modes([0.5, -0.1, 0.2]), FREQUENCY))
    np.testing.assert_allclose(scattering, np.swapaxes(scattering, 1, 2), atol=1e-12)
    assert np.abs(scattering[:, 0, 1]).max() > 0.1


def test_a_wave_decays_under_the_time_factor():
    # One mode: |S - 1| peaks at its frequency with the half width of loss and port together.
    modes = CoupledModes(
        jnp.asarray([[2 * UNIT - 0.5j * UNIT]]), jnp.asarray([[np.sqrt(3 * UNIT)]])
    )
    np.testing.assert_allclose(poles_of(modes), [2 * UNIT - 2j * UNIT])
    scattering = np.asarray(scattering_of(modes, jnp.asarray([0.0, 2 * UNIT, 4 * UNIT])))
    response = np.abs(scattering[:, 0, 0] - 1) ** 2
    np.testing.assert_allclose(response, np.array([0.5, 1, 0.5]) * response[1], rtol=1e-12)
    np.testing.assert_allclose(response[1], (3 / 2) ** 2, rtol=1e-12)


def test_two_poles_have_the_closed_form():
    rates = (0.7, -0.4, 1.3, 0.2, 0.9)  # w1, w2, g1, g2, k
    w1, w2, g1, g2, k = (UNIT * r for r in rates)
    hamiltonian = jnp.asarray([[w1 - 1j * g1, k], [k, w2 - 1j * g2]])
    modes = CoupledModes(hamiltonian, jnp.asarray(np.zeros((2, 1))))
    expected = np.sort_complex(np.asarray(two_mode_poles(w1, w2, g1, g2, k)))
    np.testing.assert_allclose(np.sort_complex(np.asarray(poles_of(modes))), expected, rtol=1e-12)
    exact = np.linalg.eigvals(np.asarray(modes.hamiltonian))
    np.testing.assert_allclose(np.sort_complex(exact), expected, rtol=1e-12)


def test_equal_frequencies_and_a_loss_difference_of_two_couplings_is_exceptional():
    poles = two_mode_poles(0.3, 0.3, 2.5, 0.5, 1.0)
    np.testing.assert_allclose(poles, [0.3 - 1.5j] * 2, atol=1e-15)


def test_the_bench_measures_the_twin_with_noise_of_the_stated_size():
    twin = draw_mode_twin(
        SHEET, ModeImperfections(field_noise=0.02), key=jax.random.key(0), dtype=jnp.complex128
    )
    command = jnp.asarray(np.array([0.5 - 0.3j, -0.2 - 1.0j]) * UNIT)
    frequency = jnp.asarray(np.linspace(-8, 8, 400) * UNIT)
    drive = jnp.asarray(3 * np.asarray(one_port_at_a_time(frequency, 2)))
    found = measured(ModeBench(SHEET, twin), command, frequency, drive, key=jax.random.key(1))
    error = np.asarray(found) - np.asarray(scattered(twin, command, frequency, drive))
    # 1600 complex samples: standard error of the rms about 1.8 %.
    assert np.sqrt(np.mean(np.abs(error) ** 2)) == pytest.approx(3 * 0.02, rel=0.08)


def test_commands_reach_their_own_mode_first_and_leak_to_its_neighbour():
    twin = draw_mode_twin(
        ModeSheet(n_modes=3),
        ModeImperfections(offset=0, gain=0, curvature=0, crosstalk=0.1),
        key=jax.random.key(0),
        dtype=jnp.complex128,
    )
    command = jnp.asarray(np.array([1 - 2j, 0, 0]) * UNIT)
    own = np.diag(jax.jit(twin.modes.__func__)(twin, command).hamiltonian) / UNIT
    np.testing.assert_allclose(own, [1 - 2j, 0.1 - 0.2j, 0], atol=1e-12)


def test_a_lasing_device_has_no_spectrum():
    sheet = dataclasses.replace(SHEET, max_gain_rad_per_s=5 * UNIT)
    twin = draw_mode_twin(
        sheet, ModeImperfections(offset=0), key=jax.random.key(0), dtype=jnp.complex128
    )
    bench = ModeBench(sheet, twin)
    drive = one_port_at_a_time(FREQUENCY, 2)
    quiet, loud = (
        measured(bench, jnp.asarray([g * UNIT] * 2), FREQUENCY, drive, key=jax.random.key(1))
        for g in (0.5j, 4j)
    )
    assert np.all(np.isfinite(quiet))
    assert np.all(np.isnan(loud))


def test_commands_beyond_reach_are_clipped():
    sheet = ModeSheet(max_detuning_rad_per_s=3.0, max_loss_rad_per_s=2.0, max_gain_rad_per_s=1.0)
    np.testing.assert_allclose(sheet.clip(jnp.asarray([9 - 9j, -9 + 9j])), [3 - 2j, -3 + 1j])


def test_a_device_without_errors_is_its_sheet():
    sheet = ModeSheet(coupling_rad_per_s=5.0, port_rate_rad_per_s=4.0)
    twins = [
        draw_mode_twin(sheet, ModeImperfections(coupling=size, port=0.0), key=jax.random.key(0))
        for size in (0.0, 0.2)
    ]
    np.testing.assert_allclose(twins[0].couplings, [[0, 5], [5, 0]])
    np.testing.assert_allclose(twins[0].ports, 2 * np.eye(2))
    assert abs(float(twins[1].couplings[0, 1]) - 5) > 0.01


def test_the_bench_has_no_derivative_and_shows_nothing():
    bench = ModeBench(SHEET, draw_mode_twin(SHEET, ModeImperfections(), key=jax.random.key(0)))
    drive = one_port_at_a_time(FREQUENCY.astype(jnp.float32), 2)

    def power(x):
        command = x * jnp.array([1 - 1j, -1j], jnp.complex64)
        out = bench.measure(command, FREQUENCY.astype(jnp.float32), drive, key=jax.random.key(0))
        return jnp.sum(jnp.abs(out) ** 2)

    with pytest.raises(TypeError, match="`ModeBench` is hardware"):
        jax.eval_shape(jax.grad(power), jnp.float32(1.0))
    assert "offset" not in repr(bench)


def test_single_precision_stays_single():
    bench = ModeBench(SHEET, draw_mode_twin(SHEET, ModeImperfections(), key=jax.random.key(0)))
    frequency = FREQUENCY.astype(jnp.float32)
    command = jnp.array([1 - 1j, -1j], jnp.complex64)
    drive = one_port_at_a_time(frequency, 2)
    out = jax.jit(lambda c: bench.measure(c, frequency, drive, key=jax.random.key(0)))(command)
    assert out.dtype == jnp.complex64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModeSheet(n_modes=1), "`n_modes` must be at least 2"),
        (lambda: ModeSheet(coupling_rad_per_s=-1.0), "`coupling_rad_per_s` must be positive"),
        (lambda: ModeImperfections(field_noise=-1.0), "`field_noise` must lie between"),
        (
            lambda: ModeBench(
                ModeSheet(n_modes=3), draw_mode_twin(SHEET, ModeImperfections(), key=jax.random.key(0))
            ),
            "`twin` must have last axes",
        ),
        (
            lambda: ModeBench(
                SHEET, draw_mode_twin(SHEET, ModeImperfections(), key=jax.random.key(0))
            ).measure(
                jnp.array([jnp.nan, 0j]), FREQUENCY, jnp.zeros((15, 2, 1)) + 0j,
                key=jax.random.key(0),
            ),
            "`command` must be finite",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_quiet_device_measures_the_truth_that_it_reveals():
    twin = draw_mode_twin(
        SHEET, ModeImperfections(field_noise=0.1), key=jax.random.key(0), dtype=jnp.complex128
    )
    bench, command = ModeBench(SHEET, twin), jnp.asarray([1 - 1j, -1j])
    drive, key = one_port_at_a_time(FREQUENCY, 2), jax.random.key(1)
    truth = np.asarray(scattered(bench.reveal(), command, FREQUENCY, drive))
    quiet = measured(bench.quiet(), command, FREQUENCY, drive, key=key)
    np.testing.assert_allclose(quiet, truth, atol=1e-12)
    noisy = np.asarray(measured(bench, command, FREQUENCY, drive, key=key))
    assert np.linalg.norm(noisy - truth) > 0.03 * np.linalg.norm(truth)
