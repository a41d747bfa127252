"""Pairs of meshes in a process of eight devices; what differs is counted; a loss that drifts is measured."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.learning_systems import checkpoint_reshard
from experiments.learning_systems.checkpoint_meshes import in_child, n_wrong, specs_of


def test_pairs_of_meshes_are_the_same_bits(monkeypatch):
    found = in_child("pairs", stride=24, seed=0)
    assert len(found["devices"]) >= 3
    assert found["wrong"].shape == (len(found["devices"]),) * 2
    assert not found["wrong"].any()
    assert (found["stored"] == 1).all()
    losses = {
        "moved": np.array([3.0, 2.0]),
        "put": np.array([3.0, 2.0]),
        "stayed": np.array([3.0, 2.002]),
    }
    monkeypatch.setattr(
        checkpoint_reshard, "in_child", lambda what, **_: found if what == "pairs" else losses
    )
    config = checkpoint_reshard.Config(precisions=("single", "double"))
    outcome = checkpoint_reshard.run(config)
    assert outcome.metrics["pairs.wrong"].value == 0
    np.testing.assert_allclose(outcome.metrics["drift.single"].value, 0.002 / 2.002)
    assert outcome.metrics["moved.differs.double"].value == 0
    assert len(checkpoint_reshard.plot(outcome).axes) == 4


def test_a_wrong_bit_or_dtype_is_counted():
    state = {
        "x": jnp.arange(4.0, dtype=jnp.float32),
        "keys": jax.random.split(jax.random.key(0), 2),
    }
    assert n_wrong(state, state) == 0
    assert n_wrong(state | {"x": state["x"].at[1].set(1.0000001)}, state) == 1
    assert n_wrong(state | {"x": state["x"].view(jnp.int32)}, state) == 1
    assert n_wrong(state | {"keys": state["keys"][::-1]}, state) == 1


def test_an_axis_of_a_mesh_cuts_rows_columns_or_nothing():
    assert len(specs_of(1)) == 3
    # Nothing, one of two axes in either place, one in each place, or both in one place in two orders.
    assert len(specs_of(2)) == 1 + 4 + 2 + 4
