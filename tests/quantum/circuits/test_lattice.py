import cirq_google
import numpy as np
import pytest

from quantum.circuits.lattice import (
    GROUPS,
    EchoLayout,
    Lattice,
    echo_layout,
    rectangle,
    rectangle_layout,
    willow,
)

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


@pytest.mark.parametrize("n", [18, 23, 27, 31, 36])
def test_echo_patches_have_their_size_and_join_both_ends(n):
    layout = echo_layout(n)
    assert layout.lattice.n_qubits == n
    assert (layout.lattice.distances(layout.measured) >= 0).all()


def test_m_and_b_of_18_qubits_stand_where_the_sheet_says():
    layout = echo_layout(18)
    assert layout.lattice.sites[layout.measured] == (8, 11)
    assert [layout.lattice.sites[q] for q in layout.butterflies] == [(6, 8)]
    assert (layout.n_cycles, layout.cut_shift) == (14, 2)


def test_distances_on_a_rectangle_are_steps():
    lattice = rectangle(4, 5)
    rows, columns = np.array(lattice.sites).T
    start = lattice.qubit((1, 3))
    np.testing.assert_array_equal(lattice.distances(start), abs(rows - 1) + abs(columns - 3))


def test_the_corner_layout_spans_the_rectangle():
    layout = rectangle_layout(3, 4, 9)
    assert (layout.measured, layout.butterflies, layout.n_cycles) == (0, (11,), 9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lattice(()), "`sites` must hold at least one"),
        (lambda: Lattice(((0, 1), (0, 0))), "`sites` must be sorted"),
        (lambda: Lattice(((0, 1), (0, 1))), "`sites` must be sorted by row and column, each listed once"),
        (lambda: willow().qubit((0, 0)), r"`site` must be on the lattice, but is \(0, 0\)"),
        (lambda: willow().group("E"), "`name` must be one of A, B, C, D"),
        (lambda: willow().distances(105), r"`qubit` must lie on the lattice \(0 to 104\), but is 105"),
        (lambda: echo_layout(40), "sites of the 40 and 65 qubit runs are unknown"),
        (lambda: rectangle(0, 3), "`n_rows` must be at least 1"),
        (lambda: rectangle_layout(2, 2, 0), "`n_cycles` must be at least 1, but is 0"),
        (lambda: EchoLayout(rectangle(1, 3), 0, (), 1), "`butterflies` must name at least one qubit"),
        (lambda: EchoLayout(rectangle(1, 3), 0, (3,), 1), "`butterflies` must lie on the lattice"),
        (lambda: EchoLayout(rectangle(1, 3), -1, (1,), 1), "`measured` must be at least 0"),
        (
            lambda: EchoLayout(Lattice(((0, 0), (0, 1), (5, 5))), 0, (2,), 1),
            r"joined to the measured qubit by couplers, but qubit 2 at \(5, 5\)",
        ),
    ],
)  # fmt: skip
def test_what_is_not_on_the_lattice_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
