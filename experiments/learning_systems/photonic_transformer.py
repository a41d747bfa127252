"""A vision transformer on light: how wrong its linear maps may be, and what training on the chip itself gives back.

A small ViT tells the digits of scikit-learn; all of its linear maps stand on blocks of one photonic chip, symmetric
cores of one size (`photonic_forward`), and norms, softmax, residuals and biases are electronics. After training in
floating point six ways prepare it for a chip with errors (`photonic_training`), each with the same start, steps,
batches and optimiser: in silico, with its matrices fitted to the known errors, with random errors in the model, with
the data on the chip and the error in a model of the mean device, in forward mode on the chip, and by the true
gradient, which no learner has. One error at a time is made larger than the base, noise of detectors and taps is on
throughout, and a chip and a start belong to each seed. Cores are folded, one mesh crossed twice, so that they are
symmetric whatever their errors; what halves with errors of their own cost is told as cosines of a gradient.

Beside it the relative error of one carried matrix against each error's size, for two meshes around attenuators
(`photonic_linear`) and for the symmetric core, and its order: the slope of a line through the logarithms.

Sizes of errors, network, steps and rates are our choices; ranges were chosen on the in-silico column alone, with other
seeds. No number of a paper is compared.
"""

import dataclasses
from dataclasses import dataclass, field
from functools import cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.data import datasets
from experiments.harness.compiling import jit_once
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import among, at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.training import train
from experiments.learning_systems import photonic_orders, photonic_transformer_figure
from experiments.learning_systems.photonic_forward import program_chip
from experiments.learning_systems.photonic_training import WAYS, Lab, right
from nn.layers import linear_maps
from nn.models.vit import VitConfig, make_vit
from nn.training import adamw, cross_entropy, draw_rows
from optics.hardware import MeshImperfections

CLAIM = "A transformer on a chip with errors loses its digits; trained on the chip in forward mode it keeps them."
PAPER_FIGURE = "Z. Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4, Fig. 5a; no figure compared"
EXPECTED_TIME = {"quick": "35 s", "laptop": "6 min", "paper": "2 h"}
SAVES_TRAININGS = True
TOLERANCES = {"accuracy.*": 20.0, "cosine.*": 0.2, "order.*": 0.3, "matrix_error.*": 0.1}
REFERENCES: tuple[Reference, ...] = ()
BASE = MeshImperfections(
    splitter_error=0.01,
    phase_error=0.01,
    loss_db=0.05,
    voltage_bits=16,
    detector_noise=0.003,
    tap_noise=0.01,
)
N_CLASSES = 10


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        width: Size of a token; heads are 2.
        hidden: Hidden size of the feed-forward layer.
        n_pretrain: Steps in floating point.
        n_steps: Steps of each way after that.
        batch_size: Images in a step.
        pretrain_rate: Largest step in floating point.
        learning_rate: Largest step after that, rad for phases.
        n_fit: Steps in which matrices are fitted to known errors.
        n_chips: Chips that random errors are drawn from.
        splitter_errors: Errors of splitters beyond the base, rad.
        losses_db: Losses of a cell beyond the base, dB.
        bits: Bits of the converters below the base.
        detector_noises: Noise of the detectors beyond the base; that of the taps is three times as large.
        ways: Which of the ways are tried.
        maps: Ends of the paths of the maps that light carries; none named are all.
        repeats: Starts, each with a chip of its own.
        gradient_errors: Errors of splitters and phases at which gradients are compared, rad.
        gradient_chips: Chips for that.
        order_chips: Chips behind an order.
        base: Errors of the chip (our choice).
        seed: Seed of starts, chips, batches and noise.
    """

    width: int = 8
    hidden: int = 16
    n_pretrain: int = 1500
    n_steps: int = 100
    batch_size: int = 16
    pretrain_rate: float = 0.02
    learning_rate: float = 0.01
    n_fit: int = 300
    n_chips: int = 16
    splitter_errors: tuple[float, ...] = (0.05, 0.1)
    losses_db: tuple[float, ...] = (0.5,)
    bits: tuple[int, ...] = (6,)
    detector_noises: tuple[float, ...] = (0.3,)
    ways: tuple[str, ...] = WAYS
    maps: tuple[str, ...] = ()
    repeats: int = 3
    gradient_errors: tuple[float, ...] = (0.01, 0.03, 0.1)
    gradient_chips: int = 5
    order_chips: int = 20
    base: MeshImperfections = field(default_factory=lambda: BASE)
    seed: int = 0

    def __post_init__(self):
        at_least(self, 1, "n_pretrain", "n_steps", "batch_size", "n_fit", "n_chips", "repeats")
        at_least(self, 2, "width", "hidden", "order_chips", "gradient_chips")
        among(self, WAYS, "ways")


SCALES = {
    "quick": Config(
        n_pretrain=400,
        n_steps=20,
        n_chips=4,
        splitter_errors=(),
        losses_db=(),
        bits=(),
        detector_noises=(),
        maps=("value",),
        ways=("in_silico", "mean_device", "forward", "true_gradient"),
        repeats=2,
        gradient_errors=(0.03,),
        gradient_chips=2,
        order_chips=4,
        base=dataclasses.replace(BASE, splitter_error=0.1),
    ),
    "laptop": Config(),
    "paper": Config(width=16, hidden=16, n_pretrain=3000, n_steps=500, batch_size=32, repeats=10),
}


def points(config: Config) -> dict[str, MeshImperfections]:
    """Hardware at which all ways are compared, by name."""
    change = partial(dataclasses.replace, config.base)
    found = {"base": config.base}
    found |= {f"splitter{s:g}": change(splitter_error=s) for s in config.splitter_errors}
    found |= {f"loss{s:g}": change(loss_db=s) for s in config.losses_db}
    found |= {f"bits{b}": change(voltage_bits=b) for b in config.bits}
    found |= {
        f"noise{s:g}": change(detector_noise=s, tap_noise=3 * s) for s in config.detector_noises
    }
    return found


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Each seed is a piece, and so are the errors of matrices and gradients."""
    seeds = {f"seed {n}": (config, n, context) for n in range(config.repeats)}
    found = context.map(one_seed, seeds)
    small = context.sub_run("orders and gradients", partial(_small, config))
    metrics = {}
    arrays: dict[str, np.ndarray] = dict(small)
    for name in next(iter(found.values())):
        right = np.stack([np.asarray(piece[name]) for piece in found.values()])
        arrays[f"right.{name}"] = right
        metrics[f"accuracy.{name}"] = Measurement.from_samples(100 * right.mean(axis=1), "%")
    for name, values in small.items():
        kind, _, rest = name.partition(".")
        if kind == "matrix_error":
            slopes = photonic_orders.orders(values, rest.split(".")[1])
            metrics[f"order.{rest}"] = Measurement.from_samples(slopes)
        else:
            for size, cosines in zip(config.gradient_errors, values, strict=True):
                metrics[f"cosine.{rest}.error{size:g}"] = Measurement.from_samples(cosines)
    return Outcome("photonic_transformer", config, metrics, arrays, REFERENCES)


def _small(config: Config) -> dict[str, np.ndarray]:
    """Errors of carried matrices, and cosines of gradients."""
    errors = photonic_orders.matrix_errors(config.width, config.order_chips, seed=config.seed)
    (images, labels), _ = _digits()
    vit = _unrolled(_made(_sizes(config), jax.random.key(config.seed)))
    cosines = photonic_orders.gradient_cosines(
        vit, images[:32], labels[:32], config.base, config.gradient_errors, config.gradient_chips,
        seed=config.seed,
    )  # fmt: skip
    return {f"matrix_error.{name}": array for name, array in errors.items()} | {
        f"cosine.{name}": array for name, array in cosines.items()
    }


def one_seed(config: Config, number: int, context: Context) -> dict[str, np.ndarray]:
    """Which test images are right, by way and hardware, for one start and its chip."""
    keys = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), number), 6)
    learn, test = _digits()
    vit = _pretrained(config, learn, keys[0], keys[1])
    found = {"digital": np.asarray(_told(vit, test[0]) == test[1])}
    names = [name for name, _ in linear_maps(vit) if not config.maps or name.endswith(config.maps)]
    lab = Lab(
        program_chip(vit, names=names), *learn, config.n_steps, config.batch_size, config.learning_rate,
        config.n_fit, config.n_chips, key=keys[2],
    )  # fmt: skip
    hardware = points(config)
    with context.progress(f"seed {number}", len(hardware) * len(config.ways)) as ticker:
        for name, sizes in hardware.items():
            for way in config.ways:
                program, bench = lab.prepare(way, sizes)
                found[f"{way}.{name}"] = np.asarray(right(program, bench, *test, keys[3]))
                ticker.advance(note=f"{name} {way}")
    return found


def _digits():
    """(images, labels) of training and test as JAX has them."""
    data = datasets.load("digits")
    images = lambda x: jnp.asarray(x, jnp.float32)[..., None]  # noqa: E731
    return (
        (images(data.x_train), jnp.asarray(data.y_train)),
        (images(data.x_test), jnp.asarray(data.y_test)),
    )


@jit_once
def _told(vit, images):
    return vit(images).argmax(-1)


def _sizes(config: Config) -> VitConfig:
    return VitConfig(8, 4, 1, N_CLASSES, config.width, 1, 2, config.hidden)


def _unrolled(vit):
    return eqx.tree_at(lambda v: v.body, vit, vit.body.unrolled())


def _dense_loss(vit, batch, _key):
    return cross_entropy(vit(batch[0]), batch[1]).mean()


def _pretrained(config: Config, data, start_key, key):
    vit = _unrolled(_made(_sizes(config), start_key))
    return train(vit, _dense_loss, data, *_rules(config), config.n_pretrain, key=key).model


@cache
def _rules(config: Config):
    """Batches and steps; the same functions for all starts, which then share a program."""
    return draw_rows(32), adamw(config.pretrain_rate, config.n_pretrain, weight_decay=0.0)


@jit_once
def _made(sizes: VitConfig, key):
    return make_vit(sizes, key=key)


def plot(outcome: Outcome) -> Figure:
    """Accuracy by way against each error, orders of the errors of a matrix, and gradients."""
    return photonic_transformer_figure.draw(outcome)
