import jax.numpy as jnp
import numpy as np
import pytest
import scipy.constants

from optics.imaging.weak_light import (
    operations_per_frame,
    operations_per_watt,
    optical_power,
    photon_energy,
    photon_levels,
    reachable_frame_rate,
    scale_to_photons,
)


def test_photon_energy_is_that_of_the_constants():
    assert photon_energy(532e-9) == pytest.approx(
        scipy.constants.h * scipy.constants.c / 532e-9, rel=1e-12
    )


def test_operations_per_watt_is_operations_per_photon_over_its_energy_at_any_frame_rate():
    operations = operations_per_frame(4096, 10)
    assert operations == 2 * 4096 * 10
    for rate in (1.0, 1e3):
        power = optical_power(500, rate, 532e-9)
        assert operations_per_watt(operations, rate, power) == pytest.approx(
            operations / (500 * photon_energy(532e-9)), rel=1e-12
        )


def test_the_number_of_the_paper_is_about_one_multiply_add_a_photon_at_532_nm():
    # 2 operations / 3.734e-19 J = 5.36e18 operations per joule; the paper prints 5.40e18.
    assert 5.40e18 * photon_energy(532e-9) == pytest.approx(2.016, abs=5e-4)


def test_scaling_gives_the_mean_and_keeps_dark_objects_darker():
    frames = jnp.asarray([[[1.0, 3.0]], [[0.5, 0.5]]])
    photons = scale_to_photons(frames, 10)
    assert float(photons.mean()) == pytest.approx(10)
    np.testing.assert_allclose(photons, frames * 8)


def test_levels_of_a_known_frame():
    intensity = jnp.zeros((2, 4, 4)).at[:, 0, 0].set(12.0).at[:, 3, 3].set(4.0)
    regions = jnp.zeros((2, 4, 4)).at[0, 0, 0].set(1).at[1, 1, 1].set(1)
    # 16 units on 16 pixels are 0.5 a pixel: half a photon a unit. Regions: 12 units on 2 pixels. Object: 20 units.
    levels = photon_levels(
        intensity, regions, per_camera_pixel=0.5, power_from_object=20.0, object_pixels=5
    )
    assert (levels.camera, levels.regions, levels.object) == pytest.approx((0.5, 3.0, 2.0))


def test_frame_rate_is_limited_by_light_or_by_the_camera():
    options = {"power_on_object": 1e-6, "efficiency": 1e-3, "wavelength": 532e-9}
    arriving = 1e-9 / photon_energy(532e-9)
    slow = reachable_frame_rate(1e7, camera_rate=1e4, **options)
    assert slow == pytest.approx(arriving / 1e7)
    assert reachable_frame_rate(1e3, camera_rate=1e4, **options) == 1e4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: photon_energy(-1.0), "`wavelength` must be positive and finite, but is -1 m"),
        (lambda: operations_per_frame(0, 3), "`n_inputs` must be positive"),
        (lambda: operations_per_watt(1.0, 1.0, 0.0), "`power` must be positive .* 0 W"),
        (
            lambda: reachable_frame_rate(
                1, power_on_object=1.0, efficiency=1.5, wavelength=5e-7, camera_rate=1.0
            ),
            "`efficiency` must lie between 0 and 1, but is 1.5",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
