"""The JAX engine against the plain reference, its derivatives against differences, and what it compiles to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quantum.circuits import gates, lattice, program
from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.pauli import PauliString, random_paulis
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes import otoc
from quantum.engines import dispatch, jax_engine, statevector

TOLERANCES = {"single": 1e-5, "double": 1e-10}


def messy(n_qubits: int, n_layers: int, seed: int) -> Circuit:
    """Circuits of one structure for all seeds: far pairs in both orders, all sorts of gates."""
    rng = np.random.default_rng(n_qubits)
    draw = np.random.default_rng(seed)
    moments = []
    for _ in range(n_layers):
        order = [int(q) for q in rng.permutation(n_qubits)]
        ones = tuple(Operation(gates.phased_x(*draw.uniform(-3, 3, 2)), (q,)) for q in order)
        pairs = list(zip(order[::2], order[1::2], strict=False))
        mess = draw.normal(size=(4, 4)) + 1j * draw.normal(size=(4, 4))
        twos = [Operation(gates.fsim(*draw.uniform(-3, 3, 2)), pair) for pair in pairs[1:]]
        twos += [Operation(gates.matrix_gate(np.linalg.qr(mess)[0]), pair) for pair in pairs[:1]]
        moments += [ones, tuple(twos)]
    return Circuit(n_qubits, tuple(moments))


# `test_exact_engines` has hundreds of circuits of three to six qubits in both precisions.
@pytest.mark.parametrize(
    ("n_qubits", "precision"), [(1, "double"), (2, "single"), (5, "double"), (5, "single")]
)
def test_states_and_values_are_those_of_the_reference(n_qubits, precision):
    several = [messy(n_qubits, 3, seed) for seed in range(25)]
    observables = random_paulis(n_qubits, 3, seed=n_qubits)
    found = dispatch.expectations(several, observables, engine="jax", precision=precision)
    expected = statevector.expectations(several, observables)
    assert np.abs(found - expected).max() < TOLERANCES[precision]
    for circuit in several[:4]:
        state = dispatch.state(circuit, engine="jax", precision=precision)
        assert state.dtype == {"single": np.complex64, "double": np.complex128}[precision]
        assert np.abs(state - statevector.run(circuit)).max() < TOLERANCES[precision]


def test_double_precision_is_double_where_jax_is_set_to_single():
    circuit = messy(4, 4, 0)
    with jax.enable_x64(False):
        state = jax_engine.state(circuit, "double")
        assert not jax.config.jax_enable_x64
    assert np.abs(state - statevector.run(circuit)).max() < 1e-13


@pytest.mark.parametrize("prune", [True, False])
def test_echoes_with_insertions_are_those_of_the_reference(prune):
    grid = lattice.rectangle(2, 3)
    echo = otoc.Echo(random_circuit(grid, 4, seed=1), 0, (4,), cut=4)
    echoes = [otoc.echo_circuit(echo, random_paulis(6, 2, seed=s), prune=prune) for s in range(4)]
    found = jax_engine.expectations(echoes, [echo.observable], "double")
    assert np.abs(found - statevector.expectations(echoes, [echo.observable])).max() < 1e-12


def test_empty_circuit_leaves_the_register_alone():
    np.testing.assert_array_equal(jax_engine.state(Circuit(2)), [1, 0, 0, 0])
    values = jax_engine.expectations([Circuit(2)], [PauliString(), PauliString.parse("IZ")])
    np.testing.assert_array_equal(values, [[1, 1]])


def test_derivative_of_every_angle_is_that_of_differences():
    circuit = random_circuit(lattice.rectangle(2, 2), 3, seed=0)
    operations = list(circuit.operations())
    observable = PauliString.parse("ZYIX")
    for name in ("fsim", "phased_x"):
        chosen = [k for k, op in enumerate(operations) if op.gate.name == name][:5]
        value, angles = jax_engine.expectation_of_angles(circuit, observable, chosen)
        value = jax.jit(value)
        expected = statevector.expectation(statevector.run(circuit), observable)
        assert abs(value(angles) - expected) < 1e-13
        slope = jax.jit(jax.grad(value))(angles)
        step = 1e-4  # truncation step^2 / 6, rounding 1e-16 / step
        for place in np.ndindex(angles.shape):
            shift = np.zeros_like(angles)
            shift[place] = step
            high, low = (value(angles + sign * shift) for sign in (1, -1))
            assert abs(slope[place] - (high - low) / (2 * step)) < 1e-8


def test_backward_pass_without_stored_states_is_that_of_the_stored_ones():
    structure, matrices = program.make_program(messy(4, 2, 0), 3)
    matrices, start = jnp.asarray(matrices), jax_engine.zero_state(4, jnp.complex128)
    weights = jnp.asarray(np.random.default_rng(0).normal(size=16))

    def loss(run, matrices, state):
        return jnp.sum(weights * jnp.abs(run(structure, matrices, state) + 0.1) ** 2)

    def plainly(structure, matrices, state):
        for step, which in enumerate(structure.order):
            layer = structure.layers[which]
            state = jax_engine._apply_layer(structure, layer, state, matrices[step], step)
        return state

    ours, plain = (
        jax.jit(jax.grad(loss, argnums=(1, 2)), static_argnums=0)(run, matrices, start)
        for run in (jax_engine.evolve, plainly)
    )
    for a, b in zip(ours, plain, strict=True):
        assert jnp.abs(a).max() > 0.1
        assert jnp.abs(a - b).max() < 1e-12


def test_backward_pass_keeps_no_states():
    """Kept states would be one for each of the steps."""
    chain = random_circuit(lattice.rectangle(1, 11), 24, seed=0, order="AB")
    structure, matrices = program.make_program(chain)
    start = jax_engine.zero_state(11)

    def loss(matrices):
        return jnp.real(jax_engine.evolve(structure, matrices, start)[0])

    matrices = jnp.asarray(matrices, jnp.complex64)
    analysis = jax.jit(jax.grad(loss)).lower(matrices).compile().memory_analysis()
    states = (analysis.temp_size_in_bytes - matrices.nbytes) / start.nbytes
    assert states < 12  # 24 steps


def test_memory_is_three_states_and_the_program_does_not_grow_with_depth():
    grid = lattice.rectangle(3, 4)
    sizes = []
    for n_cycles in (4, 16):
        there = random_circuit(grid, n_cycles, seed=0)
        circuit = otoc.echo_circuit(otoc.Echo(there, 0, (7,)), prune=False)
        structure, matrices = program.make_program(circuit)
        lowered = jax_engine.measure.lower(
            structure, jnp.asarray(matrices, jnp.complex64), PauliString.on({0: "Z"})
        )
        sizes.append(lowered.as_text().count("\n"))
    assert sizes[1] == sizes[0]
    states = lowered.compile().memory_analysis().temp_size_in_bytes / (8 * 2**12)
    assert states < 3.2  # and the matrices of one layer


def test_second_circuit_of_a_structure_is_not_traced_again():
    first, second = messy(3, 3, 0), messy(3, 3, 1)
    jax_engine.state(first)
    traced = jax_engine._final._cache_size()
    jax_engine.state(second)
    assert jax_engine._final._cache_size() == traced


def test_bad_input_is_named():
    circuit = messy(2, 1, 0)
    with pytest.raises(ValueError, match="`precision` must be one of single, double"):
        jax_engine.state(circuit, "half")
    with pytest.raises(ValueError, match="`gates` must all be phased_x or all be fsim"):
        jax_engine.expectation_of_angles(circuit, PauliString.parse("ZI"), [0, 2])
