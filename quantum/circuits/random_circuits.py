"""Random circuits of the echo experiments.

One cycle is a moment of one-qubit gates on all qubits followed by a moment of two-qubit gates on one coupler group.
Neither the order of the groups nor whether the one-qubit angle is drawn anew for every gate is published; `order` and
`redraw` say which.

Source: Google Quantum AI and collaborators, Nature 646, 825-830 (2025), DOI 10.1038/s41586-025-09526-6.
"""

import math

import numpy as np

from quantum._checks import check_choice, check_count
from quantum.circuits.circuit import Circuit, Moment, Operation
from quantum.circuits.gates import Gate, iswap_like, phased_x
from quantum.circuits.lattice import GROUPS, Lattice

# Best match of 48 orders tried by others at 18 qubits, not confirmed at 23: our choice, not the paper's.
DEFAULT_ORDER = "ACBD"


ECHO_ANGLES = (0.25 * math.pi, 0.5 * math.pi, 0.75 * math.pi)


def random_circuit(
    lattice: Lattice,
    n_cycles: int,
    *,
    seed: int,
    order: str = DEFAULT_ORDER,
    aligned: bool = False,
    two_qubit: Gate | None = None,
    angles: tuple[float, ...] = ECHO_ANGLES,
    redraw: bool = True,
) -> Circuit:
    """Draws one random circuit of `n_cycles` cycles.

    Args:
        lattice: The qubits.
        n_cycles: Cycles, each one moment of one-qubit and one of two-qubit gates.
        seed: Seed of the draw.
        order: Coupler groups walked through in turn, letters of ABCD; our choice, the paper's is unknown.
        aligned: Whether the groups are the aligned ones of `Lattice.group` instead of the staggered ones.
        two_qubit: Gate on every coupler of the group; the iSWAP-like gate by default.
        angles: One-qubit angles in rad, one is drawn; the axis is uniform in the x-y plane.
        redraw: Whether the angle is drawn for every gate, or once for the circuit.

    Raises:
        ValueError: If there is no cycle, no angle, or an unknown group in `order`.
    """
    check_count(n_cycles, "n_cycles", 1)
    if not order or not angles:
        raise ValueError("`order` and `angles` must not be empty.")
    for letter in order:
        check_choice(letter, "order", tuple(GROUPS), "It is a word of group letters such as ACBD.")
    gate = two_qubit or iswap_like()
    rng = np.random.default_rng(seed)
    fixed = rng.choice(angles)
    moments: list[Moment] = []
    for cycle in range(n_cycles):
        n = lattice.n_qubits
        turns = rng.choice(angles, size=n) if redraw else np.full(n, fixed)
        axes = rng.uniform(-math.pi, math.pi, size=n)
        moments.append(tuple(Operation(phased_x(turns[q], axes[q]), (q,)) for q in range(n)))
        pairs = lattice.group(order[cycle % len(order)], aligned=aligned)
        moments.append(tuple(Operation(gate, pair) for pair in pairs))
    return Circuit(lattice.n_qubits, tuple(moments))
