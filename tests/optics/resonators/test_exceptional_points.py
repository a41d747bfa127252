import dataclasses

import equinox as eqx
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
from optics.resonators.exceptional_points import (
    circle,
    coalescence_residual,
    fit_exponent,
    follow_poles,
    linearise_by_differences,
    linearise_forward,
    measure_fit,
    mode_overlap,
    search,
    splitting,
    sweeps_per_step,
)

SHEET = ModeSheet()
UNIT = SHEET.coupling_rad_per_s
FREQUENCY = jnp.asarray(np.linspace(-10, 10, 81) * UNIT)
COMMAND = jnp.asarray(np.array([0.4 - 0.3j, -0.2 - 1.1j]) * UNIT)
# Reaches so much gain that it can lase.
LOUD = dataclasses.replace(SHEET, max_gain_rad_per_s=5 * UNIT)
NOMINAL = ModeImperfections(gain=0, crosstalk=0, curvature=0, port=0, field_noise=0)


def _bench(sheet=SHEET, errors=NOMINAL, key=0):
    twin = draw_mode_twin(sheet, errors, key=jax.random.key(key), dtype=jnp.complex128)
    return ModeBench(sheet, twin), twin


@eqx.filter_jit
def _jacobian(linearise, bench, command, order, **options):
    n = bench.sheet.n_modes
    data = bench.measure(
        command, FREQUENCY, one_port_at_a_time(FREQUENCY, n), key=jax.random.key(1)
    )
    found = linearise(bench, command, FREQUENCY, data, order, key=jax.random.key(2), **options)
    return found.jacobian


@eqx.filter_jit
def _looked(bench, command):
    """Poles and mode overlap of a measured fit."""
    fit = measure_fit(bench, command, FREQUENCY, key=jax.random.key(4))
    return fit.poles(), mode_overlap(fit, 2)


# Two modes are compared with finite differences below.
@pytest.mark.parametrize(("n_modes", "order"), [(3, 3), (3, 2)])
def test_forward_mode_is_the_derivative_of_the_hidden_device(n_modes, order):
    bench, twin = _bench(ModeSheet(n_modes=n_modes))
    rng = np.random.default_rng(n_modes)
    command = (rng.normal(size=n_modes) - 1j * rng.uniform(0, 2, n_modes)) * UNIT

    def hidden(controls):
        detuning, loss = jnp.split(controls * UNIT, 2)
        scattering = twin.modes(jax.lax.complex(detuning, -loss)).scattering(FREQUENCY)
        residual = coalescence_residual(FREQUENCY, scattering, order, bench.sheet)
        return jnp.concatenate([jnp.real(residual), jnp.imag(residual)])

    here = np.concatenate([np.real(command), -np.imag(command)]) / UNIT
    expected = jax.jit(jax.jacfwd(hidden))(jnp.asarray(here))
    found = _jacobian(linearise_forward, bench, jnp.asarray(command), order)
    # Rounding times the condition of the fit, below 1e4.
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert error < 1e-11


def test_finite_differences_approach_the_same_derivative_in_first_order():
    bench, _ = _bench()
    exact = _jacobian(linearise_forward, bench, COMMAND, 2)
    found = (
        _jacobian(linearise_by_differences, bench, COMMAND, 2, step=jnp.asarray(h))
        for h in (1e-2, 1e-3)
    )
    errors = [np.linalg.norm(np.asarray(jacobian) - exact) for jacobian in found]
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.05)


def test_without_reciprocity_forward_mode_points_elsewhere():
    # A gyrotropic coupling: G differs from its transpose, and with it the forward error from the true one.
    _, twin = _bench()
    couplings = np.asarray(twin.couplings) * np.array([[1.0, 2.0], [0.3, 1.0]])
    turned = dataclasses.replace(twin, couplings=jnp.asarray(couplings))

    def both(hardware):
        device, step = ModeBench(SHEET, hardware), jnp.asarray(1e-5)
        forward = _jacobian(linearise_forward, device, COMMAND, 2)
        return forward, _jacobian(linearise_by_differences, device, COMMAND, 2, step=step)

    relative = lambda a, b: np.linalg.norm(a - b) / np.linalg.norm(b)  # noqa: E731
    assert relative(*both(turned)) > 0.05
    assert relative(*both(twin)) < 1e-3  # first order in the step


def _splits(twin, commands):
    """Splittings of the true poles, in units of the coupling; commands are (8, 2, mode)."""
    poles = jax.jit(jax.vmap(jax.vmap(lambda c: twin.modes(c).poles())))(jnp.asarray(commands))
    return np.asarray(splitting(poles)) / UNIT


@pytest.fixture(scope="module")
def found():
    """Eight searches on a device with every error, noise included."""
    bench, twin = _bench(LOUD, errors=ModeImperfections(field_noise=1e-4), key=5)
    rng = np.random.default_rng(5)
    start = jnp.asarray((rng.uniform(-3, 3, (8, 2)) - 1j * rng.uniform(0, 3, (8, 2))) * UNIT)
    trace = search(bench, start, FREQUENCY, key=jax.random.key(3), steps=30)
    return bench, twin, start, trace


def test_the_search_finds_the_point_from_random_starts_under_noise(found):
    _, twin, start, trace = found
    split = _splits(twin, np.asarray(trace.command)[:, [0, -1]])
    assert np.all(split[:, 1] < 0.1)
    assert np.all(split[:, 0] > 0.5)
    np.testing.assert_allclose(trace.command[:, 0], start)
    assert (
        trace.sweeps[-1] == 31 * 4
    )  # two for S and two for its error, at the start and in each step


def test_the_search_goes_nowhere_near_its_goal_by_the_data_sheet_alone(found):
    _, twin, _, _ = found
    nominal = np.array([[[-1j * 2.5, -1j * 0.5]] * 2] * 8) * UNIT
    assert _splits(twin, nominal).min() > 0.5


def test_modes_run_together_at_the_point_and_not_before(found):
    bench, _, start, trace = found
    at_point, before = (_looked(bench, c)[1] for c in (trace.command[0, -1], start[0]))
    assert 1 - at_point < 0.02 < 1 - before


def test_a_turn_around_the_point_swaps_the_modes_and_two_bring_them_back(found):
    bench, _, _, trace = found
    point = np.asarray(trace.command[0, -1])

    def ends(centre, turns):
        path = np.asarray(circle(jnp.asarray(centre), 0.3 * UNIT, 24, turns=turns))
        return follow_poles(np.array([_looked(bench, jnp.asarray(c))[0] for c in path]))[1]

    assert ends(point, 1) == (1, 0)
    assert ends(point, 2) == (0, 1)
    assert ends(point + 0.9 * UNIT * np.array([1.0, 0.0]), 1) == (0, 1)


def test_splitting_grows_with_the_root_near_and_linearly_far_away():
    def exponent(low, high):
        steps = np.geomspace(low, high, 7)
        poles = two_mode_poles(steps, 0.0, 2.0, 0.0, 1.0)
        return fit_exponent(steps, np.asarray(splitting(poles)))

    # |4 i e - e^2| ^ (1/2): corrections are e^2 / 32 near, 8 / e^2 far.
    assert exponent(1e-3, 1e-1)[0] == pytest.approx(0.5, abs=1e-3)
    assert exponent(1e2, 1e4)[0] == pytest.approx(1.0, abs=1e-3)


def test_three_modes_split_with_the_third_root():
    # Equal couplings k, losses sqrt(2) k (1, 0, -1): the characteristic polynomial is x^3.
    steps = np.geomspace(1e-6, 1e-4, 5)
    neighbours = np.diag([1.0, 1.0], 1) + np.diag([1.0, 1.0], -1)
    chain = neighbours + np.diag(-1j * np.sqrt(2) * np.array([1, 0, -1]))
    poles_of, dark = jax.jit(CoupledModes.poles), jnp.asarray(np.zeros((3, 1)))
    poles = [poles_of(CoupledModes(jnp.asarray(chain + np.diag([e, 0, 0])), dark)) for e in steps]
    slope, error = fit_exponent(steps, np.asarray(splitting(jnp.asarray(np.stack(poles)))))
    assert slope == pytest.approx(1 / 3, abs=5e-3)
    assert error < 5e-3


def test_the_overlap_deficit_is_the_closed_form():
    # Modes (k, l - h11): 1 - |<+|->|^2 = |k (l+ - l-)|^2 / (|psi+|^2 |psi-|^2).
    bench, twin = _bench(LOUD)
    command = jnp.asarray(np.array([0.7 - 1.5j, -0.1 - 0.2j]) * UNIT)
    omega = np.asarray(twin.modes(command).effective()) / UNIT
    poles, k = np.linalg.eigvals(omega), omega[0, 1]
    lengths = np.abs(k) ** 2 + np.abs(poles - omega[0, 0]) ** 2
    expected = np.abs(k * (poles[0] - poles[1])) ** 2 / np.prod(lengths)
    # Equal ports weigh both components alike.
    np.testing.assert_allclose(1 - _looked(bench, command)[1], expected, rtol=1e-9)


def test_poles_are_followed_although_they_come_in_any_order():
    path = np.stack([np.linspace(0, 1, 9), np.linspace(3, 2, 9)], axis=1) + 0j
    shuffled = path.copy()
    shuffled[3:6] = shuffled[3:6, ::-1]
    ordered, _ = follow_poles(shuffled)
    np.testing.assert_array_equal(ordered, path)


def test_more_controls_cost_finite_differences_and_not_forward_mode():
    assert [sweeps_per_step(n, 2, "forward_mode") for n in (2, 5)] == [4, 10]
    assert [sweeps_per_step(n, 2, "finite_difference") for n in (2, 5)] == [10, 55]


def test_a_start_that_lases_is_named(found):
    bench, _, start, _ = found
    start = np.array(start)
    start[3] = np.array([0.1 + 4j, 0.3 + 4j]) * UNIT
    with pytest.raises(FloatingPointError, match="`start` 3 gives spectra that are not finite"):
        search(bench, jnp.asarray(start), FREQUENCY, key=jax.random.key(0), steps=30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 3}, "`order` must lie between 2 and the 2 modes"),
        ({"steps": 0}, "`steps` must be at least 1"),
        ({"method": "guess"}, "`method` must be one of forward_mode"),
        ({"max_step": -1.0}, "`max_step` must be positive"),
    ],
)
def test_bad_settings_are_named(options, message):
    bench, _ = _bench()
    with pytest.raises(ValueError, match=message):
        search(
            bench, jnp.asarray(np.zeros((1, 2)) + 0j), FREQUENCY, key=jax.random.key(0), **options
        )


def test_an_exponent_needs_three_positive_points():
    with pytest.raises(ValueError, match="`perturbation` must hold at least 3 positive values"):
        fit_exponent(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
