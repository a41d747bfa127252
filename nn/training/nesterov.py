"""Nesterov's method as a rolling ball: the differential equation, its energies, and the steps it is the limit of.

    X'' + (r / t) X' + grad f(X) = 0,   X(0) = x0, X'(0) = 0

is the limit of small steps of Nesterov's accelerated gradient for r = 3 (W. Su, S. Boyd, E. Candes, J. Mach. Learn.
Res. 17, 153 (2016)). That its ball comes to rest at one minimiser was shown for r = 3 by U. Jang and E. K. Ryu, arXiv
2510.23513 (2025), and by R. I. Bot, J. Fadili and D.-K. Nguyen, arXiv 2510.22715 (2025). Solved here in X and

    U = t X' + (r - 1) X,   U' = -t grad f(X),   X' = (U - (r - 1) X) / t,

in which friction and start are without danger and the energy of every minimiser z is a sum of squares,

    E_z = t^2 (f(X) - f*) + |U - (r - 1) z|^2 / 2,   dE_z/dt <= (3 - r) t (f - f*),

so that it never rises for r >= 3. Energies of a part in 1e11 need double precision.
"""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nn._checks import check_at_least, check_finite, check_positive

Objective = Callable[[Any], Any]
START_TIME = 1e-4


class Path(NamedTuple):
    """A ball's path at given times.

    Attributes:
        time: Times t.
        position: X.
        momentum: U = t X' + (r - 1) X.
        value: f(X).
        n_steps: Steps of the solver.
    """

    time: Float[Array, " time"]
    position: Float[Array, "time n"]
    momentum: Float[Array, "time n"]
    value: Float[Array, " time"]
    n_steps: Any

    def velocity(self, r: float | int) -> Float[Array, "time n"]:
        """X' for the friction that the path was solved with."""
        return (self.momentum - (r - 1) * self.position) / self.time[:, None]


def nesterov_flow(
    f: Objective,
    x0: Float[Array, " n"],
    times: Float[Array | np.ndarray, " time"],
    *,
    r: float | int = 3,
    rtol: float = 1e-11,
    atol: float = 1e-13,
    max_steps: int = 100_000,
) -> Path:
    """Solves the ball's equation by an adaptive Runge-Kutta method of order 8 (diffrax, Dopri8).

    Args:
        f: Convex, differentiable objective, point -> number.
        x0: Where it starts at rest.
        times: Increasing times at which the path is wanted, after 1e-4: until then it is the series
            X = x0 - grad f(x0) t^2 / (2 (r + 1)), whose error is of order t^4.
        r: Friction; 3 is Nesterov's.
        rtol: Relative tolerance of a step.
        atol: Absolute tolerance of a step.
        max_steps: Most steps; friction below 1 needs hundreds of thousands.

    Raises:
        ValueError: If `r` or a time is not positive, times do not increase, or `x0` is not finite or not in double
            precision.
        ModuleNotFoundError: If diffrax is missing.
        RuntimeError: If more steps are needed; from diffrax.
    """
    check_positive(r, "r", hint="Without friction the ball never rests.")
    check_finite(x0, "x0")
    if x0.dtype != jnp.float64:
        raise ValueError(
            f"`x0` must be float64, since energies differ by 1e-11, but is {x0.dtype}; run in double precision."
        )
    grid = np.asarray(times, float)
    if grid.ndim != 1 or not grid.size or grid[0] <= START_TIME or (np.diff(grid) <= 0).any():
        raise ValueError(
            f"`times` must increase from above {START_TIME:g}, but starts at {grid.ravel()[:1]}."
        )
    try:
        importlib.import_module("diffrax")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "`diffrax` must be installed to solve the ball's equation, but is missing; the extra `ode` of lightecho "
            "brings it.",
            name=error.name,
        ) from None
    numbers = [jnp.asarray(value, jnp.float64) for value in (r, rtol, atol)]
    return _solved(f, x0, jnp.asarray(grid), numbers, max_steps)


@eqx.filter_jit
def _solved(f, x0, times, numbers, max_steps) -> Path:
    """One program for every friction."""
    import diffrax

    r, rtol, atol = numbers
    slope = jax.grad(f)

    def motion(t, state, args):
        del args
        x, u = state
        return (u - (r - 1) * x) / t, -t * slope(x)

    pull = slope(x0)
    x = x0 - pull * START_TIME**2 / (2 * (r + 1))
    u = (r - 1) * x - pull * START_TIME**2 / (r + 1)
    found = diffrax.diffeqsolve(
        diffrax.ODETerm(motion),
        diffrax.Dopri8(),
        t0=START_TIME,
        t1=times[-1],
        dt0=START_TIME,
        y0=(x, u),
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        max_steps=max_steps,
    )
    assert found.ys is not None
    position, momentum = found.ys
    return Path(times, position, momentum, jax.vmap(f)(position), found.stats["num_steps"])


def flow_energy(
    path: Path,
    minimisers: Float[Array | np.ndarray, "minimiser n"],
    *,
    r: float | int = 3,
    minimum: float | int = 0.0,
) -> Float[Array, "minimiser time"]:
    """E_z along a path for many minimisers z at once; none of them rises where r >= 3.

    Args:
        path: Path of the ball.
        minimisers: Points with f = f*.
        r: Friction of the path.
        minimum: f*.
    """
    off = path.momentum[None] - (r - 1) * jnp.asarray(minimisers)[:, None]
    rest = path.time**2 * (path.value - minimum)
    return rest[None] + 0.5 * jnp.sum(off**2, axis=-1)


class Steps(NamedTuple):
    """Iterates of an accelerated method.

    Attributes:
        position: x_0 to x_n.
        estimate: z_0 to z_n of the energy: x_{k-1} + theta_{k-1} (x_k - x_{k-1}), z_0 = x_0.
        value: f(x_k).
        weight: theta_{k-1}^2 of the energy, with 0 first.
    """

    position: Float[Array, "step n"]
    estimate: Float[Array, "step n"]
    value: Float[Array, " step"]
    weight: Float[Array, " step"]


def nesterov_steps(
    f: Objective,
    x0: Float[Array, " n"],
    step: float | Float[Array, ""],
    n_steps: int,
    *,
    prox: Callable[[Any, Any], Any] = lambda x, step: x,
    r: float | int | None = None,
) -> Steps:
    """Nesterov's accelerated gradient; with `prox` it is FISTA (A. Beck, M. Teboulle, DOI 10.1137/080716542 (2009)).

        x_{k+1} = prox(y_k - s grad f(y_k)),   y_{k+1} = x_{k+1} + (theta_k - 1) / theta_{k+1} (x_{k+1} - x_k),
        theta_{k+1} = (1 + sqrt(1 + 4 theta_k^2)) / 2,   theta_0 = 1.

    Args:
        f: Convex, differentiable part of the objective.
        x0: Where it starts.
        step: Step s, at most 1 / L for a gradient with Lipschitz constant L.
        n_steps: Steps.
        prox: (point, step) -> proximal point of the other part; by default there is none.
        r: With a number the momentum after step k is (k - 1) / (k + r - 1) instead, whose limit is the ball of
            friction r.

    Raises:
        ValueError: If the step or `r` is not positive, or `n_steps` below 1.
    """
    check_positive(step, "step")
    check_at_least(n_steps, 1, "n_steps")
    if r is not None:
        check_positive(r, "r")
    slope = jax.grad(f)

    def move(carry, k):
        x, y, theta = carry
        new = prox(y - step * slope(y), step)
        later = (1 + jnp.sqrt(1 + 4 * theta**2)) / 2
        z = x + theta * (new - x)
        push = (theta - 1) / later if r is None else (k - 1) / (k + r - 1)
        return (new, new + push * (new - x), later), (new, z, theta**2)

    numbers = jnp.arange(1, n_steps + 1, dtype=x0.dtype)
    one = jnp.ones((), x0.dtype)
    _, (x, z, weight) = jax.lax.scan(move, (x0, x0, one), numbers)
    position = jnp.concatenate([x0[None], x])
    estimate = jnp.concatenate([x0[None], z])
    weight = jnp.concatenate([jnp.zeros(1, x0.dtype), weight])
    return Steps(position, estimate, jax.vmap(f)(position), weight)


def steps_energy(
    steps: Steps,
    minimisers: Float[Array | np.ndarray, "minimiser n"],
    step: float | Float[Array, ""],
    minimum: float | int = 0.0,
) -> Float[Array, "minimiser step"]:
    """E_k = theta_{k-1}^2 (f(x_k) - f*) + |z_k - z|^2 / (2 s), which never rises for s <= 1 / L.

    For the momentum of `theta` only. With a proximal part pass steps whose `value` is the whole objective.

    Args:
        steps: Iterates.
        minimisers: Points with f = f*.
        step: Their step s.
        minimum: f*.
    """
    off = steps.estimate[None] - jnp.asarray(minimisers)[:, None]
    return (steps.weight * (steps.value - minimum))[None] + jnp.sum(off**2, axis=-1) / (2 * step)


def optimised_gradient_steps(
    f: Objective, x0: Float[Array, " n"], step: float | Float[Array, ""], n_steps: int
) -> Float[Array, "step n"]:
    """The optimised gradient method (D. Kim, J. A. Fessler, DOI 10.1007/s10107-015-0949-3 (2016)).

    Its bound after `n_steps` steps, L |x0 - z|^2 / (2 theta_n^2), is half of Nesterov's. The last step has a theta of
    its own, (1 + sqrt(1 + 8 theta^2)) / 2.

    Args:
        f: Convex, differentiable objective.
        x0: Where it starts.
        step: 1 / L.
        n_steps: Steps; the method is made for this number.

    Returns:
        Points at which gradients are taken, x_0 to x_n; the bound holds for the last.

    Raises:
        ValueError: If the step is not positive or `n_steps` below 1.
    """
    check_positive(step, "step")
    check_at_least(n_steps, 1, "n_steps")
    slope = jax.grad(f)

    def move(carry, factor):
        x, y, theta = carry
        new = x - step * slope(x)
        later = (1 + jnp.sqrt(1 + factor * theta**2)) / 2
        ahead = new + (theta - 1) / later * (new - y) + theta / later * (new - x)
        return (ahead, new, later), ahead

    factors = jnp.full(n_steps, 4.0, x0.dtype).at[-1].set(8.0)
    _, points = jax.lax.scan(move, (x0, x0, jnp.ones((), x0.dtype)), factors)
    return jnp.concatenate([x0[None], points])
