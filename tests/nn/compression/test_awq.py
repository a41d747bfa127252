from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from nn.compression.awq import awq
from nn.compression.blocks import to_int4
from nn.compression.gptq import gram_matrix, output_error

QUANTISE = partial(to_int4, block=8)


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 16)) * np.where(np.arange(16) % 8 == 3, 30.0, 1.0)
    return jnp.asarray(rng.normal(size=(16, 6))), jnp.asarray(inputs)


def test_large_inputs_are_spared_and_the_choice_is_the_best_of_the_grid(problem):
    weight, inputs = problem
    gram, sizes = gram_matrix(inputs), jnp.abs(inputs).mean(axis=0)
    found = awq(weight, sizes, gram, QUANTISE, n_alpha=5)
    plain = output_error(weight, QUANTISE(weight.T).values().T, gram)
    error = output_error(weight, found.weight(), gram)
    assert found.alpha > 0
    assert float(error) < 0.3 * float(plain)
    for alpha in (0.2, 0.4, 0.6, 0.8):
        scale = np.asarray(sizes) ** alpha
        scale = jnp.asarray(scale / np.sqrt(scale.max() * scale.min()))
        other = QUANTISE((weight * scale[:, None]).T).values().T / scale[:, None]
        assert float(output_error(weight, other, gram)) >= float(error) * (1 - 1e-6)


def test_divided_inputs_meet_scaled_weights(problem):
    weight, inputs = problem
    found = awq(weight, jnp.abs(inputs).mean(axis=0), gram_matrix(inputs), QUANTISE, n_alpha=3)
    through = (inputs / found.scale[None]) @ found.rounded.values().T
    np.testing.assert_allclose(through, inputs @ found.weight(), rtol=1e-5, atol=1e-4)


def test_one_exponent_is_plain_rounding_and_silent_inputs_do_no_harm(problem):
    weight, inputs = problem
    sizes, gram = jnp.abs(inputs).mean(axis=0), gram_matrix(inputs)
    plain = awq(weight, sizes, gram, QUANTISE, n_alpha=1)
    np.testing.assert_array_equal(plain.rounded.codes, QUANTISE(weight.T).codes)
    assert np.isfinite(awq(weight, sizes.at[2].set(0), gram, QUANTISE, n_alpha=3).weight()).all()
    with pytest.raises(ValueError, match="`sizes` must have size 16 along axis 0"):
        awq(weight, sizes[:3], gram, QUANTISE)
