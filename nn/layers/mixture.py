"""Mixture of experts: a router chooses for each token the few feed-forward layers that serve it.

    s = softmax(x R) or sigmoid(x R);   T = the k experts of highest s + b
    y = c sum_{e in T} w_e expert_e(x) + shared(x)

with w = s, or s / sum_T s where renormalised. The bias b takes part in the choice alone; it balances the load without a
loss. With groups only the experts of the best groups may be chosen, where a group is worth the sum of its two best. Of
equal scores the earlier expert wins.

Two forms with the same result: all experts one by one on all tokens (`mix_by_loop`, the reference), and the chosen
experts' weights gathered for each token (`mix_by_gathering`), which reads k experts a token and no other: for decoding.
Each expert on its own tokens alone is `nn.layers.expert_dispatch`.

Sources: N. Shazeer et al., arXiv 1701.06538; DeepSeek-AI, arXiv 2412.19437, eqs. 12-16 (sigmoid, bias, groups);
A. Yang et al., arXiv 2505.09388 (softmax, renormalised). A shared expert behind a sigmoid gate is that of Qwen3-Next.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import check_at_least, check_choice, check_divides, check_in_range
from nn.layers.feed_forward import SwiGLU, make_swiglu, split_key
from nn.layers.linear import AbstractLinear, make_dense


@dataclass(frozen=True)
class MixtureConfig:
    """How many experts there are and how they are chosen.

    Attributes:
        n_experts: Experts.
        n_chosen: Experts that serve a token, k.
        hidden: Hidden size of an expert.
        scores: What makes scores of the router's logits.
        renormalise: Whether the weights of the chosen sum to one.
        scale: c.
        selection_bias: Whether there is a bias b.
        n_groups: Groups of experts.
        n_groups_chosen: Groups whose experts may be chosen.
        shared_hidden: Hidden size of the expert that serves all tokens; 0 for none. Several of one size are one.
        shared_gated: Whether a gate weighs it.
    """

    n_experts: int
    n_chosen: int
    hidden: int
    scores: Literal["softmax", "sigmoid"] = "softmax"
    renormalise: bool = True
    scale: float | int = 1
    selection_bias: bool = False
    n_groups: int = 1
    n_groups_chosen: int = 1
    shared_hidden: int = 0
    shared_gated: bool = False

    def __post_init__(self):
        check_choice(self.scores, "scores", ("softmax", "sigmoid"))
        check_divides(self.n_groups, self.n_experts, "n_groups", "n_experts")
        check_in_range(self.n_groups_chosen, "n_groups_chosen", 1, self.n_groups)
        most = self.n_experts // self.n_groups * self.n_groups_chosen
        check_in_range(self.n_chosen, "n_chosen", 1, most, hint="So many experts may be chosen.")
        check_at_least(self.shared_hidden, 0, "shared_hidden")


class Routing(NamedTuple):
    """Who serves each token.

    Attributes:
        experts: Chosen experts, the highest score first.
        weights: Their weights.
        scores: Scores of all experts.
    """

    experts: Int[Array, "tokens chosen"]
    weights: Float[Array, "tokens chosen"]
    scores: Float[Array, "tokens experts"]


class Mixture(eqx.Module):
    """A feed-forward layer of many experts.

    Attributes:
        router: R.
        bias: b, or None.
        experts: Experts, their arrays along a first axis.
        shared: Expert that serves all tokens, or None.
        shared_gate: Map to its gate, or None.
        config: How they are chosen.
    """

    router: AbstractLinear
    bias: Float[Array, " experts"] | None
    experts: SwiGLU
    shared: SwiGLU | None
    shared_gate: AbstractLinear | None
    config: MixtureConfig = eqx.field(static=True)

    def __call__(
        self, x: Float[Array, "*batch width"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch width"]:
        """Applies the layer; `key` is for noisy maps."""
        keys = split_key(key, 4)
        tokens = x.reshape(-1, x.shape[-1])
        routing = self.route(tokens, key=keys[0])
        # Gathering reads n_chosen experts for each token, the loop each expert once.
        few = tokens.shape[0] * self.config.n_chosen <= self.config.n_experts
        mix = mix_by_gathering if few else mix_by_loop
        mixed = mix(self.experts, tokens, routing, key=keys[1])
        return self.finish(tokens, mixed, key=keys[2], gate_key=keys[3]).reshape(x.shape)

    def finish(
        self,
        tokens: Float[Array, "tokens width"],
        mixed: Float[Array, "tokens width"],
        *,
        key: PRNGKeyArray | None = None,
        gate_key: PRNGKeyArray | None = None,
    ) -> Float[Array, "tokens width"]:
        """c times what the chosen experts gave in sum, however run, and the shared expert; keys are for noisy maps."""
        y = mixed * self.config.scale
        if self.shared is not None:
            extra = self.shared(tokens, key=key)
            if self.shared_gate is not None:
                extra = extra * jax.nn.sigmoid(self.shared_gate(tokens, key=gate_key))
            y = y + extra
        return y

    def route(
        self, tokens: Float[Array, "tokens width"], *, key: PRNGKeyArray | None = None
    ) -> Routing:
        """Chooses the experts of each token."""
        logits = self.router(tokens, key=key)
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        scores = (
            jax.nn.softmax(logits) if self.config.scores == "softmax" else jax.nn.sigmoid(logits)
        )
        worth = jax.lax.stop_gradient(scores)
        if self.bias is not None:
            worth = worth + jnp.broadcast_to(self.bias.astype(worth.dtype), worth.shape)
        _, experts = jax.lax.top_k(self._within_groups(worth), self.config.n_chosen)
        weights = jnp.take_along_axis(scores, experts, axis=-1)
        if self.config.renormalise:
            weights = weights / weights.sum(axis=-1, keepdims=True)
        return Routing(experts, weights.astype(tokens.dtype), scores)

    def _within_groups(self, worth):
        """Worth of each expert, -inf outside the chosen groups."""
        n_groups, n_open = self.config.n_groups, self.config.n_groups_chosen
        if n_open == n_groups:
            return worth
        groups = worth.reshape(len(worth), n_groups, -1)
        best = jax.lax.top_k(groups, min(2, groups.shape[-1]))[0].sum(axis=-1)
        _, chosen = jax.lax.top_k(best, n_open)
        is_open = (chosen[..., None] == jnp.arange(n_groups)[None, None]).any(axis=1)
        return jnp.where(is_open[..., None], groups, -jnp.inf).reshape(worth.shape)


def mix_by_loop(
    experts: SwiGLU,
    tokens: Float[Array, "tokens width"],
    routing: Routing,
    *,
    key: PRNGKeyArray | None = None,
) -> Float[Array, "tokens width"]:
    """Weighted sum of the chosen experts; each expert is applied to all tokens.

    Args:
        experts: Experts, their arrays along a first axis.
        tokens: Tokens.
        routing: Who serves each.
        key: For noisy maps.
    """
    n_experts = routing.scores.shape[-1]
    chosen = routing.experts[..., None] == jnp.arange(n_experts)[None, None]
    shares = jnp.where(chosen, routing.weights[..., None], 0).sum(axis=1)  # (tokens, experts)
    arrays, rest = eqx.partition(experts, eqx.is_array)
    keys = None if key is None else jax.random.split(key, n_experts)

    def step(total, layer):
        arrays, share, key = layer
        return total + share[:, None] * eqx.combine(arrays, rest)(tokens, key=key), None

    return jax.lax.scan(step, jnp.zeros_like(tokens), (arrays, shares.T, keys))[0]


def mix_by_gathering(
    experts: SwiGLU,
    tokens: Float[Array, "tokens width"],
    routing: Routing,
    *,
    key: PRNGKeyArray | None = None,
) -> Float[Array, "tokens width"]:
    """Weighted sum of the chosen experts, whose weights are copied out for each token.

    Args:
        experts: Experts, their arrays along a first axis.
        tokens: Tokens.
        routing: Who serves each.
        key: For noisy maps.
    """
    n_tokens, n_chosen = routing.experts.shape
    arrays, rest = eqx.partition(experts, eqx.is_array)
    gathered = jax.tree.map(lambda array: array[routing.experts.reshape(-1)], arrays)
    keys = None if key is None else jax.random.split(key, n_tokens * n_chosen)
    apply = lambda arrays, token, key: eqx.combine(arrays, rest)(token, key=key)  # noqa: E731
    y = jax.vmap(apply)(gathered, jnp.repeat(tokens, n_chosen, axis=0), keys)
    return (y.reshape(n_tokens, n_chosen, -1) * routing.weights[..., None]).sum(axis=1)


def make_mixture(
    width: int, config: MixtureConfig, *, key: PRNGKeyArray, dtype: Any = jnp.float32
) -> Mixture:
    """A mixture with random weights and a bias of zeros.

    Args:
        width: Size of a token.
        config: Number, sizes and choice of the experts.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1.
    """
    keys = jax.random.split(key, 4)
    make_expert = lambda key: make_swiglu(width, config.hidden, key=key, dtype=dtype)  # noqa: E731
    shared = config.shared_hidden > 0
    return Mixture(
        make_dense(width, config.n_experts, key=keys[0], dtype=dtype),
        jnp.zeros(config.n_experts, dtype) if config.selection_bias else None,
        eqx.filter_vmap(make_expert)(jax.random.split(keys[1], config.n_experts)),
        make_swiglu(width, config.shared_hidden, key=keys[2], dtype=dtype) if shared else None,
        make_dense(width, 1, key=keys[3], dtype=dtype) if shared and config.shared_gated else None,
        config,
    )
