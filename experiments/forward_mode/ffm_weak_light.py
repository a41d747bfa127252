"""All-optical classification with less than a photon a pixel, and what an operation then costs: Fig. 4 on forward mode.

Z. Xue et al., Nature 632, 280-286 (2024), DOI 10.1038/s41586-024-07687-4: less than one photon per pixel and 5.40e18
operations/s/W, in the abstract. A phase layer is trained by forward mode on an imperfect bench at normal light, and the
illumination of objects behind a diffusing wall likewise (`wall`). Both are then tested with Poisson light on a
photon-counting camera: the class is the region with the most counts. Beside them stands a digital linear classifier
(logistic regression) on a plain image of the object by the same camera with the same light on the object (what the
optics lose on the way counts against the optics). It is trained on images of its own light level, its regularisation
chosen on held-out training images for each level; `digital_bright` is trained at the brightest level only, as optics
are. `ordinary` repeats bench and digital with the read noise of the paper's field camera (2.47 e-).

Photons per pixel: every axis is the mean over all camera pixels. `level.regions` and `level.object` translate 1 of them
into the mean over detector-region pixels and into photons leaving the object per object pixel;
`photons_for_half_loss` is the light at which the bench stands half way between chance and its noise-free accuracy, in
the first and the last reading. Task, accuracy, photon definition and camera are unknown in the paper; all are our
choices.

Operations: 2 N_in N_out for one layer over the energy of a frame; three counts of N_in x N_out, given as metrics
`ops_per_joule.*` at one photon per camera pixel: `panel` all panel pixels to all camera pixels, `regions` all panel
pixels to the class regions, `image` the image's own pixels to the classes; `with_camera` is `image` with the camera's
energy in the denominator as well. `photons_at_paper.*` is the light at which a count equals the paper's number.
`paper_ops_per_photon` is that number times h c / lambda at 532 nm, our arithmetic: 2.02, as if each photon were one
multiplication and one addition. How the paper counts is unknown to us.
"""

from dataclasses import dataclass, field
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.data import datasets
from experiments.data.tasks import shared_task
from experiments.forward_mode.ffm_weak_light_classifiers import (
    digital_accuracies,
    optical_accuracies,
    train_behind_wall,
)
from experiments.forward_mode.ffm_weak_light_figure import plot_counts
from experiments.forward_mode.panel import Optics, draw_bench, train
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label, new_figure
from optics.hardware import Imperfections, PhotonCounter, flir_bfs_u3_89s6m
from optics.hardware.detectors import FIELD_CAMERA_EFFICIENCY
from optics.imaging import photon_energy
from optics.imaging.weak_light import (
    operations_per_frame,
    operations_per_watt,
    optical_power,
    photon_levels,
)
from optics.learning.rules import ForwardMode
from optics.waves import intensity

CLAIM = "A layer trained by forward mode classifies with less than one photon per pixel; operations per joule follow."
PAPER_FIGURE = (
    "Z. Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4, Fig. 4 (weak light)"
)
EXPECTED_TIME = {"quick": "20 s", "laptop": "5 min", "paper": "an hour on a GPU"}
TOLERANCES = {
    "accuracy.*": 15.0,
    "level.*": 0.5,
    "photons_at_paper.*": 1e4,
    "ops_per_joule.*": 1e24,
    "photons_for_half_loss*": 50.0,
}
CASES = ("bench", "wall", "digital", "digital_bright", "ordinary_bench", "ordinary_digital")
PAPER_OPERATIONS = 5.40e18
SHOWN = (0.1, 1.0, 10.0)  # Light levels drawn as pictures, where they are among those tested.


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        dataset: digits, mnist or fashion_mnist.
        n_classes: The first n classes are used.
        repeats: Independent benches, walls, starts and noise.
        n_train: Training images, 0 for all.
        n_test: Test images, 0 for all.
        levels: Mean photons per camera pixel.
        optics: Panel, training and read-out.
        wall: Trains objects behind a wall as well.
        hardware: Errors of the hardware (our choice: the preset `careful`).
        quantum_efficiency: Of the photon-counting camera (our choice, as the paper's field camera).
        dark_counts: Counts of a pixel and frame without light (our choice).
        full_well: Photo-electrons that a pixel may not exceed (our choice).
        frame_rate: Frames per second of the bookkeeping with a camera (the paper: above 1 kHz).
        camera_power: Power of the camera, W (our choice).
        seed: Seed of splits, hardware, starts and noise.
    """

    dataset: str = "digits"
    n_classes: int = 10
    repeats: int = 3
    n_train: int = 0
    n_test: int = 0
    levels: tuple[float, ...] = (1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
    optics: Optics = field(default_factory=lambda: Optics(n_steps=500))
    wall: bool = True
    hardware: Imperfections = field(default_factory=lambda: Imperfections.preset("careful"))
    quantum_efficiency: float = FIELD_CAMERA_EFFICIENCY
    dark_counts: float = 1e-3
    full_well: float = 1e5
    frame_rate: float = 1e3
    camera_power: float = 3.0
    seed: int = 0

    def __post_init__(self):
        at_least(self, 1, "repeats")
        if not self.levels or min(self.levels) <= 0:
            raise ValueError(f"`levels` must be above 0 photons, but is {self.levels}.")

    @property
    def counter(self) -> PhotonCounter:
        """Photon-counting camera."""
        return PhotonCounter(self.quantum_efficiency, self.dark_counts, self.full_well)

    @property
    def cases(self) -> tuple[str, ...]:
        """What is tested."""
        return tuple(c for c in CASES if self.wall or c != "wall")


WANTED_DATA = {"paper": ("mnist",)}
SCALES = {
    "quick": Config(
        repeats=1,
        n_classes=4,
        n_test=150,
        levels=(0.01, 0.1, 1.0, 10.0),
        optics=Optics(pixels=32, distance=3e-3, n_steps=80),
    ),
    "laptop": Config(),
    "paper": Config(
        dataset=datasets.first_available(*WANTED_DATA["paper"]),
        repeats=5,
        n_train=20000,
        n_test=5000,
        optics=Optics(pixels=400, distance=0.388, n_steps=3000, batch_size=64),
    ),
}
REFERENCES = (
    *(
        Reference(
            f"ops_per_joule.{count}", PAPER_OPERATIONS, None, "1/J", "abstract", "stated in text", False,
            "the paper's way of counting operations and light is unknown; ours is at one photon per camera pixel",
        )
        for count in ("panel", "regions", "image", "with_camera")
    ),
    Reference(
        "photons_for_half_loss", 1.0, None, "1/px", "abstract", "stated in text", False,
        "the paper states less than one photon per pixel; its definition, task and accuracy are unknown",
    ),
)  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Every repeat is a piece that survives an interruption."""
    task = shared_task(config.dataset, config.n_classes, config.n_train, config.n_test, config.seed)
    repeats = {f"repeat{r}": (config, context, r) for r in range(config.repeats)}
    pieces = list(context.map(_repeat, repeats).values())
    metrics, arrays = {}, {"levels": np.array(config.levels)}
    for case in config.cases:
        arrays[f"accuracy.{case}"] = found = np.stack([p[f"accuracy.{case}"] for p in pieces])
        for level, samples in zip(config.levels, found.T, strict=True):
            metrics[f"accuracy.{case}.{level:g}"] = Measurement.from_samples(samples, "%")
    metrics["accuracy.bench.noiseless"] = Measurement.from_samples(
        [float(p["noiseless"]) for p in pieces], "%"
    )
    metrics["photons_for_half_loss"] = Measurement.from_samples(
        [_half_loss(config, p) for p in pieces], "1/px"
    )
    for name in ("level.regions", "level.object"):
        metrics[name] = Measurement.from_samples([float(p[name]) for p in pieces], "1/px")
    metrics["photons_for_half_loss.object"] = Measurement.from_samples(
        [_half_loss(config, p) * float(p["level.object"]) for p in pieces], "1/px"
    )
    arrays |= {k: v for k, v in pieces[0].items() if k.startswith("picture.")}
    metrics |= _bookkeeping(config, int(np.prod(task.x_train.shape[1:])), metrics["level.object"])
    return Outcome("ffm_weak_light", config, metrics, arrays, REFERENCES)


def _half_loss(config: Config, piece) -> float:
    """Light at which the bench stands half way between chance and its noise-free accuracy, on a logarithmic scale."""
    chance = 100 / config.n_classes
    half = (chance + float(piece["noiseless"])) / 2
    above = np.maximum.accumulate(piece["accuracy.bench"])
    return float(10 ** np.interp(half, above, np.log10(config.levels)))


def _bookkeeping(config: Config, n_image: int, at_object: Measurement) -> dict[str, Measurement]:
    n_panel = config.optics.pixels**2
    counts = {
        "panel": operations_per_frame(n_panel, n_panel),
        "regions": operations_per_frame(n_panel, config.n_classes),
        "image": operations_per_frame(n_image, config.n_classes),
    }
    # Light that leaves the object, not only what the camera catches, for one photon per camera pixel.
    photons = at_object.value * n_image
    wavelength, rate = config.optics.wavelength, config.frame_rate
    light = optical_power(photons, rate, wavelength)
    found = {}
    for name, operations in counts.items():
        per_joule = operations_per_watt(operations, rate, light)
        found[f"ops_per_joule.{name}"] = Measurement(per_joule, None, "1/J")
        found[f"photons_at_paper.{name}"] = Measurement(per_joule / PAPER_OPERATIONS, None, "1/px")
    whole = operations_per_watt(counts["image"], rate, light + config.camera_power)
    found["ops_per_joule.with_camera"] = Measurement(whole, None, "1/J")
    found["paper_ops_per_photon"] = Measurement(PAPER_OPERATIONS * photon_energy(wavelength))
    return found


def _repeat(config: Config, context: Context, repeat: int) -> dict[str, np.ndarray]:
    task = shared_task(config.dataset, config.n_classes, config.n_train, config.n_test, config.seed)
    optics = config.optics
    key = jax.random.fold_in(jax.random.key(config.seed), repeat)
    bench_key, start_key, batch_key, wall_key, test_key, digital_key = jax.random.split(key, 6)
    bright = draw_bench(optics, config.hardware, bench_key)
    start = optics.network(1, task.n_classes, start_key)
    name = f"repeat {repeat + 1}/{config.repeats}"
    network = train(
        context, f"{name}: bench", optics, start, ForwardMode(), task, batch_key, bright
    ).network
    quiet = draw_bench(optics, config.hardware, bench_key, camera=False)
    fields = optics.encode(task.x_test)
    clean = quiet.measure_intensity(fields, network.phase[0], key=test_key)
    regions = network.readout.regions
    levels = np.array(config.levels)
    sent = float(jnp.mean(jnp.sum(intensity(fields), axis=(-2, -1))))
    n_image = int(np.prod(task.x_test.shape[1:]))
    unit = photon_levels(
        clean, regions, per_camera_pixel=1.0, power_from_object=sent, object_pixels=n_image
    )
    found = {
        "level.regions": np.array(unit.regions),
        "level.object": np.array(unit.object),
        "noiseless": 100 * np.mean(network.readout.correct(jnp.sqrt(clean) + 0j, task.y_test)),
    }
    # The normal law stands for Poisson where read noise dominates, as it does here below 20 electrons.
    cameras = {"": config.counter, "ordinary_": flir_bfs_u3_89s6m("gaussian")}
    frames = np.zeros(0)
    for prefix, camera in cameras.items():
        found[f"accuracy.{prefix}bench"], seen = optical_accuracies(
            clean, regions, task.y_test, levels, camera, test_key
        )
        frames = frames if prefix else seen
        with context.progress(f"{name}: {prefix}digital", len(levels)) as ticker:
            matched, fixed = digital_accuracies(
                task, optics, unit.object * n_image * levels, camera, digital_key, ticker
            )
        found[f"accuracy.{prefix}digital"] = matched
        if not prefix:
            found["accuracy.digital_bright"] = fixed
    if config.wall:
        hidden = train_behind_wall(context, f"{name}: wall", config, task, wall_key)
        found["accuracy.wall"], _ = optical_accuracies(
            hidden, regions, task.y_test, levels, config.counter, test_key
        )
    shown = [i for i, level in enumerate(levels) if level in SHOWN]
    return found | {
        "picture.levels": levels[shown],
        "picture.counts": frames[shown],
        "picture.regions": np.asarray(jnp.sum(regions, axis=0)),
    }


_NAMES = {
    "bench": "one layer, trained by FFM",
    "wall": "object behind the wall, FFM",
    "digital": "digital, trained at this light",
    "digital_bright": "digital, trained on bright images",
    "ordinary_bench": "one layer, read noise 2.47 e-",
    "ordinary_digital": "digital, read noise 2.47 e-",
}


def plot(outcome: Outcome) -> Figure:
    """Accuracy and operations per joule against photons, and what the camera sees."""
    config, arrays = outcome.config, outcome.arrays
    figure = new_figure(columns=2, height=4.6)
    top, bottom = cast(Any, figure.subfigures(2, 1, height_ratios=(2.2, 1.3)))
    accuracy, energy = top.subplots(1, 2)
    levels = arrays["levels"]
    for case, color in zip(CASES, PALETTE, strict=False):
        if f"accuracy.{case}" not in arrays:
            continue
        samples = arrays[f"accuracy.{case}"]
        sd = samples.std(axis=0, ddof=1) if len(samples) > 1 else None
        accuracy.errorbar(
            levels, samples.mean(axis=0), yerr=sd, marker="o", ms=2.5, lw=1, color=color,
            ls="--" if case.startswith("ordinary") else "-", label=_NAMES[case],
        )  # fmt: skip
    accuracy.axhline(100 / config.n_classes, color=GREY, lw=0.6, ls=":")
    accuracy.axvline(1, color=GREY, lw=0.6)
    accuracy.set_xscale("log")
    accuracy.set(
        xlabel=label("Photons per camera pixel"), ylabel=label("Accuracy", "%"), ylim=(0, 101)
    )
    accuracy.legend(fontsize=5, loc="lower right")
    for i, count in enumerate(("panel", "regions", "image")):
        value = outcome.metrics[f"ops_per_joule.{count}"].value / levels
        energy.loglog(levels, value, color=PALETTE[i], lw=1, label=f"{count} count, light alone")
    whole = outcome.metrics["ops_per_joule.with_camera"].value
    energy.axhline(whole, color=PALETTE[3], lw=1, ls="--", label="image count, camera included")
    energy.axhline(PAPER_OPERATIONS, color=GREY, label="paper, 5.40e18 (its count unknown)")
    energy.set(
        xlabel=label("Photons per camera pixel"), ylabel=label("Operations per joule", "1/J")
    )
    energy.legend(fontsize=5)
    plot_counts(bottom, outcome)
    return figure
