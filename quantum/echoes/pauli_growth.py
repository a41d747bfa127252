"""How many Pauli strings an evolved observable needs, how far drawn loops of them scatter, and the law of both in size.

An observable O(t) = sum_a b_a P_a, sum b_a^2 = 1, is kept to a share of its norm by the fewest strings whose b_a^2 sum
up to that share; leaving out the rest makes an rms error of sqrt(1 - share) over random input states, so that a share
of 0.99 is a lenient truncation. A loop of four strings, drawn as in `quantum.echoes.pauli_paths`, estimates the
off-diagonal part of C^(4) with a spread s of its own. Both grow exponentially in the number of qubits n, so that

    log2(quantity) = a + b n

is fitted by least squares to what was measured at sizes small enough to be exact. With residuals of variance v the fit
at n is off by sqrt(v (1/m + (n - mean)^2 / sum (n_i - mean)^2)) for m circuits, each with a residual of its own. That
is the statistical error only: whether the law still holds where nothing was measured, no fit can say, and small
circuits that fill their register less than large ones make it too steep. A bound that is known for certain comes in as
`ceiling`: 2 n for the strings, since there are 4^n.

Textbook least squares; what is kept is our own definition. Leaves out truncation on the way, which may need more
strings at a time than at the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantum._checks import check_in_range
from quantum.circuits.pauli import PauliString
from quantum.echoes.pauli_paths import sample_off_diagonal
from quantum.engines.pauli_propagation import PauliSum


@dataclass(frozen=True)
class Growth:
    """A fitted law log2(quantity) = intercept + slope n.

    Attributes:
        intercept: log2 of the quantity at n = 0.
        slope: Doublings for each qubit.
        slope_error: Standard error of the slope.
        residual: Standard deviation of log2(quantity) about the law, from circuit to circuit.
        mean_size: Mean number of qubits of what was fitted.
        n_fitted: Number of circuits fitted.
    """

    intercept: float
    slope: float
    slope_error: float
    residual: float
    mean_size: float
    n_fitted: int

    def log2_at(self, n_qubits: int, ceiling: float | int = np.inf) -> tuple[float, float]:
        """log2 of the quantity at a size, at most `ceiling`, and the standard error of the law there."""
        off = self.slope_error * (n_qubits - self.mean_size)
        error = np.hypot(self.residual / np.sqrt(self.n_fitted), off)
        return float(min(self.intercept + self.slope * n_qubits, ceiling)), float(error)


def fit_growth(sizes: Sequence[int], quantities: Sequence[float | int]) -> Growth:
    """Fits the law to one quantity of every circuit.

    Args:
        sizes: Number of qubits of every circuit, of two sizes or more.
        quantities: What was measured on it, positive.

    Raises:
        ValueError: If there are less than three circuits, only one size, or a quantity is not positive.
    """
    n, values = np.asarray(sizes, float), np.asarray(quantities, float)
    if n.shape != values.shape or n.ndim != 1 or len(n) < 3:
        raise ValueError(
            f"`sizes` must be three or more, one for each of `quantities`, but are {n.size} for {values.size}."
        )
    if len(set(sizes)) < 2:
        raise ValueError(f"`sizes` must hold two sizes or more, but all are {sizes[0]}.")
    if not (values > 0).all():
        raise ValueError(f"`quantities` must be positive, but one is {values.min():g}.")
    logs, apart = np.log2(values), n - n.mean()
    slope = float(apart @ logs / (apart @ apart))
    intercept = float(logs.mean() - slope * n.mean())
    residual = float(np.sqrt(np.sum((logs - intercept - slope * n) ** 2) / (len(n) - 2)))
    slope_error = float(residual / np.sqrt(apart @ apart))
    return Growth(intercept, slope, slope_error, residual, float(n.mean()), len(n))


def strings_for_share(evolved: PauliSum, share: float | int) -> int:
    """Fewest strings that hold a share of the norm squared of an evolved observable.

    Raises:
        ValueError: If the share is not within 0 and 1, or more than truncation has left.
    """
    check_in_range(share, "share", 0, 1)
    squares = np.sort(evolved.coefficients**2)[::-1]
    # Rounding may keep the sum below a share of one.
    needed = share * (1 - 1e-12)
    if squares.sum() < needed:
        raise ValueError(
            f"`share` must be at most {squares.sum():.6g}, what truncation has left, but is {share:g}."
        )
    return int(np.searchsorted(np.cumsum(squares), needed)) + 1


def loop_spread(evolved: PauliSum, other: PauliString, n_samples: int, *, seed: int) -> float:
    """Measured standard deviation of one drawn loop of four strings; see `quantum.echoes.pauli_paths`.

    Args:
        evolved: B(t), all strings of it.
        other: M.
        n_samples: Number of loops drawn.
        seed: Seed of the draws.
    """
    _, error = sample_off_diagonal(evolved, other, n_samples, seed=seed)
    return float(error * np.sqrt(n_samples))
