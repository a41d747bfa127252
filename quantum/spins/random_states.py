"""Random states in place of a trace (typicality).

With entries of modulus 1 and random phases <psi|A|psi> has the mean Tr A / D and, for unitary A, a variance below
1 / D; Gaussian entries spread more (F. Jin et al., J. Phys. Soc. Jpn. 90, 012001 (2021), doi:10.7566/JPSJ.90.012001).
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex

from quantum._checks import check_choice, check_count
from quantum.spins.action import complex_type

_KINDS: dict[str, Callable] = {
    "phase": lambda rng, size: np.exp(2j * np.pi * rng.random(size)),
    "complex": lambda rng, size: rng.normal(size=size) + 1j * rng.normal(size=size),
    "real": lambda rng, size: rng.normal(size=size),
}


def random_states(
    n_spins: int,
    n_states: int,
    *,
    seed: int,
    kind: str = "phase",
    precision: str = "single",
    first: int = 0,
) -> Complex[Array, "n_states states"]:
    """Normalised random states whose mean projector is the identity over the dimension.

    Args:
        n_spins: Number of spins.
        n_states: Number of states.
        seed: Seed; state k is the same in any batch that holds it.
        kind: "phase" (random phases, least spread), "complex" or "real" (Gaussian entries; real ones spread by sqrt 2
            more).
        precision: "single" or "double".
        first: k of the first state.

    Raises:
        ValueError: If a number is too small, or kind or precision unknown.
    """
    check_count(n_spins, "n_spins", 1)
    check_count(n_states, "n_states", 1)
    check_choice(kind, "kind", _KINDS)
    found = np.empty((n_states, 2**n_spins), complex)
    for k in range(n_states):
        found[k] = _KINDS[kind](np.random.default_rng([seed, first + k]), 2**n_spins)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return jnp.asarray(found, complex_type(precision))
