"""What mesh_errors makes of its pieces, its references, and bad settings."""

import jax
import numpy as np
import pytest

from experiments.photonic_chips import mesh_errors
from experiments.photonic_chips.mesh_errors import Config, run
from experiments.photonic_chips.mesh_errors_figure import TABLE_ERRORS, published, setting
from tests.exact.given_pieces import Given

TINY = Config(errors=((0.1, 0.1),), methods=("pat", "ffm"), side=4, repeats=2, slow_repeats=2)
SCORES = {
    "mesh.model": 97.0,
    "folded.model": 96.0,
    "bs0.1+ps0.1.in_silico": 60.0,
    "bs0.1+ps0.1.folded_in_silico": 50.0,
    "bs0.1+ps0.1.pat": 80.0,
    "bs0.1+ps0.1.ffm": 90.0,
}


def piece(label, *arguments):
    """Accuracies by name, one more in the second draw; the phase says what was trained."""
    _, draw, name = label.split(".", 2)
    number = int(draw.removeprefix("draw"))
    if not name.endswith("model"):
        # What is set or trained on a chip starts from the model of its own kind, of the same draw.
        kind = "folded" if "folded" in name or name.endswith("ffm") else "mesh"
        assert arguments[-1] == f"{number} {kind}"
    return {"accuracy": SCORES[name] + number, "phase": f"{number} {name.split('.')[0]}"}


@pytest.fixture(scope="module")
def outcome():
    return run(TINY, Given(piece))


def test_every_accuracy_has_its_name_and_is_the_mean_of_its_draws(outcome):
    found = {name.removeprefix("digits."): m.value - 0.5 for name, m in outcome.metrics.items()}
    names = {"mesh.model": "none.in_silico", "folded.model": "none.folded_ideal"}
    assert found == {names.get(name, name): score for name, score in SCORES.items()}
    assert all(m.n == 2 for m in outcome.metrics.values())


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
