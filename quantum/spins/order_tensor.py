"""The order tensor of a molecule from its measured dipolar couplings: least squares, exact for a known geometry.

    D_ij = sum_k A_ij,k s_k,     S = [[s_1, s_3, s_4], [s_3, s_2, s_5], [s_4, s_5, -s_1 - s_2]]

since couplings are linear in S, averages over groups that turn included. With standard errors sigma the estimate is
s = (A^T W A)^-1 A^T W D, W = 1 / sigma^2, and (A^T W A)^-1 its covariance (A. Saupe, Z. Naturforsch. A 19, 161 (1964)).

Couplings are signed; a splitting gives their size alone, and with unlike spins it is 2 D + J. Left out: geometry and
order fitted together; couplings of a bent or vibrating molecule.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from quantum._checks import check_array
from quantum.spins.dipolar import check_saupe, couplings_by_order
from quantum.spins.molecule import Molecule

_BASIS = np.zeros((5, 3, 3))
for _k, _entries in enumerate(
    (((0, 0, 1), (2, 2, -1)), ((1, 1, 1), (2, 2, -1)), ((0, 1, 1), (1, 0, 1)), ((0, 2, 1), (2, 0, 1)),
     ((1, 2, 1), (2, 1, 1)))
):  # fmt: skip
    for _a, _b, _value in _entries:
        _BASIS[_k, _a, _b] = _value
_SINGULAR = 1e-8  # of the largest singular value: below, an entry is open


class OrderFit(NamedTuple):
    """An order tensor and how well it is known.

    Attributes:
        saupe: The tensor in the frame of the molecule.
        covariance: Of (Sxx, Syy, Sxy, Sxz, Syz).
        chi_squared: Sum of squared misses over their standard errors.
        n_couplings: How many couplings were used; five of them are spent.
    """

    saupe: Float[np.ndarray, "3 3"]
    covariance: Float[np.ndarray, "5 5"]
    chi_squared: float
    n_couplings: int


def fit_order_tensor(
    molecule: Molecule,
    couplings_hz: Float[np.ndarray, "..."],
    standard_error_hz: float | int = 1.0,
) -> OrderFit:
    """Order tensor of a molecule of known geometry.

    Args:
        molecule: Nuclei, positions and groups that turn.
        couplings_hz: Measured D_ij in Hz, (spins, spins), with their signs, spins in the order of
            `molecule.spin_places`; NaN where there is none. Of a pair given in both orders the upper one counts.
        standard_error_hz: Standard error of each in Hz.

    Raises:
        ValueError: If couplings have another shape, leave an entry of the tensor open, or lead to no Saupe tensor.
    """
    n = len(molecule.spin_places())
    found = np.asarray(couplings_hz, dtype=float)
    if found.shape != (n, n):
        raise ValueError(
            f"`couplings_hz` must have shape {(n, n)}, one row for each spin 1/2, but has {found.shape}; give NaN "
            "where nothing was measured."
        )
    check_array(standard_error_hz, "standard_error_hz", (), "Hz", "one for all couplings")
    if not standard_error_hz > 0:
        raise ValueError(
            f"`standard_error_hz` must be positive, but is {standard_error_hz:g} Hz; estimate it from the lines."
        )
    rows, columns = np.nonzero(np.triu(~np.isnan(found), 1))
    design = np.stack(
        [np.asarray(couplings_by_order(molecule, unit))[rows, columns] for unit in _BASIS], 1
    )
    strengths = np.linalg.svd(design, compute_uv=False) if len(rows) else np.zeros(0)
    known = int((strengths > _SINGULAR * strengths.max(initial=0)).sum())
    if known < 5:
        raise ValueError(
            f"`couplings_hz` must fix five entries of the order tensor, but {len(rows)} couplings fix {known}; "
            "measure pairs in other directions, or give the tensor."
        )
    data = found[rows, columns]
    entries = np.linalg.lstsq(design, data, rcond=None)[0]
    saupe = np.tensordot(entries, _BASIS, 1)
    check_saupe(saupe)
    misses = (data - design @ entries) / standard_error_hz
    covariance = standard_error_hz**2 * np.linalg.inv(design.T @ design)
    return OrderFit(saupe, covariance, float(misses @ misses), len(rows))
