"""Fewer tokens of a picture: which rule of pruning loses least, on a small model that is asked about real digits.

A model trained here (vision transformer, projector, decoder; its questions are those of `digit_scenes`) reads a scene
of some dozens of tokens and one question. During prefill a rule drops tokens before a layer of the decoder, and the
answer is read from what is left; beside it, two controls drop them before the first layer. No model is trained with
pruning. Rules and controls are those of `nn.compression.token_rules`: FastV (L. Chen et al., arXiv 2403.06764) drops
once, PyramidDrop (L. Xing et al., arXiv 2410.17247) in stages. Work is counted by FastV's formula, memory in bytes of
keys and values. The papers' models and questions are others, so no number of theirs is compared: a scene is asked for
one cell of many, the hardest case for a rule that does not look at the question.
"""

from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int
from matplotlib.figure import Figure

from experiments.harness.compiling import jit_once
from experiments.harness.context import ALONE, Context, stacked
from experiments.harness.fields import at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import label, new_figure
from experiments.harness.training import train
from experiments.learning_systems.digit_scenes import CELL, draw_scenes, vocabulary
from nn.compression import token_rules
from nn.compression.pruned_prefill import (
    Seen,
    Stage,
    cache_bytes,
    masked_prefill,
    prefill_macs,
    pruned_prefill,
)
from nn.compression.token_budgets import pooling, pyramid
from nn.models import DecoderConfig
from nn.models.vision_language import VisionLanguageConfig, make_vision_language
from nn.models.vit import VitConfig
from nn.training import cross_entropy

CLAIM = "Once a layer has read the picture its tokens can go, by whatever rule; dropped before, the answer goes too."
PAPER_FIGURE = "L. Chen et al., arXiv:2403.06764 (FastV); no figure compared"
EXPECTED_TIME = {"quick": "25 s", "laptop": "15 min", "paper": "1 h on one GPU"}
SAVES_TRAININGS = True
TOLERANCES = {"accuracy.*": 0.25, "loss": 0.5}
REFERENCES: tuple[Reference, ...] = ()

# One cut before `layer`; the model runs once for each number of tokens, with the rule as an argument.
RULES = ("fastv", "similar", "crops", "with_previous", "merging", "pooling", "evenly", "at_random")
# Tokens that even the first layer does not see.
BEFORE = {
    "before_evenly": lambda seen, keep, _key: token_rules.evenly(seen, keep)[0],
    "before_at_random": lambda seen, keep, key: token_rules.at_random(key=key)(seen, keep)[0],
}


@dataclass(frozen=True)
class Config:
    """Settings. All sizes are our choice.

    Attributes:
        grid: Cells along a side of a scene.
        patch: Pixels along a side of a patch; a digit has 8.
        share_empty: Probability that a cell is empty.
        width: Width of encoder and decoder.
        vision_layers: Blocks of the encoder.
        n_layers: Blocks of the decoder.
        heads: Heads of each.
        n_scenes: Scenes to train with.
        n_questions: Questions about each of them, read in a row.
        n_steps: Steps of training.
        batch_size: Scenes in a batch.
        learning_rate: Largest step size of Adam.
        layer: First layer that sees fewer tokens; FastV's K.
        keeps: Tokens of a picture that are kept; squares, as pooling has them.
        n_test: Scenes to test with, one question each.
        repeats: Models, each trained anew.
        seed: Seed of all that is drawn.
    """

    grid: int = 4
    patch: int = 4
    share_empty: float = 0.3
    width: int = 48
    vision_layers: int = 2
    n_layers: int = 4
    heads: int = 2
    n_scenes: int = 3000
    n_questions: int = 8
    n_steps: int = 2000
    batch_size: int = 32
    learning_rate: float = 3e-3
    layer: int = 2
    keeps: tuple[int, ...] = (36, 16, 9, 4, 1)
    n_test: int = 500
    repeats: int = 3
    seed: int = 0

    def __post_init__(self):
        at_least(
            self, 1, "grid", "patch", "width", "vision_layers", "heads", "n_scenes", "n_questions", "n_steps",
            "batch_size", "layer", "keeps", "n_test", "repeats",
        )  # fmt: skip
        at_least(self, 0, "share_empty")
        if not self.layer < self.n_layers:
            raise ValueError(
                f"`layer` must be below `n_layers`, {self.n_layers}, but is {self.layer}; the last layers see fewer."
            )
        if max(self.keeps) > self.n_image:
            raise ValueError(
                f"`keeps` must be at most the tokens of a picture, {self.n_image}, but holds {max(self.keeps)}."
            )
        if self.n_questions > self.grid**2:
            raise ValueError(
                f"`n_questions` must be at most the cells of a scene, {self.grid**2}, but is {self.n_questions}."
            )

    @property
    def side(self) -> int:
        """Patches along a side of a scene."""
        return self.grid * CELL // self.patch

    @property
    def n_image(self) -> int:
        """Tokens of a picture."""
        return self.side**2

    def model(self) -> VisionLanguageConfig:
        """Sizes of the model."""
        return VisionLanguageConfig(
            VitConfig(self.grid * CELL, self.patch, 1, 1, self.width, self.vision_layers, self.heads, 2 * self.width),
            DecoderConfig(
                vocabulary(self.grid), self.width, self.n_layers, self.heads, self.heads,
                self.width // self.heads, 2 * self.width, query_key_norm=True,
            ),
        )  # fmt: skip


SCALES = {
    "quick": Config(
        grid=2, width=32, vision_layers=1, n_layers=3, n_scenes=1000, n_questions=4, n_steps=400, keeps=(4,),
        layer=1, n_test=200, repeats=1,
    ),
    "laptop": Config(),
    "paper": Config(grid=6, width=128, n_layers=8, n_steps=10_000, n_scenes=20_000, n_test=2000, repeats=5),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Trains the models, and asks them with fewer and fewer tokens."""
    pieces = {f"model {i}": (config, i, context) for i in range(config.repeats)}
    arrays = stacked(context.map(_model, pieces).values())
    metrics = {"loss": Measurement.from_samples(arrays["losses"][:, -20:].mean(1))}
    for name in [n for n in arrays if n.startswith("right.")]:
        rates = arrays[name].mean(1)
        metrics[f"accuracy.{name.removeprefix('right.')}"] = Measurement.from_samples(rates)
    sizes = {"width": config.width, "hidden": 2 * config.width}
    whole = prefill_macs(_layers(config, config.n_image, ()), **sizes)
    for keep in config.keeps:
        one = (Stage(config.layer, keep, token_rules.fastv),)
        for kind, layers in (
            ("before", _layers(config, keep, ())),
            ("one", _layers(config, config.n_image, one)),
            ("stages", _layers(config, config.n_image, _pyramid(config, keep))),
        ):
            share = prefill_macs(layers, **sizes) / whole
            metrics[f"macs.{kind}.keep{keep}"] = Measurement(share)
    for name in [n for n in arrays if n.startswith("bytes.")]:
        metrics[f"cache_{name}"] = Measurement(float(arrays[name][0]), unit="B")
    return Outcome("token_pruning", config, metrics, arrays, REFERENCES)


def plot(outcome: Outcome) -> Figure:
    """Accuracy against tokens kept, and against the work of prefill."""
    config, metrics = outcome.config, outcome.metrics
    figure = new_figure(2, 3.2)
    panels = figure.subplots(1, 2)
    names = {"fastv": "FastV", "pyramid": "PyramidDrop", "similar": "similarity", "crops": "crops (HoloV)",
             "with_previous": "with previous question", "merging": "merging (LightVLM)", "pooling": "pooling",
             "evenly": "every n-th", "at_random": "random", "before_evenly": "every n-th, before layer 1",
             "before_at_random": "random, before layer 1"}  # fmt: skip
    for i, (rule, text) in enumerate(names.items()):
        found = [metrics[f"accuracy.{rule}.keep{keep}"] for keep in config.keeps]
        blind = rule in ("pooling", "evenly", "at_random", *BEFORE)
        kind = {"pyramid": "stages"}.get(rule, "before" if rule in BEFORE else "one")
        work = [metrics[f"macs.{kind}.keep{keep}"].value for keep in config.keeps]
        for panel, x in zip(panels, (config.keeps, work), strict=True):
            panel.errorbar(
                x, [m.value for m in found], [m.stderr or 0 for m in found], label=text, color=f"C{i % 7}",
                fmt=":^" if rule in BEFORE else "--s" if blind else "-o", ms=3, lw=1, capsize=2,
            )  # fmt: skip
    for panel in panels:
        panel.axhline(metrics["accuracy.whole"].value, color="k", lw=0.8)
        panel.set(ylabel=label("accuracy"), ylim=(0, 1))
    panels[0].set(xscale="log", xlabel=label(f"tokens kept of {config.n_image}"))
    panels[0].set_xticks(config.keeps, [str(keep) for keep in config.keeps])
    panels[0].minorticks_off()
    panels[1].set(xlabel="work of prefill, share of the whole", xlim=(0, 1))
    panels[0].legend(fontsize="x-small")
    return figure


def _model(config: Config, number: int, context: Context) -> dict[str, np.ndarray]:
    """One model: its training, and which questions it answers right under each rule."""
    keys = jax.random.split(jax.random.key(config.seed + 1000 * number), 3)
    scenes = draw_scenes(
        config.n_scenes, config.grid, config.n_questions, config.share_empty, test=False, seed=(config.seed, number, 0)
    )  # fmt: skip
    rate = optax.cosine_decay_schedule(config.learning_rate, config.n_steps)
    make = jit_once(lambda key: make_vision_language(config.model(), key=key))
    with context.progress(f"model {number}", config.n_steps) as ticker:
        trained = train(
            make(keys[0]), _loss, jax.tree.map(jnp.asarray, scenes), partial(_draw, config.batch_size),
            optax.adam(rate), config.n_steps, key=keys[1], name="the model that is asked",
            on_progress=lambda n, loss: ticker.advance(n, f"loss {loss:.2f}"),
        )  # fmt: skip
    test = draw_scenes(
        config.n_test, config.grid, 2, config.share_empty, test=True, seed=(config.seed, number, 1)
    )
    found = {"losses": trained.losses}
    return found | _asked(config, trained.model, test, keys[2])


def _asked(config: Config, model, test, key) -> dict[str, np.ndarray]:
    """Which questions are answered right, and bytes of the caches; the earlier question is about another cell."""
    images, before, now, wanted = (
        jnp.asarray(a) for a in (test.images, test.tokens[:, :1], test.tokens[:, 2:3], test.tokens[:, 3])
    )  # fmt: skip
    model = eqx.tree_at(lambda m: m.decoder, model, model.decoder.unrolled())
    # The picture is encoded once for all rules, and each program below compiles no encoder.
    before, now = (_vectors(model, images, question) for question in (before, now))
    earlier = _looked_at(model, before, config.layer)
    keys = jax.random.split(key, len(images))
    everything = jnp.broadcast_to(jnp.arange(config.n_image)[None], (len(images), config.n_image))
    found = {"right.whole": np.asarray(_from_places(model, now, everything) == wanted)}
    for keep in config.keeps:
        for name, blind in BEFORE.items():
            answers = _from_places(model, now, _places(config, blind, keep, keys))
            found[f"right.{name}.keep{keep}"] = np.asarray(answers == wanted)
        for number, rule in enumerate(RULES):
            # An array, so that one program serves all rules.
            answers, caches = _one_cut(
                model, now, earlier, keys, jnp.asarray(number), keep, config.layer, config.side
            )
            found[f"right.{rule}.keep{keep}"] = np.asarray(answers == wanted)
            found[f"bytes.one.keep{keep}"] = _bytes_of_one(caches)
        answers, caches = _in_stages(model, now, _pyramid(config, keep))
        found[f"right.pyramid.keep{keep}"] = np.asarray(answers == wanted)
        found[f"bytes.stages.keep{keep}"] = _bytes_of_one(caches)
    return found


def _bytes_of_one(caches) -> np.ndarray:
    """Bytes of the caches of one text."""
    return np.asarray(cache_bytes(jax.tree.map(lambda a: a[0], caches)))


@jit_once
def _vectors(model, images, questions):
    return model.vectors(images, questions)


@jit_once
def _one_cut(model, now, earlier, keys, number: Int[Array, ""], keep: int, layer: int, side: int):
    """Answers with one cut by the rule of this number, and the caches."""

    def one(x, earlier, key):
        rules = (
            token_rules.fastv, token_rules.similar, token_rules.crops(side, max(side // 4, 1)),
            token_rules.with_previous(earlier), token_rules.merging, pooling(side), token_rules.evenly,
            token_rules.at_random(key=key),
        )  # fmt: skip

        def rule(seen, keep):
            def whole(choose, seen):
                chosen, vectors = choose(seen, keep)
                chosen = chosen.astype(jnp.int32)
                return chosen, seen.hidden[chosen] if vectors is None else vectors

            return jax.lax.switch(number, [partial(whole, choose) for choose in rules], seen)

        return _read(model, x, [Stage(layer, keep, rule)])

    return jax.vmap(one)(now, earlier, keys)


def _places(config: Config, blind, keep: int, keys) -> Int[Array, "texts patches"]:
    """Patches that a rule keeps without a look, repeated until there are as many as in the picture."""
    n_image = config.n_image
    nothing = Seen(jnp.zeros(n_image), jnp.zeros((n_image, 1)), jnp.zeros(1), jnp.arange(n_image))
    kept = jax.vmap(lambda key: blind(nothing, keep, key))(keys)
    return kept[:, np.arange(n_image) % keep].astype(jnp.int32)


@jit_once
def _from_places(model, now, places):
    """Answers where these tokens of a picture, of which some may be named twice, are all that the decoder ever sees."""

    def one(x, places):
        hidden = masked_prefill(
            model.decoder.body, x[None], n_image=len(places), kept=[(0, places)]
        )
        return model.decoder.logits(hidden)[0, -1].argmax(-1)

    return jax.vmap(one)(now, places)


@jit_once
def _in_stages(model, now, stages):
    return jax.vmap(lambda x: _read(model, x, stages))(now)


def _read(model, x, stages):
    """Answer to one question, and the caches."""
    found = pruned_prefill(model.decoder.body, x[None], n_image=len(x) - 1, n_new=0, stages=stages)
    return model.decoder.logits(found.hidden)[0, -1].argmax(-1), found.caches


@jit_once
def _looked_at(model, vectors, layer: int):
    """What questions look at in the layer before the cut."""

    def one(x):
        found = pruned_prefill(model.decoder.body, x[None], n_image=len(x) - 1, n_new=0)
        return found.weights[layer - 1][:-1]

    return jax.vmap(one)(vectors)


def _pyramid(config: Config, keep: int) -> tuple[Stage, ...]:
    """PyramidDrop with a stage a layer and the share that leads to `keep` tokens, to within rounding: our choice."""
    n_layers = config.n_layers
    share = (keep / config.n_image) ** (1 / (n_layers - 1))
    return pyramid(config.n_image, n_layers, n_stages=n_layers, share=share)


def _layers(config: Config, n_image: int, stages) -> list[int]:
    """Tokens in each layer, the question among them."""
    sizes = [n_image] * config.n_layers
    for stage in stages:
        sizes[stage.layer :] = [stage.keep] * (config.n_layers - stage.layer)
    return [size + 1 for size in sizes]


def _loss(model, batch, _key):
    """Cross-entropy of the answers; places are given and not guessed."""
    logits = model(batch.images, batch.tokens[:, :-1])
    return cross_entropy(logits[:, ::2], batch.tokens[:, 1::2]).mean()


def _draw(batch_size: int, scenes, key):
    rows = jax.random.randint(key, (batch_size,), 0, len(scenes.images))
    return jax.tree.map(lambda array: array[rows], scenes)
