"""Device noise: what a gate, an idle moment and a readout do on a Willow-like chip, and circuits with that noise in.

Which gates remain? The experiment filters its circuits by light cones before it runs them, so noise acts on the circuit
that `otoc.echo_circuit` leaves, not on the literal one: gates outside the cones are never played. The moments keep
their times, and a qubit without a gate in a moment idles through it. So for a circuit and a model

- every gate is followed by a depolarising channel with its Pauli error; Pauli errors are quoted in total, with what
  the qubits lose to T1 and T_phi in the meantime and with any coherent over-rotation, so those parts, where they are
  simulated by themselves, are taken out of the depolarising rest (not below zero);
- Z-type gates (z, rz, s, i) are virtual: no time, no error;
- a qubit that idles through a moment relaxes by T1 and T_phi for as long as the slowest gate of the moment takes;
- before its first gate a qubit is in |0>, which neither T1 nor T_phi touches, so nothing is inserted there;
- a coupler over-rotates by a fixed draw, another one for each direction of the gate: had the inverse the inverse
  error, the echo would undo it, and the hardware calibrates the two apart (our choice);
- readout maps <Z> to (1 - e0 - e1) <Z> + e1 - e0, with e0 = P(read 1 | 0), e1 = P(read 0 | 1).

Presets. `willow_pink`: medians of the calibration in cirq_google 1.7.0 (time stamp 2024-08-16); its CZ error is listed
per XEB cycle, from which we take the two one-qubit errors of that cycle (our choice). `willow_qec`, `willow_rcs`: the
two columns of the Willow specification sheet, second-hand (from memory, not checked against the sheet), taken as Pauli
errors (our choice); it lists no T_phi, so that of `willow_pink` stands in (our choice), and one readout error, used for
both outcomes. The error of the iSWAP-like gate in the echo run is not known to us; `willow_rcs` is the default.

Leaves out leakage, cross-talk, drift, 1/f dephasing, reset errors and differences between qubits.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from quantum._checks import check_choice, check_in_range
from quantum.circuits.channels import Channel, depolarizing, relaxation
from quantum.circuits.circuit import Circuit, Moment, Operation
from quantum.circuits.gates import Gate, fsim, matrix_gate
from quantum.circuits.noisy_circuit import Fault, NoisyCircuit

VIRTUAL = frozenset({"i", "z", "s", "s_dagger", "rz"})


@dataclass(frozen=True)
class NoiseModel:
    """Noise of one kind of chip, equal for all qubits.

    Attributes:
        one_qubit_error: Pauli error of a one-qubit gate, in total.
        two_qubit_error: Pauli error of a two-qubit gate, in total.
        t1: Energy relaxation time in s.
        t_phi: Pure dephasing time in s.
        readout_zero: Probability to read 1 in |0>.
        readout_one: Probability to read 0 in |1>.
        one_qubit_time: Duration of a one-qubit gate in s.
        two_qubit_time: Duration of a two-qubit gate in s.
        theta_error: Standard deviation over couplers of the fsim swap angle's error in rad.
        phi_error: The same for the controlled phase.
        idle_dephasing: Factor on 1/T_phi while idle; below 1 with dynamical decoupling.
        relax_in_gates: Whether T1 and T_phi act by themselves during gates too, and the depolarising part is only
            what they leave of the quoted error.
        seed: Seed of the couplers' over-rotations.

    Raises:
        ValueError: If a probability, time or angle is out of range.
    """

    one_qubit_error: float = 0.0
    two_qubit_error: float = 0.0
    t1: float = math.inf
    t_phi: float = math.inf
    readout_zero: float = 0.0
    readout_one: float = 0.0
    one_qubit_time: float = 25e-9  # willow_pink
    two_qubit_time: float = 42e-9  # willow_pink, CZ; that of the iSWAP-like gate is not known to us
    theta_error: float = 0.0
    phi_error: float = 0.0
    idle_dephasing: float = 1.0
    relax_in_gates: bool = False
    seed: int = 0

    def __post_init__(self):
        check_in_range(self.one_qubit_error, "one_qubit_error", 0, 0.75)
        check_in_range(self.two_qubit_error, "two_qubit_error", 0, 15 / 16)
        for name in ("readout_zero", "readout_one"):
            check_in_range(getattr(self, name), name, 0, 0.5)
        for name in ("one_qubit_time", "two_qubit_time"):
            check_in_range(getattr(self, name), name, 0, 1, "s")
        for name in ("theta_error", "phi_error"):
            check_in_range(getattr(self, name), name, 0, math.pi, "rad")
        check_in_range(self.idle_dephasing, "idle_dephasing", 0, 100)
        for name in ("t1", "t_phi"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"`{name}` must be positive (infinite for none), but is {getattr(self, name):g} s."
                )

    def scaled(self, factor: float | int) -> "NoiseModel":
        """The same chip with every stochastic rate `factor` times as large; readout and over-rotation stay.

        Raises:
            ValueError: If the factor is negative, or an error then exceeds full depolarisation.
        """
        check_in_range(factor, "factor", 0, 1e6)
        return replace(
            self,
            one_qubit_error=self.one_qubit_error * factor,
            two_qubit_error=self.two_qubit_error * factor,
            t1=self.t1 / factor if factor else math.inf,
            t_phi=self.t_phi / factor if factor else math.inf,
        )

    def read_out(self, expectation_z):
        """Expectation of Z of one qubit as it is read, from the true one."""
        contrast = 1 - self.readout_zero - self.readout_one
        return contrast * expectation_z + self.readout_one - self.readout_zero

    def duration(self, operation: Operation) -> float:
        """Seconds that a gate takes."""
        if len(operation.qubits) == 2:
            return self.two_qubit_time
        return 0.0 if operation.gate.name in VIRTUAL else self.one_qubit_time

    def idle_channel(self, duration: float) -> Channel:
        """What `duration` seconds without a gate do to a qubit."""
        slow = self.t_phi / self.idle_dephasing if self.idle_dephasing else math.inf
        return relaxation(duration, self.t1, slow)


def willow_pink() -> NoiseModel:
    """Medians of the `willow_pink` calibration shipped with cirq_google 1.7.0; a CZ chip."""
    one = 4.05e-4
    return NoiseModel(
        one_qubit_error=one,
        two_qubit_error=3.44e-3
        - 2 * one,  # listed per XEB cycle, which holds a gate on both qubits
        t1=70.2e-6,
        t_phi=75.9e-6,
        readout_zero=3.72e-3,
        readout_one=1.06e-2,
    )


def willow_qec() -> NoiseModel:
    """QEC column of the Willow specification, second-hand: CZ chip."""
    return NoiseModel(3.5e-4, 3.3e-3, 68e-6, 75.9e-6, 7.7e-3, 7.7e-3)


def willow_rcs() -> NoiseModel:
    """RCS column of the Willow specification, second-hand: iSWAP-like chip, our default for echoes."""
    return NoiseModel(3.6e-4, 1.4e-3, 98e-6, 75.9e-6, 6.7e-3, 6.7e-3)


PRESETS: dict[str, Callable[[], NoiseModel]] = {
    "willow_rcs": willow_rcs,
    "willow_qec": willow_qec,
    "willow_pink": willow_pink,
}


def device_noise(name: str) -> NoiseModel:
    """Preset by name.

    Raises:
        ValueError: If there is no such preset.
    """
    check_choice(name, "name", tuple(PRESETS))
    return PRESETS[name]()


# For a gate of the circuit what is played before and after it, such as a Pauli frame; see `pauli_frames.pauli_frame`.
Frame = Callable[[Operation], tuple[Moment, Moment]]


def add_noise(circuit: Circuit, model: NoiseModel, *, frame: Frame | None = None) -> NoisyCircuit:
    """Puts a model's noise into a circuit.

    Args:
        circuit: Circuit as it is played, so with the gates filtered out that the experiment filters out.
        model: Noise.
        frame: Operations to play before and after a two-qubit gate, free of error and time since on the hardware
            they merge into neighbouring one-qubit gates; none by default.
    """
    steps: list[Operation | Fault] = []
    begun: set[int] = set()
    for moment in circuit.moments:
        duration = max((model.duration(op) for op in moment), default=0.0)
        busy = {q for op in moment for q in op.qubits if model.duration(op) > 0}
        for operation in moment:
            steps += _played(operation, model, frame)
        begun.update(q for op in moment for q in op.qubits)
        idle = model.idle_channel(duration)
        if duration > 0 and idle.pauli_error > 0:
            steps += [Fault(idle, (q,)) for q in sorted(begun - busy)]
    return NoisyCircuit(circuit.n_qubits, tuple(steps))


def echo_fidelity(circuit: Circuit, model: NoiseModel, *, idle: bool = False) -> float:
    """Estimate F = prod (1 - e) over the gates of a filtered echo circuit, the weight of "no error anywhere".

    Args:
        circuit: Circuit of `otoc.echo_circuit`: only gates inside both cones are left in it.
        model: Noise.
        idle: Whether idle qubits count too.
    """
    if idle:
        faults = add_noise(circuit, replace(model, theta_error=0.0, phi_error=0.0)).faults
        return float(np.prod([1 - fault.channel.pauli_error for fault in faults]))
    errors = (model.one_qubit_error, model.two_qubit_error)
    real = [op for op in circuit.operations() if model.duration(op) > 0]
    return float(np.prod([1 - errors[len(op.qubits) - 1] for op in real]))


def _played(
    operation: Operation, model: NoiseModel, frame: Frame | None
) -> list[Operation | Fault]:
    if len(operation.qubits) == 1:
        return [operation, *_gate_faults(operation, model, 0.0)]
    before, after = frame(operation) if frame else ((), ())
    turned, coherent = _over_rotated(operation, model)
    return [*before, turned, *after, *_gate_faults(operation, model, coherent)]


def _gate_faults(operation: Operation, model: NoiseModel, coherent: float) -> list[Fault]:
    duration = model.duration(operation)
    if duration == 0:
        return []
    n = len(operation.qubits)
    rest = (model.one_qubit_error, model.two_qubit_error)[n - 1] - coherent
    relax: list[Fault] = []
    if model.relax_in_gates:
        channel = relaxation(duration, model.t1, model.t_phi)
        relax = [Fault(channel, (q,)) for q in operation.qubits] if channel.pauli_error > 0 else []
        rest -= 1 - (1 - channel.pauli_error) ** n
    if rest <= 0:
        return relax
    return [*relax, Fault(depolarizing(rest, n), operation.qubits)]


def _over_rotated(operation: Operation, model: NoiseModel) -> tuple[Operation, float]:
    """The gate as the coupler plays it, and the Pauli error 1 - |tr V|^2 / 16 that this amounts to."""
    if model.theta_error == 0 and model.phi_error == 0:
        return operation, 0.0
    gate, pair = operation.gate, sorted(operation.qubits)
    backwards = gate.name == "fsim" and gate.parameters[0] < 0
    draw = np.random.default_rng([model.seed, *pair, int(backwards)]).normal(size=2)
    theta, phi = float(draw[0] * model.theta_error), float(draw[1] * model.phi_error)
    extra = fsim(theta, phi).matrix()
    error = 1 - abs(np.trace(extra)) ** 2 / 16
    return Operation(_turned(gate, theta, phi, extra), operation.qubits), float(error)


def _turned(gate: Gate, theta: float, phi: float, extra: np.ndarray) -> Gate:
    if gate.name == "fsim":
        return fsim(gate.parameters[0] + theta, gate.parameters[1] + phi)
    if gate.name == "cz":
        return fsim(theta, math.pi + phi)
    return matrix_gate(extra @ gate.matrix())
