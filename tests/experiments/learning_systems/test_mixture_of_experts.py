import dataclasses

import numpy as np
import pytest

from experiments.learning_systems import mixture_models, pruned_digits
from experiments.learning_systems import mixture_of_experts as experiment
from nn.layers import expert_statistics as statistics

CONFIG = dataclasses.replace(
    experiment.SCALES["quick"],
    decoder=mixture_models.Sizes(context=8, n_experts=12, n_chosen=3),
    digits=pruned_digits.Sizes(budgets=(0.7, 0.5)),
    batches=(1, 4, 8),
    n_draws=300,
    n_windows=20,
)


def _chosen(rng, *shape):
    """Sets of 3 of 12 experts, all alike."""
    return np.argpartition(rng.random((*shape, 12)), 3, axis=-1)[..., :3]


def test_independent_tokens_use_what_the_formula_says_and_alike_ones_fewer():
    rng = np.random.default_rng(0)
    # Two layers, twenty windows; the tokens of a window come in fours that choose alike.
    experts = np.repeat(_chosen(rng, 2, 20, 2), 4, axis=2)
    found = experiment._active(CONFIG, experts, rng)
    assert found["texts"][0] == found["neighbours"][0] == found["skewed"][0] == 3
    # Standard error of 600 counts of variance 1.6 is 0.05; twenty windows are drawn without replacement.
    expected = statistics.expected_active(12, 3, 4)
    assert found["texts"][1] == pytest.approx(expected, abs=0.5)
    assert found["skewed"][1] == pytest.approx(expected, abs=0.3)
    # All eight tokens of a window hold two different sets.
    assert found["neighbours"][2] == pytest.approx(statistics.expected_active(12, 3, 2), abs=0.5)
    assert found["neighbours"][1] < found["texts"][1] - 1


def test_what_a_capacity_drops_is_counted_by_hand():
    counts = [np.array([9, 1, 1, 1]), np.array([3, 3, 3, 3])]
    config = dataclasses.replace(
        CONFIG,
        decoder=mixture_models.Sizes(context=8, n_experts=4, n_chosen=2),
        factors=(1.0, 2.0),
    )
    found = experiment._dropped(config, counts, 6)
    # Rows: ceil(6 x 2 / 4) = 3 drops 6 of 12 of the first layer, and 6 drop 3.
    np.testing.assert_allclose(found, [0.25, 0.125])


@pytest.fixture
def outcome(monkeypatch):
    """The run with pieces whose numbers are known."""
    n_batches, n_prunings = len(CONFIG.batches), len(experiment.PRUNINGS)

    def decoder(config, context, balance, repeat):
        shift = mixture_models.BALANCES.index(balance) + 10 * repeat
        return {
            "bits": np.asarray(2.0 + shift),
            "counts": np.arange(1, 25).reshape(2, 12),
            "evenness": np.asarray(0.9),
            "peak": np.asarray(1.5),
            "texts": np.arange(n_batches) + 3.0,
            "neighbours": np.arange(n_batches) + 2.0,
            "skewed": np.arange(n_batches) + 4.0,
            "dropped": np.array([0.3, 0.1]),
            "capacity_cost": np.array([0.2, 0.1]),
            "pruned_cost": np.arange(n_prunings)[None] + shift * 1.0,
        }

    def digits(config, context, repeat):
        shape = (len(config.digits.budgets), len(pruned_digits.RULES), 2)
        numbers = np.arange(np.prod(shape)).reshape(shape) / 100
        return {"whole": np.array([0.1, 0.02]), "pruned": numbers, "tuned": numbers / 2}

    monkeypatch.setattr(experiment, "_decoder", decoder)
    monkeypatch.setattr(experiment, "_digits", digits)
    return experiment.run(CONFIG)


def test_every_number_carries_its_name(outcome):
    metrics = outcome.metrics
    assert metrics["bits.loss"].value == 8  # of 3 and 13
    assert metrics["active.uniform.batch4"].value == statistics.expected_active(12, 3, 4)
    assert metrics["active.bias.texts.batch8"].value == 5
    assert metrics["dropped.none.factor1.5"].value == pytest.approx(0.1)
    assert metrics["capacity_cost.none.score"].value == pytest.approx(0.1)
    assert metrics["pruned_cost.none.50.dropped_frequency"].value == 8  # 3 and 13
    assert metrics["digits.tuned.70.threshold"].value == pytest.approx(0.02)
    assert metrics["digits_error.pruned.50.joint"].value == pytest.approx(13)


def test_the_figure_has_four_panels(outcome):
    assert len(outcome.figure().axes) == 4


def test_a_batch_that_no_window_holds_is_named():
    with pytest.raises(ValueError, match="`batches` must be at most 8, the context"):
        dataclasses.replace(CONFIG, batches=(16,))
