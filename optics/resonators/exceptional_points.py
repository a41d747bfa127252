"""Search for exceptional points on a device that is only measured, and the tests of having found one.

At an exceptional point of order q, q poles of S and their modes run together. The search drives to zero the
coefficients r of the characteristic polynomial about the mean of the q nearest poles; for two, r = -((l+ - l-)/2)^2.
They come from a rational fit of measured spectra, so no model of the device enters. Forward mode supplies their
derivative: with the measured S and its cotangent c_mn(omega) = dr/dS_mn formed in electronics,

    dS_mn/dOmega_jj = -i a_j^m a_j^n,   so   dr/dOmega_jj = -i sum_(omega, n) e_j^n a_j^n,   e^n = G W c_(., n):

the error c is sent into the same ports, in the same direction, as the data were, which needs G = G^T: reciprocity, not
Hermiticity. Each mode has a tap (its port), so both internal fields are read outside, a_j = i (s_out - s_in)_j / W_j.
What is assumed: the number of modes, which control sits on which mode with its nominal slope, and nominal port rates.
Since r is holomorphic in the complex frequency of each mode, one error pass gives the derivative for its detuning and
its loss. Sources: Z. Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4 (claims the search in its
abstract; no system is known to us); W. D. Heiss, J. Phys. A 45, 444016 (2012), DOI 10.1088/1751-8113/45/44/444016
(physics of exceptional points).
"""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from optics._checks import check_finite, check_positive
from optics._dark import root
from optics._numbers import takes_numbers
from optics.resonators.coupled_modes import ModeBench, ModeSheet, one_port_at_a_time
from optics.resonators.rational_fit import (
    RationalFit,
    depressed_coefficients,
    fit_rational,
    nearest_cluster,
)
from optics.resonators.small_matrices import solve


class Search(NamedTuple):
    """Trace of a search; the first entry is the start, each later one the command held after a step.

    Attributes:
        command: Detuning - i loss of each mode, rad/s.
        loss: Sum of |r|^2 in units of the nominal coupling.
        sweeps: Laser sweeps spent until then, one for each incoming wave; all ports are recorded in each.
    """

    command: Complex[Array, "start step mode"]
    loss: Float[Array, "start step"]
    sweeps: np.ndarray


@takes_numbers
def splitting(poles: Complex[Array, "*batch pole"]) -> Float[Array, "*batch"]:
    """Twice the rms distance of poles from their mean, rad/s; for two poles, their distance."""
    distance = poles - jnp.mean(poles, axis=-1, keepdims=True)
    return 2 * root(jnp.mean(jnp.abs(distance) ** 2, axis=-1))


@takes_numbers
def coalescence_residual(
    frequency: Float[Array, " freq"],
    scattering: Complex[Array, "freq port port"],
    order: int,
    sheet: ModeSheet,
) -> Complex[Array, " residual"]:
    """Coefficients of the characteristic polynomial about the mean of the `order` nearest poles; 0 where they coincide.

    Dimensionless: the coefficient of degree p in the frequencies is divided by the p-th power of the nominal coupling.
    """
    fit = _fit(frequency, scattering, sheet.n_modes)
    coefficients = fit.denominator
    if order < sheet.n_modes:
        cluster = nearest_cluster(fit.poles() - fit.centre, order) / fit.scale
        coefficients = jnp.poly(cluster)[:0:-1]
    powers = jnp.arange(2, order + 1)
    return depressed_coefficients(coefficients) * (fit.scale / sheet.coupling_rad_per_s) ** powers


@takes_numbers
def measure_fit(
    bench: ModeBench,
    command: Complex[Array, " mode"],
    frequency: Float[Array, " freq"],
    *,
    key: PRNGKeyArray,
) -> RationalFit:
    """Measures S, one sweep a port, and fits its poles and residues."""
    n = bench.sheet.n_modes
    scattering = bench.measure(command, frequency, one_port_at_a_time(frequency, n), key=key)
    return _fit(frequency, scattering, n)


def _fit(frequency, scattering, n_modes):
    spectra = scattering - jnp.eye(scattering.shape[-1], dtype=scattering.dtype)[None]
    return fit_rational(frequency, spectra.reshape(frequency.size, -1), n_modes)


class Linearised(NamedTuple):
    """Residual at a command and its measured derivative.

    Attributes:
        residual: See `coalescence_residual`.
        jacobian: Rows: real, then imaginary parts of the residual. Columns: detuning, then loss of each mode. Per
            nominal coupling.
    """

    residual: Complex[Array, " residual"]
    jacobian: Float[Array, "row control"]


@takes_numbers
def linearise_forward(
    bench: ModeBench,
    command: Complex[Array, " mode"],
    frequency: Float[Array, " freq"],
    scattering: Complex[Array, "freq port port"],
    order: int,
    *,
    key: PRNGKeyArray,
) -> Linearised:
    """Forward mode: the error of the residual is sent forward through the device.

    One error pass of `n_modes` sweeps for each of the `order` - 1 coefficients, besides the measured `scattering`.
    """
    sheet = bench.sheet
    incoming = one_port_at_a_time(frequency, sheet.n_modes)
    rates = jnp.full(sheet.n_modes, sheet.port_rate_rad_per_s)
    # On spectra of N poles the residual is holomorphic, so the cotangent of its real part carries both parts.
    residual, pull_back = jax.vjp(
        lambda spectra: coalescence_residual(frequency, spectra, order, sheet), scattering
    )

    def one_coefficient(which, pass_key):
        (error,) = pull_back(which)
        returned = bench.measure(command, frequency, error, key=pass_key)
        fields = (returned - error) * (scattering - incoming)
        return 1j * jnp.sum(fields, axis=(0, 2)) / rates

    each = jnp.eye(order - 1, dtype=residual.dtype)
    rows = jax.vmap(one_coefficient)(each, jax.random.split(key, order - 1))
    by_frequency = rows * sheet.coupling_rad_per_s
    # A loss of gamma moves the complex frequency by -i gamma.
    by_control = jnp.concatenate([by_frequency, -1j * by_frequency], axis=1)
    return Linearised(residual, jnp.concatenate([jnp.real(by_control), jnp.imag(by_control)]))


@takes_numbers
def linearise_by_differences(
    bench: ModeBench,
    command: Complex[Array, " mode"],
    frequency: Float[Array, " freq"],
    scattering: Complex[Array, "freq port port"],
    order: int,
    *,
    key: PRNGKeyArray,
    step: float | Array = 0.1,
) -> Linearised:
    """The same by forward differences over all 2 N controls, N sweeps each, besides the measured `scattering`.

    `step` is the change of each control, in units of the nominal coupling.
    """
    sheet = bench.sheet
    incoming = one_port_at_a_time(frequency, sheet.n_modes)
    unit = jnp.eye(sheet.n_modes, dtype=command.dtype)
    shifts = step * sheet.coupling_rad_per_s * jnp.concatenate([unit, -1j * unit])
    keys = jax.random.split(key, len(shifts))
    moved = jax.vmap(lambda shift, k: bench.measure(command + shift, frequency, incoming, key=k))(
        shifts, keys
    )
    every = jnp.concatenate([scattering[None], moved])
    values = jax.vmap(lambda s: coalescence_residual(frequency, s, order, sheet))(every)
    columns = ((values[1:] - values[:1]) / step).T
    return Linearised(values[0], jnp.concatenate([jnp.real(columns), jnp.imag(columns)]))


def sweeps_per_step(n_modes: int, order: int, method: str) -> int:
    """Sweeps of one step of `search`: N for S, then the derivative of method forward_mode or finite_difference."""
    derivative = {"forward_mode": order - 1, "finite_difference": 2 * n_modes}
    if method not in derivative:
        raise ValueError(f"`method` must be one of {', '.join(derivative)}, but is {method!r}.")
    return n_modes * (1 + derivative[method])


@takes_numbers
def search(
    bench: ModeBench,
    start: Complex[Array, "start mode"],
    frequency: Float[Array, " freq"],
    *,
    key: PRNGKeyArray,
    order: int = 2,
    steps: int = 40,
    max_step: float = 1.0,
    method: str = "forward_mode",
    difference_step: float = 0.1,
) -> Search:
    """Searches an exceptional point from each start by Gauss-Newton steps of limited length on measured data alone.

    Approach: a step is kept if the measured loss falls; the next one may then be twice as long. Otherwise it is taken
    back and the limit falls to a quarter. Settling, the last half: step j is kept unseen at 1 / j of its length
    (Robbins and Monro, Ann. Math. Statist. 22, 400 (1951), DOI 10.1214/aoms/1177729586), which averages the noise of
    the measurements. Lengths and shares are our choices. A command under which the device lases is taken back.

    Args:
        bench: Device to search on.
        start: First commands, detuning - i loss of each mode, rad/s.
        frequency: Frequencies of each sweep, rad/s; they must cover the poles.
        key: PRNG key of the measurements.
        order: Number of poles to bring together.
        steps: Steps, each measuring S and the derivative.
        max_step: Largest step, in units of the nominal coupling.
        method: forward_mode, or finite_difference for the baseline.
        difference_step: Step of finite differences, in units of the nominal coupling.

    Returns:
        Trace of every start.

    Raises:
        ValueError: If `order`, `steps` or `method` is out of range.
        FloatingPointError: If the spectra of a start cannot be measured or fitted.
    """
    if not 2 <= order <= bench.sheet.n_modes:
        rule = f"`order` must lie between 2 and the {bench.sheet.n_modes} modes of the device"
        raise ValueError(f"{rule}, but is {order}.")
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1, but is {steps}.")
    check_positive(max_step, "max_step")
    check_positive(difference_step, "difference_step")
    check_finite(start, "start")
    sweeps = sweeps_per_step(bench.sheet.n_modes, order, method)
    keys = jax.random.split(key, start.shape[0])
    settings = (order, steps, method, jnp.asarray(max_step), jnp.asarray(difference_step))
    command, loss = _search(bench, start, frequency, keys, *settings)
    bad = np.flatnonzero(~np.isfinite(np.asarray(loss[:, -1])))
    if bad.size:
        raise FloatingPointError(
            f"`start` {bad[0]} gives spectra that are not finite, so the search diverges at step 0; "
            "the device lases there: start with more loss."
        )
    return Search(command, loss, sweeps * np.arange(1, steps + 2))


class _State(NamedTuple):
    command: Array
    loss: Array
    linearised: Linearised


@eqx.filter_jit
def _search(bench, start, frequency, keys, order, steps, method, max_step, difference_step):
    linearise = linearise_forward
    if method == "finite_difference":
        linearise = functools.partial(linearise_by_differences, step=difference_step)
    n, incoming = bench.sheet.n_modes, one_port_at_a_time(frequency, bench.sheet.n_modes)

    def look(command, key):
        data_key, error_key = jax.random.split(key)
        scattering = bench.measure(command, frequency, incoming, key=data_key)
        found = linearise(bench, command, frequency, scattering, order, key=error_key)
        return _State(command, jnp.sum(jnp.abs(found.residual) ** 2), found)

    def step(carry, inputs):
        index, key = inputs
        held, limit = carry
        settled = jnp.maximum(index - 1 - (steps - 1) // 2, 0)  # 0 in the approach, then 1, 2, ...
        change = _gauss_newton(held.linearised, limit) / jnp.maximum(settled, 1)
        detuning, loss = jnp.split(change * bench.sheet.coupling_rad_per_s, 2)
        new = look(bench.sheet.clip(held.command + jax.lax.complex(detuning, -loss)), key)
        keep = jnp.where(settled > 0, jnp.isfinite(new.loss), new.loss < held.loss)  # NaN: False
        limit = jnp.where(keep, jnp.minimum(2 * limit, max_step), limit / 4)
        # Noise may have stopped the approach with a short limit that settling has no use for.
        limit = jnp.where(settled == 0, limit, max_step)
        held = jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, held)
        return (held, limit), (held.command, held.loss)

    def from_one(command, key):
        real = frequency.dtype
        # Nothing is known before the first look: a loss that any other is below, and no direction to step in.
        nothing = Linearised(
            jnp.zeros(order - 1, command.dtype), jnp.zeros((2 * (order - 1), 2 * n), real)
        )
        before = _State(command, jnp.asarray(jnp.inf, real), nothing)
        inputs = (jnp.arange(steps + 1), jax.random.split(key, steps + 1))
        return jax.lax.scan(step, (before, max_step.astype(real)), inputs)[1]

    return jax.vmap(from_one)(start, keys)


def _gauss_newton(linearised, limit):
    """Shortest step that zeroes the linearised residual, cut to `limit`; zero where nothing is known."""
    residual, derivative = linearised
    wanted = jnp.concatenate([jnp.real(residual), jnp.imag(residual)])
    gram = derivative @ derivative.T
    # Noise sets the smallest trusted singular value; a thousandth of the largest is ours.
    trace = jnp.trace(gram)
    gram = gram + (1e-6 * trace + (trace == 0)) * jnp.eye(gram.shape[0])
    step = -derivative.T @ solve(gram, wanted[:, None])[:, 0]
    length = jnp.linalg.norm(step)
    return step * jnp.minimum(1.0, limit / jnp.where(length > 0, length, 1.0))


def mode_overlap(fit: RationalFit, n_ports: int) -> Float[Array, ""]:
    """|<psi+|psi->|^2 of the two modes of the nearest poles as the ports see them; 1 at an exceptional point.

    The residue of S at a simple pole is a product of the mode at the ports with itself, so its leading singular vector
    is the mode, weighted with the port couplings.
    """
    poles = fit.poles()
    distance = jnp.abs(poles[:, None] - poles[None]) + jnp.where(jnp.eye(poles.size), jnp.inf, 0.0)
    pair = jnp.array(jnp.unravel_index(jnp.argmin(distance), distance.shape))
    residues = fit.residues()[pair].reshape(2, n_ports, n_ports)
    largest = jnp.argmax(jnp.linalg.norm(residues, axis=1), axis=-1)
    modes = jnp.take_along_axis(residues, largest[:, None, None], axis=2)
    for _ in range(4):  # power iteration; a residue has rank one up to noise
        modes = residues @ (jnp.conj(jnp.swapaxes(residues, 1, 2)) @ modes)
        modes = modes / jnp.linalg.norm(modes, axis=1, keepdims=True)
    return jnp.abs(jnp.sum(jnp.conj(modes[0]) * modes[1])) ** 2


@takes_numbers
def fit_exponent(
    perturbation: Float[np.ndarray, " n"], split: Float[np.ndarray, " n"]
) -> tuple[float, float]:
    """Slope of log splitting against log perturbation by least squares, with its standard error.

    Raises:
        ValueError: If fewer than three points are given or one is not positive.
    """
    x, y = np.asarray(perturbation, float), np.asarray(split, float)
    if x.size < 3 or not (np.all(x > 0) and np.all(y > 0)):
        raise ValueError(
            f"`perturbation` must hold at least 3 positive values with positive splittings, but holds {x}."
        )
    (slope, _), covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    return float(slope), float(np.sqrt(covariance[0, 0]))


@takes_numbers
def follow_poles(poles: Complex[np.ndarray, "step pole"]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Orders poles along a path so that each moves as little as possible, and says where each one ends.

    Args:
        poles: Poles at each point of a path, in any order; for a closed path the last point repeats the first.

    Returns:
        Ordered poles, and for each pole of the first point the place in the first point where it ends (a permutation).
    """
    from scipy.optimize import linear_sum_assignment

    ordered = np.array(poles)
    for i in range(1, len(ordered)):
        cost = np.abs(ordered[i - 1][:, None] - ordered[i][None])
        ordered[i] = ordered[i][linear_sum_assignment(cost)[1]]
    cost = np.abs(ordered[-1][:, None] - ordered[0][None])
    return ordered, tuple(int(i) for i in linear_sum_assignment(cost)[1])


@takes_numbers
def circle(
    centre: Complex[Array, " mode"], radius: float, n_points: int, turns: int = 1
) -> Complex[Array, "step mode"]:
    """Commands on a circle in the complex frequency of the first mode, ended where it begins; radius in rad/s."""
    check_positive(radius, "radius", "rad/s")
    angle = jnp.linspace(0, 2 * jnp.pi * turns, turns * n_points + 1)
    along = jnp.zeros_like(centre).at[0].set(1)
    return centre[None] + radius * jnp.exp(1j * angle)[:, None] * along[None]
