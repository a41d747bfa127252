"""Sizes and symmetry classes of the errors that separate a mesh of interferometers from its model, and their draws.

All elements of a mesh are reciprocal, so light sent backwards sees the transpose M^T whatever the errors: in-situ
back-propagation needs no symmetry. Fully forward mode sends the error into the inputs of a mirrored core, V V^T, and
needs both halves equal. The classes of `CATALOGUE` are about such a core:

- ``symmetric``: both halves change alike, the core stays its own transpose (mean loss, crosstalk, voltage steps);
- ``asymmetric``: drawn for each element, so the halves differ; a folded core, one mesh crossed twice, stays symmetric;
- ``weights``, ``measurement``: see `optics.hardware.imperfections`.

Phases are commanded modulo 2 pi and reach the chip as phi = gamma V^2 of a heater,

    V = quantised sqrt(phi), actual = (1 + g) V^2 + offset + sum_j kappa_ij phi_j + drift(t).

Sizes: splitters and phases as swept by Z. Zheng et al., Nat. Mach. Intell. 5, 1119 (2023), DOI
10.1038/s42256-023-00723-4 (0.02 to 0.11 rad; [S8]: github.com/THPCILab/DAT_MPNN); [memory] is not confirmed. The
presets are choices of this project. Left out: back-reflection, dispersion, heaters that saturate, the time a heater
takes.
"""

import dataclasses
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from optics._checks import check_choice, check_in_range
from optics._numbers import takes_numbers
from optics.hardware.imperfections import CatalogueEntry
from optics.meshes.mesh import Mesh

DRIFT_TERMS = 16  # Cosines whose sum is the drift of one phase; our choice.


@dataclass(frozen=True)
class MeshImperfections:
    """Sizes of all errors of one chip; zero or None means absent.

    Attributes:
        splitter_error: Standard deviation of each coupler angle about pi/4, left and right independent, rad.
        phase_error: Standard deviation of the static setting error of every phase, rad.
        loss_db: Mean insertion loss of a cell, dB of power.
        loss_spread_db: Standard deviation of the loss from arm to arm, dB; no arm amplifies.
        crosstalk: Share kappa of a heater's phase that appears at distance one, see `crosstalk_kernel`.
        crosstalk_range: Distance over which crosstalk falls by e beyond the nearest neighbour; our choice.
        voltage_bits: Bits of the converter that sets the voltage, full scale at 2 pi; None for continuous voltage.
        gamma_spread: Relative standard deviation of the heater coefficients gamma.
        drift: Standard deviation of the slow drift of every phase, rad.
        drift_time: Correlation time of the drift, in measurements; our choice.
        detector_noise: White noise of detectors at the ports, rms relative to the rms over ports of each sample.
        tap_noise: The same for the taps at the phase shifters.
    """

    splitter_error: float = 0.0
    phase_error: float = 0.0
    loss_db: float = 0.0
    loss_spread_db: float = 0.0
    crosstalk: float = 0.0
    crosstalk_range: float = 0.5
    voltage_bits: int | None = None
    gamma_spread: float = 0.0
    drift: float = 0.0
    drift_time: float = 1000.0
    detector_noise: float = 0.0
    tap_noise: float = 0.0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if field.name not in ("voltage_bits", "crosstalk_range", "drift_time"):
                check_in_range(getattr(self, field.name), field.name, 0, float("inf"))
        check_in_range(self.crosstalk, "crosstalk", 0, 1)
        for name in ("crosstalk_range", "drift_time"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be positive, but is {getattr(self, name):g}.")
        if self.voltage_bits is not None:
            hint = "None stands for a continuous voltage."
            check_in_range(self.voltage_bits, "voltage_bits", 1, 24, "bits", hint)

    @classmethod
    def preset(cls, name: str) -> "MeshImperfections":
        """Hardware by name: ideal, careful, chip or rough (choices of this project).

        Raises:
            ValueError: If there is no such preset.
        """
        check_choice(name, "preset", PRESETS)
        return PRESETS[name]


CATALOGUE: dict[str, CatalogueEntry] = {
    "splitter_error": CatalogueEntry(
        "rad", "0.01-0.05 typical foundry, 0.02-0.11 swept", "[memory], [S8]", "asymmetric"
    ),
    "phase_error": CatalogueEntry("rad", "0.01-0.1, 0.02-0.11 swept", "[S8]", "asymmetric"),
    "loss_db": CatalogueEntry("dB", "0.05-0.5 per cell", "[memory]", "symmetric"),
    "loss_spread_db": CatalogueEntry("dB", "0.05", "[memory]", "asymmetric"),
    "crosstalk": CatalogueEntry("1", "0.001-0.05 nearest neighbour", "[memory]", "symmetric"),
    "crosstalk_range": CatalogueEntry("steps", "choice of this project", "choice", "symmetric"),
    "voltage_bits": CatalogueEntry("bits", "8-16", "[memory]", "symmetric"),
    "gamma_spread": CatalogueEntry("1", "0.001-0.01", "[memory]", "asymmetric"),
    "drift": CatalogueEntry(
        "rad", "programmed values drift by 0.010-0.012 % sd", "[seed]", "asymmetric"
    ),
    "drift_time": CatalogueEntry("measurements", "choice of this project", "choice", "asymmetric"),
    "detector_noise": CatalogueEntry("1", "choice of this project", "choice", "measurement"),
    "tap_noise": CatalogueEntry("1", "choice of this project", "choice", "measurement"),
}

PRESETS: dict[str, MeshImperfections] = {
    # All are choices of this project, inside the ranges of the catalogue.
    "ideal": MeshImperfections(),
    "careful": MeshImperfections(
        splitter_error=0.01,
        phase_error=0.01,
        loss_db=0.05,
        loss_spread_db=0.005,
        crosstalk=0.001,
        voltage_bits=16,
        gamma_spread=0.001,
        drift=1e-4,
        detector_noise=0.003,
        tap_noise=0.01,
    ),
    "chip": MeshImperfections(
        splitter_error=0.03,
        phase_error=0.03,
        loss_db=0.2,
        loss_spread_db=0.05,
        crosstalk=0.01,
        voltage_bits=12,
        gamma_spread=0.005,
        drift=1e-4,
        detector_noise=0.01,
        tap_noise=0.03,
    ),
    "rough": MeshImperfections(
        splitter_error=0.1,
        phase_error=0.1,
        loss_db=0.5,
        loss_spread_db=0.05,
        crosstalk=0.05,
        voltage_bits=8,
        gamma_spread=0.01,
        drift=1e-3,
        detector_noise=0.03,
        tap_noise=0.1,
    ),
}


class Drift(eqx.Module):
    """Slow change of the phases of one mesh, a sum of cosines for each.

    Attributes:
        amplitude: Of each cosine, rad.
        rate: Angular frequencies, rad per measurement.
        phase: Phases at time 0, rad.
    """

    amplitude: Float[Array, ""]
    rate: Float[Array, "term parameter"]
    phase: Float[Array, "term parameter"]

    def __call__(self, time: int | Array) -> Float[Array, " parameter"]:
        """Change of every phase at a measurement number, rad."""
        return self.amplitude * jnp.sum(jnp.cos(self.rate * time + self.phase), axis=0)


class PhaseControl(eqx.Module):
    """What stands between the commanded and the actual phases of one mesh; build it with `draw_control`.

    Attributes:
        gain: Relative heater coefficients, 1 + g.
        offset: Static setting errors, rad.
        kernel: Crosstalk by distance along and across the mesh, or None.
        drift: Slow change with time, or None.
        mesh: Layout to which the phases belong; its own phases are not used.
        levels: Number of voltage steps, or None.
    """

    gain: Float[Array, " parameter"]
    offset: Float[Array, " parameter"]
    kernel: Float[Array, "across along"] | None
    drift: Drift | None
    mesh: Mesh
    levels: int | None = eqx.field(static=True)

    @takes_numbers
    def actual(
        self, phases: Float[Array, " parameter"], time: int | Array = 0
    ) -> Float[Array, " parameter"]:
        """Phases on the chip for commanded ones, rad, at a measurement number."""
        heat = jnp.mod(phases, 2 * jnp.pi)
        if self.levels is not None:
            # Rounding has no derivative; the identity stands in for it.
            step = jnp.round(jnp.sqrt(heat / (2 * jnp.pi)) * self.levels) / self.levels
            heat = heat + jax.lax.stop_gradient(2 * jnp.pi * step**2 - heat)
        heat = self.gain * heat
        actual = heat + self.offset
        if self.kernel is not None:
            actual = actual + spread_heat(self.mesh, heat, self.kernel)
        return actual if self.drift is None else actual + self.drift(time)


def crosstalk_kernel(kappa: float | int, decay_range: float | int) -> np.ndarray:
    """Crosstalk kappa exp(-(d - 1) / range) at distance d, zero at the heater itself.

    Distance is Euclidean in steps of a grid: across the mesh one port, along it one row of shifters, where phi and
    theta of a column are neighbours. Cut off where it is below kappa / 100, at the earliest beyond the next neighbour.
    """
    reach = max(1, int(np.ceil(1 + decay_range * np.log(100))))
    steps = np.arange(-reach, reach + 1)
    distance = np.hypot(steps[:, None], steps[None, :])
    kernel = kappa * np.exp(-(distance - 1) / decay_range)
    return np.where((distance == 0) | (kernel < kappa / 100), 0.0, kernel)


@takes_numbers
def spread_heat(
    mesh: Mesh, heat: Float[Array, " parameter"], kernel: Float[Array, "across along"]
) -> Float[Array, " parameter"]:
    """Phase that every shifter receives from the heaters of all others, in the order of `Mesh.pack`."""
    column, slot = np.nonzero(mesh.present)
    port = 2 * slot + column % 2
    n_columns = mesh.present.shape[0]
    along = np.concatenate([2 * column + 1, 2 * column, np.full(mesh.n_ports, 2 * n_columns)])
    across = np.concatenate([port, port, np.arange(mesh.n_ports)])
    grid = jnp.zeros((mesh.n_ports, 2 * n_columns + 1), heat.dtype).at[across, along].set(heat)
    padding = [(n // 2, n // 2) for n in kernel.shape]
    warmed = jax.lax.conv_general_dilated(
        grid[None, None], kernel[::-1, ::-1][None, None].astype(heat.dtype), (1, 1), padding
    )
    return warmed[0, 0][across, along]


def draw_mesh(mesh: Mesh, hardware: MeshImperfections, *, key: PRNGKeyArray) -> Mesh:
    """Same phases, with splitter errors and losses drawn; the same key gives the same chip."""
    size, shape, real = hardware, mesh.present.shape, mesh.theta.dtype
    left, right, arms = jax.random.split(key, 3)
    errors: list[Array | None] = [None, None, None]
    if size.splitter_error:
        errors[:2] = [
            size.splitter_error * jax.random.normal(k, shape, real) for k in (left, right)
        ]
    if size.loss_db or size.loss_spread_db:
        spread = size.loss_spread_db * jax.random.normal(arms, (*shape, 2), real)
        errors[2] = jnp.maximum(size.loss_db + spread, 0)
    return Mesh(mesh.theta, mesh.phi, mesh.output_phase, *errors, layout=mesh.layout)


def draw_control(mesh: Mesh, hardware: MeshImperfections, *, key: PRNGKeyArray) -> PhaseControl:
    """Draws heaters and drift for one mesh; the same key gives the same chip.

    The drift of a phase is a sum of cosines whose rates follow the Lorentzian spectrum of an Ornstein-Uhlenbeck walk,
    so that over chips its autocorrelation is drift^2 exp(-|t| / drift_time), and any measurement number can be asked.
    """
    size, n, real = hardware, mesh.n_parameters, mesh.theta.dtype
    keys = jax.random.split(key, 4)
    terms = (DRIFT_TERMS, n)
    drift = None
    if size.drift:
        drift = Drift(
            jnp.asarray(size.drift * np.sqrt(2 / DRIFT_TERMS), real),
            jax.random.cauchy(keys[2], terms, real) / size.drift_time,
            jax.random.uniform(keys[3], terms, real, maxval=2 * np.pi),
        )
    kernel = None
    if size.crosstalk:
        kernel = jnp.asarray(crosstalk_kernel(size.crosstalk, size.crosstalk_range), real)
    return PhaseControl(
        gain=1 + size.gamma_spread * jax.random.normal(keys[0], (n,), real),
        offset=size.phase_error * jax.random.normal(keys[1], (n,), real),
        kernel=kernel,
        drift=drift,
        mesh=mesh,
        levels=None if size.voltage_bits is None else 2**size.voltage_bits - 1,
    )
