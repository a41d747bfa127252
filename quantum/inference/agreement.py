"""Whether two devices that measure the same numbers with finite shots agree.

    z^2 = (a - b)^2 / Var(a - b),   Var = 2 (1 - m^2) / shots with the pooled mean m of two readings of +-1

For devices that agree the mean of z^2 is 1 at any number of shots; where one of them is off it grows in proportion to
the shots. Over n numbers its mean follows chi^2_n / n. Left out: noise other than that of the shots.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from quantum._checks import check_count, check_in_range


def squared_pulls(
    first: Float[np.ndarray, " numbers"],
    second: Float[np.ndarray, " numbers"],
    shots: int,
    n_repeats: int,
    *,
    seed: int | Sequence[int] | np.random.Generator,
) -> Float[np.ndarray, "n_repeats numbers"]:
    """z^2 of two measurements of every number with `shots` readings of +-1 each, drawn anew `n_repeats` times.

    Args:
        first: Exact means of one device, in [-1, 1].
        second: Those of the other.
        shots: Readings of each number by each device.
        n_repeats: Repeats of the comparison.
        seed: Of the readings.

    Raises:
        ValueError: If a count is below 1.
    """
    check_count(shots, "shots", 1)
    check_count(n_repeats, "n_repeats", 1)
    rng = np.random.default_rng(seed)
    means = []
    for exact in (first, second):
        ups = rng.binomial(shots, np.clip((1 + exact) / 2, 0, 1), size=(n_repeats, exact.size))
        means.append(2 * ups / shots - 1)
    # Variance of the difference under the hypothesis of one value; 1/shots keeps it from 0 where all shots agree.
    pooled = (means[0] + means[1]) / 2
    return (means[0] - means[1]) ** 2 / (2 * (1 - pooled**2 + 1 / shots) / shots)


def agreement_limit(n_numbers: int, share: float = 0.99) -> float:
    """Mean z^2 over `n_numbers` that two equal devices stay below in a `share` of comparisons.

    Raises:
        ValueError: If there is no number, or the share lies outside [0, 1].
    """
    check_count(n_numbers, "n_numbers", 1)
    check_in_range(share, "share", 0, 1)
    return float(chi2.ppf(share, n_numbers) / n_numbers)


def share_caught(
    z_squared: Float[np.ndarray, "*more n_repeats numbers"], limit: float
) -> Float[np.ndarray, "*more"]:
    """Share of the repeats whose mean z^2 lies above the limit."""
    return np.asarray((z_squared.mean(axis=-1) > limit).mean(axis=-1))
