"""What a reciprocity audit, made of forward runs alone, predicts for the gradient of forward mode, and what comes out.

Hardware with random errors is audited (`optics.learning.reciprocity`): pairs of runs measure how far the error passes
are from the transpose, pass by pass. The predicted cosine of each layer is compared with the cosine between the
gradient of forward mode and the true gradient of that very hardware (automatic differentiation of the twin, which no
learner can see), as in experiment ffm_gradient. Families: benches with one-sided errors of the catalogue at random
sizes (bench), with symmetric errors (symmetric), with a constant reference phase (drift); all errors of preset "bench"
at random sizes, those of the modulator included, of which the audit sees only a part (preset); and three layers of
phases between symmetric cores of a photonic chip whose halves differ (chip). Sizes are our choice, about the ranges of
`optics.hardware.imperfections`; the law: Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4. The audit
judges one training step: the same inputs, other noise. product_law: predicted from the overlap of a single pass alone,
with white probes. relocated: benches trained with the displacement that the audit advises.
"""

import dataclasses
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.forward_mode.reciprocity_audit_bench import (
    forward_gradient,
    measure,
    nameless,
    problems,
)
from experiments.forward_mode.reciprocity_audit_core import MeasuredCore, core_gradients
from experiments.harness.context import ALONE, Context, stacked
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import PALETTE, new_figure
from optics.hardware import Imperfections, OpticalBench, draw_twin
from optics.learning import true_gradient
from optics.learning.reciprocity import (
    audit_layers,
    find_relocation,
    measure_overlap,
    predict_cosines,
    white_probes,
)
from optics.learning.relocations import relocations
from optics.media import Geometry
from optics.meshes import make_symmetric_core
from optics.metrics import cosine_similarity
from optics.networks import IntensityTarget, make_network
from quantum.estimates import jackknife

CLAIM = "An audit by forward runs alone predicts how good the gradients of forward mode are."
PAPER_FIGURE = (
    "none; condition behind Figs. 1 and 5a of "
    "Z. Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4"
)
EXPECTED_TIME = {"quick": "20 s", "laptop": "3 min", "paper": "30 min on one GPU"}
TOLERANCES = {"correlation.*": 0.1, "rms_error.*": 0.05, "cosine.*": 0.1, "residual.*": 0.1}
FAMILIES = ("bench", "symmetric", "drift", "preset", "chip")
LAYERS = 3


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        pixels: Grid of the benches, pixels a side.
        pixel_pitch: Pixel pitch, m.
        wavelength: Wavelength, m.
        distance: From plane to plane, m.
        n_ports: Ports of the chip.
        repeats: Hardware drawn in each family.
        samples: Inputs of one training step, which the audit judges.
        probes: Sign patterns for each layer of the audit.
        camera_shift_px: Largest shift of the camera, pixels.
        input_waves: Largest aberration of the input face, waves.
        symmetric_waves: Largest aberration of both faces, waves.
        distance_error: Largest error of the distance, m.
        reference_phase: Largest constant phase between data and error passes, rad.
        preset_factor: Smallest and largest factor on preset "bench".
        splitter_error: Largest standard deviation of the splitter angles of a chip, rad, different in both halves.
        field_noise: Noise of every measured field of the audit and of the training, relative.
        precision: double.
        seed: Seed of all draws.
    """

    pixels: int = 64
    pixel_pitch: float = 8e-6
    wavelength: float = 532e-9
    distance: float = 0.015
    n_ports: int = 64
    repeats: int = 8
    samples: int = 2
    probes: int = 64
    camera_shift_px: float = 2.0
    input_waves: float = 1.0
    symmetric_waves: float = 2.0
    distance_error: float = 2e-3
    reference_phase: float = 0.6
    preset_factor: tuple[float, float] = (0.1, 2.0)
    splitter_error: float = 0.3
    field_noise: float = 0.02
    precision: str = "double"
    seed: int = 0


SCALES = {
    # A quarter of the distance for half the grid keeps the Fresnel number.
    "quick": Config(pixels=32, distance=0.00375, repeats=5, n_ports=32),
    "laptop": Config(),
    "paper": Config(pixels=128, distance=0.06, repeats=60, samples=8),
}
REFERENCES = (
    Reference("correlation.all", None, None, "", "none", "derived", False,
              note="the papers have no audit"),
)  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Audits and trains on each draw of each family; a family is a piece."""
    pieces = context.map(_family, {family: (config, context, family) for family in FAMILIES})
    arrays = {
        f"{family}.{k}": values for family in FAMILIES for k, values in pieces[family].items()
    }
    metrics = {}
    # Whatever the modulator adds is judged by itself.
    seen = [family for family in FAMILIES if family != "preset"]
    pools = {"all": seen, **{family: [family] for family in FAMILIES}}
    for name, families in pools.items():
        predicted, measured = (
            np.concatenate([arrays[f"{f}.{what}"] for f in families])
            for what in ("predicted", "measured")
        )
        metrics |= _agreement(name, predicted, measured)
    product, measured = (
        np.concatenate([arrays[f"{f}.{what}"] for f in seen])
        for what in ("product_law", "measured")
    )
    metrics |= _agreement("product_law", product, measured)
    for family in FAMILIES:
        metrics[f"cosine.{family}"] = Measurement.from_samples(
            arrays[f"{family}.measured"].mean(axis=1)
        )
        metrics[f"residual.{family}"] = Measurement.from_samples(arrays[f"{family}.residual"])
    metrics["cosine.bench.relocated"] = Measurement.from_samples(
        arrays["bench.relocated"].mean(axis=1)
    )
    return Outcome("reciprocity_audit", config, metrics, arrays, REFERENCES)


def _agreement(name: str, predicted, measured) -> dict[str, Measurement]:
    """Correlation where there is something to correlate, and rms error; errors by jackknife over the hardware."""
    error = lambda keep: np.sqrt(np.mean((predicted[keep] - measured[keep]) ** 2))  # noqa: E731
    score = lambda keep: np.corrcoef(predicted[keep].ravel(), measured[keep].ravel())[0, 1]  # noqa: E731
    found = {f"rms_error.{name}": _jackknife(error, len(measured))}
    # Below a spread of 0.01 a correlation would be one of rounding and noise.
    if min(np.std(predicted), np.std(measured)) > 0.01:
        found[f"correlation.{name}"] = _jackknife(score, len(measured))
    return found


def _jackknife(statistic, n: int) -> Measurement:
    if n < 3:  # too few to leave one out
        return Measurement(statistic(np.arange(n)), None, n=n)
    return Measurement.of(jackknife(statistic, n), n=n)


def _family(config: Config, context: Context, family: str) -> dict[str, np.ndarray]:
    rows = []
    with context.progress(family, config.repeats) as ticker:
        for draw in range(config.repeats):
            rows.append(_one(config, family, draw))
            ticker.advance()
    return stacked(rows)


def _one(config: Config, family: str, draw: int) -> dict[str, np.ndarray]:
    number = 1000 * FAMILIES.index(family) + draw
    rng = np.random.default_rng([config.seed, number])
    key = jax.random.fold_in(jax.random.key(config.seed), number)
    return (_one_chip if family == "chip" else _one_bench)(config, family, rng, key)


def _errors(config: Config, family: str, rng) -> Imperfections:
    """Random sizes; an error that is absent keeps a size too small to matter, so that all benches share one program."""
    tiny = 1e-9
    noise = config.field_noise
    size = Imperfections(
        camera_shift_px=tiny, camera_rotation=tiny, fourier_aberration=((7, tiny),), field_noise=noise,
        slm_crosstalk_px=0.01, slm_levels=2**16, loading_levels=2**16,
    )  # fmt: skip
    if family == "preset":
        chosen = Imperfections.preset("bench").scaled(
            float(np.exp(rng.uniform(*np.log(config.preset_factor))))
        )
        return dataclasses.replace(
            chosen, fourier_aberration=((7, tiny),), field_noise=noise, reference_drift=0.0,
            slm_levels=2**16, loading_levels=2**16,
        )  # fmt: skip
    symmetric = dataclasses.replace(
        size,
        both_faces_aberration=((6, config.symmetric_waves * rng.uniform()),),
        distance_error=config.distance_error * rng.uniform() * config.pixels / 128,
    )
    if family == "symmetric" or family == "drift":
        return symmetric
    # One of the one-sided errors alone, or all together.
    which = rng.integers(4)
    return dataclasses.replace(
        symmetric,
        camera_shift_px=tiny + config.camera_shift_px * rng.uniform() * (which in (0, 3)),
        input_aberration=((6, config.input_waves * rng.uniform() * (which in (1, 3))),),
        fourier_aberration=((7, tiny + config.input_waves * rng.uniform() * (which in (2, 3))),),
    )


def _one_bench(config: Config, family: str, rng, key) -> dict[str, np.ndarray]:
    dtype = jnp.result_type(complex)
    geometry = Geometry(
        (config.pixels, config.pixels), config.pixel_pitch, config.wavelength, config.distance
    )
    keys = jax.random.split(key, 5)
    options = {"kernel": "exact", "dtype": dtype}
    network = make_network(
        geometry, LAYERS, IntensityTarget(), key=keys[0], initial_phase_range=np.pi, **options
    )
    twin = draw_twin(geometry, _errors(config, family, rng), key=keys[1], **options)
    phase = config.reference_phase * rng.uniform() if family == "drift" else 0.0
    # As in ffm_gradient: data passes at phase 0, error passes at a constant offset.
    twin = eqx.tree_at(
        lambda t: t.reference_walk, twin, jnp.zeros_like(twin.reference_walk).at[LAYERS:].set(phase)
    )
    bench = OpticalBench(geometry, twin)
    inputs, targets = problems(config, keys[2], dtype)
    true = eqx.filter_jit(true_gradient)(network, twin.run, inputs, targets).gradient.phase
    cosine = jax.vmap(cosine_similarity)
    identity = relocations(geometry.shape)[0]
    train = lambda at: forward_gradient(network, bench, inputs, targets, keys[4], at)  # noqa: E731
    ffm, errors, loaded = train(nameless(identity))
    run = lambda fields, weights, k: measure(bench, fields, weights, k)  # noqa: E731
    relocated = ffm
    if family == "bench":
        probes = white_probes(jnp.abs(loaded[-1]), key=keys[0])
        operator = lambda fields, key: run(fields, None, key)  # noqa: E731
        best, _ = find_relocation(operator, errors, probes, [identity], key=keys[1])
        relocated, _, _ = train(nameless(best))
    return {
        # The reference is divided out of what is measured.
        **_predict(config, run, errors, loaded, network.phase, keys[2], -phase),
        "measured": np.asarray(cosine(true, ffm)),
        "relocated": np.asarray(cosine(true, relocated)),
    }


def _predict(config: Config, run, errors, loaded, phase, key, reference_phase=0.0):
    """The audit of the whole network, and what the overlap of a single pass would say."""
    keys = jax.random.split(key, 3)
    audit = audit_layers(
        run, errors, loaded, phase,
        key=keys[0], n_probes=config.probes, reference_phase=reference_phase,
    )  # fmt: skip
    probes = white_probes(jnp.abs(loaded[-1]), key=keys[1])
    once = measure_overlap(lambda f, key: run(f, None, key), errors, probes, key=keys[2])
    powers = predict_cosines(jnp.full(LAYERS, once.kappa), reference_phase)
    return {
        "predicted": np.asarray(audit.cosine),
        "product_law": np.asarray(powers)[::-1],
        "residual": np.asarray(once.residual),
        "n_fields": np.asarray(audit.n_fields),
    }


def _one_chip(config: Config, _, rng, key) -> dict[str, np.ndarray]:
    dtype, n = jnp.result_type(complex), config.n_ports
    keys = jax.random.split(key, 5)
    core = make_symmetric_core(n, key=keys[0], dtype=dtype)
    sizes = config.splitter_error * rng.uniform() * rng.standard_normal((4, *core.mesh.theta.shape))
    halves = [
        dataclasses.replace(core.mesh, left_error=jnp.asarray(a), right_error=jnp.asarray(b))
        for a, b in (sizes[:2], sizes[2:])
    ]
    chip = MeasuredCore(
        dataclasses.replace(core, mesh=halves[0], mirror=halves[1]), config.field_noise
    )
    phase = 2 * jnp.pi * jax.random.uniform(keys[1], (LAYERS, n))
    inputs = jax.random.normal(keys[2], (config.samples, n), dtype)
    target = jnp.zeros(n).at[n // 3].set(n)
    true, ffm, errors, loaded = core_gradients(chip, phase, inputs, target, keys[3])

    def run(fields, weights, k):
        loaded = fields if weights is None else jnp.exp(1j * weights)[None] * fields
        return eqx.filter_jit(chip)(loaded, key=k)

    cosine = jax.vmap(lambda a, b: jnp.vdot(a, b) / jnp.linalg.norm(a) / jnp.linalg.norm(b))
    return {
        **_predict(config, run, errors, loaded, phase, keys[0]),
        "measured": np.asarray(cosine(true, ffm)),
    }


def plot(outcome: Outcome) -> Figure:
    """Measured against predicted cosine with the diagonal, and the same for what no audit of propagation can see."""
    figure = new_figure(columns=2, height=3.3)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, families in ((left, [f for f in FAMILIES if f != "preset"]), (right, ["preset"])):
        axes.plot([-1, 1], [-1, 1], color="k", lw=0.6)
        for family in families:
            predicted, measured = (
                outcome.arrays[f"{family}.{k}"] for k in ("predicted", "measured")
            )
            for layer, marker in enumerate("osv"):
                axes.plot(
                    predicted[:, layer], measured[:, layer], marker, ms=3.5, mew=0,
                    color=PALETTE[FAMILIES.index(family)], alpha=0.75,
                    label=family if layer == 0 else None,
                )  # fmt: skip
        axes.set(xlabel="Predicted by the audit", xlim=(-0.4, 1.05), ylim=(-0.4, 1.05))
        axes.set_aspect("equal")
        axes.legend(loc="upper left", fontsize=6)
    left.set_ylabel("Measured cosine with the true gradient")
    left.set_title("Errors of propagation (layers 1, 2, 3: circle, square, triangle)")
    right.set_title("Modulator errors too, of which it sees a part")
    return figure
