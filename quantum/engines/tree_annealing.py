"""Annealing of contraction trees, with slices chosen on the way, compiled so that minutes on two cores suffice.

A tree says in which order the tensors of a network are contracted pairwise. With all indices of size 2 and S the sliced
ones, the work in complex multiply-adds and the width, log2 of the elements of a tensor, are

    work = 2^|S| sum over contractions (l, r) of 2^|(legs(l) + legs(r)) - S|,    width(node) = |legs(node) - S|

A move turns ((a, b), s) into ((a, s), b). The legs of the new node follow without a walk through the tree, also where
one index stands on many tensors: legs(a, s) = (legs(a) + legs(s)) & (legs(b) + legs(parent)), since what is open
outside the new node is open in its sibling or outside their parent. A move is accepted by Metropolis' rule for the
change of log2 of the work of its two contractions, and never where it makes a node wider than the limit and than
before; in the first rounds the limit comes down from the width at the start. Between rounds some slices are given back
at random and new ones taken, each time the index of the widest node that takes part in most of the work, until the
limit holds; whichever set of slices is cheaper stays. The best tree seen is returned, so that the result is never
worse than the start, sliced in the same way.

Sources: G. Kalachev, P. Panteleev, M.-H. Yung, arXiv:2108.05665 (annealing by local rotations); J. Gray and S. Kourtis,
Quantum 5, 410 (2021), DOI 10.22331/q-2021-03-15-410 (greedy slicing). Google Quantum AI and collaborators, Nature
646, 825 (2025), DOI 10.1038/s41586-025-09526-6, used an annealer of this kind, TNCO, for Fig. 4c; its code is not used.
Left out: reuse of what slices share, and moves that change more than two contractions.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, no_type_check

import numba
import numpy as np

from quantum._checks import check_count

# Temperatures in units of log2 of the work of two contractions, and the share of the rounds in which the limit comes
# down; found on one circuit of 65 qubits with 20,000 sweeps (our choice).
_HOT, _COLD = 0.5, 0.1
_RAMP = 0.5
_SWEEPS_PER_ROUND = 20
_SLICES_GIVEN_BACK = 3
_WORD = 64
_ONE = np.uint64(1)
# The import hook of the tests must leave compiled functions alone, hence `no_type_check` below each of them.
_compiled: Any = numba.njit(cache=True)


@dataclass(frozen=True)
class AnnealedTree:
    """A contraction tree and its slices.

    Attributes:
        path: Pairs of tensors in the order of contraction; results are numbered on from the last tensor.
        sliced: Indices that are fixed and summed over outside.
        log2_work: log2 of the complex multiply-adds, all slices together.
        width: log2 of the elements of the largest intermediate tensor.
    """

    path: tuple[tuple[int, int], ...]
    sliced: tuple[str, ...]
    log2_work: float
    width: int


def anneal_tree(
    inputs: Sequence[Sequence[str]],
    output: Sequence[str],
    path: Sequence[tuple[int, int]],
    *,
    sweeps: int,
    seed: int = 0,
    max_width: int | None = None,
) -> AnnealedTree:
    """Anneals a contraction tree, every index of size 2.

    Args:
        inputs: Indices of every tensor; at least two tensors.
        output: Indices left open; they are never sliced.
        path: The tree to start from, as in `AnnealedTree`.
        sweeps: Moves tried, in units of the number of contractions; 0 only slices.
        seed: Seed of the moves.
        max_width: Limit on the width of every intermediate tensor; None for no limit, and no slices.

    Raises:
        ValueError: If there are less than two tensors, the path is not a tree over them, or the limit is below the
            number of open indices.
    """
    check_count(sweeps, "sweeps", 0)
    if len(inputs) < 2 or len(path) != len(inputs) - 1:
        raise ValueError(
            f"`path` must hold one contraction less than there are tensors, at least one, but holds {len(path)} for "
            f"{len(inputs)}."
        )
    if max_width is not None and max_width < max(len(output), 1):
        raise ValueError(
            f"`max_width` must be at least {max(len(output), 1)} here, but is {max_width}; "
            f"open indices cannot be sliced."
        )
    names = sorted({name for tensor in inputs for name in tensor})
    bits = {name: number for number, name in enumerate(names)}
    children, parents, legs = _tree(inputs, output, path, bits)
    sliceable = _mask([bits[name] for name in names if name not in set(output)], legs.shape[1])
    width = len(names) if max_width is None else max_width
    rounds = -(-sweeps // _SWEEPS_PER_ROUND)
    rng = np.random.default_rng(seed)
    moves = len(path) * min(sweeps, _SWEEPS_PER_ROUND)
    work, children, free = _anneal(
        children, parents, legs, sliceable, width, _HOT, _COLD, rounds, moves, rng
    )
    legs = _legs(inputs, output, children, bits)
    _, widest = _work_and_width(children, legs, free)
    sliced = tuple(
        name for name in names if not int(free[bits[name] // _WORD]) >> bits[name] % _WORD & 1
    )
    return AnnealedTree(_path(children), sliced, float(work), int(widest))


def _mask(numbers: Sequence[int], n_words: int) -> np.ndarray:
    words = [0] * n_words
    for number in numbers:
        words[number // _WORD] |= 1 << number % _WORD
    return np.array(words, dtype=np.uint64)


def _tree(inputs, output, path, bits) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n_nodes = len(inputs) + len(path)
    children = np.full((n_nodes, 2), -1)
    parents = np.full(n_nodes, -1)
    for number, pair in enumerate(path):
        node = len(inputs) + number
        if len(set(pair)) != 2 or not all(0 <= c < node and parents[c] < 0 for c in pair):
            raise ValueError(
                f"`path` must contract two tensors that are still there, but pair {number} is {tuple(pair)}."
            )
        children[node] = pair
        parents[list(pair)] = node
    return children, parents, _legs(inputs, output, children, bits)


def _legs(inputs, output, children: np.ndarray, bits: dict[str, int]) -> np.ndarray:
    """Open indices of every node as bits, by counting on how many tensors below it each index stands."""
    everywhere = Counter(name for tensor in (*inputs, output) for name in set(tensor))
    below = [Counter(set(tensor)) for tensor in inputs] + [Counter()] * (len(inputs) - 1)
    n_words = -(-len(bits) // _WORD)
    legs = np.zeros((len(children), n_words), dtype=np.uint64)
    for node in _from_the_leaves(children):
        a, b = children[node]
        if a >= 0:
            both = below[a] + below[b]
            below[node] = Counter({n: c for n, c in both.items() if c < everywhere[n]})
            below[a] = below[b] = Counter()
        legs[node] = _mask([bits[name] for name in below[node]], n_words)
    return legs


def _from_the_leaves(children: np.ndarray) -> list[int]:
    """All nodes, each after its children."""
    root = (set(range(len(children))) - set(children[children >= 0].tolist())).pop()
    order, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting += [int(c) for c in children[node] if c >= 0]
    return order[::-1]


def _path(children: np.ndarray) -> tuple[tuple[int, int], ...]:
    n_leaves = (len(children) + 1) // 2
    number = {leaf: leaf for leaf in range(n_leaves)}
    path: list[tuple[int, int]] = []
    for node in _from_the_leaves(children):
        if node >= n_leaves:
            a, b = children[node]
            path.append((number[int(a)], number[int(b)]))
            number[node] = n_leaves + len(path) - 1
    return tuple(path)


@_compiled
@no_type_check
def _count(word):
    """Number of bits that are set; the compiler knows this form."""
    word = word - ((word >> _ONE) & np.uint64(0x5555555555555555))
    pairs = np.uint64(0x3333333333333333)
    word = (word & pairs) + ((word >> np.uint64(2)) & pairs)
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@_compiled
@no_type_check
def _costs(children, legs, free):
    """log2 of the work of every contraction of one slice, and the width of its result."""
    n_leaves = (len(legs) + 1) // 2
    work = np.zeros(len(legs), np.int64)
    width = np.zeros(len(legs), np.int64)
    for node in range(n_leaves, len(legs)):
        a, b = children[node]
        for k in range(legs.shape[1]):
            work[node] += _count((legs[a, k] | legs[b, k]) & free[k])
            width[node] += _count(legs[node, k] & free[k])
    return work, width


@_compiled
@no_type_check
def _work_and_width(children, legs, free):
    n_leaves = (len(legs) + 1) // 2
    work, width = _costs(children, legs, free)
    total = 0.0
    for node in range(n_leaves, len(legs)):
        total += 2.0 ** work[node]
    slices = 0
    for k in range(len(free)):
        slices += _count(~free[k])
    return math.log2(total) + slices, width.max()


@_compiled
@no_type_check
def _slice(children, legs, free, sliceable, max_width):
    """Takes slices until no node is wider than the limit; changes `free`."""
    n_leaves = (len(legs) + 1) // 2
    log_work, width = _costs(children, legs, free)
    work = 2.0**log_work
    saved = np.zeros(legs.shape[1] * 64)
    while width.max() > max_width:
        widest = np.argmax(width)
        saved[:] = 0
        for node in range(n_leaves, len(legs)):
            a, b = children[node]
            for k in range(legs.shape[1]):
                word = (legs[a, k] | legs[b, k]) & legs[widest, k] & free[k] & sliceable[k]
                while word != np.uint64(0):
                    lowest = word & (~word + _ONE)
                    saved[64 * k + _count(lowest - _ONE)] += work[node]
                    word ^= lowest
        best = np.argmax(saved)
        bit = _ONE << np.uint64(best % 64)
        free[best // 64] &= ~bit
        for node in range(n_leaves, len(legs)):
            a, b = children[node]
            if (legs[a, best // 64] | legs[b, best // 64]) & bit:
                work[node] /= 2
            if legs[node, best // 64] & bit:
                width[node] -= 1


@_compiled
@no_type_check
def _give_back(free, n_given, rng):
    """Makes some sliced indices, drawn at random, whole again; changes `free`."""
    for _ in range(n_given):
        slices = 0
        for k in range(len(free)):
            slices += _count(~free[k])
        if slices == 0:
            return
        drawn = int(rng.random() * slices)
        for k in range(len(free)):
            here = _count(~free[k])
            if drawn < here:
                word = ~free[k]
                for _ in range(drawn):
                    word &= word - _ONE
                free[k] |= word & (~word + _ONE)
                break
            drawn -= here


@_compiled
@no_type_check
def _move(children, parents, legs, free, max_width, temperature, rng):
    """Tries one rotation at a node drawn at random."""
    n_leaves = (len(legs) + 1) // 2
    parent = n_leaves + int(rng.random() * (n_leaves - 1))
    side = int(rng.random() * 2)
    node, s = children[parent, side], children[parent, 1 - side]
    if node < n_leaves:
        return
    other = int(rng.random() * 2)
    a, b = children[node, other], children[node, 1 - other]
    low = high = new_low = new_high = width = new_width = 0
    for k in range(legs.shape[1]):
        new = (legs[a, k] | legs[s, k]) & (legs[b, k] | legs[parent, k])
        low += _count((legs[a, k] | legs[b, k]) & free[k])
        high += _count((legs[node, k] | legs[s, k]) & free[k])
        new_low += _count((legs[a, k] | legs[s, k]) & free[k])
        new_high += _count((new | legs[b, k]) & free[k])
        width += _count(legs[node, k] & free[k])
        new_width += _count(new & free[k])
    if new_width > max_width and new_width > width:
        return
    # log2 of the sum of both contractions, without a sum that could overflow.
    change = max(new_low, new_high) + math.log2(1 + 2.0 ** -abs(new_low - new_high))
    change -= max(low, high) + math.log2(1 + 2.0 ** -abs(low - high))
    if change <= 0 or rng.random() < math.exp(-change / temperature):
        for k in range(legs.shape[1]):
            legs[node, k] = (legs[a, k] | legs[s, k]) & (legs[b, k] | legs[parent, k])
        children[node] = (a, s)
        children[parent] = (node, b)
        parents[s], parents[b] = node, parent


@_compiled
@no_type_check
def _anneal(children, parents, legs, sliceable, max_width, hot, cold, rounds, moves, rng):
    free = np.full(legs.shape[1], ~np.uint64(0))
    _slice(children, legs, free, sliceable, max_width)
    work, _ = _work_and_width(children, legs, free)
    best, best_children, best_free = work, children.copy(), free.copy()
    free[:] = ~np.uint64(0)
    _, widest = _work_and_width(children, legs, free)
    above = max(widest - max_width, 0)
    for number in range(rounds):
        done = number / max(rounds - 1, 1)
        temperature = hot * (cold / hot) ** done
        limit = max_width + int(above * max(1 - done / _RAMP, 0.0))
        for _ in range(moves):
            _move(children, parents, legs, free, limit, temperature, rng)
        _slice(children, legs, free, sliceable, limit)
        work, _ = _work_and_width(children, legs, free)
        other = free.copy()
        _give_back(other, _SLICES_GIVEN_BACK, rng)
        _slice(children, legs, other, sliceable, limit)
        other_work, _ = _work_and_width(children, legs, other)
        if other_work <= work:
            work, free = other_work, other
        if limit == max_width and work < best:
            best, best_children, best_free = work, children.copy(), free.copy()
    return best, best_children, best_free
