"""The wavefront of the OTOC over the whole chip: forward, butterfly, backward, measure, cycle by cycle.

Google Quantum AI and collaborators, Nature 646, 825 (2025), DOI 10.1038/s41586-025-09526-6, describe the four steps;
the layer order and a butterfly velocity are not in our sources. B = X strikes one qubit, M = Z is read on all. Four
methods, each where it is valid:

    exact        state of the light cone of B, from |0...0>, while the cone has at most `most_qubits` qubits
    paths        walk over Pauli paths at infinite temperature, any cycle; leaves out the interference of paths, which
                 is measured here against the exact state where there is one (with the difference of input states)
    clifford     the same couplers with Clifford gates, any cycle; each circuit exact (+-1), another ensemble
    propagation  truncated sum of Pauli strings at infinite temperature; valid while the kept norm is near 1

`velocity.*` is the slope of the radius where the mean of 1 - C crosses 1/2 (our choice of level and fit range), with
the error over circuits; `velocity.cone` that of the geometric light cone, an upper bound. Couplers switch on in turn,
so the front advances in jerks within a period of the order; a few exact cycles cannot average over them, which is not
in the error. Radii lie between whole distances, so early on the front may seem ahead of the cone by a fraction of a
step. Doping turns Clifford gates inside both cones into others one by one; `doping.sd.*` is the circuit-to-circuit
standard deviation of one OTOC, exact at infinite temperature.
"""

from dataclasses import dataclass

import numpy as np

from experiments.echoes.otoc_spreading_figure import plot
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from quantum.circuits import (
    DEFAULT_ORDER,
    Circuit,
    Lattice,
    PauliString,
    clifford,
    random_circuit,
    rectangle,
    willow,
)
from quantum.circuits.lattice import GROUPS
from quantum.echoes import sample_paths, wavefront
from quantum.engines import Truncation, infinite_temperature_otoc, propagate_paulis
from quantum.estimates import std_with_error

__all__ = ["CLAIM", "EXPECTED_TIME", "PAPER_FIGURE", "REFERENCES", "SCALES", "Config", "plot", "run"]  # fmt: skip

CLAIM = "A butterfly spreads over the chip as a front behind the light cone: its speed, by three methods."
PAPER_FIGURE = (
    "Google Quantum AI, Nature 646, 825 (2025), DOI 10.1038/s41586-025-09526-6, four steps of the echo; "
    "picture of our own"
)
EXPECTED_TIME = {"quick": "10 s", "laptop": "2 min", "paper": "hours, 100 GB; not run by us"}
TOLERANCES = {
    "velocity.*": 0.05,
    "difference.*": 0.02,
    "propagation.*": 0.05,
    "doping.*": 0.1,
}
METHODS = ("exact", "paths", "clifford")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        lattice: willow (105 qubits), or rows and columns such as 3x4.
        butterfly: Row and column of B.
        order: Coupler groups walked through in turn; our choice, the paper's is unknown.
        n_cycles: Largest number of cycles.
        n_circuits: Random circuits, the same for all methods but clifford.
        clifford_circuits: Random Clifford circuits.
        paths: Pauli paths per circuit and number of cycles.
        most_qubits: Largest light cone that is done exactly.
        most_terms: Strings kept by the truncated propagation.
        propagation_cycles: Largest number of cycles that are propagated.
        propagation_circuits: Circuits that are propagated.
        fit: First and last cycle of the fit of the front by paths and clifford (our choice: before the edge).
        exact_fit: The same for the exact values.
        doping: Numbers of non-Clifford gates.
        doping_cycles: Cycles of the doped circuits.
        doping_measured: Row and column of M of the doped circuits.
        steps_cycles: Cycles of the picture of the four steps.
        seed: Seed of circuits and paths.
    """

    lattice: str = "willow"
    butterfly: tuple[int, int] = (6, 7)
    order: str = DEFAULT_ORDER
    n_cycles: int = 16
    n_circuits: int = 24
    clifford_circuits: int = 200
    paths: int = 500
    most_qubits: int = 24
    most_terms: int = 30_000
    propagation_cycles: int = 7
    propagation_circuits: int = 3
    fit: tuple[int, int] = (3, 12)
    exact_fit: tuple[int, int] = (1, 6)
    doping: tuple[int, ...] = (0, 1, 2, 4, 8)
    doping_cycles: int = 10
    doping_measured: tuple[int, int] = (6, 9)
    steps_cycles: int = 4
    seed: int = 0

    def __post_init__(self):
        at_least(self, 1, "n_cycles", "paths", "most_qubits", "most_terms", "propagation_circuits")
        at_least(self, 3, "n_circuits", "clifford_circuits")
        for name in ("fit", "exact_fit"):
            first, last = getattr(self, name)
            if not 1 <= first < last <= self.n_cycles:
                raise ValueError(
                    f"`{name}` must be a first and a last of the {self.n_cycles} cycles, but is {(first, last)}."
                )
        if not set(self.order) <= set(GROUPS):
            raise ValueError(
                f"`order` must hold letters among {', '.join(GROUPS)}, but is {self.order!r}."
            )
        chip = self.chip()
        chip.qubit(self.butterfly)
        chip.qubit(self.doping_measured)

    def chip(self) -> Lattice:
        """The lattice."""
        if self.lattice == "willow":
            return willow()
        rows, cross, columns = self.lattice.partition("x")
        if not (cross and rows.isdigit() and columns.isdigit()):
            raise ValueError(
                f"`lattice` must be willow or rows x columns such as 3x4, but is {self.lattice!r}."
            )
        return rectangle(int(rows), int(columns))


SCALES = {
    "quick": Config(
        n_cycles=10, n_circuits=10, clifford_circuits=40, paths=200, most_qubits=12, most_terms=3000,
        propagation_cycles=5, propagation_circuits=2, fit=(3, 10), exact_fit=(1, 4), doping=(0, 1, 2, 4),
        doping_cycles=8,
    ),
    "laptop": Config(),
    "paper": Config(
        n_circuits=50, clifford_circuits=1000, paths=5000, most_qubits=32, most_terms=3_000_000, exact_fit=(1, 7),
        doping=(0, 1, 2, 4, 8, 12),
    ),
}  # fmt: skip
REFERENCES = tuple(
    Reference(f"velocity.{method}", None, None, "step/cycle", "main text", "stated in text", False,
              note="not in our sources; depends on the layer order, which is unknown as well")
    for method in METHODS
)  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Maps every circuit by every method, then fits the fronts."""
    chip, struck = config.chip(), config.chip().qubit(config.butterfly)
    circuits = [
        random_circuit(chip, config.n_cycles, seed=config.seed + k, order=config.order)
        for k in range(config.n_circuits)
    ]
    cones = [wavefront.cone_qubits(circuits[0][: 2 * t], struck) for t in _cycles(config)]
    n_exact = sum(len(cone) <= config.most_qubits for cone in cones)
    tasks = {f"circuit{k}": (config, circuit, k, n_exact) for k, circuit in enumerate(circuits)}
    pieces = list(context.map(_circuit, tasks).values())
    signs = context.sub_run("clifford", lambda: _clifford(config))
    doped = context.sub_run("doping", lambda: _doping(config))
    maps = {name: np.stack([p[name] for p in pieces]) for name in ("exact", "paths")}
    maps["clifford"] = signs["signs"]
    kept = np.stack([p["kept"] for p in pieces[: config.propagation_circuits]])
    steps = wavefront.four_steps(circuits[0][: 2 * config.steps_cycles], struck)
    reach = np.array([chip.distances(struck)[list(cone)].max() for cone in cones])
    arrays = {
        **{f"map.{name}": values.mean(axis=0) for name, values in maps.items()},
        **{f"profile.{n}": wavefront.radial_profile(chip, struck, v) for n, v in maps.items()},
        "steps": steps, "kept": kept, "cone": np.array([len(c) for c in cones]), "reach": reach,
        "doping": doped["values"],
    }  # fmt: skip
    metrics = _front_metrics(config, arrays)
    metrics |= _checks(maps, cones, n_exact)
    for t, norms in enumerate(kept.T, start=1):
        metrics[f"propagation.kept.cycle{t}"] = Measurement.from_samples(norms)
    for n_gates, values in zip(config.doping, doped["values"], strict=True):
        found = std_with_error(values)
        metrics[f"doping.sd.{n_gates}"] = Measurement.of(found, n=len(values))
    return Outcome("otoc_spreading", config, metrics, arrays, REFERENCES)


def _cycles(config: Config) -> range:
    return range(1, config.n_cycles + 1)


def _circuit(config: Config, circuit: Circuit, number: int, n_exact: int) -> dict:
    """Maps of one circuit: its first t cycles, then B, for every t."""
    struck = config.chip().qubit(config.butterfly)
    butterfly = PauliString.on({struck: "X"})
    cuts = [circuit[: 2 * t] for t in _cycles(config)]
    exact = [wavefront.correlator_map(cut, struck) for cut in cuts[:n_exact]]
    seeds = np.random.SeedSequence([config.seed, number]).generate_state(config.n_cycles)
    walked = [
        sample_paths(cut, butterfly, config.paths, seed=int(seed)).otoc_map()[0]
        for cut, seed in zip(cuts, seeds, strict=True)
    ]
    found = {"exact": np.stack(exact), "paths": np.stack(walked)}
    if number < config.propagation_circuits:
        rule = Truncation(max_terms=config.most_terms)
        sums = [propagate_paulis(cut, butterfly, rule) for cut in cuts[: config.propagation_cycles]]
        found["kept"] = np.array([s.norm_squared for s in sums])
    return found


def _clifford(config: Config) -> dict:
    chip = config.chip()
    butterfly = PauliString.on({chip.qubit(config.butterfly): "X"})
    signs = []
    for k in range(config.clifford_circuits):
        circuit = clifford.clifford_echo_circuit(
            chip, config.n_cycles, seed=config.seed + k, order=config.order
        )
        signs.append([clifford.otoc_signs(circuit[: 2 * t], butterfly) for t in _cycles(config)])
    return {"signs": np.array(signs)}


def _doping(config: Config) -> dict:
    """One OTOC at infinite temperature of Clifford circuits with more and more other gates, exact."""
    chip = config.chip()
    struck, measured = chip.qubit(config.butterfly), chip.qubit(config.doping_measured)
    values = np.empty((len(config.doping), config.clifford_circuits))
    for k in range(config.clifford_circuits):
        seed = config.seed + k
        circuit = clifford.clifford_echo_circuit(
            chip, config.doping_cycles, seed=seed, order=config.order
        )
        for row, n_gates in enumerate(config.doping):
            doped = clifford.dope(circuit, n_gates, measured, struck, seed=seed)
            evolved = propagate_paulis(doped, PauliString.on({struck: "X"}))
            values[row, k] = infinite_temperature_otoc(evolved, PauliString.on({measured: "Z"}))
    return {"values": values}


def _front_metrics(config: Config, arrays: dict) -> dict[str, Measurement]:
    """Speed of the front by each method; what was fitted goes into `arrays` for the figure."""
    metrics = {}
    for method in METHODS:
        profiles = arrays[f"profile.{method}"]
        at = np.arange(1, profiles.shape[1] + 1)
        ends = config.exact_fit if method == "exact" else config.fit
        fitted = wavefront.fit_velocity(profiles, at, *ends)
        metrics[f"velocity.{method}"] = Measurement(
            fitted.steps_per_cycle, fitted.stderr, "step/cycle", len(profiles)
        )
        arrays[f"front.{method}"] = np.stack([fitted.cycles, fitted.radii, fitted.radii_stderr])
        arrays[f"line.{method}"] = np.array([fitted.steps_per_cycle, fitted.offset])
    at = np.arange(config.fit[0], config.fit[1] + 1)
    cone = np.polyfit(at, arrays["reach"][at - 1], 1)[0]
    metrics["velocity.cone"] = Measurement(float(cone), None, "step/cycle")
    return metrics


def _checks(maps: dict, cones: list, n_exact: int) -> dict[str, Measurement]:
    """Walk against exact inside the cone, per circuit; and what must be 1 outside it."""
    metrics = {"exact_cycles": Measurement(n_exact)}
    gaps = []
    for t, cone in enumerate(cones[:n_exact]):
        gaps.append(maps["paths"][:, t, list(cone)] - maps["exact"][:, t, list(cone)])
    metrics["difference.mean"] = Measurement.from_samples(
        np.mean([g.mean(axis=1) for g in gaps], axis=0)
    )
    metrics["difference.rms"] = Measurement.from_samples(
        np.sqrt(np.mean([(g**2).mean(axis=1) for g in gaps], axis=0))
    )
    outside = [
        np.abs(1 - values[:, t][:, np.setdiff1d(np.arange(values.shape[2]), cone)]).max(initial=0.0)
        for values in maps.values()
        for t, cone in enumerate(cones[: values.shape[1]])
    ]
    metrics["outside_cone"] = Measurement(max(outside))
    return metrics
