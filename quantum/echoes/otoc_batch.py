"""Correlators of many echoes with many Pauli insertions at once: C^(2k) as an array (echoes, insertions).

An ensemble of the interference test is 50 circuits with some 20 pairs of strings each. The circuits of one echo differ
in the inserted Paulis alone, so that they share

- the pruning: the circuit is built once with marks in place of the strings;
- the program: gates are fused once into blocks, for all strings by one array expression (`program.assemble`), where a
  Pauli costs nothing, since it vanishes into its neighbour;
- the work before the first string, which is run once.

qsim (`cirq`) gets blocks without the detour over a Cirq circuit, and the `jax` engine all strings as one batch; other
engines get the circuits one by one, and so does qsim where double precision is asked for.
"""

import functools
from collections.abc import Sequence

import numpy as np

from quantum._checks import check_choice
from quantum.circuits.circuit import (
    Circuit,
    Moment,
    Operation,
    cancel_inverses,
    light_cone,
    restrict,
)
from quantum.circuits.gates import Gate, matrix_gate, pauli_gate
from quantum.circuits.pauli import PauliString
from quantum.circuits.program import (
    Structure,
    assemble,
    blocks,
    gate_matrices,
    make_program,
    make_recipe,
)
from quantum.echoes.otoc import Echo, echo_circuit
from quantum.engines import dispatch
from quantum.engines.dispatch import Precision
from quantum.engines.memory import check_memory

# Engines that take all strings of an echo at once.
_BATCHED = {("cirq", "single"), ("jax", "single"), ("jax", "double")}
_N_STATES = 3
_PAULIS = {letter: pauli_gate(letter).matrix() for letter in "IXYZ"}


def correlators(
    echoes: Sequence[Echo],
    strings: Sequence[Sequence[PauliString]],
    *,
    engine: str = "auto",
    precision: Precision = "single",
) -> np.ndarray:
    """C^(2k) of every echo under every insertion, (echoes, insertions).

    Args:
        echoes: What is measured.
        strings: Insertions: one string for each loop (a pair for OTOC(2)), or an empty tuple for none.
        engine: Name of the engine.
        precision: "single" or "double".

    Raises:
        ValueError: If an insertion has not one string for each loop, an echo lacks its cut, or the engine is unknown.
    """
    check_choice(engine, "engine", ("auto", *dispatch.ENGINES))
    found = np.empty((len(echoes), len(strings)))
    for row, echo in enumerate(echoes):
        name = engine if engine != "auto" else dispatch.choose(echo.unitary.n_qubits, precision)
        together = [
            k
            for k, given in enumerate(strings)
            if len(given) == echo.order and echo.cut is not None
        ]
        if (name, precision) not in _BATCHED or len(together) < 2:
            together = []
        else:
            found[row, together] = _batch(echo, [strings[k] for k in together], name, precision)
        for column in set(range(len(strings))) - set(together):
            circuit = echo_circuit(echo, strings[column])
            found[row, column] = dispatch.expectation(
                circuit, echo.observable, engine=name, precision=precision
            )
    return found


def marked_circuit(echo: Echo) -> tuple[Circuit, tuple[int, ...], dict[int, tuple[int, int]]]:
    """The pruned circuit with a mark wherever a Pauli may stand, on the qubits that are left.

    A mark is its own inverse and equals no other gate, so pruning leaves just what any strings would leave.

    Returns:
        The circuit, which qubits of the echo it holds, and by gate number the loop and the qubit of the echo of a mark.
    """
    n = echo.unitary.n_qubits
    cut = echo.cut or 0
    struck = PauliString.on(dict.fromkeys(echo.butterflies, echo.butterfly)).moment()
    marks = {_mark(loop): loop for loop in range(echo.order)}
    moments: tuple[Moment, ...] = ()
    for mark, loop in marks.items():
        line = (tuple(Operation(mark, (q,)) for q in range(n)),)
        there = Circuit(n, echo.unitary.moments[:cut] + line + echo.unitary.moments[cut:])
        between = (echo.measured_pauli.moment(),) if loop else ()
        moments += (*between, *there.moments, struck, *there.inverse().moments)
    pruned = light_cone(cancel_inverses(Circuit(n, moments)), (echo.measured,))
    circuit, touched = restrict(pruned, (echo.measured,))
    places = {
        number: (marks[operation.gate], touched[operation.qubits[0]])
        for number, operation in enumerate(circuit.operations())
        if operation.gate in marks
    }
    return circuit, touched, places


def _batch(
    echo: Echo, strings: Sequence[Sequence[PauliString]], engine: str, precision: Precision
) -> np.ndarray:
    """Correlators of one echo, (insertions,)."""
    circuit, touched, places = marked_circuit(echo)
    check_memory(circuit.n_qubits, precision, _N_STATES)
    marked = {number for number, _ in enumerate(circuit.operations()) if number in places}
    sizes = np.cumsum([0, *(len(moment) for moment in circuit.moments)])
    first = min(marked, default=circuit.n_operations)
    opening = int(np.searchsorted(sizes, first, side="right")) - 1
    recipe = make_recipe(circuit[opening:])
    gates = gate_matrices(circuit[opening:])
    gates = np.broadcast_to(gates, (len(strings), *gates.shape)).copy()
    letters = [[dict(string.factors) for string in given] for given in strings]
    for number, (loop, qubit) in places.items():
        for row, given in zip(gates, letters, strict=True):
            row[number - sizes[opening], :2, :2] = _PAULIS[given[loop].get(qubit, "I")]
    matrices = assemble(recipe, gates)
    measured = touched.index(echo.measured)
    run = _on_qsim if engine == "cirq" else functools.partial(_on_jax, precision=precision)
    found = run(circuit[:opening], recipe.structure, matrices, measured)
    return -found if echo.inverted else found


def _on_qsim(
    opening: Circuit, structure: Structure, matrices: np.ndarray, measured: int
) -> np.ndarray:
    # Imported where it is used: whoever runs on another engine need not have Cirq.
    from quantum.engines import cirq_engine

    n = structure.n_qubits
    start = cirq_engine.run_blocks(n, blocks(*make_program(opening)))
    found = np.empty(len(matrices))
    for row, one in enumerate(matrices):
        final = cirq_engine.run_blocks(n, blocks(structure, one), start)
        halves = final.view(np.float32).reshape(2**measured, 2, -1)
        up, down = np.square(halves).sum(axis=(0, 2), dtype=float)
        # Gate matrices are rounded to single precision, so the norm drifts.
        found[row] = (up - down) / (up + down)
    return found


def _on_jax(
    opening: Circuit, structure: Structure, matrices: np.ndarray, measured: int, precision: str
) -> np.ndarray:
    from quantum.engines import jax_engine

    first, first_matrices = make_program(opening)
    return jax_engine.ensemble_after(
        (first, first_matrices), (structure, matrices), PauliString.on({measured: "Z"}), precision
    )


def _mark(loop: int) -> Gate:
    angle = 0.3 + loop
    return matrix_gate(np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]]))
