"""Circuits of the NMR echo on a line of qubits: product formula out, butterfly, the inverse back; and what they cost.

    C(t) = Tr[X_p W X_p W^dag] / 2^n,   W = U(t)^dag V U(t)

with U(t) of swap networks (`swap_network`), so that every qubit meets only its neighbours, and V on the places where
the struck spins are by then. Gates that meet their inverse and gates outside the light cone of the probe go
(`cancel_inverses`, `light_cone`); the echo is the same without them, for any state of the other spins.

Two layouts:

- "all": every spin, the probe too, walks in the network; n (n - 1) / 2 gates for a step each way.
- "nearest": only the coupling of the probe to one proton is kept, and the probe sits still at the line's end beside
  the place where that proton starts. Networks of the n - 1 protons bring it home every second step; the coupling acts
  before odd steps and after even ones, so that two of them meet and are one gate. (n - 1) (n - 2) / 2 + 1 gates a step.
  The published toluene circuits keep this coupling alone; that their layout is this one is our guess.

Source: Google Quantum AI and collaborators, arXiv 2510.19550 (second-hand: swap network, one step per 0.375 ms, C-H1
term kept); I. D. Kivlichan et al., Phys. Rev. Lett. 120, 110501 (2018), DOI 10.1103/PhysRevLett.120.110501. Times in s,
angles in rad. Left out: moments in which the chip idles or is calibrated, preparation and readout of the probe.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from quantum._checks import check_choice, check_count, check_in_range
from quantum.circuits.circuit import Circuit, Moment, Operation, cancel_inverses, light_cone
from quantum.circuits.gates import matrix_gate, phased_x
from quantum.compiling.swap_network import swap_network, sweep_moments
from quantum.compiling.trotter import pair_matrix, spin_matrix
from quantum.nmr.dipolar_sequences import BLEW_12_AXIS
from quantum.nmr.methods import EchoCurve, one_probe
from quantum.nmr.species import probe_first
from quantum.nmr.strike import check_times
from quantum.spins.hamiltonian import SpinHamiltonian

LAYOUTS = ("all", "nearest")
_ALONG_X = Operation(phased_x(math.pi / 2, math.pi / 2), (0,))
_MOST_EXACT = 11  # spins: the unitary of more takes over 64 MB


def nmr_echo_circuit(
    hamiltonian: SpinHamiltonian,
    struck: Sequence[int],
    angle: float | int,
    time: float | int,
    n_steps: int,
    *,
    order: int = 1,
    layout: str = "all",
    axis: Sequence[float] | np.ndarray = BLEW_12_AXIS,
    pruned: bool = True,
    prepared: bool = False,
) -> Circuit:
    """Circuit of W; spin q starts and ends on qubit q, and spin 0 is the probe.

    Args:
        hamiltonian: Couplings and fields in rad/s. With layout "nearest" the probe may couple to spin 1 alone, see
            `nearest_only`, and there may be no fields.
        struck: Spins that the butterfly turns, without the probe.
        angle: Angle of the butterfly in rad.
        time: Time of the way out in s.
        n_steps: Steps of the product formula.
        order: 1, 2 or 4; "nearest" has first order alone.
        layout: "all" or "nearest".
        axis: Unit vector that the butterfly turns about.
        pruned: Whether gates that cannot change the echo are taken out.
        prepared: Whether the probe is first turned from |0> along x; its X is then the echo, the others mixed.

    Raises:
        ValueError: If the layout is unknown or does not fit, a struck spin is the probe or not there, a number is out
            of range.
    """
    check_choice(layout, "layout", LAYOUTS)
    check_times([time])
    check_count(n_steps, "n_steps", 1)
    check_in_range(angle, "angle", -math.inf, math.inf, "rad")
    n = hamiltonian.n_spins
    if not struck or len(set(struck)) < len(struck) or not set(struck) <= set(range(1, n)):
        raise ValueError(
            f"`struck` must be different spins of 1 to {n - 1}, but is {tuple(struck)}."
        )
    if layout == "all":
        network = swap_network(hamiltonian, time, n_steps, order=order)
        out, places = network.circuit.moments, network.places
    else:
        if order != 1:
            raise ValueError(f"`order` must be 1 with the layout 'nearest', but is {order}.")
        out, places = _nearest_moments(hamiltonian, time, n_steps)
    turn = matrix_gate(spin_matrix(float(angle) * np.asarray(axis, float), 1.0))
    strike = tuple(Operation(turn, (places[spin],)) for spin in struck)
    circuit = Circuit(n, (*out, strike, *Circuit(n, tuple(out)).inverse().moments))
    if pruned:
        circuit = light_cone(cancel_inverses(circuit), (0,))
    return Circuit(n, ((_ALONG_X,),)) + circuit if prepared else circuit


def nearest_only(hamiltonian: SpinHamiltonian, spin: int = 1) -> SpinHamiltonian:
    """The Hamiltonian with no coupling of the probe but that to `spin`.

    Raises:
        ValueError: If there is no such spin.
    """
    if not 0 < spin < hamiltonian.n_spins:
        raise ValueError(f"`spin` must be 1 to {hamiltonian.n_spins - 1}, but is {spin}.")
    keep = np.ones((hamiltonian.n_spins,) * 2)
    keep[0] = keep[:, 0] = 0
    keep[0, spin] = keep[spin, 0] = 1
    return SpinHamiltonian(hamiltonian.couplings * keep[:, :, None, None], hamiltonian.fields)


def circuit_echo(circuit: Circuit) -> float:
    """C of a circuit W by its full unitary, the other spins maximally mixed.

    Raises:
        ValueError: If there are too many qubits for the unitary.
    """
    n = circuit.n_qubits
    if n > _MOST_EXACT:
        raise ValueError(f"`circuit` must have at most {_MOST_EXACT} qubits, but has {n}.")
    walk = np.eye(2**n, dtype=complex)
    for operation in circuit.operations():
        walk = _applied(operation, walk, n)
    half = walk.reshape(2, 2 ** (n - 1), 2, 2 ** (n - 1))
    flipped = half[::-1, :, ::-1]  # X_p W X_p
    return float(np.vdot(half, flipped).real / 2**n)


@dataclass(frozen=True)
class ProductFormula:
    """The echo as a circuit of the chip, a method of `nmr.methods.echo`; the probe is brought onto qubit 0.

    Attributes:
        n_steps: Steps of the product formula at every time.
        order: 1, 2 or 4; "nearest" has first order alone.
        layout: "all" or "nearest".
    """

    n_steps: int
    order: int = 1
    layout: str = "all"
    name: ClassVar[str] = "product_formula"
    most_spins: ClassVar[int] = _MOST_EXACT
    error: ClassVar[str] = "of the product formula, as n_steps to the power -order"
    differentiates: ClassVar[bool] = False

    def curve(self, hamiltonian, struck, angle, times, *, axis, probe) -> EchoCurve:
        """`circuit_echo` of `nmr_echo_circuit` at each time."""
        hamiltonian, struck = probe_first(hamiltonian, struck, one_probe(probe, self.name))
        found = [
            circuit_echo(
                nmr_echo_circuit(
                    hamiltonian,
                    struck,
                    float(angle),
                    float(time),
                    self.n_steps,
                    order=self.order,
                    layout=self.layout,
                    axis=np.asarray(axis),
                )
            )
            for time in times
        ]
        return EchoCurve(np.array(found), np.zeros(len(found)))


def _applied(operation: Operation, walk: np.ndarray, n: int) -> np.ndarray:
    qubits, matrix = operation.qubits, operation.gate.matrix()
    k, first = len(qubits), qubits[0]
    # Neighbours in order, nearly always: no axes to move.
    if qubits == tuple(range(first, first + k)):
        rows = walk.reshape(2**first, 2**k, -1)
        return np.matmul(matrix, rows).reshape(2**n, 2**n)
    tensor = walk.reshape((2,) * n + (2**n,))
    moved = np.tensordot(matrix.reshape((2,) * 2 * k), tensor, (tuple(range(k, 2 * k)), qubits))
    return np.moveaxis(moved, range(k), qubits).reshape(2**n, 2**n)


def _nearest_moments(hamiltonian: SpinHamiltonian, time: float, n_steps: int):
    """Moments of the way out and the place of every spin at its end."""
    tensor, fields = np.asarray(hamiltonian.couplings), np.asarray(hamiltonian.fields)
    if tensor[0, 2:].any() or fields.any():
        raise ValueError(
            "`hamiltonian` must couple the probe to spin 1 alone and have no fields with the layout 'nearest'; see "
            "`nearest_only`."
        )
    duration = float(time) / n_steps
    coupling: Moment = (Operation(matrix_gate(pair_matrix(tensor[0, 1], duration)), (0, 1)),)
    protons = SpinHamiltonian(jnp.asarray(tensor[1:, 1:]), jnp.asarray(fields[1:]))
    line = list(range(protons.n_spins))
    moments: list[Moment] = []
    for step in range(n_steps):
        network = [
            tuple(Operation(op.gate, tuple(q + 1 for q in op.qubits)) for op in moment)
            for moment in sweep_moments(protons, duration, line)
        ]
        moments += [*network, coupling] if step % 2 else [coupling, *network]
    places = [0] * hamiltonian.n_spins
    for place, spin in enumerate(line):
        places[spin + 1] = place + 1
    return moments, tuple(places)
