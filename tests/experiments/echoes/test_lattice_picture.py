import numpy as np
import pytest

from experiments.echoes.lattice_picture import draw_chip
from experiments.harness.plotting import new_figure
from quantum.circuits.lattice import rectangle, willow


@pytest.fixture
def axes():
    return new_figure().subplots()


def squares(axes):
    return axes.collections[0]


def test_every_qubit_is_drawn_at_its_site_rows_downwards(axes):
    chip = willow()
    draw_chip(axes, chip, np.zeros(105))
    boxes = [path.get_extents() for path in squares(axes).get_paths()]
    centres = [((b.y0 + b.y1) / 2, (b.x0 + b.x1) / 2) for b in boxes]
    np.testing.assert_allclose(centres, chip.sites, atol=1e-12)
    assert axes.yaxis_inverted()


def test_colour_tells_the_sign_and_a_missing_value_is_white(axes):
    drawn = draw_chip(axes, rectangle(1, 4), [1, -1, 0, np.nan], marks={0: "B"}, couplers=True)
    plus, minus, zero, missing = squares(axes).get_facecolors()
    assert plus[2] > plus[0]
    assert minus[0] > minus[2]
    assert zero[:3].min() > 0.9
    assert missing[:3].min() == 1
    assert (drawn.norm.vmin, drawn.norm.vmax) == (-1, 1)
    assert axes.texts[0].get_text() == "B"
    assert len(axes.collections[1].get_segments()) == 3


def test_a_missing_value_per_qubit_is_named(axes):
    with pytest.raises(ValueError, match="`values` must hold one value for each of 4 qubits"):
        draw_chip(axes, rectangle(2, 2), [1.0, 0.0])
