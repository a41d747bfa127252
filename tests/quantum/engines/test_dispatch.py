import sys

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation, light_cone
from quantum.circuits.gates import Gate, iswap_like, phased_x
from quantum.circuits.lattice import willow
from quantum.circuits.pauli import PauliString, random_paulis
from quantum.circuits.random_circuits import random_circuit
from quantum.engines import dispatch, memory, statevector
from tests.exact.random_circuits import dense, random_mixture

# The simulators in each precision; the engine of JAX has its own tests, since it compiles every new circuit.
TOLERANCES = {"single": 1e-5, "double": 1e-10}


@pytest.fixture(scope="module")
def mixtures():
    """64 circuits of 1 to 8 qubits with every gate, three strings each, and the values by dense matrices.

    `test_exact_engines` has hundreds; here are those of many shapes, and states.
    """
    cases = []
    for seed in range(64):
        circuit = random_mixture(1 + seed % 8, 8, seed)
        strings = random_paulis(circuit.n_qubits, 3, seed=seed)
        psi = dense(circuit)[:, 0] if circuit.n_qubits < 6 else statevector.run(circuit)
        cases.append((circuit, strings, psi))
    return cases


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("engine", ["reference", "cirq", "qiskit", "auto"])
def test_every_engine_gives_the_state_and_values_of_the_definition(engine, precision, mixtures):
    # Up to 14 qubits `auto` is the reference.
    for circuit, strings, psi in mixtures[:: 4 if engine == "auto" else 1]:
        wanted = [statevector.expectation(psi, string) for string in strings]
        found = dispatch.expectations([circuit], strings, engine=engine, precision=precision)
        np.testing.assert_allclose(found[0], wanted, rtol=0, atol=TOLERANCES[precision])
    for circuit, _, psi in mixtures[:24]:
        state = dispatch.state(circuit, engine=engine, precision=precision)
        np.testing.assert_allclose(state, psi, rtol=0, atol=TOLERANCES[precision])


@pytest.mark.parametrize("engine", ["cirq", "qiskit"])
def test_a_batch_is_its_circuits_one_by_one(engine):
    circuits = [random_mixture(5, depth, depth) for depth in (1, 4, 2)]
    strings = [PauliString.parse("XIZYI"), PauliString()]
    together = dispatch.expectations(circuits, strings, engine=engine)
    for row, circuit in zip(together, circuits, strict=True):
        alone = [dispatch.expectation(circuit, string, engine=engine) for string in strings]
        np.testing.assert_allclose(row, alone, atol=1e-6)


@pytest.mark.parametrize("engine", ["reference", "cirq", "qiskit"])
def test_a_corner_of_the_whole_chip_costs_its_cone(engine):
    lattice = willow()
    watched = PauliString.on({lattice.qubit((6, 0)): "Z", 104: "Z"})  # two ends far apart
    circuit = light_cone(random_circuit(lattice, 2, seed=1), watched.qubits)
    ends = [
        dispatch.expectation(
            light_cone(circuit, string.qubits), string, engine="reference", precision="double"
        )
        for string in (PauliString.on({q: "Z"}) for q in watched.qubits)
    ]
    # No light cone joins them, so the value is a product.
    found = dispatch.expectation(circuit, watched, engine=engine, precision="double")
    assert found == pytest.approx(np.prod(ends), abs=1e-12)
    assert 0.01 < abs(found) < 1


def test_an_observable_on_idle_qubits_is_what_zero_gives():
    circuit = Circuit(40, ((Operation(Gate("x"), (3,)),),))
    strings = [PauliString.on({q: p}) for q, p in ((3, "Z"), (30, "Z"), (30, "X"))]
    found = dispatch.expectations([circuit, Circuit(40)], strings)
    np.testing.assert_allclose(found, [[-1, 1, 0], [1, 1, 0]], atol=1e-7)


def test_the_norm_does_not_drift_with_depth_in_single_precision():
    # 3000 gates rounded to single precision; without dividing by the norm qsim misses by about 1e-4.
    layer = tuple(Operation(phased_x(0.3 + q, q), (q,)) for q in range(4))
    couplers = (Operation(iswap_like(), (0, 1)), Operation(iswap_like(), (2, 3)))
    circuit = Circuit(4, (layer, couplers) * 250)
    forth_and_back = circuit + circuit.inverse()
    for engine in ("cirq", "qiskit"):
        found = dispatch.expectation(forth_and_back, PauliString.parse("IZII"), engine=engine)
        assert found == pytest.approx(1, abs=2e-5)


def test_auto_takes_the_small_ones_home():
    assert dispatch.choose(8, "single") == "reference"
    assert dispatch.choose(14, "double") == "reference"
    assert dispatch.choose(18, "single") == "cirq"
    assert dispatch.choose(18, "double") == "qiskit"


def test_more_qubits_than_memory_says_what_is_needed_what_is_there_and_what_fits(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * 10**9)
    ladder = tuple((Operation(iswap_like(), (q, q + 1)),) for q in range(69))
    message = (
        r"^`n_qubits` must .* one state of 70 qubits .* 9\.44e\+06 PB and 2 GB .* at most 27 qubits"
    )
    with pytest.raises(ValueError, match=message):
        dispatch.expectation(Circuit(70, ladder), PauliString.on({0: "Z"}), engine="cirq")
    with pytest.raises(ValueError, match="`n_qubits` must leave room"):
        dispatch.state(Circuit(36))


@pytest.mark.parametrize("engine", ["density_matrix", "pauli_propagation"])
def test_engines_without_a_state_say_so(engine):
    with pytest.raises(ValueError, match=f"keeps a state vector, but {engine} keeps none"):
        dispatch.state(Circuit(2), engine=engine)


def test_pauli_propagation_goes_beyond_any_state():
    # 70 qubits, of which two are in the cone of the observable.
    ladder = tuple((Operation(iswap_like(), (q, q + 1)),) for q in range(69))
    turned = (tuple(Operation(phased_x(0.4, 0.2), (q,)) for q in range(70)),)
    watched = PauliString.on({0: "Z"})
    found = dispatch.expectation(Circuit(70, turned + ladder), watched, engine="pauli_propagation")
    small = dispatch.expectation(
        Circuit(3, (turned[0][:3], *ladder[:2])), watched, engine="reference", precision="double"
    )
    assert found == pytest.approx(small, abs=1e-12)


def test_an_engine_whose_package_is_missing_names_the_package(monkeypatch):
    monkeypatch.delitem(sys.modules, "quantum.engines.qiskit_engine", raising=False)
    monkeypatch.setitem(sys.modules, "qiskit_aer", None)
    with pytest.raises(ValueError, match=r"`qiskit` lacks the package `qiskit-aer`; `pip install"):
        dispatch.expectation(Circuit(2), PauliString.on({0: "Z"}), engine="qiskit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "qutip"}, "`engine` must be one of auto, reference, cirq, .* but is 'qutip'"),
        ({"observable": PauliString.on({2: "Z"})}, "qubits 0 to 1, but one acts on 2"),
    ],
)
def test_what_cannot_be_asked_is_named(options, message):
    settings = {"observable": PauliString.on({0: "Z"}), **options}
    with pytest.raises(ValueError, match=message):
        dispatch.expectation(Circuit(2), **settings)
