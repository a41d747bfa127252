"""Sampled free-space kernels, computed on the host in double precision.

k z is about 5e6 rad for tens of centimetres of visible light, which single precision cannot resolve, so kernels are
made by numpy in float64 and cast only when they are done. The carrier exp(i k z) is left out throughout.

    fresnel  H(f) = exp(-i pi lambda z f^2), h(x) = exp(i pi x^2 / (lambda z)) / sqrt(i lambda z)
             along each axis (Goodman, Introduction to Fourier Optics, 3rd ed., eqs. 4-20 and 4-16).
    exact    H(f) = exp(i 2 pi z (sqrt(1/lambda^2 - f^2) - 1/lambda)), band-limited as in
             Matsushima and Shimobaba (2009), DOI 10.1364/OE.17.019662; and the Rayleigh-Sommerfeld
             impulse response h(r) = (z / (2 pi R^2)) (1/R - i k) exp(i k (R - z)).

Nearer than |z| = P pitch^2 / lambda (P: padded length, at least twice the window) the response is the integral of the
transfer function over the band (`optics.waves.band`), as on a grid padded without end, cut to the lags between the
windows; beyond, the impulse response is sampled: there its phase step between neighbours is below pi
(Voelz and Roggemann 2009, DOI 10.1364/AO.48.006132). The exact impulse response is taken from where it is sampled,
which for a pitch near the wavelength is much earlier. The first takes light as the curve of the band through its
samples, the second samples as point sources. Of smooth light that is one thing; of light that changes from pixel to
pixel it is not: at 64 px of 8 um they differ by 11 % of the field where one takes over from the other. An exact window
above `LARGEST_BAND` px takes the transfer function on the padded grid, which wraps 2 % of such light at most.

Spectra are in FFT order; a response holds lag m at index m modulo its length.
"""

import dataclasses
import math

import numpy as np

from optics.waves.band import (
    LARGEST_BAND,
    band_nodes,
    line_response,
    needs_fine_nodes,
    plane_response,
)


@dataclasses.dataclass(frozen=True)
class Windows:
    """Two equal windows facing each other: what a kernel depends on.

    Attributes:
        shape: Grid size (ny, nx).
        pitch: Sample spacing, in metres.
        wavelength: Wavelength in the medium, in metres.
        distance: From the input to the output window, in metres; negative goes back.
        shift: Lateral displacement (dy, dx) of the output window, in metres.
    """

    shape: tuple[int, int]
    pitch: float
    wavelength: float
    distance: float
    shift: tuple[float, float]

    def padded_lengths(self) -> tuple[int, int]:
        """Even lengths (y, x) on which a circular convolution is linear inside the output window."""
        ny, nx = (
            2 * (n + math.ceil(abs(s) / self.pitch))
            for n, s in zip(self.shape, self.shift, strict=True)
        )
        return ny, nx

    def samples_impulse_response(self, length: int) -> bool:
        """Tells whether the Rayleigh-Sommerfeld response is free of aliasing at lags up to half of `length` samples.

        Where it is, it is exact; waves at wide angles leave a transfer function's window long before its own limit.
        """
        cotangent = math.sqrt(max((2 * self.pitch / self.wavelength) ** 2 - 1, 0.0))
        return abs(self.distance) >= self.pitch * max(length / 2 * cotangent, 4)

    def samples_transfer_function(self, length: int) -> bool:
        """Tells whether the band of the grid stays within `length` samples, half of it on either side."""
        return abs(self.distance) <= length * self.pitch**2 / self.wavelength


def fresnel_spectra(geometry: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Fresnel spectra of the y and the x axis; their outer product is the two-dimensional one."""
    lengths = geometry.padded_lengths()
    y, x = (_fresnel_axis(n, s, geometry) for n, s in zip(lengths, geometry.shift, strict=True))
    return y, x


def exact_spectrum(geometry: Windows) -> np.ndarray:
    """Two-dimensional spectrum of Rayleigh-Sommerfeld diffraction on the padded grid."""
    lengths = geometry.padded_lengths()
    if geometry.samples_impulse_response(max(lengths)):
        return np.fft.fft2(_rayleigh_sommerfeld(lengths, geometry))
    if max(lengths) <= 2 * LARGEST_BAND:
        return np.fft.fft2(_band_response(lengths, geometry))
    # The shorter axis is padded further, so that the same rule holds for both.
    enough = math.ceil(abs(geometry.distance) * geometry.wavelength / geometry.pitch**2)
    ny, nx = (max(n, enough + enough % 2) for n in lengths)
    return _angular_spectrum((ny, nx), geometry)


def toeplitz(spectrum: np.ndarray, n: int) -> np.ndarray:
    """Matrix A[i, j] = h[i - j] of the convolution from a window of `n` samples to itself."""
    lags = np.subtract.outer(np.arange(n), np.arange(n))
    return np.fft.ifft(spectrum)[lags]


def shortest_spectrum(
    spectrum: np.ndarray, shape: tuple[int, int], lengths: tuple[int, int]
) -> np.ndarray:
    """The same convolution on a smaller padded grid that still holds every lag inside the window."""
    lags = np.ix_(*(np.arange(1 - n, n) for n in shape))
    response = np.zeros(lengths, complex)
    response[lags] = np.fft.ifft2(spectrum)[lags]
    return np.fft.fft2(response)


def _fresnel_axis(length: int, shift: float, geometry: Windows) -> np.ndarray:
    pitch, reach = geometry.pitch, geometry.wavelength * geometry.distance
    if geometry.samples_transfer_function(length):
        nodes, weights = band_nodes(length // 2)
        transfer = np.exp(-1j * np.pi * reach / pitch**2 * nodes**2)
        return np.fft.fft(line_response(transfer, _lags(length) + shift / pitch, nodes, weights))
    x = _lags(length) * pitch + shift
    scale = pitch / math.sqrt(abs(reach)) * np.exp(-0.25j * np.pi * np.sign(reach))
    return np.fft.fft(scale * np.exp(1j * np.pi * x**2 / reach))


def _band_response(lengths: tuple[int, int], geometry: Windows) -> np.ndarray:
    fine = needs_fine_nodes(geometry.pitch, geometry.wavelength)
    nodes, weights = band_nodes(max(lengths) // 2, fine)
    f = nodes / geometry.pitch
    y, x = (_lags(n) + s / geometry.pitch for n, s in zip(lengths, geometry.shift, strict=True))
    return plane_response(np, _transfer(f, f, geometry), (y, x), nodes, weights)


def _angular_spectrum(lengths: tuple[int, int], geometry: Windows) -> np.ndarray:
    fy, fx = (np.fft.fftfreq(n, geometry.pitch) for n in lengths)
    spectrum = _transfer(fy, fx, geometry)
    for f, axis in ((fy, 1), (fx, 0)):
        limit = 1 / math.hypot(2 * geometry.distance / (f.size * geometry.pitch), 1)
        spectrum *= np.expand_dims(np.abs(f) <= limit / geometry.wavelength, axis)
    py, px = (
        _displacement(n, s, geometry.pitch) for n, s in zip(lengths, geometry.shift, strict=True)
    )
    return spectrum * py[:, None] * px[None, :]


def _transfer(fy: np.ndarray, fx: np.ndarray, geometry: Windows) -> np.ndarray:
    top, z = 1 / geometry.wavelength, abs(geometry.distance)
    square = fy[:, None] ** 2 + fx[None, :] ** 2
    axial = np.sqrt((top**2 - square).astype(complex))
    # square / (top + axial) is top - axial without cancellation. Made for |z| and conjugated for
    # z < 0, so that evanescent waves decay both ways.
    spectrum = np.exp(-2j * np.pi * z * square / (top + axial))
    return spectrum if geometry.distance >= 0 else np.conj(spectrum)


def _rayleigh_sommerfeld(lengths: tuple[int, int], geometry: Windows) -> np.ndarray:
    y, x = (_lags(n) * geometry.pitch + s for n, s in zip(lengths, geometry.shift, strict=True))
    z, k = abs(geometry.distance), 2 * np.pi / geometry.wavelength
    square = y[:, None] ** 2 + x[None, :] ** 2
    radius = np.sqrt(square + z**2)
    # square / (radius + z) is radius - z without cancellation.
    wave = np.exp(1j * k * square / (radius + z)) * (1 / radius - 1j * k)
    response = geometry.pitch**2 * z / (2 * np.pi * radius**2) * wave
    return response if geometry.distance > 0 else np.conj(response)


def _lags(length: int) -> np.ndarray:
    return np.fft.fftfreq(length, 1 / length)


def _displacement(length: int, shift: float, pitch: float) -> np.ndarray:
    phase = np.exp(2j * np.pi * np.fft.fftfreq(length, pitch) * shift)
    # Both signs of the Nyquist frequency share one sample; their mean is real, and makes the
    # opposite shift the exact transpose.
    phase[length // 2] = phase[length // 2].real
    return phase
