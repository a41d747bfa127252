"""What may be built from a circuit file of Cirq: the text is checked as plain JSON before any object is made of it.

A file from elsewhere is data. It may hold circuits, moments, operations, qubits, tags, measurements and the gates
listed in `GATES`, nothing else; fields hold numbers, text stands only where a name is wanted, and size, depth and
numbers are bounded. What `cirq_engine` hands to Cirq is what was checked, and its resolver knows these types alone.

Files are taken as they are written: plain or gzipped, with or without a byte order mark, the circuit alone, frozen, or
in a list of one. Format: cirq.to_json and cirq.to_json_gzip of Cirq 1.7, DOI 10.5281/zenodo.4062499.
"""

import gzip
import io
import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GATES = {
    "HPowGate", "XPowGate", "YPowGate", "ZPowGate", "CXPowGate", "CZPowGate", "SwapPowGate", "ISwapPowGate",
    "XXPowGate", "YYPowGate", "ZZPowGate", "PhasedXPowGate", "PhasedISwapPowGate", "PhasedXZGate", "CCXPowGate",
    "CCZPowGate", "Rx", "Ry", "Rz", "cirq.MSGate", "_PauliX", "_PauliY", "_PauliZ", "IdentityGate", "FSimGate",
    "PhasedFSimGate", "SycamoreGate", "WillowGate", "MatrixGate", "GlobalPhaseGate", "WaitGate", "MeasurementGate",
}  # fmt: skip
TYPES = GATES | {
    "Circuit", "FrozenCircuit", "Moment", "GateOperation", "SingleQubitPauliStringGateOperation", "TaggedOperation",
    "GridQubit", "LineQubit", "NamedQubit", "VirtualTag", "PhysicalZTag", "Duration", "complex",
}  # fmt: skip
# Choices of ours, far beyond what a circuit of the chip needs.
LARGEST = 256 * 2**20  # bytes of text
DEEPEST = 32
_MOST_DIGITS = 19  # of an integer: keys of older files have as many
_FARTHEST = 10**6  # place of a qubit
_MOST_QUBITS = 1000  # of one gate, such as a wait on the whole chip
_TEXT = frozenset({"cirq_type", "key", "name", "tags"})


def read_text(path: Path) -> str:
    """Text of a circuit file, unpacked where it is gzipped.

    Raises:
        ValueError: If it is absent, a pickle, damaged, too large, or does not begin like Cirq's JSON.
    """
    raw = path.read_bytes() if path.is_file() else b""
    if raw[:1] == b"\x80":
        raise ValueError(
            f"`path` must hold Cirq's JSON text, but {path} is a Python pickle, which may run code when it is "
            "loaded; it was not opened."
        )
    if raw[:2] == b"\x1f\x8b":
        raw = _unpacked(raw, path)
    if len(raw) > LARGEST:
        raise ValueError(
            f"`path` must hold at most {LARGEST >> 20} MiB of text, but {path} holds more."
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"`path` must hold UTF-8 text, but {path} does not: {error}.") from error
    if not text.lstrip().startswith(("{", "[")):
        raise ValueError(f"`path` must hold Cirq's JSON text, but {path} does not begin like it.")
    return text


def _unpacked(raw: bytes, path: Path) -> bytes:
    try:
        with gzip.open(io.BytesIO(raw)) as file:
            return file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"`path` must be whole, but the gzip file {path} is damaged: {error}."
        ) from error


def checked(text: str, source: str) -> dict:
    """The one circuit of a text as plain JSON that holds known types only.

    Args:
        text: JSON text.
        source: Where it came from, for messages.

    Raises:
        ValueError: If the text is truncated, too deep, holds a number out of range, text in place of a number, a type
            that is not in `TYPES`, or anything but one circuit.
    """
    circuit = _unwrapped(_parsed(text, source), source)
    if not isinstance(circuit, dict) or circuit.get("cirq_type") not in (
        "Circuit",
        "FrozenCircuit",
    ):
        known = [kind for kind, _ in _objects(circuit, source)]
        raise ValueError(
            f"`path` must hold a circuit, but {source} holds {known[0] if known else 'none'}."
        )
    for kind, fields in _objects(circuit, source):
        for name, value in fields.items():
            _check_field(kind, name, value, source)
    return circuit


def _parsed(text: str, source: str) -> Any:
    def integer(digits: str) -> int:
        if len(digits.lstrip("-")) > _MOST_DIGITS:
            raise _refused(f"hold integers of up to {_MOST_DIGITS} digits", source, _short(digits))
        return int(digits)

    def real(digits: str) -> float:
        if not math.isfinite(float(digits)):
            raise _refused("hold finite numbers", source, _short(digits))
        return float(digits)

    try:
        return json.loads(text, parse_int=integer, parse_float=real, parse_constant=real)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"`path` must be whole, but {source} breaks off or is damaged at character {error.pos}."
        ) from error
    except RecursionError as error:
        raise _refused(f"be nested at most {DEEPEST} deep", source, "more") from error


def _unwrapped(content: Any, source: str) -> Any:
    """What a list of one and Cirq's two ways of writing a frozen circuit hold."""
    for _ in range(3):
        if isinstance(content, list) and len(content) == 1:
            content = content[0]
        elif isinstance(content, list):
            raise ValueError(
                f"`path` must hold one circuit, but {source} holds a list of {len(content)}; write each into a file."
            )
        elif isinstance(content, dict) and content.get("cirq_type") == "VAL":
            content = content.get("val")
        elif isinstance(content, dict) and content.get("cirq_type") == "_ContextualSerialization":
            match content.get("object_dag"):
                case [{"obj": dict(circuit)}, {"cirq_type": "_SerializedKey"}]:
                    content = circuit
                case other:
                    content = other
    return content


def _objects(content: Any, source: str) -> Iterator[tuple[str, dict]]:
    """Type and fields of every object, outermost first; an unknown type is refused before what it holds is seen."""
    waiting = [(content, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise _refused(f"be nested at most {DEEPEST} deep", source, "more")
        if isinstance(value, dict):
            kind = value.get("cirq_type")
            if not isinstance(kind, str) or kind not in TYPES:
                said = "an object without `cirq_type`" if kind is None else f"`{_short(kind)}`"
                raise _refused("hold circuits of known gates and nothing else", source, said)
            yield kind, value
            waiting += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in value]


def _check_field(kind: str, name: str, value: Any, source: str) -> None:
    entries = [value]
    while entries:
        entry = entries.pop()
        if isinstance(entry, list):
            entries += entry
        elif entry is None:
            raise _refused(f"hold a value as `{name}` of {kind}", source, "null")
        elif isinstance(entry, str) and name not in _TEXT:
            raise _refused(
                f"hold a number as `{name}` of {kind}", source, f"the text {_short(entry)!r}"
            )
        elif name in ("row", "col", "x") and not (
            isinstance(entry, int) and abs(entry) <= _FARTHEST
        ):
            raise _refused(f"place qubits within {_FARTHEST}", source, f"`{name}` {_short(entry)}")
    counts = value if name == "qid_shape" and isinstance(value, list) else ()
    if any(count != 2 for count in counts):
        raise _refused(
            "hold qubits of two levels", source, f"`qid_shape` {_short(value)} of {kind}"
        )
    if name == "num_qubits" and not (isinstance(value, int) and 0 < value <= _MOST_QUBITS):
        raise _refused(
            f"act on 1 to {_MOST_QUBITS} qubits at a time", source, f"{kind} on {_short(value)}"
        )


def _refused(rule: str, source: str, found: str) -> ValueError:
    return ValueError(f"`path` must {rule}, but {source} holds {found}.")


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."
