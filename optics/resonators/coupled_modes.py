"""Coupled resonator modes with gain and loss, their scattering spectra, and an opaque device to search on.

    i da/dt = H a - (i/2) W W^T a + W s_in,   s_out = s_in - i W^T a,   time factor exp(-i omega t)
    S(omega) = 1 - i W^T G W,   G = (omega - Omega)^-1,   Omega = H - (i/2) W W^T

H holds the modes' own frequencies and losses, H_jj = omega_j - i gamma_j (gamma < 0 is gain), and their couplings; what
leaves through the ports is not in H but in W W^T. All rates are angular, rad/s, and frequencies are counted from the
carrier. For H = H^T the device is reciprocal, S = S^T; for H Hermitian as well, S is unitary. Poles are the
eigenvalues of Omega; a device with a pole on or above the real axis lases and has no linear spectrum.
Sources: W. Suh, Z. Wang, S. Fan, IEEE J. Quantum Electron. 40, 1511 (2004), DOI 10.1109/JQE.2004.834773 (temporal
coupled-mode theory with many modes and ports).
Left out: frequency dependence of couplings, gain saturation, Kerr shifts.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from optics._checks import (
    check_finite,
    check_in_range,
    check_positive,
    check_shape,
)
from optics._numbers import as_complex, as_real, into, refuse_traced_key, takes_numbers
from optics.hardware.opaque import add_noise, opaque
from optics.resonators.small_matrices import (
    characteristic_polynomial,
    polynomial_roots,
    solve,
)

_LARGEST_POLYNOMIAL = (
    4  # Modes; of 16 in single precision the slowest decay came out 4 to 40 % wrong.
)


class CoupledModes(eqx.Module):
    """Modes, their couplings and their ports.

    Attributes:
        hamiltonian: H without the loss into the ports, rad/s.
        ports: Port couplings W, square roots of rates in rad/s; column m belongs to port m.
    """

    hamiltonian: Complex[Array, "mode mode"] = eqx.field(converter=into(as_complex, "hamiltonian"))
    ports: Float[Array, "mode port"] = eqx.field(converter=into(as_real, "ports"))

    def effective(self) -> Complex[Array, "mode mode"]:
        """Omega = H - (i/2) W W^T, rad/s."""
        return self.hamiltonian - 0.5j * self.ports @ self.ports.T

    def poles(self) -> Complex[Array, " mode"]:
        """Complex resonance frequencies, rad/s; negative imaginary part is decay.

        Up to four modes by the characteristic polynomial, whose derivative stays finite where poles run together in a
        group that is observed as a whole; beyond, its coefficients hold too few digits, and they are eigenvalues.
        Frequencies are taken from their mean; still, counted from zero instead of the carrier, light in single
        precision has no more than 10 MHz to give.
        """
        effective = self.effective()
        n = len(effective)
        centre = jnp.trace(effective) / n
        about = effective - centre * jnp.eye(n, dtype=effective.dtype)
        size = jnp.max(jnp.abs(about))
        size = jnp.where(size > 0, size, 1)
        if n <= _LARGEST_POLYNOMIAL:
            return centre + size * polynomial_roots(characteristic_polynomial(about / size))
        return centre + size * jnp.linalg.eigvals(about / size)

    @takes_numbers
    def fields(
        self, frequency: Float[Array, " freq"], drive: Complex[Array, "freq port wave"]
    ) -> Complex[Array, "freq mode wave"]:
        """Internal amplitudes a = G W s_in, for several incoming waves at each frequency."""
        omega = (
            frequency[:, None, None] * jnp.eye(len(self.hamiltonian), dtype=frequency.dtype)[None]
        )
        return solve(omega - self.effective()[None], self.ports[None] @ drive)

    @takes_numbers
    def scatter(
        self, frequency: Float[Array, " freq"], drive: Complex[Array, "freq port wave"]
    ) -> Complex[Array, "freq port wave"]:
        """Outgoing amplitudes s_out = S s_in."""
        return drive - 1j * self.ports.T[None] @ self.fields(frequency, drive)

    @takes_numbers
    def scattering(self, frequency: Float[Array, " freq"]) -> Complex[Array, "freq port port"]:
        """Scattering matrix S(omega)."""
        return self.scatter(frequency, one_port_at_a_time(frequency, self.ports.shape[1]))


def one_port_at_a_time(frequency, n_ports: int) -> Array:
    """Incoming waves that read the columns of S, one sweep for each port."""
    dtype = jnp.result_type(frequency.dtype, jnp.complex64)
    return jnp.broadcast_to(jnp.eye(n_ports, dtype=dtype), (frequency.size, n_ports, n_ports))


def two_mode_poles(frequency_1, frequency_2, loss_1, loss_2, coupling):
    """Closed form of the two poles: mean +- sqrt(k^2 + ((w1 - w2) - i (g1 - g2))^2 / 4).

    Args:
        frequency_1: Frequency of the first mode, rad/s; likewise the second.
        frequency_2: See `frequency_1`.
        loss_1: Amplitude decay rate of the first mode, ports included, rad/s; negative is gain.
        loss_2: See `loss_1`.
        coupling: Coupling rate k, rad/s.

    Returns:
        Poles, rad/s, "+" first, on a new last axis.
    """
    first = jnp.asarray(frequency_1 - 1j * jnp.asarray(loss_1))
    second = jnp.asarray(frequency_2 - 1j * jnp.asarray(loss_2))
    half = jnp.sqrt(coupling**2 + (first - second) ** 2 / 4)
    return jnp.stack([(first + second) / 2 + half, (first + second) / 2 - half], axis=-1)


@dataclass(frozen=True)
class ModeSheet:
    """Data sheet of a chain of resonators, each coupled to its neighbours and tapped by a port of its own.

    All numbers are choices of this project: the paper gives no system.

    Attributes:
        n_modes: Number of modes and of ports.
        coupling_rad_per_s: Coupling between neighbours, rad/s.
        port_rate_rad_per_s: Power decay rate of each mode into its port, rad/s; the amplitude decays with half of it.
        max_detuning_rad_per_s: Heaters reach this far to either side, rad/s.
        max_gain_rad_per_s: Largest gain that can be commanded, rad/s.
        max_loss_rad_per_s: Largest loss that can be commanded, rad/s.
    """

    n_modes: int = 2
    coupling_rad_per_s: float = 2 * np.pi * 5e9
    port_rate_rad_per_s: float = 2 * np.pi * 10e9
    max_detuning_rad_per_s: float = 2 * np.pi * 200e9
    max_gain_rad_per_s: float = 2 * np.pi * 8e9
    max_loss_rad_per_s: float = 2 * np.pi * 40e9

    def __post_init__(self):
        if self.n_modes < 2:
            raise ValueError(f"`n_modes` must be at least 2, but is {self.n_modes}.")
        for name in ("coupling", "port_rate", "max_detuning", "max_gain", "max_loss"):
            check_positive(getattr(self, f"{name}_rad_per_s"), f"{name}_rad_per_s", "rad/s")

    @takes_numbers
    def clip(self, command: Complex[Array, "*batch mode"]) -> Complex[Array, "*batch mode"]:
        """Nearest command within reach."""
        reach = self.max_detuning_rad_per_s
        loss = jnp.clip(-jnp.imag(command), -self.max_gain_rad_per_s, self.max_loss_rad_per_s)
        return jax.lax.complex(jnp.clip(jnp.real(command), -reach, reach), -loss)


@dataclass(frozen=True)
class ModeImperfections:
    """Sizes of what the data sheet does not say; standard deviations over modes (choices of this project).

    Attributes:
        offset: Detuning and loss at command zero, in units of the coupling.
        gain: Relative error of the slope of each control.
        crosstalk: Part of a command that reaches each neighbour (heat, carriers), as given.
        curvature: Relative change of the slope of the loss control at its end of range.
        coupling: Relative error of each coupling.
        port: Relative error of each port rate.
        field_noise: Noise of each measured amplitude, rms relative to the incoming amplitude of the sweep.
    """

    offset: float | int = 1.0
    gain: float | int = 0.1
    crosstalk: float | int = 0.05
    curvature: float | int = 0.2
    coupling: float | int = 0.1
    port: float | int = 0.1
    field_noise: float | int = 1e-3

    def __post_init__(self):
        for name in ("offset", "gain", "curvature", "coupling", "port", "field_noise"):
            check_in_range(getattr(self, name), name, 0, float("inf"))


class ModeTwin(eqx.Module):
    """Physics of one drawn device, differentiable, so hidden from searchers; build it with `draw_mode_twin`."""

    couplings: Float[Array, "mode mode"]
    ports: Float[Array, "mode port"]
    offset: Complex[Array, " mode"]
    gain: Float[Array, "control mode"]
    crosstalk: Float[Array, "mode mode"]
    curvature: Float[Array, " mode"]
    field_noise: Float[Array, ""]

    @takes_numbers
    def modes(self, command: Complex[Array, " mode"]) -> CoupledModes:
        """Modes that a command really gives; `command` is detuning - i loss of each mode, rad/s."""
        detuning = self.gain[0] * jnp.real(command)
        loss = -self.gain[1] * jnp.imag(command)
        loss = loss * (1 + self.curvature * loss)
        own = self.crosstalk @ jax.lax.complex(detuning, -loss) + self.offset
        return CoupledModes(self.couplings + jnp.diag(own), self.ports)


def draw_mode_twin(
    sheet: ModeSheet, hardware: ModeImperfections, *, key: PRNGKeyArray, dtype=jnp.complex64
) -> ModeTwin:
    """Draws one device; the same key gives the same device.

    Args:
        sheet: Nominal device.
        hardware: Sizes of the hardware.
        key: PRNG key of the draw.
        dtype: complex64 or complex128.
    """
    refuse_traced_key(key)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())
    n, k = sheet.n_modes, sheet.coupling_rad_per_s
    neighbours = k * (1 + hardware.coupling * rng.standard_normal(n - 1))
    rates = sheet.port_rate_rad_per_s * np.exp(hardware.port * rng.standard_normal(n))
    offset = hardware.offset * k * rng.standard_normal((2, n))
    adjacent = np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)
    real = jnp.finfo(dtype).dtype
    return ModeTwin(
        couplings=jnp.asarray(np.diag(neighbours, 1) + np.diag(neighbours, -1), real),
        ports=jnp.asarray(np.diag(np.sqrt(rates)), real),
        # An offset of the loss is an absolute value: a resonator at rest has no gain.
        offset=jnp.asarray(offset[0] - 1j * np.abs(offset[1]), dtype),
        gain=jnp.asarray(np.exp(hardware.gain * rng.standard_normal((2, n))), real),
        crosstalk=jnp.asarray(np.eye(n) + hardware.crosstalk * adjacent, real),
        curvature=jnp.asarray(
            hardware.curvature * rng.standard_normal(n) / sheet.max_loss_rad_per_s, real
        ),
        field_noise=jnp.asarray(hardware.field_noise, real),
    )


class ModeBench(eqx.Module):
    """One device behind a vector network analyser: commands and waves go in, noisy amplitudes come out.

    Attributes:
        sheet: Nominal device, as on the data sheet.
    """

    _twin: ModeTwin = eqx.field(repr=False)
    sheet: ModeSheet = eqx.field(static=True)

    def __init__(self, sheet: ModeSheet, twin: ModeTwin):
        """Puts a drawn device behind the counter."""
        check_shape(
            twin.offset, "twin", (sheet.n_modes,), "Draw the twin from the same data sheet."
        )
        self._twin = twin
        self.sheet = sheet

    def quiet(self) -> "ModeBench":
        """The same device without noise of the analyser, for the experimenter; its errors stay."""
        silent = eqx.tree_at(
            lambda twin: twin.field_noise, self._twin, jnp.zeros_like(self._twin.field_noise)
        )
        return ModeBench(self.sheet, silent)

    def reveal(self) -> ModeTwin:
        """What stands behind the counter, for the experimenter who set it up; a searcher must not ask."""
        return self._twin

    @takes_numbers
    def measure(
        self,
        command: Complex[Array, " mode"],
        frequency: Float[Array, " freq"],
        drive: Complex[Array, "freq port wave"],
        *,
        key: PRNGKeyArray,
    ) -> Complex[Array, "freq port wave"]:
        """Sweeps the laser once for each incoming wave and records the outgoing amplitude at every port.

        Args:
            command: Detuning - i loss of each mode by the data sheet, rad/s; clipped to the reach of the controls.
            frequency: Frequencies of the sweep from the carrier, rad/s.
            drive: Incoming amplitudes.
            key: PRNG key of the noise.

        Returns:
            Outgoing amplitudes; NaN where the device lases under this command.

        Raises:
            ValueError: If a shape does not match the device or an input is not finite.
            TypeError: If differentiated.
        """
        hint = "The device has one port for each mode."
        check_shape(command, "command", (self.sheet.n_modes,), hint)
        check_shape(drive, "drive", (frequency.size, self.sheet.n_modes, drive.shape[-1]), hint)
        for value, name in ((command, "command"), (frequency, "frequency"), (drive, "drive")):
            check_finite(value, name)
        modes = self._twin.modes(self.sheet.clip(command))
        truth = modes.scatter(frequency, drive)
        # The analyser sets its range by the strongest incoming amplitude of a sweep.
        level = jnp.max(jnp.linalg.norm(drive, axis=1, keepdims=True), axis=0, keepdims=True)
        noisy = add_noise(truth, self._twin.field_noise, key=key, level=level)
        lases = jnp.any(jnp.imag(modes.poles()) >= 0)
        fix = "Use `optics.resonators.exceptional_points.search`"
        return opaque(jnp.where(lases, jnp.nan, noisy), "ModeBench", fix)
