from dataclasses import replace

import numpy as np
import pytest

from experiments import otoc_noise
from quantum.noise import device_noise

TINY = otoc_noise.Config(
    layouts=("2x2@6", "2x3@7"), circuits=6, trajectories=100, frames=8, shots=1e9
)


@pytest.fixture(scope="module")
def outcome():
    return otoc_noise.run(TINY)


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


def test_few_shots_cost_signal_to_noise(outcome):
    raw, _normalised = outcome.arrays["n6.shots"]
    # Noise powers add: 1 / 46^2 and (0.009 x 1.12 / 0.45)^2 from 1e4 shots, less for six circuits fitted with a line.
    assert raw[0] < 0.93 * raw[-1]


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
        ({"layouts": ("19",)}, "`layouts` must hold sizes such as 18"),
        ({"layouts": ("3x4",)}, "`layouts` must hold sizes such as 18"),
        ({"layouts": ("2x3@7", "2x2@6")}, "`layouts` must grow in qubits"),
        ({"circuits": 2}, "`circuits` must be at least 3"),
        ({"noise_scales": (1.5, 2.0, 3.0)}, "`noise_scales` must be 3 or more, from 1"),
        ({"noise": "sycamore"}, "`noise` must be one of willow_rcs"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)
