"""Decoders on a chip below 100 TOPS: what dense models, mixtures of experts and hybrids can give, and where each loses.

The roofline of `nn.roofline` for three models of published sizes (Qwen3-14B, Qwen3-30B-A3B, Qwen3-Next-80B-A3B) on a
chip of 100 TOPS and 100 GB/s with weights of 4.5 bits, or on one's own, a JSON file (`--chip mine.json`). Closed forms:
every scale computes all of it. Published are the sizes and nothing else, so no number of a paper is compared.

A roofline is what cannot be passed. How far a real machine stays below is measured at laptop scale, on one core: its
bandwidth and its products make a chip, and a small decoder of `nn` is timed beside what that chip predicts.
"""

import hashlib
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least, rising, within
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, new_figure, style
from nn.models import DecoderConfig, make_decoder
from nn.roofline import (
    EDGE_CHIP,
    Chip,
    Conventions,
    ModelCost,
    count_bytes,
    count_products,
    crossover_batch,
    describe,
    prefill,
    read_chip,
    speculative_rate,
    step,
)
from nn.roofline.chip import NumberFormat
from nn.roofline.mixers import AbstractMixerCost, AttentionCost
from nn.roofline.published import QWEN3_14B, QWEN3_30B_A3B, QWEN3_NEXT_80B_A3B
from nn.roofline.sparse_mixers import BlockMixtureCost

CLAIM = "On an edge chip experts win at batch 1, lose it from batch 9 on; kept keys, not products, bound long texts."
PAPER_FIGURE = "A. Yang et al., arXiv:2505.09388 (2025), sizes of the models; no figure compared"
EXPECTED_TIME = {"quick": "5 s", "laptop": "1 min", "paper": "1 min"}
REFERENCES: tuple[Reference, ...] = ()

MODELS: dict[str, ModelCost] = {
    "dense": describe(QWEN3_14B, "Qwen3-14B"),
    "experts": describe(QWEN3_30B_A3B, "Qwen3-30B-A3B"),
    "hybrid": describe(QWEN3_NEXT_80B_A3B, "Qwen3-Next-80B-A3B"),
}


def _of_blocks(mixer: AbstractMixerCost) -> BlockMixtureCost:
    """Three blocks of 512 keys, as MoBA chooses them (E. Lu et al., arXiv 2502.13189), in the place of all keys."""
    assert isinstance(mixer, AttentionCost)
    return BlockMixtureCost(mixer, 512, 3)


# The same weights; as much is kept, and little of it read.
BLOCKS = MODELS["dense"].with_mixers(_of_blocks)
# The small decoder that is timed: 63 million weights, 252 MB, more than a core keeps to itself.
TIMED = DecoderConfig(8192, 768, 8, 12, 4, 64, 2048)


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        chip: JSON file of one's own chip, "" for the one of 100 TOPS and 100 GB/s.
        contexts: Tokens that are kept of each row.
        batches: Rows.
        batch_context: Tokens kept where the batch varies.
        prompt: Tokens of a prompt.
        chunks: Tokens of a chunk of it.
        drafts: Drafted tokens that are verified at once.
        acceptance: Probability that a draft is accepted (our choice).
        tables: Which tables of the vocabulary are read; see `nn.roofline.Conventions`.
        repeats: Timings of the small decoder on this machine, the least counts; 0 leaves them out.
        seed: Nothing is drawn but the weights of the small decoder.
        files: Digest of what the file holds, so that a changed file is a new run.
    """

    chip: str = ""
    contexts: tuple[int, ...] = (0, 512, 2048, 8192, 32_768, 131_072)
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    batch_context: int = 2048
    prompt: int = 4096
    chunks: tuple[int, ...] = (16, 64, 256, 1024, 4096)
    drafts: tuple[int, ...] = (0, 1, 2, 4, 8)
    acceptance: float = 0.7
    tables: Literal["head", "both", "none"] = "head"
    repeats: int = 0
    seed: int = 0
    files: str = field(default="", init=False)

    def __post_init__(self):
        if self.chip:  # read now, so that a file at fault is named at once
            read_chip(self.chip)
            content = Path(self.chip).read_bytes()
            object.__setattr__(self, "files", hashlib.sha256(content).hexdigest()[:12])
        rising(self, 0, "contexts", "drafts")
        rising(self, 1, "batches", "chunks")
        at_least(self, 1, "prompt")
        at_least(self, 0, "batch_context", "repeats")
        within(self, 0, 1, "acceptance")


SCALES = {"quick": Config(), "laptop": Config(repeats=15), "paper": Config(repeats=15)}


def run(config: Config, context: Context = ALONE) -> Outcome:
    """All tables, the bytes and products of the small decoder as counted, and its times where they are asked for."""
    chip = read_chip(config.chip) if config.chip else EDGE_CHIP
    conventions = Conventions(tables=config.tables)
    context.log(f"{chip.name}; {conventions}")
    arrays: dict[str, np.ndarray] = {
        name: np.asarray(getattr(config, name))
        for name in ("contexts", "batches", "chunks", "drafts")
    }
    metrics: dict[str, Measurement] = {"ridge_tokens": Measurement(chip.ridge_tokens)}
    for name, model in MODELS.items():
        for part, values in _curves(config, chip, conventions, model).items():
            arrays[f"{name}.{part}"] = np.asarray(values)
        for place, tokens in enumerate(config.contexts):
            rate = arrays[f"{name}.by_context"][place]
            metrics[f"rate.{name}.context{tokens}"] = Measurement(rate, unit="1/s")
            metrics[f"crossover.experts.context{tokens}"] = Measurement(
                _crossover(chip, conventions, tokens)
            )
        for part, array in (("prompt", "by_chunk"), ("speculative_gain", "by_drafts")):
            best = np.max(arrays[f"{name}.{array}"])
            metrics[f"{part}.{name}.best"] = Measurement(
                best, unit="1/s" if part == "prompt" else ""
            )
        kept = model.kept_bytes(chip, config.contexts[-1])
        metrics[f"kept.{name}.last_context"] = Measurement(sum(kept.values()) / 1e9, unit="GB")
        metrics[f"stored.{name}.weights"] = Measurement(
            model.stored_bytes(chip, 0) / 1e9, unit="GB"
        )
    one = partial(step, BLOCKS, chip, conventions=conventions)
    for tokens in config.contexts:
        rate = one(before=tokens).tokens_per_second(chip)
        metrics[f"rate.dense_by_blocks.context{tokens}"] = Measurement(rate, unit="1/s")
    for name, number in _law().items():
        metrics[name] = Measurement(number)
    if config.repeats:
        timed = context.sub_run("this machine", partial(_timed, config))
        arrays |= {f"machine.{name}": value for name, value in timed.items()}
        bandwidth, peak, predicted, measured = (
            float(timed[n]) for n in ("bandwidth", "peak", "predicted", "measured")
        )
        context.log(
            f"one core: {bandwidth / 1e9:.1f} GB/s, {peak / 1e9:.0f} GFLOP/s; a token of the small decoder predicted "
            f"{1e3 * predicted:.1f} ms, measured {1e3 * measured:.1f} ms"
        )
        metrics["machine.measured_over_predicted"] = Measurement(measured / predicted)
    return Outcome("edge_roofline", config, metrics, arrays, REFERENCES)


def _curves(config: Config, chip: Chip, conventions: Conventions, model: ModelCost) -> dict:
    """Tokens per second against context, batch, chunk of the prompt, and the gain by drafts."""
    one = partial(step, model, chip, conventions=conventions)
    plain = one(before=config.batch_context).tokens_per_second(chip)
    read = partial(prefill, model, chip, config.prompt, conventions=conventions)
    return {
        "by_context": [one(before=n).tokens_per_second(chip) for n in config.contexts],
        "by_batch": [
            one(batch=b, before=config.batch_context).tokens_per_second(chip)
            for b in config.batches
        ],
        "by_chunk": [
            config.prompt / sum(s.seconds(chip) for s in read(chunk=size)) for size in config.chunks
        ],
        "by_drafts": [
            speculative_rate(
                model,
                chip,
                n_drafted=k,
                acceptance=config.acceptance,
                before=config.batch_context,
                conventions=conventions,
            )
            / plain
            for k in config.drafts
        ],
        "kept": [sum(model.kept_bytes(chip, n).values()) for n in config.contexts],
    }


def _crossover(chip: Chip, conventions: Conventions, tokens: int) -> int:
    """Batch at which the experts read more than the dense model; 0 for never."""
    batch = crossover_batch(
        MODELS["experts"], MODELS["dense"], chip, before=tokens, most=128, conventions=conventions
    )
    return batch or 0


def _law() -> dict[str, int]:
    """Bytes and products predicted less those of the small decoder's arrays and program: 0.

    Products of a step of two tokens: one alone is multiplied number by number where its weights lie, which no product
    of matrices shows.
    """
    model = eqx.filter_eval_shape(partial(make_decoder, TIMED), key=jax.random.key(0))
    cost, single = describe(TIMED), _core(1.0, 1.0)
    caches = eqx.filter_eval_shape(lambda m: m.init_caches(1, 256), model)
    tokens = jax.ShapeDtypeStruct((1, 2), jnp.int32)
    counted = count_products(lambda m, t, c: m.extend(t, c), model, tokens, caches)
    computed = Conventions(pairs="square", logits="all")
    predicted = step(cost, single, new=2, before=254, conventions=computed).total_products
    return {
        "law.bytes": int(single.weights.bytes(cost.n_weights())) - count_bytes(model),
        "law.products": predicted - counted,
    }


def _core(bandwidth: float, peak: float) -> Chip:
    """A core of this machine, all in single precision."""
    return Chip(
        "a core", bandwidth, {"float32": peak}, weights=NumberFormat(32), cache=NumberFormat(32)
    )


def _timed(config: Config) -> dict[str, np.ndarray]:
    """Bandwidth and products of the machine as JAX uses it, and a token of the small decoder; the least times."""
    model = make_decoder(TIMED, key=jax.random.key(config.seed)).unrolled()
    big = jnp.ones(count_bytes(model) // 4)
    square = jnp.ones((1024, 1024))
    caches = model.init_caches(1, 256)
    _, caches = eqx.filter_jit(lambda m, t, c: m.extend(t, c))(
        model, jnp.zeros((1, 255), jnp.int32), caches
    )
    token = jnp.zeros((1, 1), jnp.int32)
    extend = eqx.filter_jit(lambda m, t, c: m.extend(t, c)[0])
    seconds = _least(
        config.repeats,
        # A sum over as many bytes as the model has.
        sum=partial(jax.jit(jnp.sum), big),
        product=partial(jax.jit(jnp.matmul), square, square),
        measured=partial(extend, model, token, caches),
    )
    bandwidth, peak = big.nbytes / seconds["sum"], 2 * 1024**3 / seconds["product"]
    chip = _core(bandwidth, peak)
    predicted = step(describe(TIMED), chip, before=255).seconds(chip)
    return {
        name: np.asarray(value)
        for name, value in (
            ("bandwidth", bandwidth),
            ("peak", peak),
            ("predicted", predicted),
            ("measured", seconds["measured"]),
        )
    }


def _least(repeats: int, **calls) -> dict[str, float]:
    """Least wall time of each call, after one that compiles; in turns, so that other work hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            times[name].append(time.perf_counter() - start)
    return {name: min(found[1:]) for name, found in times.items()}


@style()
def plot(outcome: Outcome) -> Figure:
    """Tokens per second against context, batch, chunk and drafts, and what is kept."""
    arrays, config = outcome.arrays, outcome.config
    figure = new_figure(2, 5.0)
    panels = figure.subplots(2, 2).ravel()
    shown = (
        ("by_context", "contexts", "tokens kept, batch 1", "tokens per second"),
        ("by_batch", "batches", f"batch, {config.batch_context:,} tokens kept", "tokens per second"),
        ("by_chunk", "chunks", f"chunk of a prompt of {config.prompt:,}", "prompt tokens per second"),
        ("by_drafts", "drafts", f"drafted tokens, {config.acceptance:g} accepted", "gain in rate"),
    )  # fmt: skip
    for panel, (part, axis, below, beside) in zip(panels, shown, strict=True):
        for i, (name, model) in enumerate(MODELS.items()):
            panel.plot(
                arrays[axis], arrays[f"{name}.{part}"], "o-", color=f"C{i}", label=model.name
            )
        panel.set(xlabel=below, ylabel=beside)
    panels[0].set(xscale="symlog", yscale="log", xlim=(-100, None))
    panels[0].set_xscale("symlog", linthresh=512)
    for panel in panels[1:3]:
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
    panels[3].axhline(1, color=GREY, lw=0.8)
    panels[0].legend(fontsize="x-small")
    return figure
