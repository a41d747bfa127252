"""A small experiment whose pieces train, and whose process may be killed in the middle of a training."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.context import ALONE
from experiments.harness.errors import NonFiniteError
from experiments.harness.measurement import Measurement
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import new_figure, style
from experiments.harness.training import train

CLAIM = "A valley has a floor."
PAPER_FIGURE = "none"
EXPECTED_TIME = {"quick": "1 s"}
SAVES_TRAININGS = True


class Point(eqx.Module):
    """Where the descent is."""

    at: jax.Array


@dataclass(frozen=True)
class Config:
    """Descents.

    Attributes:
        n_steps: Steps of each.
        stop: What happens once, in the second descent of the second start, beyond its middle.
        seed: Seed of the noise.
    """

    n_steps: int = 40
    stop: Literal["no", "kill", "error"] = "no"
    seed: int = 0


SCALES = {"quick": Config()}
REFERENCES = ()
RATE = optax.adam(0.1)


def run(config, context=ALONE):
    pieces = {f"start {start}": (config, start) for start in (1, 2)}
    found = context.map(_piece, pieces)
    metrics = {name: Measurement(float(piece["end"])) for name, piece in found.items()}
    arrays = {name: piece["losses"] for name, piece in found.items()}
    return Outcome("descent", config, metrics, arrays, REFERENCES)


def _piece(config, start):
    """Two descents, one from the end of the other."""
    point, losses = Point(jnp.full(3, float(start))), []
    for which in (1, 2):
        done = 0

        def on_progress(n, _, which=which):
            nonlocal done
            done += n
            if (start, which) == (2, 2) and done > config.n_steps // 2:
                _stop(config.stop)

        trained = train(
            point, _loss, jnp.arange(8.0), _draw, RATE, config.n_steps, key=jax.random.key(config.seed),
            steps_per_call=4, on_progress=on_progress, name="descent",
        )  # fmt: skip
        point = trained.model
        losses.append(trained.losses)
    return {"losses": np.concatenate(losses), "end": point.at.sum()}


def _stop(how):
    mark = Path("stopped-once")
    if how == "no" or mark.exists():
        return
    mark.touch()
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise NonFiniteError("`descent` must have a floor, but has none.")


def _draw(data, key):
    return data[jax.random.randint(key, (), 0, 8)]


def _loss(point, height, key):
    return jnp.sum(jnp.cos(point.at * height)) + 0.1 * jax.random.normal(key)


@style()
def plot(outcome):
    figure = new_figure()
    axes = figure.subplots()
    for losses in outcome.arrays.values():
        axes.plot(losses)
    axes.set(xlabel="Step", ylabel="Height")
    return figure
