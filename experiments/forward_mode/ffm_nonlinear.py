"""Nonlinear layers trained by forward mode: Fig. 2f of the paper on fully forward mode.

Z. Xue et al., Nature 632, 280-286 (2024), DOI 10.1038/s41586-024-07687-4. Between two layers the measured field
goes through a nonlinear function before it is loaded again; in the error pass the error is multiplied by the stored
local derivative before it is propagated. Which function, which data set and how much it gains are unknown: all
candidates of `optics.networks.activations` run here with the same start, budget and hardware, and all are reported.
`accuracy.<activation>.*` is forward mode on hardware, `ideal.<activation>.*` the ideal model. The hardware is that
of `ffm_depth`.
"""

from dataclasses import dataclass, field

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.data import datasets
from experiments.data.tasks import shared_task
from experiments.forward_mode import ffm_depth
from experiments.forward_mode.panel import Optics, accuracy, draw_bench, train
from experiments.harness.context import ALONE, Context
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import PALETTE, label, new_figure
from optics.hardware import Imperfections
from optics.learning.rules import ForwardMode, InSilico
from optics.networks import ACTIVATIONS

CLAIM = "Forward mode trains nonlinear networks too; on our hardware no candidate gains over linear layers."
PAPER_FIGURE = "Z. Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4, Fig. 2f"
EXPECTED_TIME = {"quick": "20 s", "laptop": "10 min", "paper": "hours on a GPU"}
TOLERANCES = {"accuracy.*": 25.0, "ideal.*": 10.0, "gain.*": 35.0}


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        dataset: digits, mnist or fashion_mnist.
        n_classes: The first n classes are used.
        depths: Numbers of layers.
        activations: Names from `optics.networks.activations`; linear comes first and is what the others are compared
            with.
        repeats: Independent hardware draws and starts.
        n_train: Training images, 0 for all.
        n_test: Test images, 0 for all.
        optics: Panel, training and read-out.
        hardware: Errors of the hardware (our choice, those of `ffm_depth`).
        seed: Seed of splits, starts, hardware and noise.
    """

    dataset: str = "digits"
    n_classes: int = 10
    depths: tuple[int, ...] = (2, 4)
    activations: tuple[str, ...] = tuple(ACTIVATIONS)
    repeats: int = 3
    n_train: int = 0
    n_test: int = 1000
    optics: Optics = field(default_factory=Optics)
    hardware: Imperfections = ffm_depth.HARDWARE
    seed: int = 0

    def __post_init__(self):
        unknown = [name for name in self.activations if name not in ACTIVATIONS]
        if unknown or self.activations[:1] != ("linear",):
            raise ValueError(
                f"`activations` must be names of {', '.join(ACTIVATIONS)}, linear first, but is {self.activations}."
            )


WANTED_DATA = {"laptop": ("fashion_mnist",)}
SCALES = {
    "quick": Config(
        n_classes=4, depths=(2,), activations=("linear", "saturable", "square_law"), repeats=1, n_test=128,
        optics=Optics(pixels=32, distance=3e-3, n_steps=60),
    ),
    "laptop": Config(dataset=datasets.first_available(*WANTED_DATA["laptop"]), optics=Optics(n_steps=300)),
    "paper": Config(
        dataset="fashion_mnist", depths=(2, 4, 8), n_test=0,
        optics=Optics(pixels=400, distance=0.388, n_steps=3000, batch_size=64),
    ),
}  # fmt: skip
REFERENCES = (
    Reference(
        "gain.saturable.depth2", None, None, "%", "Fig. 2f", "read off a plot", False,
        "activation, data set and gain of the paper are unknown",
    ),
)  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Trains every activation and depth by forward mode and in the ideal model."""
    found = context.map(
        _train_and_test,
        {
            f"{name}.depth{depth}.repeat{r}": (config, context, name, depth, r)
            for depth in config.depths
            for name in config.activations
            for r in range(config.repeats)
        },
    )
    metrics: dict[str, Measurement] = {}
    arrays: dict[str, np.ndarray] = {}
    for depth in config.depths:
        for name in config.activations:
            pieces = [found[f"{name}.depth{depth}.repeat{r}"] for r in range(config.repeats)]
            samples = np.array([piece["accuracy"] for piece in pieces])  # repeat, (ideal, ffm)
            arrays[f"accuracy.{name}.depth{depth}"] = samples
            metrics[f"accuracy.{name}.depth{depth}"] = Measurement.from_samples(samples[:, 1], "%")
            metrics[f"ideal.{name}.depth{depth}"] = Measurement.from_samples(samples[:, 0], "%")
            if name != "linear":
                # Same start, batches and bench in each repeat: the difference is taken pair by pair.
                gain = samples[:, 1] - arrays[f"accuracy.linear.depth{depth}"][:, 1]
                metrics[f"gain.{name}.depth{depth}"] = Measurement.from_samples(gain, "%")
    return Outcome("ffm_nonlinear", config, metrics, arrays, REFERENCES)


def _train_and_test(config: Config, context: Context, name: str, depth: int, repeat: int):
    task = shared_task(config.dataset, config.n_classes, config.n_train, config.n_test, config.seed)
    optics = config.optics
    key = jax.random.fold_in(jax.random.key(config.seed), 1000 * depth + repeat)
    start_key, batch_key, test_key, bench_key = jax.random.split(key, 4)
    bench = draw_bench(optics, config.hardware, bench_key)
    start = optics.network(
        depth, task.n_classes, start_key, ACTIVATIONS[name], depths=config.depths
    )
    title = f"{name}, {depth} layers, repeat {repeat + 1}/{config.repeats}"
    model = train(context, f"{title}: ideal", optics, start, InSilico(), task, batch_key)
    own = train(context, f"{title}: ffm", optics, start, ForwardMode(), task, batch_key, bench)
    scores = (
        accuracy(optics, model.network, task, test_key),
        accuracy(optics, own.network, task, test_key, bench, own.time),
    )
    context.log(f"{title}: ideal {scores[0]:.1f} %, ffm {scores[1]:.1f} %")
    return {"accuracy": np.array(scores), "loss": own.losses}


def plot(outcome: Outcome) -> Figure:
    """Accuracy of each activation by forward mode on hardware and in the ideal model, a panel for each depth."""
    config = outcome.config
    figure = new_figure(columns=2, height=2.4)
    panels = figure.subplots(1, len(config.depths), sharey=True, squeeze=False)[0]
    at = np.arange(len(config.activations))
    for axes, depth in zip(panels, config.depths, strict=True):
        for offset, kind, name, color in (
            (-0.12, "ideal", "ideal model", PALETTE[0]),
            (0.12, "accuracy", "forward mode, on hardware", PALETTE[2]),
        ):
            found = [
                outcome.metrics[f"{kind}.{activation}.depth{depth}"]
                for activation in config.activations
            ]
            axes.errorbar(
                at + offset, [m.value for m in found], yerr=[2 * (m.sd or 0) for m in found],
                color=color, fmt="o", ms=4, capsize=2, label=name,
            )  # fmt: skip
        linear = outcome.metrics[f"accuracy.linear.depth{depth}"].value
        axes.axhline(linear, color=PALETTE[2], lw=0.6, ls=":")
        axes.set_xticks(at, [name.replace("_", "\n") for name in config.activations], fontsize=6)
        axes.set(
            title=f"{depth} layers, {config.dataset.replace('_', '-')}, {config.n_classes} classes"
        )
        axes.set_xlim(-0.5, len(at) - 0.5)
    panels[0].set_ylabel(label("Test accuracy, bars 2 sd", "%"))
    panels[0].legend(fontsize=6, loc="lower left")
    return figure
