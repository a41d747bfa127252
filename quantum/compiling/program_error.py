"""The echo that a program makes of a molecule, exactly and differentiably, and its error.

The error of a program on a molecule is the relative error of its echo over the times,

    e = sqrt(sum_t (C(t) - C_exact(t))^2 / sum_t C_exact(t)^2),

and `error` gives it for each molecule. How the published 10.4 % and 0.82 % (arXiv:2510.19550, Fig. S43, as
reported by public study notes) average over times and random states is unknown to us; this definition is ours.

The echo is the full trace, no sampling: pair gates conserve S_z of the probe and the parity of the protons, so U(t) is
four blocks of 2^(protons - 1) states, to which gates are applied one after the other by `lax.scan`, and

    C = Re Tr[W_+ W_-^dag] / 2^protons,   W = U^dag V U

as in `quantum.nmr.average_hamiltonian`. Durations are differentiable in modulation and rescaling. Left out: noise,
fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quantum.compiling.echo_program import EchoProgram, check_spins, plan
from quantum.compiling.program_gates import gate_matrix, modes, sweep_weights
from quantum.nmr.methods import echo
from quantum.nmr.strike import butterfly, check_times
from quantum.spins.hamiltonian import PAULIS, SpinHamiltonian

_BUCKET = 32  # gates and sweeps are padded to multiples of it, so that few programs compile anew
_MODES = 4  # Legendre modes of the step sizes


@dataclass(frozen=True)
class EchoTask:
    """Molecules and times at which programs are judged, with what the exact echo is.

    Attributes:
        hamiltonians: One for each molecule.
        times: Seconds.
        struck: Spins that the butterfly turns.
        angle: By how much, in radians.
        exact: Exact echo, (molecules, times).
        gates: Eigenvalues and vectors of I_i . T_ij . I_j of each molecule and pair, as `_pair_modes` makes them.
        probe: The spin that is measured.
    """

    hamiltonians: tuple[SpinHamiltonian, ...]
    times: tuple[float, ...]
    struck: tuple[int, ...]
    angle: float
    exact: np.ndarray
    gates: tuple
    probe: int = 0

    @property
    def n_spins(self) -> int:
        """Number of spins."""
        return self.hamiltonians[0].n_spins


def make_task(
    hamiltonians: Sequence[SpinHamiltonian],
    struck: Sequence[int],
    angle: float | int,
    times: Sequence[float] | np.ndarray,
    *,
    probe: int = 0,
) -> EchoTask:
    """Computes the exact echoes of molecules, to be judged by.

    Args:
        hamiltonians: Molecules, all with as many spins; couplings that keep S_z of the probe and parity, no fields.
        struck: Spins that the butterfly turns.
        angle: By how much, in radians.
        times: Seconds, positive.
        probe: The spin that is measured.

    Raises:
        ValueError: If there is no molecule, a time is not positive, or a Hamiltonian is not of this kind.
    """
    check_times(times)
    if not len(hamiltonians):
        raise ValueError("`hamiltonians` must hold a molecule or more, but is empty.")
    if not len(times) or min(times) <= 0:
        shown = f"begin at {min(times):g} s" if len(times) else "there are none"
        raise ValueError(
            f"`times` must be positive, but {shown}; the echo is 1 at time 0 for any program."
        )
    for molecule in hamiltonians:
        _check_kind(molecule, hamiltonians[0].n_spins, probe)
    points = np.asarray(times, dtype=float)
    exact = [np.asarray(echo(h, struck, angle, points, probe=probe).values) for h in hamiltonians]
    modes = [_pair_modes(np.asarray(h.couplings), probe) for h in hamiltonians]
    gates = tuple(np.stack(parts) for parts in zip(*modes, strict=True))
    return EchoTask(
        tuple(hamiltonians),
        tuple(points.tolist()),
        tuple(struck),
        float(angle),
        np.stack(exact),
        gates,
        probe,
    )


def echo_of_program(program: EchoProgram, task: EchoTask) -> Float[Array, "molecules times"]:
    """Echo of each molecule at each time, the full trace.

    Raises:
        ValueError: If the program names spins that are not there, or another probe or butterfly than the task.
    """
    _check_match(program, task)
    return echoes(gate_arrays(program, task), parameters(program), task_arrays(task))


def error(program: EchoProgram, task: EchoTask) -> np.ndarray:
    """Relative error of each molecule, rms over the times by the rms of the exact echo, (molecules,).

    Raises:
        ValueError: As `echo_of_program`.
    """
    found = np.asarray(echo_of_program(program, task), dtype=float)
    return np.sqrt(((found - task.exact) ** 2).sum(axis=1) / (task.exact**2).sum(axis=1))


def mean_gates(program: EchoProgram, times: Sequence[float]) -> float:
    """Pair gates of one evolution, mean over the times."""
    return float(np.mean([program.count(time) for time in times]))


def parameters(program: EchoProgram) -> tuple[np.ndarray, np.ndarray]:
    """Modulation, (modes,), filled up with zeros to 4 of them, and rescaling, (classes, 2)."""
    modulation = np.zeros(max(_MODES, len(program.modulation)))
    modulation[: len(program.modulation)] = program.modulation
    return modulation, np.array([group.rescaling for group in program.classes], dtype=float)


def with_parameters(program: EchoProgram, modulation, rescaling) -> EchoProgram:
    """The program with other continuous parameters."""
    groups = tuple(
        replace(group, rescaling=(float(r), float(s)))
        for group, (r, s) in zip(program.classes, np.asarray(rescaling), strict=True)
    )
    return replace(program, modulation=tuple(np.asarray(modulation).tolist()), classes=groups)


@jax.jit
def echoes(gates, continuous, molecules) -> Float[Array, "molecules times"]:
    """Echoes from `gate_arrays`, `parameters` and `task_arrays`; differentiable in the parameters."""
    modulation, rescaling = continuous
    *modes_of_pairs, pattern, partner, strike = molecules

    @jax.checkpoint  # the states after every gate are held for one time only
    def at(item):
        time, ratio, pairs, owners, sums, shapes, fractions, classes = item
        weights = sweep_weights(fractions, classes, shapes, modulation, len(rescaling), jnp)
        factors = 1 + rescaling[:, 0] + rescaling[:, 1] * ratio
        lasting = time * (sums @ weights) * factors[owners]
        return jax.lax.map(
            lambda one: _one_echo(one, pairs, lasting, pattern, partner, strike),
            tuple(modes_of_pairs),
        )

    return jax.lax.map(at, gates).T


def _one_echo(pair_modes, pairs, lasting, pattern, partner, strike):
    energies, diagonal, anti = pair_modes
    size = pattern.shape[-1]
    parities = np.arange(2)[:, None]

    def apply(blocks, gate):
        pair, duration = gate
        phases = jnp.exp(-1j * energies[pair] * duration).astype(blocks.dtype)
        state = pattern[pair]
        kept = (diagonal[pair] @ phases)[state][..., None] * blocks
        flipped = (anti[pair] @ phases)[state][..., None] * blocks[:, parities, partner[pair]]
        return kept + flipped, None

    start = jnp.broadcast_to(jnp.eye(size, dtype=anti.dtype), (2, 2, size, size))
    blocks, _ = jax.lax.scan(apply, start, (pairs, lasting))
    struck = jnp.einsum("bcrt,sctj->sbcrj", strike, blocks)
    loops = jnp.einsum("sbri,sbcrj->sbcij", blocks.conj(), struck)
    return jnp.real(jnp.sum(loops[0] * loops[1].conj())) / (2 * size)


def _check_kind(molecule: SpinHamiltonian, n_spins: int, probe: int) -> None:
    tensors = np.asarray(molecule.couplings)
    if molecule.n_spins != n_spins:
        raise ValueError(
            f"`hamiltonians` must have as many spins, but have {n_spins} and {molecule.n_spins}."
        )
    if np.any(np.asarray(molecule.fields)):
        raise ValueError("`hamiltonians` must have no fields; programs hold pairs only.")
    odd = np.abs(tensors[..., :2, 2]).max() + np.abs(tensors[..., 2, :2]).max()
    if odd or np.any(tensors[probe, :, :2]):
        raise ValueError(
            "`hamiltonians` must keep S_z of the probe and the parity of the others, but do not."
        )


def _check_match(program: EchoProgram, task: EchoTask) -> None:
    check_spins(program, task.n_spins)
    if program.probe != task.probe or set(program.struck) != set(task.struck):
        raise ValueError(
            f"`program` must have the task's probe {task.probe} and struck {task.struck}, but has "
            f"{program.probe} and {program.struck}."
        )


def _pair_modes(tensors: np.ndarray, probe: int):
    """Energies of all pairs and what each weighs in diagonal and antidiagonal of the gate."""
    spins = PAULIS / 2
    pairs = _all_pairs(len(tensors), probe)
    first, second = np.array(pairs).T
    blocks = np.einsum("kab,apq,brs->kprqs", tensors[first, second], spins, spins)
    energies, vectors = np.linalg.eigh(blocks.reshape(len(pairs), 4, 4))
    return energies, np.abs(vectors) ** 2, vectors * vectors[:, ::-1].conj()


def _all_pairs(n_spins: int, probe: int) -> list[tuple[int, int]]:
    others = [k for k in range(n_spins) if k != probe]
    within = [(i, j) for at, i in enumerate(others) for j in others[at + 1 :]]
    return [(probe, j) for j in others] + within


def task_arrays(task: EchoTask):
    """Arrays of a task that no program changes, for `echoes`."""
    pattern, partner, order = _tables(task.n_spins, task.probe)
    dtype = task.hamiltonians[0].couplings.dtype
    others = [k for k in range(task.n_spins) if k != task.probe]
    strike = np.asarray(
        butterfly(len(others), [others.index(k) for k in task.struck], float(task.angle))
    )[np.ix_(order, order)]
    size = len(order) // 2
    strike = strike.reshape(2, size, 2, size).transpose(0, 2, 1, 3)
    narrow = jnp.result_type(dtype, jnp.complex64)
    energies, diagonal, anti = task.gates
    return (
        jnp.asarray(energies, dtype),
        jnp.asarray(diagonal, dtype),
        jnp.asarray(anti, narrow),
        jnp.asarray(pattern),
        jnp.asarray(partner),
        jnp.asarray(strike, narrow),
    )


def _tables(n_spins: int, probe: int):
    """State (0 to 3) of each pair in every row of (probe, parity), the row with both flipped, the states of rows."""
    others = [k for k in range(n_spins) if k != probe]
    words = np.arange(2 ** len(others))
    bits = (words[:, None] >> np.arange(len(others))[::-1]) & 1
    parity = bits.sum(axis=1) % 2
    rows = np.stack([words[parity == 0], words[parity == 1]])
    place = np.zeros(len(words), dtype=int)
    place[rows] = np.arange(rows.shape[1])
    pattern, partner = [], []
    for first, second in _all_pairs(n_spins, probe):
        low = bits[rows, others.index(second)]
        high = [0, 1] if first == probe else 2 * [bits[rows, others.index(first)]]
        pattern.append(np.stack([2 * h + low for h in high]))
        flips = sum(1 << (len(others) - 1 - others.index(k)) for k in (first, second) if k != probe)
        same = (
            first == probe
        )  # its S_z stays, so the gate is diagonal there and the partner is never used
        partner.append(
            np.broadcast_to(np.arange(rows.shape[1]), rows.shape) if same else place[rows ^ flips]
        )
    return np.stack(pattern), np.stack(partner), rows.ravel()


def gate_arrays(program: EchoProgram, task: EchoTask):
    """The gates at all times as padded arrays, for `echoes`."""
    plans = [plan(program, time) for time in task.times]
    n_gates, n_sweeps = (
        -(-max(1, *(len(part) for part in parts)) // _BUCKET) * _BUCKET
        for parts in ([p.gates for p in plans], [p.owners for p in plans])
    )
    n_modes = len(parameters(program)[0])
    index = {frozenset(p): k for k, p in enumerate(_all_pairs(task.n_spins, task.probe))}
    shape = (len(plans), n_gates)
    pairs, owners = np.zeros(shape, int), np.zeros(shape, int)
    sums = np.zeros((*shape, n_sweeps))
    shapes = np.zeros((len(plans), n_sweeps, n_modes))
    fractions = np.zeros((len(plans), n_sweeps))
    classes = np.zeros((len(plans), n_sweeps), int)
    for k, found in enumerate(plans):
        of_gates, whose = gate_matrix(found)
        pairs[k, : len(whose)] = [index[frozenset(gate[0])] for gate in found.gates]
        owners[k, : len(whose)] = whose
        sums[k, : len(whose), : of_gates.shape[1]] = of_gates
        shapes[k, : of_gates.shape[1]] = modes(found.centres, n_modes)
        fractions[k, : of_gates.shape[1]] = found.fractions
        classes[k, : of_gates.shape[1]] = found.owners
    ratios = np.array(task.times) / program.time_scale
    return np.array(task.times), ratios, pairs, owners, sums, shapes, fractions, classes
