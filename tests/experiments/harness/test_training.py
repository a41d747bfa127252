"""A state that cannot be saved is told in one line, and outside of a run nothing is saved."""

import jax
import jax.numpy as jnp
import optax
import pytest

from experiments.harness.errors import StorageError
from experiments.harness.saving import SaveEvery, saving
from experiments.harness.training import train
from tests.experiments.descent import Point


def descend():
    return train(
        Point(jnp.ones(2)), lambda point, batch, key: jnp.sum(point.at**2), jnp.ones(1), lambda data, key: data,
        optax.sgd(0.1), 4, key=jax.random.key(0), steps_per_call=2, name="descent",
    )  # fmt: skip


def test_a_state_that_cannot_be_saved_is_told(tmp_path):
    (tmp_path / "file").touch()
    every = SaveEvery(str(tmp_path / "file" / "states"), 2, None)
    with (
        saving(every, print),
        pytest.raises(StorageError, match=r"Cannot save descent: .*Not a dir"),
    ):
        descend()
    before = descend()
    with saving(SaveEvery(str(tmp_path / "states"), 2, None), print):
        saved = descend()
    assert (saved.losses == before.losses).all()
    assert len(list((tmp_path / "states").iterdir())) == 1
