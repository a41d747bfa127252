import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from nn.layers.feed_forward import make_gelu_mlp, make_swiglu

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(2, 3, 4))


def test_a_gate_closes_softly():
    layer = make_swiglu(4, 6, key=KEY, dtype=jnp.float64)
    gate, up, down = (np.asarray(m.weight) for m in (layer.gate, layer.up, layer.down))
    opened = X @ gate / (1 + np.exp(-X @ gate))
    np.testing.assert_allclose(layer(jnp.asarray(X)), (opened * (X @ up)) @ down, rtol=1e-12)


def test_the_hidden_layer_is_weighted_by_the_normal_distribution():
    layer = make_gelu_mlp(4, 6, key=KEY, dtype=jnp.float64)
    hidden = X @ np.asarray(layer.expand.weight)
    expected = (hidden * norm.cdf(hidden)) @ np.asarray(layer.contract.weight)
    np.testing.assert_allclose(layer(jnp.asarray(X)), expected, rtol=1e-12)
    assert layer.expand.bias.shape == (6,)
