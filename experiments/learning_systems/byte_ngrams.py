"""Interpolated Kneser-Ney n-grams of bytes: the baseline that a model of language has to beat.

    p_k(w | h) = max(c(h w) - D_k, 0) / c(h) + D_k N(h) / c(h) p_{k-1}(w | h'),      D_k = n_1 / (n_1 + 2 n_2)

with h the k - 1 bytes before, h' h without its first, c(h) the sum of c(h w) over w, N(h) how many different w were
seen after h, and n_1, n_2 the n-grams of order k seen once and twice. At the highest order c counts occurrences, below
it how many different bytes were seen before (h w). Below order 1 every byte has 1 / 256.

Sources: R. Kneser, H. Ney, ICASSP (1995), DOI 10.1109/ICASSP.1995.479394; S. F. Chen, J. Goodman, Computer Speech and
Language 13, 359 (1999), DOI 10.1006/csla.1999.0128 (interpolation, discount by order).
"""

from dataclasses import dataclass

import numpy as np

MOST = 8  # bytes that one 64-bit number holds


@dataclass(frozen=True)
class _Order:
    """n-grams of one order; an n-gram is the number its bytes write, the first byte the highest.

    Attributes:
        grams: Those seen, rising.
        counts: c of each.
        contexts: Their first bytes, each once, rising.
        totals: c(h) of each context.
        followers: N(h) of each.
        discount: D.
    """

    grams: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray
    followers: np.ndarray
    discount: float


@dataclass(frozen=True)
class ByteNgrams:
    """Counts of all orders, the first first."""

    orders: tuple[_Order, ...]

    def probabilities(self, text: np.ndarray, first: int) -> np.ndarray:
        """Probability of each byte given those before it.

        Args:
            text: Bytes.
            first: The first byte that is asked for; has at least `order` - 1 before it.
        """
        n = len(self.orders)
        if first < n - 1:
            raise ValueError(f"`first` must be at least {n - 1}, but is {first}.")
        p = np.full(len(text) - first, 1 / 256)
        for k, table in enumerate(self.orders, start=1):
            grams = _grams(text, k)[first - k + 1 :]
            count = _look_up(table.grams, table.counts, grams)
            context = grams >> np.uint64(8)
            total = _look_up(table.contexts, table.totals, context)
            followers = _look_up(table.contexts, table.followers, context)
            seen = total > 0
            total = np.where(seen, total, 1)
            own = np.maximum(count - table.discount, 0) / total
            p = np.where(seen, own + table.discount * followers / total * p, p)
        return p


def count_ngrams(text: np.ndarray, order: int) -> ByteNgrams:
    """Counts the n-grams of a text.

    Args:
        text: Bytes, more than `order`.
        order: Bytes in the longest, 1 to 8.

    Raises:
        ValueError: If the order is out of range or the text too short.
    """
    if not 1 <= order <= MOST:
        raise ValueError(f"`order` must lie between 1 and {MOST}, but is {order}.")
    if len(text) <= order:
        raise ValueError(f"`text` must have more than {order} bytes, but has {len(text)}.")
    grams, counts = np.unique(_grams(text, order), return_counts=True)
    found = [_tabulate(grams, counts)]
    for k in range(order - 1, 0, -1):
        # Each different longer n-gram counts once for its last k bytes.
        last = grams & np.uint64((1 << (8 * k)) - 1)
        grams, counts = np.unique(last, return_counts=True)
        found.append(_tabulate(grams, counts))
    return ByteNgrams(tuple(reversed(found)))


def _tabulate(grams: np.ndarray, counts: np.ndarray) -> _Order:
    contexts, starts = np.unique(grams >> np.uint64(8), return_index=True)
    once, twice = int(np.sum(counts == 1)), int(np.sum(counts == 2))
    # Where nothing is seen once the rule gives 0, and what was never seen would have no chance: 1/2 is our choice.
    discount = once / (once + 2 * twice) if once else 0.5
    followers = np.diff(np.append(starts, len(grams)))
    return _Order(grams, counts, contexts, np.add.reduceat(counts, starts), followers, discount)


def _grams(text: np.ndarray, k: int) -> np.ndarray:
    """All runs of k bytes as numbers."""
    wide = text.astype(np.uint64)
    n = len(text) - k + 1
    found = np.zeros(n, np.uint64)
    for i in range(k):
        found = (found << np.uint64(8)) | wide[i : i + n]
    return found


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values by key, 0 where there is none."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)
