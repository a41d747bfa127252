import copy
import gzip
import json
import random

import cirq
import cirq_google
import numpy as np
import pytest

from quantum.circuits.circuit import Circuit
from quantum.engines import circuit_json
from quantum.engines.cirq_engine import read_json
from tests.exact.random_circuits import dense, equal_up_to_phase

A, B = cirq.GridQubit.rect(1, 2, 3, 4)
UNLIKE = [
    cirq.H(A), cirq.X(B) ** 0.3, cirq.rx(0.4)(A), cirq.ry(0.3)(B), cirq.rz(0.2)(A), cirq.T(B), cirq.Y(A), cirq.I(A),
    cirq.CNOT(A, B), cirq.CZ(B, A) ** 0.3, cirq.SWAP(A, B), cirq.ISWAP(A, B) ** 0.4, cirq.XX(A, B) ** 0.2,
    cirq.YY(A, B) ** 0.3, cirq.ZZ(A, B) ** 0.4, cirq.ms(0.3)(A, B), cirq.givens(0.2)(A, B), cirq.Z(B) ** 0.2,
    cirq.FSimGate(0.1, 0.2)(A, B), cirq.PhasedFSimGate(0.1, 0.2, 0.3, 0.4, 0.5)(A, B), cirq_google.SYC(A, B),
    cirq.PhasedXZGate(x_exponent=0.1, z_exponent=0.2, axis_phase_exponent=0.3)(B), cirq_google.WILLOW(A, B),
    cirq.PhasedXPowGate(phase_exponent=0.3)(A), cirq.MatrixGate(cirq.unitary(cirq.CZ**0.1))(A, B),
    cirq.X(A).with_tags("t", cirq.VirtualTag()), cirq.Z(A).with_tags(cirq_google.PhysicalZTag()),
    cirq.global_phase_operation(1j),
]  # fmt: skip
MEASURED = cirq.Circuit(cirq.H(A), cirq.FSimGate(0.1, 0.2)(A, B), cirq.Moment(cirq.measure(A)))
PLAIN = json.loads(cirq.to_json(MEASURED))


def test_every_gate_in_use_comes_over():
    circuit = cirq.Circuit(cirq.Moment(op) for op in UNLIKE)
    moments, measured, sites, _ = read_json(
        cirq.to_json(circuit + cirq.Moment(cirq.measure(B))), "x"
    )
    assert (len(moments), measured, sites) == (len(UNLIKE), 1, ((3, 4), (3, 5)))
    assert equal_up_to_phase(dense(Circuit(2, moments)), circuit.unitary([A, B], [A, B]), 1e-12)


def test_cirq_knows_every_type_of_the_list():
    missing = [
        kind
        for kind in circuit_json.TYPES
        if not any(resolve(kind) for resolve in cirq.DEFAULT_RESOLVERS)
    ]
    assert missing == []


def with_gate(gate):
    changed = copy.deepcopy(PLAIN)
    changed["moments"][0]["operations"][0]["gate"] = gate
    return json.dumps(changed)


@pytest.mark.parametrize(
    "gate",
    [
        {"cirq_type": "DepolarizingChannel", "p": 0.1},
        {"cirq_type": "BitFlipChannel", "p": 0.1},
        {"cirq_type": "HPowGate", "exponent": {"cirq_type": "sympy.Symbol", "name": "t"}},
        {"cirq_type": "CircuitOperation", "circuit": PLAIN, "repetitions": 3},
    ],
)  # fmt: skip
def test_a_type_outside_the_list_is_named_and_never_built(gate, monkeypatch):
    monkeypatch.setattr(cirq, "read_json", lambda *_, **__: pytest.fail("Cirq was asked"))
    name = "sympy.Symbol" if gate["cirq_type"] == "HPowGate" else gate["cirq_type"]
    with pytest.raises(
        ValueError, match=f"^`path` must hold circuits of known gates .*circuit_0 holds `{name}`"
    ):
        read_json(with_gate(gate), "circuit_0")


def test_cirqs_reader_is_given_the_listed_types_alone(monkeypatch):
    # Should the check ever miss one, Cirq does not know it either.
    monkeypatch.setattr(circuit_json, "checked", lambda text, source: json.loads(text))
    with pytest.raises(ValueError, match="Could not resolve type 'BitFlipChannel'"):
        read_json(with_gate({"cirq_type": "BitFlipChannel", "p": 0.1}), "x")


def test_a_second_entry_of_the_same_name_hides_nothing():
    text = '{"cirq_type": "Circuit", "moments": [{"cirq_type": "BitFlipChannel", "p": 0.1}], "moments": []}'
    with pytest.raises(ValueError, match="must hold a circuit and its measurement"):
        read_json(text, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (with_gate({"cirq_type": "HPowGate", "exponent": "0.5"}), "`exponent` of HPowGate, but x holds the text '0.5'"),
        (with_gate({"cirq_type": "Rz", "rads": ["1"]}), "a number as `rads` of Rz"),
        (with_gate({"p": 1}), "an object without `cirq_type`"),
        (with_gate({"cirq_type": ["Rz"]}), r"holds `\['Rz'\]`"),
        (with_gate({"cirq_type": "IdentityGate", "num_qubits": 10**9}), "1 to 1000 qubits at a time"),
        (with_gate({"cirq_type": "IdentityGate", "num_qubits": 1, "qid_shape": [3]}), "qubits of two levels"),
        (with_gate({"cirq_type": "HPowGate", "exponent": 10**30}), "up to 19 digits"),
        (with_gate({"cirq_type": "HPowGate", "exponent": float("nan")}), "finite numbers, but x holds NaN"),
        (with_gate({"cirq_type": "HPowGate", "exponent": 0.1}).replace("0.1", "1e999"), "finite numbers"),
        (with_gate({"cirq_type": "HPowGate", "exponent": 1, "no_such": 2}), "what Cirq can build"),
        (with_gate({"cirq_type": "HPowGate", "exponent": 1}).replace('"row": 3', '"row": 9999999'), "within 1000000"),
        (40 * '{"cirq_type": "Circuit", "moments": [' + 40 * "]}", "at most 32 deep"),
        (100_000 * "[", "at most 32 deep"),
        ("[" * 5 + "]" * 5, "must hold a circuit, but x holds none"),
        ('{"cirq_type": "_ContextualSerialization", "object_dag": 3}', "must hold a circuit"),
        ('{"cirq_type": "VAL"}', "must hold a circuit"),
    ],
    ids=lambda value: value[:30],
)  # fmt: skip
def test_what_is_out_of_bounds_is_one_line(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_json(text, "x")
    assert str(caught.value).startswith("`path` must")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_frozen_circuit_of_an_older_cirq_is_read():
    frozen = {**PLAIN, "cirq_type": "FrozenCircuit"}
    older = {
        "cirq_type": "_ContextualSerialization",
        "object_dag": [
            {"cirq_type": "_SerializedContext", "key": 140_123_456_789_012, "obj": frozen},
            {"cirq_type": "_SerializedKey", "key": 140_123_456_789_012},
        ],
    }
    assert read_json(json.dumps(older), "x") == read_json(json.dumps(PLAIN), "x")


def leaves(value, path=()):
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    yield path
    for key, entry in inner:
        yield from leaves(entry, (*path, key))


def refusal(text):
    try:
        read_json(text, "x")
    except ValueError as error:
        return str(error)
    return ""


def test_damage_anywhere_is_one_line_or_a_circuit():
    draw = random.Random(0)
    places = [path for path in leaves(PLAIN) if path]
    odd = [None, True, -1, 2.5, "text", [], [[]], {}, {"cirq_type": "complex"}, 10**18, PLAIN]
    refused = 0
    for _ in range(200):
        changed = copy.deepcopy(PLAIN)
        *way, last = draw.choice(places)
        inner = changed
        for key in way:
            inner = inner[key]
        inner[last] = copy.deepcopy(draw.choice(odd))
        said = refusal(json.dumps(changed))
        assert said.startswith("`") or not said
        refused += bool(said)
    assert 60 < refused < 200


def test_files_that_are_no_text_are_named(tmp_path, monkeypatch):
    file = tmp_path / "c.json.gz"
    whole = gzip.compress(b"{" * 5000 + bytes(5000))
    for content, message in (
        (whole[:20], "must be whole, but the gzip file"),
        (b'{"a": "\xff"}', "must hold UTF-8 text"),
        (b"", "does not begin like it"),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            circuit_json.read_text(file)
    monkeypatch.setattr(circuit_json, "LARGEST", 1000)
    file.write_bytes(whole)
    with pytest.raises(ValueError, match="MiB of text"):
        circuit_json.read_text(file)


def test_a_measurement_that_confuses_its_result_is_refused():
    confused = cirq.measure(A, confusion_map={(0,): np.array([[0.9, 0.1], [0.2, 0.8]])})
    text = cirq.to_json(cirq.Circuit(cirq.H(A), cirq.Moment(confused)))
    with pytest.raises(ValueError, match=r"confuses the result"):
        read_json(text, "x")


@pytest.mark.parametrize(("mask", "inverted"), [((), False), ((False,), False), ((True,), True)])
def test_a_mask_says_whether_the_result_is_inverted(mask, inverted):
    text = cirq.to_json(cirq.Circuit(cirq.H(A), cirq.Moment(cirq.measure(A, invert_mask=mask))))
    assert read_json(text, "x")[1:] == (0, ((A.row, A.col),), inverted)
