"""Diffusion in the coordinates of DDPM and DDIM: schedules of noise, the step, and a flow seen in these coordinates.

    x_l = sqrt(a_l) data + sqrt(1 - a_l) noise,   l = 0 ... levels - 1, more noise at higher levels
    step a -> b:  x' = sqrt(b) data + sqrt(1 - b - c^2) noise + c fresh,   data = (x - sqrt(1 - a) noise) / sqrt(a)
                  c = eta sqrt((1 - b) / (1 - a)) sqrt(1 - a / b)

The step is that of J. Song et al., arXiv 2010.02502; with b < a and c = 0 it is the step of the inversion, whose noise
is predicted for the level it goes to (`nn.generation.inversion`). Levels of a grid of n steps: "leading" takes every
(levels // n)-th from `offset` on, "trailing" counts down from the last. The point x of a path of flow matching is
x_l / (sqrt(a) + sqrt(1 - a)) at time sqrt(a) / (sqrt(a) + sqrt(1 - a)), so that the same networks and the same exact
fields serve both.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import check_at_least, check_choice, check_finite, check_in_range
from nn.generation.flow_matching import Velocity, beside
from nn.generation.guidance import Guidance, check_guided, guided_field

KINDS = ("linear", "scaled_linear", "cosine")
SPACINGS = ("leading", "trailing")
# (x, level, condition) -> noise; levels (batch,) as floats, which hold them exactly.
NoisePredictor = Callable[[Array, Array, Any], Array]


def signal_levels(
    kind: str = "scaled_linear",
    n_levels: int = 1000,
    *,
    first: float = 0.00085,
    last: float = 0.012,
) -> Float[np.ndarray, " levels"]:
    """a_l, the share of the signal's power at each level.

    Args:
        kind: "linear" betas, "scaled_linear" for betas whose roots are linear (Stable Diffusion), or "cosine"
            (A. Nichol, P. Dhariwal, arXiv 2102.09672), which has no first and last.
        n_levels: Levels.
        first: First beta; the default is that of Stable Diffusion.
        last: Last beta.

    Raises:
        ValueError: If the kind is unknown, there is no level, or a beta lies outside (0, 1).
    """
    check_choice(kind, "kind", KINDS)
    check_at_least(n_levels, 1, "n_levels")
    check_in_range(first, "first", 1e-12, 1 - 1e-12)
    check_in_range(last, "last", 1e-12, 1 - 1e-12)
    if kind == "cosine":
        bend = np.cos((np.arange(n_levels + 1) / n_levels + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.minimum(1 - bend[1:] / bend[:-1], 0.999)
    elif kind == "linear":
        betas = np.linspace(first, last, n_levels)
    else:
        betas = np.linspace(first**0.5, last**0.5, n_levels) ** 2
    return np.cumprod(1 - betas)


class DdimGrid(eqx.Module):
    """Levels of a sampler; how many steps there are is data. Made by `make_ddim_grid`.

    Attributes:
        signal: a_l of all levels.
        clean: a after the last step.
        n_steps: Steps.
        offset: Lowest level of "leading".
        spacing: One of `SPACINGS`.
    """

    signal: Float[Array, " levels"]
    clean: Float[Array, ""]
    n_steps: Int[Array, ""]
    offset: Int[Array, ""]
    spacing: str = eqx.field(static=True)

    def level(self, step: Int[Array, "*shape"]) -> Int[Array, "*shape"]:
        """Level after `step` steps from the noisiest; negative after the last."""
        n_levels = self.signal.shape[0]
        if self.spacing == "leading":
            return (self.n_steps - 1 - step) * (n_levels // self.n_steps) + self.offset
        # In whole numbers: round(levels (1 - step / n)) - 1.
        left = n_levels * (self.n_steps - step)
        return (2 * left + self.n_steps) // (2 * self.n_steps) - 1

    def signal_at(self, level: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
        """a at a level, and `clean` below all."""
        return jnp.where(level < 0, self.clean, self.signal[jnp.maximum(level, 0)])


def make_ddim_grid(
    signal: Float[np.ndarray, " levels"],
    n_steps: int,
    *,
    spacing: str = "leading",
    offset: int = 1,
    clean: float | int = 1.0,
) -> DdimGrid:
    """Levels of a sampler.

    Args:
        signal: a_l, falling, as `signal_levels` gives it.
        n_steps: Steps.
        spacing: "leading" or "trailing".
        offset: Lowest level of "leading": 1 for Stable Diffusion.
        clean: a after the last step: 1, or a_0 as the release of Stable Diffusion has it.

    Raises:
        ValueError: If the shares do not fall from 1 to 0, there is no step or more than levels, the spacing is unknown,
            the offset reaches beyond the levels, or "leading" would begin two strides or more below the noisiest level.
    """
    check_choice(spacing, "spacing", SPACINGS)
    check_at_least(n_steps, 1, "n_steps")
    n_levels = len(signal)
    check_in_range(n_steps, "n_steps", 1, n_levels, hint="There are no more levels.")
    if not (np.all(np.diff(signal) < 0) and signal[-1] > 0 and signal[0] <= 1):
        raise ValueError("`signal` must fall from at most 1 to above 0, but does not.")
    check_in_range(clean, "clean", float(signal[0]), 1)
    if spacing == "leading":
        most = n_levels - 1 - (n_steps - 1) * (n_levels // n_steps)
        check_in_range(offset, "offset", 0, most, hint="The noisiest level must exist.")
        _check_reaches(n_steps, n_levels, most - offset)
    return DdimGrid(
        jnp.asarray(signal),
        jnp.asarray(clean, signal.dtype),
        jnp.asarray(n_steps, jnp.int32),
        jnp.asarray(offset, jnp.int32),
        spacing,
    )


def _check_reaches(n_steps, n_levels, skipped):
    """Strides are whole: 501 steps over 1,000 levels would begin at level 501, with noise that belongs to 999."""
    stride = n_levels // n_steps
    if skipped >= 2 * stride:
        raise ValueError(
            f'`n_steps` of the spacing "leading" must reach the noisiest levels, but {n_steps} steps of {stride} '
            f'leave out {skipped} of {n_levels}. Take spacing="trailing", or a divisor of {n_levels}.'
        )


def ddim_step(
    x: Float[Array, " batch *shape"],
    noise: Float[Array, " batch *shape"],
    signal: Float[Array, ""],
    signal_after: Float[Array, ""],
    *,
    eta: Float[Array, ""] | float | int = 0.0,
    fresh: Float[Array, " batch *shape"] | None = None,
) -> Float[Array, " batch *shape"]:
    """One step from one share of signal to another, forwards or, without fresh noise, backwards.

    Args:
        x: Points.
        noise: Predicted noise.
        signal: a.
        signal_after: b.
        eta: 0 for DDIM, 1 for the ancestral step of DDPM.
        fresh: Normal noise; None takes none.
    """
    sd = jnp.zeros_like(signal)
    if fresh is not None:
        sd = (
            eta
            * jnp.sqrt((1 - signal_after) / (1 - signal))
            * jnp.sqrt(jnp.maximum(1 - signal / signal_after, 0))
        )
    kept = jnp.sqrt(jnp.maximum(1 - signal_after - sd**2, 0)).astype(x.dtype)
    root, root_after = (jnp.sqrt(share).astype(x.dtype) for share in (signal, signal_after))
    data = (x - jnp.sqrt(1 - signal).astype(x.dtype) * noise) / root
    after = root_after * data + kept * noise
    return after if fresh is None else after + sd.astype(x.dtype) * fresh


def time_of_signal(signal: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Time with noise at 0 at which a path of flow matching holds signal and noise in the same ratio."""
    return jnp.sqrt(signal) / (jnp.sqrt(signal) + jnp.sqrt(1 - signal))


class FlowNoise(eqx.Module):
    """A predictor of noise from a field of velocities, such as an exact flow.

    Attributes:
        velocity: The field.
        signal: a_l of the levels that the predictor is asked for.
    """

    velocity: Velocity
    signal: Float[Array, " levels"]

    def __call__(
        self, x: Float[Array, " batch *shape"], level: Float[Array, " batch"], condition: Any
    ) -> Float[Array, " batch *shape"]:
        """Noise in x at a level."""
        a = self.signal[level.astype(jnp.int32)]
        t = time_of_signal(a)
        on_path = x / beside(jnp.sqrt(a) + jnp.sqrt(1 - a), x)
        return on_path - beside(t, x) * self.velocity(on_path, t, condition)


def guided_noise(
    noise_of: NoisePredictor,
    x: Float[Array, " batch *shape"],
    level: Int[Array, ""],
    grid: DdimGrid,
    condition: Any,
    guidance: Guidance | None,
    step: Int[Array, ""],
) -> Float[Array, " batch *shape"]:
    """Predicted noise at one level for a whole batch, guided where there is a guidance."""
    levels = jnp.full(x.shape[:1], level, x.dtype)
    t = time_of_signal(grid.signal_at(level))
    call = lambda one: noise_of(x, levels, one)  # noqa: E731
    return guided_field(call, condition, guidance, t, step, grid.n_steps)


def sample_ddim(
    noise_of: NoisePredictor,
    start: Float[Array, " batch *shape"],
    grid: DdimGrid,
    *,
    condition: Any = None,
    guidance: Guidance | None = None,
    eta: float | int = 0.0,
    key: PRNGKeyArray | None = None,
) -> Float[Array, " batch *shape"]:
    """From noise to data by DDIM, or with fresh noise in every step.

    Args:
        noise_of: Predicts noise: `noise_of(x, level, condition)`.
        start: Noise.
        grid: Levels.
        condition: What the predictor is told, the batch as first axis.
        guidance: Classifier-free guidance.
        eta: 0 takes no fresh noise, 1 as much as DDPM.
        key: PRNG key of fresh noise.

    Raises:
        ValueError: If the start is not finite, eta lies outside [0, 1] or has no key, or a predictor without condition
            is to be guided.
    """
    check_guided(condition, guidance)
    check_finite(start, "start")
    check_in_range(eta, "eta", 0, 1)
    if eta and key is None:
        raise ValueError("`key` must be given where `eta` is above 0, but is None.")
    key = key if eta else None
    return _sample(noise_of, start, grid, condition, guidance, jnp.asarray(eta, float), key)


@eqx.filter_jit
def _sample(noise_of, start, grid, condition, guidance, eta, key):
    def step(index, x):
        level, after = grid.level(index), grid.level(index + 1)
        noise = guided_noise(noise_of, x, level, grid, condition, guidance, index)
        fresh = None
        if key is not None:
            fresh = jax.random.normal(jax.random.fold_in(key, index), x.shape, x.dtype)
        shares = grid.signal_at(level), grid.signal_at(after)
        return ddim_step(x, noise, *shares, eta=eta, fresh=fresh)

    return jax.lax.fori_loop(0, grid.n_steps, step, start)
