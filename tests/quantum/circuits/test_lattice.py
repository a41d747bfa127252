import cirq_google
import numpy as np
import pytest

from quantum.circuits.lattice import GROUPS, Lattice, rectangle, willow
from quantum.circuits.layouts import echo_layout

LATTICES = [willow(), rectangle(1, 5), rectangle(4, 6), *(echo_layout(n).lattice for n in (18, 31))]


def test_the_grid_is_that_of_the_willow_device():
    device = cirq_google.engine.create_device_from_processor_id("willow_pink")
    graph = device.metadata.nx_graph
    ours = willow()
    assert set(ours.sites) == {(q.row, q.col) for q in graph.nodes}
    edges = {frozenset((ours.sites[a], ours.sites[b])) for a, b in ours.couplers}
    assert edges == {frozenset(((a.row, a.col), (b.row, b.col))) for a, b in graph.edges}
    assert (ours.n_qubits, len(ours.couplers)) == (105, 182)


@pytest.mark.parametrize("lattice", LATTICES, ids=lambda x: str(x.n_qubits))
def test_groups_are_disjoint_pairs_and_cover_every_coupler_once(lattice):
    pairs = [pair for name in GROUPS for pair in lattice.group(name)]
    assert len(set(pairs)) == len(pairs)
    touching = {
        (a, b)
        for a, (row, column) in enumerate(lattice.sites)
        for b, site in enumerate(lattice.sites)
        if site in ((row, column + 1), (row + 1, column))
    }
    assert set(pairs) == touching
    for name in GROUPS:
        used = [q for pair in lattice.group(name) for q in pair]
        assert len(set(used)) == len(used)


def test_a_and_b_are_horizontal_and_a_starts_on_an_even_site():
    lattice = echo_layout(18).lattice
    for name, parity, step in (("A", 0, (0, 1)), ("B", 1, (0, 1)), ("C", 0, (1, 0)), ("D", 1, (1, 0))):  # fmt: skip
        for a, b in lattice.group(name):
            (row, column), other = lattice.sites[a], lattice.sites[b]
            assert (row + column) % 2 == parity
            assert other == (row + step[0], column + step[1])


def test_distances_on_a_rectangle_are_steps():
    lattice = rectangle(4, 5)
    rows, columns = np.array(lattice.sites).T
    start = lattice.qubit((1, 3))
    np.testing.assert_array_equal(lattice.distances(start), abs(rows - 1) + abs(columns - 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lattice(()), "`sites` must hold at least one"),
        (lambda: Lattice(((0, 1), (0, 0))), "`sites` must be sorted"),
        (lambda: Lattice(((0, 1), (0, 1))), "`sites` must be sorted by row and column, each listed once"),
        (lambda: willow().qubit((0, 0)), r"`site` must be on the lattice, but is \(0, 0\)"),
        (lambda: willow().group("E"), "`name` must be one of A, B, C, D"),
        (lambda: willow().distances(105), r"`qubit` must lie on the lattice \(0 to 104\), but is 105"),
        (lambda: rectangle(0, 3), "`n_rows` must be at least 1"),
    ],
)  # fmt: skip
def test_what_is_not_on_the_lattice_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
