import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nn.layers import make_dense
from nn.training import adamw, draw_rows, draw_windows, train

TRUE = np.array([[1.0], [-2.0], [0.5]])


def _data(n=64):
    x = jax.random.normal(jax.random.key(3), (n, 3))
    return x, x @ TRUE


def _loss(model, batch, key):
    del key
    x, y = batch
    return jnp.mean((model(x) - y) ** 2)


def _train(n_steps, **options):
    model = make_dense(3, 1, key=jax.random.key(0), dtype=jnp.float64)
    draw, options = draw_rows(16), {"optimiser": optax.sgd(0.2), "key": jax.random.key(1)} | options
    return train(model, _loss, _data(), draw, n_steps=n_steps, steps_per_call=4, **options)


def test_gradient_descent_finds_the_map_that_made_the_data():
    trained = _train(60)
    np.testing.assert_allclose(trained.model.weight, TRUE, atol=1e-6)
    assert trained.losses.shape == (60,)
    assert trained.losses[-1] < 1e-9 * trained.losses[0]


def test_a_step_is_the_optimisers_on_the_batch_of_its_number():
    key = jax.random.key(1)
    model = make_dense(3, 1, key=jax.random.key(0), dtype=jnp.float64)
    weight = model.weight
    for index in range(3):
        rows = jax.random.randint(jax.random.split(jax.random.fold_in(key, index))[0], (16,), 0, 64)
        x, y = (array[rows] for array in _data())
        weight = weight - 0.2 * 2 * x.T @ (x @ weight - y) / 16
    np.testing.assert_allclose(_train(3).model.weight, weight, atol=1e-14)


def test_a_training_that_goes_on_equals_one_that_was_never_stopped():
    states = []
    whole = _train(
        10, optimiser=optax.adam(0.1), on_state=lambda s: states.append(jax.tree.map(np.array, s))
    )
    assert [int(state.n_done) for state in states] == [4, 8, 10]
    rest = _train(
        10, optimiser=optax.adam(0.1), start=jax.tree.map(jnp.asarray, states[0])._replace(n_done=4)
    )
    np.testing.assert_array_equal(rest.model.weight, whole.model.weight)
    np.testing.assert_array_equal(rest.losses, whole.losses[4:])


def test_only_what_is_chosen_trains_and_the_callers_model_stays():
    model = make_dense(3, 1, key=jax.random.key(0), bias=True, dtype=jnp.float64)
    chosen = eqx.tree_at(lambda m: (m.weight, m.bias), model, (False, True))
    trained = train(
        model, _loss, _data(), draw_rows(8), optax.sgd(0.1), 2, key=jax.random.key(0), trainable=chosen
    )  # fmt: skip
    np.testing.assert_array_equal(trained.model.weight, model.weight)
    assert abs(trained.model.bias - model.bias) > 0
    assert np.isfinite(model.bias)  # not donated
    nothing = jax.tree.map(lambda _: False, model)
    with pytest.raises(ValueError, match="`trainable` must choose at least one array"):
        train(
            model,
            _loss,
            _data(),
            draw_rows(8),
            optax.sgd(0.1),
            2,
            key=jax.random.key(0),
            trainable=nothing,
        )


def test_a_loss_that_is_not_finite_stops_with_its_step():
    def bad(model, batch, key):
        loss = _loss(model, batch, key)
        return jnp.where(loss < 1e-3, jnp.nan, loss)

    model = make_dense(3, 1, key=jax.random.key(0), dtype=jnp.float64)
    losses = _train(20).losses
    first = int(np.argmax(losses < 1e-3))
    with pytest.raises(
        FloatingPointError, match=f"`loss` of toy must be finite, but is not at step {first};"
    ):
        train(
            model,
            bad,
            _data(),
            draw_rows(16),
            optax.sgd(0.2),
            20,
            key=jax.random.key(1),
            name="toy",
        )


def test_the_rate_rises_then_falls_and_decay_spares_vectors():
    weights = {"matrix": jnp.ones((2, 2)), "vector": jnp.ones(2)}
    optimiser = adamw(0.1, 100, warmup=0.1, final=0.2, weight_decay=0.5)
    memory = optimiser.init(weights)
    sizes, still = [], jax.tree.map(jnp.zeros_like, weights)
    for _ in range(101):
        updates, memory = optimiser.update(still, memory, weights)
        assert not updates["vector"].any()
        sizes.append(-float(updates["matrix"][0, 0]) / 0.5)
    np.testing.assert_allclose([sizes[i] for i in (0, 5, 10, 100)], [0, 0.05, 0.1, 0.02], atol=1e-7)


def test_the_gradient_is_clipped_by_its_norm_and_its_square_remembered():
    weights, optimiser = jnp.zeros(2), adamw(0.1, 100, clip=2.0, b2=0.9)
    memory = optimiser.init(weights)
    _, (_, (adam, *_)) = optimiser.update(jnp.array([6.0, 8.0]), memory, weights)
    np.testing.assert_allclose(adam.nu, 0.1 * np.array([1.2, 1.6]) ** 2, rtol=1e-12)


def test_windows_are_runs_of_the_text():
    windows = draw_windows(50, 4)(jnp.arange(6), jax.random.key(0))
    assert windows.shape == (50, 4)
    np.testing.assert_array_equal(np.diff(windows, axis=1), 1)
    assert set(np.asarray(windows[:, 0])) == {0, 1, 2}
    with pytest.raises(
        ValueError, match=r"`tokens` must be at least 9, but is 6\. The text is shorter"
    ):
        draw_windows(2, 9)(jnp.arange(6), jax.random.key(0))
