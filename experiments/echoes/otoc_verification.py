"""The same echoes on Cirq, Qiskit and JAX, and what "verifiable" means in figures.

Google Quantum AI and collaborators, Nature 646, 825 (2025), DOI 10.1038/s41586-025-09526-6, call an expectation value
verifiable because another device of like quality must find the same number, unlike a bit string that is sampled once.

First half: C^(2), C^(4) and the off-diagonal part of the same circuits, literal and pruned, on every engine in single
and double precision: the largest difference between each pair, and the time of one C^(4).
Second half: devices that measure C^(4) with finite shots. Two are ideal and draw their own shots, a third turns every
iSWAP-like gate too far by `gate_error`. Their results are compared by z = (a - b) / standard error: for devices that
agree the mean of z^2 is 1 at any number of shots; for the faulty one it grows in proportion to the shots. The
rectangles of 12 qubits and less, the error and the shots are our choice; real noise is in `otoc_noise`.
"""

import functools
import itertools
import math
import time
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least, rising, within
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label, new_figure, style
from quantum.circuits import fsim, parse_layout, random_circuit, random_paulis
from quantum.circuits.gates import WILLOW_PHASE
from quantum.echoes import Echo, echo_circuit, make_echo
from quantum.engines import Precision, expectation, expectations
from quantum.inference.agreement import agreement_limit, share_caught, squared_pulls

CLAIM = "Cirq, Qiskit and JAX give one echo to rounding; devices that measure it agree, or betray a gate error."
PAPER_FIGURE = (
    "Google Quantum AI, Nature 646, 825 (2025), DOI 10.1038/s41586-025-09526-6, "
    "text: verifiable by another device"
)
EXPECTED_TIME = {"quick": "15 s", "laptop": "2 min", "paper": "an hour and 64 GB"}
TOLERANCES = {
    "difference.*.double": 1e-10,
    "difference.*.single": 1e-4,
    "operations.*": 1e-6,
    # A last digit of the exact values can move a single shot: about three standard errors.
    "agreement.ideal": 0.1,
    "agreement.gate_error": 2.0,
    "shots.false_alarms": 0.04,
    "shots.gate_error_found": 0.5,
}
# Engine and precision; Cirq in single precision is qsim, in double its own simulator.
PRECISIONS: tuple[Precision, ...] = ("single", "double")
METHODS = tuple((name, precision) for name in ("cirq", "qiskit", "jax") for precision in PRECISIONS)
NAMES = ("qsim", "Cirq", "Aer, single", "Aer, double", "JAX, single", "JAX, double")
QUANTITIES = ("c2", "c4", "off_diagonal")
FORMS = ("literal", "pruned")


def _echo(config: "Config", number: int, gate_error: float = 0.0) -> Echo:
    layout = parse_layout(config.n_qubits, n_cycles=config.n_cycles, name="n_qubits")
    gate = fsim(math.pi / 2 + gate_error, WILLOW_PHASE)
    seed = 10_000 * config.seed + number
    return make_echo(
        layout, random_circuit(layout.lattice, config.n_cycles, seed=seed, two_qubit=gate)
    )


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        n_qubits: 4, 6, 9, 12 (rectangles, our choice), or a published patch of 18, 23, 27, 31, 36 qubits.
        n_cycles: Cycles of U.
        n_circuits: Circuits that every engine runs.
        n_strings: Pauli insertions per circuit for the off-diagonal part.
        n_devices_circuits: Circuits that the devices measure.
        shots: Shots per circuit and device, ascending.
        repeats: How often each comparison of devices is repeated.
        gate_error: Extra swap angle of the faulty device's two-qubit gates in rad; the default is about the median
            entangler angle error of willow_pink's CZ gates in cirq_google 1.7.0.
        seed: Seed of circuits, insertions and shots.
    """

    n_qubits: int = 9
    n_cycles: int = 8
    n_circuits: int = 2
    n_strings: int = 2
    n_devices_circuits: int = 30
    shots: tuple[int, ...] = (100, 1_000, 10_000, 100_000, 1_000_000)
    repeats: int = 20
    gate_error: float = 0.02
    seed: int = 0

    def __post_init__(self):
        at_least(self, 1, "n_cycles", "n_circuits", "n_strings", "repeats")
        at_least(self, 2, "n_devices_circuits")
        within(self, 0, math.pi / 2, "gate_error", unit="rad")
        rising(self, 2, "shots")
        if echo_circuit(_echo(self, 0)).n_two_qubit == 0:
            raise ValueError(
                f"`n_cycles` must let the butterfly reach the measured qubit, but is {self.n_cycles}: every echo is 1."
            )


SCALES = {
    "quick": Config(n_qubits=12, n_cycles=12, n_circuits=1, n_strings=1, n_devices_circuits=20),
    "laptop": Config(
        n_qubits=18,
        n_cycles=14,
        n_circuits=3,
        n_strings=4,
        shots=(100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000),
    ),
    "paper": Config(n_qubits=31, n_cycles=18, n_circuits=1, n_strings=1, n_devices_circuits=2),
}
REFERENCES = (
    Reference(
        "agreement.ideal", None, None, "", "abstract", "stated in text", False,
        "the paper says that results can be verified by another device, and gives no number for two of them",
    ),
)  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Every engine on the same echoes, then devices with finite shots."""
    tasks = {f"circuit{number}": (config, number) for number in range(config.n_circuits)}
    pieces = list(context.map(_on_every_engine, tasks).values())
    values = np.stack([piece["values"] for piece in pieces])  # circuits, methods, forms, quantities
    arrays = {
        "values": values,
        "seconds": np.stack([piece["seconds"] for piece in pieces]),
        "operations": np.stack([piece["operations"] for piece in pieces]),
        "shots": np.array(config.shots),
        **context.sub_run("devices", lambda: _devices(config)),
    }
    arrays["largest_difference"] = _pairwise(values)
    return Outcome("otoc_verification", config, _metrics(config, arrays), arrays, REFERENCES)


def _on_every_engine(config: Config, number: int) -> dict[str, np.ndarray]:
    """Values (methods, forms, quantities), seconds of one C^(4) (methods, forms), operations (forms)."""
    echo = _echo(config, number)
    strings = random_paulis(config.n_qubits, 2 * config.n_strings, seed=config.seed + 1 + number)
    pairs = [strings[k : k + 2] for k in range(0, len(strings), 2)]
    values = np.empty((len(METHODS), len(FORMS), len(QUANTITIES)))
    seconds = np.empty(values.shape[:2])
    operations = [echo_circuit(echo, prune=form == "pruned").n_operations for form in FORMS]
    for (row, method), (column, form) in itertools.product(enumerate(METHODS), enumerate(FORMS)):
        measure = functools.partial(_measure, method=method, prune=form == "pruned")
        total = measure(echo)  # also compiles what is compiled
        start = time.perf_counter()
        measure(echo)
        seconds[row, column] = time.perf_counter() - start
        diagonal = np.mean([measure(echo, pair) for pair in pairs])
        values[row, column] = measure(replace(echo, order=1)), total, total - diagonal
    return {"values": values, "seconds": seconds, "operations": np.array(operations)}


def _measure(echo: Echo, inserted=(), *, method, prune: bool) -> float:
    engine, precision = method
    circuit = echo_circuit(echo, inserted, prune=prune)
    return expectation(circuit, echo.observable, engine=engine, precision=precision)


def _pairwise(values: np.ndarray) -> np.ndarray:
    """Largest difference over circuits, quantities and forms, (methods, methods); a method's own: literal, pruned."""
    n = len(METHODS)
    flat = np.moveaxis(values, 1, 0).reshape(n, len(values), len(FORMS), len(QUANTITIES))
    table = np.array([[np.abs(flat[i] - flat[j]).max() for j in range(n)] for i in range(n)])
    table[np.diag_indices(n)] = [np.abs(flat[i, :, 0] - flat[i, :, 1]).max() for i in range(n)]
    return table


def largest_spread(values: np.ndarray, precision: str) -> np.ndarray:
    """Largest difference between engines and forms within any one circuit, for each quantity."""
    rows = [k for k, method in enumerate(METHODS) if method[1] == precision]
    return np.ptp(values[:, rows], axis=(1, 2)).max(axis=0)


def _devices(config: Config) -> dict[str, np.ndarray]:
    """Exact C^(4) of both kinds of device, and z^2 of their comparisons, (shots, repeats, circuits)."""
    exact = {}
    for kind, error in (("ideal", 0.0), ("faulty", config.gate_error)):
        echoes = [_echo(config, 5_000 + k, error) for k in range(config.n_devices_circuits)]
        circuits = [echo_circuit(echo) for echo in echoes]
        exact[kind] = expectations(circuits, [echoes[0].observable])[:, 0]
    rng = np.random.default_rng([config.seed, 7])
    found = {"exact_ideal": exact["ideal"], "exact_faulty": exact["faulty"]}
    for name, other in (("ideal", exact["ideal"]), ("gate_error", exact["faulty"])):
        found[f"z2_{name}"] = np.stack(
            [
                squared_pulls(exact["ideal"], other, n, config.repeats, seed=rng)
                for n in config.shots
            ]
        )
    return found


def _metrics(config: Config, arrays: dict[str, np.ndarray]) -> dict[str, Measurement]:
    metrics = {}
    for precision in PRECISIONS:
        spreads = largest_spread(arrays["values"], precision)
        for quantity, spread in zip(QUANTITIES, spreads, strict=True):
            name = f"difference.{quantity}.{precision}"
            metrics[name] = Measurement(spread, n=config.n_circuits)
    literal, pruned = arrays["operations"].T
    metrics["operations.literal_over_pruned"] = Measurement((literal / pruned).mean())
    metrics["agreement.ideal"] = Measurement.from_samples(arrays["z2_ideal"])
    last = arrays["z2_gate_error"][-1].mean(axis=1)
    metrics["agreement.gate_error"] = Measurement.from_samples(last)
    shift = np.abs(arrays["exact_faulty"] - arrays["exact_ideal"])
    metrics["shift.gate_error"] = Measurement.from_samples(shift)
    caught = share_caught(arrays["z2_gate_error"], _limit(config))
    found = [n for n, share in zip(config.shots, caught, strict=True) if share >= 0.95]
    if found:
        metrics["shots.gate_error_found"] = Measurement(found[0])
    metrics["shots.false_alarms"] = Measurement.from_samples(
        (arrays["z2_ideal"].mean(axis=2) > _limit(config)).ravel()
    )
    return metrics


def _limit(config: Config) -> float:
    """Mean z^2 that two equal devices pass in 1 % of comparisons (chi-square)."""
    return agreement_limit(config.n_devices_circuits)


@style()
def plot(outcome: Outcome) -> Figure:
    """Differences between every pair of engines; time of one C^(4); devices against shots."""
    figure = new_figure(columns=2, height=2.8)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
    _draw_differences(figure, left, outcome.arrays["largest_difference"])
    _draw_times(middle, outcome.arrays["seconds"].mean(axis=0))
    _draw_devices(right, outcome.config, outcome.arrays)
    return figure


def _draw_differences(figure, axes, table) -> None:
    shown = axes.imshow(np.log10(np.maximum(table, 1e-17)), cmap="viridis", vmin=-16, vmax=-4)
    for (row, column), value in np.ndenumerate(table):
        text = "0" if value == 0 else f"{math.log10(value):.0f}"
        dark = value < 1e-9
        axes.text(column, row, text, ha="center", va="center", fontsize=6, color="w" if dark else "k")  # fmt: skip
    axes.set_xticks(range(len(NAMES)), NAMES, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(NAMES)), NAMES)
    axes.set_title("log10 of the largest difference\n(own: literal − pruned)")
    figure.colorbar(shown, ax=axes, shrink=0.7)


def _draw_times(axes, seconds) -> None:
    places = np.arange(len(NAMES))
    for column, form in enumerate(FORMS):
        ends = places + 0.4 * column - 0.2
        axes.barh(ends, 1e3 * seconds[:, column], 0.38, color=PALETTE[column], label=form)
    decades = 10.0 ** np.array(
        [np.floor(np.log10(1e3 * seconds.min())), np.ceil(np.log10(1e3 * seconds.max()))]
    )
    axes.set(xscale="log", xlim=decades, xlabel=label("Time of one OTOC(2)", "ms"))
    axes.set_yticks(places, NAMES)
    axes.invert_yaxis()
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _draw_devices(axes, config: Config, arrays) -> None:
    names = {"ideal": "two ideal devices", "gate_error": f"gates off by {config.gate_error:g} rad"}
    for (key, name), color in zip(names.items(), PALETTE, strict=False):
        means = arrays[f"z2_{key}"].mean(axis=2)
        spread = means.std(axis=1)
        axes.errorbar(
            arrays["shots"], means.mean(axis=1), spread, fmt="o-", color=color, label=name
        )
    axes.axhline(_limit(config), color=GREY, ls="--", label="1 % false alarms")
    axes.set(xscale="log", yscale="log", xlabel="Shots per circuit")
    axes.set_ylabel("Mean of (difference / error)²")
    axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0))
