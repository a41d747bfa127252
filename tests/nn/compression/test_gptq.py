import jax.numpy as jnp
import numpy as np
import pytest

from nn.compression.blocks import to_int4
from nn.compression.gptq import gptq, gram_matrix, output_error

N_IN, N_OUT, GROUP = 24, 5, 8


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(N_IN, N_OUT))
    # Inputs of which a few directions carry most.
    mixed = rng.normal(size=(400, N_IN)) * np.arange(1, N_IN + 1.0) ** -1.0
    inputs = mixed @ np.linalg.qr(rng.normal(size=(N_IN, N_IN)))[0]
    return jnp.asarray(weight), gram_matrix(jnp.asarray(inputs))


def _half(x):
    return np.maximum(x, 2.0**-14).astype(np.float16).astype(float)


def _by_definition(weight, gram, order, scale_of, damping=0.01):
    """Optimal brain surgeon: after each input the inverse of what is left, from scratch."""
    h = gram + damping * np.trace(gram) / len(gram) * np.eye(len(gram))
    w, codes = weight.copy(), np.zeros_like(weight)
    for place, j in enumerate(order):
        left = order[place:]
        inverse = np.linalg.inv(h[np.ix_(left, left)])
        scale = scale_of(w, j)
        codes[j] = np.clip(np.round(w[j] / scale), -8, 7)
        error = (w[j] - codes[j] * scale) / inverse[0, 0]
        w[left] -= np.outer(inverse[0], error)
    return codes


def test_the_codes_are_those_of_the_definition(problem):
    weight, gram = map(np.asarray, problem)
    scales = {}

    def scale_of(w, j):
        if j % GROUP == 0:
            scales[j // GROUP] = _half(np.abs(w[j : j + GROUP]).max(axis=0) / 7)
        return scales[j // GROUP]

    wanted = _by_definition(weight, gram, np.arange(N_IN), scale_of)
    found = gptq(*problem, GROUP)
    np.testing.assert_array_equal(np.asarray(found.codes).T - 8.0, wanted)
    np.testing.assert_allclose(found.scales.T, [scales[g] for g in range(3)], rtol=1e-6)


def test_in_the_order_of_the_inputs_size_groups_stay_where_they_are(problem):
    weight, gram = map(np.asarray, problem)
    start = _half(np.abs(weight).reshape(-1, GROUP, N_OUT).max(axis=1) / 8)
    order = np.argsort(-np.diag(gram))
    wanted = _by_definition(weight, gram, order, lambda w, j: start[j // GROUP], damping=0.3)
    found = gptq(*problem, GROUP, rule="amax/8", damping=0.3, ordered=True)
    np.testing.assert_array_equal(np.asarray(found.codes).T - 8.0, wanted)
    np.testing.assert_allclose(found.scales.T, start, rtol=1e-6)


def test_the_outputs_are_kept_better_than_by_rounding(problem):
    weight, gram = problem
    plain = output_error(weight, to_int4(weight.T, GROUP).values().T, gram)
    made_up = output_error(weight, gptq(weight, gram, GROUP).values().T, gram)
    assert float(made_up) < 0.5 * float(plain)


def test_where_all_inputs_are_independent_it_is_rounding(problem):
    weight, _ = problem
    found = gptq(weight, jnp.eye(N_IN), GROUP)
    np.testing.assert_array_equal(found.codes, to_int4(weight.T, GROUP).codes)


def test_inputs_that_never_occur_do_no_harm(problem):
    weight, gram = problem
    silent = gram.at[3].set(0).at[:, 3].set(0)
    assert np.isfinite(gptq(weight, silent, GROUP).values()).all()
    assert np.isfinite(gptq(weight, 0 * gram, GROUP).values()).all()


def test_what_does_not_fit_is_named(problem):
    weight, gram = problem
    with pytest.raises(ValueError, match="`group` must divide `n_in`, but is 7, and n_in is 24"):
        gptq(weight, gram, 7)
    with pytest.raises(ValueError, match="`gram` must have size 24 along axis 0"):
        gptq(weight, gram[:3, :3], 8)
    with pytest.raises(ValueError, match="`damping` must be positive"):
        gptq(weight, gram, 8, damping=0.0)
    with pytest.raises(ValueError, match="`weight` must be finite"):
        gptq(weight.at[0, 0].set(jnp.nan), gram, 8)
    with pytest.raises(ValueError, match="`rule` must be one of amax/7, "):
        gptq(weight, gram, 8, rule="zero_point")


def test_a_matrix_that_is_no_gram_matrix_is_named(problem):
    weight, gram = problem
    with pytest.raises(ValueError, match=r"`gram` must be positive semidefinite.*pivot 1 is not"):
        gptq(weight, -gram, GROUP)
