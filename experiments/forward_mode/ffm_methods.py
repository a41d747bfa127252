"""Training methods side by side: accuracy and loss on one imperfect bench against the camera frames they used.

The paper on fully forward mode (Z. Xue et al., Nature 632, 280-286 (2024), DOI 10.1038/s41586-024-07687-4) compares
with in-silico training only. Here every method trains the same two-layer network on the same bench with the same budget
of frames: a complex field costs four, an intensity one. Methods that only simulate use none and are shown at zero
frames. The bench is the frozen one of `ffm_depth` (`HARDWARE`), which was chosen without looking at any method but
in-silico training.

Fairness: every method chooses among the same number of settings (`ffm_methods_grid`), scored on training images
on a bench, start and batches of a seed of their own; the chosen setting is in the arrays. Methods that see the loss
alone may search super-pixels. The beam of in-situ back-propagation is displaced by as much as the camera of the
forward light. Dual adaptive training takes most of the time of a laptop run: its error predictors are convolutions.
Our choices throughout: the comparison is not in the paper.
"""

from dataclasses import dataclass, field
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.data import datasets
from experiments.data.tasks import Task, load_task
from experiments.forward_mode.ffm_depth import HARDWARE
from experiments.forward_mode.ffm_methods_grid import METHODS, TRIALS
from experiments.forward_mode.panel import Optics
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import among, at_least, within
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label, new_figure
from optics.hardware import Imperfections, OpticalBench, draw_twin, flir_bfs_u3_89s6m
from optics.learning import AbstractMethod, evaluate, fit, output_field
from optics.learning.methods import ForwardForward

CLAIM = "On one budget of camera frames, forward mode beats all that see only the loss and keeps up with models."
PAPER_FIGURE = (
    "none (our comparison), with the rule of "
    "Z. Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4"
)
EXPECTED_TIME = {"quick": "15 s", "laptop": "10 min", "paper": "hours on a GPU"}
TOLERANCES = {"accuracy.*": 25.0, "loss.*": 0.6, "frames.*": 1.0, "steps.*": 0.5}


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        dataset: digits, mnist or fashion_mnist.
        n_classes: The first n classes are used.
        n_layers: Layers of the network.
        frames: Budget of camera frames for one training.
        max_steps: Most steps of methods that use few frames or none.
        methods: Names in `experiments.forward_mode.ffm_methods_grid`; empty for all.
        trials: Settings each method may try, at most 6.
        repeats: Independent benches, starts and batches.
        n_train: Training images, 0 for all.
        n_test: Test images, 0 for all.
        optics: Panel and read-out; its steps and learning rate are not used.
        hardware: Errors of the hardware.
        backward_shift_px: Displacement of the beam that in-situ back-propagation sends backwards, pixels.
        seed: Seed of splits, starts, hardware and noise.
    """

    dataset: str = "digits"
    n_classes: int = 4
    n_layers: int = 2
    frames: int = 100_000
    max_steps: int = 400
    methods: tuple[str, ...] = ()
    trials: int = 3
    repeats: int = 3
    n_train: int = 0
    n_test: int = 512
    optics: Optics = field(default_factory=lambda: Optics(pixels=32, distance=3e-3, batch_size=16))
    hardware: Imperfections = HARDWARE
    backward_shift_px: float = 0.25
    seed: int = 0

    def __post_init__(self):
        among(self, METHODS, "methods", empty=True)
        within(self, 1, TRIALS, "trials")
        at_least(self, 1, "n_layers", "frames", "max_steps", "repeats")


WANTED_DATA = {"laptop": ("fashion_mnist",)}
SCALES = {
    # One method of each kind: most of the time is compilation.
    "quick": Config(
        methods=("in_silico", "physics_aware", "forward_mode", "spsa"),
        frames=25_000, max_steps=100, trials=1, repeats=1, n_test=128,
    ),
    "laptop": Config(dataset=datasets.first_available(*WANTED_DATA["laptop"])),
    "paper": Config(
        dataset="fashion_mnist", frames=3_000_000, max_steps=6000, trials=TRIALS, repeats=5, n_test=0,
        optics=Optics(pixels=400, distance=0.388, batch_size=64),
    ),
}  # fmt: skip
REFERENCES = tuple(
    Reference(
        f"accuracy.{name}", None, None, "%", "-", "stated in text", comparable=False,
        note="the paper compares with in-silico training only, on hardware whose errors are unknown",
    )
    for name in METHODS
)  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Tunes each method on a seed of its own, then trains all on every repeat; each is a piece of its own."""
    task = load_task(config.dataset, config.n_classes, config.n_train, config.n_test, config.seed)
    metrics: dict[str, Measurement] = {}
    arrays: dict[str, np.ndarray] = {}
    names = config.methods or tuple(METHODS)
    tunings = context.map(_tune, {f"{n}.tuning": (config, context, task, n) for n in names})
    settings = {}
    for name in names:
        tuned = tunings[f"{name}.tuning"]
        chosen = int(np.argmin(tuned["loss"] - tuned["accuracy"]))
        arrays[f"tuning.accuracy.{name}"] = tuned["accuracy"]
        settings[name] = METHODS[name].trials(config.trials)[chosen]
        arrays[f"setting.{name}"] = np.array(
            ", ".join(f"{key} {value:g}" for key, value in settings[name].items())
        )
    repeats = range(config.repeats)
    trained = context.map(
        _train,
        {
            f"{name}.repeat{r}": (config, context, task, name, setting, r)
            for name, setting in settings.items()
            for r in repeats
        },
    )
    for name in names:
        pieces = [trained[f"{name}.repeat{r}"] for r in repeats]
        for quantity in ("accuracy", "loss"):
            curves = np.stack([piece[quantity] for piece in pieces])
            arrays[f"{quantity}.{name}"] = curves
            if np.all(np.isfinite(curves)):
                unit = "%" if quantity == "accuracy" else ""
                metrics[f"{quantity}.{name}"] = Measurement.from_samples(curves[:, -1], unit)
        arrays[f"frames.{name}"] = pieces[0]["frames"]
        metrics[f"frames.{name}"] = Measurement(float(pieces[0]["frames"][-1]))
        metrics[f"steps.{name}"] = Measurement(float(pieces[0]["steps"]))
        found = metrics[f"accuracy.{name}"]
        context.log(f"{name}: {found.value:.1f} % ({arrays[f'setting.{name}']})")
    references = tuple(r for r in REFERENCES if r.name in metrics)
    return Outcome("ffm_methods", config, metrics, arrays, references)


def _tune(config: Config, context: Context, task: Task, name: str) -> dict[str, np.ndarray]:
    """Accuracy and loss of each setting on training images, on a bench that is not used again."""
    settings = METHODS[name].trials(config.trials)
    if len(settings) == 1:
        return {"accuracy": np.zeros(1), "loss": np.zeros(1)}
    n = len(task.y_test)
    seen = Task(
        task.x_train,
        task.y_train,
        task.x_train[:n],
        task.y_train[:n],
        task.class_names,
        task.source,
    )
    found = [_train(config, context, seen, name, setting, -1) for setting in settings]
    return {
        "accuracy": np.array([piece["accuracy"][-1] for piece in found]),
        # A tie of accuracies is settled by the loss, which is far below one percent of them.
        "loss": np.array([np.nan_to_num(piece["loss"][-1]) for piece in found]) * 1e-3,
    }


def _train(
    config: Config, context: Context, task: Task, name: str, setting: dict, repeat: int
) -> dict[str, np.ndarray]:
    """One training, tested on the hardware after 1, 2, 4 ... 32 parts of 32; repeat -1 is for tuning."""
    optics = config.optics
    key = jax.random.fold_in(jax.random.key(config.seed), 7919 + repeat)
    start_key, batch_key, test_key, bench_key, method_key = jax.random.split(key, 5)
    bench = OpticalBench(
        optics.geometry,
        draw_twin(optics.geometry, config.hardware, key=bench_key),
        camera=flir_bfs_u3_89s6m(),
        backward_shift_px=(config.backward_shift_px, 0.0),
    )
    start = optics.network(config.n_layers, task.n_classes, start_key)
    method = METHODS[name].build(start, method_key, **setting)
    n_steps = steps_within(config.frames, method, start, optics.batch_size, config.max_steps)
    part = max(1, n_steps // 32)
    n_steps -= n_steps % part
    looks = {min(n_steps, part * 2**i) for i in range(6)} | {n_steps}
    points: list[tuple[int, float, float]] = []

    def look(done, network):
        if done in looks:
            points.append((done, *_test(optics, method, network, task, test_key, bench)))

    what = "tuning" if repeat < 0 else f"repeat {repeat + 1}/{config.repeats}"
    with context.progress(f"{name}: {what}", n_steps) as ticker:
        result = fit(
            start, method, task.x_train, task.y_train, encode=optics.encode, key=batch_key,
            bench=bench, n_steps=n_steps, batch_size=optics.batch_size, steps_per_call=part,
            on_progress=lambda n, loss: ticker.advance(n, f"loss {loss:.3f}"), on_network=look,
        )  # fmt: skip
    steps, accuracies, losses = map(np.array, zip(*points, strict=True))
    return {
        "accuracy": accuracies,
        "loss": losses,
        "frames": result.frames_by_step[steps - 1],
        "steps": np.array(n_steps),
    }


def steps_within(
    frames: int, method: AbstractMethod, network, batch_size: int, max_steps: int
) -> int:
    """Steps that a budget of frames pays for, at most `max_steps`, at least one."""
    used = sum(
        method.cost(network, batch_size, step=i, n_steps=max_steps).frames for i in range(max_steps)
    )
    return max_steps if used <= frames else max(1, int(max_steps * frames / used))


def _test(optics: Optics, method, network, task: Task, key, bench) -> tuple[float, float]:
    """Accuracy (percent) and loss on the hardware; forward-forward has no loss that compares."""
    if isinstance(method, ForwardForward):
        good = evaluate(
            network, task.x_test, task.y_test, encode=optics.encode, bench=bench, key=key,
            batch_size=64, judge=method.correct,
        )  # fmt: skip
        return 100 * float(good.mean()), np.nan
    scores = _scores(network, bench, task.x_test, task.y_test, key, encode=optics.encode)
    return 100 * float(scores[0]), float(scores[1])


@partial(eqx.filter_jit)
def _scores(network, bench, images, labels, key, *, encode):
    def one(inputs):
        index, image, which = inputs
        noise_key = jax.random.fold_in(key, index)
        output = output_field(network, encode(image[None]), bench=bench, key=noise_key)
        return network.readout.correct(output, which[None])[0], network.readout.loss(
            output, which[None]
        )

    good, losses = jax.lax.map(one, (jnp.arange(len(labels)), images, labels), batch_size=64)
    return good.mean(), losses.mean()


_GROUPS = {
    "model only": GREY, "model": PALETTE[0], "no model": PALETTE[2], "loss only": PALETTE[1],
}  # fmt: skip
_MARKERS = "osD^vP*X"


def plot(outcome: Outcome) -> Figure:
    """Accuracy and loss against frames, and final accuracy; colours say what a method needs."""
    names = [name for name in METHODS if f"accuracy.{name}" in outcome.arrays]
    figure = new_figure(columns=2, height=3.4)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.15, 1, 1))
    marks = {
        needs: iter(_MARKERS) for needs in _GROUPS
    }  # Within a colour, methods differ by their marker.
    for row, name in enumerate(names):
        entry = METHODS[name]
        color, marker = _GROUPS[entry.needs], next(marks[entry.needs])
        frames = outcome.arrays[f"frames.{name}"]
        for axes, quantity in ((left, "accuracy"), (middle, "loss")):
            curves = outcome.arrays[f"{quantity}.{name}"]
            keep = frames > 0
            style = {"color": color, "marker": marker, "ms": 3, "lw": 0.9}
            if keep.any():
                axes.plot(frames[keep], curves.mean(axis=0)[keep], **style)
            else:
                axes.plot([0], curves.mean(axis=0)[-1:], **style, ls="none", clip_on=False)
        final = outcome.arrays[f"accuracy.{name}"][:, -1]
        spread = final.std(ddof=1) if len(final) > 1 else 0.0
        right.barh(row, final.mean(), xerr=spread, color=color, height=0.7, error_kw={"lw": 0.8})
        right.plot(2, row, marker=marker, color="w", ms=3)
    for axes in (left, middle):
        lowest = min(f[f > 0].min() for f in _frames(outcome, names) if (f > 0).any())
        # The left end of the axis stands for zero.
        axes.set_xscale("symlog", linthresh=lowest, linscale=0.3)
        decades = range(int(np.ceil(np.log10(lowest))), int(np.log10(outcome.config.frames)) + 1)
        axes.set_xticks([0, *(10.0**d for d in decades)], ["0", *(f"$10^{d}$" for d in decades)])
        axes.set(xlabel=label("Camera frames"), xlim=(0, None))
    left.set(ylabel=label("Test accuracy on hardware", "%"), ylim=(0, 102))
    middle.set(ylabel=label("Test cross-entropy on hardware"))
    middle.set_ylim(bottom=0)
    right.set(xlabel=label("Final accuracy", "%"), xlim=(0, 102))
    right.set_yticks(range(len(names)), [METHODS[name].name for name in names], fontsize=6)
    right.invert_yaxis()
    for needs, color in _GROUPS.items():
        left.plot([], [], color=color, lw=3, label=needs)
    left.legend(fontsize=6, loc="best", title="needs", title_fontsize=6)
    return figure


def _frames(outcome: Outcome, names: list[str]) -> list[np.ndarray]:
    return [outcome.arrays[f"frames.{name}"] for name in names]
