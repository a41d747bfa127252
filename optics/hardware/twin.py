"""Physics of one imperfect bench: modulator, two faces, free space, camera; differentiable, so hidden from learners.

One optical module runs every layer of a network in time. With x the loaded field, phi and a the commanded weights,

    y = C . O . T . I . [ D(a, phi) x ],    D = sqrt(eta) a exp(i phi_actual) + sqrt(1 - eta),

I and O the input and output faces, T the propagation over the true distance, C the camera's position. With flat weights
this is H, the operator that carries the error in forward-mode training; `Imperfections` says which errors keep H = H^T.
The model is ours, after the principle of Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4, Fig. 1;
sizes: see `imperfections`. The carrier exp(i k z) is left
out: the reference wave of the interferometer defines the piston.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from optics._checks import check_shape
from optics._numbers import refuse_traced_key, takes_numbers
from optics.hardware.imperfections import Imperfections, ZernikeTerms
from optics.hardware.modulator import bent_by, crosstalk_matrix, drive_of
from optics.media.free_space import FreeSpace, make_free_space
from optics.media.geometry import Geometry
from optics.media.scattering import Scatterer, ScatteringMedium, make_medium
from optics.waves.field import computed_once, middle_axis, over_batch
from optics.waves.shifts import rotate
from optics.waves.zernike import noll_to_nm, zernike_radial

DRIFT_LENGTH = 8192  # Measurements after which the recorded drift of the laboratory is mirrored and walked back.


class HardwareTwin(eqx.Module):
    """One drawn bench; build it with `draw_twin`."""

    free_space: FreeSpace | ScatteringMedium
    stroke: Float[Array, "y x"]
    exponent: Float[Array, ""]
    blur_y: Float[Array, "y y"] | None
    blur_x: Float[Array, "x x"] | None
    zero_order: Float[Array, ""]
    input_face: Complex[Array, "y x"]
    output_face: Complex[Array, "y x"]
    fourier_filter: Complex[Array, "Y X"] | None
    rotation: Float[Array, ""] | None
    reference_walk: Float[Array, " time"]
    laser_walk: Float[Array, " time"]
    field_noise: Float[Array, ""] | None
    slm_levels: int | None = eqx.field(static=True)
    loading_levels: int | None = eqx.field(static=True)

    @takes_numbers
    def modulation(
        self, phase: Float[Array, "y x"], amplitude: Float[Array, "y x"] | None = None
    ) -> Complex[Array, "y x"]:
        """Complex transmission that the commanded weights really give."""
        bent = bent_by(drive_of(phase, self.slm_levels, trainable=True), self.exponent)
        actual = 2 * jnp.pi * self.stroke * bent
        if self.blur_y is not None and self.blur_x is not None:
            actual = self.blur_y @ actual @ self.blur_x.T
        weights = jax.lax.complex(jnp.cos(actual), jnp.sin(actual))
        if amplitude is not None:
            weights = amplitude * weights
        return computed_once(jnp.sqrt(1 - self.zero_order) * weights + jnp.sqrt(self.zero_order))

    @takes_numbers
    def transport(self, field: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
        """H without the modulator: input face, propagation, output face, camera."""
        field = over_batch(self.input_face, field) * field
        pupil = self.fourier_filter
        field = self.free_space(field) if pupil is None else _filtered(field, pupil)
        field = over_batch(self.output_face, field) * field
        return field if self.rotation is None else rotate(field, self.rotation)

    @takes_numbers
    def run(
        self,
        field: Complex[Array, "*batch y x"],
        phase: Float[Array, "y x"],
        amplitude: Float[Array, "y x"] | None = None,
    ) -> Complex[Array, "*batch y x"]:
        """Field at the camera for a loaded field and commanded weights, before any measurement."""
        return self.transport(over_batch(self.modulation(phase, amplitude), field) * field)

    @takes_numbers
    def run_backward(
        self,
        field: Complex[Array, "*batch y x"],
        phase: Float[Array, "y x"],
        amplitude: Float[Array, "y x"] | None = None,
    ) -> Complex[Array, "*batch y x"]:
        """Field in front of the modulator for light that starts at the camera: the transpose of `run`."""
        # The pull-back of a linear map, in JAX's convention without a conjugate, is its transpose.
        _, transpose = jax.vjp(lambda x: self.run(x, phase, amplitude), jnp.zeros_like(field))
        return transpose(field)[0]

    def drift(self, time) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Reference phase (rad) and relative laser power at a measurement number."""
        period = 2 * self.reference_walk.shape[0]
        index = jnp.mod(time, period)
        index = jnp.minimum(index, period - 1 - index)
        return self.reference_walk[index], self.laser_walk[index]


def draw_twin(
    geometry: Geometry,
    hardware: Imperfections,
    *,
    key,
    dtype=jnp.complex64,
    scatterer: Scatterer | None = None,
    **free_space_options,
) -> HardwareTwin:
    """Draws one bench with the given sizes of errors.

    Args:
        geometry: Nominal geometry.
        hardware: Sizes of the errors.
        key: PRNG key of the draw; the same key gives the same bench.
        dtype: complex64 or complex128.
        scatterer: Medium in the light path; an error of the distance moves the camera, not the medium.
        **free_space_options: `kernel` and `method` of `make_free_space`.

    Raises:
        ValueError: If the combination cannot be simulated: a pupil inside the propagation with a medium in it.
        TypeError: If the key is traced.
    """
    refuse_traced_key(key)
    real = jnp.finfo(dtype).dtype
    # Host-side draws in double: the bench must not depend on the precision it is simulated with.
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())
    size = hardware
    shift = _direction(rng) * size.camera_shift_px * geometry.pixel_pitch
    tilt = _direction(rng) * size.camera_tilt
    sign_distance, sign_rotation = rng.choice([-1.0, 1.0], size=2)
    y, x = _unit_grid(geometry.shape)
    stroke = (1 + size.slm_gain) + size.slm_spatial_variation * _random_polynomial(rng, y, x)
    static = size.slm_phase_error * rng.standard_normal(geometry.shape)
    both = _aberration(rng, size.both_faces_aberration, y, x)
    single = _aberration(rng, size.input_aberration, y, x)
    illumination = 1 - size.illumination_drop * np.minimum(y**2 + x**2, 1.0)
    # k x sin(tilt): the reference arrives under an angle, so the measured phase carries a ramp.
    half = geometry.pixel_pitch * np.array(geometry.shape) / 2
    ramp = 2 * np.pi / geometry.wavelength * (tilt[0] * y * half[0] + tilt[1] * x * half[1])
    distance = geometry.distance + sign_distance * size.distance_error
    if distance <= 0:
        # An error larger than the distance can only lengthen it: no camera stands in front of the modulator.
        distance = geometry.distance + abs(size.distance_error)
    lengths = (geometry.pixel_pitch, geometry.wavelength, distance)
    options = {**free_space_options, "dtype": dtype}
    options["output_shift"] = (float(shift[0]), float(shift[1]))
    if scatterer is None:
        free_space = make_free_space(geometry.shape, *lengths, **options)
    else:
        _check_scatterer(scatterer, geometry, size)
        free_space = make_medium(scatterer, *lengths, **options)
    fourier_filter = None
    if size.fourier_aberration:
        options = {**free_space_options, "method": "reference"}
        reference = dataclasses.replace(geometry, distance=distance).free_space(
            jnp.result_type(complex),
            output_shift=tuple(map(float, shift)),
            **options,
        )
        (spectrum,) = reference.factors
        fourier_filter = np.asarray(spectrum) * _pupil(rng, size.fourier_aberration, spectrum.shape)
    blurs = [
        jnp.asarray(crosstalk_matrix(n, size.slm_crosstalk_px), real)
        if size.slm_crosstalk_px > 0
        else None
        for n in geometry.shape
    ]
    return HardwareTwin(
        free_space=free_space,
        stroke=jnp.asarray(stroke, real),
        exponent=jnp.asarray(1 + size.slm_gamma, real),
        blur_y=blurs[0],
        blur_x=blurs[1],
        zero_order=jnp.asarray(size.slm_zero_order, real),
        input_face=jnp.asarray(illumination * np.exp(1j * (both + single + static)), dtype),
        output_face=jnp.asarray(np.exp(1j * (both + ramp)), dtype),
        fourier_filter=None if fourier_filter is None else jnp.asarray(fourier_filter, dtype),
        rotation=jnp.asarray(sign_rotation * size.camera_rotation, real)
        if size.camera_rotation
        else None,
        reference_walk=jnp.asarray(size.reference_drift * _walk(rng), real),
        laser_walk=jnp.asarray(1 + size.laser_drift * _slow_walk(rng), real),
        field_noise=jnp.asarray(size.field_noise, real) if size.field_noise else None,
        slm_levels=size.slm_levels,
        loading_levels=size.loading_levels,
    )


def _check_scatterer(scatterer: Scatterer, geometry: Geometry, size: Imperfections) -> None:
    check_shape(
        scatterer.phase, "scatterer", geometry.shape, "Draw its screens on the bench's grid."
    )
    if size.fourier_aberration:
        raise ValueError(
            "`fourier_aberration` must be empty with a scatterer, which leaves no single Fourier plane, but is "
            f"{size.fourier_aberration}."
        )


def _filtered(field, transfer):
    shape = transfer.shape
    spectrum = jnp.fft.fft2(field, s=shape) * over_batch(transfer, field)
    return jnp.fft.ifft2(spectrum)[..., : field.shape[-2], : field.shape[-1]]


def _unit_grid(shape):
    """Coordinates symmetric about the middle of the panel, +-1 at the half width."""
    axes = [middle_axis(n) / (n / 2) for n in shape]
    return np.meshgrid(*axes, indexing="ij")


def _aberration(rng, terms: ZernikeTerms, y, x):
    """Phase (rad) of Zernike terms with random signs, `waves` peak to valley on the disc; continued outside it."""
    phase = np.zeros(y.shape)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    for j, waves in terms:
        n, m = noll_to_nm(j)
        sign = rng.choice([-1.0, 1.0])
        angular = np.cos(m * angle) if m >= 0 else np.sin(-m * angle)
        radial = np.asarray(zernike_radial(n, abs(m), radius))
        phase += sign * 2 * np.pi * waves / _peak_to_valley(n, m) * radial * angular
    return phase


def _peak_to_valley(n: int, m: int) -> float:
    """Range of R(r) cos(m t) over the unit disc; |R| is largest at the rim, where it is 1."""
    if m != 0:
        return 2.0
    radial = np.asarray(zernike_radial(n, 0, np.linspace(0, 1, 1001)))
    return float(radial.max() - radial.min()) or 1.0  # Piston has no range: taken as its value.


def _pupil(rng, terms: ZernikeTerms, shape):
    """Fourier-plane transmission on a padded grid, FFT order; the disc ends at the edge of the band."""
    axes = [np.fft.fftfreq(n) * 2 for n in shape]
    fy, fx = np.meshgrid(*axes, indexing="ij")
    phase = _aberration(rng, terms, fy, fx)
    # The Nyquist row and column stand for +1 and -1 at once: flat there, so that even terms stay even on the grid.
    phase[np.isclose(fy, -1) | np.isclose(fx, -1)] = 0
    return np.exp(1j * phase)


def _random_polynomial(rng, y, x):
    """Second-order polynomial of unit rms over the panel."""
    c = rng.standard_normal(5)
    surface = c[0] * x + c[1] * y + c[2] * x * y + c[3] * (x**2 - 1 / 3) + c[4] * (y**2 - 1 / 3)
    rms = np.sqrt(np.mean(surface**2))
    return surface / rms if rms > 0 else surface


def _direction(rng):
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.sin(angle), np.cos(angle)])


def _walk(rng):
    return np.cumsum(rng.standard_normal(DRIFT_LENGTH))


def _slow_walk(rng):
    """Smooth unit-variance drift: an Ornstein-Uhlenbeck walk with a correlation time of 1000 measurements."""
    decay = np.exp(-1 / 1000)
    steps = rng.standard_normal(DRIFT_LENGTH) * np.sqrt(1 - decay**2)
    walk = np.empty(DRIFT_LENGTH)
    walk[0] = rng.standard_normal()
    for i in range(1, DRIFT_LENGTH):
        walk[i] = decay * walk[i - 1] + steps[i]
    return walk
