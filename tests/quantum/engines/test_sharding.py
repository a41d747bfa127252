"""States over eight forced host devices: the state, what each device sends and what it holds."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import iswap_like, phased_x
from quantum.circuits.lattice import rectangle
from quantum.circuits.random_circuits import random_circuit
from quantum.engines.sharding import bytes_sent, lower_sharded, sharded_state

N_QUBITS = 12
SHARE = 8 * 2**N_QUBITS // 8  # bytes of a device, single precision
# Qubits 0, 1 and 2 are global.
PAIRS = {
    "local": (8, 9), "first_local": (4, 3), "one_global": (3, 2), "far": (0, 11), "two_global": (0, 1), "outer": (2, 0)
}  # fmt: skip

# Devices are forced before JAX starts, so all of it runs in one process of its own.
SCRIPT = """
import json, sys
import jax, numpy as np
from quantum.circuits import circuit, gates
from quantum.circuits.pauli import PauliString
from quantum.engines import jax_engine, sharding, statevector
from tests.exact.random_circuits import random_mixture

n_qubits, pairs = json.loads(sys.argv[1])
found = {"devices": len(jax.devices()), "programs": {}, "errors": {}, "values": [], "value_programs": []}
for name, pair in pairs.items():
    one = circuit.Circuit(n_qubits, ((circuit.Operation(gates.fsim(0.3, 0.2), tuple(pair)),),))
    compiled = sharding.lower_sharded(one, jax.devices()).compile()
    memory = compiled.memory_analysis()
    found["programs"][name] = compiled.as_text(), memory.temp_size_in_bytes + memory.output_size_in_bytes
for precision, n in (("double", 5), ("single", 7)):
    mixture = random_mixture(n, 8, n)
    state = sharding.sharded_state(mixture, jax.devices(), precision)
    shapes = {shard.data.shape for shard in state.addressable_shards}
    assert len(state.addressable_shards) == 8 and shapes == {(2**n // 8,)}, shapes
    found["errors"][precision] = float(np.abs(np.asarray(state) - statevector.run(mixture)).max())
single = state
for text in ("ZIIIIIZ", "XIZIIII", "IIIIYII"):
    string = PauliString.parse(text)
    value = jax.jit(lambda state: jax_engine.expectation(state, string))
    found["value_programs"].append(value.lower(single).compile().as_text())
    exact = statevector.expectation(statevector.run(mixture), string)
    found["values"].append((float(value(single)), exact))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": "",  # what is read from a cache has no text
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([N_QUBITS, PAIRS])],
        env=environment,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def collectives(text):
    """Kind and bytes of the result of every instruction through which devices speak to each other."""
    kinds = "all-gather|all-reduce|all-to-all|collective-permute|collective-broadcast|reduce-scatter|send|recv"
    sizes = {"c64": 8, "c128": 16, "f32": 4, "f64": 8}
    result = []
    for shapes, kind in re.findall(rf"= (.+?) ((?:{kinds})[\w-]*)\(", text):
        total = 0
        for dtype, axes in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
            amount = sizes[dtype]
            for axis in filter(None, axes.split(",")):
                amount *= int(axis)
            total += amount
        result.append((kind, total))
    return result


def one_gate(pair):
    return Circuit(N_QUBITS, ((Operation(iswap_like(), pair),),))


def test_the_state_over_eight_devices_is_the_state(found):
    assert found["devices"] == 8
    assert found["errors"]["single"] < 1e-6
    assert found["errors"]["double"] < 1e-14


@pytest.mark.parametrize("name", ["local", "first_local"])
def test_gates_on_local_qubits_send_nothing(found, name):
    assert collectives(found["programs"][name][0]) == []
    assert bytes_sent(one_gate(PAIRS[name]), 8) == 0


@pytest.mark.parametrize(
    ("name", "n_global"), [("one_global", 1), ("far", 1), ("two_global", 2), ("outer", 2)]
)
def test_a_global_qubit_of_a_gate_costs_each_device_its_share(found, name, n_global):
    spoken = collectives(found["programs"][name][0])
    # There and back; of what comes out of an exchange of two, half was here before and half was sent.
    assert {kind for kind, _ in spoken} == {"all-to-all"}
    assert [size for _, size in spoken] == [SHARE] * (2 * n_global)
    sent = sum(size for _, size in spoken) // 2
    assert sent == n_global * SHARE == bytes_sent(one_gate(PAIRS[name]), 8)


def test_no_device_holds_more_than_three_shares(found):
    for name, (text, held) in found["programs"].items():
        assert held < 3.2 * SHARE, name  # and the matrices of a layer
        assert f"c64[{2**N_QUBITS}]" not in text


def test_expectation_values_send_numbers_and_at_most_the_share_once(found):
    for (value, exact), text in zip(found["values"], found["value_programs"], strict=True):
        assert value == pytest.approx(exact, abs=1e-6)
        spoken = collectives(text)
        assert {kind for kind, _ in spoken} <= {"all-reduce", "collective-permute"}
        assert all(size <= 8 for kind, size in spoken if kind == "all-reduce")
        assert sum(size for _, size in spoken) < 8 * 2**7 / 8 + 64
    # Z and Y of local or global qubits stay where they are; X of a global one meets its partner.
    assert ["collective-permute" in text for text in found["value_programs"]] == [0, 1, 0]


def test_bytes_add_up_over_a_circuit():
    chain = random_circuit(rectangle(1, 8), 6, seed=0, order="AB")
    # A: (0,1) (2,3) (4,5) (6,7) with 3 global qubits, B: (1,2) (3,4) (5,6) with 2; three times each.
    share = 8 * 2**8 // 8
    assert bytes_sent(chain, 8) == (3 + 2) * 3 * share
    assert bytes_sent(chain, 8, "double") == 2 * bytes_sent(chain, 8)
    # With two devices 1 is local: qubit 0 alone is spoken of, in A.
    assert bytes_sent(chain, 2) == 3 * 8 * 2**8 // 2
    assert bytes_sent(chain, 1) == 0


@pytest.mark.parametrize(("precision", "kind"), [("single", "c64"), ("double", "c128")])
def test_one_device_needs_no_exchange_in_either_precision(precision, kind):
    circuit = Circuit(
        2, ((Operation(phased_x(0.4, 0.3), (0,)),), (Operation(iswap_like(), (1, 0)),))
    )
    here = jax.devices()[:1]
    state = sharded_state(circuit, here, precision)
    assert (state.shape, state.dtype.itemsize) == ((4,), int(kind[1:]) // 8)
    text = lower_sharded(circuit, here, precision).compile().as_text()
    assert collectives(text) == []
    assert set(re.findall(r"\bc\d+(?=\[4\])", text)) == {kind}


@pytest.mark.parametrize("n_devices", [0, 3, 8])
def test_devices_that_do_not_fit_are_named(n_devices):
    devices = jax.devices()[:1] * n_devices
    with pytest.raises(
        ValueError, match=f"power of two of at most 4 for 4 qubits, but are {n_devices}"
    ):
        sharded_state(Circuit(4), devices)
    with pytest.raises(ValueError, match="`devices` must be a power of two"):
        bytes_sent(Circuit(4), n_devices)
    with pytest.raises(ValueError, match="`devices` must be a power of two"):
        lower_sharded(Circuit(4), devices)
