"""The claim of mesh_errors on 16 ports, its references, and bad settings."""

import jax
import numpy as np
import pytest

from experiments.photonic_chips import mesh_errors
from experiments.photonic_chips.mesh_errors import Config, run
from experiments.photonic_chips.mesh_errors_figure import TABLE_ERRORS, published, setting

TINY = Config(
    errors=((0.1, 0.1),),
    methods=("ffm",),
    side=4,
    n_layers=2,
    batch_size=32,
    model_steps=100,
    chip_steps=60,
    n_test=200,
    learning_rate=0.03,
    chip_rate=0.03,
)


@pytest.fixture(scope="module")
def outcome():
    return run(TINY)


def test_training_on_the_chip_wins_back_what_errors_cost(outcome):
    score = {name.removeprefix("digits."): m.value for name, m in outcome.metrics.items()}
    assert score["none.in_silico"] > 70  # chance is 10
    assert score["bs0.1+ps0.1.in_silico"] < score["none.in_silico"] - 5
    assert score["bs0.1+ps0.1.folded_in_silico"] < score["none.folded_ideal"] - 10
    # 200 test images: one standard error of an accuracy near 80 % is 3 points.
    assert score["bs0.1+ps0.1.ffm"] > score["bs0.1+ps0.1.folded_in_silico"] + 9


def test_figure_has_a_panel_for_each_kind_of_error(outcome):
    figure = outcome.figure()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["Splitter error, digits", "Phase error, digits", "Both errors, digits"]
    assert all(axes.get_xlabel().endswith(")") for axes in figure.axes)


def test_table_is_that_of_the_sheet():
    values = {r.name: r.value for r in published(like_conditions=True)}
    assert len(values) == 2 + 2 * 12 * 2 + 2 * 10 + 8 + 2
    assert values["mnist.none.in_silico"] == 96.8
    assert values["mnist.bs0.1.pat_output"] == 73.8
    assert values["mnist.ps0.08.dat_large"] == 90.5
    assert values["mnist.bs0.06+ps0.06.in_silico"] == 66.6
    assert values["fashion_mnist.ps0.1.dat_small"] == 62.6
    assert values["fashion_mnist.bs0.04+ps0.04.dat_large"] == 84.7
    assert setting(*TABLE_ERRORS[0]) == "bs0.02"


def test_only_the_published_sizes_and_training_compare():
    assert mesh_errors.SCALES["paper"].as_published
    for scale in ("quick", "laptop"):
        assert not mesh_errors.SCALES[scale].as_published
    assert all(r.comparable for r in published(like_conditions=True))
    assert not any(r.comparable for r in published(like_conditions=False))


def test_every_method_takes_the_rate():
    for make in mesh_errors.METHODS.values():
        rates = [leaf for leaf in jax.tree.leaves(make(0.02)) if np.isclose(leaf, 0.02)]
        assert len(rates) == 1


def test_bad_settings_are_named():
    with pytest.raises(
        ValueError, match=r"`methods` must be one of pat_output, .* but is 'backprop'"
    ):
        Config(methods=("backprop",))
    with pytest.raises(ValueError, match="`repeats` must be at least 1, but is 0"):
        Config(repeats=0)
    with pytest.raises(ValueError, match="`slow_repeats` must be at most `repeats`, 1, but is 2"):
        Config(slow_repeats=2)
    with pytest.raises(ValueError, match=r"`errors` must be at most 0\.2 and not negative"):
        Config(errors=((0.5, 0.0),))
