"""Noise models from what Cirq and Qiskit say of a device: errors by qubit and coupler, times, readout.

Each reader takes an object of the peer and needs no package of it; qubits are numbered as the caller says.

- `from_cirq`: a calibration of Google (`cirq_google.engine.load_median_device_calibration`), or noise properties
  (`cirq_google.noise_properties_from_calibration`). Both give Pauli errors. XEB errors of a pair come per cycle, which
  holds a gate on either qubit: the one-qubit errors are taken off. T1 is given, dephasing as T_phi in noise properties.
- `from_qiskit`: a backend or its target. Errors there are average gate infidelities r, so e = r (1 + 2^-n); times are
  those of the instructions; T2 beyond 2 T1, which measured numbers may be by their own error, is cut to it as Aer does.
  One readout error stands for both outcomes unless the target's measurement has them apart.
- `from_aer`: a noise model of Aer. Pauli errors by the process fidelity of its channels, readout by its matrices.
  Relaxation is part of those channels, so the model has no T1; delays, for which Aer has no rule, pass without noise.

A number that a calibration lacks for one qubit is the median of the others. Where several gates of a qubit have an
error, the largest counts (Qiskit lists x, sx, ...); virtual ones and `id` do not.

Leaves out correlated readout errors and coherent errors.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from quantum.circuits.channels import pauli_error_from_average_infidelity
from quantum.circuits.gates import pauli_gate
from quantum.noise.model import NoiseModel

_MICRO, _NANO = 1e-6, 1e-9
# Metrics of a calibration: what it is here, and the factor to SI units.
_QUBIT_METRICS = {
    "single_qubit_rb_pauli_error_per_gate": ("one_qubit_error", 1.0),
    "single_qubit_idle_t1_micros": ("t1", _MICRO),
    "single_qubit_p00_error": ("readout_zero", 1.0),
    "single_qubit_p11_error": ("readout_one", 1.0),
}
_PER_GATE = "two_qubit_parallel_{gate}_gate_xeb_pauli_error_per_gate"
_PER_CYCLE = "two_qubit_parallel_{gate}_gate_xeb_pauli_error_per_cycle"
_UNTIMED = frozenset({"id", "rz", "p", "u1", "z", "s", "sdg", "t", "tdg"}) | {
    "delay", "measure", "reset", "barrier",
}  # fmt: skip

Rows = dict[Any, dict[str, float]]


def from_cirq(calibration: Any, qubits: Sequence[Any], gate: str = "cz") -> NoiseModel:
    """Noise of a Google device, with a row for each of the qubits and couplers it lists.

    Args:
        calibration: A `cirq_google.Calibration`, or `GoogleNoiseProperties`.
        qubits: Cirq's qubits in the order of ours, as `from_cirq` of a circuit has them.
        gate: Two-qubit gate whose errors are taken: the word in the calibration's metrics (cz, sqrt_iswap, sycamore),
            or the name of the gate's class in noise properties without `PowGate` or `Gate` (cz, iswap, fsim).

    Raises:
        ValueError: If nothing is listed for these qubits.
    """
    numbers = {qubit: number for number, qubit in enumerate(qubits)}
    if hasattr(calibration, "gate_pauli_errors"):
        return _from_properties(calibration, numbers, gate)
    singles, pairs = _empty(numbers)
    for metric, (name, unit) in _QUBIT_METRICS.items():
        for key, values in _metric(calibration, metric).items():
            if (qubit := _found(key, numbers)) is not None and len(qubit) == 1:
                singles[qubit[0]][name] = unit * float(values[0])
    _fill(singles)
    for metric, per_cycle in ((_PER_CYCLE, True), (_PER_GATE, False)):
        for key, values in _metric(calibration, metric.format(gate=gate)).items():
            if (pair := _found(key, numbers)) is not None:
                alone = sum(singles[q].get("one_qubit_error", 0.0) for q in pair) * per_cycle
                pairs[pair] = {"two_qubit_error": max(float(values[0]) - alone, 0.0)}
    return _model(singles, pairs, f"the calibration, of gate {gate},")


def from_qiskit(backend: Any) -> NoiseModel:
    """Noise of a Qiskit backend or target, with a row for each qubit and coupler.

    Raises:
        ValueError: If the target lists no errors and no times.
    """
    target = getattr(backend, "target", backend)
    singles, pairs = _empty({q: q for q in range(target.num_qubits)})
    for qubit, known in enumerate(target.qubit_properties or ()):
        t1, t2 = getattr(known, "t1", None), getattr(known, "t2", None)
        if t1 is not None:
            singles[qubit]["t1"] = float(t1)
        if t2 is not None:
            singles[qubit]["t2"] = min(float(t2), 2 * float(t1) if t1 is not None else math.inf)
    for name in target.operation_names:
        for on, known in (target[name] or {}).items():
            if on is None or known is None:
                continue
            if name == "measure" and known.error is not None:
                zero = getattr(known, "prob_meas1_prep0", known.error)
                one = getattr(known, "prob_meas0_prep1", known.error)
                singles[on[0]] |= {"readout_zero": float(zero), "readout_one": float(one)}
            if name in _UNTIMED or len(on) > 2:
                continue
            row = singles[on[0]] if len(on) == 1 else pairs.setdefault(tuple(sorted(on)), {})
            kind = "one_qubit" if len(on) == 1 else "two_qubit"
            if known.error is not None:
                error = pauli_error_from_average_infidelity(float(known.error), len(on))
                row[f"{kind}_error"] = max(error, row.get(f"{kind}_error", 0.0))
            if known.duration is not None:
                row[f"{kind}_time"] = max(float(known.duration), row.get(f"{kind}_time", 0.0))
    _fill(singles)
    return _model(singles, pairs, "the target")


def from_aer(noise_model: Any, n_qubits: int) -> NoiseModel:
    """Noise of an Aer noise model: total Pauli errors of its gates, and its readout.

    Args:
        noise_model: A `qiskit_aer.noise.NoiseModel`.
        n_qubits: Number of qubits; errors that it gives all qubits alike stand for each of them.

    Raises:
        ValueError: If it holds no error of a gate or readout, a joint readout error of several qubits, or an error of a
            kind that Aer's own makers do not make.
    """
    singles, pairs = _empty({q: q for q in range(n_qubits)})
    shared: dict[tuple[str, int], float] = {}
    own: dict[tuple[str, tuple[int, ...]], float] = {}
    for entry in noise_model.to_dict()["errors"]:
        places = [tuple(on) for on in entry.get("gate_qubits", [])]
        if entry["type"] == "roerror":
            _add_readout(entry["probabilities"], places, singles)
            continue
        size = 1 + max(q for ops in entry["instructions"] for op in ops for q in op["qubits"])
        for name in set(entry["operations"]) - _UNTIMED if size <= 2 else ():
            error = _aer_error(entry, size)
            if not places:
                shared[name, size] = error
            for on in places:
                key = name, tuple(sorted(on))
                own[key] = max(error, own.get(key, 0.0))
    for on in [(q,) for q in singles] + sorted({on for _, on in own if len(on) == 2}):
        # What a gate does on these qubits replaces what it does on all.
        here = {name: error for (name, size), error in shared.items() if size == len(on)}
        here |= {name: error for (name, place), error in own.items() if place == on}
        if not here or not set(on) <= singles.keys():
            continue
        row = singles[on[0]] if len(on) == 1 else pairs.setdefault(on, {})
        row["one_qubit_error" if len(on) == 1 else "two_qubit_error"] = max(here.values())
    everywhere = max((error for (_, size), error in shared.items() if size == 2), default=0.0)
    if not any(singles.values()) and not pairs and not everywhere:
        raise ValueError("`noise_model` must hold errors of gates or a readout, but holds none.")
    return NoiseModel(two_qubit_error=everywhere, qubits=singles, couplers=pairs)


def _add_readout(flips: Sequence, places: list[tuple[int, ...]], singles: Rows) -> None:
    """Readout errors of some qubits; Aer lists those of all qubits first, so that these replace them."""
    if len(flips) > 2:
        raise ValueError(
            f"`noise_model` must read qubits one by one, but has a joint readout error of {places}; give it to "
            "`quantum.noise.readout`."
        )
    for on in places or [(q,) for q in singles]:
        if on[0] in singles:
            singles[on[0]] |= {
                "readout_zero": float(flips[0][1]),
                "readout_one": float(flips[1][0]),
            }


def _aer_error(entry: Mapping[str, Any], size: int) -> float:
    """1 - process fidelity of one of Aer's errors: a sum of circuits, each with its probability."""
    total = 0.0
    for circuit, probability in zip(entry["instructions"], entry["probabilities"], strict=True):
        channel = np.eye(4**size, dtype=complex)
        for step in circuit:
            kraus = [_spread(k, step["qubits"], size) for k in _aer_kraus(step)]
            channel = sum(np.kron(k.conj(), k) for k in kraus) @ channel
        total += float(probability) * float(channel.trace().real)
    return max(0.0, 1 - total / 4**size)


def _aer_kraus(step: Mapping[str, Any]) -> list[np.ndarray]:
    """Kraus operators of one step, the first of its qubits the least significant bit as Qiskit counts."""
    name = step["name"]
    if name == "kraus":
        return [np.asarray(k) for k in step["params"]]
    if name == "unitary":
        return [np.asarray(step["params"][0])]
    if name == "reset":
        return [np.diag([1.0, 0.0]), np.array([[0.0, 1.0], [0.0, 0.0]])]
    letters = str(step["params"][0]) if name == "pauli" else "I" if name == "id" else name.upper()
    if set(letters) - set("IXYZ"):
        raise ValueError(
            f"`noise_model` must be made of Pauli, Kraus and unitary errors and resets, but one holds {name!r}."
        )
    return [functools.reduce(np.kron, [pauli_gate(letter).matrix() for letter in letters])]


def _spread(matrix: np.ndarray, on: Sequence[int], size: int) -> np.ndarray:
    """A step on one of two qubits, or on both in either order, as a matrix on all."""
    if len(on) == size:
        turned = list(on) == [1, 0]
        return matrix.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4) if turned else matrix
    return np.kron(np.eye(2), matrix) if on[0] == 0 else np.kron(matrix, np.eye(2))


def _from_properties(properties: Any, numbers: Mapping[Any, int], gate: str) -> NoiseModel:
    singles, pairs = _empty(numbers)
    for name, table, unit in (("t1", "t1_ns", _NANO), ("t_phi", "tphi_ns", _NANO)):
        for qubit, value in getattr(properties, table).items():
            if qubit in numbers:
                singles[numbers[qubit]][name] = unit * float(value)
    for qubit, (zero, one) in properties.readout_errors.items():
        if qubit in numbers:
            singles[numbers[qubit]] |= {"readout_zero": float(zero), "readout_one": float(one)}
    times = {
        kind.__name__.lower(): _NANO * float(t) for kind, t in properties.gate_times_ns.items()
    }
    for place, error in properties.gate_pauli_errors.items():
        kind, on = place.gate_type.__name__.lower(), _found(place.qubits, numbers)
        if on is None:
            continue
        if len(on) == 1 and kind == "phasedxzgate":
            singles[on[0]]["one_qubit_error"] = float(error)
            singles[on[0]]["one_qubit_time"] = times[kind]
        elif len(on) == 2 and kind in (f"{gate}powgate", f"{gate}gate"):
            pairs[on] = {"two_qubit_error": float(error), "two_qubit_time": times[kind]}
    _fill(singles)
    return _model(singles, pairs, f"the noise properties, of gate {gate},")


def _empty(numbers: Mapping[Any, int]) -> tuple[Rows, Rows]:
    return {number: {} for number in numbers.values()}, {}


def _metric(calibration: Any, name: str) -> Mapping[Any, Sequence[float]]:
    return calibration[name] if name in calibration else {}  # noqa: SIM401 - a calibration has no `get`


def _found(key: Sequence[Any], numbers: Mapping[Any, int]) -> tuple[int, ...] | None:
    """Our numbers of the qubits in a key, sorted; None where one is not among ours."""
    if not all(qubit in numbers for qubit in key):
        return None
    return tuple(sorted(numbers[qubit] for qubit in key))


def _fill(rows: Rows) -> None:
    """Gives each row that lacks a number the median of those that have it."""
    for name in {name for row in rows.values() for name in row}:
        middle = median(row[name] for row in rows.values() if name in row)
        for row in rows.values():
            row.setdefault(name, middle)
    for row in rows.values():
        if "t2" in row and "t1" in row:
            row["t2"] = min(row["t2"], 2 * row["t1"])


def _model(singles: Rows, pairs: Rows, source: str) -> NoiseModel:
    """Model of the tables; a coupler that is not listed has the median of those that are."""
    if not any(singles.values()) and not pairs:
        raise ValueError(
            f"`qubits` must be listed in the calibration, but {source} says nothing of them."
        )
    shared: dict[str, Any] = {}
    for name in {name for row in pairs.values() for name in row}:
        shared[name] = median(row[name] for row in pairs.values() if name in row)
    return NoiseModel(**shared, qubits=singles, couplers=pairs)
