import dataclasses

import numpy as np
import pytest

from experiments.forward_mode import ffm_gradient
from experiments.harness.settings import precision
from optics.hardware import Imperfections
from tests.exact.given_pieces import Given, rng

EARLIER = {
    # Ranges over three draws and all layers, found by an earlier check with other code.
    "camera_shift_0.5px": (0.94, 0.97),
    "camera_shift_1px": (0.78, 0.88),
    "camera_shift_2px": (0.28, 0.68),
}
SMALL = ffm_gradient.Config(
    pixels=16, distance=1e-3, block=(6, 4), target_side=3, repeats=1, n_layers=2
)
EXACT = ("none", "distance_0.5mm", "distance_2mm", "astigmatism_both_faces", "astigmatism_fourier")


def _at_full_size(names, repeats):
    chosen = {name: ffm_gradient.ERRORS[name] for name in names}
    with pytest.MonkeyPatch.context() as patch, precision("double"):
        patch.setattr(ffm_gradient, "ERRORS", chosen)
        return ffm_gradient.run(ffm_gradient.Config(repeats=repeats)).metrics


@pytest.fixture(scope="module")
def full_size():
    """The earlier check's own sizes and number of draws, where it gives ranges; one draw of what is exact."""
    wanted = (*EARLIER, "drift_0.3rad", "astigmatism_input_face", "coma_fourier")
    return _at_full_size(wanted, 3) | _at_full_size(EXACT, 1)


def _values(metrics, method, name):
    return np.array([metrics[f"cosine.{method}.{name}.layer{layer}"].value for layer in (1, 2, 3)])


def test_forward_mode_is_exact_under_symmetric_errors_at_full_size(full_size):
    for name in EXACT:
        assert np.all(_values(full_size, "ffm", name) > 1 - 1e-12), name
    assert np.all(_values(full_size, "in_silico", "none") > 1 - 1e-12)


@pytest.mark.parametrize("name", EARLIER)
def test_camera_shift_costs_what_an_earlier_check_found(full_size, name):
    low, high = EARLIER[name]
    assert low <= _values(full_size, "ffm", name).mean() <= high


def test_reference_drift_costs_what_an_earlier_check_found(full_size):
    # cos(3 x 0.3 rad) = 0.6216 on layer 1, plus a small share of quadrature that depends on the draw.
    assert _values(full_size, "ffm", "drift_0.3rad")[0] == pytest.approx(0.62, abs=0.02)


def test_one_sided_errors_hurt_forward_mode_where_two_sided_ones_do_not(full_size):
    assert np.all(_values(full_size, "ffm", "astigmatism_input_face") < 0.99)
    assert np.all(_values(full_size, "ffm", "coma_fourier") < 0.999)


def test_registration_hurts_forward_mode_twice_as_far_as_physics_aware_training(full_size):
    # The data are displaced once; the error of forward mode is displaced the other way as well.
    own = 1 - _values(full_size, "ffm", "camera_shift_0.5px")
    other = 1 - _values(full_size, "physics_aware", "camera_shift_0.5px")
    assert np.all((own / other > 3) & (own / other < 5))  # (2 s)^2 against s^2


def piece(label, *_):
    return {
        "cosine": rng(label).uniform(size=(len(ffm_gradient.ERRORS), len(ffm_gradient.RULES), 2))
    }


def test_every_error_and_method_is_printed_and_drawn():
    outcome = ffm_gradient.run(dataclasses.replace(SMALL, repeats=2), Given(piece))
    assert len(outcome.metrics) == len(ffm_gradient.ERRORS) * 3 * 2
    mean = np.mean([piece(f"draw{draw}")["cosine"] for draw in range(2)], axis=0)
    for i, name in enumerate(ffm_gradient.ERRORS):
        for j, method in enumerate(ffm_gradient.RULES):
            for layer in (1, 2):
                found = outcome.metrics[f"cosine.{method}.{name}.layer{layer}"]
                assert (found.value, found.n) == (pytest.approx(mean[i, j, layer - 1]), 2)
    figure = outcome.figure()
    assert len(figure.axes[0].get_xticklabels()) == len(ffm_gradient.ERRORS)


def test_another_seed_draws_another_bench(monkeypatch):
    drawn = []

    def looked(network, twin, geometry, field, target, key):
        drawn.append([np.asarray(x) for x in (network.phase, field, twin.reference_walk)])
        return np.ones((2, 4)), [np.ones((2, 4))] * 3

    monkeypatch.setattr(ffm_gradient, "_gradients", looked)
    monkeypatch.setattr(ffm_gradient, "ERRORS", {"none": Imperfections(reference_drift=0.1)})
    with precision("double"):
        for seed in (0, 0, 5):
            ffm_gradient.run(dataclasses.replace(SMALL, seed=seed))
    for first, again, other in zip(*drawn, strict=True):
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


def test_the_earlier_check_s_ranges_compare_with_its_own_sizes_only():
    outcome = ffm_gradient.run(SMALL, Given(piece))
    assert not any(reference.comparable for reference in outcome.references)
    assert all(reference.comparable for reference in ffm_gradient.REFERENCES)
