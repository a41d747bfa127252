"""Rounding weights one input at a time, each error made up for by the inputs still to come (GPTQ).

For y = x W and the Gram matrix of inputs G = X^T X / n, the error of the output is tr(D^T G D) with D the error of W.
With the damped H = G + c mean(diag G) 1 and the upper Cholesky factor U of H^-1 (H^-1 = U^T U), for input j in turn

    e = (w_j - round(w_j)) / U_jj,     w_k <- w_k - U_jk e   for all k > j,

row by row of W as (input, output). E. Frantar et al., arXiv 2210.17323 (2022), algorithm 1; its error is half of the
optimal brain surgeon's, the factor cancels. Groups of inputs share a scale for each output, taken when the group is
reached, from the weights as they then are. Rounding is to integers from -8 to 7; `rule` says how a scale follows from
the largest, see `nn.compression.blocks`.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.linalg import get_lapack_funcs

from nn._checks import check_axis, check_choice, check_divides, check_finite, check_positive
from nn.compression.blocks import BlockScaled, half_scale

DIVISORS = {"amax/7": 7.0, "amax/7.5": 7.5, "amax/8": 8.0}


def gram_matrix(inputs: Float[Array, "sample n_in"]) -> Float[Array, "n_in n_in"]:
    """G = X^T X / n of calibration inputs."""
    return inputs.T @ inputs / inputs.shape[0]


def gptq(
    weight: Float[Array, "n_in n_out"],
    gram: Float[Array, "_ _"],
    group: int,
    *,
    rule: str = "amax/7",
    damping: float = 0.01,
    ordered: bool = False,
) -> BlockScaled:
    """Four-bit weights that keep the outputs for inputs such as those of the Gram matrix.

    Args:
        weight: W.
        gram: G, see `gram_matrix`.
        group: Inputs that share a scale.
        rule: "amax/7", "amax/7.5" or "amax/8".
        damping: c; the paper's value is 0.01.
        ordered: Takes the inputs of the largest G_jj first ("act order"); groups then stay those of the order of
            `weight`, with scales from the weights at the start.

    Returns:
        Codes and scales of W^T, (n_out, n_in): a group is a block along the last axis.

    Raises:
        ValueError: If groups do not divide the inputs, `gram` does not fit or has negative eigenvalues, a value is not
            finite, `damping` is not positive, or there is no such rule.
    """
    n_in, _ = weight.shape
    check_divides(group, n_in, "group", "n_in", "It counts inputs that share a scale.")
    check_axis(gram, "gram", 0, n_in, "One row for each input of `weight`.")
    check_axis(gram, "gram", 1, n_in, "One column for each input of `weight`.")
    check_finite(weight, "weight")
    check_finite(gram, "gram")
    check_positive(damping, "damping", hint="Inputs that never occur would have no inverse.")
    check_choice(rule, "rule", DIVISORS)
    weight, divisor = weight.astype(jnp.float32), DIVISORS[rule]
    if ordered:
        order = jnp.argsort(-jnp.diag(gram))
        factor = _inverse_factor(gram[order][:, order], damping)
        start = _scales(weight, group, divisor)
        codes, scales = _round_all(weight[order], factor, start, order // group, group, divisor)
        codes = codes[jnp.argsort(order)]
    else:
        factor, groups = _inverse_factor(gram, damping), jnp.arange(n_in) // group
        codes, scales = _round_all(weight, factor, None, groups, group, divisor)
    return BlockScaled(codes.T, scales.T, None, group, True, 4 + 16 / group)


def _inverse_factor(gram, damping: float) -> Float[Array, "n_in n_in"]:
    """U^T of H^-1 = U^T U, above its diagonal undefined.

    On the host in double precision, for the condition of H is that of the inputs squared. With the inputs in reverse,
    H = C C^T; put back, C is upper triangular and its inverse is U, so that H is never inverted, which would take
    several times the operations.
    """
    h = np.asarray(gram)[::-1, ::-1].astype(float, order="C")
    mean = np.trace(h) / len(h)
    h = h.T  # symmetric, and what LAPACK takes without a copy
    np.einsum("ii->i", h)[:] += damping * (mean if mean > 0 else 1.0)
    potrf, trtri = get_lapack_funcs(("potrf", "trtri"), (h,))
    reverse, failed = potrf(h, lower=1, clean=0, overwrite_a=1)
    if failed:
        raise ValueError(
            "`gram` must be positive semidefinite, X^T X / n of inputs, but with its damping "
            f"pivot {failed} is not positive; raise `damping`."
        )
    inverse, _ = trtri(reverse, lower=1, overwrite_c=1)
    return jnp.asarray(inverse.T[::-1, ::-1].astype(np.float32, order="C"))


def _scales(weight, group: int, divisor: float):
    """Scale of each group and output, (group, n_out)."""
    amax = jnp.abs(weight).reshape(-1, group, weight.shape[1]).max(axis=1)
    return half_scale(amax.astype(jnp.float32) / divisor)


@partial(jax.jit, static_argnames=("group", "divisor"))
def _round_all(weight, factor, start, group_of, group: int, divisor: float):
    """Codes (n_in, n_out) in the order of the rows given, and scales (groups, n_out).

    A group at a time: the inputs in it are made up for one by one, all later ones by one product at its end, so that
    most of the work is products of matrices.
    """
    n_in = weight.shape[0]
    places = jnp.arange(n_in)
    factor = factor.T

    def one_group(weight, first):
        rows = jax.lax.dynamic_slice_in_dim(weight, first, group)
        u = jax.lax.dynamic_slice_in_dim(factor, first, group)  # (group, n_in)
        inner = jax.lax.dynamic_slice_in_dim(u, first, group, axis=1)
        own = half_scale(jnp.abs(rows).max(axis=0) / divisor)
        groups = jax.lax.dynamic_slice_in_dim(group_of, first, group)

        def one_input(rows, j):
            scale = own if start is None else start[groups[j]]
            code = jnp.clip(jnp.round(rows[j] / scale), -8, 7)
            error = (rows[j] - code * scale) / inner[j, j]
            later = jnp.where(jnp.arange(group) > j, inner[j], 0)
            return rows - later[:, None] * error[None], (code, error)

        _, (codes, errors) = jax.lax.scan(one_input, rows, jnp.arange(group))
        beyond = jnp.where(places[None] >= first + group, u, 0)
        return weight - beyond.T @ errors, (codes, own)

    _, (codes, own) = jax.lax.scan(one_group, weight, jnp.arange(0, n_in, group))
    codes = (codes.reshape(weight.shape) + 8).astype(jnp.uint8)
    return codes, own if start is None else start


def output_error(
    weight: Float[Array, "n_in n_out"],
    rounded: Float[Array, "n_in n_out"],
    gram: Float[Array, "n_in n_in"],
) -> Float[Array, ""]:
    """Relative squared error of the outputs, tr(D^T G D) / tr(W^T G W)."""
    off = rounded - weight
    return jnp.sum(off * (gram @ off)) / jnp.sum(weight * (gram @ weight))
