import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.generation.exact_flow import make_finite_flow, make_gaussian_flow

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(7, 3))
LABELS = np.array([0, 1, 0, 1, 1, 0, 0])
FLOW = make_finite_flow(jnp.asarray(POINTS), jnp.asarray(LABELS))
X = RNG.normal(size=(4, 3))
T = np.array([0.0, 0.3, 0.7, 0.95])


def by_hand(x, t, points):
    """E[data | x_t = x] - E[noise | x_t = x] by Bayes, point by point."""
    logs = np.array([-(((x - t * z) / (1 - t)) ** 2).sum() / 2 for z in points])
    chances = np.exp(logs - logs.max())
    chances /= chances.sum()
    noise = np.array([(x - t * z) / (1 - t) for z in points])
    return chances @ points - chances @ noise


def test_the_velocity_to_a_finite_set_is_that_of_bayes():
    found = FLOW(jnp.asarray(X), jnp.asarray(T))
    expected = [by_hand(x, t, POINTS) for x, t in zip(X, T, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_one_step_from_pure_noise_gives_the_mean_of_all_or_of_the_class():
    x, zero = jnp.asarray(X), jnp.zeros(4)
    np.testing.assert_allclose(x + FLOW(x, zero), np.tile(POINTS.mean(axis=0), (4, 1)), rtol=1e-14)
    classes = jnp.array([0, 1, 2, 1])
    means = [POINTS[LABELS == 0], POINTS[LABELS == 1], POINTS, POINTS[LABELS == 1]]
    np.testing.assert_allclose(
        x + FLOW(x, zero, classes), [m.mean(axis=0) for m in means], rtol=1e-13
    )


def test_the_null_label_is_no_label_bit_for_bit():
    x, t = jnp.asarray(X), jnp.asarray(T)
    np.testing.assert_array_equal(FLOW(x, t, jnp.full(4, 2)), FLOW(x, t))
    one = make_finite_flow(jnp.asarray(POINTS[LABELS == 1]))
    np.testing.assert_allclose(FLOW(x, t, jnp.ones(4, int)), one(x, t), rtol=1e-12)


MEANS = RNG.normal(size=(2, 3))
ROOTS = RNG.normal(size=(2, 3, 3))
COVARIANCES = ROOTS @ ROOTS.swapaxes(1, 2)
MIXTURE = make_gaussian_flow(jnp.asarray(MEANS), jnp.asarray(COVARIANCES), jnp.asarray([1.0, 3.0]))


def mixture_by_hand(x, t):
    """Conditional means of a joint normal law, component by component, and ln of the density."""
    logs, velocities = [], []
    for weight, mean, covariance in zip((0.25, 0.75), MEANS, COVARIANCES, strict=True):
        spread = t**2 * covariance + (1 - t) ** 2 * np.eye(3)
        solved = np.linalg.solve(spread, x - t * mean)
        square = (x - t * mean) @ solved + np.linalg.slogdet(2 * np.pi * spread)[1]
        logs.append(np.log(weight) - 0.5 * square)
        velocities.append(mean + t * covariance @ solved - (1 - t) * solved)
    top = max(logs)
    chances = np.exp(np.array(logs) - top)
    return chances @ np.array(velocities) / chances.sum(), top + np.log(chances.sum())


def test_the_velocity_to_a_mixture_is_that_of_bayes():
    for t in (0.0, 0.3, 1.0):
        times = jnp.full(4, t)
        found = MIXTURE(jnp.asarray(X), times)
        np.testing.assert_allclose(found, [mixture_by_hand(x, t)[0] for x in X], rtol=1e-10)
        logs = MIXTURE.log_density(jnp.asarray(X), times)
        np.testing.assert_allclose(logs, [mixture_by_hand(x, t)[1] for x in X], rtol=1e-11)
    # At the end of the path nothing is left to guess.
    np.testing.assert_allclose(MIXTURE.data(jnp.asarray(X), jnp.ones(4)), X, rtol=1e-13)


def test_the_slope_of_the_density_is_the_noise():
    # Score = -E[noise | x] / (1 - t), and noise = x - t v.
    x, t = jnp.asarray(X), jnp.full(4, 0.6)
    score = jax.grad(lambda x: MIXTURE.log_density(x, t).sum())(x)
    np.testing.assert_allclose(score, -(x - 0.6 * MIXTURE(x, t)) / 0.4, rtol=1e-11)


def test_a_condition_is_other_probabilities_of_the_components():
    x, t = jnp.asarray(X), jnp.full(4, 0.5)
    only = make_gaussian_flow(jnp.asarray(MEANS[1:]), jnp.asarray(COVARIANCES[1:]))
    chosen = jnp.broadcast_to(jnp.array([-jnp.inf, 0.0])[None], (4, 2))
    np.testing.assert_allclose(MIXTURE(x, t, chosen), only(x, t), rtol=1e-12)
    np.testing.assert_allclose(MIXTURE.log_density(x, t, chosen), only.log_density(x, t), rtol=1e-12)  # fmt: skip
    np.testing.assert_array_equal(MIXTURE.responsibilities(x, t, chosen)[:, 0], np.zeros(4))


def test_narrow_gaussians_are_points():
    narrow = make_gaussian_flow(jnp.asarray(POINTS), jnp.zeros((7, 3, 3)))
    x, t = jnp.asarray(X), jnp.asarray(T)
    np.testing.assert_allclose(narrow(x, t), FLOW(x, t), rtol=1e-9)


def test_one_gaussian_is_transported_onto_its_covariance():
    one = make_gaussian_flow(jnp.asarray(MEANS[:1]), jnp.asarray(COVARIANCES[:1]))
    moved = np.asarray(one.transport(jnp.eye(3))) - MEANS[0]
    np.testing.assert_allclose(moved.T @ moved, COVARIANCES[0], rtol=1e-11)
    with pytest.raises(ValueError, match="known for one Gaussian, but the mixture has 2"):
        MIXTURE.transport(jnp.eye(3))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: FLOW(jnp.asarray(X), jnp.ones(4)), "`t` must be below 1"),
        (lambda: FLOW(jnp.asarray(X), jnp.asarray(T), jnp.full(4, 3)), "between 0 and 2, the null label"),
        (lambda: make_finite_flow(FLOW.points)(jnp.asarray(X), jnp.asarray(T), jnp.zeros(4, int)), "cannot be guided"),
        (lambda: make_finite_flow(jnp.asarray(POINTS), jnp.full(7, 2)), "every class, but has no 0"),
        (lambda: make_finite_flow(jnp.full((2, 2), jnp.nan)), "`points` must be finite"),
        (lambda: make_finite_flow(jnp.zeros((0, 2))), "`points` must be at least 1"),
        (lambda: make_gaussian_flow(jnp.zeros((1, 2)), jnp.array([[[1.0, 1.0], [0.0, 1.0]]])), "must be symmetric"),
        (lambda: make_gaussian_flow(jnp.zeros((1, 2)), -jnp.eye(2)[None]), "no negative eigenvalue"),
        (lambda: make_gaussian_flow(jnp.zeros((1, 2)), jnp.eye(2)[None], -jnp.ones(1)), "`weights` must be finite"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
