"""A wavefront that trains itself shows a moving object behind a diffusing wall: Fig. 4a and 4b on forward mode.

Z. Xue et al., Nature 632, 280-286 (2024), DOI 10.1038/s41586-024-07687-4. Light leaves a phase modulator, crosses a
wall, meets reflecting cells, and comes back through the same wall to a camera in the plane of the modulator. One phase
pattern is trained so that each cell of the object lights its own camera region, all cells at once; then one plain
frame is a picture of the object, and nothing is computed but sums over regions (and one fixed gain a region,
calibrated on the training objects). Forward mode trains on measured fields of known objects that are held behind the
wall, half of them on the grid of cells, half turned and displaced; it is not told the wall. Beside it: no training,
phase conjugation, a measured transmission matrix (these two show the cells one by one), and in-silico training with a
model that lacks the wall. Every frame of the search is counted; the gains are calibrated on the same objects for all.
Distances, wall, grid, loss, light levels and the fast camera are unknown in the paper: all are our choices, and the
frame rate is that of an assumed laser and camera.

`cell_error.*`: share of cells on the wrong side of one half, `grid` for random on/off cells, `moving` for a letter that
drifts and turns, partly covered cells included. `psnr.*` is for reflectivities from 0 to 1; `ssim.*` is taken on the
picture with each cell drawn as 8 x 8 pixels, since its window needs 11. `gradient_cosine.*` compares forward mode with
the true gradient where the object stands still, and where it is another one when the error passes.
"""

from dataclasses import dataclass, field
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least, within
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import PALETTE, label, new_figure
from experiments.scattering.ffm_hidden_object_figure import plot_letter, plot_matrices
from experiments.scattering.ffm_hidden_object_scene import (
    Objects,
    draw_objects,
    gradient_cosines,
    moving_letter,
    photon_sweep,
    score_pictures,
)
from optics.hardware import Imperfections, flir_bfs_u3_89s6m
from optics.imaging import (
    SceneGeometry,
    draw_hidden_bench,
    make_wavefront,
    square_cells,
    train_wavefront,
)
from optics.imaging.hidden_scene import CellReadout, power_on_object
from optics.imaging.hidden_wavefront import (
    WavefrontFit,
    cell_to_region_matrix,
    conjugate_wavefront,
    diagonal_share,
    matrix_wavefront,
)
from optics.imaging.weak_light import reachable_frame_rate
from optics.learning.rules import ForwardMode, InSilico

CLAIM = "Forward mode trains one wavefront that shows all cells of a moving hidden object at once, in single frames."
PAPER_FIGURE = "Z. Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4, Fig. 4a-b"
EXPECTED_TIME = {"quick": "20 s", "laptop": "2 min", "paper": "an hour on a GPU"}
TOLERANCES = {
    "cell_error.*": 10.0,
    "psnr.*": 3.0,
    "ssim.*": 0.15,
    "diagonal_share.*": 0.1,
    "efficiency.*": 0.02,
    "photons_needed": 1e5,
    "frame_rate": 1e5,
}
METHODS = ("untrained", "in_silico", "phase_conjugation", "transmission_matrix", "ffm")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        pixels: Window of all planes, pixels a side.
        distance: Modulator to wall, and wall to object, m.
        wall_phase: Standard deviation of the wall's phase, rad.
        wall_correlation: Its correlation length, m.
        cells: Cells a side.
        region_side: Side of a camera region, pixels.
        methods: Which of the five are run; `ffm` among them. The transmission matrix holds cells^2 x region pixels x
            window pixels complex numbers, too many at the paper's size.
        walls: Independent walls, benches and starts.
        n_objects: Training objects.
        off_grid: Part of the training objects that are turned and displaced.
        n_test: Test objects on the grid.
        n_frames: Frames of the moving letter.
        n_steps: Optimiser steps.
        batch_size: Objects a step.
        learning_rate: Adam's first step, rad.
        hardware: Errors of modulator, distance and camera (our choice: the preset `careful`).
        photon_counts: Photons a frame on the whole camera, for the light that a picture needs.
        power_on_object: Light on the hidden object, W.
        other_losses: Part of the light that survives what the simulation leaves out: albedo, beam splitter, depth.
        camera_rate: Highest rate of the assumed fast camera, Hz; the paper's camera for this is unknown.
        check_gradient: Compares forward-mode gradients with the true one, object at rest and exchanged.
        seed: Seed of walls, benches, starts, objects and noise.
    """

    pixels: int = 64
    distance: float = 5e-3
    wall_phase: float = 3.0
    wall_correlation: float = 32e-6
    cells: int = 5
    region_side: int = 2
    methods: tuple[str, ...] = METHODS
    walls: int = 3
    n_objects: int = 512
    off_grid: float = 0.5
    n_test: int = 200
    n_frames: int = 48
    n_steps: int = 300
    batch_size: int = 8
    learning_rate: float = 0.1
    hardware: Imperfections = field(default_factory=lambda: Imperfections.preset("careful"))
    photon_counts: tuple[float, ...] = (1e2, 1e3, 1e4, 1e5, 1e6)
    power_on_object: float = 1e-3
    other_losses: float = 1e-3
    camera_rate: float = 1e4
    check_gradient: bool = True
    seed: int = 0

    def __post_init__(self):
        at_least(self, 1, "walls", "n_objects", "n_test", "n_frames", "n_steps", "batch_size")
        if "ffm" not in self.methods or not set(self.methods) <= set(METHODS):
            raise ValueError(
                f"`methods` must be some of {METHODS}, ffm included, but is {self.methods}."
            )
        within(self, 0, 1, "off_grid")

    @property
    def geometry(self) -> SceneGeometry:
        """Planes of the scene."""
        return SceneGeometry(
            (self.pixels, self.pixels),
            to_wall=self.distance,
            to_object=self.distance,
            wall_phase=self.wall_phase,
            wall_correlation=self.wall_correlation,
        )


SCALES = {
    "quick": Config(
        cells=4,
        methods=("untrained", "in_silico", "phase_conjugation", "ffm"),
        walls=1,
        n_steps=100,
        n_test=96,
        n_frames=16,
        n_objects=128,
        photon_counts=(1e2, 1e4, 1e6),
        check_gradient=False,
    ),
    "laptop": Config(n_steps=400),
    "paper": Config(
        pixels=400,
        distance=31e-3,
        cells=16,
        methods=("untrained", "in_silico", "phase_conjugation", "ffm"),
        walls=10,
        n_objects=4096,
        n_steps=3000,
        batch_size=32,
    ),
}
REFERENCES = (
    Reference(
        "frame_rate",
        1000.0,
        None,
        "Hz",
        "abstract",
        "stated in text",
        comparable=False,
        note="the paper states a lower bound; our laser power, losses and fast camera are assumptions",
    ),
    *(
        Reference(name, None, None, unit, "Fig. 4", "read off a plot", False, "not in our sources")
        for name, unit in (("cell_error.moving.ffm", "%"), ("psnr.moving.ffm", "dB"))
    ),
)


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Every wall is a piece that survives an interruption."""
    walls = {f"wall{w}": (config, context, w) for w in range(config.walls)}
    pieces = list(context.map(_wall, walls).values())
    units = {"cell_error": "%", "psnr": "dB", "frames": "frames", "frame_rate": "Hz"}
    metrics = {
        name: Measurement.from_samples(
            np.array([float(piece[name]) for piece in pieces]), units.get(name.split(".")[0], "")
        )
        for name in pieces[0]
        if pieces[0][name].ndim == 0
    }
    arrays = {k: v for k, v in pieces[0].items() if k.startswith("picture.")}
    for name in ("curve.ffm", "sweep.psnr"):
        arrays[name] = np.stack([piece[name] for piece in pieces])
    return Outcome("ffm_hidden_object", config, metrics, arrays, REFERENCES)


def _wall(config: Config, context: Context, wall: int) -> dict[str, np.ndarray]:
    key = jax.random.fold_in(jax.random.key(config.seed), wall)
    wall_key, bench_key, start_key, object_key, train_key, test_key = jax.random.split(key, 6)
    bench = draw_hidden_bench(
        config.geometry,
        config.hardware,
        wall_key=wall_key,
        key=bench_key,
        camera=flir_bfs_u3_89s6m(),
    )
    count = (config.cells, config.cells)
    cells = square_cells(config.geometry.shape, count).astype(jnp.float32)
    regions = square_cells(config.geometry.shape, count, side=config.region_side).astype(
        jnp.float32
    )
    known, test = draw_objects(
        cells, count, config.n_objects, config.n_test, config.off_grid, object_key
    )
    letter = moving_letter(cells, count, config.n_frames)
    fits = _search(config, context, bench, cells, regions, known, start_key, train_key)
    found: dict[str, np.ndarray] = {"picture.truth": np.asarray(letter.wanted)}
    light = jnp.ones(config.geometry.shape, jnp.complex64)
    gains = {}
    for method, result in fits.items():
        matrix = cell_to_region_matrix(bench, result.phase, cells, regions, key=test_key)
        found[f"diagonal_share.{method}"] = np.asarray(diagonal_share(matrix))
        lit = float(power_on_object(bench, light, result.phase))
        found[f"efficiency.{method}"] = np.asarray(jnp.trace(matrix) / lit)
        found[f"frames.{method}"] = np.array(float(result.frames))
        scores, picture, gain = score_pictures(
            bench, result.phase, regions, known, {"grid": test, "moving": letter}, test_key
        )
        found |= {f"{metric}.{method}": value for metric, value in scores.items()}
        found[f"picture.matrix.{method}"] = np.asarray(matrix / jnp.sum(matrix, axis=1)[:, None])
        found[f"picture.frames.{method}"] = picture
        gains[method] = gain
    ffm = fits["ffm"]
    if config.check_gradient:
        start = make_wavefront(config.geometry, CellReadout(regions), key=start_key)
        found |= gradient_cosines(bench, start, known, key)
    quality, needed, share = photon_sweep(
        bench, ffm.phase, regions, gains["ffm"], letter, config.photon_counts, test_key
    )
    found |= {"curve.ffm": ffm.losses, "sweep.psnr": quality, "photons_needed": np.array(needed)}
    rate = reachable_frame_rate(
        needed,
        power_on_object=config.power_on_object,
        efficiency=share * config.other_losses,
        wavelength=config.geometry.wavelength,
        camera_rate=config.camera_rate,
    )
    return found | {"frame_rate": np.array(rate), "picture.phase": np.asarray(ffm.phase)}


def _search(
    config: Config, context: Context, bench, cells, regions, known: Objects, start_key, train_key
) -> dict[str, WavefrontFit]:
    start = make_wavefront(config.geometry, CellReadout(regions), key=start_key)
    fits = {"untrained": WavefrontFit(start.phase[0], np.zeros(0), 0, 0)}
    for method, rule in {"in_silico": InSilico(), "ffm": ForwardMode()}.items():
        with context.progress(method, config.n_steps) as ticker:
            fits[method] = train_wavefront(
                start,
                rule,
                known.amplitude,
                known.wanted,
                key=train_key,
                bench=bench,
                n_steps=config.n_steps,
                batch_size=config.batch_size,
                learning_rate=config.learning_rate,
                on_progress=lambda n, loss, t=ticker: t.advance(n, f"loss {loss:.3f}"),
            )
    fits["phase_conjugation"] = conjugate_wavefront(bench, cells, regions, key=train_key)
    if "transmission_matrix" in config.methods:
        fits["transmission_matrix"] = matrix_wavefront(
            bench,
            cells,
            regions,
            jnp.round(known.wanted),  # it knows whole cells only
            start.phase[0],
            key=train_key,
            n_steps=config.n_steps,
            learning_rate=config.learning_rate,
        )
    return {method: fits[method] for method in METHODS if method in config.methods}


def plot(outcome: Outcome) -> Figure:
    """Matrices from cell to region, the moving letter with its pictures, loss, and quality against photons."""
    methods = outcome.config.methods
    figure = new_figure(columns=2, height=6.6)
    top, middle, bottom = cast(Any, figure.subfigures(3, 1, height_ratios=(1.9, 2.1, 1.5)))
    plot_matrices(top, outcome)
    plot_letter(middle, outcome)
    curve, sweep, error = bottom.subplots(1, 3)
    for losses in outcome.arrays["curve.ffm"]:
        curve.plot(losses, color=PALETTE[0], lw=0.6, alpha=0.7)
    curve.set(xlabel=label("Training step"), ylabel=label("Loss of FFM"), ylim=(0, 0.7))
    for quality in outcome.arrays["sweep.psnr"]:
        sweep.semilogx(outcome.config.photon_counts, quality, "o-", color=PALETTE[0], ms=3, lw=0.8)
    sweep.set(
        xlabel=label("Photons on the camera", "1/frame"), ylabel=label("PSNR, moving letter", "dB")
    )
    for i, method in enumerate(methods):
        for j, objects in enumerate(("grid", "moving")):
            found = outcome.metrics[f"cell_error.{objects}.{method}"]
            error.bar(
                i + 0.36 * (j - 0.5), found.value, 0.34, yerr=found.sd, color=PALETTE[j],
                capsize=2, label=objects if i == 0 else None,
            )  # fmt: skip
    names = [m.replace("_", "\n") for m in methods]
    error.set_xticks(range(len(methods)), names, fontsize=4.5)
    error.set(ylabel=label("Wrong cells", "%"))
    error.legend(fontsize=6)
    return figure
