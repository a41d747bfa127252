"""Chebyshev and Krylov against dense exponentials, each other, and (with their interpreters) QuTiP and dynamiqs."""

import json
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from experiments.benchmarks.peers.environments import EngineError, find_interpreter
from quantum.spins import evolution
from quantum.spins.action import Bounds
from quantum.spins.hamiltonian import SpinHamiltonian, dense, make_hamiltonian
from quantum.spins.krylov import evolve_krylov


def drawn(n, seed=0, *, real=False):
    rng = np.random.default_rng(seed)
    tensor = rng.normal(size=(n, n, 3, 3))
    field = rng.normal(size=(n, 3))
    if real:
        tensor[..., 1, (0, 2)] = tensor[..., (0, 2), 1] = 0
        field[:, 1] = 0
    tensor = np.where(np.arange(n)[:, None, None, None] < np.arange(n)[:, None, None], tensor, 0)
    return make_hamiltonian(tensor + tensor.transpose(1, 0, 3, 2), field)


def states(n, seed=1, batch=2):
    rng = np.random.default_rng(seed)
    psi = rng.normal(size=(batch, 2**n)) + 1j * rng.normal(size=(batch, 2**n))
    return jnp.asarray(psi / np.linalg.norm(psi, axis=1, keepdims=True))


@pytest.mark.parametrize("method", ["chebyshev", "krylov"])
@pytest.mark.parametrize(("n", "real"), [(1, False), (4, False), (6, True), (6, False)])
def test_evolution_is_the_dense_exponential(method, n, real):
    hamiltonian, psi = drawn(n, real=real), states(n)
    evolve = {"chebyshev": evolution.evolve, "krylov": evolve_krylov}[method]
    for time in (0.0, 0.3, 4.0, -2.5):
        found = evolve(hamiltonian, psi, time, precision="double")
        wanted = np.asarray(psi) @ expm(-1j * np.asarray(dense(hamiltonian)) * time).T
        np.testing.assert_allclose(found, wanted, atol=1e-10)


def test_chebyshev_and_krylov_agree_where_blocks_are_several():
    hamiltonian, psi = drawn(7, 2), states(7)
    found = evolution.evolve(hamiltonian, psi, 3.0, precision="double")
    np.testing.assert_allclose(
        found, evolve_krylov(hamiltonian, psi, 3.0, precision="double"), atol=1e-10
    )


def test_many_times_are_each_time_and_the_way_back_is_the_start():
    hamiltonian, psi = drawn(7, 1, real=True), states(7)
    times = [0.2, 1.1, -0.7]
    found = evolution.evolve(hamiltonian, psi, times, precision="double")
    assert found.shape == (3, *psi.shape)
    for time, there in zip(times, found, strict=True):
        alone = evolution.evolve(hamiltonian, psi, time, precision="double")
        np.testing.assert_allclose(there, alone, atol=1e-11)
        back = evolution.evolve(hamiltonian, there, -time, precision="double")
        np.testing.assert_allclose(back, psi, atol=1e-11)


def test_norm_and_energy_are_kept():
    hamiltonian, psi = drawn(7, 4), states(7)
    matrix = np.asarray(dense(hamiltonian))
    found = np.asarray(evolution.evolve(hamiltonian, psi, 20.0, precision="double"))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-11)
    energy = [np.einsum("bi,ij,bj->b", p.conj(), matrix, p).real for p in (np.asarray(psi), found)]
    np.testing.assert_allclose(energy[0], energy[1], atol=1e-10)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_the_error_stays_below_what_the_series_promises_and_follows_it(tolerance):
    hamiltonian, psi = drawn(6), states(6)
    found = evolution.evolve(hamiltonian, psi, 5.0, precision="double", tolerance=tolerance)
    wanted = np.asarray(psi) @ expm(-5j * np.asarray(dense(hamiltonian))).T
    error = np.linalg.norm(np.asarray(found) - wanted, axis=1).max()
    # The series is cut by its coefficients in whole pairs, so it may be better by the one pair more.
    assert error < 3 * tolerance


def test_single_precision_is_that():
    hamiltonian, psi = drawn(7), states(7)
    found = evolution.evolve(hamiltonian, psi, 2.0)
    assert found.dtype == jnp.complex64
    wanted = evolution.evolve(hamiltonian, psi, 2.0, precision="double")
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_gradient_by_couplings_is_that_of_differences():
    hamiltonian, psi = drawn(4, real=True), states(4, batch=1)
    plan = evolution.make_plan(hamiltonian, precision="double", bounds=Bounds(-20.0, 20.0))

    @jax.jit
    def overlap(scale):
        scaled = SpinHamiltonian(hamiltonian.couplings * scale, hamiltonian.fields)
        moved = evolution.evolve(scaled, psi, 1.3, plan=plan)
        return jnp.abs(jnp.vdot(psi, moved)) ** 2

    step = 1e-5
    wanted = (overlap(1 + step) - overlap(1 - step)) / (2 * step)
    assert jax.grad(overlap)(1.0) == pytest.approx(float(wanted), rel=1e-6)


def test_a_spectrum_beyond_the_bounds_stops_the_run():
    plan = evolution.make_plan(drawn(4), precision="double", bounds=Bounds(-0.5, 0.5))
    with pytest.raises(FloatingPointError, match="spectrum"):
        evolution.evolve(drawn(4), states(4), 30.0, plan=plan)


def test_krylov_says_when_the_tolerance_is_out_of_reach():
    with pytest.raises(ValueError, match="`dimension`"):
        evolve_krylov(drawn(3), states(3), 1.0, dimension=1)


@pytest.mark.parametrize("times", [np.nan, -np.inf, [0.1, np.inf]])
def test_bad_times_are_refused(times):
    with pytest.raises(ValueError, match="`times` must be finite"):
        evolution.evolve(drawn(2), states(2), times)


def test_states_of_another_size_are_refused():
    with pytest.raises(ValueError, match="`states` must have 8 entries"):
        evolution.evolve(drawn(3), states(4), 1.0)


QUTIP = """
import itertools, json, sys
import numpy as np, qutip
task = json.load(sys.stdin)
couplings, fields, time = np.array(task["couplings"]), np.array(task["fields"]), task["time"]
n = len(fields)
half = [qutip.sigmax() / 2, qutip.sigmay() / 2, qutip.sigmaz() / 2]
def at(spin, axis):
    return qutip.tensor([half[axis] if k == spin else qutip.qeye(2) for k in range(n)])
spins = [[at(i, a) for a in range(3)] for i in range(n)]
h = sum(fields[i, a] * spins[i][a] for i in range(n) for a in range(3))
for i, j in itertools.combinations(range(n), 2):
    h += sum(couplings[i, j, a, b] * spins[i][a] * spins[j][b] for a in range(3) for b in range(3))
psi = np.array(task["real"]) + 1j * np.array(task["imaginary"])
start = qutip.Qobj(psi.reshape(-1, 1), dims=[[2] * n, [1] * n])
"""
QUTIP_SOLVER = """
options = {"atol": 1e-12, "rtol": 1e-11, "nsteps": 100000, "progress_bar": ""}
found = qutip.sesolve(h, start, [0, time], options=options).states[-1].full()[:, 0]
json.dump([found.real.tolist(), found.imag.tolist()], sys.stdout)
"""


def peer(package, script, n=8):
    try:
        python = find_interpreter(package)
    except EngineError as error:
        pytest.skip(str(error))
    hamiltonian, psi = drawn(n, 5), states(n, batch=1)
    task = {
        "couplings": np.asarray(hamiltonian.couplings).tolist(),
        "fields": np.asarray(hamiltonian.fields).tolist(),
        "real": np.real(psi[0]).tolist(),
        "imaginary": np.imag(psi[0]).tolist(),
        "time": 1.5,
    }
    done = subprocess.run(
        [python, "-c", script], input=json.dumps(task), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    real, imaginary = json.loads(done.stdout)
    ours = evolution.evolve(hamiltonian, psi, 1.5, precision="double")[0]
    return np.asarray(ours), np.array(real) + 1j * np.array(imaginary)


@pytest.mark.interop
def test_qutip_agrees_on_eight_spins():
    np.testing.assert_allclose(*peer("qutip", QUTIP + QUTIP_SOLVER), atol=1e-8)


@pytest.mark.interop
def test_dynamiqs_agrees_on_eight_spins():
    script = """
import itertools, json, sys
import numpy as np, dynamiqs as dq
dq.set_precision("double")
task = json.load(sys.stdin)
couplings, fields, time = np.array(task["couplings"]), np.array(task["fields"]), task["time"]
n = len(fields)
half = [np.array(m) / 2 for m in ([[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]])]
def at(spin, axis):
    return np.kron(np.kron(np.eye(2**spin), half[axis]), np.eye(2 ** (n - 1 - spin)))
spins = [[at(i, a) for a in range(3)] for i in range(n)]
h = sum(fields[i, a] * spins[i][a] for i in range(n) for a in range(3))
for i, j in itertools.combinations(range(n), 2):
    h = h + sum(couplings[i, j, a, b] * spins[i][a] @ spins[j][b] for a in range(3) for b in range(3))
psi = np.array(task["real"]) + 1j * np.array(task["imaginary"])
found = dq.sesolve(dq.asqarray(h), dq.asqarray(psi.reshape(-1, 1)), np.array([0.0, time]), method=dq.method.Expm())
last = np.asarray(found.states.to_jax())[-1, :, 0]
json.dump([last.real.tolist(), last.imag.tolist()], sys.stdout)
"""
    np.testing.assert_allclose(*peer("dynamiqs", script), atol=1e-8)
