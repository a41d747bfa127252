import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers import AbstractLinear, Dense, linear_maps, make_dense, replace_linear
from nn.layers.linear import StackedDense


class _Twice(AbstractLinear):
    n_in: int = eqx.field(static=True)
    n_out: int = eqx.field(static=True)

    def __call__(self, x, *, key=None):
        del key
        return 2 * x


def _pair():
    keys = jax.random.split(jax.random.key(0), 2)
    return {
        "first": make_dense(3, 3, key=keys[0], bias=True),
        "last": make_dense(3, 2, key=keys[1]),
    }


def test_a_dense_map_is_the_matrix_product_with_its_bias():
    weight, bias = np.arange(6.0).reshape(3, 2), np.array([1.0, -1.0])
    x = np.array([[1.0, 0, 2], [0, 1, 0]])
    y = Dense(jnp.asarray(weight), jnp.asarray(bias))(jnp.asarray(x))
    np.testing.assert_allclose(y, [[9, 10], [3, 2]])


def test_weights_keep_the_size_of_what_passes():
    dense = make_dense(400, 300, key=jax.random.key(1))
    # 120,000 weights: the standard deviation is known to 0.2 %.
    assert abs(float(dense.weight.std()) * 20 - 1) < 0.01


def test_every_map_is_found_by_its_path_and_can_be_exchanged():
    model = {"blocks": [_pair(), _pair()], "scale": jnp.ones(3)}
    names = [name for name, _ in linear_maps(model)]
    assert names == [f"['blocks'][{i}]['{part}']" for i in (0, 1) for part in ("first", "last")]
    changed = replace_linear(model, lambda name, old: _Twice(3, 3) if old.n_out == 3 else None)
    kinds = [type(found) for _, found in linear_maps(changed)]
    assert kinds == [_Twice, Dense, _Twice, Dense]
    x = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(changed["blocks"][1]["first"](x), 2 * x)
    assert linear_maps(model)[0][1] is model["blocks"][0]["first"]


def test_other_sizes_are_refused_with_the_path_named():
    with pytest.raises(
        ValueError, match=r"must keep the sizes of \['last'\], 3 to 2, but gave 2 to 2"
    ):
        replace_linear(_pair(), lambda name, old: _Twice(2, 2) if old.n_out == 2 else None)
    with pytest.raises(
        ValueError, match=r"`x` must have size 3 along axis -1, but its shape is \(4,\)"
    ):
        _pair()["last"](jnp.ones(4))
    with pytest.raises(ValueError, match="`n_out` must be at least 1, but is 0"):
        make_dense(3, 0, key=jax.random.key(0))


@pytest.mark.parametrize(
    ("n_in", "shape"), [(64, (64,)), (64, (1, 1, 64)), (64, (2, 64)), (6, (6,))]
)
def test_a_map_in_its_stack_is_the_map(n_in, shape):
    rng = np.random.default_rng(2)
    stack, biases, x = (
        rng.normal(size=(3, n_in, 5)),
        rng.normal(size=(3, 5)),
        rng.normal(size=shape),
    )
    for bias in (jnp.asarray(biases[2]), None):
        dense = StackedDense(jnp.asarray(stack), bias, jnp.int32(2))
        found = eqx.filter_jit(lambda dense, x: dense(x))(dense, jnp.asarray(x))
        expected = x @ stack[2] + (0 if bias is None else biases[2])
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_map_in_its_stack_adds_up_in_single_precision_and_refuses_other_sizes():
    ones = StackedDense(jnp.ones((1, 512, 2), jnp.bfloat16), None, jnp.int32(0))
    found = eqx.filter_jit(lambda dense, x: dense(x))(ones, jnp.ones(512, jnp.bfloat16))
    assert found.dtype == jnp.bfloat16
    # In half precision a sum of ones by ones ends at 256.
    np.testing.assert_array_equal(np.asarray(found, np.float32), [512, 512])
    with pytest.raises(ValueError, match="`x` must have size 512 along axis -1"):
        ones(jnp.ones((2, 256)))
