"""A small experiment with every feature of the interface: the period of a pendulum, measured with noise."""

import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from experiments.harness.context import ALONE
from experiments.harness.errors import NonFiniteError
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
    fault: Literal[
        "none",
        "nan",
        "bug",
        "boundary",
        "diverge",
        "drawing",
        "killed once",
        "killed",
        "limp",
        "waiting",
        "deaf",
    ] = "none"
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


def run(config, context=ALONE):
    if config.fault == "bug":
        raise ValueError("shapes (3,) and (4,) not aligned")
    if config.fault == "diverge":
        raise FloatingPointError("`loss` must be finite, but is not at step 7.")
    if config.fault == "boundary":
        raise ValueError("`distance` must be positive and finite, but is -1 m.")
    pieces = {f"length {at:g}": (context, config, at) for at in config.lengths}
    found = context.map(_piece, pieces, on_piece=lambda some: _publish(context, config, some))
    metrics, arrays = {}, {}
    for length, piece in zip(config.lengths, found.values(), strict=True):
        metrics[f"period.{length:g}m"] = Measurement.from_samples(piece["samples"], "s")
        arrays[f"samples.{length:g}m"] = piece["samples"]
    if config.fault == "nan":
        metrics["period.1m"] = Measurement(float("nan"), None, "s")
    return Outcome("pendulum", config, metrics, arrays, REFERENCES)


def _piece(context, config, length):
    if length == 2.0:
        _go_wrong(config.fault)
    with context.progress(f"swings of {length:g} m", 50) as ticker:
        piece = _measure(length, config)
        ticker.advance(50, note=f"process {os.getpid()}")
    return piece


def _go_wrong(fault):
    mark = Path("killed-once")
    if fault == "killed" or (fault == "killed once" and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "waiting":
        _wait_for(lambda: Path("go-on").exists())
    if fault == "deaf":  # as what passes over an error that was an interrupt
        try:
            mark.touch()
            time.sleep(60)
        except KeyboardInterrupt:
            print("swallowed", file=sys.stderr)
        time.sleep(60)
    if fault == "limp":  # an error comes when something is kept already
        _wait_for(lambda: list(Path("results/pendulum").glob(".*.pieces/length_1-*.npz")))
        raise NonFiniteError("`period` of a limp pendulum must be finite, but is inf.")


def _wait_for(something):
    for _ in range(6000):
        if something():
            return
        time.sleep(0.01)


def _publish(context, config, found):
    """After the first piece of a run with some left: one length alone."""
    if len(config.lengths) < 3 or len(found) > 1:
        return
    length, piece = config.lengths[0], next(iter(found.values()))
    period = Measurement.from_samples(piece["samples"], "s")
    early = Outcome(
        "pendulum",
        replace(config, lengths=(length,)),
        {f"period.{length:g}m": period},
        {},
        REFERENCES,
    )
    context.publish(early, f"{length:g} m swings in {period.value:.2f} s")


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
    # Named for who asks, but not drawn: a hundred tests store this picture, and text and its layout are most of it.
    axes.set_axis_off()
    figure.set_layout_engine("none")
    figure.set_size_inches(1, 1)
    return figure
