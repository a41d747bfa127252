"""Response of free space to all that a grid carries, without periodic images.

A transfer function on P frequencies belongs to a response that comes again after P samples: what leaves the padded
window on one side enters on the other. Here the response at a lag of m samples is the integral over the whole band,

    h(m) = int_{-1/2}^{1/2} H(nu) exp(2 pi i nu m) d nu    along each axis, nu = frequency times pitch,

as on a grid without end, by Gauss-Legendre nodes on 0 ... 1/2, for H is even. Cut to the lags between two windows it
makes their convolution, to rounding, where every wave of the band travels: pitch above wavelength / sqrt(2). On finer
grids the root at grazing waves leaves up to 5e-3 of the field of random pixels, and 7e-2 above 64 samples of a traced
pitch. Left out: distances beyond the range of the transfer function.
"""

import math
from functools import lru_cache
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import roots_legendre

# Our choice: longest window, in samples, whose response is integrated. The work grows as its cube, a second at 1024.
LARGEST_BAND = 2048
# Largest relative error found of the response of a fine grid: pitch 0.6 wavelength, 48 samples, just before the impulse
# response is sampled.
FINE_BAND_ERROR = 5e-3


@lru_cache(maxsize=8)
def band_nodes(n: int, fine: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on 0 ... 1/2 for lags up to `n` samples, and distances up to 2 n pitch^2 / wavelength.

    The phase of H turns n / 4 times there and that of the lag n / 2 times: two nodes for each turn, and 20 more.

    Args:
        n: Largest lag.
        fine: Four times as many, for a pitch of which some waves do not travel.
    """
    nodes, weights = roots_legendre((4 if fine else 1) * (math.ceil(1.5 * n) + 20))
    return (nodes + 1) / 4, weights / 4


def needs_fine_nodes(pixel_pitch: float, wavelength: float) -> bool:
    """Tells whether the corner of the band is at or beyond grazing."""
    return bool(pixel_pitch < 0.75 * wavelength)


def band_matrix(positions: np.ndarray, nodes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Matrix (position, node) that takes an even H on the nodes to its response at positions in samples."""
    return 2 * weights * np.cos(2 * np.pi * positions[:, None] * nodes)


def line_response(transfer: np.ndarray, positions: np.ndarray, nodes, weights) -> np.ndarray:
    """Response along one axis, at positions in samples, to H on the nodes."""
    blocks = np.array_split(positions, max(1, positions.size * nodes.size // 2**23))
    return np.concatenate([band_matrix(block, nodes, weights) @ transfer for block in blocks])


def plane_response(
    xp: ModuleType, transfer: Any, positions: tuple[np.ndarray, np.ndarray], nodes, weights
) -> Any:
    """Response at the positions (y, x), in samples, to H on the nodes of y and x.

    Args:
        xp: numpy, or jax.numpy where H is traced.
        transfer: H, a square matrix, even along each axis.
        positions: Lags along y and along x; equal and opposite ones are worked out once.
        nodes: See `band_nodes`.
        weights: See `band_nodes`.
    """
    folded = [np.unique(np.abs(p), return_inverse=True) for p in positions]
    along_y, along_x = (band_matrix(p, nodes, weights) for p, _ in folded)
    response = _real_times(xp, along_x, _real_times(xp, along_y, transfer).T).T
    return response[np.ix_(*(inverse.ravel() for _, inverse in folded))]


def _real_times(xp: ModuleType, matrix: np.ndarray, values: Any) -> Any:
    if xp is np:  # real products, of half the work
        return matrix @ values.real + 1j * (matrix @ values.imag)
    dtype = values.real.dtype
    parts = (
        jnp.matmul(jnp.asarray(matrix, dtype), part, precision=jax.lax.Precision.HIGHEST)
        for part in (values.real, values.imag)
    )
    return jax.lax.complex(*parts)
