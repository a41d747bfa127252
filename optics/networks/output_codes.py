"""Error-correcting output codes: a task of many classes as several small ones, put together by the nearest code word.

Each class c gets a word code[c] of B symbols out of K; sub-task b is to tell the symbol code[c, b]. A word whose
symbols are read with at most floor((d - 1) / 2) mistakes is still nearest to its own class, d being the least Hamming
distance between two words. T. G. Dietterich, G. Bakiri, J. Artif. Intell. Res. 2, 263 (1995), DOI 10.1613/jair.105;
soft decoding in the sense of E. L. Allwein, R. E. Schapire, Y. Singer, J. Mach. Learn. Res. 1, 113 (2000).

`make_output_code` draws linear codes, word = message G mod K, and keeps the one of the largest distance. The first
columns of G are the identity, so all words differ. Sub-tasks of one block are all different; there are K^k - 1 of them
for messages of k symbols, and a longer code gets further blocks in which the classes are dealt anew.
Left out: algebraic constructions (BCH) and codes fitted to which classes are alike.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from optics._checks import check_shape
from optics._numbers import refuse_traced_key, takes_numbers

Code = Int[np.ndarray, "classes length"]


def least_length(n_classes: int, n_symbols: int = 2) -> int:
    """Fewest sub-tasks that can tell all classes apart, ceil(log_K C): 11 for 1,623 classes and two symbols."""
    _check_counts(n_classes, n_symbols)
    length, words = 1, n_symbols
    while words < n_classes:
        length, words = length + 1, words * n_symbols
    return length


def make_output_code(
    n_classes: int,
    length: int,
    *,
    key: PRNGKeyArray,
    n_symbols: int = 2,
    n_trials: int = 256,
) -> Code:
    """Draws codes and keeps the one with the largest least distance, then with the fewest pairs at that distance.

    Args:
        n_classes: Number of classes C, at least 2.
        length: Number of sub-tasks B, at least `least_length(n_classes, n_symbols)`.
        key: PRNG key of the draws.
        n_symbols: Symbols K a sub-task tells apart.
        n_trials: How many codes are drawn.

    Returns:
        Words, one a class, of symbols 0 ... K - 1; no column is constant, no two words are equal.

    Raises:
        ValueError: If the code is too short for the classes, or a count is too small.
    """
    shortest = least_length(n_classes, n_symbols)
    if length < shortest:
        raise ValueError(
            f"`length` must be at least {shortest} to tell {n_classes} classes apart with {n_symbols} symbols, "
            f"but is {length}."
        )
    if n_trials < 1:
        raise ValueError(f"`n_trials` must be at least 1, but is {n_trials}.")
    refuse_traced_key(key)
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    best, best_score = None, (-1, 0)
    for _ in range(n_trials):
        code = _draw(random, n_classes, length, n_symbols, shortest)
        distance, pairs = _distance_and_pairs(code)
        constant = bool(np.any(np.ptp(code, axis=0) == 0))
        if (distance, -pairs) > best_score and not constant:
            best, best_score = code, (distance, -pairs)
    if best is None:
        # A column can only be constant if few messages are in use; the digits of the class number never are.
        return _spread(n_classes, length, n_symbols, shortest)
    return best


def _draw(random, n_classes: int, length: int, n_symbols: int, message_length: int) -> np.ndarray:
    """Blocks of words message @ generator mod K, each with its own deal of messages to classes."""
    n_messages = n_symbols**message_length
    blocks, left = [], length
    while left > 0:
        messages = _digits(random.permutation(n_messages)[:n_classes], n_symbols, message_length)
        unit = n_symbols ** np.arange(message_length)
        others = random.permutation(np.setdiff1d(np.arange(1, n_messages), unit))
        # The identity first, in every block, so that the first block alone tells all classes apart.
        columns = np.concatenate([unit, others])[:left]
        generator = _digits(columns, n_symbols, message_length).T
        blocks.append(messages @ generator % n_symbols)
        left -= len(columns)
    return np.concatenate(blocks, axis=1).astype(np.int32)


def _spread(n_classes: int, length: int, n_symbols: int, message_length: int) -> np.ndarray:
    words = _digits(np.arange(n_classes), n_symbols, message_length)
    return words[:, np.arange(length) % message_length].astype(np.int32)


def _digits(numbers: np.ndarray, base: int, n_digits: int) -> np.ndarray:
    """Digits of each number, the least significant first, shape (numbers, digits)."""
    return numbers[:, None] // base ** np.arange(n_digits) % base


def one_vs_rest_code(n_classes: int) -> Code:
    """One binary sub-task a class: the identity matrix, of distance 2."""
    _check_counts(n_classes, 2)
    return np.eye(n_classes, dtype=np.int32)


def direct_code(n_classes: int, length: int = 1) -> Code:
    """Every sub-task tells all classes apart: K = C symbols, the word of class c is c repeated, distance B."""
    _check_counts(n_classes, 2)
    return np.repeat(np.arange(n_classes, dtype=np.int32)[:, None], length, axis=1)


@takes_numbers
def minimum_distance(code: Code) -> int:
    """Least Hamming distance between two words."""
    return _distance_and_pairs(code)[0]


@takes_numbers
def n_correctable(code: Code) -> int:
    """How many wrong symbols a word may hold and still be nearest to its class, floor((d - 1) / 2)."""
    return max(0, (minimum_distance(code) - 1) // 2)


def _distance_and_pairs(code: np.ndarray) -> tuple[int, int]:
    hot = np.eye(int(code.max()) + 1, dtype=np.float32)[code].reshape(len(code), -1)
    distance = code.shape[1] - np.rint(hot @ hot.T).astype(int)
    between = distance[np.triu_indices(len(code), 1)]
    return int(between.min()), int(np.sum(between == between.min()))


@takes_numbers
def decode_hard(
    code: Int[Array, "classes length"], symbols: Int[Array, "*batch read"]
) -> Int[Array, "*batch"]:
    """Class whose word differs in the fewest places; of several, the one with the lowest number."""
    check_shape(symbols, "symbols", (code.shape[1],), "One symbol a sub-task.")
    wrong = symbols[..., None, :] != code.reshape((1,) * (symbols.ndim - 1) + code.shape)
    return jnp.argmin(jnp.sum(wrong, axis=-1), axis=-1)


@takes_numbers
def decode_soft(
    code: Int[Array, "classes length"], log_probabilities: Float[Array, "*batch read symbols"]
) -> Float[Array, "*batch classes"]:
    """Log likelihood of each class if the sub-tasks err independently: sum over b of log p_b(code[c, b]).

    Args:
        code: Words.
        log_probabilities: Log probability of each symbol, by sub-task.
    """
    length, n_symbols = log_probabilities.shape[-2:]
    if length != code.shape[1]:
        raise ValueError(
            f"`log_probabilities` must have {code.shape[1]} sub-tasks, but has {length}."
        )
    hot = jax.nn.one_hot(code, n_symbols, dtype=log_probabilities.dtype)
    flat = log_probabilities.reshape(*log_probabilities.shape[:-2], length * n_symbols)
    return flat @ hot.reshape(code.shape[0], -1).T


def _check_counts(n_classes: int, n_symbols: int) -> None:
    for name, value in (("n_classes", n_classes), ("n_symbols", n_symbols)):
        if value < 2:
            raise ValueError(f"`{name}` must be at least 2, but is {value}.")
