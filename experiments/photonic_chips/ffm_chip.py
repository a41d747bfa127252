"""A photonic chip that trains itself on Iris: Fig. 5c to 5f of the paper on fully forward mode.

Z. Xue et al., Nature 632, 280-286 (2024), DOI 10.1038/s41586-024-07687-4. Five blocks A = r A_sym + (1 - r) A_gen
follow each other, mirrored cores with attenuators (`optics.hardware.chip`). Between blocks the field is detected
coherently and loaded again as it is: no nonlinearity but the detectors at the end, whose first three ports stand for
the classes. Three ways: trained and tested in the model (ideal), those phases set on the chip (in_silico), and trained
on the chip by sending the error into the same inputs, read by taps (ffm). Same start, folds, optimiser (full-batch
Adam, so an iteration is an epoch) and epochs for all.

Unknown in the paper, so choices of ours: 16 ports a core; feature f_j in [0, 1] on the ports 4 j + m as exp(i pi m
f_j), m = 0..3; the symmetry ratio r and its values; the error of a gradient dL/dA: mean |difference| over the largest
|element| of the reference, after one real scale, which Adam ignores. `gradient_error.ffm` and `.in_silico` take the
true gradient of that chip as reference, at the settings that forward mode has after 80 iterations;
`gradient_deviation` is the mean over layers for ffm. Fidelity: |tr(A^H B)|^2 / (tr A^H A tr B^H B) of wanted and real
matrix.

For r < 1 the chip has no forward way to A^T, and A stands in for it: `cosine.*` shows the price, layer by layer.

Hardware: the project's preset `chip` with the errors of splitters, phases and crosstalk times one factor, chosen on
the in-silico column alone (5 folds, 20 chips, seeds other than here; r = 1 / 0.75 / 0.5; the paper has 72 / 66 / 55
%):

    1: 82 / 79 / 78      1.25: 67 / 64 / 64 <-      1.5: 56 / 51 / 54      2: 36 / 36 / 41

The general cores were trained then; now they are not, and nothing was changed. Learning rate and encoding were chosen
on the ideal column, which lies above the paper's 89 for two of its ratios: our encoding separates the flowers nearly
as well as any method does. Two controllers were dropped, since forward mode failed with them on 8 ports. One, on the
plain preset and before the choice above, factored the wanted matrices anew each epoch (phases jump; the exact
gradient too reached only 66 to 74 % by epoch 40); the other took the gradient at the ports through a model of the
core (43 to 67 %; crosstalk turns the phases). The one here reads taps at the shifters, has no model, and met the
hardware as frozen.
"""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least, within
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.photonic_chips import ffm_chip_figure, ffm_chip_training
from optics.hardware import MeshImperfections
from optics.meshes import program_symmetric

CLAIM = "A chip of symmetric cores trains itself to the ideal accuracy; weights from a model fail on it."
PAPER_FIGURE = "Z. Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4, Fig. 5c-f"
EXPECTED_TIME = {"quick": "25 s", "laptop": "3 min", "paper": "15 min"}
TOLERANCES = {
    "accuracy*": 15.0,
    "loss_of_accuracy*": 20.0,
    "gradient*": 3.0,
    # Rounding leads trainings in silico apart, to points where their gradients are wrong: how wrong, differs.
    "cosine.in_silico*": 0.5,
    "cosine*": 0.2,
    "fidelity*": 0.1,
    "drift*": 0.02,
}
METHODS = ("ideal", "in_silico", "ffm")
# Frozen before forward mode was measured on it; see the module's text.
HARDWARE = dataclasses.replace(
    MeshImperfections.preset("chip"), splitter_error=0.0375, phase_error=0.0375, crosstalk=0.0125
)


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        n_ports: Ports of each core, a multiple of 4 from 8 on.
        n_blocks: Trained blocks.
        ratios: Symmetry ratios in [0, 1].
        n_folds: Folds of the cross-validation.
        repeats: Repeats of it with other folds, starts and chips.
        n_epochs: Epochs, one optimiser step each.
        learning_rate: Adam's initial step, rad for phases and 1 for attenuations.
        readout_gain: From class powers over the norm of all powers to logits.
        iteration: Iteration at which gradients are compared.
        checkpoints: Epochs between looks at fidelity and at in-silico weights on the chip.
        drift_samples: Times at which three programmed matrices are read.
        drift_interval: Measurements between them; the drift's correlation time is 1000.
        hardware: Errors of the chip (our choice, see the module's text).
        seed: Seed of folds, starts, chips and noise.
    """

    n_ports: int = 16
    n_blocks: int = 5
    ratios: tuple[float, ...] = (1.0, 0.75, 0.5)
    n_folds: int = 5
    repeats: int = 4
    n_epochs: int = 100
    learning_rate: float = 0.03
    readout_gain: float = 10.0
    iteration: int = 80
    checkpoints: int = 10
    drift_samples: int = 100
    drift_interval: int = 200
    hardware: MeshImperfections = HARDWARE
    seed: int = 0

    def __post_init__(self):
        if self.n_ports < 8 or self.n_ports % 4:
            raise ValueError(
                "`n_ports` must be a multiple of 4, one share for each feature, and at least 8, since harmonic 0 tells "
                f"nothing, but is {self.n_ports}."
            )
        at_least(self, 1, "n_blocks", "repeats", "n_epochs", "checkpoints")
        within(self, 2, 50, "n_folds")
        if not 0 <= self.iteration <= self.n_epochs:
            raise ValueError(
                f"`iteration` must lie between 0 and `n_epochs` ({self.n_epochs}), but is {self.iteration}."
            )
        within(self, 0, 1, "ratios")


SCALES = {
    "quick": Config(n_ports=8, repeats=1, checkpoints=50),
    "laptop": Config(),
    "paper": Config(repeats=20),
}

_ACCURACY = {  # Fig. 5f, as reported to us in words and not checked: three symmetry ratios, percent.
    "ideal": (94.7, 89.2, 89.0),
    "ffm": (94.2, 89.2, 88.7),
    "in_silico": (71.7, 65.8, 55.0),
}
_GRADIENT = {  # Fig. 5e, likewise: five layers at iteration 80, percent.
    "ffm": (3.50, 3.58, 3.51, 3.56, 3.46),
    "in_silico": (5.10, 5.19, 5.24, 5.29, 5.94),
}
_DRIFT = (0.012, 0.012, 0.010)  # Fig. 5c, three matrices, percent.
_TEXT = "stated in text"
_NOTES = {
    "accuracy": "definition and values of the symmetry ratios, encoding and hardware are unknown in the paper",
    "gradient": "what the paper divides by, and its hardware's errors, are unknown",
    "drift": "the size of the heaters' drift is our choice, made with this number in mind",
}


def _name(ratio: float) -> str:
    return f"ratio{ratio:g}"


def references(config: Config) -> tuple[Reference, ...]:
    """Published values; the n-th of a setting stands beside the n-th ratio of ours."""
    found = [
        (f"accuracy.{method}.{_name(ratio)}", value, "Fig. 5f", "accuracy")
        for method, values in _ACCURACY.items()
        for ratio, value in zip(config.ratios, values, strict=False)
    ]
    found += [
        (f"gradient_error.{method}.layer{i + 1}", value, "Fig. 5e", "gradient")
        for method, values in _GRADIENT.items()
        for i, value in enumerate(values[: config.n_blocks])
    ]
    found += [(f"drift.matrix{i + 1}", value, "Fig. 5c", "drift") for i, value in enumerate(_DRIFT)]
    found += [("gradient_deviation", 3.5, "Fig. 5d", "gradient")]
    known = [Reference(n, v, None, "%", p, _TEXT, False, _NOTES[note]) for n, v, p, note in found]
    return (
        *known,
        Reference(
            f"fidelity.{_name(config.ratios[0])}", None, None, "", "Fig. 5c", _TEXT, False,
            "not given in our sources",
        ),
    )  # fmt: skip


REFERENCES = references(Config())


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Trains all folds and seeds of a ratio at once; each ratio is a piece that survives an interruption."""
    arrays: dict[str, np.ndarray] = {}
    done = context.map(_one_ratio, {_name(ratio): (config, ratio) for ratio in config.ratios})
    pieces = dict(zip(config.ratios, done.values(), strict=True))
    for name, piece in done.items():
        arrays |= {f"{key}.{name}": value for key, value in piece.items()}
        final = " ".join(f"{m} {100 * piece[f'accuracy.{m}'][:, -1].mean():.1f} %" for m in METHODS)
        context.log(f"{name}: {final}")
    arrays["drift"] = context.sub_run("drift", lambda: {"value": _drift(config)})["value"]
    metrics: dict[str, Measurement] = {}
    for ratio, piece in pieces.items():
        metrics |= _measurements(piece, _name(ratio), ratio == config.ratios[0])
    for i, values in enumerate(arrays["drift"]):
        deviation = np.sqrt(np.mean(np.abs(values - values.mean(axis=0)) ** 2, axis=0))
        metrics[f"drift.matrix{i + 1}"] = Measurement(
            100 * deviation.mean() / np.abs(values).max(), None, "%", len(values)
        )
    return Outcome("ffm_chip", config, metrics, arrays, references(config))


def _measurements(piece, name: str, main: bool) -> dict[str, Measurement]:
    found = {
        f"accuracy.{m}.{name}": Measurement.from_samples(100 * piece[f"accuracy.{m}"][:, -1], "%")
        for m in METHODS
    }
    for method in ("in_silico", "ffm"):
        lost = piece["accuracy.ideal"][:, -1] - piece[f"accuracy.{method}"][:, -1]
        found[f"loss_of_accuracy.{method}.{name}"] = Measurement.from_samples(100 * lost, "%")
    found[f"fidelity.{name}"] = Measurement.from_samples(piece["fidelity"][:, -1])
    for method in ("ffm", "in_silico"):
        for i, cosines in enumerate(piece[f"cosine.{method}"].T):
            key = f"cosine.{method}.{name}.layer{i + 1}"
            found[key] = Measurement.from_samples(cosines)
    if main:
        for method in ("ffm", "in_silico"):
            for i, errors in enumerate(piece[f"gradient_error.{method}"].T):
                key = f"gradient_error.{method}.layer{i + 1}"
                found[key] = Measurement.from_samples(errors, "%")
        deviation = piece["gradient_error.ffm"].mean(axis=1)
        found["gradient_deviation"] = Measurement.from_samples(deviation, "%")
    return found


def _keys(config: Config, ratio: float):
    # Starts and chips differ between ratios too, so that the ratios are independent draws.
    key = jax.random.fold_in(jax.random.key(config.seed), round(1000 * ratio))
    return jax.random.split(key, config.n_folds * config.repeats)


def _one_ratio(config: Config, ratio: float) -> dict[str, np.ndarray]:
    tasks = ffm_chip_training.load_folds(config)
    found = ffm_chip_training.train_and_test(tasks, _keys(config, ratio), config, ratio)
    found["epochs"] = ffm_chip_training.checkpoints(config)
    for name in ("scatter.measured", "scatter.simulated"):
        found[name] = found[name][0]  # One run is enough for a picture.
    return found


def _drift(config: Config) -> np.ndarray:
    """Random symmetric matrices on the first chip, programmed once, read often: (matrix, time, row, column)."""
    starts, twins, _ = ffm_chip_training.draw_chips(_keys(config, config.ratios[0]), config)
    start, twin = jax.tree.map(lambda leaf: leaf[0], (starts, twins))
    draw = np.random.default_rng(config.seed)
    cores = []
    for _ in range(config.n_blocks):
        real, imaginary = draw.normal(size=(2, config.n_ports, config.n_ports))
        cores.append(program_symmetric((real + real.T) + 1j * (imaginary + imaginary.T)))
    settings = start._replace(
        tied=jnp.stack([core.pack() for core in cores]).astype(start.tied.dtype),
        attenuation=jnp.stack([core.attenuation for core in cores]).astype(start.tied.dtype),
    )
    times = jnp.arange(config.drift_samples) * config.drift_interval
    read = jax.jit(lambda at: jax.lax.map(lambda t: twin.transfer_matrices(settings, 1.0, t), at))
    return np.asarray(jnp.swapaxes(read(times), 0, 1)[: len(_DRIFT)])


def plot(outcome: Outcome) -> Figure:
    """Fidelity, drift, gradients and their errors, and accuracy against epoch beside the paper's."""
    return ffm_chip_figure.draw(outcome)
