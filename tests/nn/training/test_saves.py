"""A training that was killed and begun again ends in the bits of one that was not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nn.layers import make_dense
from nn.training import Saves, draw_rows, train

N_STEPS = 22


class Scaled(eqx.Module):
    """A dense map and a weakly typed factor: the product is bfloat16, and of another type were the factor strong."""

    dense: eqx.Module
    factor: jax.Array

    def __call__(self, x):
        return (self.factor * self.dense(x).astype(jnp.bfloat16)).astype(x.dtype)


@pytest.fixture(scope="module")
def problem():
    x = jax.random.normal(jax.random.key(3), (64, 3))
    dense = make_dense(3, 1, key=jax.random.key(0), dtype=jnp.float32)
    return Scaled(dense, jnp.full((), 0.7)), (x, x @ np.array([[1.0], [-2.0], [0.5]]))


def _loss(model, batch, key):
    x, y = batch
    return jnp.mean((model(x.astype(jnp.float32)) - y) ** 2) + 0.01 * jax.random.normal(key)


DRAW, RATE = draw_rows(16), optax.sgd(0.03, momentum=0.9)


class Killed(BaseException):
    pass


def _train(problem, stop=None, *, key=1, data=None, **options):
    """Trains; killed after the call that does step `stop`."""
    done, heard = 0, []

    def on_progress(n, loss):
        nonlocal done
        done += n
        heard.append(n)
        if done == stop:
            raise Killed

    model, own = problem
    trained = train(
        model, _loss, own if data is None else data, DRAW, RATE, N_STEPS, key=jax.random.key(key),
        steps_per_call=4, on_progress=on_progress, **options,
    )  # fmt: skip
    return trained, heard


def _bits(trained):
    return [np.asarray(x).tobytes() for x in jax.tree.leaves((trained.state, trained.losses))]


@pytest.fixture(scope="module")
def whole(problem):
    return _bits(_train(problem)[0])


@pytest.mark.parametrize("every", [{"steps": 5}, {"seconds": 1e-9}])
def test_a_training_killed_again_and_again_ends_in_the_same_bits(problem, whole, tmp_path, every):
    told = []
    saves = Saves(tmp_path, **every, tell=told.append)
    for stop in (4, 12, 16, 22):
        with pytest.raises(Killed):
            _train(problem, stop, saves=saves)
    trained, heard = _train(problem, saves=saves)
    assert _bits(trained) == whole
    assert sum(heard) == N_STEPS
    assert trained.state.weights.factor.weak_type
    again, heard = _train(problem, saves=saves)
    assert _bits(again) == whole
    assert heard == [N_STEPS]  # nothing is left to do
    # Steps are counted from the last save on, and calls are of four: 8, 16, and the end.
    steps = (8, 8, 16, 22) if "steps" in every else (8, 12, 20, 22)
    assert told[-1] == "training: goes on from step 22 of 22"
    assert len(told) >= 3
    assert {int(line.split()[5]) for line in told} <= set(steps)


def test_a_damaged_state_is_passed_over(problem, whole, tmp_path):
    saves = Saves(tmp_path, steps=8)
    _train(problem, saves=saves)
    (newest,) = tmp_path.glob("*/step_00000022/data/*.bin")
    data = bytearray(newest.read_bytes())
    data[20] ^= 4
    newest.write_bytes(data)
    trained, heard = _train(problem, saves=saves)
    assert heard[0] == 16
    assert _bits(trained) == whole


def test_only_the_same_training_is_gone_on_with(problem, whole, tmp_path):
    saves = Saves(tmp_path, steps=8)
    _train(problem, saves=saves)
    model, (x, y) = problem
    others = [
        _train(problem, key=2, saves=saves),
        _train(problem, data=(x, y + 1), saves=saves),
        _train((eqx.tree_at(lambda m: m.factor, model, jnp.full((), 0.6)), (x, y)), saves=saves),
        _train(problem, name="another", saves=saves),
        _train(problem, saves=Saves(tmp_path, steps=8, number=1)),
    ]
    assert all(heard[0] == 4 for _, heard in others)
    assert [_bits(trained) == whole for trained, _ in others] == [False] * 3 + [True] * 2


def test_saves_without_a_rule_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`steps` or `seconds` must be given"):
        Saves(tmp_path)
    with pytest.raises(ValueError, match="`steps` must be at least 1, but is 0"):
        Saves(tmp_path, steps=0)
    with pytest.raises(ValueError, match="`seconds` must be positive"):
        Saves(tmp_path, seconds=0.0)
