"""Reads the published echo circuits and their values, as data: nothing in the files is executed.

The record (DOI 10.5281/zenodo.15640503) of Google Quantum AI and collaborators, Nature 646, 825 (2025), DOI
10.1038/s41586-025-09526-6, holds one circuit per file in folders `circuits_<depth>`. The files end in .pkl but are
Cirq's JSON text, of which `circuit_json` says what it may hold. The first 2 x depth moments are U (one-qubit gates,
two-qubit gates, and so on), the next one holds the butterflies, the last one measures q_m. Values stand as literals in
`run.py` beside the folders. We have not seen the record: this layout is as read by a third party, so the reader checks
it and says where a file differs. What lies between the butterflies and the measurement is taken to be U^dagger, M, U,
B, U^dagger for the OTOC(2).

The record is not downloaded by us: put it into a folder and name that in LIGHTECHO_DATA, or hand over paths.
"""

import ast
import dataclasses
import functools
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from quantum.circuits.circuit import Circuit, Moment
from quantum.circuits.gates import pauli_gate
from quantum.circuits.lattice import GROUPS, Lattice
from quantum.circuits.layouts import EchoLayout
from quantum.circuits.tolerance import same_up_to_phase
from quantum.echoes.otoc import Echo, echo_circuit
from quantum.engines import circuit_json, cirq_engine

DOI = "10.5281/zenodo.15640503"
VALUES = ("simulated_data", "otoc2_subtracted_precomputed", "otoc2_subtracted_experiment")
_FOLDER = "LIGHTECHO_DATA"


def find(name: str | Path) -> Path:
    """Path of a file or folder of the record: as it stands, else within the folder LIGHTECHO_DATA.

    Raises:
        ValueError: If it is in neither place; says where to get the record.
    """
    folder = os.environ.get(_FOLDER)
    for place in [Path(name), *([Path(folder) / name] if folder else [])]:
        if place.exists():
            return place
    where = f"{_FOLDER} is {folder}" if folder else f"{_FOLDER} is not set"
    raise ValueError(
        f"`name` must be a file of the published record, but there is no {name} ({where}); download it from "
        f"https://doi.org/{DOI}, unpack it, and set {_FOLDER} to the folder."
    )


def read_circuit(
    path: str | Path,
    *,
    depth: int | None = None,
    order: int = 2,
    cut_shift: int | None = None,
    check: bool = True,
) -> Echo:
    """The echo of one published circuit file; its qubits are numbered along the rows of the chip.

    A measurement with `invert_mask` makes the echo `inverted`, so that its values are those of the file's own results.

    Args:
        path: Circuit file, see `find`.
        depth: Cycles of U; read from the folder's name `circuits_<depth>` by default.
        order: 1 for the OTOC, 2 for the OTOC(2).
        cut_shift: Shift of the Pauli insertion, which is not in the file: the cut is moment depth // 2 + cut_shift. No
            cut by default.
        check: Whether the moments after the butterflies must be the rest of that echo, gate by gate.

    Raises:
        ValueError: If the file is absent, not Cirq's JSON, truncated, holds an unknown gate or is not such an echo.
    """
    echo = _read(find(path).resolve(), depth, order, check)[0]
    if cut_shift is None:
        return echo
    return dataclasses.replace(echo, cut=len(echo.unitary) // 4 + cut_shift)


def read_layout(path: str | Path, *, depth: int | None = None, order: int = 2) -> EchoLayout:
    """Lattice, measured qubit, butterflies and cycles of one published circuit file; see `read_circuit`."""
    echo, lattice = _read(find(path).resolve(), depth, order, True)
    return EchoLayout(lattice, echo.measured, echo.butterflies, len(echo.unitary) // 2)


def read_values(path: str | Path) -> dict[str, Any]:
    """The literals named in `VALUES` that a published run.py assigns; lists of numbers become arrays.

    The file is parsed, not run: `numpy.array(LITERAL)` is understood, any other expression is an error.

    Raises:
        ValueError: If the file is absent, not Python, or holds none of the names, or one that is no literal.
    """
    file = find(path)
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"`path` must be Python source, but {file} cannot be parsed: {error}; it may be truncated."
        ) from error
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in VALUES:
                found[name] = _literal(node.value, name, file)
    if not found:
        raise ValueError(f"`path` must assign one of {', '.join(VALUES)}, but {file} does not.")
    return found


def coupler_order(unitary: Circuit, lattice: Lattice, *, aligned: bool = False) -> str:
    """Group letter of every two-qubit moment, "?" where a moment fits no group; see `Lattice.group`.

    The order of the groups decides how large the signal is and is not stated in the paper's text as we know it.
    """
    groups = {name: set(lattice.group(name, aligned=aligned)) for name in GROUPS}
    letters = ""
    for moment in unitary.moments:
        pairs = {tuple(sorted(op.qubits)) for op in moment if len(op.qubits) == 2}
        if pairs:
            letters += next((name for name, group in groups.items() if pairs <= group), "?")
    return letters


@functools.lru_cache(maxsize=8)
def _read(path: Path, depth: int | None, order: int, check: bool) -> tuple[Echo, Lattice]:
    moments, measured, sites, inverted = cirq_engine.read_json(
        circuit_json.read_text(path), str(path)
    )
    lattice = Lattice(sites)
    cycles = _depth(path) if depth is None else depth
    if len(moments) <= 2 * cycles:
        raise ValueError(
            f"`path` must hold {2 * cycles} moments of U and the butterflies, but {path} holds {len(moments)} moments; "
            "give the right `depth`."
        )
    letter, struck = _butterflies(moments[2 * cycles], path)
    unitary = Circuit(lattice.n_qubits, moments[: 2 * cycles])
    echo = Echo(unitary, measured, struck, order, letter, inverted=inverted)
    if check:
        _check_rest(echo, moments, path)
    return echo, lattice


def _depth(path: Path) -> int:
    name = re.fullmatch(r"circuits_(\d+)", path.parent.name)
    if name is None:
        raise ValueError(
            f"`depth` must be given where the folder is not called circuits_<depth>, but it is {path.parent.name!r}."
        )
    return int(name[1])


def _butterflies(moment: Moment, path: Path) -> tuple[str, tuple[int, ...]]:
    letters = {
        letter
        for op in moment
        for letter in "XYZ"
        if same_up_to_phase(op.gate.matrix(), pauli_gate(letter).matrix())
    }
    if len(letters) != 1 or any(len(op.qubits) != 1 for op in moment):
        gates = [op.gate.name for op in moment]
        raise ValueError(
            f"`path` must hold one kind of Pauli matrix after U, but {path} holds {gates}; give the right `depth`."
        )
    return letters.pop(), tuple(sorted(op.qubits[0] for op in moment))


def _check_rest(echo: Echo, moments: tuple[Moment, ...], path: Path) -> None:
    literal = echo_circuit(echo, prune=False).moments
    if len(literal) != len(moments):
        raise ValueError(
            f"`path` must hold the {len(literal)} moments of an echo of order {echo.order}, but {path} holds "
            f"{len(moments)}; give the right `order`, or `check=False` to take U and the butterflies only."
        )
    for number, (ours, theirs) in enumerate(zip(literal, moments, strict=True)):
        wanted = {op.qubits: op.gate for op in ours}
        if wanted.keys() != {op.qubits for op in theirs} or not all(
            same_up_to_phase(wanted[op.qubits].matrix(), op.gate.matrix()) for op in theirs
        ):
            raise ValueError(
                f"`path` must be U, B, U^dagger and so on, but moment {number} of {path} is another one; "
                "`check=False` takes U and the butterflies only."
            )


def _literal(node: ast.expr, name: str, file: Path) -> Any:
    wrapped = isinstance(node, ast.Call) and ast.unparse(node.func) in (
        "np.array", "numpy.array", "np.asarray", "numpy.asarray",
    )  # fmt: skip
    try:
        value = ast.literal_eval(node.args[0] if wrapped else node)  # type: ignore[union-attr]
    except (ValueError, IndexError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"`path` must assign a literal to {name}, but {file} line {node.lineno} holds an expression."
        ) from error
    return _arrays(value)


def _arrays(value: Any) -> Any:
    """Lists of numbers as arrays, also inside dictionaries; what is ragged or text stays as it is."""
    if isinstance(value, dict):
        return {key: _arrays(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        try:
            array = np.array(value)
        except ValueError:  # ragged
            return [_arrays(inner) for inner in value]
        return array if array.dtype.kind in "biufc" else value
    return value
