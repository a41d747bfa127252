"""The echo of a carbon among protons: toluene and dimethylbiphenyl from coordinates, and how well pulses reverse it.

NMR companion of the quantum echoes, arXiv 2510.19550, known to us second-hand: [4-13C]toluene (9 spins, TARDIS-2) and
[1-13C]-3',5'-dimethylbiphenyl (15 spins, TARDIS-1); the 13C is prepared and read, the methyl protons are struck between
a way out and its reversal. Here: geometry, Saupe tensor, dipolar couplings, average Hamiltonian, and the exact echo (9
spins by diagonalisation, 15 by random states, whose spread is the error bar).

Left open by what we know, so chosen by us: the angle of the butterfly (pi), the order tensor and the bond between the
rings of dimethylbiphenyl, J couplings and chemical shifts (none in the averages), the timings of the pulses. How the
coupling to the probe enters is open too: eta_heter = 2/9 and 2/3 are second-hand and their factor 2 in 2 D I_z S_z is
inferred there. Three readings are computed side by side, none is fitted: `printed` takes them as they stand, `once` the
half (D I_z S_z), `pulses` what our windowless cycles of 90 degree pulses of the stated 10.5 us give.

Reversal is not assumed. Cycles of finite pulses are propagated exactly on the secular Hamiltonian: `two_blocks` and
`one_block` (eta_homo = 1; double resonance, Baum-Pines, double resonance, or the reverse) on toluene, `tardis_1`
(12 pulses, eta_homo = 1/pi) on a fragment of dimethylbiphenyl and, by random states, on all of it (`whole`).
`identity` is how far the backward cycle is from P U P^dag, `first` and `second` are Magnus terms over the average,
`unreversed_*` the share of a term that is not turned round, `loschmidt` the echo without a butterfly: clean, with the
methyl offset as reported, and over a spread of RF strengths (our choice). `slope` is the power of the pulse length
with which 1 - L falls at a fixed time; 4 follows from a second Magnus term that stays. `butterfly` is BLEW-12 on the
methyl offset beside the rotation it stands for.

Reproduced: the published D_C1 to 2 Hz; our estimates by other code of couplings, 11 points and sensitivity. Not
reproduced as printed: the bump at 1.5 ms, for no angle tried and not with J. The average of `one_block` has one there
(`pulses`, 1.45 ms), `once` one at 1.73 ms, and with `once` the dropped C-H terms stay below the reported 0.02, as they
do not as printed; so 2/9 may count the coupling as D I_z S_z. That is a hint and no proof: pulse by pulse the bump of
`one_block` is flattened to a shoulder by its second Magnus term, and shifts, J and angle of the paper are unknown.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.context import ALONE, Context, called
from experiments.harness.fields import among, at_least, rising
from experiments.harness.measurement import Measurement
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import style
from experiments.molecules.nmr_echo_figure import draw
from experiments.molecules.nmr_echo_published import (
    ESTIMATED_COUPLINGS,
    ESTIMATED_CURVE,
    REFERENCES,
)
from experiments.molecules.nmr_echo_pulses import (
    MOLECULES,
    Sample,
    butterfly_by_pulses,
    cycle,
    pulse_metrics,
    reversal,
    rms,
    trains,
    whole_molecule,
)
from quantum.inference.maxima import Maximum, most_prominent
from quantum.nmr import Typicality, average_hamiltonian, echo, scale_factors
from quantum.spins import (
    ANGSTROM,
    DIMETHYLBIPHENYL_SAUPE,
    TOLUENE_SAUPE,
    dimethylbiphenyl,
    molecule_couplings,
    toluene,
)
from quantum.spins.molecule import ORTHO_META

CLAIM = "Coordinates give the echo; pulses reverse it but for the second Magnus term; the bump hangs on a factor of 2."
PAPER_FIGURE = (
    "NMR companion, arXiv:2510.19550, echo curves of toluene and DMBP; panels unknown to us"
)
EXPECTED_TIME = {"quick": "15 s", "laptop": "4 min", "paper": "20 min"}
TOLERANCES = {
    "coupling*": 0.01,
    "curve*": 1e-5,
    "identity*": 1e-9,
    "bump_*": 0.06,
    "slope*": 0.05,
    "biphenyl*": 0.01,
}
TOLERANCES |= {"unreversed_average*": 1e-9, "first.*": 1e-9}

READINGS = ("printed", "once", "pulses")
METHYLS = {"toluene": (6, 7, 8), "biphenyl": tuple(range(9, 15))}
PUBLISHED_BUMP = (1.5e-3, 0.2e-3)  # s, read off by others; as near as half of the grid (our choice)
_LEAST_BUMP = 1e-3  # our choice
_FIRST_POINTS = 6
_SHIFT = 0.02 * ANGSTROM


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        ortho_meta: Distance of ortho and meta protons of toluene in m.
        dihedral: Angle between the rings of dimethylbiphenyl in rad; the reference as reported.
        angle: Angle of the butterfly in rad; unknown in the paper.
        angles: Further angles in rad, over which a bump at the published time is sought.
        scalar_hz: J of the carbon and H1 in Hz for `with_j`; as reported, with the word that a fit made it.
        points: Points of the grid of 0.375 ms.
        fine: Points of the toluene curve for each of the grid.
        biphenyl_points: Points of the grid for dimethylbiphenyl.
        n_states: Random states of 15 spins.
        readings: Readings of eta_heter for dimethylbiphenyl.
        pulse: Duration of a pulse of 90 degrees on the protons in s, as stated (10.5 us).
        n_steps: Steps of 36 pulses out, for the pulsed echoes.
        toluene_spins: Spins of toluene that are pulsed.
        biphenyl_spins: Spins of dimethylbiphenyl that are pulsed (a fragment, our choice).
        rf_spread: Half of the width of RF strengths over the sample (our choice).
        shortened: Factors by which pulses are shortened; the slope is that of the last two.
        whole_steps: Steps out for pulses on all 15 spins of dimethylbiphenyl; none leaves that out.
        whole_states: Random states for them.
        seed: Seed of the random states.
        precision: Precision of all but the pulses on 15 spins, which are always single.
    """

    ortho_meta: float = ORTHO_META
    dihedral: float = math.radians(41.5)
    angle: float = math.pi
    angles: tuple[float, ...] = tuple(math.pi * k / 8 for k in range(1, 8))
    scalar_hz: float = 559.0
    points: int = 11
    fine: int = 8
    biphenyl_points: int = 11
    n_states: int = 64
    readings: tuple[str, ...] = READINGS
    pulse: float = 10.5e-6
    n_steps: tuple[int, ...] = tuple(range(9))
    toluene_spins: tuple[int, ...] = tuple(range(9))
    biphenyl_spins: tuple[int, ...] = (0, 1, 2, 3, 6, 7, 9, 10, 11)
    rf_spread: float = 0.03
    shortened: tuple[int, ...] = (1, 2, 4, 8)
    whole_steps: tuple[int, ...] = (0, 1, 2, 4, 6)
    whole_states: int = 4
    seed: int = 0
    precision: Literal["single", "double"] = "double"

    def __post_init__(self):
        if not np.isfinite((self.angle, *self.angles)).all():
            raise ValueError(f"`angles` must be finite, but are {(self.angle, *self.angles)} rad.")
        at_least(self, 6, "points")
        at_least(self, 1, "fine")
        at_least(self, 2, "biphenyl_points", "n_states", "whole_states")
        if not 0 < self.pulse <= 1e-4:
            raise ValueError(f"`pulse` must lie between 0 and 1e-4 s, but is {self.pulse} s.")
        if not 0 <= self.rf_spread < 0.5:
            raise ValueError(f"`rf_spread` must lie from 0 to 0.5, but is {self.rf_spread}.")
        rising(self, 0, "whole_steps", entries=0)
        rising(self, 0, "n_steps", entries=2)
        rising(self, 1, "shortened", entries=2)
        among(self, READINGS, "readings")
        for name, spins, n in (
            ("toluene_spins", self.toluene_spins, 9), ("biphenyl_spins", self.biphenyl_spins, 15),
        ):  # fmt: skip
            if list(spins) != sorted(set(spins)) or spins[:1] != (0,) or not spins[-1] < n:
                raise ValueError(
                    f"`{name}` must be rising numbers from the probe 0 to below {n}, but are {spins}."
                )


SCALES = {
    "quick": Config(
        angles=(), fine=4, biphenyl_points=6, n_states=2, readings=("pulses",), n_steps=(0, 1, 2, 4, 8),
        whole_steps=(), toluene_spins=(0, 1, 2, 4, 6, 7, 8), biphenyl_spins=(0, 1, 2, 6, 9, 10, 11),
    ),
    "laptop": Config(),
    "paper": Config(biphenyl_points=17, n_states=250, whole_steps=tuple(range(9)), whole_states=8),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Toluene exactly, dimethylbiphenyl by random states, pulsed cycles there and back, their reversal by orders."""
    work: dict[str, tuple] = {"toluene": (_toluene, config)}
    work |= {f"biphenyl_{r}": (_biphenyl, config, r) for r in config.readings}
    work |= _pulsed_work(config)
    arrays: dict[str, np.ndarray] = {}
    for piece in context.map(called, work).values():
        arrays |= piece
    metrics = _toluene_metrics(config, arrays) | pulse_metrics(config.shortened, arrays)
    for reading in config.readings:
        value, error = arrays[f"biphenyl.{reading}"][:, -1]
        metrics[f"biphenyl.{reading}"] = Measurement(value, error, "", config.n_states)
    if config.whole_steps:
        mean, error = arrays["whole"][:, :, -1]
        for k, name in enumerate(("loschmidt.whole", "biphenyl.whole")):
            metrics[name] = Measurement(mean[k], error[k], "", config.whole_states)
    return Outcome("nmr_echo", config, metrics, arrays, REFERENCES)


def _pulsed_work(config: Config) -> dict[str, tuple]:
    """Function and arguments by the name of the piece."""
    kept = {"toluene": config.toluene_spins, "biphenyl": config.biphenyl_spins}
    whole = {name: Sample(_couplings(config, name), METHYLS[name]) for name in kept}
    settings = config.pulse, config.n_steps, config.angle, config.rf_spread
    work = {}
    for name, molecule in MOLECULES.items():
        part = whole[molecule].part(kept[molecule])
        work[f"pulsed_{name}"] = (trains, name, part, *settings)
        work[f"reversal_{name}"] = (
            reversal, name, whole[molecule], config.pulse, config.n_steps[-1], config.shortened,
        )  # fmt: skip
    toluene_part = whole["toluene"].part(config.toluene_spins)
    work["butterfly"] = (butterfly_by_pulses, toluene_part, config.pulse, config.n_steps)
    if config.whole_steps:
        work["whole"] = (
            whole_molecule, whole["biphenyl"], config.pulse, config.whole_steps, config.angle, config.whole_states,
            config.seed,
        )  # fmt: skip
    return work


def eta_heter(molecule: str, reading: str) -> float:
    """Factor of 2 D I_z S_z by a reading; that of `pulses` does not depend on their length."""
    printed = average_hamiltonian.VARIANTS["tardis-2" if molecule == "toluene" else "tardis-1"][2]
    if reading == "pulses":
        name = "one_block" if molecule == "toluene" else "tardis_1"
        return float(scale_factors(cycle(name, 1e-5))[2][2])
    return printed if reading == "printed" else printed / 2


def _couplings(config: Config, molecule: str) -> np.ndarray:
    if molecule == "toluene":
        return np.asarray(molecule_couplings(toluene(config.ortho_meta), TOLUENE_SAUPE))
    turned = dimethylbiphenyl(config.dihedral)
    return np.asarray(molecule_couplings(turned, DIMETHYLBIPHENYL_SAUPE))


def _toluene(config: Config) -> dict[str, np.ndarray]:
    table = _couplings(config, "toluene")
    times = (
        average_hamiltonian.GRID_STEP
        / config.fine
        * np.arange((config.points - 1) * config.fine + 1)
    )
    grid = times[:: config.fine]
    bond, pair = table.copy(), table.copy()
    bond[0, 2:] = bond[2:, 0] = 0
    moved = _couplings(replace(config, ortho_meta=config.ortho_meta + _SHIFT), "toluene")
    for i, j in ((2, 4), (3, 5)):
        pair[i, j] = pair[j, i] = moved[i, j]
    found = {"couplings": table, "times": times}
    for reading in READINGS:
        curve = partial(_toluene_echo, (1.0, eta_heter("toluene", reading)))
        whole = found[f"toluene.{reading}"] = curve(table, times, config.angle)
        changed = {"only_bond": bond, "pair": pair, "ring": moved}
        for name, other in changed.items():
            found[f"{name}.{reading}"] = curve(other, grid, config.angle) - whole[:: config.fine]
        found[f"with_j.{reading}"] = curve(table, times, config.angle, config.scalar_hz)
        others = [curve(table, times, angle) for angle in config.angles]
        found[f"angles.{reading}"] = np.stack([whole, *others])
    return found


def _toluene_echo(scaling, table, times, angle: float, scalar_hz: float = 0.0) -> np.ndarray:
    scalar = np.zeros(len(table))
    scalar[1] = scalar_hz
    hamiltonian = average_hamiltonian.reversible_hamiltonian(
        table, scaling=scaling, scalar_hz=scalar
    )
    # No derivative is asked for, and nine spins take a ninth of the time in real arithmetic.
    found = echo(hamiltonian, METHYLS["toluene"], angle, times, method="real_sectors")
    return np.asarray(found.values)


def _biphenyl(config: Config, reading: str) -> dict[str, np.ndarray]:
    scaling = (average_hamiltonian.VARIANTS["tardis-1"][1], eta_heter("biphenyl", reading))
    table = _couplings(config, "biphenyl")
    hamiltonian = average_hamiltonian.reversible_hamiltonian(table, 0, "tardis-1", scaling=scaling)
    times = average_hamiltonian.GRID_STEP * np.arange(config.biphenyl_points)
    method = Typicality(config.n_states, config.seed)
    found = echo(hamiltonian, METHYLS["biphenyl"], config.angle, times, method=method)
    return {f"biphenyl.{reading}": np.stack(found), "biphenyl_times": times}


def _toluene_metrics(config: Config, arrays) -> dict[str, Measurement]:
    table = arrays["couplings"]
    off = max(abs(table[pair] - value) for pair, value in ESTIMATED_COUPLINGS.items())
    metrics = {
        "coupling.c_h1": Measurement(table[0, 1], None, "Hz"),
        "coupling.methyl": Measurement(table[6, 7], None, "Hz"),
        "coupling.off_estimates": Measurement(off, None, "Hz"),
        "butterfly.angle": Measurement(arrays["butterfly"][0], None, "rad"),
        "butterfly.overlap": Measurement(arrays["butterfly"][1]),
        "butterfly.off_ideal": Measurement(rms(np.diff(arrays["butterfly_echoes"], axis=0))),
        "sensitivity": Measurement(rms(arrays["pair.printed"])),
        "sensitivity_of_ring": Measurement(rms(arrays["ring.printed"])),
    }  # fmt: skip
    shared = min(config.points, len(ESTIMATED_CURVE))
    ours = arrays["toluene.printed"][:: config.fine][:shared]
    metrics["curve.off_estimates"] = Measurement(np.abs(ours - ESTIMATED_CURVE[:shared]).max())
    for reading in READINGS:
        moved = np.abs(arrays[f"only_bond.{reading}"][:_FIRST_POINTS]).max()
        metrics[f"only_bond.{reading}"] = Measurement(moved)
        time, height = _bump(arrays["times"], arrays[f"toluene.{reading}"])
        metrics[f"bump_ms.{reading}"] = Measurement(1e3 * time, None, "ms")
        metrics[f"bump_height.{reading}"] = Measurement(height)
        time_with_j, _ = _bump(arrays["times"], arrays[f"with_j.{reading}"])
        metrics[f"bump_ms_with_j.{reading}"] = Measurement(1e3 * time_with_j, None, "ms")
        near = (_bump(arrays["times"], c, PUBLISHED_BUMP) for c in arrays[f"angles.{reading}"])
        metrics[f"bump_at_published.{reading}"] = Measurement(max(b.prominence for b in near))
    return metrics


def _bump(times, curve, near: tuple[float, float] = (0.0, math.inf)) -> Maximum:
    """The bump of a curve, anywhere or near a time; zeros where there is none."""
    return most_prominent(times, curve, _LEAST_BUMP, near=near) or Maximum(0.0, 0.0)


@style()
def plot(outcome: Outcome) -> Figure:
    """Echoes of both molecules, what the Loschmidt echo lacks, and how that falls with the length of pulses."""
    return draw(outcome)
