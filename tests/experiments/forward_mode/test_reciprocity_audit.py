import dataclasses

import numpy as np
import pytest

from experiments.forward_mode import reciprocity_audit
from experiments.harness.settings import precision

TINY = reciprocity_audit.Config(
    pixels=16,
    distance=1e-3,
    n_ports=8,
    repeats=2,
    samples=4,
    probes=48,
    splitter_error=0.1,
    camera_shift_px=0.5,
)


@pytest.fixture(scope="module")
def outcome():
    with precision("double"):
        return reciprocity_audit.run(TINY)


def test_the_audit_predicts_the_measured_cosines(outcome):
    assert outcome.metrics["correlation.all"].value > 0.8
    assert outcome.metrics["rms_error.all"].value < 0.25


def test_symmetric_errors_cost_nothing_and_are_predicted_to(outcome):
    # 2 % noise in each pass: 1 - 3 x 0.02^2 / 2 at worst.
    assert outcome.metrics["cosine.symmetric"].value > 0.995
    assert np.all(outcome.arrays["symmetric.predicted"] > 0.995)


def test_the_reference_phase_turns_the_gradient_in_the_direction_of_the_bench(outcome):
    measured = outcome.arrays["drift.measured"]
    # Three times the error of 120 sign patterns, and 2 % noise; the other direction misses by twice the quadrature.
    bar = 0.02 + 3 * (1 - measured**2) / 11
    assert np.all(np.abs(outcome.arrays["drift.predicted"] - measured) < bar)
    assert measured.min() < 0.7


def test_every_family_is_drawn(outcome):
    figure = outcome.figure()
    assert len(figure.axes) == 2
    texts = [text.get_text() for axes in figure.axes for text in axes.get_legend().get_texts()]
    assert set(texts) == set(reciprocity_audit.FAMILIES)


def test_a_bad_wavelength_is_named():
    with precision("double"), pytest.raises(ValueError, match="`wavelength` must be positive"):
        reciprocity_audit.run(dataclasses.replace(TINY, wavelength=-1.0))
