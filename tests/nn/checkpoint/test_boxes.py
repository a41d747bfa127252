"""Boxes: every element of a range once, and few of them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn.checkpoint.boxes import Box, box_of, covers, flat_boxes, intersection, pieces, runs, whole

SHAPES = st.lists(st.integers(1, 5), max_size=4).map(tuple)


@st.composite
def ranges(draw):
    shape = draw(SHAPES)
    stop = draw(st.integers(0, math.prod(shape)))
    return shape, draw(st.integers(0, stop)), stop


# Four ordered numbers an axis: where the outer box starts, the inner one starts, that ends, and the outer one.
SPANS = st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4).map(sorted), max_size=4)


@settings(max_examples=200, deadline=None)
@given(ranges())
def test_a_flat_range_is_at_most_2n_less_1_boxes_that_hold_it_in_order(case):
    shape, start, stop = case
    found = flat_boxes(shape, start, stop)
    numbers = np.arange(math.prod(shape)).reshape(shape)
    held = [numbers[box.within(whole(shape))].ravel() for box in found]
    assert np.concatenate([*held, []]).tolist() == list(range(start, stop))
    assert len(found) <= max(2 * len(shape) - 1, 1)


def test_the_published_example_of_a_flat_range():
    # arXiv:2407.20143: shape (3, 2), shared by two ranks.
    assert flat_boxes((3, 2), 0, 3) == (Box((0, 0), (1, 2)), Box((1, 0), (1, 1)))
    assert flat_boxes((3, 2), 3, 6) == (Box((1, 1), (1, 1)), Box((2, 0), (1, 2)))


@pytest.mark.parametrize("span", [(-1, 2), (3, 2), (0, 7)])
def test_a_range_outside_the_tensor_is_refused(span):
    with pytest.raises(ValueError, match="within the 6 elements of shape"):
        flat_boxes((2, 3), *span)


@settings(max_examples=100, deadline=None)
@given(SHAPES, st.integers(1, 40))
def test_pieces_are_small_and_follow_each_other_in_c_order(shape, most):
    box = Box(tuple(range(len(shape))), shape)
    numbers = np.arange(math.prod(shape)).reshape(shape)
    found = list(pieces(box, most))
    held = np.concatenate([numbers[piece.within(box)].ravel() for piece in found])
    assert held.tolist() == list(range(numbers.size))
    assert all(piece.size <= most for piece in found)
    assert covers(found, shape)
    assert not covers(found[1:], shape)


def test_an_empty_box_is_a_piece_of_its_own():
    assert list(pieces(whole((0, 3)), 10)) == [whole((0, 3))]
    assert list(pieces(whole(()), 1)) == [Box((), ())]


@settings(max_examples=200, deadline=None)
@given(SPANS)
def test_runs_lie_at_their_elements_of_the_outer_box(spans):
    outer = Box(tuple(s[0] for s in spans), tuple(s[3] + 1 - s[0] for s in spans))
    part = Box(tuple(s[1] for s in spans), tuple(s[2] + 1 - s[1] for s in spans))
    numbers = np.arange(outer.size).reshape(outer.lengths)
    found = list(runs(part, outer))
    for box, first in found:
        assert numbers[box.within(outer)].ravel().tolist() == list(range(first, first + box.size))
    held = sorted(n for box, _ in found for n in numbers[box.within(outer)].ravel().tolist())
    assert held == sorted(numbers[part.within(outer)].ravel().tolist())
    if part == outer:
        assert len(found) == 1


def test_what_two_boxes_share():
    boxes = [
        Box((i, j), (n, m)) for i, j, n, m in itertools.product((0, 1, 3), (0, 2), (1, 3), (2,))
    ]
    for one, other in itertools.product(boxes, boxes):
        both = np.zeros((6, 6), int)
        for box in (one, other):
            both[box.within(whole((6, 6)))] += 1
        shared = intersection(one, other)
        assert (shared.size if shared else 0) == (both == 2).sum()
        if shared:
            assert (both[shared.within(whole((6, 6)))] == 2).all()


def test_the_box_of_an_index_of_slices():
    assert box_of((slice(None), slice(2, 4)), (3, 5)) == Box((0, 2), (3, 2))
    assert box_of((), ()) == whole(())
