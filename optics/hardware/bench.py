"""Opaque hardware twin: fields and weights go in, measured fields and intensities come out, nothing else.

`OpticalBench` is what a learner holds in place of a laboratory. It knows the data sheet (`geometry`), loads a field
through finite modulators, and measures through a noisy camera: intensities directly, complex fields by four-step
phase-shifting holography with a drifting reference. It has no derivative (asking for one raises) and keeps the drawn
errors to itself. Measurement model: ours, with the numbers of
`imperfections`; that the reference comes from the same laser: Methods of Xue et al., Nature 632, 280 (2024), DOI
10.1038/s41586-024-07687-4, as reported at seegala.com; the number of phase steps there is unknown to us.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from optics._checks import check_finite, check_shape
from optics._numbers import takes_numbers
from optics.hardware.detectors import Camera, expose, photons_from_counts
from optics.hardware.holography import measure_four_step
from optics.hardware.opaque import add_noise, opaque
from optics.hardware.twin import HardwareTwin
from optics.media.geometry import Geometry
from optics.waves.field import Field, intensity
from optics.waves.shifts import displaced


class OpticalBench(eqx.Module):
    """One bench, opaque to whoever trains on it.

    Attributes:
        geometry: Nominal geometry, as on the data sheet.
        exposure: Fraction of the full well that the brightest possible pixel fills.
    """

    _twin: HardwareTwin = eqx.field(repr=False)
    _camera: Camera | None = eqx.field(repr=False)
    _backward_shift: Float[Array, " two"] | None = eqx.field(repr=False)
    geometry: Geometry = eqx.field(static=True)
    exposure: float = eqx.field(static=True)

    def __init__(
        self,
        geometry: Geometry,
        twin: HardwareTwin,
        *,
        camera: Camera | None = None,
        exposure: float = 0.8,
        backward_shift_px: tuple[float | int, float | int] = (0.0, 0.0),
    ):
        """Puts a twin and a camera behind the counter.

        Args:
            geometry: Nominal geometry.
            twin: The drawn hardware.
            camera: Camera of both measurements; None measures without noise.
            exposure: Fraction of the full well used, in (0, 1].
            backward_shift_px: Displacement (dy, dx) of the backward beam from the forward one at the camera plane,
                pixels.

        Raises:
            ValueError: If `exposure` is out of range, or a shift is not finite.
        """
        check_finite(backward_shift_px, "backward_shift_px")
        if not 0 < exposure <= 1:
            raise ValueError(f"`exposure` must lie in (0, 1], but is {exposure:g}.")
        self._twin = twin
        self._camera = camera
        registered = not any(backward_shift_px)
        self._backward_shift = None if registered else jnp.asarray(backward_shift_px, float)
        self.geometry = geometry
        self.exposure = exposure

    @takes_numbers
    def measure_field(
        self,
        field: Complex[Array, "*batch y x"] | Field,
        phase: Float[Array, "y x"],
        amplitude: Float[Array, "y x"] | None = None,
        *,
        key: PRNGKeyArray,
        time: int | Array = 0,
    ) -> Any:
        """Loads a field, sets the weights, and measures the complex field at the camera.

        The field is scaled to the range of the loading modulator and the answer scaled back, so units are kept. Each
        batch element is exposed on its own.

        Args:
            field: Field to load, any scale: an array, or a `Field` of the bench's wavelength and pitch.
            phase: Commanded phase of the modulator, rad.
            amplitude: Commanded transmission in [0, 1]; None for a phase-only modulator.
            key: PRNG key of the camera noise.
            time: Number of the measurement since the laboratory was set up; reference and laser drift with it.

        Returns:
            Measured field at the camera plane, piston set by the reference wave; an array for an array, a `Field` for
            a `Field`.

        Raises:
            ValueError: If shapes do not match the bench or the field is not finite.
            TypeError: If differentiated.
        """
        light, field = field, self.geometry.amplitude_of(field)
        truth, reference_phase, power = self._illuminate(field, phase, amplitude, time)
        return self._as_it_came(light, self._by_holography(truth, reference_phase, power, key))

    @takes_numbers
    def measure_field_backward(
        self,
        field: Complex[Array, "*batch y x"] | Field,
        phase: Float[Array, "y x"],
        amplitude: Float[Array, "y x"] | None = None,
        *,
        key: PRNGKeyArray,
        time: int | Array = 0,
    ) -> Any:
        """Sends a field from the camera plane backwards through the modulator and measures it where `field` is loaded.

        By reciprocity this is the transpose of `measure_field`. The second beam and its sensor are separate hardware:
        the beam may be displaced (`backward_shift_px`), while loading, camera noise and drifts are the same.

        Args:
            field: Field to load at the camera plane; any scale.
            phase: Commanded phase of the modulator, rad.
            amplitude: Commanded transmission in [0, 1]; None for a phase-only modulator.
            key: PRNG key of the camera noise.
            time: Number of the measurement since the laboratory was set up.

        Returns:
            Measured field in front of the modulator.

        Raises:
            ValueError: If shapes do not match the bench or the field is not finite.
            TypeError: If differentiated.
        """
        light, field = field, self.geometry.amplitude_of(field)
        self._check(field, phase, amplitude)
        loaded = _load(field, self._twin.loading_levels)
        if self._backward_shift is not None:
            loaded = displaced(loaded, self._backward_shift)
        truth = self._twin.run_backward(loaded, phase, amplitude)
        reference_phase, power = self._twin.drift(time)
        return self._as_it_came(light, self._by_holography(truth, reference_phase, power, key))

    def _by_holography(self, truth, reference_phase, power, key):
        measured = truth * jnp.sqrt(power)
        if self._twin.field_noise is not None:
            key, noise_key = jax.random.split(key)
            measured = add_noise(measured, self._twin.field_noise, key=noise_key, axes=2)
        if self._camera is None:
            measured = measured * jnp.exp(-1j * reference_phase)
        else:
            measured = measure_four_step(
                measured,
                self._camera,
                key=key,
                exposure=self.exposure,
                # The same law as four frames at a fraction of the cost, where it holds.
                draws="differences" if self._camera.shot_noise == "gaussian" else "frames",
                reference_phase=reference_phase,
            )
        return opaque(measured.astype(truth.dtype), "OpticalBench")

    @takes_numbers
    def measure_intensity(
        self,
        field: Complex[Array, "*batch y x"] | Field,
        phase: Float[Array, "y x"],
        amplitude: Float[Array, "y x"] | None = None,
        *,
        key: PRNGKeyArray,
        time: int | Array = 0,
    ) -> Float[Array, "*batch y x"]:
        """Like `measure_field`, but one plain camera frame: intensity in the units of |field|^2."""
        field = self.geometry.amplitude_of(field)
        truth, _, power = self._illuminate(field, phase, amplitude, time)
        seen = power * intensity(truth)
        if self._camera is not None:
            peak = jnp.max(seen, axis=(-2, -1), keepdims=True)
            peak = jnp.where(peak > 0, peak, 1.0)
            full = self.exposure * self._camera.full_well / self._camera.quantum_efficiency
            photons = seen / peak * full
            counts = expose(photons, self._camera, key=key)
            seen = photons_from_counts(counts, self._camera) * peak / full
        return opaque(seen, "OpticalBench")

    def quiet(self) -> "OpticalBench":
        """The same hardware without noise of camera and fields, for the experimenter; errors and drifts stay."""
        return eqx.tree_at(
            lambda bench: (bench._camera, bench._twin.field_noise),
            self,
            (None, None),
            is_leaf=lambda leaf: leaf is None,
        )

    def reveal(self) -> HardwareTwin:
        """What stands behind the counter, for the experimenter who set it up; a learner must not ask."""
        return self._twin

    def _as_it_came(self, light, answer):
        return self.geometry.field(answer) if isinstance(light, Field) else answer

    def _check(self, field, phase, amplitude):
        hint = "The bench was built for this grid; pad or crop the array."
        check_shape(field, "field", self.geometry.shape, hint)
        check_shape(phase, "phase", self.geometry.shape, hint)
        check_finite(field, "field")
        check_finite(phase, "phase")
        if amplitude is not None:
            check_shape(amplitude, "amplitude", self.geometry.shape, hint)
            check_finite(amplitude, "amplitude")

    def _illuminate(self, field, phase, amplitude, time):
        self._check(field, phase, amplitude)
        loaded = _load(field, self._twin.loading_levels)
        reference_phase, power = self._twin.drift(time)
        return self._twin.run(loaded, phase, amplitude), reference_phase, power


def _load(field, levels: int | None):
    """Field as an amplitude and a phase modulator with `levels` steps each can show it, in its own units."""
    if levels is None:
        return field
    magnitude = jnp.abs(field)
    peak = jnp.max(magnitude, axis=(-2, -1), keepdims=True)
    peak = jnp.where(peak > 0, peak, 1.0)
    amplitude = jnp.round(magnitude / peak * (levels - 1)) / (levels - 1) * peak
    step = 2 * jnp.pi / levels
    return (amplitude * jnp.exp(1j * jnp.round(jnp.angle(field) / step) * step)).astype(field.dtype)
