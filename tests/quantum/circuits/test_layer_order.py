import pytest

from quantum.circuits.circuit import random_circuit
from quantum.circuits.lattice import GROUPS, rectangle, willow


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
    staggered = random_circuit(lattice, 4, 0, order="ADBC")
    aligned = random_circuit(lattice, 4, 0, order="ADBC", aligned=True)
    assert staggered.moments[::2] == aligned.moments[::2]
    for cycle, letter in enumerate("ADBC"):
        pairs = tuple(op.qubits for op in aligned.moments[2 * cycle + 1])
        assert pairs == lattice.group(letter, aligned=True)
        assert pairs != tuple(op.qubits for op in staggered.moments[2 * cycle + 1])
