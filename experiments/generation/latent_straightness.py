"""Are paths to semantic latents straighter, and does that make few steps enough? The exact flow, with two controls.

SVG (arXiv 2510.15301) argues that where classes lie apart the mean velocities are straighter, so that fewer steps will
do. Here nothing is trained that could blur the question: the velocity is the best there is for a finite set of latents
(`nn.generation.exact_flow`), of a class or of all, and Euler steps follow it. Codecs: pixels, and features of one small
convolutional encoder (`picture_encoders`) trained with labels, by VICReg without, or not at all. The controls: the
**random** encoder shows what a space of this size does without any meaning, and all are also reduced to the same small
number of principal axes, for straightness depends on the **dimension** as well. Pixels on axes come whitened too.

    straightness     S = 1 - E int |d - v|^2 dt / E |d|^2 along paths of 25 steps; 1 - S is the bend
    distance         Frechet distance of decoded pictures to held-out ones in the features of an independent classifier;
                     compares with nothing outside this table; its floor is real against real

Latents of an encoder are decoded linearly, by least squares; the distance of pictures only encoded and decoded stands
beside. One step ends on the mean, of the class or of all, in every codec, which is checked to rounding. Held against
the claim: the factor by which dimension alone changes the bend (a random encoder whole and on axes), that of meaning at
equal dimension (random and trained on axes), and the rank correlation of bend and distance at 5 steps, over whole
codecs and over those on axes, since axes also lose what the decoder would need.
"""

from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from experiments.data import datasets
from experiments.generation import latent_straightness_figure
from experiments.generation import picture_encoders as encoders
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least, rising
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from nn.generation import (
    fit_statistics,
    frechet_distance,
    make_finite_flow,
    make_grid,
    make_shift,
    sample_flow,
    straightness,
)
from nn.generation.frechet import bootstrap_distance

CLAIM = "Dimension straightens the paths to latents more than meaning does; distance at few steps need not follow."
PAPER_FIGURE = "SVG, arXiv:2510.15301, section 3; no figure compared"
EXPECTED_TIME = {"quick": "20 s", "laptop": "6 min", "paper": "4 h"}
SAVES_TRAININGS = True
TOLERANCES = {
    "straightness.*": 0.03,
    "frechet.*": 2.0,
    "rank.*": 1.0,
    "bend.*": 1.0,
    "between.*": 0.1,
    "one_step_miss.*": 1e-5,  # rounding in single precision, which moves with the order of sums
}
REFERENCES: tuple[Reference, ...] = ()
SOURCES = ("pixels", "labels", "vicreg", "random")
# Whole latents, the same on axes of equal number, and pixels on whitened axes.
CODECS = (*SOURCES, *(f"{source}_axes" for source in SOURCES), "pixels_white")
PATH_STEPS = 25


@dataclass(frozen=True)
class Config:
    """Settings. All sizes are our choice.

    Attributes:
        data: Data set of square pictures: "digits" or "fashion_mnist".
        patch: Pixels along a side of a patch, for the pixels.
        hidden: Channels between the convolutions.
        channels: Channels of the features; 16 makes as many numbers as pixels.
        n_axes: Axes of the control of equal dimension.
        judge_channels: Features of the judge.
        n_train: Pictures to train the encoders with.
        n_points: Pictures whose latents the exact flow leads to.
        n_samples: Paths, the same number of each class.
        n_real: Held-out pictures.
        steps: Numbers of Euler steps.
        shift: Time shift, noise at 0.
        label_steps: Steps of training with labels, judge included.
        vicreg_steps: Steps of training without.
        batch_size: Pictures in a step.
        repeats: Encoders, points and noises, each drawn anew; the judge is one.
        n_bootstrap: Draws for the error of a distance where there is one seed.
        seed: Seed of all that is drawn.
    """

    data: str = "fashion_mnist"
    patch: int = 4
    hidden: int = 16
    channels: int = 16
    n_axes: int = 64
    judge_channels: int = 48
    n_train: int = 12_000
    n_points: int = 1500
    n_samples: int = 250
    n_real: int = 2500
    steps: tuple[int, ...] = (1, 2, 5, 10, 25, 50)
    shift: float = 0.4
    label_steps: int = 600
    vicreg_steps: int = 400
    batch_size: int = 128
    repeats: int = 3
    n_bootstrap: int = 20
    seed: int = 0

    def __post_init__(self):
        rising(self, 1, "steps")
        at_least(
            self,
            1,
            "patch",
            "hidden",
            "channels",
            "n_axes",
            "label_steps",
            "vicreg_steps",
            "repeats",
        )
        at_least(self, 2, "n_points", "judge_channels", "n_bootstrap", "batch_size")
        if PATH_STEPS not in self.steps or 5 not in self.steps:
            raise ValueError(f"`steps` must hold 5 and {PATH_STEPS}, but is {self.steps}.")


SCALES = {
    "quick": Config(
        data="digits",
        patch=2,
        n_axes=16,
        judge_channels=24,
        n_train=1348,
        n_points=400,
        n_samples=150,
        n_real=449,
        label_steps=200,
        vicreg_steps=160,
        batch_size=64,
        repeats=1,
        n_bootstrap=10,
    ),
    "laptop": Config(),
    "paper": Config(
        n_train=60_000, n_points=10_000, n_samples=2000, n_real=10_000, label_steps=4000, vicreg_steps=8000, repeats=5
    ),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Trains the judge, then a set of encoders for each seed, and follows the exact flow in every codec."""
    judge = context.sub_run("judge", partial(_judge, config))
    accuracy = float(judge.pop("accuracy"))
    found = context.map(_codecs, {f"seed {s}": (config, s, judge) for s in range(config.repeats)})
    seeds = list(found.values())
    arrays = {name: np.stack([one[name] for one in seeds]) for name in seeds[0]}
    mean = lambda name: Measurement.from_samples(arrays[name])  # noqa: E731
    metrics = {"judge_accuracy": Measurement(100 * accuracy, unit="%"), "floor": mean("floor")}
    for codec in CODECS:
        metrics[f"between_classes.{codec}"] = mean(f"between.{codec}")
        metrics[f"frechet_decoded.{codec}"] = mean(f"decoded.{codec}")
        metrics[f"one_step_miss.{codec}"] = Measurement(float(arrays[f"one_step.{codec}"].max()))
        for kind in ("class", "all"):
            name = f"{kind}.{codec}"
            straight = mean(f"straightness.{name}")
            if config.repeats == 1:
                error = float(arrays[f"straightness_error.{name}"][0])
                straight = Measurement(straight.value, error, n=config.n_samples)
            metrics[f"straightness.{name}"] = straight
            for at, n_steps in enumerate(config.steps):
                distance = Measurement.from_samples(arrays[f"frechet.{name}"][:, at])
                if config.repeats == 1:
                    error = float(arrays[f"frechet_error.{name}"][0, at])
                    distance = Measurement(distance.value, error, n=config.n_samples)
                metrics[f"frechet.{name}.{n_steps}"] = distance
    return Outcome(
        "latent_straightness", config, metrics | _verdict(config, arrays), arrays, REFERENCES
    )


def _verdict(config: Config, arrays: dict[str, np.ndarray]) -> dict[str, Measurement]:
    """What of the bend is dimension, what is meaning, and whether distances follow it."""
    metrics = {}
    five = config.steps.index(5)
    flat = [codec for codec in CODECS if not codec.endswith(("_axes", "_white"))]
    few = [codec for codec in CODECS if codec not in flat]
    for kind in ("class", "all"):
        bend = {codec: 1 - arrays[f"straightness.{kind}.{codec}"] for codec in CODECS}
        metrics[f"bend_by_dimension.{kind}"] = Measurement.from_samples(
            bend["random_axes"] / bend["random"]
        )
        for source in ("labels", "vicreg"):
            ratio = bend["random_axes"] / bend[f"{source}_axes"]
            metrics[f"bend_by_meaning.{source}.{kind}"] = Measurement.from_samples(ratio)
        for name, codecs in (("whole", flat), ("axes", few)):
            ranks = []
            for seed in range(config.repeats):
                far = [arrays[f"frechet.{kind}.{codec}"][seed, five] for codec in codecs]
                ranks.append(np.asarray(spearmanr([bend[codec][seed] for codec in codecs], far))[0])
            metrics[f"rank_bend_distance.{name}.{kind}"] = Measurement.from_samples(ranks)
    return metrics


def _data(config: Config) -> datasets.Dataset:
    return datasets.load(config.data).limit(config.n_train, config.n_real, config.seed)


def _pictures(x: np.ndarray) -> jax.Array:
    return jnp.asarray(x[..., None], jnp.float32)


def _new_judge(config: Config, data: datasets.Dataset) -> encoders.Classifier:
    side, channels = data.x_train.shape[1], config.judge_channels
    return encoders.make_classifier(
        side, config.hidden, channels, data.n_classes, is_pooled=True, seed=config.seed + 1000
    )


def _judge(config: Config) -> dict[str, np.ndarray]:
    """Arrays of the trained judge, and its share of right answers."""
    data = _data(config)
    batch = _pictures(data.x_train), jnp.asarray(data.y_train)
    judge = encoders.train_with_labels(
        _new_judge(config, data), batch, config.label_steps, config.batch_size, key=jax.random.key(config.seed + 1001)
    )  # fmt: skip
    answers = np.argmax(np.asarray(eqx.filter_jit(judge)(_pictures(data.x_test))), axis=1)
    leaves = jax.tree.leaves(eqx.filter(judge, eqx.is_array))
    found = {f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
    return found | {"accuracy": np.array(np.mean(answers == data.y_test))}


def _codecs(
    config: Config, seed: int, judge_arrays: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Straightness, distances and the rest in every codec, for one seed."""
    data = _data(config)
    arrays, static = eqx.partition(_new_judge(config, data), eqx.is_array)
    leaves = [jnp.asarray(judge_arrays[f"leaf{i}"]) for i in range(len(judge_arrays))]
    judge = eqx.combine(jax.tree.unflatten(jax.tree.structure(arrays), leaves), static)
    features = eqx.filter_jit(judge.features)
    rng = np.random.default_rng((config.seed, seed))
    chosen = rng.choice(len(data.x_train), config.n_points, replace=False)
    points, labels = _pictures(data.x_train[chosen]), data.y_train[chosen]
    real = np.asarray(features(_pictures(data.x_test)), float)
    noise = rng.normal(size=(config.n_samples, points[0].size)).astype(np.float32)
    classes = np.arange(config.n_samples) % data.n_classes
    same = np.asarray(features(points[: config.n_samples]), float)
    found = {"floor": np.array(frechet_distance(same, real, feature="judge").value)}
    training = _pictures(data.x_train), jnp.asarray(data.y_train)
    for codec in encoders.make_codecs(config, training, points, seed):
        one_scale = codec.name == "pixels" or "axes" in codec.name
        names = {encoders.short_name(codec.name): "one_scale" if one_scale else "per_channel"}
        if names.keys() == {"pixels_axes"}:
            names["pixels_white"] = "per_channel"
        latents = eqx.filter_jit(codec.encode)(points)
        for name, kind in names.items():
            statistics = fit_statistics(latents, kind, origin=codec.name)
            normal = statistics.normalise(latents, origin=codec.name)
            shape = normal.shape[1:]
            normal = normal.reshape(len(normal), -1)
            flow = make_finite_flow(normal, jnp.asarray(labels))

            def judged(flat, shape=shape, codec=codec, statistics=statistics):
                restored = statistics.restore(flat.reshape(-1, *shape), origin=codec.name)
                return np.asarray(features(jnp.clip(codec.decode(restored), 0, 1)), float)

            found[f"decoded.{name}"] = np.array(
                frechet_distance(judged(normal[: config.n_samples]), real, feature="judge").value
            )
            found[f"between.{name}"] = np.array(_between(np.asarray(normal), labels))
            start = jnp.asarray(noise[:, : normal.shape[1]])
            found |= _follow(config, name, flow, start, classes, judged, real)
    return found


def _between(latents: np.ndarray, labels: np.ndarray) -> float:
    """Share of the variance that lies between the means of the classes."""
    means = np.stack([latents[labels == label].mean(axis=0) for label in np.unique(labels)])
    own = np.searchsorted(np.unique(labels), labels)
    return float((means[own] - latents.mean(axis=0)).var(axis=0).sum() / latents.var(axis=0).sum())


def _follow(config: Config, name: str, flow, start, classes, judged, real) -> dict[str, np.ndarray]:
    """Paths of one codec, of a class and of all, at every number of steps."""
    found = {}
    shift = make_shift(config.shift, noise_at=0)
    conditions = {"class": classes, "all": np.full(len(classes), flow.n_classes)}
    points, labels = np.asarray(flow.points), np.asarray(flow.labels)
    of_classes = [points[labels == c].mean(axis=0) for c in range(flow.n_classes)]
    means = np.stack([*of_classes, points.mean(axis=0)])
    for kind, condition in conditions.items():
        distances, errors = [], []
        for n_steps in config.steps:
            path = sample_flow(
                flow, start, make_grid(n_steps, shift), condition=jnp.asarray(condition)
            )
            if n_steps == PATH_STEPS:
                value, error = straightness(path)
                found[f"straightness.{kind}.{name}"] = np.array(value)
                found[f"straightness_error.{kind}.{name}"] = np.array(error)
            if n_steps == 1:
                miss = np.abs(np.asarray(path.end) - means[condition]).max()
                found[f"one_step.{name}"] = np.maximum(found.get(f"one_step.{name}", 0), miss)
            pictures = judged(path.end)
            distances.append(frechet_distance(pictures, real, feature="judge").value)
            if config.repeats == 1:  # several tell it themselves
                errors.append(_scatter(config, pictures, real))
        found[f"frechet.{kind}.{name}"] = np.array(distances)
        if errors:
            found[f"frechet_error.{kind}.{name}"] = np.array(errors)
    return found


def _scatter(config: Config, pictures: np.ndarray, real: np.ndarray) -> float:
    """Standard error of a distance by the bootstrap."""
    draws = bootstrap_distance(
        frechet_distance, pictures, real, feature="judge", n_draws=config.n_bootstrap, key=jax.random.key(config.seed)
    )  # fmt: skip
    return float(draws.std(ddof=1))


def plot(outcome: Outcome) -> Figure:
    """Bend by codec; distance against steps for whole latents and on axes; distance at 5 steps against bend."""
    return latent_straightness_figure.plot(outcome, SOURCES, CODECS)
