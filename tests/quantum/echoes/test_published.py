import dataclasses
import gzip

import cirq
import cirq_google
import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import iswap_like
from quantum.circuits.lattice import Lattice, rectangle
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes import published
from quantum.echoes.interference import draw_insertions, exact_diagonal
from quantum.echoes.otoc import Echo, correlator, echo_circuit
from quantum.echoes.otoc_batch import correlators
from quantum.engines.cirq_engine import to_cirq

# An odd corner of the chip, so that numbers and places cannot be mixed up.
LATTICE = Lattice(((6, 8), (6, 9), (7, 7), (7, 8), (7, 9)))
DEPTH = 3
MIXED = Lattice(((0, 0), (0, 1), (1, 5), (2, 5), (3, 5)))
ECHO = Echo(random_circuit(LATTICE, DEPTH, seed=5), measured=4, butterflies=(0, 2))


def qubits():
    return [cirq.GridQubit(*site) for site in LATTICE.sites]


def published_text(echo=ECHO):
    """The record's format: literal echo, then the measurement of q_m."""
    circuit = to_cirq(echo_circuit(echo, prune=False), qubits())
    return cirq.to_json(circuit + cirq.Moment(cirq.measure(qubits()[echo.measured], key="m")))


def write(tmp_path, text, folder=f"circuits_{DEPTH}"):
    file = tmp_path / folder / "circuit_0.pkl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


@pytest.mark.parametrize("order", [1, 2])
def test_a_file_gives_back_the_echo_it_was_written_from(tmp_path, order):
    echo = Echo(ECHO.unitary, ECHO.measured, ECHO.butterflies, order)
    read = published.read_circuit(write(tmp_path, published_text(echo)), order=order)
    assert (read.measured, read.butterflies, read.order) == (4, (0, 2), order)
    for ours, theirs in zip(read.unitary.operations(), echo.unitary.operations(), strict=True):
        assert ours.qubits == theirs.qubits
        np.testing.assert_allclose(ours.gate.matrix(), theirs.gate.matrix(), atol=1e-14)


def test_an_inverted_measurement_turns_the_sign_of_every_value(tmp_path):
    plain = published_text()
    circuit = cirq.read_json(json_text=plain)
    q = qubits()[ECHO.measured]
    circuit[-1] = cirq.Moment(cirq.measure(q, key="m", invert_mask=(True,)))
    file = write(tmp_path / "inverted", cirq.to_json(circuit))
    echo = published.read_circuit(file, cut_shift=0)
    value = correlator(published.read_circuit(write(tmp_path, plain)))
    assert abs(value) > 0.2
    np.testing.assert_allclose(correlator(echo), -value, atol=1e-6)
    bits = cirq.Simulator(seed=1).run(circuit, repetitions=2000).measurements["m"]
    np.testing.assert_allclose(correlator(echo), np.mean(1 - 2.0 * bits), atol=5 / 2000**0.5)
    # Strings one by one, and as a batch; the exact mean over them.
    some = draw_insertions(echo, 3, seed=0)
    upright = dataclasses.replace(echo, inverted=False)
    for engine in ("reference", "cirq"):
        np.testing.assert_allclose(
            correlators([echo], some, engine=engine),
            -correlators([upright], some, engine="reference"),
            atol=1e-5,
        )
    assert exact_diagonal(echo) == -exact_diagonal(upright) != 0


def test_the_layout_of_a_file_is_its_places_on_the_chip(tmp_path):
    layout = published.read_layout(write(tmp_path, published_text()))
    assert layout.lattice == LATTICE
    assert layout.lattice.sites[layout.measured] == (7, 9)
    assert layout.n_cycles == DEPTH
    first = dataclasses.replace(ECHO, order=1)
    elsewhere = write(tmp_path, published_text(first), folder="elsewhere")
    assert published.read_layout(elsewhere, depth=DEPTH, order=1) == layout


def test_the_order_of_the_coupler_groups_is_read_off():
    unitary = random_circuit(LATTICE, 4, seed=0, order="BDCA")
    assert published.coupler_order(unitary, LATTICE) == "BDCA"
    block = rectangle(3, 3)
    aligned = random_circuit(block, 4, seed=0, order="ADBC", aligned=True)
    assert published.coupler_order(aligned, block, aligned=True) == "ADBC"
    assert published.coupler_order(aligned, block) == "????"
    # A horizontal and a vertical coupler in one moment belong to no group.
    mixed = Circuit(5, ((Operation(iswap_like(), (0, 1)), Operation(iswap_like(), (2, 3))),) * 2)
    assert published.coupler_order(mixed, MIXED) == "??"


def test_the_willow_gate_and_cirqs_own_spelling_are_understood(tmp_path):
    a, b = cirq.GridQubit.rect(1, 2, 3, 4)
    forth = [
        cirq.Moment(cirq.PhasedXPowGate(exponent=0.25, phase_exponent=0.1)(a), cirq.Y(b) ** 0.5),
        cirq.Moment(cirq_google.WILLOW(a, b)),
    ]
    back = [cirq.inverse(moment) for moment in reversed(forth)]
    loop = [*forth, cirq.Moment(cirq.X(b)), *back]
    circuit = cirq.Circuit(loop, cirq.Moment(cirq.Z(a)), loop, cirq.Moment(cirq.measure(a)))
    read = published.read_circuit(write(tmp_path, cirq.to_json(circuit)), depth=1)
    names = [op.gate.name for op in read.unitary.operations()]
    assert names == ["phased_x", "phased_x", "fsim"]
    assert (read.measured, read.butterflies) == (0, (1,))


def test_the_cut_is_set_by_moments(tmp_path):
    file = write(tmp_path, published_text())
    assert published.read_circuit(file).cut is None
    assert published.read_circuit(file, cut_shift=2).cut == DEPTH // 2 + 2


def test_files_are_found_in_the_folder_of_the_environment(tmp_path, monkeypatch):
    write(tmp_path, published_text())
    monkeypatch.setenv("LIGHTECHO_DATA", str(tmp_path))
    assert published.read_circuit(f"circuits_{DEPTH}/circuit_0.pkl").measured == 4


def test_an_absent_file_says_where_to_get_the_record(monkeypatch):
    monkeypatch.delenv("LIGHTECHO_DATA", raising=False)
    with pytest.raises(
        ValueError, match=r"^`name` must .*10\.5281/zenodo\.15640503.*LIGHTECHO_DATA"
    ):
        published.read_circuit("no_such_circuit.pkl")


def test_a_file_cut_short_is_named(tmp_path):
    text = published_text()
    with pytest.raises(ValueError, match=r"`path` must be whole, but .*circuit_0.pkl breaks off"):
        published.read_circuit(write(tmp_path, text[: len(text) // 2]))


def test_a_pickle_is_refused_unopened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was opened",))

    import pickle

    with pytest.raises(ValueError, match="is a Python pickle"):
        published.read_circuit(write(tmp_path, pickle.dumps(Trap())))


def test_a_gate_of_three_qubits_is_named(tmp_path):
    a, b, c = cirq.GridQubit.rect(1, 3)
    circuit = cirq.Circuit(cirq.CCX(a, b, c), cirq.measure(a))
    with pytest.raises(ValueError, match="one or two qubits, but moment 0 holds TOFFOLI"):
        published.read_circuit(write(tmp_path, cirq.to_json(circuit)))


@pytest.mark.parametrize(
    "written",
    [
        gzip.compress,
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: b"[" + text + b"]",
        lambda text: cirq.to_json(cirq.read_json(json_text=text.decode()).freeze()).encode(),
        lambda text: gzip.compress(b"\n[" + text + b"]"),
    ],
    ids=["gzip", "byte order mark", "list of one", "frozen", "list in gzip"],
)
def test_a_file_is_read_however_it_was_written(tmp_path, written):
    text = published_text().encode()
    plain = published.read_circuit(write(tmp_path / "plain", text))
    assert published.read_circuit(write(tmp_path, written(text))) == plain


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda: cirq.to_json(cirq.X), {}, "must hold a circuit"),
        (lambda: "1, 2", {}, "does not begin like it"),
        (lambda: "[{}, {}]", {}, "a list of 2"),
        (published_text, {"depth": 2}, "one kind of Pauli matrix after U"),
        (published_text, {"depth": 99}, "198 moments of U and the butterflies"),
        (published_text, {"order": 1}, "moments of an echo of order 1"),
        (lambda: cirq.to_json(to_cirq(ECHO.unitary, qubits())), {}, "end with the measurement"),
    ],
)
def test_what_is_not_such_an_echo_is_named(tmp_path, make, options, message):
    with pytest.raises(ValueError, match=message):
        published.read_circuit(write(tmp_path, make()), **options)


def test_a_way_back_that_is_not_the_inverse_is_found(tmp_path):
    circuit = cirq.read_json(json_text=published_text())
    circuit[2 * DEPTH + 1], circuit[2 * DEPTH + 3] = circuit[2 * DEPTH + 3], circuit[2 * DEPTH + 1]
    file = write(tmp_path, cirq.to_json(circuit))
    with pytest.raises(ValueError, match=f"moment {2 * DEPTH + 1} of"):
        published.read_circuit(file)
    assert published.read_circuit(file, check=False).butterflies == (0, 2)


def test_the_depth_must_come_from_somewhere(tmp_path):
    with pytest.raises(ValueError, match="`depth` must be given"):
        published.read_circuit(write(tmp_path, published_text(), folder="elsewhere"))


def test_values_are_parsed_and_never_run(tmp_path):
    file = tmp_path / "run.py"
    file.write_text(
        "import numpy as np\nraise SystemExit('this file was run')\n"
        "simulated_data = {14: [-0.02, 0.5e-1], 16: [1, 2, 3]}\n"
        "otoc2_subtracted_precomputed = np.array([[1.0, -2.0], [3.0, 4.0]])\n"
        "other = open('x')\n"
    )
    values = published.read_values(file)
    assert set(values) == {"simulated_data", "otoc2_subtracted_precomputed"}
    np.testing.assert_array_equal(values["simulated_data"][14], [-0.02, 0.05])
    np.testing.assert_array_equal(values["otoc2_subtracted_precomputed"], [[1, -2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("simulated_data = load('x')\n", "literal to simulated_data, but .* line 1 holds"),
        ("simulated_data = [1, 2\n", "cannot be parsed"),
        ("simulated_data = " + 60 * "[" + "\n", "cannot be parsed"),
        ("simulated_data = np.array()\n", "literal to simulated_data"),
        ("something = 1\n", "must assign one of simulated_data"),
    ],
)
def test_values_that_are_no_literals_are_named(tmp_path, text, message):
    file = tmp_path / "run.py"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        published.read_values(file)
