import dataclasses

import numpy as np
import pytest

from experiments.forward_mode import reciprocity_audit
from experiments.harness.settings import precision
from tests.exact.given_pieces import Given, rng

TINY = reciprocity_audit.Config(
    pixels=16,
    distance=1e-3,
    n_ports=8,
    repeats=3,
    samples=4,
    probes=48,
    splitter_error=0.1,
    camera_shift_px=0.5,
)


def piece(family, *_):
    """An audit that is 0.1 too high everywhere, and 0.5 where the modulators err; an overlap that is 0.3 too low."""
    draw = rng(family).uniform
    measured = draw(0.999, 1, (3, 3)) if family == "symmetric" else draw(0, 0.9, (3, 3))
    return {
        "measured": measured,
        "predicted": measured + (0.5 if family == "preset" else 0.1),
        "product_law": measured - 0.3,
        "residual": draw(size=3),
        "relocated": draw(size=(3, 3)),
    }


@pytest.fixture(scope="module")
def outcome():
    return reciprocity_audit.run(TINY, Given(piece))


def test_predicted_and_measured_cosines_are_compared_by_family_and_together(outcome):
    value = {name: m.value for name, m in outcome.metrics.items()}
    wanted = {"all": 0.1, "bench": 0.1, "symmetric": 0.1, "drift": 0.1, "chip": 0.1, "preset": 0.5}
    for pool, error in (wanted | {"product_law": 0.3}).items():
        assert value[f"rms_error.{pool}"] == pytest.approx(error)
    for pool in ("all", "bench", "preset", "product_law"):
        assert value[f"correlation.{pool}"] == pytest.approx(1)
    assert "correlation.symmetric" not in value  # its cosines hardly differ
    for family in reciprocity_audit.FAMILIES:
        assert value[f"cosine.{family}"] == pytest.approx(piece(family)["measured"].mean())
        assert value[f"residual.{family}"] == pytest.approx(piece(family)["residual"].mean())
    relocated = piece("bench")["relocated"].mean()
    assert value["cosine.bench.relocated"] == pytest.approx(relocated)


def test_symmetric_errors_and_the_reference_phase_are_predicted():
    with precision("double"):
        symmetric, drift = (
            reciprocity_audit._one(TINY, family, 0) for family in ("symmetric", "drift")
        )
    # Symmetric errors cost nothing. 2 % noise in each pass: 1 - 3 x 0.02^2 / 2 at worst.
    assert symmetric["measured"].mean() > 0.995
    assert np.all(symmetric["predicted"] > 0.995)
    # The reference phase turns the gradient in the direction of the bench. Three times the error of the sign
    # patterns, and 2 % noise; the other direction misses by twice the quadrature.
    measured = drift["measured"]
    bar = 0.02 + 3 * (1 - measured**2) / 11
    assert np.all(np.abs(drift["predicted"] - measured) < bar)
    assert measured.min() < 0.7


def test_every_family_is_drawn(outcome):
    figure = outcome.figure()
    assert len(figure.axes) == 2
    texts = [text.get_text() for axes in figure.axes for text in axes.get_legend().get_texts()]
    assert set(texts) == set(reciprocity_audit.FAMILIES)


def test_a_bad_wavelength_is_named():
    with precision("double"), pytest.raises(ValueError, match="`wavelength` must be positive"):
        reciprocity_audit.run(dataclasses.replace(TINY, wavelength=-1.0))
