import math

import matplotlib
import matplotlib.pyplot as plt
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.diagram import columns, label
from quantum.circuits.gates import Gate, fsim, matrix_gate, phased_x, rz

matplotlib.use("Agg")


def op(gate, *qubits):
    return Operation(gate, qubits)


CIRCUIT = Circuit(
    4,
    (
        (op(Gate("h"), 0), op(phased_x(0.5 * math.pi, 0), 2)),
        (op(fsim(math.pi / 2, 0.25 * math.pi), 2, 0), op(Gate("cz"), 1, 3)),
        (op(rz(-math.pi), 1),),
    ),
)


def test_a_circuit_prints_as_a_line_and_its_wires():
    assert str(CIRCUIT) == "\n".join(
        [
            "Circuit of 4 qubits, 3 moments, 5 gates (2 on two qubits)",
            "0: ─H────────F(0.5π,0.25π)───────────",
            "1: ──────────┼─────────────@─Rz(-1π)─",
            "2: ─Rx(0.5π)─F─────────────┼─────────",
            "3: ────────────────────────@─────────",
        ]
    )


def test_gates_of_a_moment_that_cross_stand_in_columns_of_their_own():
    side_by_side = [op(Gate("cz"), 3, 2), op(Gate("cz"), 0, 1)]
    assert [len(column) for column in columns([side_by_side])] == [2]
    assert [len(column) for column in columns(CIRCUIT.moments)] == [2, 1, 1, 1]


@pytest.mark.parametrize(
    ("gate", "names"),
    [
        (Gate("s_dagger"), ("S†",)),
        (phased_x(math.pi, math.pi / 2), ("Ry(1π)",)),
        (phased_x(1.0, 0.3), ("R(0.318π,0.0955π)",)),
        (matrix_gate(Gate("h").matrix()), ("U",)),
        (fsim(0, 0.1), ("F", "F(0,0.0318π)")),
    ],
)
def test_a_label_tells_the_gate_and_its_angles(gate, names):
    assert label(gate) == names


def test_what_does_not_fit_is_counted():
    long = Circuit(30, ((op(rz(1.0), 0),),) * 40)
    lines = str(long).splitlines()
    assert lines[-1] == "… 32 further columns and 6 further qubits"
    assert max(map(len, lines)) <= 101
    assert len(lines) == 26


def test_a_figure_holds_a_box_for_every_gate_and_a_line_for_every_pair():
    axes = CIRCUIT.draw(plt.figure().subplots())
    labels = sorted(text.get_text() for text in axes.texts)
    assert labels == ["F", "F\n(0.5π,\n0.25π)", "H", "Rx\n(0.5π)", "Rz\n(-1π)"]
    spans = [sorted(line.get_ydata()) for line in axes.lines if len(set(line.get_ydata())) > 1]
    assert sorted(spans) == [[0, 2], [1, 3]]
    few = CIRCUIT.draw(plt.figure().subplots(), most_columns=2)
    assert few.get_title() == "first 2 of 4 columns"
    with pytest.raises(ValueError, match="`most_columns` must be at least 1"):
        CIRCUIT.draw(plt.figure().subplots(), most_columns=0)
