import dataclasses

import numpy as np
import pytest

from experiments.forward_mode import ffm_depth, panel
from experiments.harness.context import Context
from optics.hardware.imperfections import Imperfections
from tests.exact.given_pieces import Given, rng
from tests.exact.small_panel import PANEL

TINY = ffm_depth.Config(n_classes=(4, 2), **PANEL)


def piece(label, *_):
    """Of two layers, with pictures as they come with the first repeat of the first class count."""
    draw = rng(label).uniform
    found = {"accuracy": draw(50, 100, 3)}
    found |= {f"loss_{name}": draw(0.1, 1, 40) for name in ("ideal", "ffm")}
    if label != "classes4.depth2.repeat0":
        return found
    planes = {f"object.{method}": draw(size=(2, 16, 16)) for method in ffm_depth.METHODS}
    shown = {"object.powers": draw(size=(3, 4)), "object.regions": draw(size=(16, 16))}
    return found | planes | shown | {"object.input": draw(size=(8, 8)), "object.label": 1}


def trained(config, context, n_classes, depth, repeat):
    return piece(f"classes{n_classes}.depth{depth}.repeat{repeat}")


@pytest.fixture(scope="module")
def published():
    """What the run of `outcome` shows on its way."""
    return []


@pytest.fixture(scope="module")
def outcome(published):
    return ffm_depth.run(TINY, Given(piece, draw=published.append))


def test_prints_accuracy_by_method_and_depth(outcome):
    for classes, prefix in ((4, "accuracy"), (2, "accuracy2")):
        given = np.array(
            [piece(f"classes{classes}.depth2.repeat{r}")["accuracy"] for r in range(2)]
        )
        for samples, method in zip(given.T, ffm_depth.METHODS, strict=True):
            found = outcome.metrics[f"{prefix}.{method}.depth2"]
            assert found.value == pytest.approx(samples.mean())
            assert (found.n, found.unit) == (2, "%")


def test_gap_metrics_are_differences_of_the_same_repeats(outcome):
    difference = outcome.arrays["accuracy.ideal.depth2"] - outcome.arrays["accuracy.ffm.depth2"]
    assert outcome.metrics["loss_of_accuracy.ffm.depth2"].value == pytest.approx(difference.mean())


def test_figure_has_accuracies_losses_and_a_picture_for_each_layer(outcome):
    assert outcome.arrays["object.ffm"].shape == (2, 16, 16)
    figure = outcome.figure()
    titles = [axes.get_title() for axes in figure.axes]
    assert "digits, 4 classes" in titles
    assert "after 2" in titles


def test_the_first_piece_alone_gives_a_picture_with_the_final_numbers_of_it(outcome, published):
    first = published[0]
    assert (first.config.n_classes, first.config.depths, first.config.repeats) == ((4,), (2,), 1)
    for method in ffm_depth.METHODS:
        (sample,) = first.arrays[f"accuracy.{method}.depth2"]
        assert sample == outcome.arrays[f"accuracy.{method}.depth2"][0]
    titles = [axes.get_title() for axes in first.figure().axes]
    assert "digits, 4 classes" in titles
    assert "digits, 2 classes" not in titles
    # The whole result is no preview: the run itself draws it.
    assert all(early.config.repeats < TINY.repeats for early in published)


def test_without_a_gap_all_three_agree():
    config = dataclasses.replace(
        TINY, n_classes=(4,), repeats=1, hardware=Imperfections(), camera=False
    )
    scores = ffm_depth.run(config).arrays
    ideal, in_silico, ffm = (scores[f"accuracy.{m}.depth2"][0] for m in ffm_depth.METHODS)
    assert ideal == in_silico
    assert (
        abs(ideal - ffm) <= 5
    )  # the same gradient in single precision; two of 40 images may fall either way


def test_pieces_of_an_interrupted_run_are_used(monkeypatch):
    monkeypatch.setattr(ffm_depth, "_train_and_test", trained)

    class Pieces:
        notes: list[str] = []  # noqa: RUF012

        def __init__(self):
            self.kept = {}

        def load(self, label):
            return self.kept.get(label)

        def save(self, label, arrays, seconds):
            self.kept[label] = arrays

    config = dataclasses.replace(TINY, n_classes=(4,), repeats=1)
    pieces = Pieces()
    first = ffm_depth.run(config, Context(pieces=pieces))
    assert list(pieces.kept) == ["classes4.depth2.repeat0"]
    pieces.kept["classes4.depth2.repeat0"]["accuracy"] = np.array([1.0, 2.0, 3.0])
    again = ffm_depth.run(config, Context(pieces=pieces))
    assert again.metrics["accuracy.ffm.depth2"].value == 3.0
    assert first.metrics["accuracy.ffm.depth2"].value != 3.0


def test_published_numbers_are_the_sheet_s_and_never_called_comparable_on_other_data():
    values = {r.name: (r.value, r.uncertainty) for r in ffm_depth.REFERENCES}
    assert values["accuracy.ffm.depth8"] == (92.5, None)
    assert values["accuracy.in_silico.depth2"] == (
        44.0,
        17.55,
    )  # the paper's bracket is two deviations
    assert not any(r.comparable for r in ffm_depth.REFERENCES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depths": ()}, "`depths` must have at least one entry"),
        ({"depths": (0, 2)}, "`depths` must be at least 1, but is 0"),
        ({"repeats": 0}, "`repeats` must be at least 1, but is 0"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


def test_all_depths_and_class_counts_share_programs_and_pictures_are_made_of_one_piece(monkeypatch):
    traced, shown = [], []
    encode, pictures = panel.encode_images, ffm_depth._pictures

    def encoding(*arguments, **named):
        traced.append(1)
        return encode(*arguments, **named)

    def picturing(*arguments):
        shown.append(1)
        return pictures(*arguments)

    monkeypatch.setattr(panel, "encode_images", encoding)
    monkeypatch.setattr(ffm_depth, "_pictures", picturing)
    # A fill of its own: what another test compiled does not count.
    optics = dataclasses.replace(TINY.optics, n_steps=1, image_fill=0.7)
    found = ffm_depth.run(dataclasses.replace(TINY, depths=(1, 3), optics=optics))
    assert len(shown) == 2  # each depth of the first class count, of two repeats and two counts
    # Training by each rule, the test in the model and on the bench, and pictures without a camera and with it.
    assert len(traced) == 6
    assert found.arrays["object.ffm"].shape == (3, 16, 16)
    assert found.arrays["object.powers"].shape == (3, 4)
    assert found.arrays["object.powers"].sum(axis=1) == pytest.approx(1)
