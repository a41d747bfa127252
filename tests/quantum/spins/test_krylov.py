import jax.numpy as jnp
import numpy as np
import pytest

from quantum.spins.hamiltonian import make_hamiltonian
from quantum.spins.krylov import evolve_krylov


def chain(n):
    """Ising chain in a transverse field, rad/s."""
    tensor = np.zeros((n, n, 3, 3))
    for i in range(n - 1):
        tensor[i, i + 1, 2, 2] = tensor[i + 1, i, 2, 2] = 2.0
    return make_hamiltonian(tensor, np.tile([1.0, 0.0, 0.3], (n, 1)))


def start(n):
    psi = np.zeros((1, 2**n), complex)
    psi[0, 0] = 1
    return jnp.asarray(psi)


def test_small_spaces_take_more_steps_to_the_same_state():
    found = [
        np.asarray(evolve_krylov(chain(6), start(6), 3.0, dimension=m, precision="double"))
        for m in (6, 40)
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-10)
    assert np.linalg.norm(found[0]) == pytest.approx(1, abs=1e-12)


def test_one_spin_precesses_by_the_closed_form():
    field = np.array([[0.6, 0.0, 0.8]])  # rad/s, length 1
    hamiltonian = make_hamiltonian(np.zeros((1, 1, 3, 3)), field)
    found = np.asarray(evolve_krylov(hamiltonian, start(1), 1.7, precision="double"))[0]
    np.testing.assert_allclose(
        found, [np.cos(0.85) - 0.8j * np.sin(0.85), -0.6j * np.sin(0.85)], atol=1e-12
    )


def test_zero_stays_zero_and_no_time_changes_nothing():
    zero = jnp.zeros((2, 8), complex)
    np.testing.assert_array_equal(evolve_krylov(chain(3), zero, 1.0, precision="double"), zero)
    np.testing.assert_array_equal(
        evolve_krylov(chain(3), start(3), 0, precision="double"), start(3)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dimension": 1}, "`dimension`"),
        ({"tolerance": 0.0}, "`tolerance`"),
        ({"time": float("inf")}, "`time`"),
    ],
)
def test_bad_input_is_named(arguments, message):
    time = arguments.pop("time", 1.0)
    with pytest.raises(ValueError, match=message):
        evolve_krylov(chain(3), start(3), time, **arguments)
