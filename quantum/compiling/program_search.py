"""Finding echo programs: gradients for the continuous parameters, a seeded search for the others, and ablations.

    minimise over the program   sqrt(mean over training molecules of e^2),   mean over times of its gates <= budget,

with e of `program_error`. Modulation and rescaling are found by L-BFGS-B from exact gradients; shares, growth, symmetry
and the order of pairs and classes change by random mutations, each kept where it lowers the error. Product formulas
compete under the same rules: the same budget, pruning, fusing and search for growth and order, without what makes a
program. Training molecules are drawn about one geometry and order tensor, held-out ones likewise by another seed.

Source: R. Byrd, P. Lu, J. Nocedal, C. Zhu, SIAM J. Sci. Comput. 16, 1190 (1995), DOI 10.1137/0916069. The search that
the paper used is another (a language model that rewrites code); ours shares its ingredients only. Left out: noise,
the swaps of a line.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from quantum._checks import check_count
from quantum.compiling.echo_program import EchoProgram, decomposed, first_order
from quantum.compiling.program_error import (
    EchoTask,
    echoes,
    error,
    gate_arrays,
    mean_gates,
    parameters,
    task_arrays,
    with_parameters,
)
from quantum.nmr.average_hamiltonian import reversible_hamiltonian
from quantum.spins.hamiltonian import SpinHamiltonian
from quantum.spins.molecule import Molecule
from quantum.spins.random_molecules import moved_couplings

INGREDIENTS = ("rescaling", "modulation", "decomposition", "budgeting", "symmetry", "pruning")
_LIMIT = 0.5  # of modulation and rescaling: beyond, a program is no product formula any more
_SHARES = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0)
_FIRST_SHARES = (2, 1, 0.5)  # where the search for the decomposition starts
_GROWTHS = (0.0, 0.5, 1.0, 1.5)
_SYMMETRIC = (None, 1, 2, 4)
_BISECTIONS = 20


@dataclass(frozen=True)
class Trial:
    """A program that was found and what it came to.

    Attributes:
        name: What was allowed or left out.
        program: The program.
        gates: Pair gates of one evolution, mean over the times.
        training: Error of each training molecule.
        held_out: Error of each held-out molecule.
    """

    name: str
    program: EchoProgram
    gates: float
    training: np.ndarray
    held_out: np.ndarray


def draw_molecules(
    molecule: Molecule,
    saupe: np.ndarray,
    n_molecules: int,
    *,
    seed: int,
    shift: float | int = 2e-12,
    order_shift: float | int = 0.01,
    keep: Sequence[int] | None = None,
) -> tuple[SpinHamiltonian, ...]:
    """Average Hamiltonians of molecules with atoms and order tensor moved at random, normally distributed.

    Args:
        molecule: About which they are drawn.
        saupe: Its order tensor.
        n_molecules: How many.
        seed: Of the draws.
        shift: Standard deviation of each coordinate in metres.
        order_shift: Standard deviation of each entry of the order tensor, before its trace is taken off.
        keep: Spins that are kept, all by default.

    Raises:
        ValueError: If there is no molecule to draw, or a drawn one is not valid.
    """
    drawn = moved_couplings(
        molecule, saupe, n_molecules, seed=seed, shift=shift, order_shift=order_shift
    )
    spins = range(len(drawn[0])) if keep is None else keep
    return tuple(reversible_hamiltonian(table.of(spins)) for table in drawn)


def at_budget(program: EchoProgram, times: Sequence[float], mean: float | int) -> EchoProgram:
    """The program with the largest budget whose gates, mean over the times, are at most `mean`.

    One step is made at every time whatever it costs, so a small `mean` can be missed: look at `mean_gates`.
    """

    def gates(budget):
        return mean_gates(replace(program, budget=budget), times)

    low, high = 0.0, mean / 64
    while gates(high) <= mean and high < 4 * mean * len(times):
        low, high = high, 2 * high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if gates(middle) <= mean else (low, middle)
    return replace(program, budget=low)


def fit_parameters(
    program: EchoProgram,
    training: EchoTask,
    *,
    n_iterations: int = 30,
    rescaling: bool = True,
    modulation: bool = True,
) -> EchoProgram:
    """The program with the modulation and rescaling of least error, by L-BFGS-B.

    Args:
        program: Where to start.
        training: Molecules and times.
        n_iterations: Steps of the optimiser.
        rescaling: Whether r and r' are free.
        modulation: Whether the step sizes are free.
    """
    check_count(n_iterations, "n_iterations", 1)
    start, shape = parameters(program)
    free = np.repeat([modulation, rescaling], [start.size, shape.size])
    if not free.any():
        return program
    arrays = gate_arrays(program, training), task_arrays(training), training.exact

    def unpack(flat):
        return flat[: start.size], flat[start.size :].reshape(shape.shape)

    def value(flat):
        slope, gradient = _loss(unpack(flat), *arrays)
        return float(slope), np.where(free, np.concatenate([np.ravel(g) for g in gradient]), 0.0)

    begin = np.concatenate([start, shape.ravel()])
    found = minimize(
        value,
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-_LIMIT, _LIMIT)] * begin.size,
        options={"maxiter": n_iterations, "maxfun": 2 * n_iterations},
    )
    better = found.x if found.fun <= value(begin)[0] else begin
    return with_parameters(program, *unpack(better))


@jax.jit
@jax.value_and_grad
def _loss(continuous, gates, molecules, exact):
    found = echoes(gates, continuous, molecules)
    return jnp.mean(((found - exact) ** 2).sum(axis=1) / (exact**2).sum(axis=1))


def optimise(
    program: EchoProgram,
    training: EchoTask,
    *,
    budget: float | int,
    seed: int,
    n_mutations: int = 40,
    n_iterations: int = 30,
    allowed: Sequence[str] = INGREDIENTS,
) -> EchoProgram:
    """Searches a program of least error on the training molecules at a mean number of gates.

    The order of pairs may always change. First mutations, then gradients; no ingredient is used that is not allowed.

    Args:
        program: Where to start; its classes are kept.
        training: Molecules and times.
        budget: Pair gates of one evolution, mean over the times.
        seed: Of the mutations.
        n_mutations: Mutations tried.
        n_iterations: Steps of the gradient search.
        allowed: Which of `INGREDIENTS` may be used.

    Raises:
        ValueError: If an ingredient is unknown.
    """
    if not set(allowed) <= set(INGREDIENTS):
        raise ValueError(f"`allowed` must be among {INGREDIENTS}, but is {tuple(allowed)}.")
    rng = np.random.default_rng(seed)
    best = at_budget(replace(program, pruned="pruning" in allowed), training.times, budget)
    least = _rms(best, training)
    for _ in range(n_mutations):
        trial = at_budget(_mutated(best, allowed, rng), training.times, budget)
        if mean_gates(trial, training.times) > budget:
            continue
        found = _rms(trial, training)
        if found < least:
            best, least = trial, found
    return fit_parameters(
        best,
        training,
        n_iterations=n_iterations,
        rescaling="rescaling" in allowed,
        modulation="modulation" in allowed,
    )


def _rms(program: EchoProgram, task: EchoTask) -> float:
    return float(np.sqrt(np.mean(error(program, task) ** 2)))


def _mutated(program: EchoProgram, allowed: Sequence[str], rng: np.random.Generator) -> EchoProgram:
    """One discrete parameter changed."""
    kinds = ["pairs", "classes"] if len(program.classes) > 1 else ["pairs"]
    kinds += [k for k in ("decomposition", "budgeting", "symmetry") if k in allowed]
    kind = rng.choice(kinds)
    if kind == "budgeting":
        return replace(program, growth=_GROWTHS[rng.integers(len(_GROWTHS))])
    if kind == "symmetry":
        return replace(program, symmetric_from=_SYMMETRIC[rng.integers(len(_SYMMETRIC))])
    groups = list(program.classes)
    which = rng.integers(len(groups))
    if kind == "classes":
        groups.append(groups.pop(which))
    elif kind == "decomposition":
        share = _SHARES[rng.integers(len(_SHARES))]
        groups[which] = replace(groups[which], share=share)
    else:
        order = rng.permutation(len(groups[which].pairs))
        groups[which] = replace(groups[which], pairs=tuple(groups[which].pairs[k] for k in order))
    return replace(program, classes=tuple(groups))


def ablation(
    training: EchoTask,
    held_out: EchoTask,
    *,
    budget: float | int,
    seed: int,
    n_mutations: int = 40,
    n_iterations: int = 30,
    names: Sequence[str] | None = None,
) -> tuple[Trial, ...]:
    """Product formulas, the program with all ingredients, and with each taken away, at one budget.

    Args:
        training: Molecules to learn from.
        held_out: Molecules to judge by.
        budget: Pair gates of one evolution, mean over the times.
        seed: Of the search.
        n_mutations: Mutations tried for each, product formulas included.
        n_iterations: Steps of the gradient search for each.
        names: Which to make, of "first order, as published", "order 1", "order 2", "order 4", "all", and "without ..."
            and "only ..." of each ingredient; all but the last by default.
    """
    options = {"budget": budget, "seed": seed, "n_iterations": n_iterations}
    without = [f"without {name}" for name in INGREDIENTS]
    default = ["first order, as published", "order 1", "order 2", "order 4", "all", *without]
    mean = np.mean([np.asarray(h.couplings) for h in training.hamiltonians], axis=0)
    trials = []
    for name in default if names is None else names:
        kind, _, rest = name.partition(" ")
        order = int(rest) if kind == "order" else 1
        plain = first_order(training.n_spins, training.struck, order=order, probe=training.probe)
        if name == default[0]:
            found = at_budget(plain, training.times, budget)
        elif kind == "order":
            found = optimise(
                plain,
                training,
                **options,
                n_mutations=n_mutations,
                allowed=("budgeting", "pruning"),
            )
        else:
            chosen = {"all": INGREDIENTS, "only": (rest,)}.get(kind) or tuple(
                i for i in INGREDIENTS if i != rest
            )
            own = _FIRST_SHARES if "decomposition" in chosen else None
            start = decomposed(plain, mean, shares=own)
            if "symmetry" in chosen:
                start = replace(start, symmetric_from=1)
            if "budgeting" not in chosen:
                start = replace(start, growth=0.0)
            found = optimise(start, training, **options, n_mutations=n_mutations, allowed=chosen)
        trials.append(
            Trial(
                name,
                found,
                mean_gates(found, training.times),
                error(found, training),
                error(found, held_out),
            )
        )
    return tuple(trials)
