"""Depth of a diffractive network that trains itself: Fig. 2d and 2e of the paper on fully forward mode.

Z. Xue, T. Zhou, Z. Xu, S. Yu, Q. Dai, L. Fang, Nature 632, 280-286 (2024), DOI 10.1038/s41586-024-07687-4. Networks
of 2 to 8 phase layers classify images three ways: in the ideal model (ideal), with the ideal model's weights on
imperfect hardware (in_silico), and trained on that hardware by forward mode (ffm). All have the same start, data
and steps.

The number of classes is unknown. Published linear networks reach 81-91 % on all ten, below the paper's 92.2 to 96.0
%, so a subset is likely: `accuracy.*` is for the first four classes and is what compares; `accuracy10.*` is for all
ten.

The hardware's errors are unknown too. They were chosen on the in-silico column alone, so that it lands near the
paper's 44 to 59 %, and then frozen: `HARDWARE` below. The choice is the experiment `ffm_gap`, whose laptop run
(Fashion-MNIST, first four classes, the training settings used here, 4 repeats, other seeds than here) gave for 2 /
4 / 6 / 8 layers, in percent:

    stroke error   astigmatism 0            0.1 waves            0.2 waves
        -0.30      81 / 68 / 77 / 72        81 / 65 / 66 / 70    79 / 56 / 48 / 50
        -0.35      70 / 55 / 64 / 65        71 / 53 / 58 / 63    69 / 47 / 42 / 48
        -0.40      55 / 48 / 53 / 58  <-    56 / 47 / 47 / 59    58 / 43 / 38 / 46
        -0.45      45 / 44 / 42 / 53        44 / 44 / 40 / 56    43 / 42 / 35 / 46

with a static phase error of 0.3 rad and a camera displaced by 0.25 px throughout. Before that, forward mode had
been tried on a few benches, stroke errors of -0.5 and -0.3 among them, to see that it trains at all and to set the
learning rate, which all methods share; it had not been run on the chosen bench. The modulator's 8 bits, the
camera's noise and a drifting reference come on top, which the in-silico column hardly feels.

Geometry: 64 px of 8 um at 12 mm have nearly the Fresnel number (10) of the paper's 400 px at 0.388 m (12), so that
a small run diffracts like the large one.
"""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.data import datasets
from experiments.data.tasks import shared_task
from experiments.forward_mode.ffm_depth_figure import COLORS, METHODS, plot_accuracy, plot_pictures
from experiments.forward_mode.panel import Optics, accuracy, draw_bench, train
from experiments.harness.context import ALONE, Arrays, Context, stacked
from experiments.harness.fields import at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import label, new_figure
from optics.hardware import Imperfections
from optics.learning.passes import measure_data_pass
from optics.learning.rules import ForwardMode, InSilico
from optics.waves import intensity

CLAIM = "On imperfect hardware, forward-mode training stays near the ideal at every depth; in-silico weights fail."
PAPER_FIGURE = "Z. Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4, Fig. 2d-e"
EXPECTED_TIME = {"quick": "20 s", "tour": "3 min", "laptop": "20 min", "paper": "hours on a GPU"}
# The quick run has few steps and 128 test images on one bench: another machine's rounding may move it by many of them.
TOLERANCES = {"accuracy*": 20.0, "loss_of_accuracy*": 25.0}
_PICTURE = "object."

# Frozen before forward mode was measured on it; see `ffm_gap`.
HARDWARE = Imperfections(
    slm_gain=-0.4,
    slm_phase_error=0.3,
    slm_levels=256,
    camera_shift_px=0.25,
    reference_drift=0.005,
)


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        dataset: digits, mnist or fashion_mnist.
        n_classes: Class counts, the first n classes each; the first entry is the one printed as `accuracy.*`.
        depths: Numbers of layers.
        repeats: Independent hardware draws and initial phases.
        n_train: Training images, 0 for all.
        n_test: Test images, 0 for all.
        optics: Panel, training and read-out.
        hardware: Errors of the hardware (our choice, see the module's text).
        camera: Measures through the paper's camera (quantum efficiency, shot and read noise, 12 bits).
        seed: Seed of splits, starts, hardware and noise.
    """

    dataset: str = "digits"
    n_classes: tuple[int, ...] = (4, 10)
    depths: tuple[int, ...] = (2, 4, 6, 8)
    repeats: int = 3
    n_train: int = 0
    n_test: int = 1000
    optics: Optics = field(default_factory=Optics)
    hardware: Imperfections = HARDWARE
    camera: bool = True
    seed: int = 0

    def __post_init__(self):
        at_least(self, 2, "n_classes")
        at_least(self, 1, "depths", "repeats")


WANTED_DATA = {"laptop": ("fashion_mnist",)}
SCALES = {
    "quick": Config(
        n_classes=(4,),
        depths=(2, 4),
        repeats=1,
        n_test=128,
        optics=Optics(pixels=32, distance=3e-3, n_steps=100),
    ),
    "tour": Config(n_classes=(4, 10), repeats=2, n_test=320, optics=Optics(n_steps=120)),
    "laptop": Config(dataset=datasets.first_available(*WANTED_DATA["laptop"])),
    "paper": Config(
        dataset="fashion_mnist",
        repeats=5,
        n_test=0,
        optics=Optics(pixels=400, distance=0.388, n_steps=3000, batch_size=64),
    ),
}

_WHY = "number of classes, data split and hardware errors of the paper are unknown; ours is {}"
# Fig. 2d, as reported to us in words and not checked: accuracy in percent and twice its standard deviation. The depths
# 4 and 6 are inferred from "2 to 8" with four values.
_PUBLISHED = {
    2: {"ideal": (92.2, None), "in_silico": (44.0, 35.1), "ffm": (86.5, None)},
    4: {"ideal": (93.8, None), "in_silico": (52.4, 8.8), "ffm": (91.0, None)},
    6: {"ideal": (96.0, None), "in_silico": (58.4, 18.4), "ffm": (92.3, None)},
    8: {"ideal": (96.0, None), "in_silico": (58.8, 5.5), "ffm": (92.5, None)},
}


def _references(note: str) -> tuple[Reference, ...]:
    return tuple(
        Reference(
            f"accuracy.{method}.depth{depth}",
            value,
            None if bracket is None else bracket / 2,
            "%",
            "Fig. 2d",
            "stated in text",
            comparable=False,
            note=note,
        )
        for depth, methods in _PUBLISHED.items()
        for method, (value, bracket) in methods.items()
    )


REFERENCES = _references(_WHY.format("a four-class subset"))


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Trains and tests every depth and repeat; each is a piece that survives an interruption."""
    # The depth varies fastest: all depths are in the figure early, and processes side by side compile different ones.
    pieces = {
        _label(n_classes, depth, repeat): (config, context, n_classes, depth, repeat)
        for repeat in range(config.repeats)
        for n_classes in config.n_classes
        for depth in config.depths
    }
    found = context.map(
        _train_and_test, pieces, on_piece=lambda some: _publish(config, context, some)
    )
    return _outcome(config, found)


def _label(n_classes: int, depth: int, repeat: int) -> str:
    return f"classes{n_classes}.depth{depth}.repeat{repeat}"


def _publish(config: Config, context: Context, found: dict[str, Arrays]) -> None:
    """Shows the depths of which the first repeat of the main class count is there."""
    main = config.n_classes[0]
    depths = tuple(depth for depth in config.depths if _label(main, depth, 0) in found)
    if not depths or len(found) == len(config.depths) * len(config.n_classes) * config.repeats:
        return
    early = _outcome(replace(config, n_classes=(main,), depths=depths, repeats=1), found)
    ideal, in_silico, ffm = (
        early.metrics[f"accuracy.{m}.depth{depths[-1]}"].value for m in METHODS
    )
    context.publish(
        early,
        f"{main} classes, {depths[-1]} layers: ideal {ideal:.1f} %, its weights on hardware {in_silico:.1f} %, trained "
        f"on hardware by forward mode {ffm:.1f} %",
    )


def _outcome(config: Config, found: dict[str, Arrays]) -> Outcome:
    metrics: dict[str, Measurement] = {}
    arrays: dict[str, np.ndarray] = {}
    for n_classes in config.n_classes:
        main = n_classes == config.n_classes[0]
        prefix = "accuracy" if main else f"accuracy{n_classes}"
        for depth in config.depths:
            repeats = [found[_label(n_classes, depth, r)] for r in range(config.repeats)]
            pieces = stacked(_without_pictures(piece) for piece in repeats)
            for i, method in enumerate(METHODS):
                samples = pieces["accuracy"][:, i]
                metrics[f"{prefix}.{method}.depth{depth}"] = Measurement.from_samples(samples, "%")
                arrays[f"{prefix}.{method}.depth{depth}"] = samples
            if main:
                arrays[f"loss.ffm.depth{depth}"] = pieces["loss_ffm"]
                arrays[f"loss.ideal.depth{depth}"] = pieces["loss_ideal"]
                if depth == max(config.depths):
                    arrays |= {k: v for k, v in repeats[0].items() if k.startswith(_PICTURE)}
    for depth in config.depths:
        ideal, in_silico, ffm = (arrays[f"accuracy.{m}.depth{depth}"] for m in METHODS)
        metrics[f"loss_of_accuracy.in_silico.depth{depth}"] = Measurement.from_samples(
            ideal - in_silico, "%"
        )
        metrics[f"loss_of_accuracy.ffm.depth{depth}"] = Measurement.from_samples(ideal - ffm, "%")
    if config.dataset == "fashion_mnist":
        references = _references(
            _WHY.format(f"{config.n_classes[0]} classes at {config.optics.pixels} px")
        )
    else:
        references = _references(f"our data are {config.dataset}, the paper's Fashion-MNIST")
    return Outcome("ffm_depth", config, metrics, arrays, references)


def _without_pictures(piece: Arrays) -> Arrays:
    return {name: array for name, array in piece.items() if not name.startswith(_PICTURE)}


def _train_and_test(
    config: Config, context: Context, n_classes: int, depth: int, repeat: int
) -> Arrays:
    task = shared_task(config.dataset, n_classes, config.n_train, config.n_test, config.seed)
    optics = config.optics
    key = jax.random.fold_in(jax.random.key(config.seed), 1000 * depth + repeat)
    start_key, batch_key, test_key, bench_key = jax.random.split(key, 4)
    bench = draw_bench(optics, config.hardware, bench_key, camera=config.camera)
    start = optics.network(
        depth, task.n_classes, start_key, depths=config.depths, class_counts=config.n_classes
    )
    name = f"{task.n_classes} classes, {depth} layers, repeat {repeat + 1}/{config.repeats}"
    model = train(context, f"{name}: ideal", optics, start, InSilico(), task, batch_key)
    self_trained = train(
        context, f"{name}: ffm", optics, start, ForwardMode(), task, batch_key, bench
    )
    scores = (
        accuracy(optics, model.network, task, test_key),
        accuracy(optics, model.network, task, test_key, bench),
        accuracy(optics, self_trained.network, task, test_key, bench, self_trained.time),
    )
    pictures = {}
    if repeat == 0 and n_classes == config.n_classes[0]:  # the only ones that are shown
        networks = (model.network, model.network, self_trained.network)
        pictures = _pictures(optics, task, networks, bench, test_key)
    context.log(
        f"{name}: ideal {scores[0]:.1f} %, in silico {scores[1]:.1f} %, ffm {scores[2]:.1f} %"
    )
    return {
        "accuracy": np.array(scores),
        "loss_ideal": model.losses,
        "loss_ffm": self_trained.losses,
        **pictures,
    }


def _pictures(optics: Optics, task, networks, bench, key) -> dict[str, np.ndarray]:
    """Intensity after every layer for one object: right by forward mode, wrong in silico where there is such a one."""
    nominal = draw_bench(optics, Imperfections(), key, camera=False)
    systems = (nominal, bench, bench)
    n = min(64, len(task.y_test))
    images, labels = np.asarray(task.x_test)[:n], np.asarray(task.y_test)[:n]
    seen = [
        jax.tree.map(np.asarray, _after_each_layer(net, system, images, labels, key, optics.encode))
        for net, system in zip(networks, systems, strict=True)
    ]
    right = [each.right for each in seen]
    telling = right[0] & right[2] & ~right[1]
    chosen = int(np.argmax(telling if telling.any() else right[2]))
    n_layers = int(networks[0].n_layers)
    pictures = {
        f"{_PICTURE}{method}": each.intensity[:n_layers, chosen].astype(np.float32)
        for method, each in zip(METHODS, seen, strict=True)
    }
    powers = [each.powers[chosen, : task.n_classes] for each in seen]
    return pictures | {
        "object.input": images[chosen],
        "object.label": labels[chosen],
        "object.powers": np.stack([p / p.sum() for p in powers]),
        "object.regions": np.asarray(networks[0].readout.regions).sum(axis=0, dtype=np.float32),
    }


class _Seen(NamedTuple):
    """Intensity after each layer, power in each region and whether it is right, for each image."""

    intensity: jax.Array
    powers: jax.Array
    right: jax.Array


@eqx.filter_jit
def _after_each_layer(network, bench, images, labels, key, encode) -> _Seen:
    """Compiled as one, for networks of all depths: left to itself each operation compiles a program of its own."""
    measured = measure_data_pass(network, bench, encode(images), key=key).measured
    output, readout = measured[network.n_layers - 1], network.readout
    return _Seen(intensity(measured), readout.powers(output), readout.correct(output, labels))


def plot(outcome: Outcome) -> Figure:
    """Accuracy against depth beside the paper, and the light after each layer for one object."""
    config = outcome.config
    figure = new_figure(columns=2, height=2.5 + 2.6)
    top, bottom = cast(Any, figure.subfigures(2, 1, height_ratios=(2.5, 2.6)))
    panels = top.subplots(
        1, len(config.n_classes) + 1, width_ratios=[1.0] * len(config.n_classes) + [0.8]
    )
    for axes, n_classes in zip(panels, config.n_classes, strict=False):
        main = n_classes == config.n_classes[0]
        plot_accuracy(axes, outcome, "accuracy" if main else f"accuracy{n_classes}", main)
        axes.set_title(f"{config.dataset.replace('_', '-')}, {n_classes} classes")
    handles, names = panels[0].get_legend_handles_labels()
    top.legend(handles, names, loc="outside upper center", ncols=4, fontsize=6.5, handlelength=1.2)
    deepest = max(config.depths)
    for method, key in (("ideal", "loss.ideal"), ("ffm", "loss.ffm")):
        losses = outcome.arrays[f"{key}.depth{deepest}"]
        panels[-1].plot(losses.mean(axis=0), color=COLORS[method], lw=0.8)
    panels[-1].set(
        xlabel=label("Training step"), ylabel=label("Cross-entropy"), title=f"{deepest} layers"
    )
    panels[-1].set_ylim(bottom=0)
    plot_pictures(bottom, outcome)
    return figure
