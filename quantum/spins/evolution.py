"""Spins in time without a matrix: exp(-i H t) on states by Chebyshev polynomials.

    exp(-i H t) = exp(-i c t) sum_k (2 - delta_k0) (-i)^k J_k(r t) T_k((H - c) / r)

with the spectrum of H inside [c - r, c + r] (H. Tal-Ezer and R. Kosloff, J. Chem. Phys. 81, 3967 (1984),
doi:10.1063/1.448136). The Bessel functions J_k fall off faster than exponentially for k > r t, so the number of terms
is r t and some ten more; what is left out is bounded by the sum of their moduli. Several times share one series.
Where H is real, T_k acts on real and imaginary parts alike (`spin_action`).

The other implementation, which may disagree, is `krylov`. Conventions: hbar = 1, spin 0 the most significant bit, times
in s. Left out: time-dependent Hamiltonians (one call for each piece), relaxation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Complex, Float
from scipy.special import jv

from quantum._checks import check_in_range
from quantum.spins.action import (
    Bounds,
    SpinAction,
    complex_type,
    from_columns,
    is_real,
    make_action,
    spectral_bounds,
    times_i,
    to_columns,
)
from quantum.spins.hamiltonian import SpinHamiltonian

TOLERANCES = {"single": 1e-6, "double": 1e-12}
# Norms drift by rounding like a random walk over the terms; ten times what 10^4 terms would do.
_DRIFTS = {"single": 1e-3, "double": 1e-9}
_PADDING = 32  # pairs of terms: series of similar length share one compiled program


@dataclass(frozen=True)
class SpinPlan:
    """How to evolve under one Hamiltonian: the interval its spectrum lies in, and whether it is real.

    A plan is all that has to be known in numbers, so with one `evolve` works under `jax.jit` and `jax.grad`.

    Attributes:
        bounds: Interval that holds the spectrum, rad/s.
        real: Whether H is a real matrix.
        precision: "single" or "double".
        tolerance: Bound on what the series leaves out, relative to the norm.
    """

    bounds: Bounds
    real: bool
    precision: str
    tolerance: float

    @property
    def middle(self) -> float:
        """c in rad/s."""
        return (self.bounds.lowest + self.bounds.highest) / 2

    @property
    def radius(self) -> float:
        """r in rad/s, not zero."""
        return max((self.bounds.highest - self.bounds.lowest) / 2, 1e-30)


def make_plan(
    hamiltonian: SpinHamiltonian,
    *,
    precision: str = "single",
    tolerance: float | None = None,
    bounds: Bounds | None = None,
) -> SpinPlan:
    """Finds the edges of the spectrum, which takes some ten to a hundred applications of H.

    Args:
        hamiltonian: Hamiltonian with numbers in it (not traced).
        precision: "single" or "double"; double needs JAX's 64-bit mode.
        tolerance: Largest share of a state that the series may leave out; 1e-6 in single, 1e-12 in double by default.
        bounds: Interval that holds the spectrum, rad/s; found by Lanczos if not given.

    Raises:
        ValueError: If the Hamiltonian is traced, or an argument is out of range.
    """
    if isinstance(hamiltonian.couplings, Tracer):
        raise ValueError(
            "`hamiltonian` must hold numbers for a plan, but is traced; make the plan outside and pass it as `plan`."
        )
    complex_type(precision)
    tolerance = TOLERANCES[precision] if tolerance is None else tolerance
    check_in_range(tolerance, "tolerance", 1e-15, 0.1)
    if bounds is None:
        bounds = spectral_bounds(make_action(hamiltonian, precision=precision))
    elif not (np.isfinite(bounds).all() and bounds[0] <= bounds[1]):
        raise ValueError(f"`bounds` must be finite and in order, but are {tuple(bounds)} rad/s.")
    return SpinPlan(Bounds(*bounds), is_real(hamiltonian), precision, tolerance)


def evolve(
    hamiltonian: SpinHamiltonian,
    states: Complex[Array, "*batch states"],
    times: float | int | Sequence[float] | Float[np.ndarray, " times"],
    *,
    plan: SpinPlan | None = None,
    precision: str = "single",
    tolerance: float | None = None,
) -> Complex[Array, "..."]:
    """exp(-i H t) applied to a batch of states, for one time or several.

    Differentiable in the states and in the tensors of the Hamiltonian; give a `plan` under `jax.jit` or `jax.grad`,
    with bounds that also hold for the Hamiltonians met there. One time is one series over the whole of it.

    Args:
        hamiltonian: H / hbar.
        states: States, (*batch, 2^n).
        times: Time or times in s; negative ones go backwards.
        plan: What `make_plan` found; made here if not given. Overrides `precision` and `tolerance`.
        precision: "single" or "double".
        tolerance: Largest share of a state that the series may leave out.

    Returns:
        States at the time, or at every time, (times, *batch, 2^n).

    Raises:
        ValueError: If shapes do not fit or times are not finite.
        FloatingPointError: If norms are not conserved, because the spectrum leaves the plan's bounds.
    """
    check_states(states, hamiltonian.n_spins)
    grid = np.atleast_1d(np.asarray(times, dtype=float))
    if grid.ndim != 1 or not np.isfinite(grid).all():
        raise ValueError(f"`times` must be finite, one or a list of them, but is {times!r}.")
    plan = plan or make_plan(hamiltonian, precision=precision, tolerance=tolerance)
    action = make_action(hamiltonian, precision=plan.precision, real=plan.real)
    found = evolve_action(action, states, grid, plan)
    check_norms(states, found, plan)
    return found[0] if np.ndim(times) == 0 else found


def evolve_action(
    action: SpinAction,
    states: Complex[Array, "*batch states"],
    times: Float[np.ndarray, " times"],
    plan: SpinPlan,
    *,
    at_least: int = 0,
) -> Complex[Array, "times *batch states"]:
    """What `evolve` does once it has an action and a plan; unchecked.

    Args:
        action: H of the plan, ready to act.
        states: States, (*batch, 2^n).
        times: Times in s.
        plan: Bounds, precision and tolerance.
        at_least: Room for that many pairs of terms, so that calls for several times share a compiled program.
    """
    weights, phases = series(plan, times)
    n_pairs, edges = len(weights), (plan.middle, plan.radius)
    if any(isinstance(leaf, Tracer) for leaf in (*action.matrices, states)):
        return _chebyshev(action, edges, states, weights, phases, n_pairs)
    room = -(-max(n_pairs, at_least) // _PADDING) * _PADDING
    padded = np.zeros((room, *weights.shape[1:]))
    padded[:n_pairs] = weights
    return _compiled(action, edges, states, padded, phases, n_pairs)


def series(
    plan: SpinPlan, times: Float[np.ndarray, " times"]
) -> tuple[Float[np.ndarray, "pairs 2 times"], Complex[np.ndarray, " times"]]:
    """Weights of even and odd Chebyshev terms, and the phase of each time.

    (-i)^k is real for even k and imaginary for odd k, so the weights of odd ones leave out a factor i.
    """
    reach = plan.radius * np.abs(times)
    # J_k(z) is below 1e-16 for k > z + 10 z^(1/3) + 30.
    longest = float(reach.max(initial=0))
    orders = np.arange(int(longest + 10 * longest ** (1 / 3)) + 32)
    bessel = jv(orders[:, None], reach[None]) * np.where(orders, 2, 1)[:, None]
    left_out = np.abs(bessel)[::-1].cumsum(axis=0)[::-1].max(axis=1)
    n_pairs = math.ceil(max(int((left_out > plan.tolerance).sum()), 2) / 2)
    signed = bessel[: 2 * n_pairs].reshape(n_pairs, 2, -1).copy()
    signed *= (-1.0) ** np.arange(n_pairs)[:, None, None]  # (-i)^2m = (-1)^m
    signed[:, 1] *= -np.sign(times)[None]  # (-i)^(2m+1) = -i (-1)^m, and J_k is odd
    return signed, np.exp(-1j * plan.middle * times)


def check_states(states, n_spins: int) -> None:
    """Raises ValueError unless states have 2^n entries."""
    if states.shape[-1] != 2**n_spins:
        raise ValueError(
            f"`states` must have {2**n_spins} entries for {n_spins} spins, but have {states.shape[-1]}."
        )


def check_norms(states, found, plan: SpinPlan) -> None:
    """Raises FloatingPointError unless norms are those of before; traced states pass."""
    if isinstance(found, Tracer) or isinstance(states, Tracer):
        return
    before = np.asarray(jnp.linalg.norm(states, axis=-1))
    after = np.asarray(jnp.linalg.norm(found, axis=-1))
    drift = np.abs(after - before).max(initial=0) / max(before.max(initial=0), 1e-30)
    if not drift <= _DRIFTS[plan.precision] + 2 * plan.tolerance:
        raise FloatingPointError(
            f"`hamiltonian` must have its spectrum within {plan.bounds.lowest:.4g} and {plan.bounds.highest:.4g} "
            f"rad/s, but norms changed by {drift:.2g} in time; make the plan with wider `bounds`."
        )


def _chebyshev(action: SpinAction, edges, states, weights, phases, n_pairs):
    """Sum of the series for all times, (times, *batch, 2^n); a traced `n_pairs` saves a compilation for each length."""
    scaled = action.scaled(*edges)
    columns = to_columns(states, scaled)
    dtype = columns.dtype
    weights = jnp.asarray(weights, jnp.finfo(dtype).dtype)

    def body(pair, carry):
        even, odd, totals = carry
        w = weights[pair][:, :, None, None].astype(dtype)
        totals = totals + jnp.stack([w[0] * even[None], w[1] * odd[None]])
        even = 2 * scaled(odd) - even
        return even, 2 * scaled(even) - odd, totals

    totals = jnp.zeros((2, weights.shape[2], *columns.shape), dtype)
    first = (columns, scaled(columns), totals)
    even, odd = jax.lax.fori_loop(0, n_pairs, body, first)[2]
    summed = even + jax.vmap(times_i)(odd)
    back = jax.vmap(lambda c: from_columns(c, states.shape[:-1]))(summed)
    phases = jnp.asarray(phases, back.dtype).reshape(-1, *[1] * states.ndim)
    return phases * back


_compiled = jax.jit(_chebyshev)
