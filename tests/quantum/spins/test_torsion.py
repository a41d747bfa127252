import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from quantum.spins.torsion import averaged_couplings, candidates, torsion_weights

HEIGHT, TEMPERATURE = 10e3, 289.0


def _couplings(angle, xp=jnp):
    return xp.array([[0.0, 1.0], [1.0, 0.0]]) * (100 + 40 * xp.cos(2 * angle) + 7 * xp.sin(angle))


def test_nine_candidates_hold_the_three_angles_of_the_sheet():
    degrees = np.rad2deg(candidates())
    assert len(degrees) == 9
    np.testing.assert_allclose(degrees[[0, 4, 8]], [32.4, 41.8, 50.0])
    np.testing.assert_allclose(np.diff(degrees)[[0, -1]], [9.4 / 4, 8.2 / 4])


def test_the_average_is_the_integral_of_boltzmann():
    minimum = math.radians(41.8)

    def weight(phi):
        energy = HEIGHT * (math.cos(2 * phi) - math.cos(2 * minimum)) ** 2
        return math.exp(-energy / (8.314462618 * TEMPERATURE))

    total = quad(weight, 0, 2 * math.pi, limit=200)[0]
    value = quad(lambda p: weight(p) * _couplings(p, np)[0, 1], 0, 2 * math.pi, limit=200)[0]
    found = averaged_couplings(_couplings, minimum, HEIGHT, TEMPERATURE)
    assert float(found[0, 1]) == pytest.approx(value / total, rel=1e-8)


def test_stiff_rings_stay_at_the_minimum_and_free_ones_turn():
    minimum = math.radians(40)
    stiff = averaged_couplings(_couplings, minimum, 9e5, TEMPERATURE, n_angles=720)
    # The sine averages out between +phi and -phi; what is left is of order RT / B.
    assert float(stiff[0, 1]) == pytest.approx(100 + 40 * math.cos(2 * minimum), abs=0.3)
    free = averaged_couplings(_couplings, minimum, 0.0, TEMPERATURE)
    assert float(free[0, 1]) == pytest.approx(100, abs=1e-9)


def test_the_average_can_be_differentiated_in_the_angle():
    value = jax.jit(lambda m: averaged_couplings(_couplings, m, HEIGHT, TEMPERATURE)[0, 1])
    step = 1e-5
    expected = (value(0.7 + step) - value(0.7 - step)) / (2 * step)
    assert float(jax.grad(value)(0.7)) == pytest.approx(float(expected), rel=1e-6)


def test_bad_potentials_are_named():
    with pytest.raises(ValueError, match="`n` must be odd"):
        candidates(8)
    with pytest.raises(ValueError, match=r"`height` must lie between .* J/mol"):
        torsion_weights(np.zeros(3), 0.7, -1.0, TEMPERATURE)
    with pytest.raises(ValueError, match="`temperature` must lie between"):
        torsion_weights(np.zeros(3), 0.7, HEIGHT, 0.0)
    with pytest.raises(ValueError, match="`n_angles` must be at least 8"):
        averaged_couplings(_couplings, 0.7, HEIGHT, TEMPERATURE, n_angles=4)
