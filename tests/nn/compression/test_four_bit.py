import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.compression.blocks import to_int4, to_mxfp4, to_nvfp4
from nn.compression.four_bit import FourBitLinear, in_four_bits, make_four_bit
from nn.layers.linear import Dense, make_dense, replace_linear

N_IN, N_OUT = 64, 24
FORMATS = {
    "nvfp4": (to_nvfp4, 4.5),
    "mxfp4": (to_mxfp4, 4.25),
    "int4": (partial(to_int4, block=16), 5),
    "int4 of 64": (partial(to_int4, block=64), 4.25),
    "zero point": (partial(to_int4, block=32, rule="zero_point"), 5),
}


@pytest.fixture(scope="module")
def weight():
    return jnp.asarray(np.random.default_rng(0).normal(0.3, 1, (N_IN, N_OUT)), jnp.float32)


@pytest.fixture(scope="module")
def x():
    # One group that is all zero, which is skipped.
    return (
        jnp.asarray(np.random.default_rng(1).normal(size=(3, N_IN)), jnp.float32).at[:, 32:].set(0)
    )


@pytest.mark.parametrize("name", FORMATS)
def test_the_product_is_that_of_the_rounded_weights_for_one_token_and_for_several(name, weight, x):
    quantise, bits = FORMATS[name]

    @jax.jit
    def run(weight, x):
        rounded = quantise(weight.T)
        linear = make_four_bit(rounded, jnp.arange(N_OUT, dtype=jnp.float32))
        return linear, rounded.values(), linear.weight(), linear(x), linear(x[0])

    linear, values, unpacked, several, one = run(weight, x)
    wanted = np.asarray(values, float).T
    np.testing.assert_allclose(unpacked, wanted, rtol=3e-7)
    y = np.asarray(x, float) @ wanted + np.arange(N_OUT)
    # Sums of 64 products of size 3 in single precision.
    np.testing.assert_allclose(several, y, atol=3e-5)
    np.testing.assert_allclose(one, y[0], atol=3e-5)
    # A zero point is kept as float16, not as four bits; the scale of the tensor is one number more.
    extra = 0 if linear.whole is None else 4
    assert linear.n_bytes - extra == bits / 8 * N_IN * N_OUT


def test_the_gradient_passes_through_either_product(weight, x):
    linear = jax.jit(lambda w: make_four_bit(to_nvfp4(w.T)))(weight)
    pull = jnp.arange(N_OUT, dtype=jnp.float32)
    wanted = np.asarray(linear.weight(), float) @ np.arange(N_OUT)
    slope = jax.jit(jax.grad(lambda rows: (linear(rows) @ pull).sum()))
    for rows in (x, x[:1] + 1):
        gradient = slope(rows)
        np.testing.assert_allclose(gradient, np.tile(wanted, (len(rows), 1)), rtol=1e-5, atol=1e-4)


def test_maps_are_replaced_those_of_a_stack_too():
    keys = jax.random.split(jax.random.key(0), 3)
    stack = eqx.filter_vmap(lambda key: make_dense(32, 8, key=key, bias=True))(keys)
    model = {"blocks": stack, "head": make_dense(32, 4, key=keys[0])}
    found = eqx.filter_jit(replace_linear)(model, in_four_bits(to_nvfp4))
    assert isinstance(found["head"], FourBitLinear)
    x = jnp.ones((2, 32))
    through = eqx.filter_jit(eqx.filter_vmap(lambda linear: linear(x)))(found["blocks"])
    apply = eqx.filter_jit(lambda linear: linear(x))
    make = eqx.filter_jit(lambda dense: make_four_bit(to_nvfp4(dense.weight.T), dense.bias))
    for layer in range(3):
        of_layer = partial(jax.tree.map, lambda a, layer=layer: a[layer])
        alone = apply(make(of_layer(stack)))
        np.testing.assert_allclose(through[layer], alone, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(apply(of_layer(found["blocks"])), alone)
    assert in_four_bits(to_nvfp4)("head", found["head"]) is None


def test_scales_that_are_none_and_blocks_that_do_not_pack_are_named(weight):
    rounded = to_int4(weight.T, 16)
    lost = dataclasses.replace(rounded, scales=rounded.scales.at[1, 2].set(jnp.nan))
    with pytest.raises(
        ValueError, match=r"`rounded.scales` must be finite, but has 1 NaN.*\(1, 2\)"
    ):
        make_four_bit(lost)
    with pytest.raises(ValueError, match="`rounded` must have blocks of an even size, but has 1"):
        make_four_bit(to_int4(weight.T, 1))
    with pytest.raises(ValueError, match="`rounded` must hold a matrix, but its codes have shape"):
        make_four_bit(to_int4(weight.T[None], 16))
    with pytest.raises(ValueError, match="`x` must have size 64 along axis -1"):
        make_four_bit(rounded)(jnp.ones((2, 32)))
    nan = Dense(weight.at[0, 0].set(jnp.nan))
    with pytest.raises(ValueError, match=r"`x` must be finite.*A code of four bits has no NaN"):
        in_four_bits(to_nvfp4)("head", nan)
