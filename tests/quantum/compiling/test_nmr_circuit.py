import numpy as np
import pytest
import scipy.stats

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, matrix_gate
from quantum.circuits.pauli import PauliString
from quantum.compiling.circuit_compiler import compile_circuit, count_gates, fuse
from quantum.compiling.nmr_circuit import circuit_echo, nearest_only, nmr_echo_circuit
from quantum.engines import dispatch
from quantum.nmr import average_hamiltonian, exact_echo
from quantum.spins.hamiltonian import make_hamiltonian
from tests.exact.random_circuits import unitary

TIME, ANGLE = 1e-3, 2.0  # s, rad


def drawn(n, seed=0):
    """Average Hamiltonian of made-up couplings, rad/s."""
    rng = np.random.default_rng(seed)
    table = np.triu(rng.normal(size=(n, n)) * 400, 1)
    return average_hamiltonian.reversible_hamiltonian(table + table.T)


def exact(hamiltonian, struck):
    return float(exact_echo.echo_by_sectors(hamiltonian, struck, ANGLE, np.array([TIME]))[0])


@pytest.mark.parametrize("layout", ["all", "nearest"])
@pytest.mark.parametrize("n_steps", [1, 2, 3])
def test_pruning_leaves_the_echo(layout, n_steps):
    hamiltonian = drawn(5) if layout == "all" else nearest_only(drawn(5))
    echoes = []
    for pruned in (False, True):
        circuit = nmr_echo_circuit(
            hamiltonian, (4,), ANGLE, TIME, n_steps, layout=layout, pruned=pruned
        )
        echoes.append(circuit_echo(circuit))
    assert echoes[0] == pytest.approx(echoes[1], abs=1e-12)


@pytest.mark.parametrize("layout", ["all", "nearest"])
def test_many_steps_are_the_exact_echo(layout):
    hamiltonian = nearest_only(drawn(4)) if layout == "nearest" else drawn(4)
    wanted = exact(hamiltonian, (2, 3))
    errors = [
        abs(
            circuit_echo(nmr_echo_circuit(hamiltonian, (2, 3), ANGLE, TIME, n, layout=layout))
            - wanted
        )
        for n in (60, 120)
    ]
    assert errors[1] < 2e-3
    assert errors[1] < 0.6 * errors[0]  # first order or better


@pytest.mark.parametrize(("order", "least", "most"), [(1, 0.8, 2.6), (2, 1.7, 2.4), (4, 3.4, 4.8)])
def test_the_error_falls_as_the_order_says(order, least, most):
    hamiltonian = drawn(4, 3)
    wanted = exact(hamiltonian, (3,))
    steps = np.array([17, 33, 65]) if order < 4 else np.array([9, 17, 33])
    errors = [
        abs(
            circuit_echo(nmr_echo_circuit(hamiltonian, (3,), ANGLE, TIME, int(n), order=order))
            - wanted
        )
        for n in steps
    ]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert least < slope < most


@pytest.mark.parametrize(("n", "same"), [(4, False), (5, True), (6, False), (7, True)])
def test_two_first_order_steps_are_one_of_second_order_for_odd_numbers_of_spins(n, same):
    first, second = (
        nmr_echo_circuit(drawn(n), (n - 1,), ANGLE, TIME, steps, order=order, pruned=False)
        for steps, order in ((2, 1), (1, 2))
    )
    assert (abs(circuit_echo(first) - circuit_echo(second)) < 1e-12) == same


def test_both_layouts_cost_what_is_said():
    n, n_steps = 6, 2
    hamiltonian = nearest_only(drawn(n))
    arguments = ((5,), ANGLE, TIME, n_steps)
    everyone = nmr_echo_circuit(hamiltonian, *arguments, pruned=False)
    assert everyone.n_two_qubit == 2 * n_steps * n * (n - 1) // 2
    still = nmr_echo_circuit(hamiltonian, *arguments, layout="nearest", pruned=False)
    assert still.n_two_qubit == 2 * n_steps * ((n - 1) * (n - 2) // 2 + 1)
    # After step 2 comes the coupling, and with a third step another: they are one gate.
    third = nmr_echo_circuit(hamiltonian, (5,), ANGLE, TIME, 3, layout="nearest", pruned=False)
    assert third.n_two_qubit - fuse(third).n_two_qubit >= 2


def test_fused_steps_of_fifteen_spins_take_630_cz_as_the_sheet_counts():
    # 3 N (N - 1) CZ for one first-order step there and back, unpruned and unfused: three a pair.
    circuit = nmr_echo_circuit(drawn(15), tuple(range(9, 15)), ANGLE, 4e-4, 1, pruned=False)
    pairs = [op for op in circuit.operations() if len(op.qubits) == 2]
    assert len(pairs) == 630 / 3
    # Every thirteenth stands for all: of early and late layers, there and back, of the probe and of two protons.
    some = [
        compile_circuit(Circuit(2, ((Operation(op.gate, (0, 1)),),)), "cz") for op in pairs[::13]
    ]
    assert [count_gates(c).two_qubit for c in some] == 17 * [3]


@pytest.mark.parametrize("engine", ["cirq", "qiskit", "jax"])
@pytest.mark.parametrize("native", ["fsim", "cz"])
def test_compiled_circuits_on_each_engine_give_the_echo_of_basis_states(engine, native):
    # Probe along +x, protons in a basis state: <X_p> averaged over the protons' states is C.
    hamiltonian = drawn(3, 1)
    circuit = compile_circuit(nmr_echo_circuit(hamiltonian, (2,), ANGLE, TIME, 2), native)
    found = []
    for state in range(4):
        flips = tuple(Operation(Gate("x"), (k + 1,)) for k in range(2) if state >> (1 - k) & 1)
        start = (Operation(Gate("h"), (0,)), *flips)
        prepared = Circuit(3, (start, *circuit.moments))
        found.append(
            dispatch.expectation(
                prepared, PauliString.on({0: "X"}), engine=engine, precision="double"
            )
        )
    wanted = circuit_echo(nmr_echo_circuit(hamiltonian, (2,), ANGLE, TIME, 2, pruned=False))
    assert np.mean(found) == pytest.approx(wanted, abs=1e-10)


def test_a_butterfly_that_does_nothing_leaves_one_and_no_gate():
    circuit = nmr_echo_circuit(drawn(4), (3,), 0.0, TIME, 2, pruned=False)
    assert circuit_echo(circuit) == pytest.approx(1, abs=1e-12)
    turned = matrix_gate(np.array([[1, 0], [0, -1]]))
    assert circuit_echo(Circuit(2, ((Operation(turned, (0,)),),))) == pytest.approx(-1)


@pytest.mark.parametrize("qubits", [(0, 1), (1, 0), (0, 2), (2, 1)])
def test_the_trace_is_that_of_the_matrix_for_any_qubits(qubits):
    matrix = scipy.stats.unitary_group.rvs(4, random_state=3)
    circuit = Circuit(3, ((Operation(matrix_gate(matrix), qubits),),))
    walk = unitary(circuit)
    x = np.kron([[0, 1], [1, 0]], np.eye(4))
    wanted = np.trace(x @ walk @ x @ walk.conj().T).real / 8
    assert circuit_echo(circuit) == pytest.approx(wanted, abs=1e-12)


def test_only_the_named_coupling_stays():
    kept = np.asarray(nearest_only(drawn(4)).couplings)
    assert kept[0, 1].any()
    assert not kept[0, 2:].any()
    np.testing.assert_array_equal(kept[1:, 1:], np.asarray(drawn(4).couplings)[1:, 1:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"struck": (0,)}, "`struck` must be"),
        ({"struck": ()}, "`struck` must be"),
        ({"struck": (7,)}, "`struck` must be"),
        ({"time": -1e-3}, "`times` must"),
        ({"n_steps": 0}, "`n_steps` must"),
        ({"layout": "ring"}, "`layout` must"),
        ({"layout": "nearest"}, "`hamiltonian` must couple the probe to spin 1 alone"),
        ({"layout": "nearest", "order": 2}, "`order` must be 1"),
    ],
)
def test_bad_input_is_named(changes, message):
    arguments = {"struck": (2,), "angle": 1.0, "time": 1e-3, "n_steps": 1} | changes
    with pytest.raises(ValueError, match=message):
        nmr_echo_circuit(drawn(4), **arguments)


def test_too_many_qubits_for_a_unitary_are_refused():
    with pytest.raises(ValueError, match="`circuit` must have at most 11 qubits"):
        circuit_echo(Circuit(12, ()))
    with pytest.raises(ValueError, match="`spin` must be"):
        nearest_only(make_hamiltonian(np.zeros((3, 3, 3, 3))), 3)
