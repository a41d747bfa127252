from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels.delta_rule import gated_delta_rule
from nn.kernels.pallas_delta import pallas_delta_rule
from tests.exact.delta_rule import GATES, KEYS, case, exact_delta_rule

# 19 fills no whole chunk of 8, 3 is shorter than one; 6 value components fill no whole block of 4.
kernel = jax.jit(partial(pallas_delta_rule, chunk=8, block_values=4))


@pytest.mark.parametrize("n", [3, 19])
def test_the_kernel_is_the_recurrence_at_any_decay(n):
    state = np.random.default_rng(1).normal(size=(2, 5, 6))
    for gate in GATES:
        inputs = case(n, gate=gate, key_heads=1, dim=5)
        found = kernel(*map(jnp.asarray, inputs), state=jnp.asarray(state))
        for ours, exact in zip(found, exact_delta_rule(*inputs, state=state), strict=True):
            np.testing.assert_allclose(ours, exact, atol=1e-13)


def test_single_precision_loses_no_digits_where_keys_repeat():
    single = jax.jit(partial(pallas_delta_rule, chunk=32, block_values=6))
    for keys in KEYS:
        inputs = tuple(jnp.asarray(x, jnp.float32) for x in case(64, gate="mixed", keys=keys))
        exact, _ = exact_delta_rule(*inputs)
        np.testing.assert_allclose(single(*inputs)[0], exact, rtol=0, atol=1e-6 * abs(exact).max())


def test_gradients_are_those_of_the_recurrence():
    inputs = tuple(jnp.stack([jnp.asarray(x)] * 2) for x in case(19, gate="resets"))

    def gradients(rule):
        total = lambda inputs: sum(jnp.sin(part).sum() for part in rule(*inputs))  # noqa: E731
        return jax.jit(jax.grad(total))(inputs)

    wanted = gradients(gated_delta_rule)
    for ours, exact in zip(gradients(kernel), wanted, strict=True):
        assert jnp.abs(exact).max() > 0.1
        np.testing.assert_allclose(ours, exact, atol=1e-12)


def test_the_kernel_is_lowered_for_a_gpu():
    shapes = [(1, 40, 2, 48)] * 2 + [(1, 40, 4, 48)] + [(1, 40, 4)] * 2
    inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    rule = jax.jit(partial(pallas_delta_rule, block_values=16, interpret=False))
    text = rule.trace(*inputs).lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("custom_call @__gpu$xla.gpu.triton") == 1


def test_bad_input_is_named():
    inputs = tuple(map(jnp.asarray, case(3)))
    with pytest.raises(ValueError, match="`block_values` must be at least 1"):
        pallas_delta_rule(*inputs, block_values=0)
    with pytest.raises(ValueError, match="`chunk` must be at least 1"):
        pallas_delta_rule(*inputs, chunk=0)
