"""Time of OTOC(2): our pruned primitive against the literal circuit on qsim, Aer, Cirq's own simulator and our JAX.

The literal circuit walks through U four times. Every engine gets it in its own form, built and translated before the
clock starts, and has to agree on C^(4) before it is timed; qsim gets every number of threads and size of fused gates
of `qsim_options`, and ours is held against the fastest of them. Our times hold all that has to be done for a new
circuit: building, pruning, fusing, handing over. What is compiled is compiled before and timed apart; programs are
compiled once for all circuits that differ in angles. Engines take turns, a ratio is formed within a round.

With M and B in opposite corners B lies outside the light cone at 12 cycles of the order ACBD and the pruned circuit is
empty. That would be no measurement, so B sits at distance 5, as in the published 18-qubit layout (distance 5, 14
cycles), and at distance 3, where most gates remain. The ensemble is the published interference test: 18 qubits, 14
cycles, each circuit with pairs of random Pauli strings; a round is one circuit. Two threads on a machine that others
use cost qsim and Aer up to ten times, so look at `load_average`. Share of bandwidth: bytes that a pass over the state
for each block moves, against a scaled copy of a state on the same device.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from experiments.benchmarks.timing import copy_seconds, load_average, time_calls
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import label, new_figure, style
from experiments.harness.programs import temporary_bytes
from quantum.circuits import (
    Circuit,
    EchoLayout,
    PauliString,
    echo_layout,
    random_circuit,
    random_paulis,
    rectangle,
)
from quantum.circuits.program import blocks, make_program
from quantum.echoes import Echo, correlators, echo_circuit, make_echo
from quantum.engines import cirq_engine, expectation, jax_engine

CLAIM = "A pruned OTOC(2) takes at most 0.6 of the literal circuit on qsim, an ensemble of insertions 0.4."
PAPER_FIGURE = "none (our benchmark)"
EXPECTED_TIME = {"quick": "20 s", "laptop": "10 min", "paper": "1 h"}
REFERENCES: tuple[Reference, ...] = ()
# Difference of C^(4) that still counts as the same number: 6e-8 for each of some 1600 gates, half of it at random.
AGREEMENT = 1e-4


@dataclass(frozen=True)
class Config:
    """What is timed.

    Attributes:
        grids: Rows and columns of the patches; M is qubit 0.
        butterflies: (row, column) of B, one timing for each.
        n_cycles: Cycles of U.
        rounds: How often each engine has its turn.
        n_steps: Runs in one turn, of which the median counts.
        qsim_options: Most qubits of a fused gate, and threads, of every qsim run.
        slow_qubits: Largest patch for Aer and Cirq's own simulator.
        ensemble_grid: Rows and columns of the ensemble's patch; empty for the published 18 qubits.
        ensemble_circuits: Circuits of the ensemble.
        ensemble_pairs: Pairs of Pauli strings for each circuit.
        depths: Cycles at which compile time is measured, on the first patch.
        seed: Seed of all circuits and strings.
    """

    grids: tuple[tuple[int, int], ...] = ((4, 5), (4, 6))
    butterflies: tuple[tuple[int, int], ...] = ((2, 3), (1, 2))
    n_cycles: int = 12
    rounds: int = 5
    n_steps: int = 1
    qsim_options: tuple[tuple[int, int], ...] = ((2, 1), (3, 1), (4, 1), (2, 2), (4, 2))
    slow_qubits: int = 20
    ensemble_grid: tuple[int, ...] = ()
    ensemble_circuits: int = 50
    ensemble_pairs: int = 20
    depths: tuple[int, ...] = (4, 12, 36)
    seed: int = 0

    def __post_init__(self):
        at_least(self, 1, "n_cycles", "rounds", "n_steps", "ensemble_circuits", "ensemble_pairs")
        for grid in self.grids:
            for site in self.butterflies:
                rectangle(*grid).qubit(site)
        if len(self.ensemble_grid) not in (0, 2):
            raise ValueError(
                f"`ensemble_grid` must hold rows and columns or nothing, but is {self.ensemble_grid}."
            )
        if not self.grids or not self.butterflies or not self.qsim_options or not self.depths:
            raise ValueError(
                "`grids`, `butterflies`, `qsim_options` and `depths` must not be empty."
            )


SCALES = {
    "quick": Config(
        grids=((3, 4),), butterflies=((2, 2), (1, 1)), n_cycles=8, rounds=3, n_steps=5,
        qsim_options=((2, 1), (4, 1)), ensemble_grid=(3, 4), ensemble_circuits=3, ensemble_pairs=4,
        depths=(4, 16),
    ),
    "laptop": Config(),
    "paper": Config(rounds=20, slow_qubits=24),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Times one circuit on every patch and placement, then the ensemble, then compiling."""
    metrics = {"load_average": load_average(context)}
    arrays: dict[str, np.ndarray] = {}
    for rows, columns in config.grids:
        for site in config.butterflies:
            name = f"{rows}x{columns}.b{site[0]}_{site[1]}"
            echo = _echo(config, rows, columns, site)
            found = context.sub_run(name, lambda e=echo: _time_one(config, context, e))
            arrays |= {f"{name}/{key}": value for key, value in found.items()}
            metrics |= _summary(name, found)
    found = context.sub_run("ensemble", lambda: _time_ensemble(config, context))
    arrays |= {f"ensemble/{key}": value for key, value in found.items()}
    metrics |= _summary("ensemble", found)
    compiled = context.sub_run("compile", lambda: _compile_times(config))
    arrays |= {f"compile/{key}": value for key, value in compiled.items()}
    for depth, seconds in zip(config.depths, compiled["seconds"], strict=True):
        metrics[f"compile.{depth}_cycles"] = Measurement(seconds, unit="s")
    metrics["memory.jax"] = Measurement(compiled["states"].max(), unit="states")
    return Outcome("bench_otoc", config, metrics, arrays, REFERENCES)


@style()
def plot(outcome: Outcome) -> Figure:
    """Times of every engine, ours in colour: median and range over rounds; compile time against depth."""
    config = outcome.config
    groups = list(dict.fromkeys(key.split("/")[0] for key in outcome.arrays))
    groups.remove("compile")
    figure = new_figure(2, 2.2 * ((len(groups) + 3) // 2))
    panels = figure.subplots((len(groups) + 2) // 2, 2).ravel()
    for panel, group in zip(panels, groups, strict=False):
        seconds = _seconds(outcome.arrays, f"{group}/seconds/")
        for row, (engine, times) in enumerate(reversed(seconds.items())):
            low, middle, high = np.quantile(times, (0, 0.5, 1))
            color = "C0" if engine.startswith("ours") else "0.5"
            panel.plot([low, high], [row, row], color=color, lw=1)
            panel.plot(middle, row, "o", color=color, markersize=4)
        panel.set_yticks(range(len(seconds)), reversed(list(seconds)), fontsize="x-small")
        panel.set(xscale="log", title=group.replace(".b", ", B at ").replace("_", ","))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.grid(axis="x", which="both", lw=0.3)
        panel.set_xlabel(label("a circuit" if group != "ensemble" else "a circuit, all pairs", "s"))
    last = panels[len(groups)]
    last.plot(config.depths, outcome.arrays["compile/seconds"], "o-", color="C0")
    last.set(ylim=(0, 1.2 * outcome.arrays["compile/seconds"].max()), title="JAX, literal circuit")
    last.set_xlabel("cycles of U")
    last.set_ylabel(label("compiling", "s"))
    for panel in panels[len(groups) + 1 :]:
        panel.set_axis_off()
    return figure


def _echo(config: Config, rows: int, columns: int, site: tuple[int, int]) -> Echo:
    grid = rectangle(rows, columns)
    unitary = random_circuit(grid, config.n_cycles, seed=config.seed)
    return Echo(unitary, 0, (grid.qubit(site),))


def _time_one(config: Config, context: Context, echo: Echo) -> dict[str, np.ndarray]:
    """Seconds (rounds,) of every engine, first calls, and sizes of the circuits."""
    literal = echo_circuit(echo, prune=False)
    tasks = {
        f"qsim f={f} t={t}": _prepared(literal, echo, most_fused=f, threads=t)
        for f, t in config.qsim_options
    }
    if literal.n_qubits <= config.slow_qubits:
        tasks["Cirq"] = _prepared(literal, echo, own=True)
        tasks["Aer"] = lambda: expectation(literal, echo.observable, engine="qiskit")
    tasks["ours: JAX literal"] = _jax(lambda: literal, echo)
    tasks["ours: JAX pruned"] = _jax(lambda: echo_circuit(echo), echo)
    tasks["ours: qsim pruned"] = lambda: _pruned_on_qsim(echo)
    found = time_calls(
        tasks, context, size=f"{literal.n_qubits} qubits", rounds=config.rounds,
        steps=config.n_steps, check=_check,
    )  # fmt: skip
    found["two_qubit_gates"] = np.array([literal.n_two_qubit, echo_circuit(echo).n_two_qubit])
    found["bandwidth_share"] = _bandwidth_share(literal, found["seconds/ours: JAX literal"])
    return found


def _time_ensemble(config: Config, context: Context) -> dict[str, np.ndarray]:
    """Seconds (circuits,): every insertion literal on qsim one by one, and in our batch."""
    if config.ensemble_grid:
        grid = rectangle(*config.ensemble_grid)
        far = grid.qubit(config.butterflies[0])
        layout = EchoLayout(grid, 0, (far,), config.n_cycles, 2)
    else:
        layout = echo_layout(18)
    n = layout.lattice.n_qubits
    collected: dict[str, list[float]] = {}
    with context.progress("ensemble", config.ensemble_circuits) as ticker:
        for number in range(config.ensemble_circuits):
            seed = config.seed + number
            unitary = random_circuit(layout.lattice, layout.n_cycles, seed=seed)
            echo = make_echo(layout, unitary)
            strings = random_paulis(n, 2 * config.ensemble_pairs, seed=seed)
            pairs = list(zip(strings[::2], strings[1::2], strict=True))
            for name, seconds in _ensemble_round(config, echo, pairs, number == 0).items():
                collected.setdefault(name, []).append(seconds)
            ticker.advance()
    return {name: np.array(seconds) for name, seconds in collected.items()}


def _ensemble_round(config: Config, echo: Echo, pairs: list, first: bool) -> dict[str, float]:
    literal = [echo_circuit(echo, pair, prune=False) for pair in pairs]
    tasks: dict[str, Callable] = {}
    for f, t in config.qsim_options:
        runs = [_prepared(c, echo, most_fused=f, threads=t) for c in literal]
        tasks[f"qsim f={f} t={t}"] = lambda runs=runs: [one() for one in runs]
    for engine, name in (("cirq", "qsim"), ("jax", "JAX")):
        tasks[f"ours: {name} batch"] = lambda e=engine: correlators([echo], pairs, engine=e)[0]
    found, truth = {}, None
    for name, task in tasks.items():
        start = time.perf_counter()
        if first:
            task()  # compiles
            found[f"first/{name}"] = time.perf_counter() - start
            start = time.perf_counter()
        values = np.array(task())
        found[f"seconds/{name}"] = time.perf_counter() - start
        truth = values if truth is None else truth
        _check(name, values, truth)
    return found


def _check(name: str, values: np.ndarray, truth: np.ndarray) -> None:
    error = float(np.abs(values - truth).max())
    if not error < AGREEMENT:
        raise ValueError(f"`{name}` must do the same work, but its C^(4) differs by {error:.2g}.")


def _prepared(circuit: Circuit, echo: Echo, **options) -> Callable[[], float]:
    """On qsim, or on Cirq's own simulator."""
    run = cirq_engine.prepared(circuit, **options)
    return lambda: _z(run(), echo.measured)


def _jax(make: Callable[[], Circuit], echo: Echo) -> Callable[[], float]:
    def task() -> float:
        structure, matrices = make_program(make())
        return float(
            jax_engine.measure(structure, jnp.asarray(matrices, jnp.complex64), echo.measured_pauli)
        )

    return task


def _pruned_on_qsim(echo: Echo) -> float:
    structure, matrices = make_program(echo_circuit(echo))
    final = cirq_engine.run_blocks(structure.n_qubits, blocks(structure, matrices))
    return _z(final, echo.measured)


def _z(state: np.ndarray, qubit: int) -> float:
    """<Z> of one qubit, normalised: qsim rounds gates to single precision, so its norm drifts."""
    halves = state.view(np.float32).reshape(2**qubit, 2, -1)
    up, down = np.square(halves).sum(axis=(0, 2), dtype=float)
    return float((up - down) / (up + down))


def _bandwidth_share(circuit: Circuit, seconds: np.ndarray) -> np.ndarray:
    """Bytes of one pass a block over the time of a run, against a scaled copy; (rounds,)."""
    copy = copy_seconds(jax_engine.zero_state(circuit.n_qubits), passes=16, repeats=5)
    return make_program(circuit)[0].n_blocks * copy / seconds


def _compile_times(config: Config) -> dict[str, np.ndarray]:
    """Seconds to compile the literal circuit by depth, and the states that its program holds."""
    seconds, states = [], []
    for depth in config.depths:
        rows, columns = config.grids[0]
        unitary = random_circuit(rectangle(rows, columns), depth, seed=config.seed)
        literal = echo_circuit(Echo(unitary, 0, (1,)), prune=False)
        structure, matrices = make_program(literal)
        # The last qubit: what was timed above is compiled already.
        watched = PauliString.on({literal.n_qubits - 1: "Z"})
        lowered = jax_engine.measure.lower(structure, jnp.asarray(matrices, jnp.complex64), watched)
        start = time.perf_counter()
        compiled = lowered.compile()
        seconds.append(time.perf_counter() - start)
        states.append(temporary_bytes(compiled) / (8 * 2**literal.n_qubits))
    return {"seconds": np.array(seconds), "states": np.array(states)}


def _seconds(arrays, start: str = "seconds/") -> dict[str, np.ndarray]:
    return {key[len(start) :]: times for key, times in arrays.items() if key.startswith(start)}


def _summary(group: str, found: dict[str, np.ndarray]) -> dict[str, Measurement]:
    """Mean times, first calls, and ratios to the qsim run of the smallest median."""
    seconds = _seconds(found)
    medians = {name: np.median(s) for name, s in seconds.items() if name.startswith("qsim")}
    best = min(medians, key=lambda name: medians[name])
    metrics = {}
    for name, times in seconds.items():
        plain = name.replace("ours: ", "ours_").replace(" ", "_").replace("=", "")
        metrics[f"{group}.time.{plain}"] = Measurement.from_samples(1e3 * times, "ms")
        if not name.startswith("qsim"):
            metrics[f"{group}.ratio.{plain}"] = Measurement.from_samples(times / seconds[best])
        if f"first/{name}" in found:
            first = found[f"first/{name}"].mean()
            metrics[f"{group}.first_call.{plain}"] = Measurement(first, unit="s")
    if "bandwidth_share" in found:
        metrics[f"{group}.bandwidth_share"] = Measurement.from_samples(found["bandwidth_share"])
        kept = found["two_qubit_gates"]
        metrics[f"{group}.gates_kept"] = Measurement(kept[1] / kept[0])
    return metrics
