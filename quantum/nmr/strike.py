"""The strike in the middle of an echo: spins turned by a butterfly, and what every method asks of an echo.

    V = exp(-i theta n . sum_struck I)

Conventions and sources as in `average_hamiltonian`.
"""

from collections.abc import Sequence
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Complex, Float

from quantum._checks import check_array, check_in_range
from quantum.nmr.dipolar_sequences import BLEW_12_AXIS
from quantum.spins.hamiltonian import PAULIS, SpinHamiltonian


def butterfly(
    n_spins: int,
    struck,
    angle: float | int | Float[Array, ""],
    axis: Float[Array, " 3"] | np.ndarray = BLEW_12_AXIS,
) -> Complex[Array, "states states"]:
    """exp(-i angle axis . I) of every struck spin, as one matrix on `n_spins` spins."""
    # Numbers go through NumPy, which compiles nothing for each number of spins.
    traced = isinstance(angle, Tracer) or isinstance(axis, Tracer)
    xp = jnp if traced else np
    generator = xp.tensordot(xp.asarray(axis), PAULIS, 1)
    one = xp.cos(angle / 2) * np.eye(2) - 1j * xp.sin(angle / 2) * generator
    parts = [one if spin in struck else xp.eye(2, dtype=one.dtype) for spin in range(n_spins)]
    return jnp.asarray(reduce(xp.kron, parts, xp.eye(1, dtype=one.dtype)))


def check_echo(
    hamiltonian: SpinHamiltonian,
    struck: Sequence[int],
    angle,
    times,
    axis,
    probe: int,
    *,
    most_spins: int | None = None,
    any_probe: bool = False,
) -> None:
    """Raises ValueError unless these describe the echo of a probe; of what is traced the shape counts.

    Args:
        hamiltonian: Couplings and fields of all spins.
        struck: Spins that the butterfly turns.
        angle: Its angle, rad.
        times: Times of the way out, s.
        axis: Its axis.
        probe: Spin that is measured.
        most_spins: How many spins there may be; any number by default.
        any_probe: Whether S_x and S_y of the probe may appear in the Hamiltonian.
    """
    n = hamiltonian.n_spins
    if n < 2 or (most_spins is not None and n > most_spins):
        rule = "2 spins or more" if most_spins is None else f"2 to {most_spins} spins"
        raise ValueError(
            f"`hamiltonian` must have {rule}, but has {n}; `methods()` says which method takes how many."
        )
    if not 0 <= probe < n:
        raise ValueError(f"`probe` must be a spin from 0 to {n - 1}, but is {probe}.")
    if probe in struck or not set(struck) <= set(range(n)) or len(set(struck)) < len(struck):
        raise ValueError(
            f"`struck` must be different spins of 0 to {n - 1} other than the probe {probe}, but is {tuple(struck)}."
        )
    check_times(times)
    check_axis(axis)
    check_array(angle, "angle", (), "rad", "give an angle")
    traced = isinstance(hamiltonian.couplings, Tracer) or isinstance(hamiltonian.fields, Tracer)
    if not (any_probe or traced or keeps_probe(hamiltonian, probe)):
        raise ValueError(
            "`hamiltonian` must keep S_z of the probe, but holds S_x or S_y of it; random states (`typicality`) take "
            "it as well."
        )


def check_times(times) -> None:
    """Raises ValueError unless times (s) are a list, finite and not negative; of traced ones the shape counts."""
    check_array(times, "times", ("times",), "s", "give a list of seconds")
    least = 0.0 if isinstance(times, Tracer) else float(np.min(times, initial=0))
    if least < 0:
        raise ValueError(
            f"`times` must be finite and not negative, but begin at {least:g} s; the echo itself runs back."
        )


def check_axis(axis) -> None:
    """Raises ValueError unless an axis is a vector of length one; of a traced one the shape counts."""
    check_array(axis, "axis", (3,), "", "give x, y and z")
    if not isinstance(axis, Tracer):
        length = float(np.linalg.norm(axis))
        check_in_range(length, "axis", 1 - 1e-6, 1 + 1e-6, "long", "Divide it by its length.")


def keeps_probe(hamiltonian: SpinHamiltonian, probe: int) -> bool:
    """Whether S_z of a spin commutes with H: it takes part through S_z alone."""
    rows, fields = np.asarray(hamiltonian.couplings)[probe], np.asarray(hamiltonian.fields)[probe]
    return not (rows[:, :2].any() or fields[:2].any())


def turn_spins(
    states: Complex[Array, "*batch states"],
    struck: Sequence[int],
    turn: Complex[Array, "2 2"],
) -> Complex[Array, "*batch states"]:
    """The same 2 x 2 matrix applied to every struck spin."""
    return _turn_spins(states, tuple(struck), turn)


@partial(jax.jit, static_argnums=1)
def _turn_spins(states, struck: tuple[int, ...], turn):
    n = states.shape[-1].bit_length() - 1
    for spin in struck:
        split = states.reshape(*states.shape[:-1], 2**spin, 2, 2 ** (n - 1 - spin))
        states = jnp.einsum("ab,...pbq->...paq", turn, split).reshape(states.shape)
    return states
