"""Nesterov's rolling ball must stop: one place of rest among many, for friction r above 1.

The claim of U. Jang and E. K. Ryu, arXiv 2510.23513 (2025): for r = 3 the solution of X'' + (r / t) X' + grad f(X) = 0
converges to one minimiser, as do the iterates of Nesterov's method; for r in (0, 1] it need not. The paper proves and
gives no numbers known to us, so the objectives are our choice: a polygon whose whole inside is minimal (the plane), and
a plateau between two walls (the line), where every bounce can be counted. What proves convergence is measured: the
energy of several minimisers at once, which never rises, and the projection on the difference of two of them, which
settles. The ball is solved with `nn.training.nesterov` in double precision; bounces and entries are roots of the cubic
through positions and velocities at the times asked for.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.harness.context import ALONE, Context, called
from experiments.harness.fields import at_least, rising
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, label, new_figure, style
from nn.training.nesterov import flow_energy, nesterov_flow, nesterov_steps, steps_energy

CLAIM = "Nesterov's ball comes to rest at one minimiser for r = 3, and keeps bouncing for r <= 1."
PAPER_FIGURE = "U. Jang, E. K. Ryu, arXiv:2510.23513 (2025), theorems; no figure compared"
EXPECTED_TIME = {"quick": "20 s", "laptop": "1 min", "paper": "3 min"}
TOLERANCES = {
    "energy_increase.*": 1e-10,
    "limit.*": 1e-4,
    "projection_drift.*": 1e-3,
    "bound.*": 1e-3,
    "crossings.r0.5": 2.0,  # a start of the solver more or less late shifts hundreds of bounces
    "end_speed.*": 1e-3,
}

# The polygon SLOPES x <= 1: our choice, as are the minimisers that stand for all inside.
SLOPES = np.array([[1, 0.3], [-0.6, 1], [-0.4, -1], [0.9, -0.7]])
MINIMISERS = np.array([[0.0, 0.0], [0.5, -0.3], [-0.6, 0.4], [0.2, 0.6], [-1.0, -0.5]])
LIPSCHITZ = float(np.linalg.norm(SLOPES, 2) ** 2)


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        starts: Starts at rest on the polygon.
        r_values: Frictions on the plateau.
        plateau_start: Start at rest on the plateau, whose walls stand at -1 and 1.
        end_time: Last time of the polygon.
        plateau_time: Last time of the plateau.
        plateau_interval: Between two times at which the plateau's ball is looked at; bounces take about pi.
        n_steps: Steps of Nesterov's method on the polygon.
        max_steps: Most steps of the solver; r = 0.5 takes 274,000 to t = 10,000.
        precision: double, for energies of a part in 1e11.
        seed: Nothing is drawn; there because every experiment has one.
    """

    starts: tuple[tuple[float, float], ...] = ((8.0, 5.0), (-3.0, 9.0))
    r_values: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
    plateau_start: float = 3.0
    end_time: float = 1e4
    plateau_time: float = 1e4
    plateau_interval: float = 0.25
    n_steps: int = 200_000
    max_steps: int = 1_000_000
    precision: str = "double"
    seed: int = 0

    def __post_init__(self):
        at_least(self, 10, "end_time", "plateau_time", "n_steps", "max_steps")
        at_least(self, 1e-3, "plateau_interval")
        rising(self, 1e-3, "r_values")


SCALES = {
    "quick": Config(end_time=1e3, plateau_time=300.0, n_steps=20_000),
    "laptop": Config(),
    "paper": Config(r_values=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0)),
}
_THEORY = "closed form on our plateau, no number of the paper"
REFERENCES = (
    Reference("last_outside.r2", float(np.pi), None, "", "X = 1 + 2 sin t / t", "derived", True, _THEORY),
    Reference("last_outside.r3", 3.8317060, None, "", "first zero of J_1", "derived", True, _THEORY),
    Reference("rest.r3", 0.1944812, None, "", "1 - 2 |J_0| at it", "derived", True, _THEORY),
    Reference("energy_increase.ball", 0.0, None, "", "Lyapunov argument", "derived", True, "a law for every minimiser"),
    Reference("energy_increase.steps", 0.0, None, "", "Lyapunov argument", "derived", True, "the same for the steps"),
)  # fmt: skip


def polygon(x):
    """Half the squared distances beyond each side; 0 inside."""
    return 0.5 * jnp.sum(jnp.maximum(jnp.asarray(SLOPES) @ x - 1, 0) ** 2)


def plateau(x):
    """Half the squared distance from [-1, 1]."""
    return 0.5 * jnp.sum(jnp.maximum(jnp.abs(x) - 1, 0) ** 2)


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Balls on the polygon with their energies, on the plateau for every friction, and the steps on the polygon."""
    metrics: dict[str, Measurement] = {}
    arrays: dict[str, np.ndarray] = {"r_values": np.asarray(config.r_values)}
    pieces: dict[str, tuple] = {
        f"polygon {i}": (_on_polygon, config, start) for i, start in enumerate(config.starts)
    }
    pieces |= {f"plateau r = {r:g}": (_on_plateau, config, r) for r in config.r_values}
    pieces["steps"] = (_steps, config)
    found = context.map(called, pieces)
    balls = [found[f"polygon {i}"] for i in range(len(config.starts))]
    for i, ball in enumerate(balls):
        arrays |= {f"polygon{i}.{name}": array for name, array in ball.items()}
        for axis, name in enumerate("xy"):
            metrics[f"limit.start{i}.{name}"] = Measurement(ball["position"][-1, axis])
    metrics["energy_increase.ball"] = Measurement(max(_rise(ball["energy"]) for ball in balls))
    metrics["energy_increase.steps"] = Measurement(float(found["steps"]["rise"]))
    drift = [
        abs(ball["projection"][-1] - ball["projection"][ball["time"].searchsorted(100.0)])
        for ball in balls
    ]
    metrics["projection_drift.after100"] = Measurement(max(drift))
    metrics["bound.used"] = Measurement(max(ball["bound"].max() for ball in balls))
    for axis, name in enumerate("xy"):
        metrics[f"limit.steps.{name}"] = Measurement(found["steps"]["position"][-1, axis])
    arrays |= {f"steps.{name}": array for name, array in found["steps"].items()}
    for r in config.r_values:
        piece = found[f"plateau r = {r:g}"]
        arrays |= {f"plateau{r:g}.{name}": array for name, array in piece.items()}
        metrics[f"crossings.r{r:g}"] = Measurement(len(piece["crossings"]))
        metrics[f"last_outside.r{r:g}"] = Measurement(float(piece["last_outside"]))
        metrics[f"end_speed.r{r:g}"] = Measurement(abs(piece["velocity"][-1]))
        if r > 1:  # on the last flat leg X' ~ t^-r, so the rest of the way is t X' / (r - 1)
            rest = piece["position"][-1] + piece["time"][-1] * piece["velocity"][-1] / (r - 1)
            metrics[f"rest.r{r:g}"] = Measurement(rest)
    return Outcome("nesterov_ode", config, metrics, arrays, REFERENCES)


def _on_polygon(config: Config, start) -> dict[str, np.ndarray]:
    times = np.geomspace(0.01, config.end_time, 600)
    path = nesterov_flow(polygon, jnp.asarray(start), times, max_steps=config.max_steps)
    energy = flow_energy(path, MINIMISERS)
    away = np.sum((np.asarray(start) - MINIMISERS) ** 2, axis=1)
    return {
        "time": times,
        "position": np.asarray(path.position),
        "energy": np.asarray(energy) / np.asarray(energy)[:, :1],
        "projection": np.asarray(path.position) @ (MINIMISERS[0] - MINIMISERS[1]),
        "bound": np.asarray(path.time**2 * path.value) / (2 * away[:, None]),
        "n_steps": np.asarray(path.n_steps),
    }


def _on_plateau(config: Config, r: float) -> dict[str, np.ndarray]:
    n_times = round(config.plateau_time / config.plateau_interval)
    times = config.plateau_interval * np.arange(1, n_times + 1)
    start = jnp.array([config.plateau_start])
    path = nesterov_flow(plateau, start, times, r=r, max_steps=config.max_steps)
    x, v = np.asarray(path.position)[:, 0], np.asarray(path.velocity(r))[:, 0]
    # From outside it can only come in, from inside only go out, so the passages of the walls alternate.
    walls = np.sort(np.concatenate([roots(times, x - wall, v) for wall in (-1.0, 1.0)]))
    return {
        "time": times,
        "position": x,
        "velocity": v,
        "crossings": roots(times, x, v),
        "last_outside": times[-1] if abs(x[-1]) > 1 else walls[::2][-1],
        "n_steps": np.asarray(path.n_steps),
    }


def _steps(config: Config) -> dict[str, np.ndarray]:
    found = nesterov_steps(polygon, jnp.asarray(config.starts[0]), 1 / LIPSCHITZ, config.n_steps)
    energy = np.asarray(steps_energy(found, MINIMISERS, 1 / LIPSCHITZ))
    kept = np.unique(np.geomspace(1, config.n_steps, 400).astype(int))
    return {
        "step": kept,
        "position": np.asarray(found.position)[kept],
        "energy": energy[:, kept] / energy[:, :1],
        "rise": np.asarray(_rise(energy / energy[:, :1])),
    }


def _rise(energy: np.ndarray) -> float:
    """Largest rise between two times over the first value, over all minimisers; 0 where none rises."""
    return max(0.0, float(np.diff(energy, axis=1).max()))


def roots(times: np.ndarray, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Times at which x changes its sign, on the cubic through x and v at both ends of each interval."""
    where = np.nonzero(np.sign(x[:-1]) * np.sign(x[1:]) < 0)[0]
    low, high = times[where].copy(), times[where + 1].copy()
    side = np.sign(x[where])
    for _ in range(60):  # bisection to rounding
        middle = (low + high) / 2
        before = np.sign(_cubic(times, x, v, where, middle)) == side
        low, high = np.where(before, middle, low), np.where(before, high, middle)
    return (low + high) / 2


def _cubic(times, x, v, where, at):
    """Cubic Hermite interpolation in the intervals `where`."""
    h = times[where + 1] - times[where]
    s = (at - times[where]) / h
    value = x[where] * (1 + 2 * s) * (1 - s) ** 2 + x[where + 1] * s**2 * (3 - 2 * s)
    return value + h * (v[where] * s * (1 - s) ** 2 - v[where + 1] * s**2 * (1 - s))


@style()
def plot(outcome: Outcome) -> Figure:
    """The plateau for every friction, energies of several minimisers, and how ball and steps settle."""
    arrays = outcome.arrays
    figure = new_figure(2, 4.8)
    bounce, energy, settle, count = figure.subplots(2, 2).ravel()
    for i, r in enumerate(arrays["r_values"]):
        bounce.plot(
            arrays[f"plateau{r:g}.time"],
            arrays[f"plateau{r:g}.position"],
            color=f"C{i}",
            lw=0.8,
            label=f"{r:g}",
        )
    for wall in (-1, 1):
        bounce.axhline(wall, color=GREY, lw=0.8)
    bounce.set(xscale="log", xlabel="t", ylabel="X on the plateau")
    bounce.legend(title="friction r", ncols=2, fontsize="x-small", title_fontsize="x-small")
    for values in arrays["polygon0.energy"]:
        energy.plot(arrays["polygon0.time"], values)
    energy.set(
        xscale="log", xlabel="t", ylabel="energy over its start", title="five minimisers, r = 3"
    )
    ball, steps = arrays["polygon0.position"], arrays["steps.position"]
    for time, path, name in (
        (arrays["polygon0.time"], ball, "ball"),
        (arrays["steps.step"], steps, "steps"),
    ):
        away = np.linalg.norm(path - path[-1], axis=1)
        settle.plot(time[away > 0], away[away > 0], label=name)
    settle.set(
        xscale="log",
        yscale="log",
        xlabel="t, or number of the step",
        ylabel="distance from the last point",
    )
    settle.legend(fontsize="small")
    crossings = [outcome.metrics[f"crossings.r{r:g}"].value for r in arrays["r_values"]]
    count.plot(arrays["r_values"], crossings, "o-", color="C0")
    count.set(xlabel="friction r", ylabel=label("crossings of the middle"), yscale="symlog")
    return figure
