"""Which hardware errors forward-mode training is immune to: gradient cosines layer by layer.

On a bench with one error at a time, the gradient that each method would use is compared with the true gradient of that
very hardware (automatic differentiation of the twin, which no learner can see): forward mode (ffm: the bench stands in
for its transpose), physics-aware training (physics_aware: measured forward, modelled backward) and in-silico training
(in_silico: the model alone). Set-up of an earlier check by this project of the principle of Xue et al., Nature 632, 280
(2024), DOI 10.1038/s41586-024-07687-4: 3 phase layers of 128 x 128 px of 8 um, 532 nm, 60 mm, phases uniform on [0,
pi), random amplitudes on a 50 x 30 px block, a 10 x 10 px square to be lit, loss sum (I - t)^2, exact kernel, double
precision. That check did not note where the square stands or how bright it is wanted: both are parameters here.
"""

import dataclasses
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.harness.context import ALONE, Context, stacked
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import PALETTE, label, new_figure
from optics.hardware import Imperfections, OpticalBench, draw_twin
from optics.learning import true_gradient
from optics.learning.rules import ForwardMode, InSilico, PhysicsAware
from optics.media import Geometry
from optics.metrics import cosine_similarity
from optics.networks import IntensityTarget, make_network

CLAIM = "Forward-mode gradients are exact under symmetric errors of any size, and need a registered camera otherwise."
PAPER_FIGURE = (
    "Z. Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4, principle (Fig. 1)"
)
EXPECTED_TIME = {"quick": "10 s", "laptop": "20 s", "paper": "1 min"}
TOLERANCES = {"cosine.*": 0.02}

RULES = {"ffm": ForwardMode(), "physics_aware": PhysicsAware(), "in_silico": InSilico()}
DRIFTS = {"drift_0.1rad": 0.1, "drift_0.3rad": 0.3, "drift_0.6rad": 0.6}
ERRORS: dict[str, Imperfections] = {
    "none": Imperfections(),
    "distance_0.5mm": Imperfections(distance_error=0.5e-3),
    "distance_2mm": Imperfections(distance_error=2e-3),
    "astigmatism_both_faces": Imperfections(both_faces_aberration=((6, 1.0),)),
    "astigmatism_fourier": Imperfections(fourier_aberration=((6, 1.0),)),
    "coma_fourier": Imperfections(fourier_aberration=((7, 0.25),)),
    "astigmatism_input_face": Imperfections(input_aberration=((6, 1.0),)),
    "camera_shift_0.5px": Imperfections(camera_shift_px=0.5),
    "camera_shift_1px": Imperfections(camera_shift_px=1.0),
    "camera_shift_2px": Imperfections(camera_shift_px=2.0),
    "camera_rotation_0.2deg": Imperfections(camera_rotation=np.deg2rad(0.2)),
    "illumination_drop_0.3": Imperfections(illumination_drop=0.3),
    "stroke_error_0.1": Imperfections(slm_gain=-0.1),
    "crosstalk_0.4px": Imperfections(slm_crosstalk_px=0.4),
    **{name: Imperfections() for name in DRIFTS},
    "noise_10percent": Imperfections(field_noise=0.1),
    "noise_30percent": Imperfections(field_noise=0.3),
    "noise_100percent": Imperfections(field_noise=1.0),
}


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        pixels: Grid size, pixels a side.
        pixel_pitch: Pixel pitch, m.
        wavelength: Wavelength, m.
        distance: From plane to plane, m.
        n_layers: Phase layers.
        repeats: Independent draws of phases, input and hardware.
        block: Height and width of the lit input block, pixels.
        target_corner: First row and column of the wanted square (our choice), as parts of the grid.
        target_side: Side of the wanted square, pixels.
        target_power: Power wanted in the square relative to that of the input (our choice).
        precision: double; single precision would drown the exact cases in rounding.
        seed: Seed of all draws.
    """

    pixels: int = 128
    pixel_pitch: float = 8e-6
    wavelength: float = 532e-9
    distance: float = 0.06
    n_layers: int = 3
    repeats: int = 3
    block: tuple[int, int] = (50, 30)
    target_corner: tuple[float, float] = (0.625, 0.625)
    target_side: int = 10
    target_power: float = 1.0
    precision: str = "double"
    seed: int = 0


SCALES = {
    # Half the grid at a quarter of the distance keeps the Fresnel number.
    "quick": Config(pixels=64, distance=0.015, block=(25, 15), target_side=5),
    "laptop": Config(),
    "paper": Config(repeats=10),
}


def _reference(name: str, layer: int, low: float, high: float) -> Reference:
    return Reference(
        f"cosine.ffm.{name}.layer{layer}",
        (low + high) / 2,
        (high - low) / 2,
        "",
        "earlier check by this project",
        "table",
        comparable=True,
        note="range of three draws of this project, not the paper's; set-up in the text of the experiment",
    )


REFERENCES = (
    *(_reference("camera_shift_0.5px", layer, 0.94, 0.97) for layer in (1, 2, 3)),
    *(_reference("camera_shift_1px", layer, 0.78, 0.88) for layer in (1, 2, 3)),
    *(_reference("camera_shift_2px", layer, 0.28, 0.68) for layer in (1, 2, 3)),
    _reference("drift_0.3rad", 1, 0.61, 0.63),
)


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Compares gradients for every error and draw; a draw is a piece that survives an interruption."""
    draws = {f"draw{draw}": (config, context, draw) for draw in range(config.repeats)}
    cosines = stacked(context.map(_draw, draws).values())["cosine"]  # draw, error, method, layer
    metrics = {
        f"cosine.{method}.{name}.layer{layer + 1}": Measurement.from_samples(
            cosines[:, i, j, layer]
        )
        for i, name in enumerate(ERRORS)
        for j, method in enumerate(RULES)
        for layer in range(config.n_layers)
    }
    full = Config()
    same = ("pixels", "pixel_pitch", "wavelength", "distance", "n_layers", "block", "target_side")
    if any(getattr(config, name) != getattr(full, name) for name in same):
        note = "the earlier check has 128 px at 60 mm"
        references = tuple(dataclasses.replace(r, comparable=False, note=note) for r in REFERENCES)
    else:
        references = REFERENCES
    return Outcome("ffm_gradient", config, metrics, {"cosine": cosines}, references)


def _draw(config: Config, context: Context, draw: int) -> dict[str, np.ndarray]:
    geometry = Geometry(
        (config.pixels, config.pixels), config.pixel_pitch, config.wavelength, config.distance
    )
    dtype = jnp.result_type(
        complex
    )  # double inside the harness's precision block, single elsewhere
    keys = jax.random.split(jax.random.key(config.seed + draw), 4)
    network = make_network(
        geometry,
        config.n_layers,
        IntensityTarget(),
        key=keys[0],
        initial_phase_range=np.pi,
        dtype=dtype,
        kernel="exact",
    )
    field, target = _problem(config, keys[1], dtype)
    found = np.zeros((len(ERRORS), len(RULES), config.n_layers))
    with context.progress(f"draw {draw + 1}/{config.repeats}", len(ERRORS)) as ticker:
        for i, (name, size) in enumerate(ERRORS.items()):
            twin = draw_twin(geometry, size, key=keys[2], dtype=dtype, kernel="exact")
            if name in DRIFTS:
                # Data passes at phase 0, error passes at a constant offset: the case of the earlier check.
                walk = twin.reference_walk.at[config.n_layers :].set(DRIFTS[name])
                twin = eqx.tree_at(lambda t: t.reference_walk, twin, walk)
            true, estimates = _gradients(network, twin, geometry, field, target, keys[3])
            found[i] = [jax.vmap(cosine_similarity)(true, estimate) for estimate in estimates]
            ticker.advance(note=name)
    return {"cosine": found}


def _problem(config: Config, key, dtype):
    """Input field of unit mean intensity over the panel, and the wanted intensity."""
    n = config.pixels
    top, left = (n - config.block[0]) // 2, (n - config.block[1]) // 2
    amplitude = np.zeros((1, n, n))
    amplitude[0, top : top + config.block[0], left : left + config.block[1]] = jax.random.uniform(
        key, config.block
    )
    amplitude /= np.sqrt(np.mean(amplitude**2))
    row, column = (int(part * n) for part in config.target_corner)
    target = np.zeros((1, n, n))
    target[0, row : row + config.target_side, column : column + config.target_side] = 1
    target *= config.target_power * n**2 / target.sum()
    return jnp.asarray(amplitude, dtype), jnp.asarray(target, jnp.finfo(dtype).dtype)


@eqx.filter_jit
def _gradients(network, twin, geometry, field, target, key):
    bench = OpticalBench(geometry, twin)
    true = true_gradient(network, twin.run, field, target).gradient.phase
    return true, [
        rule.gradient(network, bench, field, target, key=key).gradient.phase
        for rule in RULES.values()
    ]


def plot(outcome: Outcome) -> Figure:
    """Cosine for every error and method, one dot a layer, mean over draws with their range."""
    cosines = outcome.arrays["cosine"]
    figure = new_figure(columns=2, height=3.6)
    axes = figure.subplots()
    names = list(ERRORS)
    for j, method in enumerate(RULES):
        for layer in range(cosines.shape[-1]):
            at = np.arange(len(names)) + 0.26 * (j - 1) + 0.07 * (layer - 1)
            values = cosines[:, :, j, layer]
            mean = values.mean(axis=0)
            axes.errorbar(
                at, mean, yerr=[mean - values.min(axis=0), values.max(axis=0) - mean], fmt="o", ms=2.2,
                lw=0.7, color=PALETTE[j], alpha=1 - 0.3 * layer,
                label=method.replace("_", " ") if layer == 0 else None,
            )  # fmt: skip
    axes.axhline(1, color="k", lw=0.4)
    axes.axhline(0, color="k", lw=0.4)
    for edge in range(1, len(names)):
        axes.axvline(edge - 0.5, color="0.9", lw=0.5, zorder=0)
    axes.set_xticks(
        range(len(names)), [n.replace("_", " ") for n in names], rotation=40, ha="right", fontsize=6
    )
    axes.set(
        ylabel=label("Cosine with the true gradient"),
        ylim=(-0.6, 1.06),
        xlim=(-0.5, len(names) - 0.5),
    )
    axes.legend(
        loc="lower left", fontsize=6, title="layers 1 to 3: dark to light", title_fontsize=6
    )
    return figure
