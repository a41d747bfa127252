"""Fits of curves that were divided by their own noisy first value: one error that all points share.

A curve m(p) with independent errors sigma, divided by 1 + sigma times a normal number, has the covariance

    V = diag(sigma^2) + sigma_0^2 m m^T,   det V = sigma^(2 n) (1 + m . m) for equal errors

to first order. The covariance holds the line that is sought, not the data, whose noise would pull the estimate down.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from quantum.inference.curve_emulator import CurveEmulator
from quantum.inference.fitting import Fit, ForwardModel, fit
from quantum.inference.likelihood import Gaussian


def draw_normalised(
    exact: Float[np.ndarray, "curves points"],
    sigma: float,
    *,
    seed: int | Sequence[int] | np.random.Generator,
) -> Float[np.ndarray, "curves points"]:
    """Measurements of exact curves: every point with an error, divided by the first value, 1, as it is measured.

    Args:
        exact: Curves as they are, relative to their first value, which is not among the points.
        sigma: Standard error of each point and of the first value.
        seed: Of the errors.
    """
    rng = np.random.default_rng(seed)
    raw = exact + sigma * rng.normal(size=exact.shape)
    return raw / (1 + sigma * rng.normal(size=(len(exact), 1)))


def fit_normalised(
    model: ForwardModel,
    curve: Float[np.ndarray, " points"],
    sigmas: Float[np.ndarray, " points"],
    starts: int,
    *,
    seed: int,
) -> tuple[Fit, Gaussian]:
    """Least squares with independent errors first; then twice with the covariance of the curve found.

    From all starts each time: which of two maxima is the higher one may depend on the covariance.

    Args:
        model: What the curve may be.
        curve: Measured and divided.
        sigmas: Standard error of each point before the division; the first is that of the divisor.
        starts: Starts of each fit.
        seed: Of the starts.

    Returns:
        The fit, and the likelihood with the last covariance.
    """
    likelihood = Gaussian(curve, sigmas)
    found = fit(model, likelihood, starts, seed=seed)
    for _ in range(2):
        line = model.predict(found.values)
        likelihood = Gaussian(curve, np.diag(sigmas**2) + sigmas[0] ** 2 * np.outer(line, line))
        found = fit(model, likelihood, starts, seed=seed)
    return found, likelihood


def profile_normalised(
    emulator: CurveEmulator,
    curves: Sequence[np.ndarray] | Float[np.ndarray, "curves points"],
    sigma: float,
    grid: tuple[int, ...],
) -> tuple[Float[np.ndarray, " grid"], Float[np.ndarray, "curves grid"]]:
    """-2 log L of every curve along its first parameter, least over the other, less its least value.

    Args:
        emulator: Curve over one or two parameters, within its bounds.
        curves: Measured and divided.
        sigma: Standard error of all points and of the divisor.
        grid: Numbers of values of each parameter.

    Returns:
        Values of the first parameter, and the profiles.
    """
    axes = [
        np.linspace(low, high, n)
        for low, high, n in zip(emulator.lower, emulator.upper, grid, strict=False)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    flat = jnp.asarray(points.reshape(-1, len(axes)))
    lines = np.asarray(jax.lax.map(emulator, flat, batch_size=1024))
    square = np.sum(lines**2, axis=1)
    found = []
    for curve in curves:
        rest = curve - lines
        # The inverse and the determinant of sigma^2 (1 + m m^T), m the line itself.
        spread = np.sum(rest**2, axis=1) - np.sum(lines * rest, axis=1) ** 2 / (1 + square)
        cost = (spread / sigma**2 + np.log1p(square)).reshape(points.shape[:-1])
        found.append(cost.reshape(len(axes[0]), -1).min(axis=1) - cost.min())
    return axes[0], np.array(found)
