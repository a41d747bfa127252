"""Time of one training step of a phase network, against torchoptics and chromatix.

The work: loss, gradient and Adam update of a stack of phase masks between equal windows, complex64,
Fresnel transfer function on a grid padded twice, mean squared error of the intensity. All engines get
the same inputs, phases and target, and have to agree on loss, gradient and intensity before they are
timed. Each is a process of its own, kept alive, and asked for a few steps at a time in turn, so that
what slows the machine down slows all; a ratio is formed within a round and then averaged over rounds.

For a quiet measurement close everything else and run `lightecho bench --scale laptop`. The peers are
found as `experiments.benchmarks.peers.environments` says: `make peers` makes an environment for torchoptics,
and `LIGHTECHO_CHROMATIX_PYTHON` names a Python 3.12 that imports chromatix. An engine that is missing is
reported as not run.
"""

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
from experiments.harness.fields import at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import label, new_figure

CLAIM = "A training step takes less than half the time of chromatix and torchoptics."
PAPER_FIGURE = "none (our benchmark)"
EXPECTED_TIME = {"quick": "15 s", "laptop": "3 min", "paper": "10 min"}
REFERENCES: tuple[Reference, ...] = ()

OURS = "lightecho.matrix"
ENGINES = (
    EngineSpec(OURS, "lightecho", "matrix"),
    EngineSpec("lightecho.fft", "lightecho", "fft"),
    EngineSpec("lightecho.reference", "lightecho", "reference"),
    EngineSpec("chromatix.documented", "chromatix", "documented"),
    EngineSpec("chromatix.prepared", "chromatix", "prepared"),
    EngineSpec("torchoptics.documented", "torchoptics", "documented"),
    EngineSpec("torchoptics.prepared", "torchoptics", "prepared"),
)
# Relative difference of gradients that still counts as the same work. Peers make the kernel in single
# precision: pi lambda z f^2 reaches 260 rad, times 6e-8 and a few operations.
AGREEMENT = 1e-3


@dataclass(frozen=True)
class Config:
    """What is timed.

    Attributes:
        pixels: Samples along each side of the window.
        n_layers: Number of phase masks.
        batch_size: Fields per step.
        pixel_pitch: Sample spacing, in metres.
        wavelength: Wavelength, in metres.
        distance: Between masks, in metres.
        rounds: How often each engine has its turn.
        n_steps: Steps in one turn.
        sizes: Window sizes of the table of our own methods.
        peers: Whether chromatix and torchoptics take part.
        patience: Longest wait for one turn of an engine, in seconds.
        seed: Seed of inputs, phases and target.
    """

    pixels: int = 200
    n_layers: int = 5
    batch_size: int = 8
    pixel_pitch: float = 8e-6
    wavelength: float = 532e-9
    distance: float = 40e-3
    rounds: int = 10
    n_steps: int = 5
    sizes: tuple[int, ...] = (64, 128, 200, 256, 400)
    peers: bool = True
    patience: float = 300.0
    seed: int = 0

    def __post_init__(self):
        at_least(self, 1, "pixels", "n_layers", "batch_size", "rounds", "n_steps")
        if any(n % 2 for n in (self.pixels, *self.sizes)):
            raise ValueError("`pixels` and `sizes` must be even, since peers pad both sides alike.")
        limit = 2 * self.pixels * self.pixel_pitch**2 / self.wavelength
        if not 0 < self.distance <= limit:
            raise ValueError(
                f"`distance` must be positive and at most {limit:g} m (2 N pitch^2 / wavelength), "
                f"where the transfer function that all engines use is sampled, but is {self.distance:g} m."
            )


SCALES = {
    # 2 N pitch^2 / wavelength is 48 mm for 200 px and 7.7 mm for 32 px.
    "quick": Config(pixels=32, distance=6e-3, rounds=2, n_steps=2, sizes=(32, 64)),
    "laptop": Config(),
    "paper": Config(rounds=30, n_steps=10),
}


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Times all engines that are there, in turn, then our own methods over window sizes."""
    metrics = {"load_average": load_average(context)}
    arrays: dict[str, np.ndarray] = {}
    chosen = [e for e in ENGINES if config.peers or e.package == "lightecho"]
    times = _compare(config, config.pixels, chosen, context)
    for name, seconds in times.seconds.items():
        arrays[f"seconds.{name}"] = seconds
        metrics |= _summary(f"step_time.{name}", seconds)
        if name != OURS and OURS in times.seconds:
            metrics[f"ratio.{name}"] = ratio(times.seconds[OURS], seconds)
    metrics |= _besides(times)
    for n in config.sizes:
        own = [e for e in ENGINES if e.package == "lightecho"]
        for name, seconds in _compare(config, n, own, context).seconds.items():
            arrays[f"seconds.{name}.{n}"] = seconds
            metrics[f"size.{name}.{n}"] = _milliseconds(seconds)
    arrays["not_run"] = np.array(times.absent, dtype=str)
    return Outcome("bench_propagation", config, metrics, arrays, REFERENCES)


def plot(outcome: Outcome) -> Figure:
    """Step time of each engine with its range over rounds, and of our methods over window size."""
    figure = new_figure(2, 2.8)
    engines, sizes = figure.subplots(1, 2)
    measured = [e.name for e in ENGINES if f"seconds.{e.name}" in outcome.arrays]
    for row, name in enumerate(reversed(measured)):
        low, middle, high = 1e3 * np.quantile(
            per_round(outcome.arrays[f"seconds.{name}"]), (0, 0.5, 1)
        )
        engines.barh(row, middle, color="C0" if name.startswith("lightecho") else "0.6")
        engines.plot([low, high], [row, row], color="k", lw=1)
    engines.set_yticks(range(len(measured)), reversed(measured), fontsize="small")
    engines.set_xlabel(label("training step", "ms"))
    for method in ("matrix", "fft", "reference"):
        times = [
            outcome.metrics[f"size.lightecho.{method}.{n}"].value for n in outcome.config.sizes
        ]
        sizes.loglog(outcome.config.sizes, times, "o-", label=method, markersize=3)
    sizes.set_xticks(outcome.config.sizes, [str(n) for n in outcome.config.sizes])
    sizes.set_xticks([], minor=True)
    sizes.set_xlabel(label("window", "px"))
    sizes.set_ylabel(label("training step", "ms"))
    sizes.legend()
    absent = outcome.arrays["not_run"]
    if absent.size:
        names = ", ".join(str(line).split(",")[0] for line in absent)
        engines.set_title(f"not run: {names}", fontsize="small")
    return figure


def _compare(config: Config, pixels: int, specs, context: Context) -> Times:
    return time_in_turn(
        specs, partial(_write_task, config, pixels), context,
        size=f"{pixels} px", rounds=config.rounds, steps=config.n_steps,
        patience=config.patience, tolerance=AGREEMENT,
    )  # fmt: skip


def _write_task(config: Config, pixels: int, folder: Path) -> dict:
    """Random amplitudes on the middle half, random phases, one bright square as target."""
    rng = np.random.default_rng(config.seed)
    fields = np.zeros((config.batch_size, pixels, pixels), np.complex64)
    half = slice(pixels // 4, pixels - pixels // 4)
    fields[:, half, half] = rng.random(fields[:, half, half].shape)
    target = np.zeros(fields.shape, np.float32)
    corner = rng.integers(0, pixels - pixels // 8, (config.batch_size, 2))
    for image, (y, x) in zip(target, corner, strict=True):
        image[y : y + pixels // 8, x : x + pixels // 8] = 4.0
    phases = rng.uniform(0, np.pi, (config.n_layers, pixels, pixels)).astype(np.float32)
    path = folder / "task.npz"
    np.savez(path, fields=fields, target=target, phases=phases)
    return {
        "arrays": str(path),
        "shape": [pixels, pixels],
        "pixel_pitch": config.pixel_pitch,
        "wavelength": config.wavelength,
        # So all sizes sample the transfer function as the main one does.
        "distance": config.distance * pixels / config.pixels,
        "learning_rate": 0.01,
    }


def _besides(times: Times) -> dict[str, Measurement]:
    """What is measured besides the steps."""
    metrics = {f"first_call.{k}": Measurement(v, unit="s") for k, v in times.first_calls.items()}
    metrics |= {f"import.{k}": Measurement(v, unit="s") for k, v in times.imports.items()}
    for name, by_part in times.differences.items():
        metrics |= {f"difference.{part}.{name}": Measurement(d) for part, d in by_part.items()}
    metrics |= {f"peak_memory.{k}": Measurement(v, unit="MiB") for k, v in times.peaks.items()}
    return metrics


def _milliseconds(seconds: np.ndarray) -> Measurement:
    rounds = per_round(seconds)
    spread = Measurement.from_samples(1e3 * rounds, "ms")
    return Measurement(float(np.median(1e3 * rounds)), spread.stderr, "ms", rounds.size)


def _summary(name: str, seconds: np.ndarray) -> dict[str, Measurement]:
    rounds = 1e3 * per_round(seconds)
    return {
        name: _milliseconds(seconds),
        f"{name}.min": Measurement(rounds.min(), unit="ms", n=rounds.size),
        f"{name}.max": Measurement(rounds.max(), unit="ms", n=rounds.size),
    }
