from dataclasses import replace

import numpy as np
import pytest

from experiments.echoes import otoc_noise
from experiments.harness.context import Context
from quantum.noise.mitigation import device_signal_to_noise
from quantum.noise.model import device_noise

TINY = otoc_noise.Config(
    layouts=("2x2@6", "2x3@7"), n_circuits=4, n_trajectories=100, n_strings=4, frames=8, shots=1e9
)


class Keeping(Context):
    """Keeps its pieces, for a test that looks into them."""

    def __init__(self):
        super().__init__()
        self.kept = {}

    def map(self, function, pieces, on_piece=None):
        self.kept = super().map(function, pieces, on_piece)
        return self.kept


@pytest.fixture(scope="module")
def kept():
    context = Keeping()
    return otoc_noise.run(TINY, context), context.kept


@pytest.fixture(scope="module")
def outcome(kept):
    return kept[0]


def test_noise_damps_the_signal_and_normalisation_restores_it(outcome):
    for size in ("n4", "n6"):
        assert outcome.metrics[f"rescale.factor.{size}"].value > 1.03
        raw, better = (outcome.metrics[f"snr.{m}.{size}"].value for m in ("raw", "normalised"))
        assert better > 2 * raw


def test_noisier_chip_does_worse_and_decoupling_better(outcome):
    snr = {m: outcome.metrics[f"snr.{m}.n6"].value for m in ("raw", "other_column", "decoupled")}
    assert snr["other_column"] < snr["raw"] < snr["decoupled"]


def test_raw_values_are_what_the_readout_shows(outcome):
    # Symmetric readout only takes contrast away: 1 - 2 x 0.0067; shots of 1e9 add 3e-5.
    raw, corrected = (outcome.arrays[f"n6.{name}"][0] for name in ("raw", "readout"))
    np.testing.assert_allclose(raw, (1 - 2 * 0.0067) * corrected, atol=1e-12)


def test_global_rescale_learns_from_smaller_layouts_only(outcome):
    assert "snr.global_rescale.n4" not in outcome.metrics
    gain = outcome.arrays["n6.global_rescale"][0] / outcome.arrays["n6.raw"][0]
    np.testing.assert_allclose(gain, gain[0], rtol=1e-12)
    assert gain[0] == pytest.approx(outcome.metrics["rescale.factor.n6"].value, abs=0.05)


def test_twirling_helps_against_coherent_errors(outcome):
    for size in ("n4", "n6"):
        plain, twirled = (
            outcome.metrics[f"snr_rescaled.{m}.{size}"].value for m in ("coherent", "twirled")
        )
        assert twirled > 1.5 * plain


def test_shot_noise_follows_its_closed_form():
    """A device that only scales leaves shot noise alone: SNR^2 - 1 = (variance of the read) / ((1 - z^2) / shots)."""
    n = 150
    exact = 0.03 * np.random.default_rng(5).normal(size=n)
    models = len(otoc_noise._models(TINY)) - 1
    stack = {"exact": exact}
    for name, value in (
        ("signal", 0.5 * exact), ("reference", 0.6), ("diagonal", 0.1 * exact), ("diagonal_reference", 0.4),
    ):  # fmt: skip
        stack[name] = np.tile(np.broadcast_to(value, n)[:, None], (1, models))
        stack[f"{name}_covariance"] = np.zeros((n, models, models))
    table = otoc_noise._against_shots(TINY, stack, np.random.default_rng(6))
    z = (1 - 2 * 0.0067) * 0.5 * exact
    shots = np.array(otoc_noise.SHOTS)
    expected = 1 + shots * np.var(z) / np.mean(1 - z**2)
    # The mean of ten variances of 150 draws is known to sqrt(2 / 1500) = 0.037.
    np.testing.assert_allclose(table[0] ** 2, expected, rtol=0.15)
    # The reference's own shots scatter the ratio by z^2 / 0.6^2 of that, too little to see here.
    np.testing.assert_allclose(table[1] ** 2, expected, rtol=0.15)
    # The mean under four strings has four times the shots and adds a quarter of the variance.
    done, _ = otoc_noise._plain(TINY, stack, 1e4, np.random.default_rng(7))
    residual = done["off_diagonal"][0] - 0.8 * z
    assert np.mean(residual**2) == pytest.approx(1.25e-4, rel=4 * np.sqrt(2 / n))


def test_the_off_diagonal_part_is_what_is_left_of_the_same_strings(outcome):
    raw, part = (outcome.arrays[f"n6.{name}"] for name in ("raw", "off_diagonal"))
    diagonal = outcome.arrays["n6.diagonal_exact"]
    # What was taken off is the damped mean under the strings: less than the exact one, and along with it.
    taken = raw[0] - part[0]
    assert np.corrcoef(taken, diagonal)[0, 1] > 0.9
    assert 0.5 < taken @ diagonal / (diagonal @ diagonal) < 1
    value, error = outcome.arrays["n6.off_diagonal_normalised"]
    exact = outcome.arrays["n6.exact"] - diagonal
    slope = value @ exact / (exact @ exact)
    assert slope == pytest.approx(1, abs=0.15)
    assert np.all(error > outcome.arrays["n6.normalised"][1])
    ratio, _ = device_signal_to_noise(exact, value, error)
    assert outcome.metrics["snr.off_diagonal_normalised.n6"].value == pytest.approx(ratio.value)
    assert outcome.metrics["signal.off_diagonal.n6"].value == pytest.approx(exact.std(ddof=1))


def test_strings_share_the_trajectories(kept):
    """Four strings with 25 trajectories each are as good for an undisturbed echo as 100 without strings."""
    found = [kept[1][f"2x2@6_{index}"] for index in range(TINY.n_circuits)]
    power = [
        np.mean([f[f"{name}_covariance"][0, 0] for f in found])
        for name in ("diagonal_reference", "reference")
    ]
    assert 0.5 < power[0] / power[1] < 2


def test_the_models_share_the_device():
    first, plain, *_ = otoc_noise._models(TINY)
    assert plain == device_noise("willow_rcs")
    assert first == plain.scaled(2.0)


def test_figure_is_drawn(outcome):
    figure = otoc_noise.plot(outcome)
    assert len(figure.axes) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layouts": ("19",)}, r"`layouts` must be a size \(4, 6"),
        ({"layouts": ("3x4",)}, "`layouts` must say the cycles of a rectangle as in 3x4@12"),
        ({"layouts": ("2x3@7", "2x2@6")}, "`layouts` must grow in qubits"),
        ({"n_circuits": 2}, "`n_circuits` must be at least 3"),
        ({"n_trajectories": 12}, "`n_trajectories` must be at least 4 for each of 4 strings"),
        ({"noise_scales": (1.5, 2.0, 3.0)}, "`noise_scales` must be 3 or more, from 1"),
        ({"noise": "sycamore"}, "`noise` must be one of willow_rcs"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)
