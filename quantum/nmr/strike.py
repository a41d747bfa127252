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
from quantum.nmr.species import keeps_probe, read_probes
from quantum.spins.hamiltonian import PAULIS, SpinHamiltonian

_LONGEST = 100.0  # s, our choice: no nuclear spin in a liquid remembers so long
_MOST_TURNS = 4


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
    probe: int | Sequence[int],
    *,
    most_spins: int | None = None,
    any_probe: bool = False,
    several: bool = False,
) -> None:
    """Raises ValueError unless these describe the echo of a probe; of what is traced the shape counts.

    Args:
        hamiltonian: Couplings and fields of all spins.
        struck: Spins that the butterfly turns.
        angle: Its angle, rad.
        times: Times of the way out, s.
        axis: Its axis.
        probe: Spin that is measured, or spins.
        most_spins: How many spins there may be; any number by default.
        any_probe: Whether S_x and S_y of the probe may appear in the Hamiltonian.
        several: Whether several spins may be measured together.
    """
    n = hamiltonian.n_spins
    if n < 2 or (most_spins is not None and n > most_spins):
        rule = "2 spins or more" if most_spins is None else f"2 to {most_spins} spins"
        raise ValueError(
            f"`hamiltonian` must have {rule}, but has {n}; `methods()` says which method takes how many."
        )
    probes = read_probes(n, probe)
    if not probes or (len(probes) > 1 and not several):
        raise ValueError(
            f"`probe` must be one spin, but is {probe}; `matrices`, `pulses` and `typicality` measure several together."
        )
    if (
        set(probes) & set(struck)
        or not set(struck) <= set(range(n))
        or len(set(struck)) < len(struck)
    ):
        raise ValueError(
            f"`struck` must be different spins of 0 to {n - 1} other than the probe "
            f"{', '.join(map(str, probes))}, but is {tuple(struck)}."
        )
    check_times(times)
    check_axis(axis)
    check_array(angle, "angle", (), "rad", "give an angle")
    if not isinstance(angle, Tracer):
        most = _MOST_TURNS * 2 * np.pi
        check_in_range(float(angle), "angle", -most, most, "rad", "Is it in radians?")
    traced = isinstance(hamiltonian.couplings, Tracer) or isinstance(hamiltonian.fields, Tracer)
    if not (any_probe or traced or all(keeps_probe(hamiltonian, k) for k in probes)):
        raise ValueError(
            "`hamiltonian` must keep S_z of the probe, but holds S_x or S_y of it; random states (`typicality`) take "
            "it, and `matrices` up to 10 spins."
        )


def check_times(times) -> None:
    """Raises ValueError unless times (s) are a list, finite, from 0 to 100 s; of traced ones the shape counts."""
    check_array(times, "times", ("times",), "s", "give a list of seconds")
    least = 0.0 if isinstance(times, Tracer) else float(np.min(times, initial=0))
    if least < 0:
        raise ValueError(
            f"`times` must be finite and not negative, but begin at {least:g} s; the echo itself runs back."
        )
    most = 0.0 if isinstance(times, Tracer) else float(np.max(times, initial=0))
    if most > _LONGEST:
        raise ValueError(
            f"`times` must be at most {_LONGEST:g} s, but end at {most:g} s; are they in seconds?"
        )


def check_axis(axis) -> None:
    """Raises ValueError unless an axis is a vector of length one; of a traced one the shape counts."""
    check_array(axis, "axis", (3,), "", "give x, y and z")
    if not isinstance(axis, Tracer):
        length = float(np.linalg.norm(axis))
        check_in_range(length, "axis", 1 - 1e-6, 1 + 1e-6, "long", "Divide it by its length.")


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
