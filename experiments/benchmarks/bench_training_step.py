"""CPU time of one training step of the main experiment, in the model and in forward mode, and where it goes.

The work: loss, gradient and Adam update of a stack of phase layers for a batch of encoded images, as `ffm_depth` makes
them, in single precision: once by the derivative of the ideal model, once by forward mode on an imperfect bench with a
camera. Beside it the propagations alone, as many as a step holds (one forwards and one for the error a layer), of the
model and of the bench, whose camera is displaced; the rest of a step is everything else: modulators, camera, random
numbers, read-out, optimiser. What the processor can do is measured in the same rounds by one large matrix product.

CPU time of all threads, not wall time: it is nearly free of what else runs on the machine. Pieces have their turn in
each round; a ratio is formed within a round. Compiling is timed apart. Peers are left out: no other package trains by
forward mode, and `bench_propagation` times theirs in the model.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.benchmarks.timing import load_average
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import label, new_figure
from optics.hardware import Imperfections, OpticalBench, draw_twin, flir_bfs_u3_89s6m
from optics.learning import GradientMethod
from optics.learning.rules import ForwardMode, InSilico
from optics.media import Geometry
from optics.media.free_space import FreeSpace
from optics.networks import encode_images, make_network, make_readout

CLAIM = "Propagations are three quarters of a training step in the model and half of one in forward mode."
PAPER_FIGURE = "none (our benchmark)"
EXPECTED_TIME = {"quick": "20 s", "laptop": "30 s", "paper": "2 min"}
REFERENCES: tuple[Reference, ...] = ()

STEPS = ("model", "forward")
PIECES = ("step.model", "step.forward", "propagations.model", "propagations.forward", "sgemm")
# The bench of `ffm_depth`: what costs time is the displaced camera, whose propagation has no even and odd part.
HARDWARE = Imperfections(
    slm_gain=-0.4, slm_phase_error=0.3, slm_levels=256, camera_shift_px=0.25, reference_drift=0.005
)


@dataclass(frozen=True)
class Config:
    """What is timed.

    Attributes:
        pixels: Panel and camera size, pixels a side.
        n_layers: Phase layers.
        batch_size: Images a step.
        n_classes: Detector regions.
        rounds: How often each piece has its turn.
        n_steps: Steps in one turn.
        product_size: Side of the matrices of the large product.
        seed: Seed of images, phases, bench and noise.
    """

    pixels: int = 64
    n_layers: int = 8
    batch_size: int = 32
    n_classes: int = 4
    rounds: int = 10
    n_steps: int = 10
    product_size: int = 1024
    seed: int = 0

    def __post_init__(self):
        at_least(self, 1, "n_layers", "batch_size", "rounds", "n_steps", "product_size")
        at_least(self, 2, "n_classes")
        at_least(self, 16, "pixels", unit="px")


SCALES = {
    "quick": Config(rounds=3, n_steps=5),
    "laptop": Config(),
    "paper": Config(rounds=30, n_steps=20),
}


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Compiles all pieces, then times them in turn."""
    metrics = {"load_average": load_average(context)}
    pieces, work = _pieces(config)
    for name, piece in pieces.items():
        cpu, _ = _times(piece)
        metrics[f"first_call.{name}"] = Measurement(cpu, unit="s")
    cpu_ms = {name: np.zeros(config.rounds) for name in pieces}
    wall_ms = {name: np.zeros(config.rounds) for name in pieces}
    with context.progress("rounds", config.rounds) as ticker:
        for i in range(config.rounds):
            for name, piece in pieces.items():
                seconds = np.array(_times(piece))
                cpu_ms[name][i], wall_ms[name][i] = 1e3 * seconds / config.n_steps
            ticker.advance()
    arrays = {f"cpu_ms.{name}": values for name, values in cpu_ms.items()}
    for name in PIECES:
        metrics[f"cpu.{name}"] = Measurement.from_samples(cpu_ms[name], "ms")
        metrics[f"wall.{name}"] = Measurement.from_samples(wall_ms[name], "ms")
    for step in STEPS:
        whole, part = cpu_ms[f"step.{step}"], cpu_ms[f"propagations.{step}"]
        metrics[f"rest.{step}"] = Measurement.from_samples(whole - part, "ms")
        metrics[f"share.propagations.{step}"] = Measurement.from_samples(100 * part / whole, "%")
    for name, operations in work.items():
        rate = operations / (1e6 * cpu_ms[name])
        metrics[f"rate.{name}"] = Measurement.from_samples(rate, "GFLOP/s")
        if name != "sgemm":
            limit = work["sgemm"] / (1e6 * cpu_ms["sgemm"])
            metrics[f"of_limit.{name}"] = Measurement.from_samples(100 * rate / limit, "%")
    metrics["rate.sgemm.all_cores"] = Measurement.from_samples(
        work["sgemm"] / (1e6 * wall_ms["sgemm"]), "GFLOP/s"
    )
    return Outcome("bench_training_step", config, metrics, arrays, REFERENCES)


def plot(outcome: Outcome) -> Figure:
    """CPU time of a step split into propagations and the rest, and rates beside that of a large product."""
    figure = new_figure(2, 2.4)
    times, rates = figure.subplots(1, 2)
    names = {"model": "in the model", "forward": "forward mode"}
    for row, step in enumerate(STEPS):
        part = outcome.metrics[f"cpu.propagations.{step}"].value
        rest = outcome.metrics[f"rest.{step}"].value
        parts = (("propagations", part, 0.0, "C0"), ("rest", rest, part, "0.7"))
        for name, width, left, color in parts:
            times.barh(row, width, left=left, color=color, label=name if row == 0 else None)
        rounds = outcome.arrays[f"cpu_ms.step.{step}"]
        times.plot([rounds.min(), rounds.max()], [row, row], color="k", lw=1)
    times.set_yticks(range(len(STEPS)), [names[s] for s in STEPS], fontsize="small")
    times.set_xlabel(label("CPU time of a step", "ms"))
    times.legend(fontsize="small")
    bars = ("propagations.model", "propagations.forward", "sgemm")
    for row, name in enumerate(bars):
        rates.barh(row, outcome.metrics[f"rate.{name}"].value, color="C0")
    rates.set_yticks(range(len(bars)), ["model", "bench", "large product"], fontsize="small")
    rates.set_xlabel(label("Rate of one core", "GFLOP/s"))
    return figure


def _pieces(config: Config) -> tuple[dict[str, Callable], dict[str, float]]:
    """Compiled pieces, each `n_steps` long, and the operations of one step of those that are matrix products."""
    geometry = Geometry((config.pixels, config.pixels), distance=12e-3 * (config.pixels / 64) ** 2)
    keys = jax.random.split(jax.random.key(config.seed), 6)
    twin = draw_twin(geometry, HARDWARE, key=keys[0])
    bench = OpticalBench(geometry, twin, camera=flir_bfs_u3_89s6m())
    readout = make_readout(geometry.shape, config.n_classes)
    network = make_network(geometry, config.n_layers, readout, key=keys[1])
    labels = jax.random.randint(keys[2], (config.batch_size,), 0, config.n_classes)
    images = jax.random.uniform(keys[3], (config.batch_size, 8, 8))
    fields = encode_images(images, geometry.shape)

    def training(rule, bench):
        method = GradientMethod(rule)
        state = method.init(network, key=keys[4], n_steps=1000)

        @jax.jit
        def steps(state, bench, images, labels):
            def one(state, key):
                field = encode_images(images, geometry.shape)
                return method.step(state, bench, field, labels, key=key)

            return jax.lax.scan(one, state, jax.random.split(keys[5], config.n_steps))[1].loss

        return lambda: steps(state, bench, images, labels)

    def propagating(medium):
        passes = 2 * config.n_layers * config.n_steps

        @jax.jit
        def propagations(medium, fields):
            return jax.lax.scan(lambda u, _: (medium(u), None), fields, length=passes)[0]

        return lambda: propagations(medium, fields)

    square = jax.random.normal(keys[4], (config.product_size, config.product_size))
    product = jax.jit(lambda a: jax.lax.scan(lambda c, _: (a @ c, None), a, length=config.n_steps))
    media = {"model": network.free_space, "forward": twin.free_space}
    pieces = {
        "step.model": training(InSilico(), None),
        "step.forward": training(ForwardMode(), bench),
        **{f"propagations.{name}": propagating(medium) for name, medium in media.items()},
        "sgemm": lambda: product(square / np.sqrt(config.product_size)),
    }
    passes = 2 * config.n_layers * config.batch_size
    work = {f"propagations.{n}": passes * operations_of(m) for n, m in media.items()}
    return pieces, work | {"sgemm": 2.0 * config.product_size**3}


def operations_of(medium: FreeSpace) -> int:
    """Real multiplications and additions in the matrix products that propagate one field (`optics.media.separable`).

    Raises:
        ValueError: If the operator is not made of matrices.
    """
    if medium.method != "matrix":
        raise ValueError(f"`medium` must propagate by matrices, but its method is {medium.method}.")
    half = len(medium.factors) // 2
    ny, nx = medium.shape
    # Factors along y act on all nx columns, those along x on all ny rows; each is a stack of three real matrices.
    along_y, along_x = medium.factors[:half], medium.factors[half:]
    return 2 * (nx * sum(f.size for f in along_y) + ny * sum(f.size for f in along_x))


def _times(piece: Callable) -> tuple[float, float]:
    """CPU and wall time of one call, in seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    jax.block_until_ready(piece())
    return time.process_time() - cpu, time.perf_counter() - wall
