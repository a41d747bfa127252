"""How much of OTOC(2) survives the noise of a Willow-like chip, and what each kind of error mitigation brings alone.

Google Quantum AI, Nature 646, 825 (2025), DOI 10.1038/s41586-025-09526-6, Fig. 4b: signal-to-noise ratio against size.
Random circuits on small rectangles and on published sub-lattices; noise of `quantum.noise.model` (second-hand
iSWAP-like figures by default) on the light-cone filtered circuits, Pauli trajectories, finite shots. Unknown in the
paper, so ours: the definition of the ratio, the formula of the mitigation, shots, layer order, iSWAP-like error of
that run.

SNR, our definition: "raw" is the standard deviation over circuits of the exact value over the root mean square of
(estimate - exact); "rescaled" is that after the best rescale and offset, 1 / sqrt(1 - rho^2). Both are given for the
whole C^(4) and for its off-diagonal part, C^(4) less its mean under inserted Pauli strings
(`quantum.echoes.interference`); the exact one holds the same strings, and what is normalised is divided by the
undisturbed echo with strings in it. Sampling noise of our trajectories is taken out of the ratios
(`device_signal_to_noise`). Coherent over-rotation and twirling are shown without any other noise.

Rare trajectories weigh heavily: a Z error next to M between the loops undoes M, and the echo comes back as 1 where
the signal is 0.02. They have a stratum of their own (`quantum.noise.strata`).
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from matplotlib.figure import Figure

from experiments.echoes.otoc_noise_figure import (
    SHOTS,
    draw_fidelity,
    draw_methods,
    draw_scatter,
    draw_shots,
    draw_sizes,
)
from experiments.echoes.otoc_noise_ratios import REFERENCES, fidelity_metrics, ratio_metrics
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import among, at_least
from experiments.harness.measurement import Measurement
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import new_figure, style
from quantum.circuits import EchoLayout, parse_layout, random_circuit
from quantum.echoes import echo_circuit, make_echo, reference_circuit
from quantum.echoes.interference import draw_insertions
from quantum.estimates import ratio_error
from quantum.noise import (
    PRESETS,
    NoiseModel,
    add_noise,
    device_noise,
    device_signal_to_noise,
    echo_fidelity,
    fit_extrapolation,
    pauli_frame,
    read_means,
    stratified,
    with_decoupling,
)
from quantum.noise.extrapolation import LAWS
from quantum.noise.mitigation import (
    DECOUPLED_DEPHASING,
    Reading,
    fit_rescale,
    rescale_exponent,
)
from quantum.noise.trajectories import Ensemble, expectation

CLAIM = "Willow noise damps OTOC(2) about as it damps the undisturbed echo, so dividing by that echo restores its size."
PAPER_FIGURE = "Google Quantum AI, Nature 646, 825 (2025), DOI 10.1038/s41586-025-09526-6, Fig. 4b"
EXPECTED_TIME = {"quick": "20 s", "laptop": "5 min", "paper": "a day; 31 qubits on an accelerator"}
TOLERANCES = {
    "snr.*": 1.0,
    "snr_rescaled.*": 2.0,
    "signal.*": 0.01,
    "fidelity.*": 0.05,
    "rescale.*": 0.1,
    "trajectory_share.*": 0.2,
}

SHOT_DRAWS = 10  # over which the ratio at each number of shots is averaged


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        layouts: Published sub-lattices by their size ("18"), or rectangles as rows x columns @ cycles ("3x4@12"),
            M and B in opposite corners, as `quantum.circuits.layouts` reads them; from small to large, since the global
            rescale learns from the smaller ones.
        n_circuits: Random circuits on each layout.
        n_trajectories: Pauli trajectories with errors, for each circuit and its reference echo.
        n_strings: Pairs of Pauli strings per circuit, each with its part of the trajectories; others drew 20 pairs, the
            paper's number is unknown (our choice).
        shots: Shots for each circuit and each setting; the paper's number is unknown (our choice).
        noise: Noise preset of `quantum.noise.model`.
        other_noise: Preset of the column shown beside it.
        decoupled_dephasing: Factor of dynamical decoupling on pure dephasing while idle (our choice).
        noise_scales: Scales of zero-noise extrapolation, the first one 1 and the last one the largest.
        theta_error: Over-rotation of the swap angle, standard deviation over couplers in rad; willow_pink's CZ median.
        phi_error: The same for the controlled phase.
        frames: Pauli frames averaged by twirling.
        order: Coupler groups of a cycle (our choice, the paper's is unknown).
        engine: Engine of the trajectories above 14 qubits.
        seed: Seed of circuits, trajectories, frames and shots.
    """

    layouts: tuple[str, ...] = ("3x3@10", "3x4@12")
    n_circuits: int = 16
    n_trajectories: int = 200
    n_strings: int = 16
    shots: float = 1e6
    noise: str = "willow_rcs"
    other_noise: str = "willow_qec"
    decoupled_dephasing: float = DECOUPLED_DEPHASING
    noise_scales: tuple[float, ...] = (1.0, 1.5, 2.0)
    theta_error: float = 0.0195
    phi_error: float = 0.0109
    frames: int = 16
    order: str = "ACBD"
    engine: str = "auto"
    seed: int = 0

    def __post_init__(self):
        sizes = [self.layout(text).lattice.n_qubits for text in self.layouts]
        if sizes != sorted(set(sizes)) or not sizes:
            raise ValueError(f"`layouts` must grow in qubits, but have {sizes}.")
        at_least(self, 3, "n_circuits")
        at_least(self, 2, "n_strings", "frames")
        at_least(self, 1, "shots")
        if self.n_trajectories < 4 * self.n_strings:
            raise ValueError(
                f"`n_trajectories` must be at least 4 for each of {self.n_strings} strings, "
                f"but is {self.n_trajectories}."
            )
        scales = list(self.noise_scales)
        if len(scales) < 3 or scales[0] != 1 or scales != sorted(set(scales)):
            raise ValueError(f"`noise_scales` must be 3 or more, from 1 upwards, but are {scales}.")
        among(self, PRESETS, "noise", "other_noise")

    def layout(self, text: str) -> EchoLayout:
        """One of the layouts."""
        return parse_layout(text, name="layouts")


SCALES = {
    "quick": Config(
        layouts=("2x3@7", "3x3@10", "3x4@12"), n_circuits=12, n_trajectories=64, n_strings=4, frames=8,
    ),
    "laptop": Config(layouts=("3x3@10", "3x4@12", "18"), n_circuits=16, n_trajectories=128),
    "paper": Config(layouts=("3x4@12", "18", "23", "27", "31"), n_circuits=50, n_trajectories=200),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Runs every circuit of every layout, then the mitigation on each ensemble."""
    numbers = range(config.n_circuits)
    tasks = {
        f"{text}_{k}": (config, config.layout(text), k) for text in config.layouts for k in numbers
    }
    circuits = context.map(_circuit, tasks)
    pieces = {text: [circuits[f"{text}_{k}"] for k in numbers] for text in config.layouts}
    metrics, arrays, factors, fidelities = {}, {}, [], []
    for text, found in pieces.items():
        stack = {name: np.stack([piece[name] for piece in found]) for name in found[0]}
        size = f"n{config.layout(text).lattice.n_qubits}"
        exponent = rescale_exponent(factors, fidelities).value if factors else None
        rng = np.random.default_rng([config.seed, config.layout(text).lattice.n_qubits])
        done = _mitigate(config, stack, exponent, rng)
        metrics |= ratio_metrics(stack, done, size) | fidelity_metrics(stack, size)
        factors.append(fit_rescale(stack["exact"], done["raw"][0]))
        fidelities.append(float(stack["fidelity"].mean()))
        metrics[f"rescale.factor.{size}"] = Measurement.of(factors[-1], n=config.n_circuits)
        arrays |= {f"{size}.{name}": np.array(pair) for name, pair in done.items()}
        arrays |= {
            f"{size}.exact": stack["exact"],
            f"{size}.diagonal_exact": stack["diagonal_exact"],
            f"{size}.shots": _against_shots(config, stack, rng),
        }
    last = rescale_exponent(factors, fidelities)
    metrics["rescale.exponent"] = Measurement.of(last, n=len(factors))
    return Outcome("otoc_noise", config, metrics, arrays, REFERENCES)


@cache
def _models(config: Config) -> tuple[NoiseModel, ...]:
    """Strongest noise first, since trajectories are drawn from it; then the scales, decoupling, the other column."""
    device = device_noise(config.noise)
    scaled = [device.scaled(scale) for scale in config.noise_scales]
    decoupled = with_decoupling(device, config.decoupled_dephasing)
    return scaled[-1], *scaled, decoupled, device_noise(config.other_noise)


def _circuit(config: Config, layout: EchoLayout, index: int) -> dict[str, np.ndarray]:
    """True expectation values of one circuit under all noise models, with and without butterfly."""
    seed = 1000 * config.seed + index
    unitary = random_circuit(layout.lattice, layout.n_cycles, seed=seed, order=config.order)
    echo = make_echo(layout, unitary)
    inserted = draw_insertions(echo, config.n_strings, seed=(seed, 1))
    circuit = echo_circuit(echo)
    groups = {
        "signal": [circuit],
        "reference": [reference_circuit(echo)],
        "diagonal": [echo_circuit(echo, strings) for strings in inserted],
        "diagonal_reference": [reference_circuit(echo, strings) for strings in inserted],
    }
    # A draw of its own for each group and string, or their errors would not be independent.
    result, seeds = {}, iter(np.random.SeedSequence(seed).generate_state(2 * config.n_strings + 2))
    for name, members in groups.items():
        found = [
            _sample(config, echo.measured_pauli, one, int(next(seeds)), len(members))
            for one in members
        ]
        result[name] = np.mean([e.values for e in found], axis=0)[1:]
        result[f"{name}_covariance"] = (
            np.sum([e.covariance for e in found], axis=0)[1:, 1:] / len(members) ** 2
        )
        result[f"{name}_exact"] = np.mean([e.clean for e in found])
    result["exact"] = result.pop("signal_exact")
    turning = NoiseModel(
        theta_error=config.theta_error, phi_error=config.phi_error, seed=config.seed
    )
    frames = [None, *(pauli_frame(seed=seed * config.frames + k) for k in range(config.frames))]
    turned = [add_noise(circuit, turning, frame=frame) for frame in frames]
    # Without channels there is nothing to draw: one exact run each.
    result["coherent"] = np.array(
        [expectation(c, echo.observable, 2, seed=0, engine=config.engine).value for c in turned]
    )
    model = device_noise(config.noise)
    result["fidelity"] = np.array(echo_fidelity(circuit, model))
    result["fidelity_idle"] = np.array(echo_fidelity(circuit, model, idle=True))
    return result


def _sample(config: Config, observable, circuit, seed: int, parts: int) -> Ensemble:
    """One circuit under all noise models, with its part of the trajectories."""
    noisy = [add_noise(circuit, model) for model in _models(config)]
    return stratified(
        noisy, observable, config.n_trajectories // parts, seed=seed, engine=config.engine
    )


def _mitigate(config: Config, stack, exponent: float | None, rng):
    """Value of every circuit by every method as the device gives it, and our sampling errors."""
    done, signal = _plain(config, stack, config.shots, rng)
    if exponent is not None:
        gain = stack["fidelity"] ** -exponent
        done["global_rescale"] = gain * done["raw"][0], gain * done["raw"][1]
    n = len(config.noise_scales)
    for law in LAWS:
        fit = fit_extrapolation(config.noise_scales, signal[:, :n], law)
        pairs = zip(signal[:, :n], stack["signal_covariance"][:, :n, :n], strict=True)
        found = [fit.apply(row, covariance) for row, covariance in pairs]
        values, errors = np.array([[e.value, e.stderr] for e in found]).T
        done[f"zne_{law}"] = values, errors
    frames = stack["coherent"][:, 1:]
    done["coherent"] = stack["coherent"][:, 0], np.zeros(len(frames))
    done["twirled"] = frames.mean(axis=1), frames.std(axis=1, ddof=1) / math.sqrt(config.frames)
    return done


def _plain(config: Config, stack, shots: float, rng):
    """Methods that need no fit, and the corrected signals under all noise models."""
    n = len(config.noise_scales)
    signal = _read(config, stack, "signal", shots, rng)
    reference = _read(config, stack, "reference", shots, rng)
    done = {
        "raw": (signal[0].read, signal[0].read_error),
        "other_column": (signal[n + 1].read, signal[n + 1].read_error),
        "readout": (signal[0].corrected, signal[0].error),
        "decoupled": (signal[n].corrected, signal[n].error),
        "normalised": _ratio(signal[0], reference[0]),
        "decoupled_normalised": _ratio(signal[n], reference[n]),
    }
    done |= _off_diagonal(config, stack, signal[0], done["normalised"], shots, rng)
    return done, np.stack([one.corrected for one in signal], axis=1)


def _off_diagonal(config: Config, stack, signal: Reading, normalised, shots: float, rng):
    """Whole value less the mean under strings, as read and each divided by its own undisturbed echo."""
    # A setting for each string: their mean has as many more shots.
    names, shots = ("diagonal", "diagonal_reference"), shots * config.n_strings
    part, reference = (_read(config, stack, name, shots, rng)[0] for name in names)
    ratio, spread = _ratio(part, reference)
    return {
        "off_diagonal": (signal.read - part.read, np.hypot(signal.read_error, part.read_error)),
        "off_diagonal_normalised": (normalised[0] - ratio, np.hypot(normalised[1], spread)),
    }


def _read(config: Config, stack, name: str, shots: float, rng) -> list[Reading]:
    """As read under every noise model."""
    means, covariance = stack[name], stack[f"{name}_covariance"]
    return [
        read_means(means[:, k], np.sqrt(covariance[:, k, k]), model, shots, seed=rng)
        for k, model in enumerate(_models(config)[1:])
    ]


def _ratio(part: Reading, whole: Reading) -> tuple[np.ndarray, np.ndarray]:
    ratio = part.corrected / whole.corrected
    return ratio, ratio_error(ratio, part.error, whole.corrected, whole.error)


def _against_shots(config: Config, stack, rng) -> np.ndarray:
    """Rescaled ratio of raw and normalised values for every number of shots, (2, shots), noise power averaged."""
    table = np.zeros((2, len(SHOTS)))
    for column, shots in enumerate(SHOTS):
        for _ in range(SHOT_DRAWS):
            done, _ = _plain(config, stack, shots, rng)
            for row, name in enumerate(("raw", "normalised")):
                value, error = done[name]
                ratio, _ = device_signal_to_noise(stack["exact"], value, error, "rescaled")
                table[row, column] += ratio.value**-2 / SHOT_DRAWS
    return table**-0.5


@style()
def plot(outcome: Outcome) -> Figure:
    """Noisy against exact; SNR against size, beside the paper's; each method; echo fidelity; SNR against shots."""
    figure = new_figure(columns=2, height=5.0)
    grid = figure.add_gridspec(2, 6)
    sizes = [outcome.config.layout(text).lattice.n_qubits for text in outcome.config.layouts]
    last = f"n{sizes[-1]}"
    draw_scatter(figure.add_subplot(grid[0, :2]), outcome, last)
    draw_sizes(figure.add_subplot(grid[0, 2:4]), outcome, sizes)
    draw_fidelity(figure.add_subplot(grid[0, 4:]), outcome, sizes)
    draw_methods(figure.add_subplot(grid[1, :4]), outcome, last)
    draw_shots(figure.add_subplot(grid[1, 4:]), outcome, last)
    return figure
