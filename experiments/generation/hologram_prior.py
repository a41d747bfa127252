"""What a generative prior adds to one noisy hologram, and where it stops to help.

A phase object, phase pi z with z a picture in [0, 1], stands in a plane wave; a camera at a distance counts photons:

    u = 1 + P (exp(i pi z) - 1),   y ~ Poisson(N |u|^2),   P the propagation of `optics` from object to camera pixels,

with N photons a pixel without the object. All methods know P, N and the support:

    descent      most likely object, no prior
    variation    the same with total variation; of several weights the one of the best PSNR at each N, which favours it
    retrieval    Gerchberg-Saxton: measured moduli on the camera, unit modulus and phase 0..pi in the support
    map          most likely object with the prior
    sample       a draw by the flow of the prior, steered by the likelihood (`nn.generation.posterior_sampling`)
    mean         mean of several draws

The prior is a mixture of Gaussians, one for each class of the training pictures, whose flow is exact: no network.
Judged by PSNR against the held-out object and by the share that a nearest-neighbour classifier recognises. The bias of
the sampler is measured where the truth is known: objects drawn from the prior, and the camera of weak phases,
y = A z + Gaussian noise of variance 1 / N, A = -2 pi Im P, whose posterior is exact. There the 68 % intervals of both
are counted, their widths compared, and the distance of their means taken in units of the exact width.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.data import datasets
from experiments.generation import hologram_prior_figure
from experiments.generation.hologram_methods import Objective, descend, retrieve
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least, rising
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from nn.generation import make_grid, sample_flow
from nn.generation.exact_flow import GaussianMixture, make_gaussian_flow
from nn.generation.posterior_sampling import draw_mixture, linear_posterior, steer_flow
from optics.waves import Field, propagate

CLAIM = "A flow prior mends a hologram of few photons; with enough of them it adds nothing."
PAPER_FIGURE = "ours; sampler after DPS, arXiv:2209.14687; no figure compared"
EXPECTED_TIME = {"quick": "13 s", "laptop": "3 min", "paper": "1 h"}
TOLERANCES = {"psnr.*": 0.3, "gain.*": 0.3, "recognised.*": 6.0, "coverage.*": 3.0, "width.*": 0.05}
REFERENCES: tuple[Reference, ...] = ()
METHODS = ("descent", "variation", "retrieval", "map", "sample", "mean")
NEIGHBOURS = 5


@dataclass(frozen=True)
class Config:
    """Settings. All are our choice.

    Attributes:
        data: "digits" or "fashion_mnist".
        pool: Pixels averaged along each side.
        window: Camera pixels along a side.
        pixel_pitch_um: Pitch of object and camera.
        distance_mm: From object to camera.
        wavelength_nm: Wavelength.
        photons: Photons a pixel, N.
        n_prior: Training pictures of the prior and the judge.
        n_objects: Held-out objects.
        n_draws: Draws in a mean.
        n_calibrated: Objects drawn from the prior.
        n_intervals: Draws for an interval; 24, 49 and 99 make it hold 68 % of new ones exactly.
        ridge: What is added to the variances of the prior.
        variation: Weights of total variation.
        descent_steps: Steps of Adam.
        learning_rate: Its rate.
        flow_steps: Steps of the sampler.
        reach: Its `reach`.
        repeats: Draws of objects and noise.
        seed: Seed of all that is drawn.
    """

    data: str = "fashion_mnist"
    pool: int = 2
    window: int = 40
    pixel_pitch_um: float = 8.0
    distance_mm: float = 4.0
    wavelength_nm: float = 532.0
    photons: tuple[float, ...] = (1.0, 4.0, 16.0, 32.0, 100.0)
    n_prior: int = 12_000
    n_objects: int = 16
    n_draws: int = 4
    n_calibrated: int = 4
    n_intervals: int = 24
    ridge: float = 1e-3
    variation: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0, 30.0)
    descent_steps: int = 200
    learning_rate: float = 0.03
    flow_steps: int = 200
    reach: float = 0.3
    repeats: int = 3
    seed: int = 0

    def __post_init__(self):
        rising(self, 0.01, "photons")
        at_least(self, 1, "pool", "n_objects", "n_draws", "n_calibrated", "descent_steps")
        at_least(self, 1, "flow_steps", "repeats")
        at_least(self, 10, "n_intervals")
        at_least(self, 1e-6, "ridge", "variation", "learning_rate", "reach")


SCALES = {
    "quick": Config(
        data="digits", pool=1, window=24, pixel_pitch_um=16.0, photons=(1.0, 8.0, 100.0), n_prior=1300,
        n_calibrated=6, descent_steps=100, flow_steps=150, repeats=1,
    ),
    "laptop": Config(),
    "paper": Config(
        pool=1, window=64, n_prior=60_000, n_objects=200, n_draws=16, n_calibrated=32, n_intervals=99,
        flow_steps=800, repeats=5,
    ),
}  # fmt: skip


class HologramLikelihood(eqx.Module):
    """ln of the probability of counts, normal about N |u|^2, wider where the object is not yet known.

    Attributes:
        matrix: P.
        counts: y.
        photons: N.
        gain: Mean over camera pixels of sum_j (dI / dz_j)^2 at N = 1.
    """

    matrix: jax.Array
    counts: jax.Array
    photons: jax.Array
    gain: jax.Array

    def __call__(self, data, spread):
        """ln L, each row."""
        expected = self.photons * hologram(self.matrix, data)
        unsure = (self.photons**2 * self.gain * spread)[:, None]
        variance = jnp.maximum(expected, 0.05 * self.photons) + unsure
        square = (self.counts - expected) ** 2 / variance
        return -0.5 * jnp.sum(square + jnp.log(variance), axis=1)


class WeakLikelihood(eqx.Module):
    """ln of the probability of what a linear camera measured.

    Attributes:
        matrix: A.
        measured: y.
        variance: s^2.
        gain: Mean over camera pixels of sum_j A_j^2.
    """

    matrix: jax.Array
    measured: jax.Array
    variance: jax.Array
    gain: jax.Array

    def __call__(self, data, spread):
        """ln L, each row."""
        square = jnp.sum((self.measured - data @ self.matrix.T) ** 2, axis=1)
        return -square / (2 * (self.variance + self.gain * spread))


@jax.jit
def hologram(matrix: jax.Array, z: jax.Array) -> jax.Array:
    """Intensity |1 + P (exp(i pi z) - 1)|^2 on the camera."""
    cosine, sine = jnp.cos(jnp.pi * z) - 1, jnp.sin(jnp.pi * z)
    real, imaginary = matrix.real.T, matrix.imag.T
    return (1 + cosine @ real - sine @ imaginary) ** 2 + (cosine @ imaginary + sine @ real) ** 2


def camera_matrix(config: Config, side: int) -> jax.Array:
    """P, (camera pixels, object pixels), against a plane wave of phase 0 at the camera."""
    if config.window < side:
        raise ValueError(
            f"`window` must hold the object of {side} x {side} pixels, but is {config.window}."
        )
    wavelength, distance = 1e-9 * config.wavelength_nm, 1e-3 * config.distance_mm
    first = (config.window - side) // 2
    points = np.zeros((side * side, config.window, config.window), np.complex64)
    rows, columns = np.divmod(np.arange(side * side), side)
    points[np.arange(side * side), first + rows, first + columns] = 1
    arrived = propagate(Field(points, wavelength, 1e-6 * config.pixel_pitch_um), distance)
    carrier = np.exp(-2j * np.pi * ((distance / wavelength) % 1)).astype(np.complex64)
    return jnp.asarray(carrier * np.asarray(arrived.amplitude).reshape(side * side, -1).T)


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Reconstructs every object by every method for each draw of the noise."""
    found = context.map(_repeat, {f"noise {s}": (config, s) for s in range(config.repeats)})
    draws = list(found.values())
    arrays = {name: np.stack([one[name] for one in draws]) for name in draws[0]}
    single = config.repeats == 1
    # Of one draw the objects tell the error, of several their means.
    mean = lambda values, unit="": Measurement.from_samples(  # noqa: E731
        values[0] if single else values.reshape(config.repeats, -1).mean(axis=1), unit
    )
    metrics = {"recognised_clean": mean(100 * arrays["clean"], "%")}
    for at, photons in enumerate(config.photons):
        for m, method in enumerate(METHODS):
            name = f"{method}.{photons:g}"
            metrics[f"psnr.{name}"] = mean(arrays["psnr"][:, at, m], "dB")
            metrics[f"recognised.{name}"] = mean(100 * arrays["recognised"][:, at, m], "%")
        ours = arrays["psnr"][:, at, METHODS.index("mean")]
        for other in ("variation", "map"):
            gain = ours - arrays["psnr"][:, at, METHODS.index(other)]
            metrics[f"gain_over_{other}.{photons:g}"] = mean(gain, "dB")
        for kind in ("exact", "steered"):
            metrics[f"coverage.{kind}.{photons:g}"] = mean(100 * arrays[kind][:, at], "%")
        metrics[f"width_ratio.{photons:g}"] = mean(arrays["width"][:, at])
        metrics[f"mean_apart.{photons:g}"] = mean(arrays["apart"][:, at])
    return Outcome("hologram_prior", config, metrics, arrays, REFERENCES)


def _pooled(pictures: np.ndarray, pool: int) -> np.ndarray:
    n, side, _ = pictures.shape
    if side % pool:
        raise ValueError(f"`pool` must divide the {side} pixels along a side, but is {pool}.")
    small = pictures.reshape(n, side // pool, pool, side // pool, pool).mean(axis=(2, 4))
    return small.reshape(n, -1).astype(np.float32)


def make_prior(pictures: np.ndarray, labels: np.ndarray, ridge: float) -> GaussianMixture:
    """One Gaussian for each class, by its moments."""
    classes = [pictures[labels == label] for label in np.unique(labels)]
    n_pixels = pictures.shape[1]
    covariances = [np.cov(one, rowvar=False) + ridge * np.eye(n_pixels) for one in classes]
    arrays = [one.mean(axis=0) for one in classes], covariances, [len(one) for one in classes]
    return make_gaussian_flow(*(jnp.asarray(np.stack(array), jnp.float32) for array in arrays))


def _repeat(config: Config, repeat: int) -> dict[str, np.ndarray]:
    """PSNR, recognition and coverage of one draw of objects and noise."""
    data = datasets.load(config.data).limit(config.n_prior, config.n_objects, config.seed + repeat)
    known, objects = (_pooled(x, config.pool) for x in (data.x_train, data.x_test))
    judge = lambda x: nearest_class(known, data.y_train, x) == data.y_test  # noqa: E731
    prior = make_prior(known, data.y_train, config.ridge)
    spread = float(known.var(axis=0).mean())
    side = round(known.shape[1] ** 0.5)
    matrix = camera_matrix(config, side)
    rng = np.random.default_rng((config.seed, repeat))
    intensity = np.asarray(hologram(matrix, jnp.asarray(objects)), float)
    gain = _gain(matrix, known, rng)
    found = {"psnr": [], "recognised": [], "exact": [], "steered": [], "width": [], "apart": []}
    pictures = []
    for photons in config.photons:
        counts = jnp.asarray(rng.poisson(photons * intensity), jnp.float32)
        made = _reconstruct(config, matrix, prior, counts, photons, objects, (spread, gain), rng)
        pictures.append(np.stack(made))
        found["psnr"].append([psnr(one, objects) for one in made])
        found["recognised"].append([judge(one) for one in made])
        for name, value in _intervals(config, matrix, prior, photons, spread, rng).items():
            found[name].append(value)
    # One object, and the one that the mean of the draws misses most, at fewest photons.
    shown = [0, int(np.argmin(found["psnr"][0][METHODS.index("mean")]))]
    return {name: np.array(value, float) for name, value in found.items()} | {
        "clean": judge(objects).astype(float),
        "pictures": pictures[0][:, shown].reshape(len(METHODS), 2, side, side),
        "objects": objects[shown].reshape(2, side, side),
    }


def psnr(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """-10 lg of the mean square error of each picture, clipped to [0, 1]."""
    return -10 * np.log10(((np.clip(found, 0, 1) - truth) ** 2).mean(axis=1))


def nearest_class(known: np.ndarray, labels: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Class that most of the nearest training pictures have."""
    x = np.clip(x, 0, 1)
    squares = (known**2).sum(axis=1)[None] - 2 * x @ known.T
    votes = labels[np.argpartition(squares, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]]
    return np.array([np.bincount(row).argmax() for row in votes])


def _gain(matrix, known, rng) -> float:
    """Mean over camera pixels of sum_j (dI / dz_j)^2, at training pictures, by random cotangents."""
    z = jnp.asarray(known[rng.choice(len(known), 64, replace=False)])
    signs = jnp.asarray(rng.choice([-1.0, 1.0], (64, len(matrix))), z.dtype)
    slope = jax.jit(jax.grad(lambda z: jnp.sum(signs * hologram(matrix, z))))(z)
    return float((np.asarray(slope) ** 2).sum(axis=1).mean() / len(matrix))


def _reconstruct(config, matrix, prior, counts, photons, objects, scales, rng) -> list[np.ndarray]:
    """Objects by each of the methods, in their order."""
    target = Objective(matrix, counts, jnp.float32(photons), prior)
    follow = lambda variation, trust: np.asarray(descend(  # noqa: E731
        target, jnp.float32(variation), jnp.float32(trust), config.descent_steps, config.learning_rate
    ))  # fmt: skip
    smooth = [follow(weight, 0) for weight in config.variation]
    best = max(smooth, key=lambda one: psnr(one, objects).mean())
    spread, gain = scales
    likelihood = HologramLikelihood(
        matrix, jnp.repeat(counts, config.n_draws, axis=0), jnp.float32(photons), jnp.float32(gain)
    )
    drawn = _follow(config, prior, likelihood, spread, len(objects) * config.n_draws, rng)
    drawn = drawn.reshape(len(objects), config.n_draws, -1)
    retrieved = np.asarray(retrieve(matrix, counts / photons, config.descent_steps))
    return [follow(0, 0), best, retrieved, follow(0, 1), drawn[:, 0], drawn.mean(axis=1)]


def _follow(config, prior, likelihood, spread, n_paths, rng) -> np.ndarray:
    """Ends of steered paths."""
    flow = steer_flow(prior, likelihood, variance=spread, reach=config.reach)
    start = jnp.asarray(rng.normal(size=(n_paths, prior.means.shape[1])), jnp.float32)
    key = jax.random.key(int(rng.integers(2**31)))
    path = sample_flow(flow, start, make_grid(config.flow_steps), method="ancestral", key=key)
    return np.asarray(path.end)


def _intervals(config, matrix, prior, photons, spread, rng) -> dict[str, np.ndarray]:
    """Share of pixels in 68 % intervals of objects drawn from the prior, exact and steered; widths; means."""
    n, draws = config.n_calibrated, config.n_intervals
    truth = np.asarray(draw_mixture(prior, n, key=jax.random.key(int(rng.integers(2**31)))))
    weak = np.asarray(-2 * np.pi * matrix.imag)
    gain = float((weak**2).sum(axis=1).mean())
    # White noise stays white when turned, and outside the range of A it says nothing: fewer rows, the same posterior.
    weak = np.linalg.qr(weak).R
    measured = truth @ weak.T + rng.normal(size=(n, len(weak))) / photons**0.5
    measured = jnp.asarray(measured, jnp.float32)
    exact = np.stack([
        draw_mixture(linear_posterior(prior, jnp.asarray(weak), one, 1 / photons), draws, key=key)
        for one, key in zip(measured, jax.random.split(jax.random.key(int(rng.integers(2**31))), n), strict=True)
    ])  # fmt: skip
    likelihood = WeakLikelihood(
        jnp.asarray(weak), jnp.repeat(measured, draws, axis=0),
        jnp.float32(1 / photons), jnp.float32(gain),
    )  # fmt: skip
    steered = _follow(config, prior, likelihood, spread, n * draws, rng).reshape(exact.shape)
    found, widths = {}, {}
    for name, made in (("exact", exact), ("steered", steered)):
        # Ranks: a new draw is equally likely to fall into each of the n + 1 gaps between n, whatever their law.
        below = (made < truth[:, None]).sum(axis=1)
        out = round(0.16 * (draws + 1))
        inside = (below >= out) & (below < draws + 1 - out)
        found[name] = inside.mean(axis=1)
        widths[name] = made.std(axis=1).mean(axis=1)
    apart = ((steered.mean(axis=1) - exact.mean(axis=1)) ** 2).mean(axis=1) ** 0.5
    return found | {"width": widths["steered"] / widths["exact"], "apart": apart / widths["exact"]}


def plot(outcome: Outcome) -> Figure:
    """PSNR, recognition and coverage against photons; an object and the worst miss at fewest photons."""
    return hologram_prior_figure.plot(outcome, METHODS)
