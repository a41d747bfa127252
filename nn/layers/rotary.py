"""Rotary positions: pairs of a query's or key's components are turned by an angle that grows with the position.

    (x_a, x_b) -> (x_a cos(p f) - x_b sin(p f), x_a sin(p f) + x_b cos(p f)),    f_i = base^(-2 i / size)

so that q . k depends on the difference of positions alone. The pair i is (i, i + size/2), or (2i, 2i + 1) where
`interleaved`; what lies beyond the first `size` components is left alone. Longer texts than in training: all
frequencies are divided by a factor (linear), or only the slow ones with a ramp in between (Llama 3).

Sources: J. Su et al., arXiv 2104.09864; S. Chen et al., arXiv 2306.15595 (linear); A. Grattafiori et al.,
arXiv 2407.21783 (Llama 3, whose release states the ramp).
"""

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from nn._checks import check_at_least, check_divides, check_positive


@dataclass(frozen=True)
class Llama3Scaling:
    """Slow frequencies divided by a factor, fast ones kept, with a linear ramp between.

    Attributes:
        factor: Divides frequencies with fewer than `low` turns in the old context.
        low: Turns in the old context below which a frequency is slow.
        high: Turns above which it is fast and kept.
        context: Length of the texts before, in tokens.
    """

    factor: float | int
    low: float | int = 1
    high: float | int = 4
    context: int = 8192

    def __post_init__(self):
        check_positive(self.factor, "factor")
        if not 0 < self.low < self.high:
            raise ValueError(
                f"`high` must be above `low` > 0, but low is {self.low} and high {self.high}."
            )


@dataclass(frozen=True)
class Rotary:
    """Rotary positions of given frequencies; not trained, hence a static field of its layer.

    Attributes:
        size: Components that are turned, an even number.
        base: Base of the frequencies.
        interleaved: Whether neighbours form a pair, not components half of `size` apart.
        scaling: None; a number that divides all frequencies; or the rule of Llama 3.
    """

    size: int
    base: float | int = 10_000.0
    interleaved: bool = False
    scaling: float | int | Llama3Scaling | None = None

    def __post_init__(self):
        check_at_least(self.size, 2, "size")
        check_divides(2, self.size, "pairs of 2", "size", "Components are turned in pairs.")
        check_positive(self.base, "base")
        if isinstance(self.scaling, float | int):
            check_positive(self.scaling, "scaling")

    def frequencies(self) -> Float[np.ndarray, " pairs"]:
        """Angle of each pair per position, rad."""
        plain = float(self.base) ** (-np.arange(0, self.size, 2) / self.size)
        if isinstance(self.scaling, Llama3Scaling):
            rule = self.scaling
            turns = rule.context * plain / (2 * math.pi)
            kept = np.clip((turns - rule.low) / (rule.high - rule.low), 0, 1)
            return plain * (kept + (1 - kept) / rule.factor)
        return plain / (self.scaling or 1)

    def __call__(
        self, x: Float[Array, "*batch n heads dim"], positions: Int[Array, " n"]
    ) -> Float[Array, "*batch n heads dim"]:
        """Turns the first `size` components of each head.

        Raises:
            ValueError: If there are fewer.
        """
        check_at_least(
            x.shape[-1], self.size, "head_dim", "So many components are turned by `size`."
        )
        precise = jnp.promote_types(x.dtype, jnp.float32)
        angles = positions.astype(precise)[:, None] * jnp.asarray(self.frequencies(), precise)[None]
        turned, rest = x[..., : self.size].astype(precise), x[..., self.size :]
        if self.interleaved:
            pair = _turn(turned[..., 0::2], turned[..., 1::2], angles)
            whole = jnp.stack(pair, axis=-1).reshape(turned.shape)
        else:
            whole = turn_halves(turned, angles)
        return jnp.concatenate([whole.astype(x.dtype), rest], axis=-1)


def turn_halves(
    x: Float[Array, "*batch n heads dim"], angles: Float[Array, "n pairs"]
) -> Float[Array, "*batch n heads dim"]:
    """Turns the pairs (i, i + dim/2) of each head by the angles of its token, rad."""
    first, second = jnp.split(x.astype(jnp.promote_types(x.dtype, angles.dtype)), 2, axis=-1)
    return jnp.concatenate(_turn(first, second, angles), axis=-1).astype(x.dtype)


def _turn(first, second, angles):
    cos, sin = (jnp.broadcast_to(wave(angles)[:, None], first.shape) for wave in (jnp.cos, jnp.sin))
    return first * cos - second * sin, first * sin + second * cos
