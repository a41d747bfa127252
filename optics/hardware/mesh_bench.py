"""Opaque chip: fields and phases go in, measured fields come out, nothing else.

`MeshBench` is to a mesh of interferometers what `optics.hardware.bench.OpticalBench` is to a modulator and free space:
what a learner holds in place of hardware. It knows the data sheet (`core`, the nominal mesh), sets commanded phases
through imperfect heaters, and measures amplitudes at the ports, forwards or backwards, or through taps at the phase
shifters. It has no derivative and keeps the drawn errors to itself. Detection is coherent, `FRAMES_PER_FIELD`
exposures a field; its noise is white and Gaussian. Noise sizes are choices of this project; other error sizes:
`optics.hardware.mesh_imperfections`.

Any core can stand behind the bench: the bench asks its twin for the core that results from commanded weights, and the
core for fields. Left out: errors of the modulators that load the fields, drift of laser and reference.
"""

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, PRNGKeyArray, PyTree

from optics._checks import check_finite, check_in_range, check_shape, is_concrete
from optics._numbers import takes_numbers
from optics.hardware.mesh_imperfections import (
    MeshImperfections,
    PhaseControl,
    draw_control,
    draw_mesh,
)
from optics.hardware.opaque import add_noise, opaque
from optics.meshes.mesh import Mesh, check_ports
from optics.waves.field import intensity


@runtime_checkable
class Core(Protocol):
    """Something with ports that light crosses: `optics.meshes.mesh.Mesh`, or a core made of meshes."""

    @property
    def n_ports(self) -> int:
        """Number of ports."""
        ...

    @property
    def n_parameters(self) -> int:
        """Length of the vector of commanded phases."""
        ...

    def __call__(self, fields: Any, /) -> Array:
        """Fields at the outputs."""
        ...

    def backward(self, fields: Any, /) -> Array:
        """Fields at the inputs for light sent into the outputs."""
        ...

    def internal_fields(self, fields: Any, /) -> Any:
        """Fields at the phase shifters; with `backward=True` for light sent into the outputs, where offered."""
        ...


@runtime_checkable
class Twin(Protocol):
    """Drawn hardware: turns commanded weights into the core that light meets."""

    def realise(self, phase: Array, amplitude: Array | None, time: Any) -> Core:
        """Core for commanded phases (rad) and attenuations at a measurement number."""
        ...


class MeshTwin(eqx.Module):
    """One drawn chip; build it with `draw_mesh_twin`.

    Attributes:
        core: Mesh with its errors, whose phases are replaced at each measurement.
        control: From commanded to actual phases.
    """

    core: Mesh
    control: PhaseControl

    def realise(self, phase, amplitude, time) -> Mesh:
        """See `Twin`."""
        if amplitude is not None:
            raise ValueError("`amplitude` must be None, since a mesh has phases only.")
        return self.core.unpack(self.control.actual(phase, time))


class MeshBench(eqx.Module):
    """One chip, opaque to whoever trains on it.

    Attributes:
        core: Nominal core, as on the data sheet; its phases are not used.
    """

    _twin: Any = eqx.field(repr=False)
    _detector_noise: Float[Array, ""] | None = eqx.field(repr=False)
    _tap_noise: Float[Array, ""] | None = eqx.field(repr=False)
    core: Any

    def __init__(
        self,
        core: Core,
        twin: Twin,
        *,
        detector_noise: float | int = 0.0,
        tap_noise: float | int = 0.0,
    ):
        """Puts a twin behind the counter.

        Args:
            core: Nominal core.
            twin: The drawn hardware.
            detector_noise: Noise at the ports, rms relative to the rms over ports of each sample; 0 draws none.
            tap_noise: The same at the taps, relative to the rms over the shifters of one kind.

        Raises:
            ValueError: If a noise is negative.
        """
        for name, size in (("detector_noise", detector_noise), ("tap_noise", tap_noise)):
            check_in_range(size, name, 0, float("inf"))
        self.core = core
        self._twin = twin
        # Random numbers for a noise of nothing would cost more than the light.
        self._detector_noise, self._tap_noise = (
            None if is_concrete(size) and size == 0 else jnp.asarray(size, float)
            for size in (detector_noise, tap_noise)
        )

    @takes_numbers
    def measure_field(
        self,
        field: Complex[Array, "*batch port"],
        phase: Float[Array, " parameter"],
        amplitude: Float[Array, " channel"] | None = None,
        *,
        key: PRNGKeyArray,
        time: int | Array = 0,
    ) -> Complex[Array, "*batch port"]:
        """Sets the phases, sends light into the inputs, and measures the amplitudes at the outputs.

        Args:
            field: Amplitudes at the inputs; any scale.
            phase: Commanded phases in the order of `core.pack`, rad; taken modulo 2 pi.
            amplitude: Commanded attenuations, for a core that has them.
            key: PRNG key of the noise.
            time: Number of the measurement since the chip was switched on; the phases drift with it.

        Raises:
            ValueError: If shapes do not match the core or something is not finite.
            TypeError: If differentiated.
        """
        core = self._set(field, phase, amplitude, time)
        return _measured(core(field), self._detector_noise, key)

    @takes_numbers
    def measure_field_backward(
        self,
        field: Complex[Array, "*batch port"],
        phase: Float[Array, " parameter"],
        amplitude: Float[Array, " channel"] | None = None,
        *,
        key: PRNGKeyArray,
        time: int | Array = 0,
    ) -> Complex[Array, "*batch port"]:
        """Like `measure_field`, with light sent into the outputs and measured at the inputs."""
        core = self._set(field, phase, amplitude, time)
        return _measured(core.backward(field), self._detector_noise, key)

    @takes_numbers
    def measure_intensity(
        self,
        field: Complex[Array, "*batch port"],
        phase: Float[Array, " parameter"],
        amplitude: Float[Array, " channel"] | None = None,
        *,
        key: PRNGKeyArray,
        time: int | Array = 0,
    ) -> Float[Array, "*batch port"]:
        """Like `measure_field`, but one exposure: powers at the outputs, noise relative to their rms."""
        core = self._set(field, phase, amplitude, time)
        return _measured(intensity(core(field)), self._detector_noise, key)

    @takes_numbers
    def measure_taps(
        self,
        field: Complex[Array, "*batch port"],
        phase: Float[Array, " parameter"],
        *,
        key: PRNGKeyArray,
        time: int | Array = 0,
        backward: bool = False,
    ) -> PyTree[Complex[Array, "..."]]:
        """Amplitudes at all phase shifters, by taps that take no light worth mentioning.

        Args:
            field: Amplitudes at the inputs, or at the outputs if `backward`.
            phase: Commanded phases, rad.
            key: PRNG key of the noise.
            time: Number of the measurement.
            backward: Sends the light from the outputs, for a core that offers it.

        Returns:
            What `core.internal_fields` returns, with noise.
        """
        core = self._set(field, phase, None, time)
        # A symmetric core has no backward direction worth a keyword.
        taps = (
            core.internal_fields(field, backward=True) if backward else core.internal_fields(field)
        )
        leaves, tree = jax.tree.flatten(taps)
        keys = jax.random.split(key, len(leaves))
        inner = [leaf.ndim - field.ndim + 1 for leaf in leaves]
        noisy = [
            _measured(leaf, self._tap_noise, k, axes)
            for leaf, k, axes in zip(leaves, keys, inner, strict=True)
        ]
        return jax.tree.unflatten(tree, noisy)

    def quiet(self) -> "MeshBench":
        """The same hardware without noise of detectors and taps, for the experimenter; errors and drifts stay."""
        return MeshBench(self.core, self._twin)

    def reveal(self) -> Twin:
        """What stands behind the counter, for the experimenter who set it up; a learner must not ask."""
        return self._twin

    def _set(self, field, phase, amplitude, time):
        check_ports(field, "field", self.core.n_ports)
        hint = "One phase per shifter, in the order of `core.pack`."
        check_shape(phase, "phase", (self.core.n_parameters,), hint)
        check_finite(field, "field")
        check_finite(phase, "phase")
        return self._twin.realise(phase, amplitude, time)


def _measured(values, size, key, axes: int = 1):
    return opaque(add_noise(values, size, key=key, axes=axes), "MeshBench")


def draw_mesh_twin(mesh: Mesh, hardware: MeshImperfections, *, key: PRNGKeyArray) -> MeshTwin:
    """Draws one chip with the given sizes of errors.

    Args:
        mesh: Nominal mesh.
        hardware: Sizes of the errors.
        key: PRNG key of the draw; the same key gives the same chip.
    """
    chip_key, control_key = jax.random.split(key)
    return MeshTwin(
        draw_mesh(mesh, hardware, key=chip_key),
        draw_control(mesh, hardware, key=control_key),
    )


def draw_mesh_bench(mesh: Mesh, hardware: MeshImperfections, *, key: PRNGKeyArray) -> MeshBench:
    """Draws one chip and hides it; see `draw_mesh_twin`."""
    return MeshBench(
        mesh,
        draw_mesh_twin(mesh, hardware, key=key),
        detector_noise=hardware.detector_noise,
        tap_noise=hardware.tap_noise,
    )
