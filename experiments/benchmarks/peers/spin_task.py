"""What the workers of `bench_nmr` share: H as a matrix, the butterfly on states, the echo from one or the other.

Numpy and scipy alone, for it runs in the environments of peers too. Spin 0 is the probe and the most significant bit.
"""

from typing import Any

import numpy as np
import scipy.sparse

PAULIS = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


class Work:
    """One echo as the engine of a worker.

    Args:
        run: Computes it.
        versions: Versions of the packages used.
    """

    def __init__(self, run, versions):
        self._run, self.versions = run, versions
        self._found = None

    def step(self):
        """Computes the echo."""
        self._found = np.asarray(self._run())

    def check(self):
        """What the last step found."""
        return {"echo": self._found}


def sparse_hamiltonian(couplings, fields):
    """H in rad/s as a matrix of rows of scipy, real where it is."""
    n = len(fields)
    words = np.arange(2**n)
    bits = [(words >> (n - 1 - k)) & 1 for k in range(n)]
    by_flips: dict[int, Any] = {}  # entries by column, for each set of spins that are flipped

    def add(block, spins):
        size = 2 ** len(spins)
        state = sum(bits[k] << (len(spins) - 1 - at) for at, k in enumerate(spins))
        for flips in range(size):
            values = block[state ^ flips, state]
            if values.any():
                turned = [k for at, k in enumerate(spins) if flips >> (len(spins) - 1 - at) & 1]
                mask = sum(1 << (n - 1 - k) for k in turned)
                by_flips[mask] = by_flips.get(mask, 0) + values

    for i in range(n):
        add(np.tensordot(fields[i], PAULIS / 2, 1), [i])
        for j in range(i + 1, n):
            block = np.einsum("ab,apq,brs->prqs", couplings[i, j], PAULIS / 2, PAULIS / 2)
            add(block.reshape(4, 4), [i, j])
    values: Any = np.concatenate(list(by_flips.values()))
    rows = np.concatenate([words ^ mask for mask in by_flips])
    there = np.flatnonzero(values)
    values = values if values.imag.any() else values.real
    places = rows[there], np.tile(words, len(by_flips))[there]
    return scipy.sparse.csr_array((values[there], places), shape=(2**n, 2**n))


def one_turn(angle, axis):
    """exp(-i angle axis . I) of one spin."""
    return np.cos(angle / 2) * np.eye(2) - 1j * np.sin(angle / 2) * np.tensordot(axis, PAULIS, 1)


def struck(states, spins, turn, xp=np):
    """The same turn of some spins, applied to the first axis of (2^n, columns)."""
    for spin in spins:
        split = states.reshape(2**spin, 2, -1)
        states = xp.einsum("ab,pbq->paq", turn, split).reshape(states.shape)
    return states


def echo_of_propagator(unitary, spins, turn, xp=np):
    """Tr[X W X W^dag] / 2^n with W = U^dag V U and X = 2 S_x of the probe."""
    walk = unitary.conj().T @ struck(unitary, spins, turn.astype(unitary.dtype), xp)
    half = len(unitary) // 2
    flipped = xp.roll(xp.roll(walk, half, 0), half, 1)
    return xp.vdot(walk, flipped).real / len(unitary)


def prepared(protons):
    """The probe along x beside states of the protons (states, 2^protons), as columns."""
    return np.concatenate([protons, protons], axis=1).T / np.sqrt(2).astype(protons.real.dtype)


def read_along_x(columns, xp=np):
    """<2 S_x> of the probe in every column."""
    up, down = columns.reshape(2, -1, columns.shape[1])
    return 2 * xp.sum(up.conj() * down, axis=0).real
