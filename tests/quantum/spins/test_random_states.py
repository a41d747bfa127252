import math

import numpy as np

from quantum.spins.random_states import random_states


def test_random_states_are_normalised_their_own_and_average_to_the_identity():
    for kind in ("phase", "complex", "real"):
        psi = np.asarray(random_states(3, 6000, seed=4, kind=kind, precision="double"))
        np.testing.assert_allclose(np.linalg.norm(psi, axis=1), 1, atol=1e-12)
        mean = np.einsum("si,sj->ij", psi, psi.conj()) / len(psi)
        # Entries of the projector have a standard deviation of about 1/8 (0.18 for real ones).
        np.testing.assert_allclose(mean, np.eye(8) / 8, atol=5 * 0.18 / math.sqrt(6000))
    both = random_states(3, 5, seed=4)
    np.testing.assert_array_equal(both[2:], random_states(3, 3, seed=4, first=2))
