"""All training methods with the settings that each may choose from: one table, the same number of trials for each.

A trial is one setting. The first entries differ in what matters most, so that a run with fewer trials covers it.
Ranges are our choice, centred on what worked on ideal benches.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp

from optics.learning import AbstractMethod, GradientMethod
from optics.learning.methods import (
    CmaEs,
    DualAdaptive,
    ForwardForward,
    Layerwise,
    OutputPhysicsAware,
    ParticleSwarm,
    checkerboard,
    make_label_light,
)
from optics.learning.rules import (
    FeedbackAlignment,
    FiniteDifference,
    ForwardMode,
    InSilico,
    InSituBackprop,
    NoiseAware,
    PhysicsAware,
    ScoreFunction,
    Spsa,
    make_random_feedback,
)

TRIALS = 6


@dataclass(frozen=True)
class Entry:
    """One method of the comparison.

    Attributes:
        name: As printed in the figure.
        needs: What it needs besides a camera: "model only", "model", "no model" or "loss only".
        grid: Values of each setting; trials are all combinations, the first setting fastest.
        build: `(network, key, **setting)` -> method.
    """

    name: str
    needs: str
    grid: dict[str, tuple]
    build: Callable[..., AbstractMethod]

    def trials(self, n: int) -> list[dict]:
        """First `n` settings."""
        names = list(self.grid)
        columns = [self.grid[name] for name in reversed(names)]
        combinations = [tuple(reversed(values)) for values in itertools.product(*columns)]
        return [dict(zip(names, values, strict=True)) for values in combinations[:n]]


def _adam(make_rule: Callable[..., object], **grid) -> tuple[dict, Callable[..., AbstractMethod]]:
    """Grid and builder of a rule followed by Adam."""

    def build(network, key, *, rate, **setting):
        return GradientMethod(make_rule(network, key, **setting), learning_rate=rate)  # pyright: ignore[reportArgumentType]

    return grid, build


def _feedback(network, key):
    shape = network.phase.shape[1:]
    return FeedbackAlignment(make_random_feedback(network, shape, key=key))


def _forward_forward(network, key, *, rate, gain):
    del key
    shape = network.phase.shape[1:]
    n_classes = network.readout.regions.shape[0]
    light = make_label_light(shape, n_classes)
    mask = checkerboard(shape, max(1, shape[0] // 8))
    return ForwardForward(light, mask, gain=jnp.asarray(gain), learning_rate=jnp.asarray(rate))


_RATES = (0.1, 0.03, 0.3, 0.05, 0.2, 0.01)  # rad
_THREE = (0.1, 0.03, 0.3)  # rad
# Few noisy numbers can be moved far: finer super-pixels and larger steps than one would take with a gradient.
_BLOCKS = (4, 2)  # pixels

METHODS: dict[str, Entry] = {
    "in_silico": Entry(
        "in silico", "model only", *_adam(lambda *_: InSilico(), rate=_RATES)
    ),
    "noise_aware": Entry(
        "noise-aware", "model only",
        *_adam(lambda *_, stroke: NoiseAware(0.3, stroke), rate=_THREE, stroke=(0.2, 0.4)),
    ),
    "layerwise": Entry(
        "layerwise in silico", "model", {"rate": _THREE, "first_share": (0.5, 0.25)},
        lambda network, key, *, rate, first_share: Layerwise(jnp.asarray(rate), first_share),
    ),
    "physics_aware_output": Entry(
        "physics-aware, output only", "model",
        *_adam(lambda *_: OutputPhysicsAware(), rate=_RATES),
    ),
    "physics_aware": Entry(
        "physics-aware", "model", *_adam(lambda *_: PhysicsAware(), rate=_RATES)
    ),
    "dual_adaptive": Entry(
        "dual adaptive", "model", {"rate": _THREE, "predictor_rate": (1e-3, 5e-3)},
        lambda network, key, *, rate, predictor_rate: DualAdaptive(
            learning_rate=rate, predictor_rate=predictor_rate
        ),
    ),
    "feedback_alignment": Entry(
        "direct feedback alignment", "model", *_adam(_feedback, rate=_RATES)
    ),
    "forward_forward": Entry(
        "forward-forward", "model", {"rate": _THREE, "gain": (30.0, 100.0)}, _forward_forward
    ),
    "in_situ": Entry(
        "in-situ, light backwards", "no model", *_adam(lambda *_: InSituBackprop(), rate=_RATES)
    ),
    "forward_mode": Entry(
        "forward mode", "no model", *_adam(lambda *_: ForwardMode(), rate=_RATES)
    ),
    "spsa": Entry(
        "SPSA", "loss only",
        *_adam(lambda *_, block: Spsa(0.1, 1, block), rate=_THREE, block=_BLOCKS),
    ),
    "finite_difference": Entry(
        "finite differences", "loss only",
        *_adam(lambda *_, block: FiniteDifference(8, 0.3, block), rate=_THREE, block=_BLOCKS),
    ),
    "score_function": Entry(
        "score function", "loss only",
        *_adam(lambda *_, block: ScoreFunction(0.1, 16, block), rate=_THREE, block=_BLOCKS),
    ),
    "particle_swarm": Entry(
        "particle swarm", "loss only", {"spread": (1.5, 0.7, 3.0), "block": (4, 8)},
        lambda network, key, *, spread, block: ParticleSwarm(
            spread=jnp.asarray(spread), n_particles=16, superpixel=block
        ),
    ),
    "cma_es": Entry(
        "CMA-ES", "loss only", {"sigma": (0.5, 0.2, 1.0), "block": (4, 8)},
        lambda network, key, *, sigma, block: CmaEs(sigma=sigma, superpixel=block),
    ),
}  # fmt: skip
