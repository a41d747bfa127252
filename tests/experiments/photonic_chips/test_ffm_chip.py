import dataclasses

import numpy as np
import pytest

from experiments.photonic_chips import ffm_chip, ffm_chip_training

TINY = ffm_chip.Config(
    n_ports=8,
    n_blocks=3,
    ratios=(1.0, 0.5),
    n_folds=3,
    repeats=1,
    n_epochs=60,
    iteration=40,
    checkpoints=30,
    drift_samples=10,
    learning_rate=0.1,
)


@pytest.fixture(scope="module")
def outcome():
    return ffm_chip.run(TINY)


def test_the_chip_that_trains_itself_is_near_the_ideal_and_a_model_s_weights_are_not(outcome):
    ideal, in_silico, ffm = (
        outcome.metrics[f"accuracy.{method}.ratio1"].value for method in ffm_chip.METHODS
    )
    assert ideal > 85
    # Three folds of 50 flowers each: 2 points standard error of a mean.
    assert ffm > ideal - 8
    assert in_silico < ffm - 8


def test_prints_every_number_of_the_figure(outcome):
    for ratio in ("ratio1", "ratio0.5"):
        for method in ffm_chip.METHODS:
            found = outcome.metrics[f"accuracy.{method}.{ratio}"]
            assert (found.n, found.unit) == (3, "%")
        assert 0.3 < outcome.metrics[f"fidelity.{ratio}"].value < 1
    for layer in (1, 2, 3):
        ffm, model = (
            outcome.metrics[f"gradient_error.{m}.layer{layer}"].value for m in ("ffm", "in_silico")
        )
        assert ffm < model
    for i in (1, 2, 3):
        assert 0 < outcome.metrics[f"drift.matrix{i}"].value < 0.1


def test_the_lack_of_a_transpose_shows_in_the_cosine(outcome):
    first = "layer1"
    symmetric, partial = (
        outcome.metrics[f"cosine.ffm.{ratio}.{first}"].value for ratio in ("ratio1", "ratio0.5")
    )
    assert partial < symmetric


def test_loss_of_accuracy_is_the_difference_of_the_same_runs(outcome):
    arrays = outcome.arrays
    lost = arrays["accuracy.ideal.ratio1"][:, -1] - arrays["accuracy.ffm.ratio1"][:, -1]
    found = outcome.metrics["loss_of_accuracy.ffm.ratio1"].value
    assert found == pytest.approx(100 * lost.mean(), abs=1e-4)


def test_figure_has_the_four_panels_and_a_curve_for_each_ratio(outcome):
    figure = outcome.figure()
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels[:4] == [
        "Fidelity of programming",
        "Drift of an element (%)",
        "Measured gradient",
        "Gradient error (%)",
    ]
    titles = [axes.get_title() for axes in figure.axes[4:]]
    assert [title.split(":")[0] for title in titles] == ["r = 1", "r = 0.5"]


def test_published_numbers_are_the_sheet_s_and_never_called_comparable():
    values = {r.name: r.value for r in ffm_chip.REFERENCES}
    assert values["accuracy.in_silico.ratio0.5"] == 55.0
    assert values["gradient_error.in_silico.layer5"] == 5.94
    assert values["drift.matrix3"] == 0.010
    assert values["fidelity.ratio1"] is None
    assert not any(r.comparable for r in ffm_chip.REFERENCES)


def test_folds_hold_every_flower_once():
    folds = ffm_chip_training.load_folds(dataclasses.replace(TINY, n_folds=5))
    assert folds.x_train.shape == (5, 120, 8)
    assert folds.y_test.shape == (5, 30)
    assert np.bincount(folds.y_test.ravel()).tolist() == [50, 50, 50]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_ports": 6}, "`n_ports` must be a multiple of 4.* but is 6"),
        ({"n_folds": 1}, "`n_folds` must lie between 2 and 50, but is 1"),
        ({"n_blocks": 0}, "`n_blocks` must be at least 1"),
        (
            {"ratios": (1.0, 1.2)},
            "`ratios` must lie between 0 and 1, but is 1.2",
        ),
        ({"ratios": ()}, "`ratios` must have at least one entry"),
        ({"iteration": 61}, r"`iteration` must lie between 0 and `n_epochs` \(60\), but is 61"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)
