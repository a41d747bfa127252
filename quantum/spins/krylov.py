"""Spins in time by Krylov spaces: exp(-i H t) in the space that H spans from the state, step by step.

    exp(-i H dt) psi = V exp(-i T dt) V^dag psi,   H V = V T + beta_m v_(m+1) e_m^T

with T tridiagonal of size m (T. J. Park and J. C. Light, J. Chem. Phys. 85, 5870 (1986), doi:10.1063/1.451548). It
needs no bounds on the spectrum and its norm is conserved by construction; every state has a space of its own. The
step is the longest whose error beta_m |int_0^dt (exp(-i T s))_(m,1) ds| stays below its share of the tolerance. Basis
vectors are made orthogonal to all before, twice, since three-term recursion alone loses orthogonality.

It stands beside the Chebyshev series of `spin_evolution`, which is faster for long times and has gradients: the two
share only the action of H, and they have to agree.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex

from quantum._checks import check_count, check_in_range
from quantum.spins.action import DTYPES, SpinAction, from_columns, make_action, to_columns
from quantum.spins.evolution import TOLERANCES, check_states
from quantum.spins.hamiltonian import SpinHamiltonian

# A residual this small beside the coupling scale means that the space is closed under H.
_CLOSED = {"single": 1e-5, "double": 1e-13}
_SHORTEST = 1e-12  # of the whole time: below it the tolerance is out of reach


def evolve_krylov(
    hamiltonian: SpinHamiltonian,
    states: Complex[Array, "*batch states"],
    time: float | int,
    *,
    dimension: int = 30,
    precision: str = "single",
    tolerance: float | None = None,
) -> Complex[Array, "*batch states"]:
    """exp(-i H t) applied to a batch of states, one after the other.

    Args:
        hamiltonian: H / hbar, with numbers in it.
        states: States, (*batch, 2^n).
        time: Time in s; a negative one goes backwards.
        dimension: Largest size m of the Krylov space; memory is m states.
        precision: "single" or "double".
        tolerance: Error of each state, relative to its norm; 1e-6 in single, 1e-12 in double by default.

    Raises:
        ValueError: If shapes do not fit or an argument is out of range.
        FloatingPointError: If the tolerance cannot be reached.
    """
    check_states(states, hamiltonian.n_spins)
    check_count(dimension, "dimension", 2)
    check_in_range(time, "time", -np.finfo(float).max, np.finfo(float).max, "s")
    action = make_action(hamiltonian, precision=precision)
    tolerance = TOLERANCES[precision] if tolerance is None else tolerance
    check_in_range(tolerance, "tolerance", 1e-15, 0.1)
    dtype = np.dtype(DTYPES[precision])
    flat = np.asarray(states, dtype).reshape(-1, states.shape[-1])
    found = [_evolve_one(action, state, time, dimension, precision, tolerance) for state in flat]
    return jnp.asarray(np.array(found).reshape(states.shape), dtype)


def _evolve_one(action, state, time, dimension, precision, tolerance):
    left = float(time)
    while left:
        norm = np.linalg.norm(state)
        if norm == 0:
            return state
        basis, diagonal, off = _lanczos(action, state / norm, dimension, precision)
        energies, vectors = np.linalg.eigh(
            np.diag(diagonal) + np.diag(off[:-1], 1) + np.diag(off[:-1], -1)
        )
        step = _longest_step(energies, vectors, off[-1], left, tolerance / abs(time))
        if abs(step) < _SHORTEST * abs(time):
            raise FloatingPointError(
                f"`tolerance` must be within reach, but {tolerance:g} is not; take a larger `dimension`."
            )
        small = vectors @ (np.exp(-1j * energies * step) * vectors[0])
        state = (norm * (small @ basis)).astype(state.dtype)
        left = 0.0 if step == left else left - step
    return state


def _lanczos(action: SpinAction, start, dimension: int, precision: str):
    """Orthonormal basis (m, 2^n), diagonal (m,) and off-diagonal (m,) of T; the last of it leads out of the space."""
    dimension = min(dimension, len(start))
    basis, diagonal, off = [start], [], []
    for _ in range(dimension):
        moved = np.asarray(_act(action, jnp.asarray(basis[-1])))
        diagonal.append(np.vdot(basis[-1], moved).real)
        known = np.array(basis)
        for _ in range(2):
            moved = moved - (known.conj() @ moved) @ known
        off.append(float(np.linalg.norm(moved)))
        scale = max(np.abs(diagonal).max(), max(off))
        if off[-1] <= _CLOSED[precision] * scale or len(basis) == len(start):
            off[-1] = 0.0
            break
        basis.append(moved / off[-1])
    return np.array(basis[: len(diagonal)]), np.array(diagonal, float), np.array(off)


def _longest_step(energies, vectors, outward: float, left: float, rate: float) -> float:
    """Longest step of at most `left`, halved until its error is below `rate` times its length."""
    step = left
    while abs(step) >= _SHORTEST * abs(left):
        # int_0^dt exp(-i E s) ds = dt exp(-i E dt / 2) sinc(E dt / 2)
        integral = np.exp(-0.5j * energies * step) * np.sinc(energies * step / (2 * np.pi))
        if outward * abs(vectors[-1] @ (integral * vectors[0])) <= rate:
            return step
        step /= 2
    return 0.0


@jax.jit
def _act(action: SpinAction, state):
    return from_columns(action(to_columns(state, action)), ())
