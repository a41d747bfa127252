import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.resonators.rational_fit import (
    depressed_coefficients,
    fit_rational,
    nearest_cluster,
)

POLES = np.array([0.3 - 0.2j, -0.5 - 0.3j, 0.4 - 0.6j])
RESIDUES = np.array([[1.0, 0.3j], [-0.5j, 0.8], [0.7, 0.2 + 0.1j]])
depressed = jax.jit(depressed_coefficients)
FREQUENCY = np.linspace(2.0, 8.0, 61)  # centre 5, half span 3


def _spectra(poles=POLES, residues=RESIDUES):
    x = (FREQUENCY - 5) / 3
    return jnp.asarray(np.sum(residues[None] / (x[:, None] - poles[None])[..., None], axis=1))


@pytest.mark.parametrize("n", [2, 3])  # an odd and an even number of gaps at each pole
def test_exact_spectra_give_their_poles_and_residues_back(n):

    @jax.jit
    def fitted(spectra):
        fit = fit_rational(jnp.asarray(FREQUENCY), spectra, n)
        return fit.poles(), fit.residues(), fit.misfit

    found, residues, misfit = fitted(_spectra(POLES[:n], RESIDUES[:n]))
    found, wanted = np.asarray(found), 5 + 3 * POLES[:n]
    order = np.abs(found[None] - wanted[:, None]).argmin(axis=1)
    # Condition of the powers and gaps of the poles: about 1e4 precisions.
    np.testing.assert_allclose(found[order], wanted, rtol=1e-10)
    residues = np.asarray(residues)[order]
    np.testing.assert_allclose(residues, 3 * RESIDUES[:n], rtol=1e-9, atol=1e-9)
    assert misfit < 1e-12


def test_noise_moves_the_poles_in_proportion_and_does_not_pull_them_one_way():
    rng, exact = np.random.default_rng(0), np.asarray(_spectra())
    parts = rng.normal(size=(2, 60, FREQUENCY.size, 2)) / np.sqrt(2)
    fits = jax.jit(jax.vmap(lambda d: fit_rational(jnp.asarray(FREQUENCY), d, 3).denominator))

    def errors(noise):
        spectra = exact + noise * (parts[0] + 1j * parts[1])
        return np.asarray(fits(jnp.asarray(spectra))) - np.poly(POLES)[:0:-1]

    small, large = errors(1e-4), errors(1e-3)
    growth = np.std(large, axis=0) / np.std(small, axis=0)
    np.testing.assert_allclose(growth, 10, rtol=0.05)  # second order: about the relative noise
    # Bias below four standard errors of the mean.
    assert np.all(np.abs(large.mean(axis=0)) < 4 * np.std(large, axis=0) / np.sqrt(60))


def test_the_derivative_with_held_weights_is_that_of_the_full_fit_on_exact_spectra():
    rng = np.random.default_rng(0)
    change = rng.normal(size=(61, 2)) + 1j * rng.normal(size=(61, 2))
    fit = lambda t: fit_rational(jnp.asarray(FREQUENCY), _spectra() + t * change, 3).denominator  # noqa: E731
    slope = jax.jit(lambda t: jax.jvp(fit, (t,), (1.0,))[1])(0.0)
    plain = jax.jit(fit)
    difference = (np.asarray(plain(1e-6)) - np.asarray(plain(-1e-6))) / 2e-6
    # Central difference of a smooth function: rounding 1e-16 x 1e4 / 1e-6 and step^2.
    np.testing.assert_allclose(slope, difference, rtol=1e-5)


@pytest.mark.parametrize("roots", [[1.0, 2.0 + 1j], [1.0, 2.0, 4.0j], [0.5, -1.0, 2j, 3.0]])
def test_depressed_coefficients_are_those_about_the_mean(roots):
    found = depressed(jnp.asarray(np.poly(roots)[:0:-1] + 0j))
    expected = np.poly(np.array(roots) - np.mean(roots))[2:]
    np.testing.assert_allclose(found, expected, atol=1e-13)


def test_two_roots_leave_minus_a_quarter_of_their_squared_difference():
    (value,) = depressed(jnp.asarray(np.poly([3.0, 1.0 - 2j])[:0:-1]))
    np.testing.assert_allclose(value, -((2.0 + 2j) ** 2) / 4, atol=1e-14)


def test_the_nearest_roots_form_the_cluster():
    found = jax.jit(nearest_cluster, static_argnums=1)(jnp.asarray([5.0, 0.1, -3.0, 0.2j]), 2)
    np.testing.assert_allclose(np.sort_complex(np.asarray(found)), [0.2j, 0.1])


def test_too_few_frequencies_are_refused():
    with pytest.raises(ValueError, match="`frequency` must hold more than 6 values for 3 poles"):
        fit_rational(jnp.asarray(np.linspace(0, 1, 6)), jnp.asarray(np.zeros((6, 1)) + 0j), 3)
