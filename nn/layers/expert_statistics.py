"""How many experts a batch of tokens needs: what must be read of a mixture in one step of decoding.

Each of B tokens chooses k different ones of E experts, all sets alike and independently of the others. An expert is
missed by one token with probability q = 1 - k / E, two of them by q2 = (E - k) (E - k - 1) / (E (E - 1)), so that the
number N of experts that anyone chose has, without approximation,

    E[N] = E (1 - q^B),   Var N = E q^B (1 - q^B) + E (E - 1) (q2^B - q^(2 B)).

Experts chosen with unequal probabilities p_i, sum p_i = k, give E[N] = sum 1 - (1 - p_i)^B, never more. Tokens that
resemble each other, such as neighbours in a text, choose alike and give fewer still, which no p_i tells: `count_active`
counts. N lies between k and min(E, k B). Sums of indicators, our derivation; N. Shazeer et al., arXiv 1701.06538, for
the layer itself.
"""

import numpy as np
from jaxtyping import Array, Float, Int

from nn._checks import check_at_least, check_in_range

Count = int | Int[np.ndarray, " *batches"]
Number = float | Float[np.ndarray, " *batches"]


def expected_active(n_experts: int, n_chosen: int, n_tokens: Count) -> Number:
    """E[N] for experts chosen alike.

    Args:
        n_experts: E.
        n_chosen: k.
        n_tokens: B, one or several.

    Raises:
        ValueError: If `n_chosen` lies outside [1, n_experts], or a batch is below 0.
    """
    _check(n_experts, n_chosen, n_tokens)
    missed = (1 - n_chosen / n_experts) ** np.asarray(n_tokens, float)
    return _plain(n_experts * (1 - missed))


def variance_active(n_experts: int, n_chosen: int, n_tokens: Count) -> Number:
    """Var N for experts chosen alike; where rounding would make it negative it is 0.

    Args:
        n_experts: E.
        n_chosen: k.
        n_tokens: B, one or several.

    Raises:
        ValueError: If `n_chosen` lies outside [1, n_experts], or a batch is below 0.
    """
    _check(n_experts, n_chosen, n_tokens)
    batch = np.asarray(n_tokens, float)
    one = (1 - n_chosen / n_experts) ** batch
    pairs = n_experts * (n_experts - 1)
    rest = n_experts - n_chosen
    both = (rest * (rest - 1) / max(pairs, 1)) ** batch
    # At B = 1 both terms cancel and leave 1e-13 of either sign.
    return _plain(np.maximum(n_experts * one * (1 - one) + pairs * (both - one**2), 0.0))


def most_active(n_experts: int, n_chosen: int, n_tokens: Count) -> Number:
    """min(E, k B), reached where no two tokens share an expert.

    Args:
        n_experts: E.
        n_chosen: k.
        n_tokens: B, one or several.

    Raises:
        ValueError: If `n_chosen` lies outside [1, n_experts], or a batch is below 0.
    """
    _check(n_experts, n_chosen, n_tokens)
    return _plain(np.minimum(n_experts, n_chosen * np.asarray(n_tokens, float)))


def expected_active_skewed(
    probabilities: Float[np.ndarray | Array, " experts"], n_tokens: Count
) -> Number:
    """E[N] for experts chosen with unequal probabilities by independent tokens.

    Args:
        probabilities: p_i, the share of tokens that choose expert i; see `choice_shares`.
        n_tokens: B, one or several.

    Raises:
        ValueError: If a probability lies outside [0, 1], they do not sum to a whole number of choices, or a batch is
            below 0.
    """
    p = np.asarray(probabilities, float)
    if not ((p >= 0) & (p <= 1)).all():
        bad = int(np.argmin((p >= 0) & (p <= 1)))
        raise ValueError(
            f"`probabilities` must lie between 0 and 1, but that of expert {bad} is {p[bad]:g}."
        )
    # Shares of single precision sum to k within 1e-7 for each expert.
    if round(p.sum()) < 1 or abs(p.sum() - round(p.sum())) > 1e-6 * len(p):
        raise ValueError(
            f"`probabilities` must sum to the experts that a token chooses, a whole number, but sum to {p.sum():g}."
        )
    _check(len(p), round(p.sum()), n_tokens)
    missed = (1 - p) ** np.asarray(n_tokens, float)[..., None]
    return _plain((1 - missed).sum(axis=-1))


def choice_counts(
    choices: Int[np.ndarray | Array, "*batch tokens chosen"], n_experts: int
) -> Int[np.ndarray, " experts"]:
    """How often each expert was chosen.

    Args:
        choices: Chosen experts of each token, as in `Routing.experts`.
        n_experts: E.

    Raises:
        ValueError: If a token chooses more experts than there are, or one that there is not.
    """
    found = np.asarray(choices)
    check_in_range(found.shape[-1], "choices", 1, n_experts, hint="So many experts can be chosen.")
    if found.size and not (found.min() >= 0 and found.max() < n_experts):
        bad = found.max() if found.max() >= n_experts else found.min()
        raise ValueError(
            f"`choices` must be numbers of experts, 0 to {n_experts - 1}, but one is {bad}."
        )
    return np.bincount(found.ravel(), minlength=n_experts)


def choice_shares(
    choices: Int[np.ndarray | Array, "*batch tokens chosen"], n_experts: int
) -> Float[np.ndarray, " experts"]:
    """p_i: share of tokens that chose each expert; sums to k.

    Args:
        choices: Chosen experts of each token, at least one token.
        n_experts: E.

    Raises:
        ValueError: As `choice_counts`, or if there is no token.
    """
    n_tokens = int(np.prod(np.shape(choices)[:-1]))
    check_at_least(n_tokens, 1, "tokens", "Shares of nothing are unknown.")
    return choice_counts(choices, n_experts) / n_tokens


def count_active(
    choices: Int[np.ndarray | Array, "*batch tokens chosen"], n_experts: int
) -> Int[np.ndarray, "*batch"]:
    """N of each batch: how many different experts its tokens chose.

    Args:
        choices: Chosen experts of each token of each batch.
        n_experts: E.

    Raises:
        ValueError: As `choice_counts`.
    """
    choice_counts(choices, n_experts)
    found = np.asarray(choices)
    chosen = np.zeros((*found.shape[:-2], n_experts), bool)
    flat = found.reshape(*found.shape[:-2], -1)
    np.put_along_axis(chosen, flat, True, axis=-1)
    return chosen.sum(axis=-1)


def load_evenness(counts: Int[np.ndarray | Array, " experts"]) -> float:
    """Entropy of the load over its largest value, log E: 1 where all experts serve alike, 0 where one serves alone.

    Args:
        counts: How often each expert was chosen.

    Raises:
        ValueError: If a count is negative, or all are zero.
    """
    share = _shares_of_load(counts)
    if len(share) == 1:
        return 1.0
    some = share[share > 0]
    return float(-(some * np.log(some)).sum() / np.log(len(share)))


def load_peak(counts: Int[np.ndarray | Array, " experts"]) -> float:
    """Load of the busiest expert over the mean: the capacity factor that drops nothing.

    Args:
        counts: How often each expert was chosen.

    Raises:
        ValueError: If a count is negative, or all are zero.
    """
    share = _shares_of_load(counts)
    return float(share.max() * len(share))


def _shares_of_load(counts) -> np.ndarray:
    load = np.asarray(counts, float)
    if load.size == 0 or load.min() < 0 or load.sum() <= 0:
        raise ValueError(
            f"`counts` must be at least 0 and not all 0, but are {np.asarray(counts).tolist()}."
        )
    return load / load.sum()


def _check(n_experts: int, n_chosen: int, n_tokens) -> None:
    check_in_range(
        n_chosen, "n_chosen", 1, n_experts, hint="A token chooses that many different experts."
    )
    check_at_least(int(np.min(n_tokens)), 0, "n_tokens")


def _plain(value) -> Number:
    return float(value) if np.ndim(value) == 0 else value
