"""Errors of learned parameters beyond the Fisher matrix, and whether intervals hold what they promise.

- Profile: 2 [ln L(best) - max over the other parameters of ln L] <= chi^2 of the wanted level. Needs no linearity and
  shows second minima (S. S. Wilks, Ann. Math. Stat. 9, 60 (1938), DOI 10.1214/aoms/1177732360).
- Parametric bootstrap: refits of data drawn from the fitted model.
- Group bootstrap: refits of groups of points (circuits, say) taken with replacement; it holds even if the stated
  errors of the data do not (B. Efron, R. Tibshirani, An Introduction to the Bootstrap, Chapman and Hall (1993),
  chapters 6 and 9).
- `coverage` draws data with a known truth, fits them without telling the fit where to start, and counts how often the
  interval holds the truth.

Leaves out bias-corrected bootstrap intervals and Bayesian intervals.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import chi2, norm

from quantum._checks import check_choice, check_count, check_in_range
from quantum.estimates import Estimate
from quantum.inference.fitting import Fit, ForwardModel, descend, fit, predicted
from quantum.inference.likelihood import Likelihood


@dataclass(frozen=True, eq=False)
class Profile:
    """The likelihood along one parameter, the others at their best for each value.

    Attributes:
        name: The parameter.
        values: Its values, rising.
        drop: 2 [ln L(best) - ln L] at each, at least 0 up to rounding.
    """

    name: str
    values: np.ndarray
    drop: np.ndarray

    def intervals(self, level: float = 0.683) -> list[tuple[float, float]]:
        """All stretches whose drop lies below chi^2 of `level`; more than one where the parameter is ambiguous.

        A stretch that reaches an end of `values` ends there.
        """
        check_in_range(level, "level", 0, 1)
        height = self.drop - chi2.ppf(level, 1)
        x = self.values
        cross = np.flatnonzero(np.sign(height[1:]) != np.sign(height[:-1]))
        at = x[cross] - height[cross] * (x[cross + 1] - x[cross]) / (
            height[cross + 1] - height[cross]
        )
        edges = [x[0], *at, x[-1]] if height[0] < 0 else [*at, x[-1]]
        return [(float(a), float(b)) for a, b in zip(edges[::2], edges[1::2], strict=False)]


def profile(
    model: ForwardModel, likelihood: Likelihood, best: Fit, name: str, values: np.ndarray
) -> Profile:
    """Profile likelihood of one parameter.

    Each value starts from the ends found for its neighbour on the way out from the best fit.

    Raises:
        ValueError: If there is no such parameter, or the values do not rise.
    """
    check_choice(name, "name", model.names)
    x = np.asarray(values, float)
    if x.ndim != 1 or x.size < 2 or not (np.diff(x) > 0).all():
        raise ValueError(f"`values` must rise, two or more, but are {x}.")
    k = model.names.index(name)
    costs = np.empty(x.size)
    middle = int(np.clip(np.searchsorted(x, best.values[k]), 0, x.size - 1))
    for side in (range(middle, x.size), range(middle - 1, -1, -1)):
        point = best.values.copy()
        for row in side:
            point[k] = x[row]
            costs[row], point = descend(model, likelihood, point, k)
    return Profile(name, x, 2 * costs - best.chi_squared)


def parametric_bootstrap(
    model: ForwardModel, likelihood: Likelihood, best: Fit, n: int, *, seed: int
) -> np.ndarray:
    """Refits of data drawn from the fitted model, each from the best fit, (n, parameters).

    Raises:
        ValueError: If `n` is below 2.
    """
    check_count(n, "n", 2)
    rng = np.random.default_rng(seed)
    prediction = model.predict(best.values)
    drawn = (likelihood.redrawn(prediction, rng) for _ in range(n))
    return np.stack([descend(model, data, best.values)[1] for data in drawn])


def group_bootstrap(
    model: ForwardModel,
    likelihood: Likelihood,
    best: Fit,
    n: int,
    *,
    seed: int,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Refits of groups of points taken with replacement, (n, parameters): right even if the stated errors are not.

    Args:
        model: Forward model.
        likelihood: The data.
        best: Fit to start from.
        n: Number of refits.
        seed: Seed of the draws.
        groups: Group of every point, such as its circuit, (points,); every point by itself by default. Correlated
            points belong into one group.

    Raises:
        ValueError: If there are fewer than two groups or refits, or the covariance joins two groups.
    """
    check_count(n, "n", 2)
    rng = np.random.default_rng(seed)
    given = np.arange(likelihood.n_points) if groups is None else np.asarray(groups)
    if given.shape != (likelihood.n_points,) or len(np.unique(given)) < 2:
        raise ValueError(
            f"`groups` must put {likelihood.n_points} points into two or more groups, but is {given}."
        )
    _, number = np.unique(given, return_inverse=True)
    count = number.max() + 1
    likelihood.weighted(1.0 + number)  # fails where the covariance joins two groups
    found = []
    for _ in range(n):
        drawn = np.bincount(rng.integers(count, size=count), minlength=count)
        data = replace(likelihood, weights=likelihood.weights * drawn[number])
        found.append(descend(model, data, best.values)[1])
    return np.stack(found)


@dataclass(frozen=True, eq=False)
class Coverage:
    """Estimates and their stated errors where the truth is known.

    Attributes:
        names: Parameters.
        truth: True values, (parameters,).
        values: Estimates, (repeats, parameters).
        errors: Their Fisher errors, (repeats, parameters).
    """

    names: tuple[str, ...]
    truth: np.ndarray
    values: np.ndarray
    errors: np.ndarray

    @property
    def pulls(self) -> np.ndarray:
        """(estimate - truth) / error: mean 0 and standard deviation 1 if all is right, (repeats, parameters)."""
        return (self.values - self.truth) / self.errors

    def fraction(self, name: str, level: float = 0.683) -> Estimate:
        """How often the interval of this level holds the truth, with the error of the count."""
        check_choice(name, "name", self.names)
        inside = np.abs(self.pulls[:, self.names.index(name)]) < norm.ppf((1 + level) / 2)
        # The error of a count of the wanted level, which does not vanish where all intervals hold the truth.
        return Estimate(float(inside.mean()), float(np.sqrt(level * (1 - level) / len(inside))))


def coverage(
    model: ForwardModel,
    likelihood: Likelihood,
    truth: np.ndarray,
    n: int,
    *,
    seed: int,
    starts: np.ndarray | int = 16,
) -> Coverage:
    """Draws data at a known truth and learns it again, `n` times, without telling the fit where to start.

    Args:
        model: Forward model.
        likelihood: Errors and shots of the data; its own data are not used.
        truth: True parameters.
        n: Repeats, at least 2.
        seed: Seed of the draws and of the starts.
        starts: As in `fit`.
    """
    check_count(n, "n", 2)
    rng = np.random.default_rng(seed)
    true = np.asarray(truth, float)
    prediction = predicted(model, likelihood, true)
    fits = [
        fit(model, likelihood.redrawn(prediction, rng), starts, seed=seed + k) for k in range(n)
    ]
    errors = [np.sqrt(np.diag(found.covariance)) for found in fits]
    return Coverage(model.names, true, np.stack([f.values for f in fits]), np.stack(errors))
