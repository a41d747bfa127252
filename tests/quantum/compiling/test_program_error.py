"""Tests of the echo of a program: against dense matrices, the exact echo, and finite differences."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from jax.test_util import check_grads

from quantum.compiling.echo_program import decomposed, first_order
from quantum.compiling.program_error import (
    echo_of_program,
    echoes,
    error,
    gate_arrays,
    make_task,
    mean_gates,
    parameters,
    task_arrays,
    with_parameters,
)
from quantum.compiling.program_gates import program_circuit
from quantum.nmr.average_hamiltonian import reversible_hamiltonian
from quantum.nmr.strike import butterfly
from quantum.spins.dipolar import TOLUENE_SAUPE, molecule_couplings
from quantum.spins.hamiltonian import make_hamiltonian, spin_product
from quantum.spins.molecule import toluene

KEEP = (0, 1, 2, 6, 7)
STRUCK = (3, 4)
TIMES = (0.375e-3, 0.75e-3)


@pytest.fixture(scope="module", params=["tardis-1", "tardis-2"])
def task(request):
    table = np.asarray(molecule_couplings(toluene(), TOLUENE_SAUPE))[np.ix_(KEEP, KEEP)]
    both = [reversible_hamiltonian(scale * table, variant=request.param) for scale in (1, 0.8)]
    return make_task(both, STRUCK, 2.5, TIMES)


def programs(task):
    plain = first_order(5, STRUCK, 2)
    couplings = np.asarray(task.hamiltonians[0].couplings)
    staggered = decomposed(plain, couplings, shares=(2, 1, 0.5))
    staggered = with_parameters(
        replace(staggered, symmetric_from=1, pruned=True),
        (0.2, -0.1, 0.05, 0.02),
        np.linspace(-0.1, 0.1, 2 * len(staggered.classes)).reshape(-1, 2),
    )
    return plain, staggered


def dense_echo(program, hamiltonian, time):
    circuit = program_circuit(program, hamiltonian, time)
    evolution = np.eye(32, dtype=complex)
    for operation in circuit.operations():
        rest = [k for k in range(5) if k not in operation.qubits]
        whole = np.kron(operation.gate.matrix(), np.eye(8)).reshape(10 * (2,))
        order = np.argsort([*operation.qubits, *rest])
        evolution = whole.transpose([*order, *(order + 5)]).reshape(32, 32) @ evolution
    strike = np.kron(np.eye(2), np.asarray(butterfly(4, [k - 1 for k in STRUCK], 2.5)))
    loop = evolution.conj().T @ strike @ evolution
    probe = spin_product(5, {0: 0})
    return np.trace(probe @ loop @ probe @ loop.conj().T).real / np.trace(probe @ probe).real


def test_echo_is_that_of_the_circuit_in_dense_matrices(task):
    for program in programs(task):
        expected = [[dense_echo(program, h, t) for t in TIMES] for h in task.hamiltonians]
        assert np.abs(np.asarray(echo_of_program(program, task)) - expected).max() < 1e-10


def test_echo_holds_for_any_tensors_that_keep_parity():
    """Drawn at random, so that no symmetry of the echo hides a sign or an order."""
    rng = np.random.default_rng(4)
    tensors = np.zeros((5, 5, 3, 3))
    for i in range(5):
        for j in range(i):
            tensors[j, i, 2, 2] = rng.normal(0, 3000)
            if j > 0:
                tensors[j, i, :2, :2] = rng.normal(0, 3000, (2, 2))
            tensors[i, j] = tensors[j, i].T
    one = make_task([make_hamiltonian(tensors)], STRUCK, 2.5, TIMES[:1])
    program = first_order(5, STRUCK, 2)
    found = echo_of_program(program, one)[0, 0]
    assert found == pytest.approx(dense_echo(program, one.hamiltonians[0], TIMES[0]), abs=1e-10)


def test_error_is_relative_to_the_rms_of_the_echo(task):
    program = first_order(5, STRUCK)
    missed = np.asarray(echo_of_program(program, task)) - task.exact
    expected = [
        np.linalg.norm(m) / np.linalg.norm(e) for m, e in zip(missed, task.exact, strict=True)
    ]
    assert np.allclose(error(program, task), expected, rtol=1e-12)


def test_error_vanishes_for_many_steps(task):
    coarse, fine = (error(first_order(5, STRUCK, n, order=2), task) for n in (6, 12))
    assert fine.max() < 0.02
    assert np.all(fine < coarse / 3)  # second order: 4


def test_any_spin_may_be_the_probe(task):
    # The same molecules with the probe in the third place: the program comes as near to the exact echo.
    moved = [h.of((1, 2, 0, 3, 4)) for h in task.hamiltonians]
    other = make_task(moved, STRUCK, 2.5, TIMES, probe=2)
    np.testing.assert_allclose(other.exact, task.exact, atol=1e-10)
    assert error(first_order(5, STRUCK, 12, order=2, probe=2), other).max() < 0.02
    with pytest.raises(ValueError, match=r"^`hamiltonians` must keep S_z of the probe"):
        make_task(moved, STRUCK, 2.5, TIMES)


@jax.jit
def total_echo(gates, continuous, molecules):
    return echoes(gates, continuous, molecules).sum()


def test_gradient_is_that_of_finite_differences(task):
    program = programs(task)[1]
    gates, molecules = gate_arrays(program, task), task_arrays(task)
    modulation, rescaling = (jax.numpy.asarray(p) for p in parameters(program))
    check_grads(
        lambda m, r: total_echo(gates, (m, r), molecules), (modulation, rescaling), 1, ["rev"]
    )


def test_gates_are_counted(task):
    plain, staggered = programs(task)
    assert mean_gates(plain, TIMES) == np.mean([plain.count(t) for t in TIMES])
    assert mean_gates(staggered, TIMES) < mean_gates(plain, TIMES) * 2


def test_bad_input_is_named(task):
    with pytest.raises(ValueError, match="`times` must be positive, but begin at 0 s"):
        make_task(task.hamiltonians, STRUCK, 2.5, (0.0,))
    with pytest.raises(ValueError, match="`times` must be positive, but there are none"):
        make_task(task.hamiltonians, STRUCK, 2.5, ())
    with pytest.raises(ValueError, match="`hamiltonians` must hold"):
        make_task((), STRUCK, 2.5, TIMES)
    with pytest.raises(ValueError, match="`program` must have the task's probe"):
        error(first_order(5, (2,)), task)
    field = reversible_hamiltonian(np.zeros((5, 5)), offsets_hz=np.ones(5))
    with pytest.raises(ValueError, match="must have no fields"):
        make_task([field], STRUCK, 2.5, TIMES)
    with pytest.raises(ValueError, match="must have as many spins"):
        make_task(
            [task.hamiltonians[0], reversible_hamiltonian(np.zeros((4, 4)))], STRUCK, 2.5, TIMES
        )
