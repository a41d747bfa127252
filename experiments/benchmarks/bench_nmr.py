"""Time and memory of the dipolar echo of 9 and 15 spins against dense propagation, scipy, dynamiqs and QuTiP.

Two works, each the same for all that take part. `exact`: the full trace C(t), double precision. `sampled`: C(t) of the
same random states, a few of them in place of the trace (`quantum.nmr.typicality`), single precision. Ours uses what H
conserves: S_z of the probe, so the space halves. A peer does what one does without that: random states of the protons
beside a probe along x, in the whole space, out, butterfly, back, read S_x; it gives the same number for each state, and
has to, before it is timed. Peers get H built and converted before the clock starts, ours starts from couplings each
time. Engines are processes of their own that take turns, a ratio is formed within a round; first calls, which compile,
are timed apart.

Molecules: toluene (9 spins, average TARDIS-2) and dimethylbiphenyl (15, TARDIS-1). Sizes between them are the probe and
the last protons of the smallest that has them, under TARDIS-2 up to 11 spins. Random states are as many as keep the
expected standard error, about 1 / sqrt(2 states 2^protons), below `statistical_error`, at least `least_states`; the one
measured, the largest over the times and itself uncertain with few states, is reported.

Dense propagation of 15 spins is not run: one matrix has 16 GiB, and it takes several. Its time there is an
extrapolation of the measured sizes by a power of the dimension, and called that. Peak memory is that of the process, of
which 60 to 400 MiB are Python and packages: look at the smallest size. Up to 8 spins times scatter: threads of the
dense libraries that wait by spinning take the cores from the engine whose turn it is.

Peers run in this interpreter, where it has them (extra `peers`), or in the environment that `make peers` makes; one
that is missing is reported as not run. For a quiet measurement close everything else.
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.benchmarks.peers.engine import EngineSpec
from experiments.benchmarks.timing import (
    Times,
    load_average,
    per_round,
    ratio,
    time_in_turn,
)
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import among, at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import label, new_figure, style
from quantum.nmr import BLEW_12_AXIS, average_hamiltonian
from quantum.spins import (
    DIMETHYLBIPHENYL_SAUPE,
    TOLUENE_SAUPE,
    SpinHamiltonian,
    dimethylbiphenyl,
    molecule_couplings,
    real_frame,
    toluene,
)
from quantum.spins.random_states import random_states

CLAIM = "An echo of 9 spins is faster than dense propagation and dynamiqs, one of 15 spins takes seconds."
PAPER_FIGURE = "none (our benchmark)"
EXPECTED_TIME = {"quick": "10 s", "laptop": "11 min", "paper": "1 h"}
REFERENCES: tuple[Reference, ...] = ()

EXACT = (
    EngineSpec("lightecho.blocks", "lightecho", "blocks", "spin"),
    EngineSpec("lightecho.ruler", "lightecho", "ruler", "spin"),
    EngineSpec("dense.eigh", "lightecho", "eigh", "scipy"),
    EngineSpec("dense.expm", "lightecho", "expm", "scipy"),
    EngineSpec("dynamiqs.expm", "dynamiqs", "expm"),
)
SAMPLED = (
    EngineSpec("lightecho.typicality", "lightecho", "typicality", "spin"),
    EngineSpec("lightecho.krylov", "lightecho", "krylov", "spin"),
    EngineSpec("scipy.expm_multiply", "lightecho", "multiply", "scipy"),
    EngineSpec("dynamiqs.dopri8", "dynamiqs", "dopri8"),
    EngineSpec("qutip.vern7", "qutip", "vern7"),
)
WORKS = {"exact": EXACT, "sampled": SAMPLED}
# Relative difference (rms) that still counts as the same echo: rounding of dense products; steps of single precision.
AGREEMENT = {"exact": 1e-8, "sampled": 1e-3}
DIHEDRAL = math.radians(41.5)
LARGEST_DENSE = 12  # our choice: 2^12 squared in complex128 is 0.25 GiB, and several are held
_FITTED = 3  # sizes that an extrapolation rests on, the largest


@dataclass(frozen=True)
class Config:
    """What is timed.

    Attributes:
        exact: Numbers of spins of the full trace; 15 is reported as not run.
        sampled: Numbers of spins with random states.
        points: Times, 0.375 ms apart, from the first on.
        angle: Angle of the butterfly on the methyl protons in rad.
        statistical_error: Expected standard error, which sets the number of random states.
        least_states: Least number of random states.
        rounds: How often each engine has its turn at each size.
        n_steps: Echoes in one turn, of which the median counts.
        engines: Names of those that take part; all if empty.
        krylov_spins: Largest size for `lightecho.krylov`, which takes state by state and is the slowest.
        patience: Longest wait for one answer of an engine, in seconds.
        seed: Seed of the random states.
    """

    exact: tuple[int, ...] = (7, 8, 9, 10, 11, 15)
    sampled: tuple[int, ...] = (9, 12, 15)
    points: int = 6
    angle: float = math.pi
    statistical_error: float = 0.01
    least_states: int = 4
    rounds: int = 4
    n_steps: int = 1
    engines: tuple[str, ...] = ()
    krylov_spins: int = 12
    patience: float = 300.0
    seed: int = 0

    def __post_init__(self):
        at_least(self, 2, "points", "least_states")
        at_least(self, 1, "rounds", "n_steps")
        for name in ("exact", "sampled"):
            if not all(5 <= n <= 15 for n in getattr(self, name)):
                raise ValueError(
                    f"`{name}` must be numbers of spins from 5 to 15, but are {getattr(self, name)}."
                )
        if not 0 < self.statistical_error < 1:
            raise ValueError(
                f"`statistical_error` must lie between 0 and 1, but is {self.statistical_error}."
            )
        known = sorted({spec.name for specs in WORKS.values() for spec in specs})
        among(self, known, "engines", empty=True)

    def n_states(self, n_spins: int) -> int:
        """Random states for a number of spins."""
        needed = 1 / (2 * 2 ** (n_spins - 1) * self.statistical_error**2)
        return max(self.least_states, math.ceil(needed))


SCALES = {
    "quick": Config(
        exact=(7,), sampled=(9,), points=4, rounds=3, n_steps=3, statistical_error=0.02,
        engines=("lightecho.blocks", "dense.eigh", "dense.expm", "lightecho.typicality", "scipy.expm_multiply"),
    ),
    "laptop": Config(),
    "paper": Config(exact=(7, 8, 9, 10, 11, 12, 15), rounds=20, krylov_spins=15, patience=3600.0),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Times all engines that are there, in turn, work by work and size by size."""
    metrics = {"load_average": load_average(context)}
    arrays: dict[str, np.ndarray] = {}
    absent: list[str] = []
    truths: dict[tuple[str, int], np.ndarray] = {}
    for work in WORKS:
        for n in getattr(config, work):
            times = _time(config, context, work, n)
            absent += times.absent
            arrays |= {f"seconds.{name}.{n}": seconds for name, seconds in times.seconds.items()}
            metrics |= _summary(n, times)
            if times.truth:
                truths[work, n] = arrays[f"echo.{work}.{n}"] = times.truth["echo"]
    for n in config.sampled:
        if ("sampled", n) in truths:
            metrics |= _accuracy(n, truths["sampled", n], truths.get(("exact", n)))
    metrics |= _extrapolated(config, arrays)
    arrays["not_run"] = np.array(absent, dtype=str)
    return Outcome("bench_nmr", config, metrics, arrays, REFERENCES)


@style()
def plot(outcome: Outcome) -> Figure:
    """Time and peak memory of every engine against the number of spins.

    Circles stand for the full trace, squares for random states; filled are ours, dotted is extrapolated.
    """
    figure = new_figure(2, 3.4)
    panels = figure.subplots(1, 2)
    for i, name in enumerate(spec.name for specs in WORKS.values() for spec in specs):
        sizes = _sizes(outcome, name)
        if not sizes:
            continue
        spread = np.array(
            [
                np.quantile(per_round(outcome.arrays[f"seconds.{name}.{n}"]), (0, 0.5, 1))
                for n in sizes
            ]
        )
        ours = name.startswith("lightecho")
        mark = {
            "color": f"C{i}", "marker": "o" if i < len(EXACT) else "s", "markersize": 4,
            "mfc": f"C{i}" if ours else "w", "ls": "-" if ours else "--",
        }  # fmt: skip
        panels[0].plot(sizes, spread[:, 1], label=name, **mark)
        panels[0].fill_between(sizes, spread[:, 0], spread[:, 2], color=f"C{i}", alpha=0.2, lw=0)
        peaks = [outcome.metrics[f"peak_memory.{name}.{n}"].value for n in sizes]
        panels[1].plot(sizes, peaks, **mark)
        far = outcome.metrics.get(f"extrapolated_time.{name}.15")
        if far is not None:
            ends = [spread[-1, 1], far.value]
            panels[0].plot([sizes[-1], 15], ends, ls=":", color=f"C{i}")
    every = sorted({*outcome.config.exact, *outcome.config.sampled})
    matrix = [16 * 4**n / 2**20 for n in every]
    panels[1].plot(every, matrix, "k:", label="one dense matrix (computed)")
    panels[1].legend(fontsize="x-small")
    for panel, name, unit in zip(panels, ("one echo", "peak memory"), ("s", "MiB"), strict=True):
        panel.set(yscale="log", xlabel="spins", ylabel=label(name, unit))
        panel.set_xticks(every)
        panel.grid(axis="y", lw=0.3)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=5,
        fontsize="x-small",
    )
    return figure


def molecule(n_spins: int) -> tuple[SpinHamiltonian, tuple[int, ...]]:
    """Average Hamiltonian of the probe and the last protons, and the methyl protons in it."""
    if n_spins <= 9:
        table, methyl = molecule_couplings(toluene(), TOLUENE_SAUPE), 3
    else:
        table, methyl = molecule_couplings(dimethylbiphenyl(DIHEDRAL), DIMETHYLBIPHENYL_SAUPE), 6
    kept = np.array([0, *range(len(table) - n_spins + 1, len(table))])
    variant = "tardis-2" if n_spins <= 11 else "tardis-1"
    hamiltonian = average_hamiltonian.reversible_hamiltonian(
        np.asarray(table)[np.ix_(kept, kept)], 0, variant
    )
    return hamiltonian, tuple(range(n_spins - methyl, n_spins))


def make_task(config: Config, n_spins: int, folder: Path) -> dict:
    """Couplings, times and, for `sampled`, random states as arrays of a file."""
    hamiltonian, struck = molecule(n_spins)
    path, n_states = folder / "task.npz", config.n_states(n_spins)
    times = average_hamiltonian.GRID_STEP * np.arange(1, config.points + 1)
    np.savez(
        path,
        couplings=np.asarray(hamiltonian.couplings, float),
        fields=np.asarray(hamiltonian.fields, float),
        times=times,
        axis=BLEW_12_AXIS,
        states=_states(hamiltonian, n_states, config.seed),
    )
    return {
        "arrays": str(path),
        "struck": struck,
        "angle": config.angle,
        "n_states": n_states,
        "seed": config.seed,
    }


def _states(hamiltonian: SpinHamiltonian, n_states: int, seed: int) -> np.ndarray:
    """The random states that `echo_by_typicality` takes, turned back to the frame of H from that where H is real."""
    n = hamiltonian.n_spins - 1
    rotation = real_frame(hamiltonian)[1]
    angle = math.atan2(rotation[1, 0], rotation[0, 0])
    bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    total = n / 2 - bits.sum(axis=1)
    states = np.asarray(random_states(n, n_states, seed=seed)) * np.exp(1j * angle * total)
    return states.astype(np.complex64)


def _time(config: Config, context: Context, work: str, n: int) -> Times:
    specs = [s for s in WORKS[work] if not config.engines or s.name in config.engines]
    excluded = {}
    if work == "exact" and n > LARGEST_DENSE:
        size = 16 * 4**n / 2**30
        excluded = {s.name: f"one dense matrix takes {size:g} GiB" for s in specs}
        half = f"a dense block takes {size / 4:g} GiB"
        excluded |= {s.name: half for s in specs if s.worker == "spin"}
    elif work == "exact" and n > 11:
        excluded = {s.name: "it stops at 11 spins" for s in specs if s.worker == "spin"}
    elif work == "sampled" and n > config.krylov_spins:
        excluded = {"lightecho.krylov": f"`krylov_spins` is {config.krylov_spins}"}
    return time_in_turn(
        specs, partial(make_task, config, n), context,
        size=f"{n} spins", rounds=config.rounds, steps=config.n_steps,
        patience=config.patience, tolerance=AGREEMENT[work], excluded=excluded,
    )  # fmt: skip


def _summary(n: int, times: Times) -> dict[str, Measurement]:
    """Times, what compiling and memory come to, and ours over each of the others, formed in each round."""
    metrics = {}
    others = [name for name in times.seconds if not name.startswith("lightecho")]
    for name, seconds in times.seconds.items():
        metrics[f"time.{name}.{n}"] = Measurement.from_samples(per_round(seconds), "s")
        metrics[f"first_call.{name}.{n}"] = Measurement(times.first_calls[name], unit="s")
        metrics[f"peak_memory.{name}.{n}"] = Measurement(times.peaks[name], unit="MiB")
        for other in others if name not in others else ():
            metrics[f"ratio.{name}.to.{other}.{n}"] = ratio(seconds, times.seconds[other])
    for name, found in times.differences.items():
        metrics[f"difference.{name}.{n}"] = Measurement(found["echo"])
    return metrics


def _accuracy(n: int, samples: np.ndarray, exact: np.ndarray | None) -> dict[str, Measurement]:
    """Largest standard error of the mean over states and, where the trace is known, how far off the mean is."""
    error = samples.std(axis=0, ddof=1) / math.sqrt(len(samples))
    found = {f"standard_error.{n}": Measurement(error.max(), n=len(samples))}
    if exact is not None:
        off = np.abs(samples.mean(axis=0) - exact).max()
        found[f"off_exact.{n}"] = Measurement(off, n=len(samples))
    return found


def _extrapolated(config: Config, arrays: dict[str, np.ndarray]) -> dict[str, Measurement]:
    """Time of dense propagation at 15 spins from a power of the dimension through the largest sizes measured."""
    metrics = {}
    if 15 in config.exact:
        metrics["computed_memory.one_dense_matrix.15"] = Measurement(16 * 4**15 / 2**30, unit="GiB")
    for name in (spec.name for spec in EXACT if not spec.name.startswith("lightecho")):
        sizes = [n for n in sorted(config.exact) if f"seconds.{name}.{n}" in arrays][-_FITTED:]
        if len(sizes) < _FITTED:
            continue
        medians = [np.median(arrays[f"seconds.{name}.{n}"]) for n in sizes]
        power, level = np.polyfit(sizes, np.log2(medians), 1)
        metrics[f"power_of_dimension.{name}"] = Measurement(power, n=_FITTED)
        metrics[f"extrapolated_time.{name}.15"] = Measurement(
            2 ** (power * 15 + level), unit="s", n=_FITTED
        )
    return metrics


def _sizes(outcome: Outcome, name: str) -> list[int]:
    every = sorted({*outcome.config.exact, *outcome.config.sampled})
    return [n for n in every if f"seconds.{name}.{n}" in outcome.arrays]
