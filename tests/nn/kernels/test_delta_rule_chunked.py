import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels.delta_rule import gated_delta_rule
from nn.kernels.delta_rule_chunked import gated_delta_rule_chunked
from tests.exact.delta_rule import GATES, KEYS, case, exact_delta_rule

NAMES = ("queries", "keys", "values", "log_decay", "strength")
chunked = jax.jit(gated_delta_rule_chunked, static_argnames="chunk")


def arrays(*given, dtype=jnp.float64, **options):
    return tuple(jnp.asarray(x, dtype) for x in case(*given, **options))


def assert_close(found, wanted, tolerance):
    """Relative to the largest number of what is wanted, or to 1, the scale of values."""
    for ours, exact in zip(found, wanted, strict=True):
        scale = max(np.abs(exact).max(), 1)
        np.testing.assert_allclose(ours, exact, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("n", [1, 15, 63, 300])
def test_chunks_are_the_recurrence_at_any_length_and_decay(n):
    for gate in GATES:
        inputs = case(n, gate=gate, heads=2, key_heads=1)
        assert_close(chunked(*map(jnp.asarray, inputs)), exact_delta_rule(*inputs), 1e-12)


@pytest.mark.parametrize("keys", KEYS)
def test_single_precision_loses_no_digits_where_keys_repeat(keys):
    # Several roundings of 6e-8 in sums over 32 tokens: 0.7 to 1.4e-6 without decay at equal keys, by the order of the
    # sums (the recurrence 0.6e-6). The inverse as a product of powers is off by 1e10 here.
    for gate in GATES:
        inputs = arrays(300, gate=gate, keys=keys, dtype=jnp.float32)
        assert_close(chunked(*inputs), exact_delta_rule(*inputs), 2e-6)


def test_a_sequence_may_be_split_anywhere_and_in_other_chunks():
    inputs = tuple(jnp.stack([x, x[::-1]]) for x in arrays(63, gate="mixed"))
    outputs, state = chunked(*inputs)
    first, between = chunked(*(x[:, :40] for x in inputs), chunk=16)
    # 20 is no number of whole blocks.
    last, end = chunked(*(x[:, 40:] for x in inputs), between, chunk=20)
    assert_close((jnp.concatenate([first, last], 1), end), (outputs, state), 1e-13)


COTANGENT = np.random.default_rng(5).normal(size=(63, 2, 6))


def gradients_of(rule, **options):
    def total(inputs):
        outputs, state = rule(*inputs, **options)
        return (outputs * COTANGENT.astype(outputs.dtype)).sum() + (state**2).sum()

    gradients = jax.jit(jax.grad(total))
    return lambda inputs: dict(zip(NAMES, gradients(inputs), strict=True))


exact_gradients = gradients_of(gated_delta_rule)
chunked_gradients = gradients_of(gated_delta_rule_chunked)


@pytest.mark.parametrize(
    ("gate", "keys"), [("none", "random"), ("resets", "random"), ("none", "equal")]
)
def test_every_gradient_is_that_of_the_recurrence(gate, keys):
    inputs = arrays(63, gate=gate, keys=keys)
    wanted, found = exact_gradients(inputs), chunked_gradients(inputs)
    for name in NAMES:
        assert_close([found[name]], [wanted[name]], 1e-12)


@pytest.mark.parametrize(
    ("gate", "keys"), [("none", "random"), ("strong", "random"), ("none", "equal")]
)
def test_every_gradient_in_single_precision(gate, keys):
    inputs = arrays(63, gate=gate, keys=keys)
    wanted = exact_gradients(inputs)
    found = chunked_gradients(tuple(x.astype(jnp.float32) for x in inputs))
    # By the logarithm it is a difference of terms as large as the others: 1e-9 at a strong decay, 0 at equal keys.
    largest = max(np.abs(gradient).max() for gradient in wanted.values())
    for name in NAMES:
        scale = largest if name == "log_decay" else np.abs(wanted[name]).max()
        error = np.abs(found[name] - wanted[name]).max()
        assert error < 2e-6 * scale, (name, error / scale)


def test_gradients_stay_finite_where_decays_of_a_chunk_would_overflow():
    gradients = gradients_of(gated_delta_rule_chunked, chunk=63)
    for decay in (-3.0, -jnp.inf):
        q, k, v, log_decay, strength = arrays(63, dtype=jnp.float32)
        found = gradients((q, k, v, jnp.full_like(log_decay, decay), strength))
        assert all(bool(jnp.isfinite(gradient).all()) for gradient in found.values())
        assert jnp.abs(found["values"]).max() > 0.1


def test_the_future_changes_nothing():
    inputs = arrays(63)
    later = tuple(x.at[40:].add(1.0) for x in inputs[:3]) + inputs[3:]
    before, after = chunked(*inputs)[0], chunked(*later)[0]
    np.testing.assert_array_equal(before[:40], after[:40])
    assert jnp.abs(before[40:] - after[40:]).max() > 0.1


def test_bad_input_is_named():
    q, k, v, log_decay, strength = arrays(4, heads=3)
    with pytest.raises(ValueError, match="`chunk` must be at least 1, but is 0"):
        gated_delta_rule_chunked(q, k, v, log_decay, strength, chunk=0)
    with pytest.raises(ValueError, match="`key_heads` must divide `heads`, but is 2"):
        gated_delta_rule_chunked(q[:, :2], k[:, :2], v, log_decay, strength)
