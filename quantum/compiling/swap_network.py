"""Swap networks: every pair of spins meets once on a line of qubits, each interaction fused with the swap that follows.

n layers of neighbours, even and odd in turn, hold n (n - 1) / 2 steps exp(-i I_1 . T . I_2 t) SWAP and end with the
line reversed; a second network turns it back. Steps are fused 4 x 4 matrices, and every circuit equals its product
formula exactly once the spins are put back in order. Four spins, time to the right, a crossing a fused step:

    qubit 0   0 --. .-- 1 --------- 1 --. .-- 3 --------- 3
                   X                     X
    qubit 1   1 --' '-- 0 --. .-- 3 --' '-- 1 --. .-- 2
                             X                   X
    qubit 2   2 --. .-- 3 --' '-- 0 --. .-- 2 --' '-- 1
                   X                     X
    qubit 3   3 --' '-- 2 --------- 2 --' '-- 0 --------- 0
              layer 0   layer 1     layer 2   layer 3

Source: I. D. Kivlichan et al., Phys. Rev. Lett. 120, 110501 (2018), DOI 10.1103/PhysRevLett.120.110501. Left out:
compiling the fused steps to fsim or CZ, grids and other graphs.
"""

import math
from dataclasses import dataclass

import numpy as np

from quantum._checks import check_count
from quantum.circuits.circuit import Circuit, Moment, Operation
from quantum.circuits.gates import matrix_gate
from quantum.compiling.trotter import pair_matrix, spin_matrix, sweeps
from quantum.spins.hamiltonian import SpinHamiltonian

SWAP = np.eye(4)[[0, 2, 1, 3]]


@dataclass(frozen=True)
class SwapNetwork:
    """A circuit on a line and where the spins are at its end.

    Attributes:
        circuit: Qubit q is place q of the line; spin q starts there.
        places: Place of every spin at the end.
    """

    circuit: Circuit
    places: tuple[int, ...]


def swap_network(
    hamiltonian: SpinHamiltonian, time: float | int, n_steps: int, *, order: int = 1
) -> SwapNetwork:
    """exp(-i H t) by product formulas whose sweeps are swap networks; steps are fused 4 x 4 matrices.

    A backward sweep walks its layers in reversed order, so second order needs twice the gates of first.

    Args:
        hamiltonian: Couplings and fields in rad/s; spin q starts on qubit q.
        time: Duration in seconds.
        n_steps: Steps.
        order: 1, 2 or 4, see `trotter`.

    Raises:
        ValueError: If the order is unknown, there is no step, or the time is not finite.
    """
    check_count(n_steps, "n_steps", 1)
    if not math.isfinite(time):
        raise ValueError(f"`time` must be finite, but is {time} s.")
    spins = list(range(hamiltonian.n_spins))
    moments: list[Moment] = []
    for _ in range(n_steps):
        for sweep in sweeps(order):
            duration = sweep.fraction * time / n_steps
            moments += sweep_moments(hamiltonian, duration, spins, backwards=sweep.backwards)
    places = [0] * len(spins)
    for place, spin in enumerate(spins):
        places[spin] = place
    return SwapNetwork(Circuit(len(spins), tuple(moments)), tuple(places))


def sweep_moments(
    hamiltonian: SpinHamiltonian, duration: float, spins: list[int], *, backwards: bool = False
) -> list[Moment]:
    """Moments of one network; `spins`, the spin at every place, is brought up to date."""
    couplings, fields = np.asarray(hamiltonian.couplings), np.asarray(hamiltonian.fields)
    n = len(spins)
    turns = tuple(
        (spin, matrix_gate(spin_matrix(fields[spin], duration)))
        for spin in range(n)
        if fields[spin].any()
    )
    moments: list[Moment] = []
    if not backwards and turns:
        moments.append(tuple(Operation(gate, (spins.index(spin),)) for spin, gate in turns))
    for layer in reversed(range(n)) if backwards else range(n):
        moment = []
        for left in range(layer % 2, n - 1, 2):
            i, j = spins[left : left + 2]
            moment.append(
                Operation(
                    matrix_gate(SWAP @ pair_matrix(couplings[i, j], duration)), (left, left + 1)
                )
            )
            spins[left : left + 2] = j, i
        moments.append(tuple(moment))
    if backwards and turns:
        moments.append(tuple(Operation(gate, (spins.index(spin),)) for spin, gate in turns))
    return [moment for moment in moments if moment]
