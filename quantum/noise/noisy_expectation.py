"""One call for an observable on a noisy circuit: exact by density matrix, or by trajectories with a standard error.

A noise model strikes the circuit as it is given (`noise.add_noise`), so filter it first as the experiment does. Steps
that the observable cannot feel go, then qubits that no step touches; what remains runs on an engine by name:

    density_matrix          exact, up to 12 qubits
    trajectories            Kraus operators strike at random; unbiased, with the standard error of the mean
    twirled_trajectories    every channel replaced by its Pauli twirl, a model of its own wherever T1 is finite; far
                            faster, since the trajectory without errors is known and beyond 14 qubits qsim runs them

The value is the one in the state; what the readout makes of it is `NoiseModel.read_out`. Leaves out what `noise` does.
"""

from typing import Any

from quantum._checks import check_choice
from quantum.circuits.circuit import Operation
from quantum.circuits.noisy_circuit import Fault, NoisyCircuit
from quantum.circuits.pauli import Observable
from quantum.engines import density_matrix
from quantum.engines.conversions import as_ours
from quantum.engines.dispatch import Precision
from quantum.estimates import Estimate
from quantum.noise import trajectories
from quantum.noise.model import NoiseModel, add_noise

NOISY_ENGINES = ("density_matrix", "trajectories", "twirled_trajectories")
# Largest register on which the density matrix surely takes less time than a thousand trajectories: OTOC(2) on 8, 9 and
# 10 qubits (8, 8, 12 cycles) took 0.2, 0.6 and 11 s against 3.5, 8 and 35 s on one of two busy cores.
_MOST_DENSE = 10


def noisy_expectation(
    circuit: Any,
    observable: Any,
    noise: NoiseModel,
    *,
    engine: str = "auto",
    n_trajectories: int = 1000,
    seed: int = 0,
    precision: Precision = "single",
) -> Estimate:
    """Expectation value of an observable after a noisy circuit that starts from |0...0>.

    Args:
        circuit: Circuit as it is played, ours, Cirq's or Qiskit's.
        observable: What is measured, before readout errors; as `engines.expectation` takes it. The error of a sum is
            that of the sum on each trajectory.
        noise: The device.
        engine: Name in `NOISY_ENGINES`; `auto` takes the density matrix for few qubits and `trajectories` for more,
            never the twirl, which is another model.
        n_trajectories: Trajectories to draw, at least 2; the density matrix needs none.
        seed: Seed of the trajectories.
        precision: "single" or "double", of the trajectories; the density matrix is always double.

    Returns:
        Value and standard error; the error of the density matrix is 0.

    Raises:
        ValueError: If the engine is unknown, the observable acts beyond the circuit, there are fewer than 2
            trajectories, or too many qubits for the engine.
    """
    hint = "Without noise it is `engines.expectation`."
    check_choice(engine, "engine", ("auto", *NOISY_ENGINES), hint)
    check_choice(precision, "precision", ("single", "double"))
    (circuit,), (observable,) = as_ours([circuit], [observable])
    last = max(observable.qubits, default=0)
    if last >= circuit.n_qubits:
        raise ValueError(
            f"`observable` must act on qubits 0 to {circuit.n_qubits - 1}, but acts on qubit {last}."
        )
    # Over-rotations belong to couplers by their numbers, so noise comes before renumbering.
    noisy, watched = _restricted(add_noise(circuit, noise).seen_from(observable.qubits), observable)
    if engine == "auto":
        engine = "density_matrix" if noisy.n_qubits <= _MOST_DENSE else "trajectories"
    if engine == "density_matrix":
        return Estimate(density_matrix.expectation(density_matrix.run(noisy), watched), 0.0)
    kind = "pauli" if engine == "twirled_trajectories" else "jumps"
    return trajectories.expectation(
        noisy, watched, n_trajectories, seed=seed, kind=kind, precision=precision
    )


def _restricted(circuit: NoisyCircuit, observable: Observable) -> tuple[NoisyCircuit, Observable]:
    """Both on only the qubits that a step or the observable touches, in the same order."""
    used = {q for step in circuit.steps for q in step.qubits} | set(observable.qubits)
    place = {old: new for new, old in enumerate(sorted(used or {0}))}
    steps = tuple(_moved(step, tuple(place[q] for q in step.qubits)) for step in circuit.steps)
    return NoisyCircuit(len(place), steps), observable.moved(place)


def _moved(step: Operation | Fault, qubits: tuple[int, ...]) -> Operation | Fault:
    return (
        Operation(step.gate, qubits) if isinstance(step, Operation) else Fault(step.channel, qubits)
    )
