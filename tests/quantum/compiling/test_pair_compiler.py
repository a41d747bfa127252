import math

import numpy as np
import pytest
import scipy.stats

from quantum.circuits.gates import Gate, fsim
from quantum.compiling.pair_compiler import (
    NATIVE,
    canonical,
    coordinates,
    gate_count,
    interaction,
    pair_gates,
)
from quantum.compiling.swap_network import SWAP
from quantum.compiling.trotter import pair_matrix


def product(parts):
    matrix = np.eye(4)
    for part in parts:
        matrix = (part.matrix() if isinstance(part, Gate) else np.kron(*part)) @ matrix
    return matrix


def distance(found, wanted):
    """Largest element of the difference, global phase apart."""
    overlap = np.vdot(wanted, found)
    return np.abs(found - wanted * overlap / abs(overlap)).max()


def haar(seed):
    return scipy.stats.unitary_group.rvs(4, random_state=seed)


def turned(seed):
    one, other = (scipy.stats.unitary_group.rvs(2, random_state=seed + k) for k in (0, 1))
    return np.kron(one, other)


SPECIAL = {
    "identity": np.eye(4),
    "turns": turned(3),
    "swap": SWAP,
    "cz": Gate("cz").matrix(),
    "willow": fsim(math.pi / 2, math.pi / 9).matrix(),
    "iswap": fsim(math.pi / 2, 0).matrix(),
    "nearly nothing": interaction(1e-9, 0, 0),
    "two equal but for rounding": interaction(0.3, 0.3 - 1e-10, 0.1),
    "third zero but for rounding": interaction(0.3, 0.2, 1e-12),
    "negative third": interaction(0.3, 0.2, -0.1),
    "outside the chamber": interaction(2.0, -1.4, 5.1),
}


@pytest.mark.parametrize("native", NATIVE)
def test_random_unitaries_are_made_of_two_fsim_or_three_cz(native):
    for seed in range(40):
        wanted = haar(seed)
        parts = pair_gates(wanted, native)
        assert distance(product(parts), wanted) < 1e-13
        gates = [part for part in parts if isinstance(part, Gate)]
        assert {gate.name for gate in gates} == {native}
        assert len(gates) == {"fsim": 2, "cz": 3}[native]


@pytest.mark.parametrize("native", NATIVE)
@pytest.mark.parametrize("name", SPECIAL)
def test_degenerate_unitaries_too(name, native):
    assert distance(product(pair_gates(SPECIAL[name], native)), SPECIAL[name]) < 1e-10


@pytest.mark.parametrize(
    ("name", "n_fsim", "n_cz"),
    [
        ("identity", 0, 0),
        ("turns", 0, 0),
        ("cz", 1, 1),
        ("iswap", 1, 2),
        ("willow", 1, 3),
        ("swap", 1, 3),
    ],
)
def test_no_gate_more_than_known_to_be_needed(name, n_fsim, n_cz):
    # Vatan and Williams 2004: 0, 1, 2 for turns, CNOT and a vanishing third coordinate, three for the rest.
    assert gate_count(SPECIAL[name]) == n_fsim
    assert gate_count(SPECIAL[name], "cz") == n_cz


@pytest.mark.parametrize(
    "shape",
    [
        np.diag([-1, 1, 0]),
        np.diag([0, 0, 1]),
        np.diag([-1, -1, 2]),
        [[0, 1, 0], [1, 0, 0], [0, 0, 0]],
    ],
)
def test_a_secular_coupling_and_its_swap_are_one_fsim(shape):
    for strength in (0.1, 0.7, -2.3):
        step = SWAP @ pair_matrix(np.asarray(shape) * strength, 1.0)
        assert gate_count(step, "fsim") == 1
        assert gate_count(step, "cz") == 3


def test_canonical_form_is_the_unitary_with_its_phase_and_lies_in_the_chamber():
    for seed in range(20):
        wanted = haar(seed)
        form = canonical(wanted)
        np.testing.assert_allclose(form.matrix(), wanted, atol=1e-13)
        a, b, c = form.coordinates
        assert math.pi / 4 + 1e-12 >= a >= b >= abs(c)
        for turns in (form.before, form.after):
            np.testing.assert_allclose(
                turns @ turns.conj().transpose(0, 2, 1), np.stack([np.eye(2)] * 2), atol=1e-12
            )


def test_turns_leave_the_coordinates():
    wanted = interaction(0.6, 0.4, -0.3)
    np.testing.assert_allclose(coordinates(wanted), [0.6, 0.4, -0.3], atol=1e-12)
    np.testing.assert_allclose(
        coordinates(turned(5) @ wanted @ turned(8)), [0.6, 0.4, -0.3], atol=1e-12
    )


def test_coordinates_of_a_coupling_with_its_swap_follow_the_closed_form():
    values, time = np.array([0.5, 0.3, 0.2]), 0.7  # rad/s, s
    wanted = np.sort(math.pi / 4 - values * time / 4)[::-1]
    np.testing.assert_allclose(
        coordinates(SWAP @ pair_matrix(np.diag(values), time)), wanted, atol=1e-12
    )


@pytest.mark.parametrize("matrix", [np.eye(2), np.ones((4, 4)), np.full((4, 4), np.nan)])
def test_what_is_no_two_qubit_unitary_is_refused(matrix):
    with pytest.raises(ValueError, match="`matrix` must be"):
        canonical(matrix)


def test_an_unknown_native_gate_is_refused():
    with pytest.raises(ValueError, match="`native` must be"):
        pair_gates(np.eye(4), "ecr")
