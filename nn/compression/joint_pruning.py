"""Which units of a model go for a budget of work, units of several kinds together: heads, hidden units, width.

Every unit has a gate g_u, 1 where it stays and 0 where it is gone. By the Taylor series of the loss at all gates open,

    worth of unit u            I_u = mean over batches of (dL / dg_u)^2            ranks units within a kind
    removing shares a_i        dL = 1/2 sum_ij a_i a_j H_ij                        says how much of each kind goes
    of the units of kind i     H_ij = sum over units u of kind i, v of kind j of d^2 L / dg_u dg_v

and the shares are those of least dL whose work fits the budget: kinds are pruned jointly, through the terms i != j,
where criteria before asked each kind alone. `remove_by_threshold` (one threshold on I_u over all kinds) and
`equal_shares` are such criteria, for comparison.

Source: C. Zheng et al., "SAViT", NeurIPS 2022, and its release, of which the three formulas are. Theirs: first order
left out of dL, worth by squared gradients of batches, shares by evolution. Ours: H is the whole sum (they sample pairs
of layers and weigh by numbers of parameters), shares are searched on a grid, and curvature may be the empirical Fisher
matrix (`fisher_curvature`), which unlike H is never negative. They train on after pruning; that is left to
the caller.
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nn._checks import check_at_least, check_in_range

Gates = dict[str, Array]
Work = Callable[[dict[str, Any]], Any]


def gate_slopes(
    loss: Callable[[Gates, Any], Float[Array, ""]], gates: Gates, batches: Any
) -> Gates:
    """dL / dg of every gate for every batch, along a first axis; meant to be called within `jit`.

    Args:
        loss: (gates, batch) -> loss.
        gates: Open gates of each kind, of any shape.
        batches: Pytree of arrays with the batches along a first axis; batches of one row give the Fisher information.
    """
    return jax.lax.map(lambda batch: jax.grad(loss)(gates, batch), batches)


def taylor_worth(slopes: Gates) -> Gates:
    """I_u of every unit: mean square of its slopes.

    Args:
        slopes: See `gate_slopes`.
    """
    return {kind: jnp.square(slope).mean(axis=0) for kind, slope in slopes.items()}


def fisher_curvature(slopes: Gates) -> Float[Array, "kinds kinds"]:
    """Mean of products of the summed slopes of two kinds, which are taken in the order of their names.

    Args:
        slopes: See `gate_slopes`, of batches of one row.
    """
    sums = [slopes[kind].reshape(len(slopes[kind]), -1).sum(axis=-1) for kind in sorted(slopes)]
    total = jnp.stack(sums, axis=-1)
    return total.T @ total / len(total)


def joint_curvature(
    loss: Callable[[Gates, Any], Float[Array, ""]], gates: Gates, batch: Any
) -> Float[Array, "kinds kinds"]:
    """H_ij, kinds in the order of their names; meant to be called within `jit`.

    Args:
        loss: (gates, batch) -> loss.
        gates: Open gates of each kind.
        batch: One batch.
    """
    kinds = sorted(gates)
    # All gates of a kind move alike: one row for each kind.
    moves = {
        kind: jnp.stack([jnp.full_like(gate, kind == other) for other in kinds])
        for kind, gate in gates.items()
    }
    slope = jax.grad(lambda gates: loss(gates, batch))

    def row(move):
        turn = jax.jvp(slope, (gates,), (move,))[1]
        return jnp.stack([turn[kind].sum() for kind in kinds])

    found = jax.vmap(row)(moves)
    return (found + found.T) / 2


def joint_shares(
    curvature: Float[np.ndarray | Array, "kinds kinds"],
    sizes: dict[str, int],
    work: Work,
    budget: float | int,
    *,
    most: float = 0.9,
    steps: int = 36,
) -> dict[str, float]:
    """Shares of each kind to remove: the least 1/2 a H a within the budget; of equal ones those that leave most work.

    Args:
        curvature: H_ij, kinds in the order of their names; see `joint_curvature` and `fisher_curvature`.
        sizes: Units of each kind.
        work: {kind: units left} -> work; takes arrays.
        budget: Most work.
        most: Largest share of any kind, our choice; a model without a kind is no model.
        steps: Steps of the grid between 0 and `most`.

    Raises:
        ValueError: If the budget is below the work that is left at most, or `most` lies outside (0, 1).
    """
    check_in_range(most, "most", 0, 1)
    check_at_least(steps, 1, "steps")
    axis, kinds = np.linspace(0, most, steps + 1), sorted(sizes)
    grid = np.array(list(itertools.product(axis, repeat=len(kinds))))
    left = {kind: sizes[kind] - _removed(grid[:, i], sizes[kind]) for i, kind in enumerate(kinds)}
    needed = np.asarray(work(left), float)
    _check_budget(budget, float(needed.min()), float(needed.max()))
    loss = np.einsum("si,ij,sj->s", grid, np.asarray(curvature, float), grid) / 2
    fits = needed <= budget
    best = np.lexsort((-needed[fits], loss[fits]))[0]
    return dict(zip(kinds, grid[fits][best].tolist(), strict=True))


def equal_shares(
    sizes: dict[str, int], work: Work, budget: float | int, *, most: float = 0.9
) -> dict[str, float]:
    """The same share of every kind, the smallest that fits the budget.

    Args:
        sizes: Units of each kind.
        work: {kind: units left} -> work; takes arrays.
        budget: Most work.
        most: Largest share; the search takes 360 steps up to it.

    Raises:
        ValueError: If the budget is below the work that is left at most.
    """
    check_in_range(most, "most", 0, 1)
    axis = np.linspace(0, most, 361)
    needed = np.asarray(work({kind: size - _removed(axis, size) for kind, size in sizes.items()}))
    _check_budget(budget, float(needed.min()), float(needed.max()))
    return dict.fromkeys(sizes, float(axis[np.argmax(needed <= budget)]))


def remove_shares(worth: dict[str, Any], shares: dict[str, float]) -> dict[str, np.ndarray]:
    """Gates with a share of each kind closed, those of least worth; of equal ones the later go.

    A kind is ranked over all its layers (rows) together; the best unit of a layer stays in any case.

    Args:
        worth: Worth of the units of each kind, (layers, units) or (units,).
        shares: Share of each kind to remove; the number is rounded up.

    Raises:
        ValueError: If a share lies outside [0, 1].
    """
    gates = {}
    for kind, values in _arrays(worth).items():
        check_in_range(shares[kind], f"shares[{kind!r}]", 0, 1)
        order = _order(values)
        gates[kind] = np.ones(values.shape)
        gates[kind].reshape(-1)[order[: int(_removed(shares[kind], values.size))]] = 0
    return gates


def remove_by_threshold(
    worth: dict[str, Any], work: Work, budget: float | int, *, most: float = 0.9
) -> dict[str, np.ndarray]:
    """Gates closed from the least worth up, whatever the kind, until the work fits the budget.

    Args:
        worth: Worth of the units of each kind, comparable between kinds.
        work: {kind: units left} -> work.
        budget: Most work.
        most: Largest share of any kind.

    Raises:
        ValueError: If the budget is below the work that is left at most.
    """
    queue, worth = [], _arrays(worth)
    for kind, values in worth.items():
        going = _order(values)[: int(_removed(most, values.size))]
        queue += [(float(values.reshape(-1)[unit]), kind, int(unit)) for unit in going]
    gates = {kind: np.ones(values.shape) for kind, values in worth.items()}
    left = {kind: values.size for kind, values in worth.items()}
    for _, kind, unit in sorted(queue, key=lambda item: item[0]):
        if work(left) <= budget:
            return gates
        gates[kind].reshape(-1)[unit] = 0
        left[kind] -= 1
    _check_budget(budget, float(work(left)), np.inf)
    return gates


def _arrays(worth: dict[str, Any]) -> dict[str, np.ndarray]:
    return {kind: np.asarray(values) for kind, values in worth.items()}


def _removed(share, size: int):
    """Units to remove, rounded up so that the budget holds, but for the rounding of the share itself."""
    return np.ceil(np.asarray(share) * size - 1e-9)


def _order(values: np.ndarray) -> np.ndarray:
    """Units in the order in which they go, without the best of each layer, which ends the list."""
    rows = values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values[None]
    last = np.zeros(rows.shape, bool)
    last[np.arange(len(rows)), rows.argmax(axis=-1)] = True
    # Later ones first among equals.
    order = np.lexsort((-np.arange(values.size), rows.reshape(-1), last.reshape(-1)))
    return order[: values.size - len(rows)]


def _check_budget(budget, least: float, whole: float) -> None:
    if not least <= budget:
        raise ValueError(
            f"`budget` must be at least {least:g}, what is left of the work of {whole:g} when the most is removed, "
            f"but is {budget:g}."
        )
