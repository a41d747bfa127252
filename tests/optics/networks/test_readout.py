"""What the readouts share: cross-entropy, and scores that do not depend on the brightness of the input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.networks.readout import (
    PortReadout,
    Readout,
    cross_entropy,
    make_readout,
    read_pictures,
)


def test_cross_entropy_by_hand():
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])) + 3.0
    np.testing.assert_allclose(
        cross_entropy(logits, jnp.array([1, 1])), -(np.log(0.25) + np.log(0.8)) / 2, rtol=1e-12
    )


@pytest.mark.parametrize("kind", ["regions", "ports"])
def test_a_brighter_input_gives_no_other_answer(kind):
    if kind == "regions":
        readout, shape = Readout(jnp.eye(9).reshape(9, 3, 3)[:4], 15.0), (5, 3, 3)
    else:
        readout, shape = PortReadout(4.0, 4), (5, 9)
    field = jax.random.normal(jax.random.key(0), shape, complex)
    np.testing.assert_allclose(readout.logits(field), readout.logits(3j * field), rtol=1e-9)
    np.testing.assert_array_equal(
        np.argmax(readout.logits(field), -1), np.argmax(readout.powers(field), -1)
    )


def test_the_layout_spans_its_part_of_the_window():
    # Two by two squares of 4 px, 8 px from centre to centre: 16 of 32 px.
    lit = np.asarray(make_readout((32, 32), 4, extent=0.5).regions).any(axis=0)
    expected = [10, 11, 12, 13, 18, 19, 20, 21]
    np.testing.assert_array_equal(np.flatnonzero(lit.any(axis=0)), expected)


def test_empty_regions_are_no_classes():
    readout = Readout(jnp.eye(9).reshape(9, 3, 3)[:4], 15.0)
    padded = readout.padded(6)
    field = jax.random.normal(jax.random.key(0), (5, 3, 3), complex)
    labels = jnp.arange(5) % 4
    np.testing.assert_array_equal(padded.powers(field)[:, 4:], 0)
    for found, expected in zip(
        *(jax.value_and_grad(each.loss)(field, labels) for each in (padded, readout)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(padded.correct(field, labels), readout.correct(field, labels))
    assert not padded.correct(0 * field, labels + 1)[:3].any()  # in the dark the first class wins
    with pytest.raises(ValueError, match="`n_regions` must be at least the 4 regions"):
        readout.padded(3)
    with pytest.raises(ValueError, match="not padded yet"):
        padded.padded(8)


def test_pictures_are_mean_intensities_of_squares_in_the_middle():
    field = jnp.asarray(np.arange(64.0).reshape(1, 8, 8) ** 0.5 * 1j)
    found = read_pictures(field, side=2, pool=3)
    # Rows and columns 1 to 6 of numbers that grow by 8 a row: means over squares of three.
    np.testing.assert_allclose(found[0], [[18, 21], [42, 45]])
    with pytest.raises(
        ValueError, match=r"`side` times `pool` must lie between 1 and the 8 pixels.*is 3 x 3"
    ):
        read_pictures(field, side=3, pool=3)
