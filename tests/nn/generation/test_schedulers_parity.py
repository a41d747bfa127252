"""Our grids, Euler and DDIM steps and their inverse go where diffusers' schedulers go."""

import os
import subprocess
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.peers import environments
from experiments.benchmarks.peers.environments import EngineError, find_interpreter
from nn.generation.ddim import FlowNoise, make_ddim_grid, sample_ddim, signal_levels
from nn.generation.exact_flow import make_gaussian_flow
from nn.generation.flow_samplers import sample_flow
from nn.generation.flow_time import flux_mu, make_grid, make_shift, shift_by_mu
from nn.generation.inversion import invert_ddim

pytestmark = pytest.mark.interop

WORKER = Path(environments.__file__).with_name("schedulers_worker.py")
X = np.random.default_rng(0).normal(size=(4, 2))
FLOW = make_gaussian_flow(jnp.zeros((1, 2)), 0.25 * jnp.eye(2)[None])
FLOW_STEPS, DDIM_STEPS, SHIFT, TOKENS = 7, 10, 3.0, 1024


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    try:
        python = find_interpreter("diffusers")
    except EngineError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("schedulers")
    task = {
        "flow_steps": FLOW_STEPS,
        "ddim_steps": DDIM_STEPS,
        "shift": SHIFT,
        "mu": flux_mu(TOKENS),
    }
    np.savez(folder / "task.npz", x=X, **task)  # pyright: ignore[reportArgumentType]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, str(WORKER), str(folder / "task.npz"), str(folder / "answer.npz")],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with np.load(folder / "answer.npz") as file:
        return dict(file)


@pytest.mark.parametrize("dynamic", [False, True])
def test_flows_take_the_same_times_and_steps(theirs, dynamic):
    # Sigmas are given: by itself the scheduler shifts its lowest one twice.
    shift = shift_by_mu(flux_mu(TOKENS)) if dynamic else make_shift(SHIFT, noise_at=1)
    grid, prefix = make_grid(FLOW_STEPS, shift), "dynamic_" if dynamic else ""
    np.testing.assert_allclose(grid.times(1), theirs[f"{prefix}sigmas"], atol=1e-6)
    end = sample_flow(FLOW, jnp.asarray(X), grid).end
    np.testing.assert_allclose(end, theirs[f"{prefix}flow"], atol=1e-6)


def test_ddim_and_its_inverse_take_the_same_steps(theirs):
    # Shares of signal are products of a thousand numbers, theirs in single precision.
    np.testing.assert_allclose(signal_levels(), theirs["signal"], rtol=1e-4)
    grid = make_ddim_grid(theirs["signal"], DDIM_STEPS)
    noise_of = FlowNoise(FLOW, jnp.asarray(theirs["signal"]))
    np.testing.assert_allclose(
        sample_ddim(noise_of, jnp.asarray(X), grid), theirs["ddim"], atol=1e-6
    )
    found = invert_ddim(noise_of, jnp.asarray(X), grid, n_iterations=0)
    np.testing.assert_allclose(found.noise, theirs["inverse"], atol=1e-6)
