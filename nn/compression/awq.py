"""Scaling the inputs that matter before rounding (AWQ): x W = (x / s) (s W), with s from the sizes of activations.

    s_j = (mean |x_j|)^alpha, divided by sqrt(max s min s),   alpha in [0, 1] chosen by the error of the output

so that large inputs, few of which carry most of the output, meet finely rounded weights; what is in front of the map
absorbs 1 / s. J. Lin et al., arXiv 2306.00978 (2023), section 3.2; the paper's grid of alpha has 20 values. Clipping of
the weights, which the paper adds, is left out.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nn._checks import check_at_least, check_axis, check_finite
from nn.compression.blocks import BlockScaled
from nn.compression.gptq import output_error


class Scaled(NamedTuple):
    """Rounded weights of scaled inputs.

    Attributes:
        rounded: Codes of (s W)^T, (n_out, n_in).
        scale: s, by which inputs are to be divided.
        alpha: The exponent that was chosen.
    """

    rounded: BlockScaled
    scale: Float[Array, " n_in"]
    alpha: float

    def weight(self) -> Float[Array, "n_in n_out"]:
        """W as it acts on inputs that are not divided."""
        return self.rounded.values().T / self.scale[:, None]


def awq(
    weight: Float[Array, "n_in n_out"],
    sizes: Float[Array, " inputs"],
    gram: Float[Array, "_ _"],
    quantise: Callable[[Array], BlockScaled],
    *,
    n_alpha: int = 20,
) -> Scaled:
    """Tries `n_alpha` exponents from 0 on, in steps of 1 / n_alpha, and keeps the one of the least output error.

    Args:
        weight: W.
        sizes: mean |x_j| of calibration inputs.
        gram: Their Gram matrix, see `gptq.gram_matrix`.
        quantise: Rounds an array in blocks along its last axis, such as `partial(to_int4, block=32)`.
        n_alpha: Exponents tried; 1 is plain rounding.

    Raises:
        ValueError: If sizes do not fit, a value is not finite, or `n_alpha` is below 1.
    """
    check_at_least(n_alpha, 1, "n_alpha")
    check_axis(sizes, "sizes", 0, weight.shape[0], "One for each input of `weight`.")
    check_axis(gram, "gram", 0, weight.shape[0], "One row for each input of `weight`.")
    check_finite(sizes, "sizes")
    # An input that never occurs would have scale 0.
    sizes = jnp.maximum(sizes, 1e-6 * jnp.maximum(sizes.max(), 1e-30))
    best, least = None, np.inf
    for alpha in np.arange(n_alpha) / n_alpha:
        scale = sizes**alpha
        scale = scale / jnp.sqrt(scale.max() * scale.min())
        found = Scaled(quantise((weight * scale[:, None]).T), scale, float(alpha))
        error = float(output_error(weight, found.weight(), gram))
        if error < least:
            best, least = found, error
    assert best is not None  # alpha = 0 gives a finite error
    return best
