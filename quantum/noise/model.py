"""Device noise: what a gate, an idle moment and a readout do on a Willow-like chip, and circuits with that noise in.

Which gates remain? The experiment filters its circuits by light cones before it runs them, so noise acts on the circuit
that `otoc.echo_circuit` leaves, not on the literal one: gates outside the cones are never played. The moments keep
their times, and a qubit without a gate in a moment idles through it. So for a circuit and a model

- every gate is followed by a depolarising channel with its Pauli error; Pauli errors are quoted in total, with what
  the qubits lose to T1 and T_phi in the meantime and with any coherent over-rotation, so those parts, where they are
  simulated by themselves, are taken out of the depolarising rest (a warning says where an over-rotation is more);
- turns about z of any guise and the identity are virtual (`circuits.played`): no time, no error;
- a qubit relaxes by T1 and T_phi for as long as it waits, be it told to or for others (`noise.schedule`);
- a coupler over-rotates by a fixed draw, another one for each direction of the gate: had the inverse the inverse
  error, the echo would undo it, and the hardware calibrates the two apart (our choice);
- readout maps <Z> to (1 - e0 - e1) <Z> + e1 - e0, with e0 = P(read 1 | 0), e1 = P(read 0 | 1).

Presets. `willow_pink`: medians of the calibration in cirq_google 1.7.0 (time stamp 2024-08-16); its CZ error is listed
per XEB cycle, from which we take the two one-qubit errors of that cycle (our choice). `willow_qec`, `willow_rcs`: the
two columns of the Willow specification sheet, second-hand (from memory, not checked against the sheet), taken as Pauli
errors (our choice); it lists no T_phi, so that of `willow_pink` stands in (our choice), and one readout error, used for
both outcomes. The error of the iSWAP-like gate in the echo run is not known to us; `willow_rcs` is the default.

Errors of single qubits and couplers come as tables, by hand or from a calibration (`noise.calibrations`).

Leaves out leakage, cross-talk, drift, 1/f dephasing and reset errors.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np

from quantum._checks import check_choice, check_in_range
from quantum.circuits.channels import Channel, depolarizing, relaxation
from quantum.circuits.circuit import Circuit, Moment, Operation
from quantum.circuits.gates import Gate, fsim, matrix_gate
from quantum.circuits.noisy_circuit import Fault, NoisyCircuit
from quantum.circuits.played import is_played
from quantum.circuits.tolerance import ACCEPTED
from quantum.noise.schedule import Idle, schedule

# What a table may say of a qubit and of a coupler.
_OF_QUBIT = (
    "one_qubit_error",
    "one_qubit_time",
    "t1",
    "t2",
    "t_phi",
    "readout_zero",
    "readout_one",
)
_OF_COUPLER = ("two_qubit_error", "two_qubit_time")
_RATES = ("one_qubit_error", "two_qubit_error")
_TIMES = ("t1", "t2", "t_phi")
_NUMBERS = (*_OF_QUBIT, *_OF_COUPLER, "theta_error", "phi_error", "idle_dephasing")
_ROUNDED = 1 + 1e-9  # of numbers that should be equal and went through a division


@dataclass(frozen=True)
class NoiseModel:
    """Noise of a chip: one number for all qubits, and tables for those that differ.

    Attributes:
        one_qubit_error: Pauli error of a one-qubit gate, in total.
        two_qubit_error: Pauli error of a two-qubit gate, in total.
        t1: Energy relaxation time in s.
        t_phi: Pure dephasing time in s, 1 / T_phi = 1 / T2 - 1 / (2 T1).
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
        t2: Coherence time in s, at most 2 T1, instead of `t_phi`.
        qubits: By qubit what differs there: any of one_qubit_error, one_qubit_time, t1, t2, t_phi, readout_zero and
            readout_one, such as `{3: {"t1": 20e-6}}`.
        couplers: By pair of qubits, in either order, what differs: two_qubit_error, two_qubit_time.

    Raises:
        ValueError: If a probability, time or angle is out of range, here or in a table, a table says something else,
            T2 exceeds 2 T1, or both T2 and T_phi are given.
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
    t2: float | None = None
    qubits: Mapping[int, Mapping[str, float | int]] = field(default_factory=dict, hash=False)
    couplers: Mapping[tuple[int, int], Mapping[str, float | int]] = field(
        default_factory=dict, hash=False
    )

    def __post_init__(self):
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None and not isinstance(value, float | int):
                object.__setattr__(self, name, float(value))  # of single precision, or JAX's
        check_in_range(self.one_qubit_error, "one_qubit_error", 0, 0.75)
        check_in_range(self.two_qubit_error, "two_qubit_error", 0, 15 / 16)
        for name in ("readout_zero", "readout_one"):
            check_in_range(getattr(self, name), name, 0, 0.5)
        for name in ("one_qubit_time", "two_qubit_time"):
            check_in_range(getattr(self, name), name, 0, 1, "s")
        for name in ("theta_error", "phi_error"):
            check_in_range(getattr(self, name), name, 0, math.pi, "rad")
        check_in_range(self.idle_dephasing, "idle_dephasing", 0, 100)
        for name in _TIMES:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(
                    f"`{name}` must be positive (infinite for none), but is {value:g} s."
                )
        if self.t2 is not None and self.t_phi < math.inf:
            raise ValueError(
                f"`t2` must stand alone, but `t_phi` is {self.t_phi:g} s beside it; give one of them."
            )
        if self.t2 is not None and self.t2 > 2 * self.t1 * _ROUNDED:
            raise ValueError(
                f"`t2` must be at most 2 T1 = {2 * self.t1:g} s, but is {self.t2:g} s; "
                "a pure dephasing time is `t_phi`."
            )
        _ = self._rows  # so that a table with an error is refused where it is given

    def on(self, *qubits: int) -> "NoiseModel":
        """The numbers of one qubit or of one coupler, without tables."""
        return self._rows.get(tuple(sorted(qubits)), self)

    @property
    def pure_dephasing_time(self) -> float:
        """T_phi in s, from T2 and T1 where T2 is given."""
        if self.t2 is None:
            return self.t_phi
        rate = 1 / self.t2 - 1 / (2 * self.t1)
        return 1 / rate if rate * self.t2 > _ROUNDED - 1 else math.inf

    def scaled(self, factor: float | int) -> "NoiseModel":
        """The same chip with every stochastic rate `factor` times as large; readout and over-rotation stay.

        Raises:
            ValueError: If the factor is negative, or an error then exceeds full depolarisation.
        """
        check_in_range(factor, "factor", 0, 1e6)

        def more(name: str, value: float | None):
            if name in _RATES and value is not None:
                return value * factor
            if name in _TIMES and value is not None:
                return value / factor if factor else math.inf
            return value

        return replace(
            self,
            **{name: more(name, getattr(self, name)) for name in (*_RATES, *_TIMES)},
            **{
                table: {
                    key: {name: more(name, value) for name, value in row.items()}
                    for key, row in getattr(self, table).items()
                }
                for table in ("qubits", "couplers")
            },
        )

    def read_out(self, expectation_z, qubit: int | None = None):
        """Expectation of Z of one qubit as it is read, from the true one; `qubit` finds its row in the table."""
        here = self if qubit is None else self.on(qubit)
        contrast = 1 - here.readout_zero - here.readout_one
        return contrast * expectation_z + here.readout_one - here.readout_zero

    def error(self, operation: Operation) -> float:
        """Pauli error of a gate in total; none where nothing is played."""
        if not is_played(operation.gate):
            return 0.0
        here = self.on(*operation.qubits)
        return here.one_qubit_error if len(operation.qubits) == 1 else here.two_qubit_error

    def duration(self, operation: Operation) -> float:
        """Seconds that a gate takes, or that a wait says."""
        if operation.gate.name == "wait":
            return operation.gate.parameters[0]
        if not is_played(operation.gate):
            return 0.0
        here = self.on(*operation.qubits)
        return here.one_qubit_time if len(operation.qubits) == 1 else here.two_qubit_time

    def idle_channel(self, duration: float, qubit: int | None = None) -> Channel:
        """What `duration` seconds without a gate do to a qubit."""
        here = self if qubit is None else self.on(qubit)
        slow = here.pure_dephasing_time
        slow = slow / self.idle_dephasing if self.idle_dephasing else math.inf
        return relaxation(duration, here.t1, slow)

    @cached_property
    def _rows(self) -> dict[tuple[int, ...], "NoiseModel"]:
        """The numbers of every qubit and coupler in a table."""
        rows: dict[tuple[int, ...], NoiseModel] = {}
        tables = (
            ("qubits", self.qubits, _OF_QUBIT, 1),
            ("couplers", self.couplers, _OF_COUPLER, 2),
        )
        for table, entries, names, size in tables:
            for key, row in entries.items():
                place = tuple(np.atleast_1d(key).tolist())
                if len(set(place)) != size or not all(isinstance(q, int) and q >= 0 for q in place):
                    rule = "a qubit's number" if size == 1 else "two qubits' numbers"
                    raise ValueError(f"`{table}` must have {rule} for a key, but has {key!r}.")
                for name in row:
                    check_choice(name, table, names)
                # T2 in a row stands for the chip's T_phi, and the other way round.
                freed = {"t_phi": math.inf} if "t2" in row else {}
                freed |= {"t2": None} if "t_phi" in row else {}
                plain = {"qubits": {}, "couplers": {}} | freed | dict(row)
                rows[tuple(sorted(place))] = replace(self, **plain)
        return rows


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


def add_noise(
    circuit: Circuit, model: NoiseModel, *, frame: Frame | None = None, mixed: Iterable[int] = ()
) -> NoisyCircuit:
    """Puts a model's noise into a circuit.

    Args:
        circuit: Circuit as it is played, so with the gates filtered out that the experiment filters out.
        model: Noise.
        frame: Operations to play before and after a two-qubit gate, free of error and time since on the hardware
            they merge into neighbouring one-qubit gates; none by default.
        mixed: Qubits that start otherwise than in |0>, as in `path_weights`; they relax from the beginning.
    """
    steps: list[Operation | Fault] = []
    for step in _steps(circuit, _times(model), tuple(mixed)):
        if isinstance(step, Operation):
            steps += _played(step, model, frame)
            continue
        idle = model.idle_channel(step.seconds, step.qubit)
        if idle.pauli_error > 0:
            steps.append(Fault(idle, (step.qubit,)))
    return NoisyCircuit(circuit.n_qubits, tuple(steps))


@lru_cache(maxsize=8)
def _steps(
    circuit: Circuit, times: NoiseModel, mixed: tuple[int, ...]
) -> tuple[Operation | Idle, ...]:
    """The schedule of a circuit, kept for the next model: it takes longer than putting the noise in."""
    return tuple(schedule(circuit, times.duration, mixed))


def _times(model: NoiseModel) -> NoiseModel:
    """The times of gates alone: models that differ in their errors have one schedule."""
    times = lambda row: {n: v for n, v in row.items() if n.endswith("_qubit_time")}  # noqa: E731
    qubits = {key: times(row) for key, row in model.qubits.items()}
    couplers = {key: times(row) for key, row in model.couplers.items()}
    return NoiseModel(
        one_qubit_time=model.one_qubit_time, two_qubit_time=model.two_qubit_time, qubits=qubits, couplers=couplers,
    )  # fmt: skip


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
    return float(np.prod([1 - model.error(op) for op in circuit.operations()]))


def _played(
    operation: Operation, model: NoiseModel, frame: Frame | None
) -> list[Operation | Fault]:
    if not is_played(operation.gate):
        return [operation]
    if len(operation.qubits) == 1:
        return [operation, *_gate_faults(operation, model, 0.0)]
    before, after = frame(operation) if frame else ((), ())
    turned, coherent = _over_rotated(operation, model)
    return [*before, turned, *after, *_gate_faults(operation, model, coherent)]


def _gate_faults(operation: Operation, model: NoiseModel, coherent: float) -> list[Fault]:
    n, quoted = len(operation.qubits), model.error(operation)
    relax, relaxed = _relaxation(operation, model) if model.relax_in_gates else ([], 0.0)
    if relaxed > quoted * _ROUNDED:
        raise ValueError(
            f"`t1` and `t_phi` must leave room within the quoted error of a gate, but on {operation.qubits} "
            f"relaxation alone has a Pauli error of {relaxed:.3g} where {quoted:.3g} is quoted; quote more, or leave "
            "`relax_in_gates` off."
        )
    rest = quoted - coherent - relaxed
    # Where no error is quoted, the over-rotation is all that is asked for.
    if quoted > 0 and coherent + relaxed > quoted * _ROUNDED:
        warnings.warn(
            f"`theta_error` and `phi_error` make the gate on {operation.qubits} worse than quoted: over-rotation and "
            f"relaxation have a Pauli error of {coherent + relaxed:.3g}, quoted is {quoted:.3g}.",
            stacklevel=4,
        )
    if rest <= 0:
        return relax
    return [*relax, Fault(depolarizing(rest, n), operation.qubits)]


def _relaxation(operation: Operation, model: NoiseModel) -> tuple[list[Fault], float]:
    """What T1 and T_phi do during a gate, and its Pauli error."""
    duration, kept, faults = model.duration(operation), 1.0, []
    for qubit in operation.qubits:
        here = model.on(qubit)
        channel = relaxation(duration, here.t1, here.pure_dephasing_time)
        if channel.pauli_error > 0:
            faults.append(Fault(channel, (qubit,)))
            kept *= 1 - channel.pauli_error
    return faults, 1 - kept


def _over_rotated(operation: Operation, model: NoiseModel) -> tuple[Operation, float]:
    """The gate as the coupler plays it, and the Pauli error 1 - |tr V|^2 / 16 that this amounts to."""
    if model.theta_error == 0 and model.phi_error == 0:
        return operation, 0.0
    gate, pair = operation.gate, sorted(operation.qubits)
    # The swap angle of the unitary, whatever the gate is called.
    backwards = gate.matrix()[1, 2].imag > ACCEPTED
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
