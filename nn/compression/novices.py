"""Mixtures with fewer experts: a pruned one leaves a novice, the constant that it gave on average.

For each expert i, over the calibration tokens that chose it, n_i of T:

    frequency = n_i / (T k),   novice N_i = mean E_i(x),   spread = sqrt(sum over components of the variance of E_i(x))

with the unbiased variance, divided by n_i - 1. Experts of least frequency times spread go. The router stays as it is:
where it chooses a pruned expert, w_i N_i is added, which keeps the mean of the output; with w = 1 the squared error
over the calibration tokens is (n_i - 1) spread_i^2, the least of any constant.

Novices, frequency and spread are those of G. Zhang et al., arXiv 2507.00390 (MoNE). That the two are fused by a product
within a layer is how we read them (a scale of either then does not matter); that routing weights are kept and not made
to sum to one again is how such models are served. An expert that no token chose leaves zeros, our choice. The usual
other way, `drop_experts`, takes pruned experts out of the router, so that tokens turn to the next best.
"""

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import check_axis, check_choice, check_in_range
from nn.layers.feed_forward import SwiGLU, split_key
from nn.layers.linear import Dense
from nn.layers.mixture import Mixture, Routing, mix_by_loop

RANKINGS = ("both", "frequency", "spread")


class ExpertUse(NamedTuple):
    """What the experts of a layer did for the calibration tokens.

    Attributes:
        counts: n_i.
        mean: N_i, zeros where no token chose the expert.
        spread: Root of the summed variance of its outputs, 0 below two tokens.
    """

    counts: Int[Array, " experts"]
    mean: Float[Array, "experts width"]
    spread: Float[Array, " experts"]


def measure_experts(mixture: Mixture, tokens: Float[Array, "tokens width"]) -> ExpertUse:
    """Counts, mean outputs and spreads of all experts over the tokens that chose them.

    Args:
        mixture: The layer.
        tokens: What the layer is given by the calibration texts.
    """
    chosen = mixture.route(tokens).experts
    arrays, rest = eqx.partition(mixture.experts, eqx.is_array)

    def measure(layer):
        arrays, number = layer
        y = eqx.combine(arrays, rest)(tokens)
        served = (chosen == number).any(axis=-1)
        n = served.sum()
        share = served[:, None] / jnp.maximum(n, 1).astype(y.dtype)
        mean = (share * y).sum(axis=0)
        off = jnp.where(served[:, None], y - mean[None], 0)
        return n, mean, jnp.sqrt((off**2).sum() / jnp.maximum(n - 1, 1))

    return ExpertUse(*jax.lax.map(measure, (arrays, jnp.arange(mixture.config.n_experts))))


def expert_worth(use: ExpertUse, by: str = "both") -> Float[np.ndarray, " experts"]:
    """What the pruning goes by; experts of least worth go.

    Args:
        use: See `measure_experts`.
        by: "both", frequency times spread; "frequency"; or "spread".

    Raises:
        ValueError: If `by` is unknown, or no token was counted.
    """
    check_choice(by, "by", RANKINGS)
    counts, spread = np.asarray(use.counts, float), np.asarray(use.spread, float)
    if counts.sum() <= 0:
        raise ValueError("`use` must count at least one token, but counts none.")
    frequency = counts / counts.sum()
    return {"both": frequency * spread, "frequency": frequency, "spread": spread}[by]


def best_experts(worth: Float[np.ndarray, " experts"], n_kept: int) -> Int[np.ndarray, " kept"]:
    """The experts of most worth in ascending order; of equal ones the earlier stay.

    Args:
        worth: Worth of each.
        n_kept: How many stay.

    Raises:
        ValueError: If `n_kept` lies outside [1, experts].
    """
    check_in_range(n_kept, "n_kept", 1, len(worth), hint="So many experts there are.")
    return np.sort(np.argsort(-worth, kind="stable")[:n_kept])


class NoviceMixture(eqx.Module):
    """A mixture some of whose experts are constants.

    Attributes:
        mixture: Router of all experts, with the kept experts alone.
        novices: Constants of the others.
        places: For each expert its number among the kept, or the number of kept plus its number among the novices.
    """

    mixture: Mixture
    novices: Float[Array, "pruned width"]
    places: Int[Array, " experts"]

    def __call__(
        self, x: Float[Array, "*batch width"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch width"]:
        """Applies the layer; `key` is for noisy maps."""
        keys = split_key(key, 4)
        tokens = x.reshape(-1, x.shape[-1])
        routing = self.mixture.route(tokens, key=keys[0])
        n_pruned = self.novices.shape[0]
        n_kept = self.places.shape[0] - n_pruned
        place = self.places[routing.experts]
        real = place < n_kept
        # A choice of a novice becomes one of the first expert with no weight.
        kept = Routing(
            jnp.where(real, place, 0),
            jnp.where(real, routing.weights, 0),
            routing.scores[:, :n_kept],
        )
        mixed = mix_by_loop(self.mixture.experts, tokens, kept, key=keys[1])
        is_novice = (place - n_kept)[..., None] == jnp.arange(n_pruned)[None, None]
        shares = jnp.where(is_novice, routing.weights[..., None], 0).sum(axis=1)
        mixed = mixed + shares @ self.novices
        return self.mixture.finish(tokens, mixed, key=keys[2], gate_key=keys[3]).reshape(x.shape)


def replace_by_novices(
    mixture: Mixture, use: ExpertUse, kept: Int[np.ndarray, " kept"]
) -> NoviceMixture:
    """The layer with a novice in the place of every expert that is not kept.

    Args:
        mixture: The layer.
        use: Mean outputs, see `measure_experts`.
        kept: Experts that stay, see `best_experts`.

    Raises:
        ValueError: If an expert is named twice or there is none of its number, or `use` is of another layer.
    """
    n_experts = mixture.config.n_experts
    check_axis(use.mean, "use.mean", 0, n_experts, "It is measured on the layer that is pruned.")
    kept = _checked(kept, n_experts)
    pruned = np.setdiff1d(np.arange(n_experts), kept)
    places = np.zeros(n_experts, np.int32)
    places[np.concatenate([kept, pruned])] = np.arange(n_experts)
    small = eqx.tree_at(lambda m: m.experts, mixture, _taken(mixture.experts, kept))
    return NoviceMixture(small, use.mean[pruned], jnp.asarray(places))


def drop_experts(mixture: Mixture, kept: Int[np.ndarray, " kept"]) -> Mixture:
    """The layer without the experts that are not kept, nor their columns of the router.

    Args:
        mixture: The layer.
        kept: Experts that stay.

    Raises:
        ValueError: If fewer stay than a token chooses, an expert is named twice or there is none of its number, the
            experts stand in groups.
        TypeError: If the router is another carrier than `Dense`.
    """
    config = mixture.config
    kept = _checked(kept, config.n_experts)
    if config.n_groups > 1:
        raise ValueError(
            f"`mixture` must have one group of experts to lose some, but has {config.n_groups}; take novices."
        )
    # Refused here by `n_chosen` if too few are left.
    config = replace(config, n_experts=len(kept))
    router = mixture.router
    if not isinstance(router, Dense):
        raise TypeError(
            f"`mixture` must have a Dense router to lose columns of, but has {type(router).__name__}; take novices."
        )
    router = Dense(router.weight[:, kept], None if router.bias is None else router.bias[kept])
    bias = None if mixture.bias is None else mixture.bias[kept]
    experts = _taken(mixture.experts, kept)
    return Mixture(router, bias, experts, mixture.shared, mixture.shared_gate, config)


def _taken(experts: SwiGLU, kept: np.ndarray) -> SwiGLU:
    return jax.tree.map(lambda a: a[kept] if eqx.is_array(a) else a, experts)


def _checked(kept, n_experts: int) -> np.ndarray:
    found = np.unique(np.asarray(kept))
    if found.size != np.size(kept) or found.size == 0 or found[0] < 0 or found[-1] >= n_experts:
        raise ValueError(
            f"`kept` must be different experts, 0 to {n_experts - 1}, at least one, but is {np.asarray(kept).tolist()}."
        )
    return found
