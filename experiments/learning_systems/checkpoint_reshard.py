"""Saved under one mesh and sharding, loaded under another: the same bits, and a training that goes on as it would.

On eight forced devices of the CPU:

    pairs    a state of arrays of eight types and random keys is saved under every mesh of 1 to 8 devices and every way
             in which its axes cut rows and columns, and loaded under every other: each shard of each device is compared
             bit by bit. Also counted: bytes stored over bytes of the state, so that no copy is stored twice.
    curves   a small network of bytes trains; after each quarter of the steps it is saved, and loaded on another mesh.
             Its losses beside those of a network that stays on the first mesh, whose sums are in another order, and of
             one that is moved by JAX from device to device without a checkpoint, whose losses must be the same bits.

ByteCheckpoint (B. Wan et al., arXiv:2407.20143) shows the loss going on through such changes as curves, for 13 billion
parameters and without numbers; so none is compared.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness.context import ALONE, Context, called
from experiments.harness.fields import among, at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label, new_figure, style
from experiments.learning_systems.checkpoint_meshes import WAY, in_child

CLAIM = "A checkpoint loads bit by bit under any mesh and sharding, and the loss goes on through the change."
PAPER_FIGURE = "B. Wan et al., arXiv:2407.20143 (ByteCheckpoint); its loss curves have no numbers"
EXPECTED_TIME = {"quick": "25 s", "laptop": "2 min", "paper": "20 min"}
# Losses that differ by the order of sums drift apart by chance; the bits of pairs never do.
TOLERANCES = {"drift.*": 1e-3, "loss.*": 0.05, "*": 0.0}
REFERENCES: tuple[Reference, ...] = ()


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        stride: Every so many of all shardings is taken.
        precisions: Precisions of the trainings.
        n_steps: Steps of each training, a quarter on each mesh.
        width: Size of a byte's vector; the hidden layer has four times as many.
        seed: Seed of the state, the network and its batches.
    """

    stride: int = 1
    precisions: tuple[str, ...] = ("single", "double")
    n_steps: int = 400
    width: int = 32
    seed: int = 0

    def __post_init__(self):
        among(self, ("single", "double"), "precisions")
        at_least(self, 1, "stride")
        at_least(self, 4, "n_steps")
        at_least(self, 8, "width")


SCALES = {
    "quick": Config(stride=6, precisions=("double",), n_steps=40, width=8),
    "laptop": Config(),
    "paper": Config(n_steps=4000, width=256),
}


def run(config: Config, context: Context = ALONE) -> Outcome:
    """The pairs, and a training in each precision, each in a process of its own."""
    pieces: dict[str, tuple] = {"pairs": (_pairs, config.stride, config.seed)}
    for name in config.precisions:
        pieces[f"curves {name}"] = (_curves, name, config.n_steps, config.width, config.seed)
    found = context.map(called, pieces)
    pairs = found["pairs"]
    metrics = {
        "pairs.wrong": Measurement(
            float((pairs["wrong"] > 0).mean()), None, "", pairs["wrong"].size
        ),
        "pairs.count": Measurement(float(pairs["wrong"].size)),
        "stored.over_state": Measurement(float(pairs["stored"].max())),
    }
    arrays = {f"pairs.{name}": each for name, each in pairs.items()}
    for name in config.precisions:
        each = found[f"curves {name}"]
        metrics[f"drift.{name}"] = Measurement(float(np.max(drift(each["moved"], each["stayed"]))))
        metrics[f"moved.differs.{name}"] = Measurement(float((each["moved"] != each["put"]).mean()))
        metrics[f"loss.first.{name}"] = Measurement(float(each["moved"][0]), None, "nat")
        metrics[f"loss.last.{name}"] = Measurement(float(each["moved"][-1]), None, "nat")
        arrays |= {f"{how}.{name}": losses for how, losses in each.items()}
    return Outcome("checkpoint_reshard", config, metrics, arrays, REFERENCES)


def _pairs(stride: int, seed: int) -> dict[str, np.ndarray]:
    return in_child("pairs", stride=stride, seed=seed)


def _curves(precision: str, n_steps: int, width: int, seed: int) -> dict[str, np.ndarray]:
    return in_child("curves", precision=precision, n_steps=n_steps, width=width, seed=seed)


def drift(moved: np.ndarray, stayed: np.ndarray) -> np.ndarray:
    """Difference of two losses over the loss, step by step."""
    return np.abs(moved - stayed) / np.abs(stayed)


@style()
def plot(outcome: Outcome) -> Figure:
    """Which pairs are the same bits, and the losses of networks that stayed and moved."""
    figure = new_figure(2, 3.0)
    table, curve, apart = figure.subplots(1, 3)
    _table(figure, table, outcome)
    first = outcome.config.precisions[-1]
    stayed, moved = outcome.arrays[f"stayed.{first}"], outcome.arrays[f"moved.{first}"]
    steps = np.arange(len(moved))
    curve.plot(steps, stayed, color=GREY, lw=2.5, label="stayed on 8")
    for number, shape in enumerate(WAY):
        part = slice(*(len(moved) * (number + i) // len(WAY) for i in (0, 1)))
        name = "x".join(map(str, shape))
        curve.plot(steps[part], moved[part], color=PALETTE[number], lw=0.9, label=f"on {name}")
    curve.set(xlabel="Step", ylabel=label("Loss of a batch", "nat"))
    curve.legend(fontsize="x-small")
    for number, name in enumerate(outcome.config.precisions):
        each = [outcome.arrays[f"{how}.{name}"] for how in ("moved", "stayed")]
        # Equal losses have no place on a logarithmic axis.
        gap = np.maximum(drift(each[0], each[1]), 1e-17)
        apart.semilogy(steps, gap, ".", ms=2, color=PALETTE[number], label=name)
    for number in range(1, len(WAY)):
        for panel in (curve, apart):
            panel.axvline(len(moved) * number / len(WAY), color=GREY, lw=0.5, ls=":")
    apart.set(xlabel="Step", ylabel="Moved from stayed, over the loss")
    apart.legend(fontsize="x-small")
    return figure


def _table(figure: Figure, panel: Axes, outcome: Outcome) -> None:
    stretches = outcome.arrays["pairs.stretches"]
    shown = panel.imshow(stretches, cmap="cividis", origin="lower")
    wrong = np.argwhere(outcome.arrays["pairs.wrong"] > 0)
    if len(wrong):
        panel.plot(wrong[:, 1], wrong[:, 0], "x", color="C3")
    else:
        panel.set_title("all pairs the same bits", fontsize="small")
    devices = outcome.arrays["pairs.devices"]
    starts = np.flatnonzero(np.diff(devices, prepend=-1))
    panel.set_xticks(starts, devices[starts])
    panel.set_yticks(starts, devices[starts])
    panel.set(xlabel="Loaded on so many devices", ylabel="Saved from")
    figure.colorbar(shown, ax=panel, label="Stretches of an array", fraction=0.046)
