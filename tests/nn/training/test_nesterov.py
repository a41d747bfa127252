"""The ball against Bessel functions, Lane-Emden solutions, its energies; the steps against theirs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from nn.training.nesterov import (
    flow_energy,
    nesterov_flow,
    nesterov_steps,
    optimised_gradient_steps,
    steps_energy,
)

SLOPES = jnp.array([[1, 0.3], [-0.6, 1], [-0.4, -1], [0.9, -0.7]])
# Inside the polygon SLOPES x <= 1, on which the objective is 0.
MINIMISERS = np.array([[0.0, 0.0], [0.5, -0.3], [-0.6, 0.4], [0.2, 0.6], [-1.0, -0.5]])


def polygon(x):
    return 0.5 * jnp.sum(jnp.maximum(SLOPES @ x - 1, 0) ** 2)


def plateau(x):
    return 0.5 * jnp.sum(jnp.maximum(jnp.abs(x) - 1, 0) ** 2)


@pytest.fixture(scope="module")
def path():
    return nesterov_flow(polygon, jnp.array([8.0, 5.0]), np.geomspace(0.01, 1000, 400))


@pytest.mark.parametrize("r", [1.0, 5.0])
def test_a_parabola_gives_a_bessel_function(r):
    # X = x0 Gamma(nu + 1) (2 / (s t))^nu J_nu(s t), s^2 the curvature, nu = (r - 1) / 2.
    curvature, times, nu = 2.0, np.linspace(0.05, 30, 60), (r - 1) / 2
    found = nesterov_flow(lambda x: curvature * jnp.sum(x**2) / 2, jnp.array([1.5]), times, r=r)
    turn = np.sqrt(curvature) * times
    wanted = 1.5 * special.gamma(nu + 1) * (2 / turn) ** nu * special.jv(nu, turn)
    np.testing.assert_allclose(found.position[:, 0], wanted, atol=1e-9)
    scale = -1.5 * np.sqrt(curvature) * special.gamma(nu + 1)
    slope = scale * (2 / turn) ** nu * special.jv(nu + 1, turn)
    np.testing.assert_allclose(found.velocity(r)[:, 0], slope, atol=1e-9)


@pytest.mark.parametrize(("r", "power"), [(3.0, 4), (2.0, 6)])
def test_powers_give_lane_emden_solutions(r, power):
    times = np.geomspace(0.1, 100, 20)
    found = nesterov_flow(lambda x: jnp.sum(x**power) / power, jnp.array([1.0]), times, r=r)
    wanted = (1 + times**2 / ((r + 1) * (r - 1))) ** (-(r - 1) / 2)
    np.testing.assert_allclose(found.position[:, 0], wanted, rtol=1e-8)


def test_the_energy_of_every_minimiser_falls(path):
    energy = np.asarray(flow_energy(path, MINIMISERS))
    assert np.all(np.diff(energy, axis=1) <= 1e-12 * energy[:, :1])
    assert np.all(energy[:, -1] < 0.9 * energy[:, 0])
    # Of f + 1 it is the same with the minimum at 1.
    higher = flow_energy(path._replace(value=path.value + 1), MINIMISERS, minimum=1)
    np.testing.assert_allclose(higher, energy, rtol=1e-8)
    # At the start it is 2 |x0 - z|^2.
    start = 2 * np.sum((np.array([8.0, 5.0]) - MINIMISERS) ** 2, axis=1)
    np.testing.assert_allclose(energy[:, 0], start, rtol=1e-3)


def test_the_ball_rests_at_one_minimiser_and_never_leaves_the_circle_of_any(path):
    np.testing.assert_allclose(path.position[-1], [-0.617499, -0.148259], atol=2e-4)
    away = np.linalg.norm(np.asarray(path.position)[:, None] - MINIMISERS, axis=-1)
    start = np.linalg.norm(np.array([8.0, 5.0]) - MINIMISERS, axis=-1)
    assert np.all(away <= start * (1 + 1e-9))
    bound = np.asarray(path.time**2 * path.value)[:, None] / (2 * start**2)
    assert 0.05 < bound.max() <= 1
    # The difference of two energies is linear in X: it settles like t^-2.
    w = MINIMISERS[0] - MINIMISERS[1]
    at = [float(path.position[np.argmin(abs(path.time - t))] @ w) for t in (10, 100, 1000)]
    np.testing.assert_allclose(at, [0.1971, 0.26348, 0.264264], atol=2e-3)


def test_a_looser_tolerance_takes_fewer_steps(path):
    def solved(rtol, atol):
        times = np.geomspace(0.01, 1000, 400)
        return nesterov_flow(polygon, jnp.array([8.0, 5.0]), times, rtol=rtol, atol=atol)

    for found in (solved(1e-6, 1e-13), solved(1e-11, 1e-6)):
        assert found.n_steps < 0.7 * path.n_steps
        np.testing.assert_allclose(found.position, path.position, atol=1e-2)


def test_on_a_plateau_the_ball_stops_where_the_closed_form_says():
    # X0 = 3: outside it is 1 + 2 (2 / t) J_1(t); it enters at the first zero of J_1 and coasts to 1 - 2 |J_0| there.
    times = np.array([1.0, special.jn_zeros(1, 1)[0], 1e3])
    found = nesterov_flow(plateau, jnp.array([3.0]), times)
    wanted = 1 - 2 * abs(special.j0(special.jn_zeros(1, 1)[0]))
    np.testing.assert_allclose(
        found.position[:, 0], [1 + 4 * special.j1(1.0), 1, wanted], atol=2e-5
    )


def test_what_is_not_a_ball_is_refused():
    start, times = jnp.ones(1), np.array([1.0, 2.0])
    with pytest.raises(
        ValueError, match=r"`r` must be positive and finite, but is 0. Without friction"
    ):
        nesterov_flow(plateau, start, times, r=0)
    with pytest.raises(ValueError, match="`x0` must be float64, since energies differ"):
        nesterov_flow(plateau, start.astype(jnp.float32), times)
    with pytest.raises(ValueError, match="`times` must increase from above 0"):
        nesterov_flow(plateau, start, times[::-1])
    with pytest.raises(ValueError, match="`x0` must be finite"):
        nesterov_flow(plateau, jnp.array([np.nan]), times)
    with pytest.raises(ValueError, match="`step` must be positive"):
        nesterov_steps(plateau, start, -1.0, 3)


def test_the_energy_of_the_steps_falls_for_every_minimiser():
    lipschitz = float(np.linalg.norm(SLOPES, 2) ** 2)
    start = jnp.array([8.0, 5.0])
    steps = nesterov_steps(polygon, start, 1 / lipschitz, 2000)
    energy = np.asarray(steps_energy(steps, MINIMISERS, 1 / lipschitz))
    assert np.all(np.diff(energy, axis=1) <= 1e-12 * energy[:, :1])
    higher = steps._replace(value=steps.value + 1)
    np.testing.assert_allclose(
        steps_energy(higher, MINIMISERS, 1 / lipschitz, minimum=1), energy, rtol=1e-8
    )
    count = np.arange(1, 2001)
    bound = 2 * lipschitz * np.sum((start - MINIMISERS[0]) ** 2) / (count + 1) ** 2
    assert np.all(np.asarray(steps.value[1:]) <= bound)
    np.testing.assert_allclose(steps.position[-1], [-0.192956, 0.323838], atol=3e-5)


def test_the_steps_of_friction_r_follow_the_ball():
    # Time is k sqrt(step): the distance shrinks with the square root of the step.
    start, distance = jnp.array([1.5]), []
    wanted = nesterov_flow(lambda x: jnp.sum(x**2) / 2, start, np.array([5.0])).position[0]
    for step in (1e-3, 2.5e-4):
        last = nesterov_steps(lambda x: jnp.sum(x**2) / 2, start, step, round(5 / step**0.5), r=3)
        distance.append(float(jnp.abs(last.position[-1] - wanted)[0]))
    assert distance[0] < 0.05
    assert distance[0] / distance[1] == pytest.approx(2, rel=0.1)


def test_a_proximal_step_finds_the_lasso_solution():
    # f = |x - c|^2 / 2 + |x|_1 is least at the soft threshold of c.
    target = jnp.array([3.0, 0.4, -2.0])
    soft = lambda x, step: jnp.sign(x) * jnp.maximum(jnp.abs(x) - step, 0)  # noqa: E731
    steps = nesterov_steps(
        lambda x: jnp.sum((x - target) ** 2) / 2, jnp.zeros(3), 0.5, 200, prox=soft
    )
    np.testing.assert_allclose(steps.position[-1], [2, 0, -1], atol=1e-6)


def test_the_optimised_method_meets_its_bound_on_the_worst_function():
    # On the Huber function of Kim and Fessler the bound L |x0|^2 / (2 theta_n^2) is reached exactly.
    n_steps, theta = 6, 1.0
    for factor in [4.0] * (n_steps - 1) + [8.0]:
        theta = (1 + np.sqrt(1 + factor * theta**2)) / 2
    edge = 1 / theta**2

    def huber(x):
        size = jnp.abs(x[0])
        return jnp.where(size > edge, edge * size - edge**2 / 2, size**2 / 2)

    points = optimised_gradient_steps(huber, jnp.ones(1), 1.0, n_steps)
    assert float(huber(points[-1])) == pytest.approx(1 / (2 * theta**2), rel=1e-9)
    assert float(jax.vmap(huber)(points)[0]) > 1.5 / (2 * theta**2)
