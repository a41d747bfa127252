"""The exact echo of a probe spin in blocks of its S_z, with derivatives or in real arithmetic.

    C(t) = Tr[S_x W S_x W^dag] / Tr[S_x^2],   W = U^dag V U,   V = exp(-i theta n . sum_struck I)

is the echo of the probe, C^(2k) with W in place of B(t) and 2 S_x in place of M for k loops. S_z of the probe is
conserved, so U has a block U_+, U_- for each of its states, and so has W:

    C = Re Tr[W_+ W_-^dag] / 2^protons       for k = 1; alternating products of W_+, W_- beyond.

That halves the spins' states; each block is diagonalised once for all times. Its derivative is taken from divided
differences of exp(-i E t), which stay finite where levels coincide, as they do in a turning methyl group.

`echo_by_real_sectors` does the same in real arithmetic, since

    xy + yx turned by 45 degrees about z is xx - yy,

so that with the axis of the butterfly turned alike both forms of `average_hamiltonian` have real matrices: 1.7 times
faster than complex ones for nine protons. It needs no compilation for another number of spins or times and goes one
proton further, but knows no derivatives and no higher orders; Hamiltonians of other forms go through complex matrices.

`echo_by_matrices` is the trace as it stands, for Hamiltonians that turn the probe, such as those of like spins, and for
several probes measured together.

Conventions as in `average_hamiltonian`. Left out: relaxation, pulse errors.
"""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Complex, Float

from quantum._checks import check_count
from quantum.nmr.dipolar_sequences import BLEW_12_AXIS, echo_signal
from quantum.nmr.strike import butterfly, check_echo
from quantum.spins.hamiltonian import PAULIS, SpinHamiltonian, dense

MOST_SPINS = 11  # blocks of 2^10 squared in complex128 are 17 MB, two held at every time
MOST_REAL_SPINS = 12
MOST_MATRIX_SPINS = 10


def echo_by_sectors(
    hamiltonian: SpinHamiltonian,
    struck: tuple[int, ...],
    angle: float | int | Float[Array, ""],
    times: Float[Array, " times"] | np.ndarray,
    *,
    axis: Float[Array, " 3"] | np.ndarray = BLEW_12_AXIS,
    probe: int = 0,
    order: int = 1,
) -> Float[Array, " times"]:
    """The echo of the probe, exact; differentiable once in Hamiltonian, angle, axis and times.

    Args:
        hamiltonian: One that holds no S_x and S_y of the probe, such as of `average_hamiltonian`.
        struck: Spins that the butterfly turns, such as the protons of the methyl groups.
        angle: theta in radians; the published one is unknown.
        times: Time of one forward evolution in seconds, not negative.
        axis: n, of length one; by default that of BLEW-12, (0, 2, 1) / sqrt(5).
        probe: The spin that is measured.
        order: k; C^(2k), 1 for the echo of the NMR experiment.

    Returns:
        C at each time, 1 at time zero where the butterfly leaves the probe alone.

    Raises:
        ValueError: As `check_echo`; there may be 11 spins.
    """
    check_count(order, "order", 1)
    check_echo(hamiltonian, struck, angle, times, axis, probe, most_spins=MOST_SPINS)
    times = jnp.asarray(times, dtype=hamiltonian.couplings.dtype)
    return _echo(hamiltonian, tuple(struck), angle, times, jnp.asarray(axis), probe, order)


@partial(jax.jit, static_argnames=("struck", "probe", "order"))
def _echo(hamiltonian: SpinHamiltonian, struck, angle, times, axis, probe: int, order: int):
    up, down = (sector(hamiltonian, sign, probe=probe) for sign in (0.5, -0.5))
    others = [k for k in range(hamiltonian.n_spins) if k != probe]
    turn = butterfly(len(others), [others.index(k) for k in struck], angle, axis).astype(up.dtype)

    def one(forward):
        first, second = (u.conj().T @ turn @ u for u in forward)
        return _alternating_trace(first, second, order)

    return jax.lax.map(one, (_propagators(up, times), _propagators(down, times)))


def sector(
    hamiltonian: SpinHamiltonian, sz: float, *, probe: int = 0
) -> Complex[Array, "states states"]:
    """H / hbar in rad/s on the other spins where the probe has S_z = `sz`, without the probe's own energy."""
    tensor, fields = hamiltonian.couplings, hamiltonian.fields
    if not (isinstance(tensor, Tracer) or isinstance(fields, Tracer)):
        tensor, fields = np.asarray(tensor), np.asarray(fields)
    return jnp.asarray(_sector(tensor, fields, sz, probe))


def _sector(tensor, fields, sz: float, probe: int):
    """The same from arrays; NumPy's stay NumPy's, so that nothing is compiled for each number of spins."""
    others = np.array([k for k in range(len(fields)) if k != probe])
    fields = fields[others] + sz * tensor[probe, others, 2]
    return _dense(tensor[others[:, None], others[None]], fields)


@jax.custom_jvp
def _propagators(matrix, times):
    """exp(-i H t) for all times from one diagonalisation."""
    energies, states = jnp.linalg.eigh(matrix)
    phases = jnp.exp(-1j * times[:, None] * energies[None])
    return jnp.einsum("ab,tb,cb->tac", states, phases, states.conj())


@_propagators.defjvp
def _propagators_jvp(primals, tangents):
    (matrix, times), (matrix_dot, times_dot) = primals, tangents
    energies, states = jnp.linalg.eigh(matrix)
    phases = jnp.exp(-1j * times[:, None] * energies[None])
    found = jnp.einsum("ab,tb,cb->tac", states, phases, states.conj())
    # Divided differences of exp(-i E t): -i t exp(-i t (E + E') / 2) sinc(t (E - E') / 2), finite where E = E'.
    half = times[:, None, None] / 2
    mean, gap = energies[:, None] + energies[None, :], energies[:, None] - energies[None, :]
    divided = -2j * half * jnp.exp(-1j * half * mean[None]) * jnp.sinc(half * gap[None] / math.pi)
    inner = states.conj().T @ matrix_dot @ states
    moved = jnp.einsum("ab,tbc,dc->tad", states, divided * inner[None], states.conj())
    return found, moved - 1j * times_dot[:, None, None] * (matrix[None] @ found)


def _alternating_trace(up, down, order: int):
    """Re Tr of (W^dag X)^k (W X)^k in the block where the probe begins up, over its states."""
    blocks = (up, down)
    product = up.conj().T
    for k in range(1, order):
        product = product @ blocks[k % 2].conj().T
    for k in range(order, 2 * order):
        last = blocks[k % 2]
        if k < 2 * order - 1:
            product = product @ last
    return jnp.real(jnp.sum(product * last.T)) / up.shape[0]


def _dense(tensor, fields):
    """Matrix of a Hamiltonian by scattering the 4 x 4 block of each pair and the 2 x 2 block of each spin."""
    n = fields.shape[0]
    xp = jnp if isinstance(fields, jax.Array) else np
    spins = xp.asarray(PAULIS / 2, dtype=xp.result_type(fields.dtype, xp.complex64))
    matrix = xp.zeros((2**n, 2**n), spins.dtype)
    blocks = xp.einsum("ia,apq->ipq", fields, spins)
    matrix = _added(matrix, [(i,) for i in range(n)], blocks)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    if not pairs:
        return matrix
    first, second = np.array(pairs).T
    blocks = xp.einsum("kab,apq,brs->kprqs", tensor[first, second], spins, spins)
    return _added(matrix, pairs, blocks.reshape(len(pairs), 4, 4))


def _added(matrix, groups, blocks):
    """The matrix with the block of each group of spins added, (groups, block, block)."""
    rows, columns = _places(groups, len(matrix).bit_length() - 1)
    if isinstance(matrix, jax.Array):
        return matrix.at[rows, columns].add(blocks[..., None])
    np.add.at(matrix, (rows, columns), blocks[..., None])
    return matrix


def _places(groups, n: int):
    """Rows and columns at which blocks on groups of spins stand, (groups, block, block, states of the rest)."""
    rows, columns = [], []
    for group in groups:
        rest = [k for k in range(n) if k not in group]
        within = _words(group, n)
        elsewhere = _words(rest, n)
        rows.append(within[:, None, None] + elsewhere[None, None, :])
        columns.append(within[None, :, None] + elsewhere[None, None, :])
    return np.stack(rows), np.stack(columns)


def _words(spins, n: int):
    """Basis states with all patterns on some spins, zeros on the rest; spin 0 is the most significant bit."""
    found = np.zeros(1, dtype=np.int64)
    for spin in spins:
        found = (found[:, None] + np.array([0, 1 << (n - 1 - spin)])[None]).ravel()
    return found


_ROUNDING = 1e-12  # imaginary parts below this share of a matrix come from turning it


def echo_by_real_sectors(
    hamiltonian: SpinHamiltonian,
    struck: Sequence[int],
    angle: float | int,
    times: Sequence[float] | Float[np.ndarray, " times"],
    *,
    axis: Sequence[float] | Float[Array, " 3"] | np.ndarray = BLEW_12_AXIS,
    probe: int = 0,
) -> Float[np.ndarray, " times"]:
    """C(t) of the probe, exact, from the two blocks of its S_z in real arithmetic where a turn makes them real.

    Args:
        hamiltonian: Hamiltonian in which the probe appears as S_z only.
        struck: Spins that the butterfly turns.
        angle: Butterfly angle theta in radians.
        times: Times of the forward evolution in seconds, not negative.
        axis: Axis of the butterfly, of length one.
        probe: The spin that is measured.

    Raises:
        ValueError: As `check_echo`; there may be 12 spins.
    """
    check_echo(hamiltonian, struck, angle, times, axis, probe, most_spins=MOST_REAL_SPINS)
    tensor, fields, axis = _real_frame(hamiltonian, axis)
    others = [k for k in range(len(fields)) if k != probe]
    turn = np.asarray(butterfly(len(others), [others.index(k) for k in struck], float(angle), axis))
    blocks = []
    for sign in (0.5, -0.5):
        matrix = _sector(tensor, fields, sign, probe)
        real = np.abs(np.imag(matrix)).max() <= _ROUNDING * np.abs(matrix).max()
        energies, states = np.linalg.eigh(np.real(matrix) if real else matrix)
        blocks.append((energies, states, states.conj().T @ turn @ states))
    (up, up_states, up_turn), (down, down_states, down_turn) = blocks
    between = up_states.conj().T @ down_states
    found = []
    for time in times:
        phase, other = np.exp(-1j * up * time), np.exp(-1j * down * time)
        first = phase.conj()[:, None] * up_turn * phase
        second = other.conj()[:, None] * down_turn * other
        found.append(np.vdot(_times(between, second), _times(between.T, first.T).T))
    return np.real(found) / len(up)


def _real_frame(hamiltonian: SpinHamiltonian, axis):
    """Couplings, fields and axis turned by 45 degrees about z where x and y are coupled: a z axis keeps the echo."""
    tensor, fields = np.asarray(hamiltonian.couplings), np.asarray(hamiltonian.fields)
    if not np.any(tensor[..., 0, 1]):
        return tensor, fields, np.asarray(axis)
    half = math.sqrt(0.5)
    turn = np.array([[half, -half, 0], [half, half, 0], [0, 0, 1]])
    return turn @ tensor @ turn.T, fields @ turn.T, turn @ np.asarray(axis)


def _times(left, right):
    """A matrix product that uses a real left factor; one that is real on the right is given transposed."""
    if np.iscomplexobj(left):
        return left @ right
    return left @ np.real(right) + 1j * (left @ np.imag(right))


def echo_by_matrices(
    hamiltonian: SpinHamiltonian,
    struck: Sequence[int],
    angle: float | int,
    times: Sequence[float] | Float[np.ndarray, " times"],
    *,
    axis: Sequence[float] | Float[Array, " 3"] | np.ndarray = BLEW_12_AXIS,
    probe: int | Sequence[int] = 0,
) -> Float[np.ndarray, " times"]:
    """C(t) of one probe or several, exact, from matrices of all spins.

    Args:
        hamiltonian: Any Hamiltonian.
        struck: Spins that the butterfly turns.
        angle: Butterfly angle theta in radians.
        times: Times of the forward evolution in seconds, not negative.
        axis: Axis of the butterfly, of length one.
        probe: The spin that is measured, or spins: then S_x is the sum of theirs.

    Raises:
        ValueError: As `check_echo`; there may be 10 spins.
    """
    check_echo(
        hamiltonian, struck, angle, times, axis, probe,
        most_spins=MOST_MATRIX_SPINS, any_probe=True, several=True,
    )  # fmt: skip
    energies, states = np.linalg.eigh(dense(hamiltonian))
    strike = np.asarray(butterfly(hamiltonian.n_spins, struck, float(angle), jnp.asarray(axis)))
    found = []
    for time in times:
        there = (states * np.exp(-1j * energies * time)) @ states.conj().T
        found.append(echo_signal(there.conj().T @ strike @ there, probe))
    return np.array(found)
