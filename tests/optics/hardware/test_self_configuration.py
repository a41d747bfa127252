import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import unitary_group

from optics.hardware.mesh_bench import draw_mesh_bench
from optics.hardware.mesh_imperfections import MeshImperfections
from optics.hardware.self_configuration import measure_matrix, self_configure
from optics.meshes.decomposition import decompose_unitary
from optics.metrics import unitary_fidelity

KEY = jax.random.key(0)
UNITARY = jnp.asarray(unitary_group.rvs(4, random_state=0))
MODEL = decompose_unitary(UNITARY, layout="triangular")
SPLITTERS = MeshImperfections(splitter_error=0.05)


measured = jax.jit(lambda bench, phases: measure_matrix(bench, phases, key=KEY))
drawn = jax.jit(draw_mesh_bench, static_argnums=1)


def infidelity(bench, phases):
    return 1 - float(unitary_fidelity(measured(bench, phases), UNITARY))


def test_unknown_splitters_are_absorbed():
    bench = drawn(MODEL, SPLITTERS, key=jax.random.key(1))
    found = self_configure(bench, UNITARY, key=KEY, sweeps=3)
    assert infidelity(bench, MODEL.pack()) > 1e-3
    # Each sweep squares the remaining error: 1e-2, 1e-6, 1e-10.
    assert infidelity(bench, found.phase) < 1e-10
    assert found.n_measurements == 6 * 3 * 2 * 3 + 4


def test_a_chip_that_drifts_is_set_for_the_time_of_its_measurements():
    errors = dataclasses.replace(SPLITTERS, drift=0.1, drift_time=1e5)
    bench = drawn(MODEL, errors, key=jax.random.key(1))
    found = self_configure(bench, UNITARY, key=KEY, sweeps=3, time=10**6)
    then, first = (measure_matrix(bench, found.phase, key=KEY, time=t) for t in (10**6, 0))
    assert 1 - float(unitary_fidelity(then, UNITARY)) < 1e-6
    assert 1 - float(unitary_fidelity(first, UNITARY)) > 1e-3


def test_phases_come_out_right_too_and_not_only_powers():
    bench = drawn(MODEL, SPLITTERS, key=jax.random.key(1))
    found = self_configure(bench, UNITARY, key=KEY, sweeps=3)
    np.testing.assert_allclose(measured(bench, found.phase), UNITARY, atol=1e-5)


def test_noise_and_heaters_limit_the_fidelity_but_it_is_gained():
    errors = dataclasses.replace(
        SPLITTERS, phase_error=0.1, gamma_spread=0.005, voltage_bits=12, tap_noise=1e-3
    )
    bench = drawn(MODEL, errors, key=jax.random.key(2))
    found = self_configure(bench, UNITARY, key=KEY, sweeps=2)
    before, after = infidelity(bench, MODEL.pack()), infidelity(bench, found.phase)
    assert 1e-8 < after < before / 10


def test_what_cannot_be_configured_is_named():
    ideal = MeshImperfections()
    rectangular = decompose_unitary(UNITARY, layout="rectangular")
    with pytest.raises(ValueError, match="`bench` must hold a triangular mesh"):
        self_configure(drawn(rectangular, ideal, key=KEY), UNITARY, key=KEY)
    bench = drawn(MODEL, SPLITTERS, key=KEY)
    with pytest.raises(ValueError, match="`sweeps` must be at least 1"):
        self_configure(bench, UNITARY, key=KEY, sweeps=0)
    with pytest.raises(ValueError, match=r"`unitary` must have last axes \(4, 4\)"):
        self_configure(bench, np.eye(3), key=KEY)
    with pytest.raises(ValueError, match="`unitary` must be unitary"):
        self_configure(bench, 2 * UNITARY, key=KEY)
