"""Closed forms of diffraction, written in NumPy and SciPy only, time factor exp(-i omega t).

Fields with sharp edges converge slowly on a grid. Where a test wants many digits it uses a disc
whose radius is blurred, f(r) = erfc((r - a) / s) / 2: that is an average of sharp discs over radii
with the weight exp(-((radius - a) / s)^2) / (s sqrt(pi)), so any closed form of the sharp disc
carries over.
"""

import numpy as np
from scipy.special import erfc, fresnel, j1


def complex_source_beam(y, x, z, wavelength, waist):
    """Exact beam solution of the Helmholtz equation: a point source at the imaginary depth i b.

    u = (-i b / R) exp(i k R - k b), R = sqrt(r^2 + (z - i b)^2), b = pi waist^2 / wavelength; 1 at
    the origin, a Gaussian beam near the axis. G. Deschamps, Electron. Lett. 7, 684 (1971),
    DOI 10.1049/el:19710467.
    """
    k, b = 2 * np.pi / wavelength, np.pi * waist**2 / wavelength
    # The branch with a negative imaginary part, so that the field falls off sideways.
    radius = -1j * np.sqrt(b**2 - z**2 - y**2 - x**2 + 2j * z * b)
    return -1j * b / radius * np.exp(1j * k * radius - k * b)


def gaussian_beam_moments(z, wavelength, waist):
    """1/e^2 radius, wavefront curvature 1/R and Gouy phase of a Gaussian beam (Saleh, Teich 3.1)."""
    depth = np.pi * waist**2 / wavelength
    width = waist * np.sqrt(1 + (z / depth) ** 2)
    return width, z / (z**2 + depth**2), np.arctan(z / depth)


def sharp_disc_on_axis(z, wavelength, radius):
    """Rayleigh-Sommerfeld I behind a plane-wave-lit disc: exp(i k z) - (z / R) exp(i k R), exact.

    H. Osterberg, L. Smith, J. Opt. Soc. Am. 51, 1050 (1961), DOI 10.1364/JOSA.51.001050.
    """
    edge = np.hypot(radius, z)
    k = 2 * np.pi / wavelength
    return np.exp(1j * k * z) - z / edge * np.exp(1j * k * edge)


def airy_amplitude(q, radius):
    """Fourier transform of a sharp disc at spatial frequency q: radius J1(2 pi radius q) / q."""
    safe = np.where(q == 0, 1.0, q)
    return np.where(q == 0, np.pi * radius**2, radius * j1(2 * np.pi * radius * safe) / safe)


def blurred_disc(radius_map, radius, blur):
    """Amplitude of a disc whose edge falls off as an error function."""
    return erfc((radius_map - radius) / blur) / 2


def average_over_radius(closed_form, radius, blur, n=801):
    """Average of `closed_form(radius)` as in the module docstring; trapezoids on a Gaussian are exact."""
    offsets = np.linspace(-6, 6, n)  # exp(-36) = 2e-16 at the ends
    weights = np.exp(-(offsets**2)) / np.sqrt(np.pi) * (offsets[1] - offsets[0])
    return sum(w * closed_form(radius + blur * t) for w, t in zip(weights, offsets, strict=True))


def fresnel_slit(x, z, wavelength, width):
    """One axis of Fresnel diffraction by a rectangle, without exp(i k z): (F(b) - F(a)) / sqrt(2 i).

    F(v) = C(v) + i S(v), v = sqrt(2 / (wavelength z)) (+-width / 2 - x); Goodman, section 4.5.1.
    """
    scale = np.sqrt(2 / (wavelength * z))
    s_high, c_high = fresnel(scale * (width / 2 - x))
    s_low, c_low = fresnel(scale * (-width / 2 - x))
    return ((c_high - c_low) + 1j * (s_high - s_low)) / np.sqrt(2j)


def talbot_distance(wavelength, period):
    """Paraxial self-image distance of a grating: 2 period^2 / wavelength."""
    return 2 * period**2 / wavelength


def exact_talbot_distance(wavelength, period):
    """Self-image distance of the orders 0 and +-1 without paraxial approximation."""
    return wavelength / (1 - np.sqrt(1 - (wavelength / period) ** 2))
