import pytest

from quantum.circuits.lattice import Lattice, rectangle
from quantum.circuits.layouts import EchoLayout, echo_layout, parse_layout, rectangle_layout


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


def test_the_corner_layout_spans_the_rectangle():
    layout = rectangle_layout(3, 4, 9)
    assert (layout.measured, layout.butterflies, layout.n_cycles) == (0, (11,), 9)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (18, echo_layout(18)),
        ("18", echo_layout(18)),
        ("3x4@12", rectangle_layout(3, 4, 12)),
        ("3x4", rectangle_layout(3, 4, 7)),
        ("12", rectangle_layout(3, 4, 7)),
        (6, rectangle_layout(2, 3, 7)),
        ("12@5", rectangle_layout(3, 4, 5)),
    ],
)
def test_all_ways_to_write_a_layout_are_read(text, same):
    assert parse_layout(text, n_cycles=7) == same


def test_named_cycles_change_nothing_else_of_a_published_layout():
    published, longer = echo_layout(23), parse_layout("23@40")
    assert longer.n_cycles == 40
    assert (longer.lattice, longer.measured, longer.butterflies, longer.cut_shift) == (
        published.lattice, published.measured, published.butterflies, published.cut_shift,
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "3by4", "x4", "3x", "3x0@2", "3x4@0", "-18", "18@", "3x4x5", "40", 5, " 18"]
)
def test_other_text_is_refused_in_one_line(text):
    with pytest.raises(
        ValueError, match=r"^`sizes` must be a size \(4, 6, .*36\) or rows x columns.*but is"
    ) as refused:
        parse_layout(text, n_cycles=7, name="sizes")
    assert "\n" not in str(refused.value)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize("text", ["3x4", "9"])
def test_a_rectangle_needs_cycles(text):
    with pytest.raises(
        ValueError, match="`layout` must say the cycles of a rectangle as in 3x4@12, but is"
    ):
        parse_layout(text)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: echo_layout(40), "sites of the 40 and 65 qubit runs are unknown"),
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
def test_what_is_no_layout_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
