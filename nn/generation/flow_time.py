"""Time of a flow from noise to data, its two conventions, and the calculus of time shifts.

    x_t = (1 - t) noise + t data            noise at 0: SVG, SiT, flow matching
    x_tau = tau noise + (1 - tau) data      noise at 1: Stable Diffusion 3, Flux, RAE;  tau = 1 - t

A shift moves times towards noise or data without moving the ends,

    f(s, u) = s u / (1 + (s - 1) u),        logit f(s, u) = logit u + ln s,

so that shifts are a group: f(a, f(b, u)) = f(a b, u), f(1/s, f(s, u)) = u, and 1 - f(s, u) = f(1/s, 1 - u): a shift of
0.4 with noise at 0 is one of 2.5 with noise at 1. A number alone does not say which, nor whether times were shifted
before; so a `TimeShift` always says where its noise is, and a `TimeGrid` knows its shift and refuses a second one.

Everything that computes (loss, samplers, exact flows) has noise at 0. Sources: P. Esser et al., arXiv 2403.03206,
section 5.3.2 (shift, logit-normal times); SVG, arXiv 2510.15301; RAE, arXiv 2510.11690 (the rule by dimension).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import check_at_least, check_choice, check_in_range, check_positive, is_concrete

LAWS = ("uniform", "logit_normal")


def check_times(times, name: str = "t") -> None:
    """Raises ValueError unless concrete times lie in [0, 1]."""
    if not is_concrete(times):
        return
    values = np.asarray(times)
    bad = values[~((values >= 0) & (values <= 1))]
    if bad.size:
        hint = " A time of 0 to 1000 must be divided by 1000 first." if bad.max() > 1 else ""
        raise ValueError(f"`{name}` must lie between 0 and 1, but has {bad.flat[0]:g}.{hint}")


def shift_times(
    u: Float[Array, "*shape"], factor: Float[Array, ""] | float | int
) -> Float[Array, "*shape"]:
    """f(s, u) = s u / (1 + (s - 1) u), in the convention of `u`.

    Args:
        u: Times in [0, 1].
        factor: s, above 0; below 1 moves times towards 0.

    Raises:
        ValueError: If a time lies outside or the factor is not positive.
    """
    check_times(u, "u")
    check_positive(factor, "factor")
    return factor * u / (1 + (factor - 1) * u)


class TimeShift(eqx.Module):
    """A shift that says at which end of time the noise is; made by `make_shift`.

    Attributes:
        factor: s in f(s, u).
        noise_at: 0 or 1.
    """

    factor: Float[Array, ""]
    noise_at: int = eqx.field(static=True)

    def at(self, noise_at: int) -> "TimeShift":
        """The same shift in the other convention (or in its own): the factor is inverted.

        Raises:
            ValueError: If `noise_at` is neither 0 nor 1.
        """
        check_choice(noise_at, "noise_at", (0, 1))
        return self if noise_at == self.noise_at else TimeShift(1 / self.factor, noise_at)

    def then(self, later: "TimeShift") -> "TimeShift":
        """This shift and another after it, as one: factors multiply."""
        return TimeShift(self.factor * later.at(self.noise_at).factor, self.noise_at)

    def inverse(self) -> "TimeShift":
        """The shift that undoes this one."""
        return TimeShift(1 / self.factor, self.noise_at)

    def __call__(self, u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """f(s, u), times of the convention of this shift.

        Raises:
            ValueError: If a time lies outside [0, 1].
        """
        return shift_times(u, self.factor)

    def density(self, t: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Density at t of shifted uniform times, s / (s + (1 - s) t)^2; its median is s / (1 + s)."""
        return self.factor / (self.factor + (1 - self.factor) * t) ** 2


def make_shift(factor: Float[Array, ""] | float | int, *, noise_at: int) -> TimeShift:
    """A shift.

    Args:
        factor: s in f(s, u).
        noise_at: 0 or 1; the end of time that is noise.

    Raises:
        ValueError: If the factor is not positive or `noise_at` neither 0 nor 1.
    """
    check_positive(factor, "factor", hint="A shift of 1 changes nothing.")
    check_choice(noise_at, "noise_at", (0, 1))
    return TimeShift(jnp.asarray(factor, float), noise_at)


def shift_by_mu(mu: Float[Array, ""] | float | int) -> TimeShift:
    """The shift e^mu with noise at 1, as Flux and its schedulers write it."""
    return TimeShift(jnp.exp(jnp.asarray(mu, float)), 1)


def flux_mu(n_tokens: int) -> float:
    """mu of Flux, on a line: 0.5 at 256 picture tokens, 1.15 at 4096.

    Raises:
        ValueError: If the count is below 1.
    """
    check_at_least(n_tokens, 1, "n_tokens")
    return 0.5 + (1.15 - 0.5) * (n_tokens - 256) / (4096 - 256)


def shift_by_dimension(n_numbers: int, base: int = 4096) -> TimeShift:
    """The shift sqrt(numbers in a latent / base) with noise at 1 (arXiv 2510.11690).

    Args:
        n_numbers: Numbers in one latent: tokens times channels.
        base: Numbers at which nothing shifts.

    Raises:
        ValueError: If a count is below 1.
    """
    check_at_least(n_numbers, 1, "n_numbers")
    check_at_least(base, 1, "base")
    return make_shift((n_numbers / base) ** 0.5, noise_at=1)


class TimeLaw(eqx.Module):
    """How times are drawn in training: uniform or logit-normal, then shifted; made by `make_time_law`.

    Attributes:
        shift: The shift.
        mean: Mean of logit u of a logit-normal law, noise at 0.
        sd: Its standard deviation.
        kind: One of `LAWS`.
    """

    shift: TimeShift
    mean: Float[Array, ""]
    sd: Float[Array, ""]
    kind: str = eqx.field(static=True)

    def draw(self, n: int, *, key: PRNGKeyArray) -> Float[Array, " n"]:
        """Times with noise at 0."""
        if self.kind == "uniform":
            u = jax.random.uniform(key, (n,), self.mean.dtype)
        else:
            u = jax.nn.sigmoid(self.mean + self.sd * jax.random.normal(key, (n,), self.mean.dtype))
        return self.shift.at(0)(u)


def make_time_law(
    shift: TimeShift | None = None,
    kind: str = "uniform",
    *,
    mean: float | int = 0.0,
    sd: float | int = 1.0,
) -> TimeLaw:
    """How times are drawn in training.

    Args:
        shift: The shift; None shifts nothing. It moves the mean of a logit-normal law by ln s.
        kind: "uniform" or "logit_normal".
        mean: Mean of logit u of the logit-normal law, with noise at 0: its sign is the other with noise at 1.
        sd: Standard deviation of logit u.

    Raises:
        ValueError: If the kind is unknown or the deviation not positive.
    """
    check_choice(kind, "kind", LAWS)
    check_positive(sd, "sd")
    shift = make_shift(1.0, noise_at=0) if shift is None else shift
    return TimeLaw(shift, jnp.asarray(mean, float), jnp.asarray(sd, float), kind)


class TimeGrid(eqx.Module):
    """The times of a sampler. How many there are is data: another number does not compile anew.

    Attributes:
        n_steps: Steps.
        start: Time before the first step, noise at 0, before any shift.
        stop: Time after the last one; below `start` where the flow runs backwards.
        shift: The shift that all times have been through; None where there is none.
        listed: Times that were given one by one, noise at 0; None where they follow from the rest.
    """

    n_steps: Int[Array, ""]
    start: Float[Array, ""]
    stop: Float[Array, ""]
    shift: TimeShift | None
    listed: Float[Array, " points"] | None

    def time(self, step: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Time after `step` steps, noise at 0."""
        if self.listed is not None:
            return self.listed[step]
        # From both ends, so that the last step ends on `stop` exactly. Integers alone would divide in single precision.
        share = step.astype(self.start.dtype) / self.n_steps
        u = (1 - share) * self.start + share * self.stop
        return u if self.shift is None else self.shift.at(0)(u)

    def times(self, noise_at: int) -> Float[np.ndarray, " points"]:
        """All times, the first and the last included, in one of the conventions.

        Raises:
            ValueError: If `noise_at` is neither 0 nor 1.
        """
        check_choice(noise_at, "noise_at", (0, 1))
        found = np.asarray(self.time(jnp.arange(int(self.n_steps) + 1)))
        return found if noise_at == 0 else 1 - found

    def shifted(self, shift: TimeShift) -> "TimeGrid":
        """This grid, shifted for the first time.

        Raises:
            ValueError: If it has been shifted before, or its times were given one by one.
        """
        if self.listed is not None or self.shift is not None:
            said = "are listed one by one" if self.shift is None else _said(self.shift)
            raise ValueError(
                f"`grid` must not have been shifted, but its times {said}; a second shift would multiply the factors. "
                "If both are meant, make the grid with one.then(other)."
            )
        return TimeGrid(self.n_steps, self.start, self.stop, shift, None)

    def reversed(self) -> "TimeGrid":
        """The same times from the last to the first."""
        listed = None if self.listed is None else self.listed[::-1]
        return TimeGrid(self.n_steps, self.stop, self.start, self.shift, listed)


def _said(shift: TimeShift) -> str:
    factor = f"{float(shift.factor):g}" if is_concrete(shift.factor) else "a traced factor"
    return f"have a shift of {factor} with noise at {shift.noise_at}"


def make_grid(
    n_steps: Int[Array, ""] | int,
    shift: TimeShift | None = None,
    *,
    start: float | int = 0.0,
    stop: float | int = 1.0,
) -> TimeGrid:
    """Times at equal distances before the shift.

    Args:
        n_steps: Steps.
        shift: The shift; None shifts nothing.
        start: Time before the first step, noise at 0, before the shift.
        stop: Time after the last one.

    Raises:
        ValueError: If there is no step, or a time lies outside [0, 1].
    """
    if is_concrete(n_steps):
        check_at_least(int(n_steps), 1, "n_steps")
    check_in_range(start, "start", 0, 1)
    check_in_range(stop, "stop", 0, 1)
    first, last = jnp.asarray(start, float), jnp.asarray(stop, float)
    return TimeGrid(jnp.asarray(n_steps, jnp.int32), first, last, shift, None)


def list_grid(times: np.ndarray | list[float], *, noise_at: int) -> TimeGrid:
    """Times that are given one by one, as the sigmas of a published schedule; they count as shifted.

    Args:
        times: Times, the first and the last included, rising or falling.
        noise_at: 0 or 1; sigmas of Flux and Stable Diffusion 3 have 1.

    Raises:
        ValueError: If there are fewer than two, one lies outside [0, 1], or they do not rise or fall.
    """
    check_choice(noise_at, "noise_at", (0, 1))
    found = np.asarray(times, float)
    check_at_least(found.size, 2, "times", "A step needs two times.")
    check_times(found, "times")
    steps = np.diff(found)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError(f"`times` must rise or fall all along, but is {found.tolist()}.")
    listed = jnp.asarray(found if noise_at == 0 else 1 - found)
    return TimeGrid(jnp.asarray(len(steps), jnp.int32), listed[0], listed[-1], None, listed)
