import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels.delta_rule import gated_delta_rule
from nn.kernels.linear_recurrences import (
    general_delta_rule,
    general_delta_step,
    linear_attention,
    linear_recurrence,
    linear_recurrence_chunked,
    linear_recurrence_step,
)
from tests.exact.delta_rule import GATES, case

N, HEADS, DIM, VALUE_DIM = 19, 4, 8, 6
RNG = np.random.default_rng(7)
Q, K, V, _, STRENGTH = case(N, heads=HEADS, key_heads=2)
FIRST = RNG.normal(size=(HEADS, DIM, VALUE_DIM))
DECAYS = {
    "linear attention": None,
    "Mamba-2": GATES["resets"](RNG, (N, HEADS)),
    "GLA": GATES["mixed"](RNG, (N, HEADS, DIM)),
}
sequence = jax.jit(linear_recurrence, static_argnames="segment")
chunked = jax.jit(linear_recurrence_chunked, static_argnames="chunk")
general = jax.jit(general_delta_rule, static_argnames="segment")


def array(x):
    return None if x is None else jnp.asarray(x)


def weighted_sum(decay):
    """o_t as a sum over all earlier tokens, weighted by q_t.(a_{s+1} ... a_t k_s), and the state likewise."""
    a = np.ones((N, HEADS, DIM)) if decay is None else np.exp(decay).reshape(N, HEADS, -1)
    q, k = np.repeat(Q, 2, axis=1), np.repeat(K, 2, axis=1)
    outputs = np.zeros((N, HEADS, VALUE_DIM))
    for t in range(N):
        kept = a[: t + 1].prod(axis=0)[..., None] * FIRST
        for s in range(t + 1):
            left = np.broadcast_to(a[s + 1 : t + 1].prod(axis=0), (HEADS, DIM))
            kept = kept + (left * k[s])[..., None] * V[s][:, None]
        outputs[t] = np.einsum("hk,hkv->hv", q[t], kept)
    return outputs, kept


@pytest.mark.parametrize("name", DECAYS)
def test_each_recurrence_is_a_weighted_sum_over_the_past(name):
    decay = DECAYS[name]
    wanted = weighted_sum(decay)
    inputs = (*map(array, (Q, K, V, decay)), jnp.asarray(FIRST))
    for found in (sequence(*inputs), sequence(*inputs, segment=5)):
        for ours, exact in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, exact, atol=1e-13)
    if name != "GLA":
        for ours, exact in zip(chunked(*inputs, chunk=8), wanted, strict=True):
            np.testing.assert_allclose(ours, exact, atol=1e-13)
    step, state = jax.jit(linear_recurrence_step), jnp.asarray(FIRST)
    for t in range(3):
        decayed = None if decay is None else jnp.asarray(decay[t])
        output, state = step(*(jnp.asarray(x[t]) for x in (Q, K, V)), decayed, state)
        np.testing.assert_allclose(output, wanted[0][t], atol=1e-13)


def test_gradients_in_chunks_are_those_of_the_recurrence():
    inputs = tuple(map(jnp.asarray, (Q, K, V, DECAYS["Mamba-2"])))

    def gradient(rule, **options):
        total = lambda inputs: (jnp.sin(rule(*inputs, **options)[0])).sum()  # noqa: E731
        return jax.jit(jax.grad(total))(inputs)

    wanted = gradient(linear_recurrence)
    for ours, exact in zip(gradient(linear_recurrence_chunked, chunk=8), wanted, strict=True):
        assert jnp.abs(exact).max() > 0.1
        np.testing.assert_allclose(ours, exact, atol=1e-13)


def test_linear_attention_averages_values():
    phi_q, phi_k = np.exp(np.repeat(Q, 2, axis=1)), np.exp(np.repeat(K, 2, axis=1))
    weights = np.einsum("nhk,mhk->hnm", phi_q, phi_k)
    for causal in (True, False):
        seen = np.tril(weights) if causal else weights
        wanted = np.einsum("hnm,mhv->nhv", seen / seen.sum(-1, keepdims=True), V)
        found = linear_attention(*map(jnp.asarray, (phi_q, phi_k, V)), causal=causal, chunk=8)
        np.testing.assert_allclose(found, wanted, atol=1e-13)


@pytest.fixture(scope="module")
def vectors():
    """Inputs of RWKV-7: queries, keys, values, decays, removal keys and rates."""
    q, c = np.repeat(Q, 2, axis=1), np.repeat(K, 2, axis=1)
    k, rates = RNG.normal(size=c.shape), RNG.uniform(size=c.shape)
    return tuple(map(jnp.asarray, (q, k, V, DECAYS["GLA"], c, rates)))


def test_the_general_rule_is_its_product_of_matrices(vectors):
    outputs, state = general(*vectors, jnp.asarray(FIRST))
    few, _ = general(*vectors, jnp.asarray(FIRST), segment=5)
    q, k, v, decay, c, rates = map(np.asarray, vectors)
    for h in range(HEADS):
        exact = FIRST[h]
        for t in range(N):
            transition = np.diag(np.exp(decay[t, h])) - np.outer(rates[t, h] * c[t, h], c[t, h])
            exact = transition @ exact + np.outer(k[t, h], v[t, h])
            np.testing.assert_allclose(outputs[t, h], q[t, h] @ exact, atol=1e-12)
        np.testing.assert_allclose(state[h], exact, atol=1e-12)
    np.testing.assert_allclose(few, outputs, atol=1e-13)
    step, current = jax.jit(general_delta_step), jnp.asarray(FIRST)
    for t in range(3):
        output, current = step(*(x[t] for x in vectors), current)
        np.testing.assert_allclose(output, outputs[t], atol=1e-13)


def test_the_delta_rule_is_a_case_of_the_general_one(vectors):
    q, _, v, decay, c, _ = vectors
    b = jnp.asarray(STRENGTH)
    rates = jnp.broadcast_to(b[..., None], c.shape)
    found, _ = general(q, b[..., None] * c, v, jnp.zeros_like(decay), c, rates)
    wanted, _ = jax.jit(gated_delta_rule)(q, c, v, None, b)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_bad_input_is_named(vectors):
    q, k, v, decay, c, rates = vectors
    with pytest.raises(ValueError, match="`key_heads` must divide `heads`, but is 3"):
        linear_recurrence(q[:, :3], k[:, :3], v)
    with pytest.raises(ValueError, match="`chunk` must be at least 1"):
        linear_recurrence_chunked(q, k, v, chunk=0)
    with pytest.raises(ValueError, match="`state` must have shape"):
        general_delta_rule(q, k, v, decay, c, rates, jnp.zeros((4, 6, 8)))
    with pytest.raises(ValueError, match="`sequence` must be at least 1"):
        linear_attention(q[:0], k[:0], v[:0])
