"""The gated delta rule in NumPy, double precision, as products of matrices, and cases that break shortcuts."""

import numpy as np

GATES = {
    "none": lambda rng, shape: np.zeros(shape),
    "strong": lambda rng, shape: np.full(shape, -20.0),
    "to zero": lambda rng, shape: np.full(shape, -1e4),
    "mixed": lambda rng, shape: np.where(rng.uniform(size=shape) < 0.1, -1e4, -0.01),
    "resets": lambda rng, shape: np.where(rng.uniform(size=shape) < 0.1, -np.inf, -0.1),
}
KEYS = {
    "random": lambda rng, n, heads, dim: rng.normal(size=(n, heads, dim)),
    "equal": lambda rng, n, heads, dim: np.tile(rng.normal(size=(1, heads, dim)), (n, 1, 1)),
    "alternating": lambda rng, n, heads, dim: np.tile(
        rng.normal(size=(2, heads, dim)), ((n + 1) // 2, 1, 1)
    )[:n],
}


def case(n, *, gate="none", keys="random", heads=2, key_heads=None, dim=8, value_dim=6, seed=0):
    """Queries, unit keys, values, log decay, strength; full strength where keys repeat, which is hardest."""
    rng = np.random.default_rng([seed, n])
    key_heads = key_heads or heads
    k = KEYS[keys](rng, n, key_heads, dim)
    k = k / np.linalg.norm(k, axis=-1, keepdims=True)
    q = rng.normal(size=(n, key_heads, dim)) / dim**0.5
    v = rng.normal(size=(n, heads, value_dim))
    b = rng.uniform(size=(n, heads)) if keys == "random" else np.ones((n, heads))
    return q, k, v, GATES[gate](rng, (n, heads)), b


def exact_delta_rule(q, k, v, log_decay, strength, state=None):
    """S_t = a_t (1 - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T and o_t = S_t^T q_t, one head after the other."""
    q, k, v, log_decay, strength = (
        np.asarray(x, np.float64) for x in (q, k, v, log_decay, strength)
    )
    (n, heads, value_dim), (key_heads, dim) = v.shape, k.shape[-2:]
    states = np.zeros((heads, dim, value_dim)) if state is None else np.array(state, np.float64)
    outputs = np.empty((n, heads, value_dim))
    for h in range(heads):
        g = h // (heads // key_heads)
        for t in range(n):
            kept = np.eye(dim) - strength[t, h] * np.outer(k[t, g], k[t, g])
            states[h] = np.exp(log_decay[t, h]) * kept @ states[h]
            states[h] += strength[t, h] * np.outer(k[t, g], v[t, h])
            outputs[t, h] = q[t, g] @ states[h]
    return outputs, states
