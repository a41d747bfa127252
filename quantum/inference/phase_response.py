"""A correlator as a function of one two-qubit phase: a trigonometric polynomial, known everywhere from few circuits.

The phase xi of a coupler stands in its gate fsim(theta, xi) as exp(-i xi) on |11>, and with the other sign in the
inverse. A state that went through K such gates is a polynomial in exp(-+i xi) that spans K powers, so

    C(xi) = sum_(k = -K..K) c_k exp(i k xi),     c_(-k) = conj(c_k),

and 2 K + 1 values at equally spaced phases fix it, with all its derivatives. K counts the gates of the pruned circuit
that carry the phase: n for a TOC whose cone holds n uses of the coupler, up to 2 k n for an OTOC of order k. A curve
with more harmonics may be steeper, so more sensitive, and has more minima that mislead.

Phases in radians. Leaves out noise that depends on the phase, and several unknown phases at once.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, as_fsim, fsim
from quantum.circuits.layouts import EchoLayout
from quantum.circuits.pauli import PauliString
from quantum.engines import dispatch
from quantum.engines.dispatch import Precision
from quantum.inference.fitting import ForwardModel

# Two phases that no circuit holds by itself: where circuits differ, the gate carries the phase.
_PROBES = (0.7391, 1.9173)


def with_phase(unitary: Circuit, coupler: tuple[int, int], phase: float | int) -> Circuit:
    """The circuit with another controlled phase in every fsim gate of one coupler.

    Args:
        unitary: U.
        coupler: The two qubits, in either order.
        phase: xi in rad.

    Raises:
        ValueError: If no fsim gate stands on the coupler, or another gate does.
    """
    pair, found = set(coupler), 0
    moments = []
    for moment in unitary.moments:
        changed = []
        for operation in moment:
            if set(operation.qubits) == pair:
                gate = _with_phase(operation.gate, coupler, phase)
                operation, found = Operation(gate, operation.qubits), found + 1
            changed.append(operation)
        moments.append(tuple(changed))
    if not found:
        raise ValueError(
            f"`coupler` must carry an fsim gate of the circuit, but {coupler} does not."
        )
    return Circuit(unitary.n_qubits, tuple(moments))


def _with_phase(gate: Gate, coupler: tuple[int, int], phase: float | int) -> Gate:
    """An fsim gate by name or by its matrix, as CZ and iSWAP are, with another controlled phase."""
    known = gate if gate.name == "fsim" else as_fsim(gate)
    if known is None:
        raise ValueError(
            f"`coupler` must carry fsim gates alone, but {coupler} carries `{gate.name}`, which has no such phase."
        )
    return fsim(known.parameters[0], phase)


def middle_coupler(layout: EchoLayout) -> tuple[int, int]:
    """The coupler on a shortest way from M to the first butterfly that lies nearest to the point between them."""
    sites = np.array(layout.lattice.sites, float)
    ends = layout.measured, layout.butterflies[0]
    near, far = (layout.lattice.distances(qubit) for qubit in ends)
    centre = (sites[ends[0]] + sites[ends[1]]) / 2
    pairs = layout.lattice.couplers
    reach = [int(min(near[a] + far[b], near[b] + far[a])) for a, b in pairs]
    away = [float(np.hypot(*((sites[a] + sites[b]) / 2 - centre))) for a, b in pairs]
    return min(zip(reach, away, pairs, strict=True))[2]


def n_harmonics(build: Callable[[float], Circuit]) -> int:
    """K, the number of gates that carry the phase in the circuit that `build` makes of it.

    Raises:
        ValueError: If the circuits of two phases are not alike gate by gate.
    """
    one, other = (build(phase) for phase in _PROBES)
    pairs = list(zip(one.operations(), other.operations(), strict=False))
    if one.n_operations != other.n_operations or any(a.qubits != b.qubits for a, b in pairs):
        raise ValueError("`build` must place the same gates for every phase, but does not.")
    return sum(a.gate != b.gate for a, b in pairs)


def phase_response(
    builds: Sequence[Callable[[float], Circuit]],
    observable: PauliString,
    *,
    engine: str = "auto",
    precision: Precision = "single",
) -> np.ndarray:
    """Harmonics c_0, c_1, ... of the expectation value of several circuits, complex128, (circuits, K + 1).

    Args:
        builds: For every circuit the function from phase to circuit, pruned, so that gates without effect do not count.
        observable: What is measured.
        engine: Name of the engine.
        precision: "single" or "double".

    Raises:
        ValueError: If there is no circuit, or `build` places gates by the phase.
    """
    if not builds:
        raise ValueError("`builds` must hold at least one circuit, but is empty.")
    sizes = [n_harmonics(build) for build in builds]
    found = np.zeros((len(builds), max(sizes) + 1), dtype=complex)
    for row, build, size in zip(found, builds, sizes, strict=True):
        n = 2 * size + 1
        circuits = [build(2 * np.pi * k / n) for k in range(n)]
        values = dispatch.expectations(circuits, [observable], engine=engine, precision=precision)
        row[: size + 1] = np.fft.rfft(values[:, 0]) / n
    return found


def curves(harmonics: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """C of every circuit at every phase, (circuits, phases)."""
    k = np.arange(harmonics.shape[1])
    waves = np.exp(1j * np.multiply.outer(k, np.asarray(phases, float)))
    return np.real(_folded(harmonics) @ waves)


def half_width(phases: np.ndarray, cost: np.ndarray, truth: float | int) -> float:
    """Mean distance in rad from the truth to where a cost first reaches half of its mean, to either side.

    Args:
        phases: Equally spaced over the whole period, both ends included, rad.
        cost: Cost at each.
        truth: True phase, rad.
    """
    high = cost > cost[:-1].mean() / 2
    turned = np.mod(phases - truth, 2 * np.pi)
    return float((turned[high].min() + 2 * np.pi - turned[high].max()) / 2)


def phase_model(harmonics: np.ndarray) -> ForwardModel:
    """Model of one parameter, `xi` in rad from 0 to 2 pi, that predicts C of every circuit."""
    folded = _folded(harmonics)
    # Arrays of a Partial, so that models of one shape share a program.
    predict = Partial(_predict, jnp.asarray(np.real(folded)), jnp.asarray(-np.imag(folded)))
    return ForwardModel(predict, ("xi",), (0.0,), (2 * np.pi,))


def _predict(cosine, sine, parameters):
    angle = parameters[0] * np.arange(cosine.shape[1])
    return cosine @ jnp.cos(angle) + sine @ jnp.sin(angle)


def _folded(harmonics: np.ndarray) -> np.ndarray:
    """c_0 and 2 c_k: the negative harmonics are the conjugates of the positive ones."""
    return harmonics * np.where(np.arange(harmonics.shape[1]) > 0, 2, 1)
