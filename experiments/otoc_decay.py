"""How long circuits can be told apart: TOC, OTOC and OTOC(2) against cycles, exponential against power law.

Google Quantum AI and collaborators, Nature 646, 825-830 (2025), DOI 10.1038/s41586-025-09526-6. The claim, as we have
it second-hand: fluctuations of the TOC from circuit to circuit decay exponentially and are buried after about 9 cycles,
those of the OTOC(2) fall as a power law and stay usable beyond 20. The exponent is unknown to us.

Which operators. TOC = <M(t) M> with M = Z of the measured qubit; that qubit starts in |0>, where M = 1, so it is <Z> of
that qubit after a single U, with no butterfly. OTOC = C^(2) and OTOC(2) = C^(4) carry B = X on the butterfly. t counts
the cycles of U. Every point has circuits of its own, so that points are independent; the three correlators and all
layer orders of one point share seeds. Values are exact: no device noise and no shots, so what buries a signal here is
the register alone.

A finite register saturates: once U is scrambled, <Z> of one qubit spreads over circuits by 1 / sqrt(2^n + 1), whatever
the correlator, and no law holds below. This floor is known and goes into the fits in quadrature; `usable_until` is the
last cycle up to which the standard deviation stays above `clear_of_floor` floors (our choice). Fits begin where the
standard deviation is largest, for the OTOCs about where the cones meet: before that C = 1 exactly, without any
spread. The steps of the layer order modulate every decay with the period of the order, so chi^2 of both laws exceeds
its degrees of freedom when the errors are small; the weight of the power law allows for it (`quantum.statistics`).

What we find on 18 qubits (orders ACBD and ABCD, 30 circuits a point): the exponential of the TOC is clear, but once the
cones close over the whole register OTOC(2) falls to the floor no later than the TOC does. A power law needs sizes that
grow with the cycles, which 18 qubits are not; whether the paper moves the butterfly with the cycles is unknown to us.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.context import Context
from experiments.plotting import GREY, PALETTE, label, new_figure
from experiments.records import Measurement, Outcome, Reference
from quantum import engines
from quantum.circuit import DEFAULT_ORDER, light_cone, random_circuit
from quantum.interference import measure_interference
from quantum.lattice import EchoLayout, echo_layout, rectangle_layout
from quantum.otoc import echo_circuit, make_echo
from quantum.statistics import DecayComparison, compare_decays, scrambled_std, std_with_error

CLAIM = "TOC fluctuations decay exponentially; the power law of OTOC(2) is tested and not seen up to 18 qubits."
PAPER_FIGURE = "decay of the standard deviation; panel unknown to us"
EXPECTED_TIME = {"quick": "15 s", "laptop": "5 min", "paper": "hours on an accelerator"}
TOLERANCES = {"tau.*": 0.5, "alpha.*": 0.5, "power_law_weight.*": 0.5, "usable_until.*": 3.0}
TOLERANCES |= {"late_sd.*": 0.01}
# Order of the correlator; 0 is the TOC.
CORRELATORS = {"toc": 0, "otoc": 1, "otoc2": 2}
_NAMES = {"toc": "TOC", "otoc": "OTOC", "otoc2": "OTOC(2)", "off_diagonal": "OTOC(2), off-diagonal"}


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        rows: Rows of the lattice, M in the first corner and B in the last.
        columns: Columns of the lattice.
        published: 18, 23, 27, 31 or 36 takes that published sub-lattice instead; 0 the rectangle.
        orders: Layer orders, all of them reported; the paper's is unknown, ACBD is our default.
        cycles: Cycles of U.
        n_circuits: Random circuits at each number of cycles.
        n_strings: Pauli insertions for the off-diagonal part of OTOC(2); 0 leaves it out.
        clear_of_floor: Floors below which a standard deviation counts as buried (our choice).
        engine: Engine by name.
        seed: Seed of circuits and strings.
    """

    rows: int = 3
    columns: int = 4
    published: int = 0
    orders: tuple[str, ...] = (DEFAULT_ORDER, "ABCD")
    cycles: tuple[int, ...] = tuple(range(1, 25))
    n_circuits: int = 60
    n_strings: int = 0
    clear_of_floor: float = 2.0
    engine: str = "auto"
    seed: int = 0

    def __post_init__(self):
        if self.n_circuits < 4:
            raise ValueError(
                f"`n_circuits` must be at least 4, but is {self.n_circuits}; a spread needs some."
            )
        if len(self.cycles) < 4 or any(
            b <= a for a, b in zip((0, *self.cycles), self.cycles, strict=False)
        ):
            raise ValueError(
                f"`cycles` must be at least 4 rising whole numbers from 1 on, but are {self.cycles}."
            )
        if self.n_strings < 0 or self.n_strings == 1:
            raise ValueError(f"`n_strings` must be 0 or at least 2, but is {self.n_strings}.")
        if not self.orders:
            raise ValueError("`orders` must name at least one layer order, but is empty.")

    def layout(self) -> EchoLayout:
        """Lattice, measured qubit and butterfly."""
        if self.published:
            return echo_layout(self.published)
        return rectangle_layout(self.rows, self.columns, max(self.cycles))


SCALES = {
    "quick": Config(cycles=tuple(range(1, 19)), n_circuits=20, engine="reference"),
    "laptop": Config(published=18, cycles=tuple(range(1, 25)), n_circuits=30),
    "paper": Config(published=31, cycles=tuple(range(1, 31)), n_circuits=100, n_strings=20),
}
_SMALL = "second-hand; device noise, lattice and layer order of that figure are unknown to us"
REFERENCES = tuple(
    reference
    for order in (DEFAULT_ORDER, "ABCD")
    for reference in (
        Reference(f"usable_until.toc.{order}", 9, None, "cycle", "text", "stated in text", False, _SMALL),
        Reference(f"usable_until.otoc2.{order}", 20, None, "cycle", "text", "stated in text", False,
                  "a lower bound; " + _SMALL),
        Reference(f"alpha.otoc2.{order}", None, None, "", "text", "stated in text", False,
                  "a power law, says the paper; the exponent is unknown to us"),
    )
)  # fmt: skip


def run(config: Config, context: Context | None = None) -> Outcome:
    """Measures the ensembles point by point, then fits both laws to each correlator."""
    session = context or Context()
    points = [(order, cycles) for order in config.orders for cycles in config.cycles]
    found: dict[str, list[dict[str, np.ndarray]]] = {order: [] for order in config.orders}
    with session.progress("points", len(points)) as ticker:
        for order, cycles in points:
            text = f"{order}_cycles{cycles}"
            piece = session.sub_run(text, lambda o=order, c=cycles: _point(config, o, c))
            found[order].append(piece)
            ticker.advance(note=text)
    metrics, arrays = {}, {"cycles": np.array(config.cycles)}
    for order, pieces in found.items():
        for name in pieces[0]:
            arrays[f"{name}.{order}"] = np.stack([piece[name] for piece in pieces])
            metrics |= _metrics(config, f"{name}.{order}", arrays[f"{name}.{order}"])
    return Outcome("otoc_decay", config, metrics, arrays, REFERENCES)


def _point(config: Config, order: str, cycles: int) -> dict[str, np.ndarray]:
    """Value of every correlator on every circuit of one number of cycles."""
    layout = config.layout()
    words = np.random.SeedSequence((config.seed, cycles)).generate_state(config.n_circuits)
    unitaries = [random_circuit(layout.lattice, cycles, int(w), order=order) for w in words]
    values = {}
    for name, k in CORRELATORS.items():
        echoes = [make_echo(layout, unitary, order=max(k, 1)) for unitary in unitaries]
        if k == 0:
            circuits = [light_cone(unitary, (layout.measured,)) for unitary in unitaries]
        else:
            circuits = [echo_circuit(echo) for echo in echoes]
        observable = echoes[0].observable
        values[name] = engines.expectations(circuits, [observable], engine=config.engine)[:, 0]
    if config.n_strings:
        echoes = [make_echo(layout, unitary, order=2) for unitary in unitaries]
        measured = measure_interference(
            echoes, config.n_strings, int(words[0]), engine=config.engine
        )
        values["off_diagonal"] = measured.off_diagonal
    return values


def spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation over circuits and its error for every number of cycles, from (cycles, circuits)."""
    estimates = [std_with_error(row) for row in values]
    return np.array([e.value for e in estimates]), np.array([e.stderr for e in estimates])


def decay(config: Config, values: np.ndarray) -> tuple[np.ndarray, DecayComparison] | None:
    """Cycles from the largest standard deviation on, and both laws fitted there; None unless four clear the floor."""
    sd, error = spread(values)
    start = int(sd.argmax())
    cycles = np.array(config.cycles[start:], dtype=float)
    floor = scrambled_std(config.layout().lattice.n_qubits)
    if np.count_nonzero(sd[start:] > config.clear_of_floor * floor) < 4:
        return None
    return cycles, compare_decays(cycles, sd[start:], error[start:], floor=floor)


def _metrics(config: Config, name: str, values: np.ndarray) -> dict[str, Measurement]:
    sd, error = spread(values)
    floor, n = scrambled_std(config.layout().lattice.n_qubits), config.n_circuits
    metrics = {f"late_sd.{name}": Measurement(sd[-1], error[-1], "", n)}
    start = int(sd.argmax())
    buried = np.flatnonzero(sd[start:] < config.clear_of_floor * floor)
    last = start + (buried[0] - 1 if buried.size else len(sd) - start - 1)
    if last >= start:
        metrics[f"usable_until.{name}"] = Measurement(config.cycles[last], None, "cycle")
    fitted = decay(config, values)
    if fitted is None:
        return metrics
    laws = fitted[1]
    # Scatter beyond the errors, from the steps of the layer order, widens the errors of the parameters.
    wider = np.sqrt(laws.excess)
    tau, alpha = laws.exponential.time_constant, laws.power_law.rate
    return metrics | {
        f"tau.{name}": Measurement(tau.value, wider * tau.stderr, "cycle", len(fitted[0])),
        f"alpha.{name}": Measurement(alpha.value, wider * alpha.stderr, "", len(fitted[0])),
        f"power_law_weight.{name}": Measurement(laws.power_law_weight),
        f"chi_squared.exponential.{name}": Measurement(laws.exponential.chi_squared),
        f"chi_squared.power_law.{name}": Measurement(laws.power_law.chi_squared),
    }


def plot(outcome: Outcome) -> Figure:
    """Standard deviation against cycles, one row of panels per layer order: both laws on logarithmic axes."""
    config, arrays = outcome.config, outcome.arrays
    names = [n for n in _NAMES if f"{n}.{config.orders[0]}" in arrays]
    figure = new_figure(columns=2, height=2.6 * len(config.orders) + 0.2)
    grid = figure.subplots(len(config.orders), 2, squeeze=False, sharey=True)
    for order, row in zip(config.orders, grid, strict=True):
        for axes, law in zip(row, ("exponential", "power_law"), strict=True):
            for name, color in zip(names, PALETTE, strict=False):
                _draw(axes, config, arrays[f"{name}.{order}"], law, _NAMES[name], color)
            _finish(axes, config, law, order)
    return figure


def _draw(axes, config: Config, values: np.ndarray, law: str, name: str, color: str) -> None:
    sd, error = spread(values)
    cycles = np.array(config.cycles)
    shown = sd > 1e-4
    fitted = decay(config, values)
    text = name
    if fitted is not None:
        fit = getattr(fitted[1], law)
        fine = np.linspace(fitted[0][0], fitted[0][-1], 100)
        axes.plot(fine, fit(fine), color=color, lw=1)
        size = (
            f"τ = {1 / fit.rate.value:.1f}" if law == "exponential" else f"α = {fit.rate.value:.1f}"
        )
        text = f"{name}: {size}, χ² = {fit.chi_squared:.0f} of {fit.degrees_of_freedom}"
    axes.errorbar(
        cycles[shown], sd[shown], error[shown], fmt="o", ms=2.5, lw=0.8, color=color, label=text
    )


def _finish(axes, config: Config, law: str, order: str) -> None:
    n = config.layout().lattice.n_qubits
    floor = scrambled_std(n)
    axes.axhline(floor, color=GREY, ls="--", lw=0.9)
    axes.annotate("scrambled", (config.cycles[-1], floor), (0, -9), textcoords="offset points",
                  ha="right", fontsize=6, color=GREY)  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(floor / 6, 1.3)
    axes.set_xlabel(label("Cycles"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if law == "exponential":
        axes.set_ylabel(label("Standard deviation over circuits"))
    else:
        axes.set_xscale("log")
        ticks = [
            t for t in (1, 2, 4, 6, 9, 14, 20, 30) if config.cycles[0] <= t <= config.cycles[-1]
        ]
        axes.set_xticks(ticks, [str(t) for t in ticks])
        axes.minorticks_off()
    axes.set_title(f"{n} qubits, order {order}, {law.replace('_', ' ')} fit")
    axes.legend(fontsize=5.5, loc="lower left")
