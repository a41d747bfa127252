import dataclasses

import pytest

from optics.hardware.imperfections import CATALOGUE, PRESETS, Imperfections


def test_every_imperfection_has_unit_size_source_and_symmetry_class():
    assert set(CATALOGUE) == {field.name for field in dataclasses.fields(Imperfections)}
    for name, entry in CATALOGUE.items():
        assert entry.unit, name
        assert entry.realistic, name
        assert entry.source.startswith("[") or entry.source == "choice", name


def test_ideal_preset_has_no_error():
    assert Imperfections.preset("ideal") == Imperfections()


def test_presets_grow_from_careful_to_rough():
    sizes = [PRESETS[name].camera_shift_px for name in ("ideal", "careful", "bench", "rough")]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 4


def test_scaling_multiplies_sizes_and_keeps_levels():
    scaled = Imperfections.preset("bench").scaled(2)
    assert scaled.camera_shift_px == 2 * Imperfections.preset("bench").camera_shift_px
    assert scaled.both_faces_aberration == ((6, 0.5),)
    assert scaled.slm_levels == 256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slm_zero_order": 1.5}, r"`slm_zero_order` must lie between 0 and 1, but is 1.5"),
        ({"slm_gain": -1.0}, r"`slm_gain` must lie between -0.99 and 10, but is -1"),
        ({"reference_drift": -0.1}, r"`reference_drift` must lie between 0 and inf, but is -0.1"),
        ({"slm_levels": 1}, r"`slm_levels` must lie between 2 and .*None stands for"),
    ],
)
def test_bad_sizes_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        Imperfections(**changes)


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(ValueError, match="ideal, careful, bench, rough, but is 'fine'"):
        Imperfections.preset("fine")
