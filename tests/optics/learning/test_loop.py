"""The training loop: the cosine, batches, steps by hand, calls that check and tell."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from optics.learning.loop import adam, cosine_decay, descend, draw_batch, run_in_calls


def test_learning_rate_falls_to_a_tenth():
    np.testing.assert_allclose(
        [cosine_decay(i, 100) for i in (0, 50, 100, 200)], [1.0, 0.55, 0.1, 0.1]
    )


def test_adam_walks_along_the_same_cosine():
    optimiser, weights = adam(0.2, 10), jnp.zeros(())
    memory, lengths = optimiser.init(weights), []
    for _ in range(13):
        # Equal gradients: every step of Adam has the length of the schedule.
        update, memory = optimiser.update(jnp.asarray(3.0), memory)
        lengths.append(-float(update))
    expected = [0.2 * float(cosine_decay(i, 10)) for i in range(13)]
    np.testing.assert_allclose(lengths, expected, rtol=1e-6)  # eps of Adam over a gradient of 3


def test_batches_are_drawn_anew_for_every_step_and_leave_a_key():
    key = jax.random.key(0)
    first, rest = draw_batch(0, 1000, 7, key=key)
    again, same = draw_batch(0, 1000, 7, key=key)
    np.testing.assert_array_equal(first, again)
    assert jnp.array_equal(jax.random.key_data(rest), jax.random.key_data(same))
    other, _ = draw_batch(1, 1000, 7, key=key)
    assert not np.array_equal(first, other)
    # Uniform over all samples: 1000 / 7 each, sd 11.
    counts = np.bincount(np.asarray(first), minlength=7)
    assert len(counts) == 7
    np.testing.assert_allclose(counts, 1000 / 7, atol=45)


def test_descent_by_hand_with_a_projection():
    optimiser = optax.sgd(0.5)

    def look(weights, index):
        return weights + index, weights

    start = jnp.asarray(1.0)
    (end, _), reports = descend(
        look,
        (start, optimiser.init(start)),
        optimiser,
        jnp.arange(3),
        project=lambda w: jnp.maximum(w, 0.1),
    )
    # 1 - 0.5 (1 + 0) = 0.5; 0.5 - 0.5 (0.5 + 1) = -0.25 -> 0.1; 0.1 - 0.5 (0.1 + 2) < 0 -> 0.1.
    np.testing.assert_allclose(reports, [1.0, 0.5, 0.1])
    np.testing.assert_allclose(end, 0.1)


def count_up(state, done, chunk):
    """Losses are the numbers of the steps, in two runs."""
    losses = done + jnp.arange(chunk, dtype=float)
    return state + chunk, jnp.stack([losses, losses], axis=1)


def test_calls_cover_all_steps_and_tell_of_each():
    told, states = [], []
    state, losses = run_in_calls(
        count_up, 0, 7, steps_per_call=3, name="x", remedy="y",
        on_progress=lambda n, loss: told.append((n, loss)), on_state=lambda *now: states.append(now),
    )  # fmt: skip
    assert state == 7
    np.testing.assert_array_equal(losses, np.stack([np.arange(7)] * 2, axis=1))
    assert told == [(3, 1.0), (3, 4.0), (1, 6.0)]
    assert states == [(3, 3), (6, 6), (7, 7)]


def test_a_loss_that_is_not_finite_stops_at_its_step():
    calls = []

    def run(state, done, chunk):
        calls.append(done)
        state, losses = count_up(state, done, chunk)
        return state, {"loss": jnp.where(losses == 4.0, jnp.nan, losses)}

    message = "`loss` of ForwardMode must be finite, but is not at step 4; rest."
    with pytest.raises(FloatingPointError, match=message):
        run_in_calls(
            run,
            0,
            90,
            steps_per_call=3,
            name="ForwardMode",
            remedy="rest",
            loss_of=lambda r: r["loss"],
        )
    assert calls == [0, 3]


@pytest.mark.parametrize("name", ["n_steps", "steps_per_call"])
def test_bad_input_is_named(name):
    counts = {"n_steps": 1, "steps_per_call": 1, name: 0}
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, but is 0"):
        run_in_calls(
            count_up,
            0,
            counts["n_steps"],
            steps_per_call=counts["steps_per_call"],
            name="",
            remedy="",
        )
