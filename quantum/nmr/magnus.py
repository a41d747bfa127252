"""Magnus terms of a pulse sequence to second order, exactly, finite pulses included.

In the toggling frame U = U_rf(T) exp(-i (F_0 + F_1 + F_2 + ...) T), with F_k of order k + 1 in the couplings:

    F_0 = (1/T) int H(t),   F_1 = (-i/2T) int int_(t2<t1) [H(t1), H(t2)],   F_2 of double commutators.

Instead of the integrals, each element is expanded in powers of the internal Hamiltonian by one matrix exponential of a
block matrix (generator of the pulse on the diagonal, internal Hamiltonian above it), whose first row holds the Dyson
terms; these are multiplied as power series, and the logarithm of the series gives the F_k. Nothing is discretised.

A sequence whose toggling-frame Hamiltonian reads the same backwards in time has no F_1 (C. H. Wang, J. D. Ramshaw,
Phys. Rev. B 6, 3253 (1972), DOI 10.1103/PhysRevB.6.3253). What a reversal by phases does not reverse is what
`unreversed` returns.

Sources: W. Magnus, Commun. Pure Appl. Math. 7, 649 (1954), DOI 10.1002/cpa.3160070404; C. Van Loan, IEEE Trans. Autom.
Control 23, 395 (1978), DOI 10.1109/TAC.1978.1101743. Left out: the fourth and later terms, sparse matrices (up to
seven spins in seconds).
"""

import numpy as np
from jaxtyping import Complex
from scipy.linalg import expm

from quantum.nmr.pulse_sequence import (
    Delay,
    Pulse,
    PulseSequence,
    ideal_pulse,
    rf_generator,
)
from quantum.spins.hamiltonian import SpinHamiltonian, dense

_ORDERS = 4  # powers 0 to 3 of the internal Hamiltonian
_MOST_SPINS = 7  # a block matrix of 4 x 128 rows


def magnus_terms(
    sequence: PulseSequence, hamiltonian: SpinHamiltonian, channels: tuple[str, ...]
) -> tuple[
    Complex[np.ndarray, "states states"],
    Complex[np.ndarray, "states states"],
    Complex[np.ndarray, "states states"],
]:
    """F_0, F_1 and F_2 in rad/s, dense, in the toggling frame of the pulses.

    Args:
        sequence: The sequence; its duration must not be zero.
        hamiltonian: Internal Hamiltonian of at most seven spins.
        channels: Name of the channel of each spin.

    Raises:
        ValueError: If there are too many spins, not one name a spin, or the sequence takes no time.
    """
    if hamiltonian.n_spins > _MOST_SPINS or len(channels) != hamiltonian.n_spins:
        raise ValueError(
            f"`channels` must name each of at most {_MOST_SPINS} spins, but there are {hamiltonian.n_spins} spins "
            f"and {len(channels)} names."
        )
    if not sequence.duration > 0:
        raise ValueError(f"`sequence` must take time, but its duration is {sequence.duration:g} s.")
    internal = dense(hamiltonian)
    identity = np.eye(len(internal), dtype=complex)
    total = [identity] + [np.zeros_like(identity)] * (_ORDERS - 1)
    done: dict[Pulse | Delay, list[np.ndarray]] = {}
    for element in sequence.elements:
        if element not in done:
            done[element] = _dyson(element, internal, channels)
        total = _times(done[element], total)
    first, second, third = (total[0].conj().T @ term for term in total[1:])
    logarithm = (
        first,
        second - first @ first / 2,
        third - (first @ second + second @ first) / 2 + first @ first @ first / 3,
    )
    found = [1j * term / sequence.duration for term in logarithm]
    return found[0], found[1], found[2]


def unreversed(
    forward: Complex[np.ndarray, "states states"], backward: Complex[np.ndarray, "states states"]
) -> float:
    """Share of a term that a backward sequence does not turn round: |F + F'| / 2|F| in the Frobenius norm.

    0 where F' = -F, 1 where F' = F.

    Raises:
        ValueError: If the forward term vanishes.
    """
    size = np.linalg.norm(forward)
    if size == 0:
        raise ValueError("`forward` must not vanish, but its norm is 0 rad/s.")
    return float(np.linalg.norm(forward + backward) / (2 * size))


def _dyson(element: Pulse | Delay, internal, channels) -> list[np.ndarray]:
    """Powers 0 to 3 of the internal Hamiltonian in the propagator of an element."""
    size = len(internal)
    if element.duration == 0:
        turn = ideal_pulse(element, channels) if isinstance(element, Pulse) else np.eye(size)
        return [turn] + [np.zeros((size, size), dtype=complex)] * (_ORDERS - 1)
    pulsed = isinstance(element, Pulse)
    generator = -1j * rf_generator(element, channels) if pulsed else np.zeros((size, size))
    shift = np.eye(_ORDERS, k=1)
    blocks = np.kron(np.eye(_ORDERS), generator) - 1j * element.duration * np.kron(shift, internal)
    row = expm(blocks)[:size]
    return [row[:, k * size : (k + 1) * size] for k in range(_ORDERS)]


def _times(later, earlier) -> list[np.ndarray]:
    """Product of two power series of matrices, cut after the third power."""
    return [
        np.sum([later[i] @ earlier[k - i] for i in range(k + 1)], axis=0) for k in range(_ORDERS)
    ]
