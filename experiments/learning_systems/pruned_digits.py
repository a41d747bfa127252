"""A small vision transformer of digits, trained here, and its heads, hidden units and width pruned to a budget of work.

What goes is chosen by six rules at the same number of products; then the pruned model is trained on for a while, all
with the same batches. Closed gates are data of the program, so that one program serves every choice.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.data import datasets
from experiments.harness.compiling import jit_once
from experiments.harness.fields import at_least, within
from experiments.harness.training import train
from nn.compression import joint_pruning as joint
from nn.models.vit import Vit, VitConfig, make_vit
from nn.models.vit_pruning import (
    gated_logits,
    multiply_adds,
    open_gates,
    unit_magnitudes,
    unit_sizes,
)
from nn.training import adamw, cross_entropy, draw_rows, evaluate

RULES = ("joint", "joint_fisher", "threshold", "equal", "magnitude", "random")


@dataclass(frozen=True)
class Sizes:
    """The model, its training, and how it is pruned.

    Attributes:
        vit_width: Size of a token's vector.
        vit_layers: Blocks.
        vit_heads: Heads.
        vit_hidden: Hidden units of a feed-forward layer.
        n_pictures: Pictures in a step.
        vit_steps: Steps of the training.
        vit_rate: Largest step of AdamW.
        n_tune: Steps after pruning, at the rates of the first steps of the training.
        n_known: Pictures that worth and curvature are measured on.
        budgets: Work that is left, shares of the whole.
    """

    vit_width: int = 32
    vit_layers: int = 3
    vit_heads: int = 4
    vit_hidden: int = 64
    n_pictures: int = 64
    vit_steps: int = 600
    vit_rate: float = 3e-3
    n_tune: int = 60
    n_known: int = 256
    budgets: tuple[float, ...] = (0.7, 0.5, 0.3)

    def __post_init__(self):
        at_least(self, 1, "vit_layers", "vit_heads", "n_pictures", "vit_steps", "n_tune", "n_known")
        within(self, 0.05, 1, "budgets")


class Gated(eqx.Module):
    """A model behind gates that do not train.

    Attributes:
        model: The model.
        gates: Its gates.
    """

    model: Vit
    gates: dict[str, Array]


def prune_digits(sizes: Sizes, seed: int, repeat: int, on_progress: Any = None) -> dict[str, Any]:
    """Errors and losses on held-out digits: of the whole model, of every rule at every budget, before and after tuning.

    Args:
        sizes: The model and its pruning.
        seed: Seed of the run.
        repeat: Number of the model.
        on_progress: Called with (steps, loss).

    Returns:
        `whole` (loss, error), `pruned` and `tuned` (budgets, rules, 2), `left` (budgets, rules, kinds) shares of units
        that are left, `work` (budgets, rules) over that of the whole.
    """
    digits = datasets.load("digits")
    learn = (jnp.asarray(digits.x_train)[..., None], jnp.asarray(digits.y_train))
    judge = (digits.x_test[..., None], digits.y_test)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), repeat), 3)
    config = VitConfig(
        8, 2, 1, 10, sizes.vit_width, sizes.vit_layers, sizes.vit_heads, sizes.vit_hidden
    )
    made = _made(config, keys[0])
    whole = _trained(
        sizes, Gated(made, open_gates(made)), learn, sizes.vit_steps, keys[1], on_progress
    )
    model = whole.model
    known = _asked(model, jax.tree.map(lambda a: a[: sizes.n_known], learn))
    scale = multiply_adds(model, unit_sizes(model))
    pruned, tuned, left, work = [], [], [], []
    for budget in sizes.budgets:
        for gates in choose(model, known, budget * scale, np.random.default_rng((seed, repeat))):
            start = Gated(model, {kind: jnp.asarray(g, jnp.float32) for kind, g in gates.items()})
            pruned.append(_judged(start, judge))
            after = _trained(sizes, start, learn, sizes.n_tune, keys[2], on_progress)
            tuned.append(_judged(after, judge))
            units = {kind: float(g.sum()) for kind, g in gates.items()}
            left.append([g.mean() for g in gates.values()])
            work.append(multiply_adds(model, units) / scale)
    shape = (len(sizes.budgets), len(RULES), -1)
    return {
        "whole": np.asarray(_judged(whole, judge)),
        "pruned": np.reshape(pruned, shape),
        "tuned": np.reshape(tuned, shape),
        "left": np.reshape(left, shape),
        "work": np.reshape(work, shape[:2]),
    }


class Known(NamedTuple):
    """What the rules go by.

    Attributes:
        taylor: Worth of each unit by the gradient of single pictures.
        hessian: Joint curvature.
        fisher: The same by squared gradients.
    """

    taylor: dict[str, Array]
    hessian: Array
    fisher: Array


def choose(model: Vit, known: Known, budget: float, rng: np.random.Generator) -> list[dict]:
    """Gates by each of `RULES` within a budget of products.

    Args:
        model: The trained model.
        known: What is known of its units.
        budget: Most products.
        rng: For the random rule.
    """
    work, sizes = partial(multiply_adds, model), unit_sizes(model)
    taylor = known.taylor
    equal = joint.equal_shares(sizes, work, budget)
    chance = {kind: rng.random(worth.shape) for kind, worth in taylor.items()}
    return [
        joint.remove_shares(taylor, joint.joint_shares(known.hessian, sizes, work, budget)),
        joint.remove_shares(taylor, joint.joint_shares(known.fisher, sizes, work, budget)),
        joint.remove_by_threshold(taylor, work, budget),
        joint.remove_shares(taylor, equal),
        joint.remove_shares(unit_magnitudes(model), equal),
        joint.remove_shares(chance, equal),
    ]


@jit_once
def _made(config: VitConfig, key) -> Vit:
    return make_vit(config, key=key)


@jit_once
def _asked(model: Vit, pictures) -> Known:
    """Worth and curvature on some pictures and labels."""
    loss = lambda gates, batch: _loss(Gated(model, gates), batch)  # noqa: E731
    gates, singles = open_gates(model), jax.tree.map(lambda a: a[:, None], pictures)
    slopes = joint.gate_slopes(loss, gates, singles)
    return Known(
        joint.taylor_worth(slopes),
        joint.joint_curvature(loss, gates, pictures),
        joint.fisher_curvature(slopes),
    )


def _loss(gated: Gated, batch, _key=None):
    images, labels = batch
    return cross_entropy(gated_logits(gated.model, gated.gates, images), labels).mean()


@cache
def _rules(sizes: Sizes):
    """The same functions for all trainings, which then share a program."""
    return draw_rows(sizes.n_pictures), adamw(sizes.vit_rate, sizes.vit_steps)


def _trained(sizes: Sizes, gated: Gated, data, n_steps: int, key, on_progress) -> Gated:
    trains = jax.tree.map(eqx.is_inexact_array, gated)
    trains = eqx.tree_at(lambda g: g.gates, trains, dict.fromkeys(gated.gates, False))
    return train(
        gated, _loss, data, *_rules(sizes), n_steps, key=key, trainable=trains, name="the vision transformer",
        on_progress=on_progress,
    ).model  # fmt: skip


def _judged(gated: Gated, judge) -> list[float]:
    """Loss and share of wrong answers."""
    loss, wrong = evaluate(_scores, gated, judge, batch_size=len(judge[1]))
    return [float(loss.mean()), float(wrong.mean())]


def _scores(gated: Gated, batch):
    images, labels = batch
    logits = gated_logits(gated.model, gated.gates, images)
    return cross_entropy(logits, labels), logits.argmax(axis=-1) != labels
