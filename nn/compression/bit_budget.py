"""Bits for each part of a model under a budget of bytes (a knapsack with one choice for each part).

    minimise  sum_i f_i e_i(b_i)   subject to   sum_i bytes_i(b_i) <= budget

with e_i(b) what part i (a layer, an expert) costs in loss at b bits and f_i how often it is used, 1 for a layer. Two
solvers: exact, by dynamic programming over bytes in units of their greatest common divisor; and greedy on the lower
convex hulls, which is Lagrange's solution for the prices at which one part changes, then filled up with what still
fits. Before it is filled up the greedy one is optimal for the bytes it uses; `bound` says how far off it can be.

Costs: `trace_costs`, half the trace of the Hessian of the loss over the part times the mean squared error of rounding
(sensitivity by the trace: Z. Dong et al., arXiv 1911.03852), or losses measured one part at a time. Experts by how
often they are chosen: our choice. H. Everett, Oper. Res. 11, 399 (1963), for the bound by Lagrange's multiplier.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from nn._checks import check_axis, check_choice, check_finite

_MOST_CELLS = 2**24  # parts x units of the table of the exact solver, some 100 MB


class BitPlan(NamedTuple):
    """Bits of each part.

    Attributes:
        choice: Which of the options each part has.
        cost: Sum of the costs.
        n_bytes: Sum of the bytes; at most the budget.
        bound: No choice within the budget costs less; equal to `cost` where that is optimal.
    """

    choice: Int[np.ndarray, " parts"]
    cost: float
    n_bytes: int
    bound: float


def choose_bits(
    costs: Float[np.ndarray, "parts options"],
    n_bytes: Int[np.ndarray, "_ _"],
    budget: int,
    *,
    uses: Float[np.ndarray, " _"] | None = None,
    method: str = "exact",
) -> BitPlan:
    """The options of least cost that fit the budget.

    Args:
        costs: What each option of each part costs.
        n_bytes: Its bytes.
        budget: Bytes there are.
        uses: How often each part is used, a factor of its costs; None for 1. An expert never chosen has 0.
        method: "exact" or "greedy".

    Raises:
        ValueError: If the budget is below the bytes of the smallest options, or too large a table would be needed for
            "exact"; if sizes do not fit, a cost is not finite, bytes or uses are negative, or there is no such method.
    """
    check_choice(method, "method", ("exact", "greedy"))
    parts, options = costs.shape
    for axis, size in enumerate((parts, options)):
        check_axis(n_bytes, "n_bytes", axis, size, "One number for each option of each part.")
    check_finite(costs, "costs")
    _check_not_negative(n_bytes, "n_bytes")
    if uses is not None:
        check_axis(uses, "uses", 0, parts, "One for each part.")
        check_finite(uses, "uses")
        _check_not_negative(uses, "uses")
        costs = costs * uses[:, None]
    least = int(n_bytes.min(axis=1).sum())
    if budget < least:
        raise ValueError(
            f"`budget` must be at least {least} bytes, the smallest options of all parts, but is {budget}."
        )
    choice, bound = (_exact if method == "exact" else _greedy)(costs, n_bytes, int(budget))
    taken = np.arange(parts), choice
    cost = float(costs[taken].sum())
    return BitPlan(choice, cost, int(n_bytes[taken].sum()), cost if bound is None else bound)


def trace_costs(
    traces: Float[np.ndarray, " parts"],
    squared_errors: Float[np.ndarray, "parts options"],
) -> Float[np.ndarray, "parts options"]:
    """tr(H_i) / 2 times the mean squared error of the weights of part i, for each option.

    Args:
        traces: Trace of the Hessian of the loss with respect to the weights of each part.
        squared_errors: Mean squared change of a weight.

    Raises:
        ValueError: If sizes do not fit, or a number is negative or not finite.
    """
    check_axis(squared_errors, "squared_errors", 0, len(traces), "One row for each part.")
    for array, name in ((traces, "traces"), (squared_errors, "squared_errors")):
        check_finite(array, name)
        _check_not_negative(array, name)
    return traces[:, None] * squared_errors / 2


def _exact(costs, n_bytes, budget: int):
    """Part by part: the least cost for every number of units spent so far."""
    spare = n_bytes - n_bytes.min(axis=1, keepdims=True)
    room = min(budget - int(n_bytes.min(axis=1).sum()), int(spare.max(axis=1).sum()))
    unit = math.gcd(*map(int, spare.ravel())) or 1
    weights, room = spare // unit, room // unit
    if len(costs) * (room + 1) > _MOST_CELLS:
        raise ValueError(
            f"`method` must be greedy for {len(costs)} parts and {room + 1} steps of {unit} bytes, which exact cannot "
            f"hold in a table of {_MOST_CELLS} entries, but is exact."
        )
    best = np.zeros(room + 1)
    taken = np.empty((len(costs), room + 1), np.int32)
    for part, (cost, weight) in enumerate(zip(costs, weights, strict=True)):
        found = np.full((len(cost), room + 1), np.inf)
        for option, (value, need) in enumerate(zip(cost, weight, strict=True)):
            if need <= room:
                found[option, need:] = best[: room + 1 - need] + value
        taken[part] = found.argmin(axis=0)
        best = found.min(axis=0)
    choice = np.empty(len(costs), int)
    left = room
    for part in reversed(range(len(costs))):
        choice[part] = taken[part, left]
        left -= weights[part, choice[part]]
    return choice, None


def _greedy(costs, n_bytes, budget: int):
    """Steps along the hulls, the most saved for a byte first, as long as they fit; then any that still do."""
    choice = np.array([_cheapest(n, c) for n, c in zip(n_bytes, costs, strict=True)])
    rows = np.arange(len(costs))
    left = budget - int(n_bytes[rows, choice].sum())
    steps = []
    for part in rows:
        hull = _hull(n_bytes[part], costs[part], int(choice[part]))
        for old, new in itertools.pairwise(hull):
            saved = costs[part, old] - costs[part, new]
            steps.append((saved / (n_bytes[part, new] - n_bytes[part, old]), part, new))
    bound = float(costs[rows, choice].sum())
    stuck = np.zeros(len(costs), bool)
    is_first = True
    # Slopes fall along each hull, so that the order of one part is kept.
    for slope, part, new in sorted(steps, key=lambda step: -step[0]):
        need = int(n_bytes[part, new] - n_bytes[part, choice[part]])
        if is_first:
            # Fractions of a step were allowed: the bound of Lagrange.
            bound -= slope * min(need, left)
            is_first = need <= left
        if need <= left and not stuck[part]:
            choice[part], left = new, left - need
        else:
            stuck[part] = True
    return _filled(choice, left, costs, n_bytes), bound


def _filled(choice, left: int, costs, n_bytes):
    """Any option, on a hull or not, that saves something and still fits, the most saved first."""
    rows = np.arange(len(costs))
    while True:
        saved = costs[rows, choice][:, None] - costs
        need = n_bytes - n_bytes[rows, choice][:, None]
        saved = np.where(need <= left, saved, 0)
        part, option = np.unravel_index(saved.argmax(), saved.shape)
        if saved[part, option] <= 0:
            return choice
        left -= int(need[part, option])
        choice[part] = option


def _cheapest(n_bytes, costs) -> int:
    """The smallest option, the cheaper of equal ones."""
    return int(np.lexsort((costs, n_bytes))[0])


def _hull(n_bytes, costs, start: int) -> list[int]:
    """Options on the lower convex hull of cost against bytes, from the smallest on, as long as cost falls."""
    hull = [start]
    while True:
        here = hull[-1]
        more = np.flatnonzero((n_bytes > n_bytes[here]) & (costs < costs[here]))
        if not more.size:
            return hull
        slopes = (costs[here] - costs[more]) / (n_bytes[more] - n_bytes[here])
        steepest = more[slopes == slopes.max()]
        hull.append(int(steepest[np.argmax(n_bytes[steepest])]))


def _check_not_negative(array, name: str) -> None:
    if np.min(array) < 0:
        raise ValueError(f"`{name}` must not be negative, but has {np.min(array):g}.")
