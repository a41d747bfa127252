"""Learning the parameters of a Hamiltonian from correlators: maximum likelihood with a model that JAX differentiates.

Any forward model p -> m(p) will do: a circuit with an unknown phase, an echo of dipolar couplings. The estimate
maximises ln L (`quantum.inference.likelihood`) by least squares from many starts, because correlators oscillate in
their parameters and ln L has many maxima. Its error is that of the Fisher matrix at the maximum, F^-1, good where the
model is linear across the error; `quantum.inference.errors` has errors that need less. Parameters come in the model's
units; their order is that of `names`. Leaves out priors, and models whose own noise is unknown.

Source: P. McCullagh, J. A. Nelder, Generalized Linear Models, 2nd ed., Chapman and Hall (1989), chapter 2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import jax
import numpy as np
from jax.tree_util import Partial
from scipy.optimize import least_squares
from scipy.stats import chi2, qmc

from quantum._checks import check_choice, check_count
from quantum._numbers import as_real
from quantum.estimates import Estimate
from quantum.inference.likelihood import Identifiability, Likelihood, cramer_rao, identify

_SAME = 1e-3  # of ln L: starts that end no lower than this have found the same maximum (our choice)


_TURNS = {"forward": jax.jacfwd, "reverse": jax.jacrev}
_predict_shared = jax.jit(lambda function, parameters: function(parameters))
_SHARED_JACOBIANS = {
    name: jax.jit(lambda function, parameters, turn=turn: turn(function)(parameters))
    for name, turn in _TURNS.items()
}


@dataclass(frozen=True, eq=False)
class ForwardModel:
    """What is measured as a function of what is to be learned.

    Attributes:
        function: Parameters (parameters,) to predictions (points,), in JAX. A `jax.tree_util.Partial` is compiled once
            for all models that differ in the values of its arrays alone, anything else once for each model.
        names: Name of each parameter.
        lower: Least value of each, in its unit.
        upper: Largest value of each, in its unit.
        derivative: "forward" for few parameters; "reverse" where `function` has a reverse derivative alone, such as
            that of `jax_engine.evolve`.

    Raises:
        ValueError: If there is no parameter, names repeat, or bounds do not fit.
    """

    function: Callable[[Any], Any]
    names: tuple[str, ...]
    lower: tuple[float | int, ...]
    upper: tuple[float | int, ...]
    derivative: Literal["forward", "reverse"] = "forward"

    def __post_init__(self):
        check_choice(self.derivative, "derivative", ("forward", "reverse"))
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"`names` must name different parameters, but are {self.names}.")
        if not len(self.lower) == len(self.upper) == len(self.names):
            raise ValueError(
                f"`lower` and `upper` must hold {len(self.names)} bounds for {', '.join(self.names)}, "
                f"but hold {len(self.lower)} and {len(self.upper)}."
            )
        for name, low, high in zip(self.names, self.lower, self.upper, strict=True):
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise ValueError(
                    f"`lower` must be finite and below `upper`, but {name} goes from {low:g} to {high:g}."
                )

    @cached_property
    def _predict(self):
        if isinstance(self.function, Partial):
            return partial(_predict_shared, self.function)
        return jax.jit(self.function)

    @cached_property
    def _jacobian(self):
        if isinstance(self.function, Partial):
            return partial(_SHARED_JACOBIANS[self.derivative], self.function)
        return jax.jit(_TURNS[self.derivative](self.function))

    def predict(self, parameters: np.ndarray) -> np.ndarray:
        """Predictions, (points,).

        Raises:
            FloatingPointError: If one is not finite.
        """
        return self._checked(self._predict(as_real(parameters)), parameters)

    def jacobian(self, parameters: np.ndarray) -> np.ndarray:
        """Derivative of the predictions, (points, parameters)."""
        return self._checked(self._jacobian(as_real(parameters)), parameters)

    def _checked(self, values, parameters) -> np.ndarray:
        array = np.asarray(values, float)
        if not np.isfinite(array).all():
            at = ", ".join(f"{n} = {p:.6g}" for n, p in zip(self.names, parameters, strict=True))
            raise FloatingPointError(
                f"`function` must give finite predictions and derivatives, but does not at {at}; narrow the bounds."
            )
        return array


@dataclass(frozen=True, eq=False)
class Fit:
    """A maximum of the likelihood.

    Attributes:
        names: Parameters.
        values: Their estimates, (parameters,).
        log_likelihood: ln L there, up to a constant of the data.
        chi_squared: Twice how far ln L stays below that of predictions equal to the data.
        degrees_of_freedom: Points minus parameters.
        fisher: Fisher matrix there, (parameters, parameters).
        agreeing: Share of the starts that ended in this maximum.
    """

    names: tuple[str, ...]
    values: np.ndarray
    log_likelihood: float
    chi_squared: float
    degrees_of_freedom: int
    fisher: np.ndarray
    agreeing: float

    @property
    def covariance(self) -> np.ndarray:
        """F^-1; raises ValueError where the data leave a direction undetermined."""
        return cramer_rao(self.fisher, self.names)

    @property
    def identifiability(self) -> Identifiability:
        """Which combinations of parameters the data determine."""
        return identify(self.fisher, self.names)

    @property
    def p_value(self) -> float:
        """Chance of so large a chi^2 if the model holds; 1 without degrees of freedom."""
        if self.degrees_of_freedom < 1:
            return 1.0
        return float(chi2.sf(self.chi_squared, self.degrees_of_freedom))

    def estimate(self, name: str) -> Estimate:
        """One parameter with its Fisher error."""
        check_choice(name, "name", self.names)
        k = self.names.index(name)
        return Estimate(float(self.values[k]), float(np.sqrt(self.covariance[k, k])))


def fisher_information(
    model: ForwardModel, likelihood: Likelihood, parameters: np.ndarray
) -> np.ndarray:
    """F = J^T W J at some parameters, (parameters, parameters)."""
    prediction = predicted(model, likelihood, parameters)
    return likelihood.fisher(prediction, model.jacobian(parameters))


def log_likelihood(
    model: ForwardModel, likelihood: Likelihood, parameters: np.ndarray
) -> tuple[float, np.ndarray]:
    """ln L up to a constant, and its gradient, (parameters,)."""
    prediction = predicted(model, likelihood, parameters)
    gradient = likelihood.gradient(prediction, model.jacobian(parameters))
    return likelihood.log_likelihood(prediction), gradient


def fit(
    model: ForwardModel,
    likelihood: Likelihood,
    starts: np.ndarray | int = 16,
    *,
    seed: int = 0,
) -> Fit:
    """Maximum likelihood: least squares on the residuals from every start, the best end is taken.

    Args:
        model: What is measured as a function of the parameters.
        likelihood: The data.
        starts: Points to start from, (starts, parameters), or how many are spread over the bounds (Sobol points).
        seed: Seed of the spread.

    Raises:
        ValueError: If the model predicts another number of points, or a start lies outside the bounds.
        FloatingPointError: If a prediction is not finite.
    """
    points = _starts(model, starts, seed=seed)
    predicted(model, likelihood, points[0])
    ends = [descend(model, likelihood, point) for point in points]
    costs = np.array([cost for cost, _ in ends])
    best = ends[int(costs.argmin())][1]
    prediction = model.predict(best)
    return Fit(
        model.names,
        best,
        likelihood.log_likelihood(prediction),
        2 * float(costs.min()),
        likelihood.n_points - len(model.names),
        likelihood.fisher(prediction, model.jacobian(best)),
        float(np.mean(costs < costs.min() + _SAME)),
    )


def predicted(model: ForwardModel, likelihood: Likelihood, parameters: np.ndarray) -> np.ndarray:
    """Predictions, one for each data point, or a ValueError."""
    prediction = model.predict(parameters)
    if prediction.shape != likelihood.data.shape:
        raise ValueError(
            f"`function` must predict {likelihood.n_points} points like the data, but predicts {prediction.shape}."
        )
    return prediction


def _starts(model: ForwardModel, starts: np.ndarray | int, *, seed: int) -> np.ndarray:
    low, high = np.array(model.lower, float), np.array(model.upper, float)
    if isinstance(starts, int | np.integer):
        check_count(starts, "starts", 1)
        power = int(np.ceil(np.log2(starts)))
        spread = qmc.Sobol(len(low), rng=np.random.default_rng(seed)).random_base2(power)[:starts]
        return low + spread * (high - low)
    points = np.atleast_2d(np.asarray(starts, float))
    if points.shape[1] != len(low) or not ((low <= points) & (points <= high)).all():
        raise ValueError(
            f"`starts` must lie within the bounds of {', '.join(model.names)}, but are {points.tolist()}."
        )
    return points


def descend(
    model: ForwardModel, likelihood: Likelihood, start: np.ndarray, held: int | None = None
) -> tuple[float, np.ndarray]:
    """The minimum of sum r^2 / 2 that lies downhill of a start.

    Args:
        model: Forward model.
        likelihood: The data.
        start: Parameters to start from; moved into the bounds.
        held: Number of a parameter that stays where it is.

    Returns:
        The minimum and the parameters there.
    """
    low, high = np.array(model.lower, float), np.array(model.upper, float)
    free = np.arange(len(low)) != (-1 if held is None else held)
    point = np.array(start, float)

    def whole(part: np.ndarray) -> np.ndarray:
        full = point.copy()
        full[free] = part
        return full

    def residuals(part: np.ndarray) -> np.ndarray:
        return likelihood.residuals(model.predict(whole(part)))

    def jacobian(part: np.ndarray) -> np.ndarray:
        full = whole(part)
        slopes = model.jacobian(full)
        return likelihood.residual_jacobian(model.predict(full), slopes)[:, free]

    if not free.any():
        return 0.5 * float(np.sum(residuals(point[free]) ** 2)), point
    found = least_squares(
        residuals,
        np.clip(point, low, high)[free],
        jacobian,  # type: ignore[arg-type]  # the stubs know only the names of difference schemes
        bounds=(low[free], high[free]),
        x_scale=(high - low)[free],
    )
    return float(found.cost), whole(found.x)
