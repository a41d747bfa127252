"""Random circuit sampling: cross-entropy fidelity against cycles under noise, beside the digital error model.

Willow's run, as we have it from memory: 103 qubits, 40 cycles, XEB fidelity about 0.1 %. Its gate set, layer order,
sites and counts are not in our sources, so ours are our choice: one-qubit gates of pi/2 about random axes in the
plane, iSWAP-like gates, coupler groups in the sequence ABCDCDAB of F. Arute et al., Nature 574, 505 (2019), DOI
10.1038/s41586-019-1666-5 (its letters name other groups than ours), and a last layer of one-qubit gates.

Noise is a Pauli error after every gate and misread bits, from the RCS column of the Willow specification (second-hand),
gate and readout errors multiplied by `noise_factors`; quoted errors include what idling costs, so nothing is added for
it. Every circuit is run along Pauli trajectories, and its XEB fidelity, linear and logarithmic, is taken from the
distribution itself (infinitely many samples; error from trajectories and circuits) and from drawn bitstrings. The
root of the speckle purity needs no ideal probabilities. Digital error model: prod (1 - e) over gates and readouts.

XEB lies a little above that model: in the first and the last cycles some errors leave the state or its bitstrings as
they are. On 8 qubits with fourfold gate errors, 12 cycles and exact density matrices the excess is 2.7 %; faults in the
first two cycles alone give 0.8 %, in the last two alone 1.1 %.

`willow_xeb` is no simulation but the digital model at 103 qubits and 40 cycles: every qubit one gate a cycle and a last
layer, couplers of the 105-qubit grid scaled to 103 qubits, a quarter of them a cycle (our choice).
"""

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least, rising
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label, new_figure
from quantum.circuits import random_circuit, rectangle, willow
from quantum.noise import NoiseModel, linear_xeb, noisy_output
from quantum.noise.cross_entropy import circuit_fidelity, digital_fidelity, log_xeb, sample
from quantum.noise.model import willow_rcs

CLAIM = "XEB fidelity of noisy random circuits falls with cycles as the digital error model says."
PAPER_FIGURE = (
    "none of the echo paper (Google Quantum AI, Nature 646, 825 (2025), DOI 10.1038/s41586-025-09526-6); "
    "Willow's random circuit sampling, from memory"
)
EXPECTED_TIME = {"quick": "8 s", "laptop": "4 min", "paper": "hours, 24 qubits, 16 GB"}
TOLERANCES = {"xeb*": 0.1, "digital*": 0.01, "root_purity*": 0.1, "porter_thomas*": 0.3}
TOLERANCES |= {"willow_xeb": 0.01}
WILLOW_QUBITS = 103
WILLOW_CYCLES = 40
ESTIMATES = ("linear", "log", "root_purity", "sampled", "sampled_log", "digital", "porter_thomas")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        rows: Rows of the lattice.
        columns: Columns of the lattice.
        order: Coupler groups in turn (our choice).
        n_cycles: Cycles of the circuits.
        n_circuits: Random circuits at each number of cycles.
        n_trajectories: Trajectories with an error, for each circuit.
        n_samples: Bitstrings drawn from each noisy circuit.
        noise_factors: Multiples of the chip's errors.
        min_ratio_cycles: Cycles from which on XEB over the digital model is averaged; shallower circuits do not
            scramble, so an error leaves part of the distribution (our choice).
        engine: Engine by name.
        seed: Seed of circuits, errors and bitstrings.
    """

    rows: int = 3
    columns: int = 4
    order: str = "ABCDCDAB"
    n_cycles: tuple[int, ...] = (4, 8, 12, 16, 20)
    n_circuits: int = 6
    n_trajectories: int = 12
    n_samples: int = 20_000
    noise_factors: tuple[float, ...] = (1.0, 4.0)
    min_ratio_cycles: int = 8
    engine: str = "reference"
    seed: int = 0

    def __post_init__(self):
        at_least(self, 2, "n_circuits", "n_trajectories", "n_samples")
        rising(self, 1, "n_cycles", entries=2)
        if max(self.n_cycles) < self.min_ratio_cycles:
            raise ValueError(
                f"`min_ratio_cycles` must be at most {max(self.n_cycles)}, but is {self.min_ratio_cycles}."
            )
        at_least(self, 0, "noise_factors")


SCALES = {
    "quick": Config(),
    "laptop": Config(
        rows=4, columns=5, n_cycles=(4, 8, 12, 16, 20, 24), n_circuits=4, engine="auto"
    ),
    "paper": Config(rows=4, columns=6, n_cycles=(8, 16, 24, 32, 40), n_circuits=10, engine="auto"),
}
REFERENCES = (
    Reference("willow_xeb", 0.1, None, "%", "place unknown to us", "stated in text", False,
              "about, from memory; ours is the digital model with the specification's errors, no simulation"),
    Reference("xeb_over_digital.x1", 1.0, None, "", "digital error model", "derived", True,
              "theory; in the first and last cycles some errors change no bitstring, so XEB is a little above"),
    Reference("porter_thomas", 2.0, None, "", "closed form", "derived", True,
              "D sum p^2 of many qubits; 2 D / (D + 1) at D levels"),
)  # fmt: skip


def chip(factor: float) -> NoiseModel:
    """Gate and readout errors of the RCS column times a factor; no idling apart from what these include."""
    model = willow_rcs()
    return NoiseModel(
        factor * model.one_qubit_error,
        factor * model.two_qubit_error,
        readout_zero=factor * model.readout_zero,
        readout_one=factor * model.readout_one,
    )


def willow_digital() -> float:
    """Digital error model at the size of Willow's run; derived, see the module's docstring."""
    grid = willow()
    couplers = len(grid.couplers) * WILLOW_QUBITS / grid.n_qubits
    n_two = round(WILLOW_CYCLES * couplers / 4)
    return digital_fidelity((WILLOW_CYCLES + 1) * WILLOW_QUBITS, n_two, WILLOW_QUBITS, chip(1.0))


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Runs every circuit under every noise, and averages over circuits."""
    done = context.map(_ensemble, {f"cycles{c}": (config, c) for c in config.n_cycles})
    pieces = {c: done[f"cycles{c}"] for c in config.n_cycles}
    # (cycles, noise factors, circuits)
    arrays = {name: np.stack([pieces[c][name] for c in config.n_cycles]) for name in ESTIMATES}
    arrays["scaled"] = pieces[config.n_cycles[-1]]["scaled"]
    metrics = {"willow_xeb": Measurement(100 * willow_digital(), None, "%")}
    metrics["porter_thomas"] = Measurement.from_samples(arrays["porter_thomas"][-1, 0])
    deep = np.array(config.n_cycles) >= config.min_ratio_cycles
    for k, factor in enumerate(config.noise_factors):
        mark = f"x{factor:g}"
        # Circuits of different numbers of cycles are independent, so all of them count as samples.
        ratio = arrays["linear"][deep, k] / arrays["digital"][deep, k]
        metrics[f"xeb_over_digital.{mark}"] = Measurement.from_samples(ratio)
        for name, metric in (("linear", "xeb"), ("log", "xeb_log"), ("sampled", "xeb_sampled"),
                             ("root_purity", "root_purity")):  # fmt: skip
            metrics[f"{metric}.{mark}"] = Measurement.from_samples(arrays[name][-1, k])
        metrics[f"digital.{mark}"] = Measurement(arrays["digital"][-1, k].mean())
    return Outcome("random_circuit_sampling", config, metrics, arrays, REFERENCES)


def _ensemble(config: Config, cycles: int) -> dict[str, np.ndarray]:
    """All estimates of all circuits of one number of cycles, (noise factors, circuits)."""
    shape = (len(config.noise_factors), config.n_circuits)
    found = {name: np.empty(shape) for name in ESTIMATES}
    scaled = []
    for number in range(config.n_circuits):
        words = np.random.SeedSequence((config.seed, cycles, number)).generate_state(2)
        lattice = rectangle(config.rows, config.columns)
        drawn = random_circuit(
            lattice, cycles + 1, seed=int(words[0]), order=config.order, angles=(pi / 2,)
        )
        circuit = drawn[:-1]  # the last layer is one of one-qubit gates
        for k, factor in enumerate(config.noise_factors):
            values, ideal = _estimates(config, circuit, chip(factor), int(words[1]))
            for name, value in values.items():
                found[name][k, number] = value
        scaled.append(ideal.size * ideal)
    return found | {"scaled": np.concatenate(scaled)[: 2**16].astype(np.float32)}


def _estimates(config: Config, circuit, model: NoiseModel, seed: int):
    output = noisy_output(circuit, model, config.n_trajectories, seed=seed, engine=config.engine)
    read = sample(output.mean(), config.n_samples, seed=seed)
    ideal = output.ideal
    return {
        "linear": output.linear().value,
        "log": output.log().value,
        "root_purity": sqrt(max(output.purity(), 0.0)),
        "sampled": linear_xeb(ideal, read).value,
        "sampled_log": log_xeb(ideal, read).value,
        "digital": circuit_fidelity(circuit, model),
        "porter_thomas": float(ideal.size * ideal @ ideal),
    }, ideal


def plot(outcome: Outcome) -> Figure:
    """Fidelities against cycles beside the digital model; the bitstring statistics beside Porter and Thomas."""
    config, arrays = outcome.config, outcome.arrays
    figure = new_figure(columns=2, height=2.8)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    marks = (
        ("linear", "o", "linear XEB"),
        ("log", "s", "log XEB"),
        ("root_purity", "^", "√purity"),
    )
    cycles = np.array(config.n_cycles)
    for k, factor in enumerate(config.noise_factors):
        for shift, (name, mark, text) in enumerate(marks):
            values = arrays[name][:, k]
            error = values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
            left.errorbar(cycles + 0.25 * (shift - 1), values.mean(axis=1), error, fmt=mark, ms=3, lw=0.8,
                          color=PALETTE[shift], label=text if k == 0 else None)  # fmt: skip
        left.plot(cycles, arrays["digital"][:, k].mean(axis=1), color=GREY, lw=1,
                  label="digital error model" if k == 0 else None)  # fmt: skip
        left.annotate(f"errors × {factor:g}", (cycles[-1], arrays["digital"][-1, k].mean()), (-4, -11),
                      textcoords="offset points", fontsize=6.5, ha="right")  # fmt: skip
    left.set(xlabel=label("Cycles"), ylabel=label("Fidelity"), yscale="log")
    lowest = float(arrays["digital"].min())
    ticks = [t for t in (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0) if t > 0.7 * lowest]
    left.set_yticks(ticks, [f"{t:g}" for t in ticks])
    left.minorticks_off()
    left.set_ylim(0.7 * lowest, 1.1)
    left.set_xticks(cycles)
    left.set_title(f"{config.rows * config.columns} qubits, {config.n_circuits} circuits a point")
    left.legend(fontsize=6.5, loc="lower left")
    _draw_statistics(right, arrays["scaled"], config.n_cycles[-1])
    return figure


def _draw_statistics(axes, scaled: np.ndarray, cycles: int) -> None:
    edges = np.linspace(0, 8, 33)
    counts = np.histogram(scaled, edges)[0] / (scaled.size * np.diff(edges))
    axes.stairs(counts, edges, color=PALETTE[0], fill=True, alpha=0.4, label=f"{cycles} cycles")
    axes.plot(edges, np.exp(-edges), color="k", lw=1, label="Porter-Thomas")
    axes.set(
        xlabel=label("Probability × 2ⁿ"), ylabel=label("Density"), yscale="log", ylim=(1e-4, 2)
    )
    axes.set_title("Ideal output probabilities")
    axes.legend(fontsize=6.5)
