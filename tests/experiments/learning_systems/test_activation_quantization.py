import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.learning_systems import activation_quantization as experiment
from nn.compression.activation_ranges import static_range, to_levels
from nn.layers import make_dense

TINY = experiment.Config(
    bits=(8, 3), repeats=1, n_steps=20, width=16, n_blocks=1, n_calibration=64, n_texts=0
)


@pytest.fixture(scope="module")
def outcome():
    return experiment.run(TINY)


def test_more_bits_lose_less_and_clusters_less_than_one_range(outcome):
    error = lambda method, bits: outcome.metrics[f"error.{method}.{bits}"].value  # noqa: E731
    for method in experiment.METHODS:
        assert error(method, 8) < 0.5 * error(method, 3)
    assert error("clusters", 3) < error("max", 3)


def test_inputs_are_rounded_in_the_range_of_their_map():
    linear = make_dense(4, 3, key=jax.random.key(0))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(9, 4)), jnp.float32)
    found = experiment.rounded_inputs({"a": linear}, {"['a']": [np.asarray(x)]}, "max", 4, 2)
    wanted = linear(to_levels(x, static_range(x, 4), 4))
    np.testing.assert_allclose(found["a"](x), wanted, atol=1e-6)


def test_figure_has_a_line_for_each_method(outcome):
    assert len(outcome.figure().axes[0].containers) == len(experiment.METHODS)
