import math

import numpy as np
import pytest

from quantum.circuits.gates import iswap_like
from quantum.circuits.lattice import GROUPS, rectangle, willow
from quantum.circuits.random_circuits import ECHO_ANGLES, random_circuit

LATTICE = rectangle(2, 3)


@pytest.mark.parametrize("aligned", [False, True])
def test_groups_hold_every_coupler_once_and_disjoint_pairs(aligned):
    lattice = willow()
    groups = [lattice.group(name, aligned=aligned) for name in GROUPS]
    for group in groups:
        used = [q for pair in group for q in pair]
        assert len(set(used)) == len(used)
    assert sorted(pair for group in groups for pair in group) == sorted(lattice.couplers)


def test_aligned_groups_go_by_the_column_or_the_row_alone():
    lattice = rectangle(3, 4)
    sites = lattice.sites
    starts = {name: {sites[a] for a, _ in lattice.group(name, aligned=True)} for name in GROUPS}
    assert starts["A"] == {(r, c) for r in range(3) for c in (0, 2)}
    assert starts["B"] == {(r, 1) for r in range(3)}
    assert starts["C"] == {(0, c) for c in range(4)}
    assert starts["D"] == {(1, c) for c in range(4)}


def test_aligned_circuits_differ_only_in_the_coupled_pairs():
    lattice = rectangle(3, 3)
    staggered = random_circuit(lattice, 4, seed=0, order="ADBC")
    aligned = random_circuit(lattice, 4, seed=0, order="ADBC", aligned=True)
    assert staggered.moments[::2] == aligned.moments[::2]
    for cycle, letter in enumerate("ADBC"):
        pairs = tuple(op.qubits for op in aligned.moments[2 * cycle + 1])
        assert pairs == lattice.group(letter, aligned=True)
        assert pairs != tuple(op.qubits for op in staggered.moments[2 * cycle + 1])


def test_a_cycle_is_a_turn_of_every_qubit_and_one_coupler_group():
    circuit = random_circuit(LATTICE, 5, seed=1, order="BDAC")
    assert len(circuit) == 10
    for cycle, letter in enumerate("BDACB"):
        turns, couplers = circuit.moments[2 * cycle : 2 * cycle + 2]
        assert [op.qubits for op in turns] == [(q,) for q in range(6)]
        assert {op.gate.parameters[0] for op in turns} <= set(ECHO_ANGLES)
        assert tuple(op.qubits for op in couplers) == LATTICE.group(letter)
        assert {op.gate for op in couplers} <= {iswap_like()}


def test_angles_are_drawn_evenly_and_axes_over_the_whole_circle():
    circuit = random_circuit(rectangle(10, 10), 30, seed=4)
    turns = [op.gate.parameters for op in circuit.operations() if op.gate.name == "phased_x"]
    theta, phi = np.array(turns).T
    counts = [(theta == angle).sum() for angle in ECHO_ANGLES]
    # 3000 draws: sd sqrt(3000 x 1/3 x 2/3) = 26, five of them; the mean of exp(i phi) has rms 1/sqrt(3000).
    assert np.abs(np.array(counts) - 1000).max() < 130
    assert abs(np.exp(1j * phi).mean()) < 5 / math.sqrt(3000)
    assert phi.min() < -3.1
    assert phi.max() > 3.1


def test_a_seed_is_a_circuit_and_redraw_says_how_often_the_angle_is_drawn():
    assert random_circuit(LATTICE, 3, seed=7) == random_circuit(LATTICE, 3, seed=7)
    assert random_circuit(LATTICE, 3, seed=7) != random_circuit(LATTICE, 3, seed=8)
    fixed = random_circuit(LATTICE, 3, seed=7, redraw=False)
    thetas = {op.gate.parameters[0] for op in fixed.operations() if op.gate.name == "phased_x"}
    assert len(thetas) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: random_circuit(LATTICE, 0, seed=1), "`n_cycles` must be at least 1, but is 0"),
        (lambda: random_circuit(LATTICE, 2, seed=1, order="AE"), "`order` must be one of A, B, C, D, but is 'E'"),
        (lambda: random_circuit(LATTICE, 2, seed=1, angles=()), "must not be empty"),
    ],
)  # fmt: skip
def test_what_no_circuit_can_be_drawn_from_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
