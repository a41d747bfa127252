import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.generation.exact_flow import make_gaussian_flow
from nn.generation.flow_samplers import sample_flow
from nn.generation.flow_time import make_grid
from nn.generation.posterior_sampling import draw_mixture, linear_posterior, steer_flow

MEANS = np.array([[-0.6, 0.4], [0.8, -0.3]])
COVARIANCES = np.array([[[0.5, 0.2], [0.2, 0.3]], [[0.2, -0.1], [-0.1, 0.6]]])
WEIGHTS = np.array([0.3, 0.7])
PRIOR = make_gaussian_flow(*(jnp.asarray(a) for a in (MEANS, COVARIANCES, WEIGHTS)))


def test_the_posterior_is_that_of_integration_over_a_grid():
    """Bayes on a fine grid: chances of components, mean and covariance of a 2-d mixture after one number."""
    matrix, measured, variance = np.array([[1.0, -0.7], [0.2, 0.5]]), np.array([0.4, 0.1]), 0.25
    axis = np.linspace(-6, 6, 401)
    z = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    mass = np.zeros((2, len(z)))
    for k in range(2):
        gone = z - MEANS[k]
        square = np.einsum("ni,ij,nj->n", gone, np.linalg.inv(COVARIANCES[k]), gone)
        mass[k] = WEIGHTS[k] * np.exp(-square / 2) / np.sqrt(np.linalg.det(COVARIANCES[k]))
    mass *= np.exp(-((measured - z @ matrix.T) ** 2).sum(axis=1) / (2 * variance))
    mass /= mass.sum()
    found = linear_posterior(PRIOR, jnp.asarray(matrix), jnp.asarray(measured), variance)
    np.testing.assert_allclose(np.exp(found.log_weights), mass.sum(axis=1), rtol=1e-9)
    for k in range(2):
        chances = mass[k] / mass[k].sum()
        mean = chances @ z
        np.testing.assert_allclose(found.means[k], mean, atol=1e-9)
        axes = np.asarray(found.axes[k])
        covariance = (axes * np.asarray(found.variances[k])) @ axes.T
        np.testing.assert_allclose(covariance, (chances[:, None] * (z - mean)).T @ (z - mean), atol=1e-9)  # fmt: skip


def test_a_direction_without_variance_stays_fixed():
    flat = make_gaussian_flow(jnp.zeros((1, 2)), jnp.asarray([[[1.0, 0.0], [0.0, 0.0]]]))
    found = linear_posterior(flat, jnp.eye(2), jnp.asarray([1.0, 5.0]), 1)
    np.testing.assert_allclose(found.means, [[0.5, 0.0]], atol=1e-12)


def test_draws_have_the_moments_of_the_mixture():
    drawn = np.asarray(draw_mixture(PRIOR, 20_000, key=jax.random.key(0)))
    mean = WEIGHTS @ MEANS
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.025)
    gone = MEANS - mean
    covariance = np.einsum("k,kij->ij", WEIGHTS, COVARIANCES + gone[:, :, None] * gone[:, None])
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.03)


class Camera(eqx.Module):
    """A camera of noise of variance s^2 that sees every number itself."""

    measured: jax.Array
    variance: float

    def __call__(self, data, spread):
        square = jnp.sum((data - self.measured) ** 2, axis=1)
        return -square / (2 * (self.variance + spread))


START = jax.random.normal(jax.random.key(1), (400, 2))


def test_without_weight_the_steered_flow_is_the_plain_one_bit_for_bit():
    steered = steer_flow(PRIOR, Camera(jnp.asarray([[0.3, 0.2]]), 0.1), variance=0.5, weight=0)
    grid = make_grid(8)
    plain = sample_flow(PRIOR, START, grid, method="ancestral", key=jax.random.key(2)).end
    found = sample_flow(steered, START, grid, method="ancestral", key=jax.random.key(2)).end
    np.testing.assert_array_equal(found, plain)


def test_of_one_round_gaussian_steering_gives_the_exact_posterior():
    prior = make_gaussian_flow(jnp.asarray([[0.5, -1.0]]), 0.6 * jnp.eye(2)[None])
    measured = jnp.asarray([1.5, 0.2])
    flow = steer_flow(prior, Camera(measured[None], 0.2), variance=0.6)
    exact = linear_posterior(prior, jnp.eye(2), measured, 0.2)
    end = sample_flow(flow, START, make_grid(400)).end
    np.testing.assert_allclose(end, exact.transport(START), atol=0.02)


def test_the_reach_bounds_how_far_a_step_moves_the_expected_data():
    x, t = START[:5], jnp.full(5, 0.5)
    far = Camera(jnp.asarray([[90.0, 90.0]]), 0.01)
    moved = 0.5 * (steer_flow(PRIOR, far, variance=0.5, reach=0.1)(x, t) - PRIOR(x, t))
    np.testing.assert_allclose(jnp.sqrt(jnp.mean(moved**2, axis=1)), 0.1, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"matrix": jnp.ones((1, 3))}, "`matrix` must have size 2"),
        ({"measured": jnp.ones(3)}, "`measured` must have size 1"),
        ({"measured": jnp.asarray([np.nan])}, "`measured` must be finite"),
        ({"variance": 0}, "`variance` must be"),
    ],
)
def test_what_does_not_fit_is_named(change, words):
    given = {"matrix": jnp.ones((1, 2)), "measured": jnp.ones(1), "variance": 1.0} | change
    with pytest.raises(ValueError, match=words):
        linear_posterior(PRIOR, **given)


def test_steering_refuses_impossible_numbers():
    camera = Camera(jnp.zeros((1, 2)), 1.0)
    for name, value in (("variance", 0), ("reach", 0), ("weight", -1)):
        with pytest.raises(ValueError, match=f"`{name}`"):
            steer_flow(PRIOR, camera, **({"variance": 1.0} | {name: value}))
