import dataclasses

import numpy as np
import pytest

from experiments.photonic_chips import ffm_chip, ffm_chip_training
from tests.exact.given_pieces import Given, rng

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
)
# Three matrices of 8 x 8, which lie below and above their mean in turn.
MATRICES = np.linspace(0.1, 1, 192).reshape(3, 8, 8) * (1 + 1j)
SWING = 0.001 * (-1) ** np.arange(TINY.drift_samples)


def piece(label, *_):
    if label == "drift":
        return {"value": MATRICES[:, None] * (1 + SWING)[None, :, None, None]}
    draw, epochs = rng(label).uniform, ffm_chip_training.checkpoints(TINY)
    sizes = {"accuracy.ideal": 61, "accuracy.ffm": 61, "accuracy.in_silico": 3, "fidelity": 3}
    sizes |= {
        f"{what}.{m}": 3 for what in ("gradient_error", "cosine") for m in ("ffm", "in_silico")
    }
    scatter = {f"scatter.{k}": draw(-1, 1, (8, 8)) + 0j for k in ("measured", "simulated")}
    return {name: draw(size=(3, n)) for name, n in sizes.items()} | scatter | {"epochs": epochs}


@pytest.fixture(scope="module")
def outcome():
    return ffm_chip.run(TINY, Given(piece))


def test_every_number_is_the_mean_of_its_folds_at_the_end(outcome):
    for ratio in ("ratio1", "ratio0.5"):
        given = piece(ratio)
        for method in ffm_chip.METHODS:
            found = outcome.metrics[f"accuracy.{method}.{ratio}"]
            assert (found.n, found.unit) == (3, "%")
            assert found.value == pytest.approx(100 * given[f"accuracy.{method}"][:, -1].mean())
        fidelity = outcome.metrics[f"fidelity.{ratio}"].value
        assert fidelity == pytest.approx(given["fidelity"][:, -1].mean())
        for layer, method in ((1, "ffm"), (2, "in_silico"), (3, "ffm")):
            cosine = outcome.metrics[f"cosine.{method}.{ratio}.layer{layer}"].value
            assert cosine == pytest.approx(given[f"cosine.{method}"][:, layer - 1].mean())
    # Gradients are printed for the first ratio.
    errors = {m: piece("ratio1")[f"gradient_error.{m}"] for m in ("ffm", "in_silico")}
    for method, values in errors.items():
        for layer in (1, 2, 3):
            error = outcome.metrics[f"gradient_error.{method}.layer{layer}"].value
            assert error == pytest.approx(values[:, layer - 1].mean())
    assert outcome.metrics["gradient_deviation"].value == pytest.approx(errors["ffm"].mean())
    assert outcome.metrics["gradient_deviation"].n == 3


def test_drift_is_the_deviation_over_full_scale(outcome):
    for i in (1, 2, 3):
        size = np.abs(MATRICES[i - 1])
        expected = 100 * 0.001 * size.mean() / (1.001 * size.max())
        assert outcome.metrics[f"drift.matrix{i}"].value == pytest.approx(expected)


def test_a_chip_drifts_from_look_to_look():
    change = np.abs(
        np.diff(ffm_chip._drift(dataclasses.replace(TINY, n_folds=2, drift_samples=3)), axis=1)
    )
    assert change.shape == (3, 2, 8, 8)
    assert 0 < change.min(initial=1, where=change > 0) < change.max() < 0.01


def test_loss_of_accuracy_is_the_difference_of_the_same_runs(outcome):
    arrays = outcome.arrays
    lost = arrays["accuracy.ideal.ratio1"][:, -1] - arrays["accuracy.ffm.ratio1"][:, -1]
    found = outcome.metrics["loss_of_accuracy.ffm.ratio1"]
    assert found.value == pytest.approx(100 * lost.mean(), abs=1e-4)
    assert found.stderr == pytest.approx(100 * lost.std(ddof=1) / np.sqrt(3))


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
