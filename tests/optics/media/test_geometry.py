"""The data sheet of a module, and its door: a `Field` that fits, or one clear error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.bench import OpticalBench
from optics.media.geometry import Geometry
from optics.waves.field import Field
from optics.waves.propagation import propagate
from tests.exact.small_bench import GEOMETRY, inputs, twin

PHASE = jnp.zeros(GEOMETRY.shape)
KEY = jax.random.key(0)


def test_a_field_goes_through_a_perfect_bench_as_through_free_space():
    amplitude = jnp.zeros(GEOMETRY.shape, complex).at[8:16, 8:16].set(1)
    light = GEOMETRY.field(amplitude)
    found = OpticalBench(GEOMETRY, twin()).measure_field(light, PHASE, key=KEY)
    assert isinstance(found, Field)
    # The bench leaves out exp(i k z); its kernel is paraxial, which costs k z theta^4 / 8 at the edge of the square.
    carrier = jnp.exp(1j * light.wavenumber * GEOMETRY.distance)
    wanted = propagate(light, GEOMETRY.distance).amplitude / carrier
    overlap = jnp.abs(jnp.vdot(found.amplitude, wanted))
    assert overlap > 0.999 * jnp.linalg.norm(found.amplitude) * jnp.linalg.norm(wanted)


@pytest.mark.parametrize(
    "measure", ["measure_field", "measure_field_backward", "measure_intensity"]
)
def test_a_field_and_its_amplitude_are_measured_alike(measure):
    field, _ = inputs()
    bench = OpticalBench(GEOMETRY, twin(camera_shift_px=0.5))
    plain = getattr(bench, measure)(field, PHASE, key=KEY)
    found = getattr(bench, measure)(GEOMETRY.field(field), PHASE, key=KEY)
    if measure != "measure_intensity":
        assert float(found.pixel_pitch) == pytest.approx(GEOMETRY.pixel_pitch)
        found = found.amplitude
    np.testing.assert_array_equal(found, plain)


@pytest.mark.parametrize("name", ["wavelength", "pixel_pitch"])
def test_a_field_of_another_laboratory_is_refused(name):
    sizes = {"wavelength": 532e-9, "pixel_pitch": 8e-6}
    light = Field(jnp.ones(GEOMETRY.shape, complex), **(sizes | {name: 1.001 * sizes[name]}))
    bench = OpticalBench(GEOMETRY, twin())
    with pytest.raises(ValueError, match=f"`field.{name}` must be the .* of the module, but is"):
        bench.measure_field(light, PHASE, key=KEY)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"`amplitude` must have last axes \(24, 24\)"):
        GEOMETRY.field(jnp.ones((24, 20), complex))
    with pytest.raises(ValueError, match="`distance` must be positive"):
        Geometry(distance=0.0)
    with pytest.raises(ValueError, match="`shape` must be two positive sizes"):
        Geometry(shape=(0, 4))
