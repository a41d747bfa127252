"""Four bits a weight: signal to noise by format and scale rule, and what GPTQ and AWQ save on a real encoder.

Three parts. Random numbers of three laws (normal, Laplace, Student t with three degrees of freedom, whose outliers
carry much of the power) in each format, with the rule by which integers get their scale said. GPTQ against plain
rounding on inputs whose spectrum falls as i^-exponent: what it saves depends on the exponent alone. And, where its
package is installed (`make models`), all 36 maps of the MiniLM encoder rounded by each method after calibration on some
texts, with errors of outputs and of the vectors of other texts; and bits chosen for each map under a budget of bytes
beside the same bits for all (`encoder_bits`). Sources: OCP MX v1.0 (2023); E. Frantar et al., arXiv
2210.17323 (GPTQ); J. Lin et al., arXiv 2306.00978 (AWQ). No number of theirs is compared: their models are larger.
"""

from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.harness.context import ALONE, Context, called
from experiments.harness.fields import at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, label, new_figure, style
from experiments.learning_systems.encoder_bits import BUDGETS, OPTIONS, encoder_budgets
from experiments.learning_systems.map_inputs import encoder_inputs, paragraphs
from nn.compression import awq, gptq, gram_matrix, output_error, to_int4, to_mxfp4, to_nvfp4
from nn.compression.blocks import signal_to_noise_db
from nn.layers import replace_linear
from nn.models import load_encoder
from nn.weights import MINILM, open_packaged

CLAIM = "At 4.5 bits integers tie with NVFP4 or pass it by their scale rule; GPTQ saves what the inputs allow."
PAPER_FIGURE = "E. Frantar et al., arXiv:2210.17323 (GPTQ); no figure compared"
EXPECTED_TIME = {"quick": "20 s", "laptop": "4 min", "paper": "15 min"}
TOLERANCES = {"snr.*": 0.1, "gptq_gain.exponent2": 3.0, "gptq_gain.*": 0.5}
REFERENCES: tuple[Reference, ...] = ()

FORMATS = {
    "nvfp4": to_nvfp4,
    "mxfp4_floor": to_mxfp4,
    "mxfp4_round_up": partial(to_mxfp4, rule="round_up"),
    "int4_32": partial(to_int4, block=32),
    "int4_32_8": partial(to_int4, block=32, rule="amax/8"),
    "int4_32_zero_point": partial(to_int4, block=32, rule="zero_point"),
    "int4_128": partial(to_int4, block=128),
}
LAWS = ("normal", "laplace", "student3")
N_KNOWN = 8  # texts that costs of bits are measured with: 180 times each
METHODS = ("rounding", "rounding_nvfp4", "awq", "gptq", "gptq_ordered")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        n_rows: Rows of 1,024 random numbers for each law.
        exponents: Exponents of the spectrum of the inputs of the toy map, power i^-exponent.
        repeats: Toy maps for each exponent.
        n_inputs: Inputs of a toy map.
        n_outputs: Outputs of a toy map.
        group: Inputs that share a scale.
        n_texts: Texts to calibrate the encoder with, and as many others to judge it by; 0 leaves it out.
        n_tokens: Tokens of a text that are used.
        seed: Seed of all that is drawn.
    """

    n_rows: int = 2000
    exponents: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0)
    repeats: int = 5
    n_inputs: int = 256
    n_outputs: int = 64
    group: int = 32
    n_texts: int = 64
    n_tokens: int = 64
    seed: int = 0

    def __post_init__(self):
        at_least(self, 1, "n_rows", "repeats", "n_outputs", "group", "n_tokens")
        at_least(self, 0, "exponents", "n_texts")
        at_least(self, 2, "n_inputs")


SCALES = {
    "quick": Config(n_rows=400, repeats=3, n_texts=0),
    "laptop": Config(),
    "paper": Config(n_rows=4000, repeats=20, n_texts=256, n_tokens=128),
}


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Formats, the toy map, and the encoder where it is installed."""
    pieces: dict[str, tuple] = {law: (_signal_to_noise, config, law) for law in LAWS}
    pieces |= {f"exponent {e:g}": (_toy, config, e) for e in config.exponents}
    found = context.map(called, pieces)
    metrics: dict[str, Measurement] = {}
    arrays: dict[str, np.ndarray] = {"exponents": np.asarray(config.exponents)}
    for law in LAWS:
        for name in FORMATS:
            metrics[f"snr.{law}.{name}"] = Measurement.from_samples(found[law][name], "dB")
    for exponent in config.exponents:
        errors = found[f"exponent {exponent:g}"]
        arrays |= {f"toy{exponent:g}.{name}": array for name, array in errors.items()}
        gain = errors["rounding"] / errors["gptq"]
        metrics[f"gptq_gain.exponent{exponent:g}"] = Measurement.from_samples(gain)
    if config.n_texts and MINILM.is_installed:
        real = context.sub_run("encoder", partial(_encoder, config, context))
        arrays |= {f"encoder.{name}": array for name, array in real.items()}
        for method in METHODS:
            metrics[f"encoder_output_error.{method}"] = Measurement.from_samples(
                real[f"error.{method}"]
            )
            metrics[f"encoder_cosine_loss.{method}"] = Measurement.from_samples(
                1 - real[f"cosine.{method}"]
            )
        budgets = context.sub_run("bit budgets", partial(_budgets, config, context))
        arrays |= {f"budget.{name}": array for name, array in budgets.items()}
        for bits in BUDGETS:
            metrics[f"budget_bytes.{bits}"] = Measurement(
                float(budgets[f"bytes.{bits}"]) / 1e6, unit="MB"
            )
        for way, choices in (("uniform", OPTIONS), ("mixed", BUDGETS)):
            for bits in choices:
                losses = budgets[f"loss.{way}.{bits}"]
                metrics[f"budget_cosine_loss.{way}.{bits}"] = Measurement.from_samples(losses)
    elif config.n_texts:
        context.log("no MiniLM here (`make models` installs it): the encoder is left out")
    return Outcome("quantization", config, metrics, arrays, REFERENCES)


def _signal_to_noise(config: Config, law: str) -> dict[str, np.ndarray]:
    """dB of each format, in four parts of the rows."""
    rng = np.random.default_rng((config.seed, LAWS.index(law)))
    shape = (4, -(-config.n_rows // 4), 1024)
    draw = {"normal": rng.normal, "laplace": rng.laplace, "student3": partial(rng.standard_t, 3)}
    x = jnp.asarray(draw[law](size=shape), jnp.float32)
    return {
        name: np.array([signal_to_noise_db(part, quantise(part).values()) for part in x])
        for name, quantise in FORMATS.items()
    }


def _toy(config: Config, exponent: float) -> dict[str, np.ndarray]:
    """Output errors of random maps for inputs of a falling spectrum, by rounding and by GPTQ."""
    errors: dict[str, list] = {"rounding": [], "gptq": []}
    for seed in range(config.repeats):
        rng = np.random.default_rng((config.seed, seed))
        weight = jnp.asarray(rng.normal(size=(config.n_inputs, config.n_outputs)), jnp.float32)
        turn = np.linalg.qr(rng.normal(size=(config.n_inputs, config.n_inputs)))[0]
        power = np.arange(1, config.n_inputs + 1.0) ** -exponent
        gram = jnp.asarray((turn * power) @ turn.T, jnp.float32)
        plain = to_int4(weight.T, config.group).values().T
        errors["rounding"].append(output_error(weight, plain, gram))
        errors["gptq"].append(
            output_error(weight, gptq(weight, gram, config.group).values().T, gram)
        )
    return {name: np.asarray(found) for name, found in errors.items()}


def _encoder(config: Config, context: Context) -> dict[str, np.ndarray]:
    """Each method on all maps of MiniLM: error of each map's output, and cosine of each other text's vector."""
    model = load_encoder(open_packaged(MINILM), heads=12)
    tokens, counts = paragraphs(2 * config.n_texts, config.n_tokens)
    learn, judge = (slice(0, config.n_texts), slice(config.n_texts, None))
    known = encoder_inputs(model, tokens[learn], counts[learn])
    vectors = eqx.filter_jit(lambda model, t, c: model.text_vectors(t, c))
    exact = vectors(model, tokens[judge], counts[judge])
    results = {}
    with context.progress("methods", len(METHODS)) as ticker:
        for method in METHODS:
            errors = []

            def rounded(name, linear, method=method, errors=errors):
                weights = []
                for layer, weight in enumerate(linear.weight):
                    inputs = jnp.asarray(known[layer][name.removeprefix("blocks.")])
                    gram = gram_matrix(inputs)
                    weights.append(_rounded(method, weight, inputs, gram, config.group))
                    errors.append(float(output_error(weight, weights[-1], gram)))
                return eqx.tree_at(lambda dense: dense.weight, linear, jnp.stack(weights))

            other = replace_linear(model, rounded)
            found = vectors(other, tokens[judge], counts[judge])
            results[f"error.{method}"] = np.asarray(errors)
            results[f"cosine.{method}"] = np.asarray(jnp.sum(found * exact, axis=-1))
            ticker.advance(note=method)
    return results


def _budgets(config: Config, context: Context) -> dict[str, np.ndarray]:
    """Bits of each map of MiniLM chosen on a few texts, and judged by others."""
    model = load_encoder(open_packaged(MINILM), heads=12)
    tokens, counts = paragraphs(2 * config.n_texts, config.n_tokens)
    few, judge = slice(0, min(N_KNOWN, config.n_texts)), slice(config.n_texts, None)
    vectors = eqx.filter_jit(lambda model, t, c: model.text_vectors(t, c))
    with context.progress("maps", 36) as ticker:
        return encoder_budgets(
            model, vectors, (tokens[few], counts[few]), (tokens[judge], counts[judge]), config.group,
            lambda name: ticker.advance(note=name),
        )  # fmt: skip


def _rounded(method: str, weight, inputs, gram, group: int):
    if method == "awq":
        return awq(
            weight, jnp.abs(inputs).mean(axis=0), gram, partial(to_int4, block=group)
        ).weight()
    if method.startswith("gptq"):
        return gptq(weight, gram, group, ordered=method.endswith("ordered")).values().T
    quantise = to_nvfp4 if method.endswith("nvfp4") else partial(to_int4, block=group)
    return quantise(weight.T).values().T


@style()
def plot(outcome: Outcome) -> Figure:
    """Signal to noise by format and law, what GPTQ saves against the spectrum, and the encoder's errors."""
    metrics, config = outcome.metrics, outcome.config
    has_encoder = f"encoder_cosine_loss.{METHODS[0]}" in metrics
    figure = new_figure(2, 5.2 if has_encoder else 2.8)
    panels = figure.subplots(2 if has_encoder else 1, 2).ravel()
    at = np.arange(len(FORMATS))
    for i, law in enumerate(LAWS):
        values = [metrics[f"snr.{law}.{name}"].value for name in FORMATS]
        panels[0].plot(values, at, "o", color=f"C{i}", label=law)
    panels[0].set_yticks(at, [name.replace("_", " ") for name in FORMATS])
    panels[0].set(xlabel=label("signal to noise", "dB"))
    panels[0].legend(fontsize="x-small")
    gains = [metrics[f"gptq_gain.exponent{e:g}"] for e in config.exponents]
    panels[1].errorbar(
        config.exponents, [g.value for g in gains], [g.sd or 0 for g in gains], fmt="o-", capsize=2
    )
    panels[1].axhline(1, color=GREY, lw=0.8)
    panels[1].set(
        xlabel="spectrum of the inputs falls as i^-exponent",
        ylabel="rounding over GPTQ",
        yscale="log",
    )
    if has_encoder:
        for panel, kind, text in (
            (panels[2], "output_error", "MiniLM: error of a map's output"),
            (panels[3], "cosine_loss", "MiniLM: 1 - cosine of a text's vector"),
        ):
            found = [metrics[f"encoder_{kind}.{method}"] for method in METHODS]
            panel.barh(
                range(len(METHODS)),
                [m.value for m in found],
                xerr=[m.stderr or 0 for m in found],
                color="C0",
            )
            panel.set_yticks(range(len(METHODS)), [m.replace("_", " ") for m in METHODS])
            panel.set(xlabel=text)
    return figure
