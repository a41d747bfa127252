import math

import jax.numpy as jnp
import numpy as np
import pytest

from quantum.nmr import average_hamiltonian, exact_echo, strike, typicality
from quantum.nmr.dipolar_sequences import BLEW_12_AXIS
from quantum.spins.hamiltonian import PAULIS, SpinHamiltonian, make_hamiltonian
from quantum.spins.random_states import random_states


def drawn_hamiltonian(n, seed=0, variant="tardis-2"):
    rng = np.random.default_rng(seed)
    table = np.triu(rng.normal(size=(n, n)) * 500, 1)
    return average_hamiltonian.reversible_hamiltonian(
        table + table.T, 0, variant, offsets_hz=rng.normal(size=n) * 200
    )


TIMES = np.array([0.0, 2e-4, 1e-3])  # s


@pytest.mark.parametrize("variant", ["tardis-1", "tardis-2"])
def test_the_echo_of_random_states_is_the_exact_one_within_its_error(variant):
    hamiltonian = drawn_hamiltonian(7, 3, variant)
    wanted = np.asarray(exact_echo.echo_by_sectors(hamiltonian, (2, 5), 1.1, TIMES))
    found = typicality.echo_by_typicality(
        hamiltonian, (2, 5), 1.1, TIMES, n_states=400, seed=7, precision="double"
    )
    assert found.samples.shape == (400, 3)
    pull = (found.mean - wanted)[1:] / found.error[1:]
    assert np.abs(pull).max() < 4
    # At time zero W is the butterfly itself, which the probe does not feel.
    assert found.mean[0] == pytest.approx(1, abs=1e-10)


def test_errors_are_what_the_samples_scatter_by():
    hamiltonian = drawn_hamiltonian(5, 1)
    wanted = np.asarray(exact_echo.echo_by_sectors(hamiltonian, (1, 2), 2.0, TIMES))
    pulls = []
    for seed in range(40):
        found = typicality.echo_by_typicality(
            hamiltonian, (1, 2), 2.0, TIMES, n_states=16, seed=seed, precision="double"
        )
        pulls.append((found.mean - wanted)[2] / found.error[2])
    # t with 15 degrees of freedom has a variance of 15/13; its mean over 40 is 0 +- 0.17.
    assert abs(np.mean(pulls)) < 0.17 * 4
    assert 0.5 < np.var(pulls) < 2.2


def test_a_probe_that_turns_takes_the_other_way_to_the_same_echo():
    hamiltonian = drawn_hamiltonian(5, 2)
    fields = np.array(hamiltonian.fields)
    fields[0, 0] += 6000.0  # S_x of the probe: S_z is not kept
    turned = SpinHamiltonian(hamiltonian.couplings, jnp.asarray(fields))
    assert strike.keeps_probe(hamiltonian, 0)
    assert not strike.keeps_probe(turned, 0)
    wanted = _dense_echo(turned, (1, 3), 1.4, TIMES[2])
    found = typicality.echo_by_typicality(
        turned, (1, 3), 1.4, TIMES, n_states=320, seed=1, precision="double"
    )
    assert abs(found.mean[2] - wanted) < 4 * found.error[2]
    assert abs(wanted - _dense_echo(hamiltonian, (1, 3), 1.4, TIMES[2])) > 10 * found.error[2]


def _dense_echo(hamiltonian, struck, angle, time):
    from scipy.linalg import expm

    from quantum.spins.hamiltonian import dense, spin_product

    n = hamiltonian.n_spins
    out = expm(-1j * np.asarray(dense(hamiltonian)) * time)
    axis = np.asarray(BLEW_12_AXIS)
    strike = sum(axis[a] * spin_product(n, {spin: a}) for spin in struck for a in range(3))
    walk = out.conj().T @ expm(-1j * angle * strike) @ out
    probe = spin_product(n, {0: 0})
    return np.trace(probe @ walk @ probe @ walk.conj().T).real / np.trace(probe @ probe).real


def test_turning_spins_is_the_kronecker_product():
    psi = random_states(3, 2, seed=0, precision="double")
    turn = math.cos(0.4) * np.eye(2) - 1j * math.sin(0.4) * np.asarray(PAULIS[1])
    wanted = np.asarray(psi) @ np.kron(np.kron(turn, np.eye(2)), turn).T
    np.testing.assert_allclose(
        strike.turn_spins(psi, (0, 2), jnp.asarray(turn)), wanted, atol=1e-12
    )


def test_a_sector_is_the_block_of_the_matrix():
    hamiltonian = drawn_hamiltonian(4, 5)
    from quantum.spins.hamiltonian import dense

    for sz, rows in ((0.5, slice(0, 8)), (-0.5, slice(8, 16))):
        block = np.array(dense(hamiltonian))[rows, rows]
        rest = np.asarray(dense(typicality.sector_hamiltonian(hamiltonian, sz)))
        own = np.asarray(hamiltonian.fields)[0, 2] * sz
        np.testing.assert_allclose(rest + own * np.eye(8), block, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"struck": (0, 1)}, "`struck` must be"),
        ({"struck": (1, 1)}, "`struck` must be"),
        ({"struck": (9,)}, "`struck` must be"),
        ({"n_states": 1}, "`n_states` must be"),
        ({"times": np.array([-1e-3])}, "`times` must"),
        ({"axis": (1.0, 1.0, 0.0)}, "`axis` must"),
        ({"probe": 7}, "`probe` must be"),
    ],
)
def test_bad_input_is_named(changes, message):
    arguments = {"struck": (1,), "angle": 1.0, "times": TIMES, "n_states": 2, "seed": 0} | changes
    struck, angle, times = (arguments.pop(name) for name in ("struck", "angle", "times"))
    with pytest.raises(ValueError, match=message):
        typicality.echo_by_typicality(
            make_hamiltonian(np.zeros((3, 3, 3, 3))), struck, angle, times, **arguments
        )
