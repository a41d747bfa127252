import io

import jax.numpy as jnp
import matplotlib
import matplotlib.colors
import numpy as np
import pytest
from matplotlib.image import imread

from experiments.harness import plotting
from experiments.harness.measurement import Reference
from experiments.harness.plotting import (
    new_figure,
    reference_band,
    save_figure,
    show_bench,
    show_field,
    show_mask,
    style,
)
from experiments.harness.png import description, is_png, size
from optics.waves.field import Field


def spot_field():
    """A bright sample one row up and two columns to the right of the axis, with phase pi / 2."""
    amplitude = jnp.zeros((6, 8), complex).at[4, 6].set(2j)
    return Field(amplitude, 532e-9, 8e-6)


def test_axes_are_in_millimetres_centred_on_sample_half_n():
    image = show_field(spot_field()).axes[0].images[0]
    left, right, bottom, top = image.get_extent()
    # 8 columns and 6 rows of 8 um; sample N // 2 sits at zero, half a pixel to either side of it.
    np.testing.assert_allclose(
        [left, right, bottom, top], np.array([-36, 28, -28, 20]) * 1e-3, rtol=1e-12
    )


def test_positive_y_is_up_and_positive_x_is_right():
    image = show_field(spot_field()).axes[0].images[0]
    assert image.origin == "lower"
    row, column = np.unravel_index(np.argmax(image.get_array()), (6, 8))
    left, _, bottom, _ = image.get_extent()
    y, x = bottom + (row + 0.5) * 8e-3, left + (column + 0.5) * 8e-3
    np.testing.assert_allclose([y, x], [8e-3, 16e-3], rtol=1e-12)


def test_phase_is_shown_in_radians_and_left_out_in_the_dark():
    figure = show_field(spot_field())
    shown = figure.axes[1].images[0]
    assert shown.get_clim() == (-np.pi, np.pi)
    values = np.ma.masked_invalid(shown.get_array())
    assert values.count() == 1
    assert values.compressed()[0] == pytest.approx(np.pi / 2)


def test_the_phase_colours_close_on_themselves():
    colours = matplotlib.colormaps[plotting.PHASE_COLORS]
    # One of 510 steps around the circle.
    np.testing.assert_allclose(colours(0.0), colours(1.0), atol=0.02)


def test_a_batch_of_fields_is_refused():
    with pytest.raises(ValueError, match=r"`field.amplitude` must have axes \(y, x\)"):
        show_field(Field(jnp.ones((2, 4, 4)), 532e-9, 8e-6))


def test_a_mask_is_wrapped():
    shown = show_mask(np.array([[-0.1, 0.0], [7.0, 2.0]]), 8e-6).axes[0].images[0].get_array()
    np.testing.assert_allclose(shown, [[2 * np.pi - 0.1, 0.0], [7.0 - 2 * np.pi, 2.0]], atol=1e-12)


def test_a_bench_shows_every_plane_at_its_place():
    figure = show_bench([("camera", 0.388, 3e-3), ("SLM", 0.0, 1.6e-3)])
    (axes,) = figure.axes
    lines = [line.get_xydata() for line in axes.lines[1:]]
    np.testing.assert_allclose(lines, [[[0, -1.6], [0, 1.6]], [[388, -3], [388, 3]]])
    assert [text.get_text() for text in axes.texts] == ["SLM", "camera"]
    assert "mm" in axes.get_xlabel()


@pytest.mark.parametrize("planes", [[], [("SLM", 0.0, 0.0)], [("SLM", 0.0, float("nan"))]])
def test_a_bench_without_extent_is_refused(planes):
    with pytest.raises(ValueError, match="must"):
        show_bench(planes)


@pytest.mark.parametrize(("columns", "width"), [(1, 3.4), (2, 7.0)])
def test_files_have_the_width_of_the_column(tmp_path, columns, width):
    figure = new_figure(columns)
    figure.subplots().plot([0, 1])
    save_figure(figure, tmp_path / "figure")
    assert imread(tmp_path / "figure.png").shape[1] == round(300 * width)
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        figure = new_figure()
        figure.subplots().plot([0, 1])
        save_figure(figure, tmp_path / name)
    for suffix in (".png", ".pdf"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_nothing_leaks_into_matplotlib():
    before = dict(matplotlib.rcParams)
    with style():
        new_figure().subplots()
    show_field(spot_field())
    assert dict(matplotlib.rcParams) == before
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []


def test_a_figure_shows_itself_in_jupyter():
    figure = new_figure()
    assert imread(io.BytesIO(figure._repr_png_())).shape[2] == 4


def band(value, uncertainty, **options):
    axes = new_figure().subplots()
    reference_band(
        axes, Reference("a", value, uncertainty, "%", "Fig. 1", "table", True), **options
    )
    return axes


def test_a_published_value_is_a_band_of_one_standard_deviation():
    axes = band(90.0, 2.0, at=4.0, width=1.0)
    outline = axes.collections[0].get_paths()[0].vertices
    assert (outline[:, 1].min(), outline[:, 1].max()) == (88.0, 92.0)
    assert (outline[:, 0].min(), outline[:, 0].max()) == (3.5, 4.5)
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [90.0, 90.0])


def test_an_unknown_value_draws_nothing():
    axes = band(None, None)
    assert not axes.lines
    assert not axes.collections
    assert not axes.patches


def test_a_saved_picture_says_what_it_shows(tmp_path):
    figure = new_figure(columns=2)
    left, right = figure.subplots(1, 2)
    left.set_title("Hardware")
    left.set(xlabel="Layers", ylabel="Accuracy (%)")
    left.plot([1, 2], label="ideal")
    left.plot([1, 3], label="forward mode, φ")
    right.set_xlabel("Time (s)")
    save_figure(figure, tmp_path / "figure")
    picture = tmp_path / "figure.png"
    assert description(picture) == (
        "Hardware: Accuracy (%) against Layers (ideal, forward mode, φ); Time (s)"
    )
    assert is_png(picture)
    assert size(picture) == (2100, 720)
    figure.axes[0].get_lines()[1].set_label(
        "sent back"
    )  # Latin letters have a chunk of another kind
    save_figure(figure, tmp_path / "figure")
    assert description(picture).endswith("(ideal, sent back); Time (s)")


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n\0\0\0\x05tEXt"])
def test_a_file_that_is_no_whole_picture_says_nothing(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    assert description(tmp_path / "x.png") == ""
    assert is_png(tmp_path / "x.png") == content.startswith(b"\x89PNG")


def test_a_small_picture_keeps_the_colours_of_curves_and_its_words(tmp_path):
    # Every tone of a colour map, more than a palette of 256 can hold, and a thin line of each curve.
    image = np.random.default_rng(0).integers(0, 256, (120, 400, 3), np.uint8)
    for row, color in enumerate(plotting.PALETTE):
        image[10 * row : 10 * row + 4] = np.round(255 * np.array(matplotlib.colors.to_rgb(color)))
    matplotlib.image.imsave(
        tmp_path / "large.png", image, metadata={"Description": "Period against Length"}
    )
    plotting.save_small(tmp_path / "large.png", tmp_path / "small.png", width=400)
    small = np.round(255 * imread(tmp_path / "small.png")[..., :3]).astype(np.uint8)
    for row in range(len(plotting.PALETTE)):
        np.testing.assert_array_equal(small[10 * row + 1], image[10 * row + 1])
    assert len(np.unique(small.reshape(-1, 3), axis=0)) <= 256
    assert size(tmp_path / "small.png") == (400, 120)
    assert description(tmp_path / "small.png") == "Period against Length"
