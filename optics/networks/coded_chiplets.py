"""Many chiplets that share one classification: what they detect, the loss they train by, and the label they tell.

Arrangements: "broad" are chiplets side by side, each with its own sub-tasks, read by an output code
(`optics.networks.output_codes`); "detected" and "coherent" are chiplets in series, the last one read directly
(`optics.networks.taichi.in_series`). With p_b the log probabilities of the symbols of sub-task b and code[c, b] the
word of class c, the loss of an image of class c is a mixture of weight w,

    w (-log softmax_c sum_b p_b(code[., b])) + (1 - w) mean_b (-p_b(code[c, b])),

the whole word read softly, or every sub-task on its own. Z. Xu et al., Science 384, 202 (2024), DOI
10.1126/science.adl1203 for the arrangement; loss and noise are our choice.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from optics._checks import check_in_range
from optics._numbers import takes_numbers
from optics.networks import taichi
from optics.networks.output_codes import decode_hard, decode_soft
from optics.networks.taichi import Chiplet, Diffractor

Arrangement = Literal["broad", "detected", "coherent"]


@takes_numbers
def detected_powers(
    arrangement: Arrangement,
    chiplets: Chiplet,
    diffractor: Diffractor,
    fields: Complex[Array, "*batch input"],
    n_tasks: int,
    n_symbols: int,
) -> Float[Array, "*batch task symbol"]:
    """Power by detector region, in units of the input power of a chiplet.

    Args:
        arrangement: Side by side, or in series; see the module.
        chiplets: Stacked along a first axis. Each one side by side reads as many sub-tasks as it takes to get
            `n_tasks`, so their number must divide it.
        diffractor: Slabs.
        fields: Amplitudes in the waveguides.
        n_tasks: Sub-tasks; 1 for a series.
        n_symbols: Symbols a sub-task tells apart, a region each.

    Raises:
        ValueError: If the chiplets cannot share the sub-tasks, or have fewer detectors than regions.
    """
    if arrangement == "broad":
        out = jnp.moveaxis(taichi.side_by_side(chiplets, diffractor, fields), 0, -2)
    else:
        out = taichi.in_series(chiplets, diffractor, fields, arrangement)[..., None, :]
    if n_tasks % out.shape[-2]:
        raise ValueError(
            f"`n_tasks` must be a multiple of the {out.shape[-2]} chiplets that are read, but is {n_tasks}."
        )
    powers = taichi.region_powers(out, n_tasks // out.shape[-2] * n_symbols)
    return powers.reshape(*out.shape[:-2], n_tasks, n_symbols)


@takes_numbers
def coded_loss(
    powers: Float[Array, "batch task symbol"],
    labels: Int[Array, " batch"],
    code: Int[Array, "classes task"],
    joint: Float[Array, ""] | float,
    gain: Float[Array, ""] | float,
) -> Float[Array, ""]:
    """Mean loss of images by what is detected.

    Args:
        powers: Of `detected_powers`.
        labels: Class of each image.
        code: Words.
        joint: Weight w of the loss of the whole word in [0, 1].
        gain: From relative region power to logits.

    Raises:
        ValueError: If the weight lies outside [0, 1].
    """
    check_in_range(joint, "joint", 0, 1)
    found = taichi.log_probabilities(powers, gain)
    scores = jax.nn.log_softmax(decode_soft(code, found))
    together = -jnp.mean(jnp.take_along_axis(scores, labels[:, None], axis=-1))
    apart = -jnp.mean(jnp.take_along_axis(found, code[labels][..., None], axis=-1))
    return joint * together + (1 - joint) * apart


@takes_numbers
def coded_labels(
    powers: Float[Array, "batch task symbol"],
    code: Int[Array, "classes task"],
    gain: Float[Array, ""] | float,
) -> tuple[Int[Array, " batch"], Int[Array, " batch"]]:
    """Classes of images by the sum of log probabilities, and by the word nearest to the brightest regions."""
    scores = decode_soft(code, taichi.log_probabilities(powers, gain))
    hard = decode_hard(code, jnp.argmax(powers, axis=-1))
    return jnp.argmax(scores, axis=-1), hard


@takes_numbers
def with_shot_noise(
    powers: Float[Array, "*shape"], per_photon: Float[Array, ""] | float, *, key: PRNGKeyArray
) -> Float[Array, "*shape"]:
    """Powers as counted: normal noise of variance p per photon, never below 0; good from tens of photons on.

    Args:
        powers: In units of the input power.
        per_photon: One over the photons of the input; 0 for light without noise.
        key: PRNG key of the counts.
    """
    noise = jax.random.normal(key, powers.shape, powers.dtype)
    return jnp.maximum(powers + jnp.sqrt(powers * per_photon) * noise, 0)


def largest_chip(n_parameters: int, n_inputs: int, n_masks: int) -> tuple[int, int]:
    """Waveguides and ports of the largest single chip with at most so many trained phases.

    Args:
        n_parameters: Phases N^2 of a core of N ports and of two masks of every waveguide.
        n_inputs: Waveguides that carry data; there are more, dark ones, where the core outgrows them.
        n_masks: Masks in the encoder, and in the decoder.
    """
    n = 2
    while (n + 1) ** 2 + 2 * n_masks * max(n_inputs, n + 1) <= n_parameters:
        n += 1
    return max(n_inputs, n), n
