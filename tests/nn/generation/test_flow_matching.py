import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.generation.exact_flow import make_finite_flow
from nn.generation.flow_matching import (
    KINDS,
    as_velocity,
    convert,
    drop_condition,
    flow_matching_loss,
    interpolate,
)
from nn.generation.flow_time import make_shift, make_time_law

RNG = np.random.default_rng(0)
NOISE, DATA = (jnp.asarray(RNG.normal(size=(3, 2, 4))) for _ in range(2))
T = jnp.array([0.1, 0.5, 0.9])
X = interpolate(NOISE, DATA, T)
SAID = {
    "velocity": DATA - NOISE,
    "reversed_velocity": NOISE - DATA,
    "data": DATA,
    "noise": NOISE,
}


@pytest.mark.parametrize(("given", "wanted"), list(itertools.product(KINDS, KINDS)))
def test_what_networks_predict_is_turned_into_each_other(given, wanted):
    found = convert(SAID[given], X, T, given=given, wanted=wanted)
    np.testing.assert_allclose(found, SAID[wanted], rtol=1e-12, atol=1e-12)


def test_the_path_leads_from_noise_to_data_and_the_type_stays():
    np.testing.assert_array_equal(interpolate(NOISE, DATA, jnp.array([0.0, 1.0, 0.0]))[1], DATA[1])
    np.testing.assert_array_equal(interpolate(NOISE, DATA, jnp.zeros(3)), NOISE)
    single = [x.astype(jnp.float32) for x in (NOISE, DATA)]
    assert interpolate(*single, T).dtype == jnp.float32
    field = as_velocity(lambda x, t, condition: DATA, "data")
    np.testing.assert_allclose(field(X, T, None), DATA - NOISE, rtol=1e-12)


def test_the_loss_of_the_exact_field_is_what_cannot_be_known():
    # One point: the data are known, so nothing is left. Two points far apart at late times: hardly anything is.
    law = make_time_law(make_shift(0.4, noise_at=0))
    point = jnp.ones((1, 2))
    loss = flow_matching_loss(
        make_finite_flow(point), jnp.tile(point, (64, 1)), law=law, key=jax.random.key(0)
    )
    assert float(loss) < 1e-20
    # A field of zeros: E |data - noise|^2 per number = data^2 + 1, four standard errors of noise^2 ~ 2.
    data = jnp.full((4000, 1), 2.0)
    zero = flow_matching_loss(
        lambda x, t, c: jnp.zeros_like(x), data, law=law, key=jax.random.key(1)
    )
    assert float(zero) == pytest.approx(5.0, abs=4 * (2 + 16) ** 0.5 / 4000**0.5)


def test_the_loss_hands_on_times_of_its_law_and_the_condition():
    seen = {}

    def field(x, t, condition):
        seen.update(t=np.asarray(t), condition=condition)
        return x

    shift = make_shift(0.01, noise_at=0)
    labels = jnp.arange(500)
    flow_matching_loss(
        field, jnp.zeros((500, 1)), labels, law=make_time_law(shift), key=jax.random.key(0)
    )
    assert seen["condition"] is labels
    # Shifted once: median s / (1 + s).
    assert np.median(seen["t"]) == pytest.approx(0.01 / 1.01, rel=0.3)


def test_a_share_of_the_conditions_is_dropped():
    condition = {"label": jnp.arange(2000), "text": jnp.ones((2000, 3))}
    null = {"label": -1, "text": jnp.zeros(3)}
    found = drop_condition(condition, null, 0.1, key=jax.random.key(0))
    gone = np.asarray(found["label"]) == -1
    assert gone.mean() == pytest.approx(0.1, abs=4 * (0.09 / 2000) ** 0.5)
    np.testing.assert_array_equal(np.asarray(found["text"]).sum(axis=1), np.where(gone, 0, 3))
    np.testing.assert_array_equal(np.asarray(found["label"])[~gone], np.arange(2000)[~gone])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: convert(X, X, T, given="score", wanted="data"), "`given` must be one of velocity"),
        (lambda: convert(X, X, T, given="data", wanted="sigma"), "`wanted` must be one of"),
        (lambda: convert(X, X, jnp.ones(3), given="data", wanted="noise"), "At 1 the data say nothing"),
        (lambda: convert(X, X, 0 * T, given="noise", wanted="data"), "At 0 the noise says nothing"),
        (lambda: interpolate(NOISE, DATA, 1000 * T), "divided by 1000"),
        (lambda: drop_condition(T, 0.0, 1.5, key=jax.random.key(0)), "`share` must lie between"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
