"""Poles of a set of spectra by a rational fit: linear algebra on measured amplitudes, no model of the device.

    y_e(x) = n_e(x) / d(x),   d(x) = x^N + d_{N-1} x^{N-1} + ... + d_0,   degree of n_e below N

One denominator is shared by all entries e; each has its own numerator. Sanathanan and Koerner, IEEE Trans. Autom.
Control 8, 56 (1963), DOI 10.1109/TAC.1963.1105517: the linear residual (n - d y) is weighted with 1 / d of the round
before, so that at the fixed point it is the misfit of the spectra. Numerators are projected out, so that each round
solves N unknowns. x = (frequency - centre) / scale lies in [-1, 1], which keeps the powers well conditioned.
"""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from optics._numbers import takes_numbers
from optics.resonators.small_matrices import (
    least_squares,
    orthonormal_columns,
    polynomial_roots,
)

ROUNDS = 6  # Weightings, our choice; four digits are settled after about four.


class RationalFit(eqx.Module):
    """Fitted spectra.

    Attributes:
        denominator: Coefficients of d(x) from d_0 up, the leading one left out.
        numerators: Coefficients of n_e(x) from the constant up.
        centre: Frequency at x = 0, rad/s.
        scale: Frequency step that x = 1 stands for, rad/s.
        misfit: Root mean square of fit minus spectra.
    """

    denominator: Complex[Array, " pole"]
    numerators: Complex[Array, "pole entry"]
    centre: Float[Array, ""]
    scale: Float[Array, ""]
    misfit: Float[Array, ""]

    def poles(self) -> Complex[Array, " pole"]:
        """Complex resonance frequencies, rad/s."""
        return self.centre + self.scale * polynomial_roots(self.denominator)

    def residues(self) -> Complex[Array, "pole entry"]:
        """Residue of each entry at each pole, rad/s; `poles` gives the order."""
        x = polynomial_roots(self.denominator)
        n = x.size
        powers = x[:, None] ** jnp.arange(n)[None]
        difference = x[:, None] - x[None] + jnp.eye(n, dtype=x.dtype)
        return self.scale * (powers @ self.numerators) / jnp.prod(difference, axis=1)[:, None]


@takes_numbers
def fit_rational(
    frequency: Float[Array, " freq"],
    spectra: Complex[Array, "freq entry"],
    n_poles: int,
) -> RationalFit:
    """Fits spectra that vanish far from resonance, such as S - 1.

    Differentiable in the spectra. The weights of the last round are held: on spectra that fit exactly the residual is
    zero, so they do not change the derivative.

    Args:
        frequency: Frequencies, rad/s.
        spectra: Spectra that share their poles.
        n_poles: Number of poles.

    Raises:
        ValueError: If there are fewer frequencies than unknowns of one entry, or more poles than the coefficients of
            their polynomial can tell in this precision: 8 in single, 16 in double (our choice).
    """
    most = 8 if jnp.finfo(spectra.dtype).bits == 32 else 16
    if not 1 <= n_poles <= most:
        raise ValueError(
            f"`n_poles` must lie between 1 and {most} for {spectra.dtype}, which holds no more of the polynomial, but "
            f"is {n_poles}."
        )
    if frequency.size <= 2 * n_poles:
        raise ValueError(
            f"`frequency` must hold more than {2 * n_poles} values for {n_poles} poles, but holds {frequency.size}."
        )
    centre = (frequency[0] + frequency[-1]) / 2
    scale = (frequency[-1] - frequency[0]) / 2
    powers = ((frequency - centre) / scale)[:, None] ** jnp.arange(n_poles + 1)[None]
    start = jnp.zeros(n_poles + 1, spectra.dtype).at[0].set(1)

    def refine(denominator, spectra):
        return jnp.append(_solve(powers, spectra, denominator), jnp.ones(1, spectra.dtype))

    held = jax.lax.stop_gradient(spectra)
    weights, _ = jax.lax.scan(lambda d, _: (refine(d, held), None), start, length=ROUNDS - 1)
    denominator = refine(weights, spectra)
    basis = powers[:, :-1] / (powers @ denominator)[:, None]
    numerators = least_squares(basis, spectra)
    misfit = jnp.sqrt(jnp.mean(jnp.abs(basis @ numerators - spectra) ** 2))
    return RationalFit(denominator[:-1], numerators, centre, scale, misfit)


def _solve(powers, spectra, previous):
    """Denominator of one round, numerators projected out."""
    weight = 1 / (powers @ previous)
    basis = orthonormal_columns(weight[:, None] * powers[:, :-1])[0]
    rows = (weight[:, None] * powers)[:, None] * spectra[:, :, None]
    flat = rows.reshape(rows.shape[0], -1)
    rest = (flat - basis @ (basis.conj().T @ flat)).reshape(-1, powers.shape[1])
    return -least_squares(rest[:, :-1], rest[:, -1:])[:, 0]


@takes_numbers
def depressed_coefficients(coefficients: Complex[Array, " pole"]) -> Complex[Array, " order"]:
    """Coefficients of the monic polynomial about the mean of its roots, `(c_{N-2}, ..., c_0)`; 0 when they coincide.

    The first is minus half the sum of squared distances of the roots from their mean; for two roots it is
    -(difference / 2)^2.
    """
    n = coefficients.size
    full = jnp.append(coefficients, jnp.ones(1, coefficients.dtype))
    mean = -coefficients[-1] / n
    # Repeated synthetic division by (x - mean) leaves the Taylor coefficients one by one.
    taylor = []
    for _ in range(n - 1):
        partial = [full[-1]]
        for value in full[-2::-1]:
            partial.append(value + mean * partial[-1])
        taylor.append(partial[-1])
        full = jnp.stack(partial[-2::-1])
    return jnp.stack(taylor[::-1])


@takes_numbers
def nearest_cluster(roots: Complex[Array, " pole"], order: int) -> Complex[Array, " order"]:
    """The `order` roots that lie closest together."""
    choices = jnp.asarray(list(itertools.combinations(range(roots.size), order)))
    groups = roots[choices]
    spread = jnp.sum(jnp.abs(groups - jnp.mean(groups, axis=1, keepdims=True)) ** 2, axis=1)
    return groups[jnp.argmin(spread)]
