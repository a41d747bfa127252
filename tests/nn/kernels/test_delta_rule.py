import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels.delta_rule import gated_delta_rule, gated_delta_step
from tests.exact.delta_rule import case, exact_delta_rule

rule = jax.jit(gated_delta_rule, static_argnames="segment")


def arrays(*given, dtype=jnp.float64, **options):
    return tuple(jnp.asarray(x, dtype) for x in case(*given, **options))


def test_the_recurrence_is_the_product_of_matrices_in_the_paper():
    inputs = arrays(9, gate="mixed", heads=4, key_heads=2)
    first = np.random.default_rng(1).normal(size=(4, 8, 6))
    outputs, state = rule(*inputs, state=jnp.asarray(first))
    wanted, last = exact_delta_rule(*inputs, state=first)
    # Sums of 8 terms in double precision.
    np.testing.assert_allclose(outputs, wanted, atol=1e-14)
    np.testing.assert_allclose(state, last, atol=1e-14)


def test_a_value_is_read_back_by_its_key_and_replaced_by_the_next_one():
    keys = np.eye(3, dtype=np.float32)[[0, 1, 0, 2], None]
    values = np.arange(8, dtype=np.float32).reshape(4, 1, 2)
    _, state = rule(keys, keys, values, None, np.ones((4, 1), np.float32))
    np.testing.assert_array_equal(state[0], values[[2, 1, 3], 0])


def test_token_by_token_is_the_sequence_and_batches_are_loops():
    one, other = arrays(5, gate="mixed", seed=1), arrays(5, seed=2)
    both = tuple(jnp.stack(pair) for pair in zip(one, other, strict=True))
    outputs, state = rule(*both)
    step = jax.jit(gated_delta_step)
    current = jnp.zeros_like(state)
    for t in range(5):
        output, current = step(*(x[:, t] for x in both), current)
        np.testing.assert_allclose(output, outputs[:, t], atol=1e-14)
    np.testing.assert_allclose(current, state, atol=1e-14)
    np.testing.assert_allclose(outputs[1], exact_delta_rule(*other)[0], atol=1e-14)


def test_a_gradient_that_keeps_few_states_is_the_same():
    inputs = arrays(11, gate="resets")
    cotangent = jnp.asarray(np.random.default_rng(3).normal(size=(11, 2, 6)))

    def gradient(segment):
        def total(*inputs):
            outputs, state = rule(*inputs, segment=segment)
            return (cotangent * outputs).sum() + (state**2).sum()

        return jax.jit(jax.grad(total, argnums=(0, 1, 2, 3, 4)))(*inputs)

    for plain, few in zip(gradient(None), gradient(4), strict=True):
        assert jnp.isfinite(plain).all()
        assert jnp.abs(plain).max() > 0.1
        np.testing.assert_allclose(few, plain, atol=1e-13)


def test_after_a_decay_of_zero_nothing_before_it_is_seen():
    q, k, v, log_decay, strength = arrays(6)
    log_decay = log_decay.at[3].set(-jnp.inf)
    outputs, _ = rule(q, k, v, log_decay, strength)
    alone, _ = rule(*(x[3:] for x in (q, k, v)), None, strength[3:])
    np.testing.assert_array_equal(outputs[3:], alone)


def test_states_of_half_precision_are_held_in_single():
    inputs = arrays(4, dtype=jnp.bfloat16)
    outputs, state = rule(*inputs)
    assert (outputs.dtype, state.dtype) == (jnp.bfloat16, jnp.float32)
    wanted, _ = exact_delta_rule(*inputs)
    np.testing.assert_allclose(outputs, wanted, rtol=2**-8)  # half a unit in the last of 8 bits


def test_bad_input_is_named():
    q, k, v, log_decay, strength = arrays(4, heads=3)
    with pytest.raises(
        ValueError, match="`key_heads` must divide `heads`, but is 2, and heads is 3"
    ):
        gated_delta_rule(q[:, :2], k[:, :2], v, log_decay, strength)
    with pytest.raises(ValueError, match="`keys` must have size 3 along axis -2"):
        gated_delta_rule(q, k[:, :1], v, log_decay, strength)
    with pytest.raises(ValueError, match="`keys` must have size 8 along axis -1"):
        gated_delta_rule(q, k[..., :5], v, log_decay, strength)
    with pytest.raises(ValueError, match=r"`state` must have shape \(3, 8, 6\), .* \(3, 6, 8\)"):
        gated_delta_rule(q, k, v, log_decay, strength, jnp.zeros((3, 6, 8)))
    with pytest.raises(ValueError, match="`sequence` must be at least 1, but is 0"):
        gated_delta_rule(q[:0], k[:0], v[:0], log_decay[:0], strength[:0])
    with pytest.raises(ValueError, match="`segment` must be at least 1, but is 0"):
        gated_delta_rule(q, k, v, log_decay, strength, segment=0)
