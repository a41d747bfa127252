"""A small experiment with every feature of the interface: the period of a pendulum, measured with noise."""

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np

from experiments.harness.context import Context
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import label, new_figure, reference_band, style

CLAIM = "The period of a pendulum grows with the square root of its length."
PAPER_FIGURE = "Huygens 1673, Part IV"
EXPECTED_TIME = {"quick": "1 s", "laptop": "2 s"}
TOLERANCES = {"period.1*": 0.5}


@dataclass(frozen=True)
class Config:
    """Pendulums and how they are measured.

    Attributes:
        seed: Seed of the noise.
        lengths: Lengths in metres.
        gravity: Acceleration in m/s^2.
        pause: Seconds to wait per length.
        fault: What goes wrong on purpose.
        precision: Precision of the computation.
    """

    seed: int = 0
    lengths: tuple[float, ...] = (1.0, 2.0)
    gravity: float = 9.81
    pause: float = 0.0
    fault: Literal["none", "nan", "bug", "boundary", "diverge", "drawing", "interrupt"] = "none"
    precision: Literal["single", "double"] = "single"

    def __post_init__(self):
        if self.pause < 0:
            raise ValueError(f"`pause` must not be negative, but is {self.pause:g} s.")


SCALES = {"quick": Config(), "laptop": Config(lengths=(1.0, 2.0, 4.0))}
REFERENCES = (
    Reference("period.1m", 2.01, 0.01, "s", "Table 1", "table", True),
    Reference("period.2m", None, None, "s", "Fig. 1", "read off a plot", False, "no number"),
    Reference("period.8m", 5.67, None, "s", "Fig. 2", "derived", False, "long & <far> away"),
)
# Filled by `run`, so that a test can see what was computed and what was taken from disk.
COMPUTED: list[float] = []


def run(config, context=None):
    context = context or Context()
    if config.fault == "bug":
        raise ValueError("shapes (3,) and (4,) not aligned")
    if config.fault == "diverge":
        raise FloatingPointError("`loss` must be finite, but is not at step 7.")
    if config.fault == "boundary":
        raise ValueError("`distance` must be positive and finite, but is -1 m.")
    metrics, arrays = {}, {}
    with context.progress("lengths", len(config.lengths)) as ticker:
        for length in config.lengths:
            piece = context.sub_run(f"length {length:g}", lambda at=length: _measure(at, config))
            metrics[f"period.{length:g}m"] = Measurement.from_samples(piece["samples"], "s")
            arrays[f"samples.{length:g}m"] = piece["samples"]
            ticker.advance(note=f"{length:g} m")
            if config.fault == "interrupt":
                raise KeyboardInterrupt
    if config.fault == "nan":
        metrics["period.1m"] = Measurement(float("nan"), None, "s")
    return Outcome("pendulum", config, metrics, arrays, REFERENCES)


def _measure(length, config):
    COMPUTED.append(length)
    time.sleep(config.pause)
    noise = np.random.default_rng([config.seed, round(1000 * length)]).normal(0, 0.01, 50)
    return {"samples": 2 * np.pi * np.sqrt(length / config.gravity) + noise}


@style()
def plot(outcome):
    if outcome.config.fault == "drawing":
        raise RuntimeError("no such axes")
    figure = new_figure()
    axes = figure.subplots()
    reference_band(axes, outcome.references[0], at=1.0, name="paper")
    for name, measured in outcome.metrics.items():
        axes.errorbar(float(name[7:-1]), measured.value, 3 * measured.stderr, marker="o")
    axes.set_xlabel(label("Length", "m"))
    axes.set_ylabel(label("Period", "s"))
    axes.legend()
    return figure
