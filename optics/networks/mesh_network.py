"""Networks of interferometer meshes: a mesh per layer, a function of the light between layers, detectors at the end.

    y_l = M(phase_l) x_l,    x_{l+1} = f(y_l),    I_p = |y_L,p|^2 at port p

as in Z. Zheng et al., "Dual adaptive training of photonic neural networks", Nat. Mach. Intell. 5, 1119-1129 (2023),
DOI 10.1038/s42256-023-00723-4, whose published code (github THPCILab/DAT_MPNN) fixes what the defaults here are: three
rectangular meshes of 64 ports, images as the 8 x 8 lowest spatial frequencies, the electro-optic function of Williamson
et al. in between, and the first ten ports over the norm of all intensities as logits. A network has what the rules of
`optics.learning` ask for (`optics.learning.protocols.Network`), with one flat vector of phases per layer.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from optics._checks import check_positive
from optics.waves.field import intensity

Activation = Callable[[Array], Array]


def electro_optic(
    field: Complex[Array, "*batch port"],
    *,
    tapped: float = 0.1,
    modulation: float = 0.05 * np.pi,
    bias: float = np.pi,
) -> Complex[Array, "*batch port"]:
    """Electro-optic activation: a tap of the light drives a modulator for the rest.

        f(z) = i sqrt(1 - a) exp(-i psi) cos(psi) z,    psi = (g |z|^2 + b) / 2

    I. A. D. Williamson et al., "Reprogrammable electro-optic nonlinear activation functions for optical neural
    networks", IEEE J. Sel. Top. Quantum Electron. 26, 7700412 (2020), DOI 10.1109/JSTQE.2019.2930455.

    Args:
        field: Amplitudes at the ports.
        tapped: Share a of the power that is tapped.
        modulation: Phase g per power, rad over the square of the unit of `field`.
        bias: Phase b without light, rad; pi blocks weak light.
    """
    psi = 0.5 * (modulation * intensity(field) + bias)
    return (1j * np.sqrt(1 - tapped) * jnp.exp(-1j * psi) * jnp.cos(psi) * field).astype(
        field.dtype
    )


class PortReadout(eqx.Module):
    """Detectors behind the ports: the first ones stand for the classes.

    Attributes:
        gain: Factor from the class intensities, over the root of the sum of all squared intensities, to logits.
        n_classes: Number of classes.
    """

    gain: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    n_classes: int = eqx.field(static=True)

    def powers(self, field: Complex[Array, "*batch port"]) -> Float[Array, "*batch classes"]:
        """Power at each class port."""
        return intensity(field)[..., : self.n_classes]

    def logits(self, field: Complex[Array, "*batch port"]) -> Float[Array, "*batch classes"]:
        """Class powers over the norm of all powers, times the gain; free of the brightness of the input."""
        power = intensity(field)
        norm = jnp.sqrt(jnp.sum(power**2, axis=-1, keepdims=True) + 1e-24)
        return self.gain * power[..., : self.n_classes] / norm

    def loss(
        self, field: Complex[Array, "*batch port"], labels: Int[Array, "*batch"]
    ) -> Float[Array, ""]:
        """Mean softmax cross-entropy."""
        log_shares = jax.nn.log_softmax(self.logits(field))
        return -jnp.mean(jnp.take_along_axis(log_shares, labels[..., None], axis=-1))

    def correct(self, field: Complex[Array, "*batch port"], labels: Int[Array, "*batch"]) -> Array:
        """True where the brightest class port is that of the label."""
        return jnp.argmax(self.powers(field), axis=-1) == labels


class MeshNetwork(eqx.Module):
    """Layers of meshes on one layout; the model of the hardware, without its errors.

    Attributes:
        phase: Commanded phases of each layer in the order of `core.pack`, rad.
        core: Nominal mesh, a map of fields that takes its phases from `unpack`; its own phases are not used.
        readout: Detectors and loss.
        activation: Function of the fields between layers, or None.
    """

    phase: Float[Array, "layer parameter"]
    core: Any
    readout: PortReadout
    activation: Activation | None = eqx.field(static=True, default=electro_optic)

    @property
    def amplitude(self) -> None:
        """None: meshes have phases only."""
        return None

    @property
    def n_layers(self) -> int:
        """Number of meshes."""
        return self.phase.shape[0]

    def activate(self, field: Complex[Array, "*batch port"]) -> Complex[Array, "*batch port"]:
        """Field loaded into the next layer."""
        return field if self.activation is None else self.activation(field)

    def layer(
        self,
        field: Complex[Array, "*batch port"],
        phase: Float[Array, " parameter"],
        amplitude: Array | None = None,
    ) -> Complex[Array, "*batch port"]:
        """Ideal model of one layer: its mesh."""
        del amplitude
        return self.core.unpack(phase)(field)

    def __call__(self, field: Complex[Array, "*batch port"]) -> Complex[Array, "*batch port"]:
        """Fields at the detectors, in the ideal model."""
        last = self.n_layers - 1

        def step(x, inputs):
            layer, phase = inputs
            y = self.layer(x, phase)
            return jnp.where(layer < last, self.activate(y), y), None

        return jax.lax.scan(step, field, (jnp.arange(self.n_layers), self.phase))[0]


def make_mesh_network(
    cores: Sequence[Any],
    n_classes: int,
    *,
    activation: Activation | None = electro_optic,
    gain: float = 1.0,
) -> MeshNetwork:
    """Network that starts from the phases of the given meshes.

    Args:
        cores: One mesh per layer, all of one layout and without errors: `optics.meshes.mesh.Mesh`, or a core made of
            one.
        n_classes: Number of classes.
        activation: Function between layers, or None.
        gain: See `PortReadout`; the published code uses 1.

    Raises:
        ValueError: If there is no mesh, or there are more classes than ports.
    """
    check_positive(gain, "gain")
    if not cores:
        raise ValueError("`cores` must hold at least one mesh, but is empty.")
    n_ports = cores[0].n_ports
    if not 1 <= n_classes <= n_ports:
        raise ValueError(
            f"`n_classes` must lie between 1 and the {n_ports} ports, but is {n_classes}."
        )
    phase = jnp.mod(jnp.stack([core.pack() for core in cores]), 2 * jnp.pi)
    readout = PortReadout(jnp.asarray(gain, phase.dtype), n_classes)
    return MeshNetwork(phase, cores[0], readout, activation)


def encode_low_frequencies(
    images: Array, side: int = 8, *, dtype=jnp.complex64
) -> Complex[Array, "*batch port"]:
    """Loads the lowest spatial frequencies of images: `side` x `side` of the centred Fourier transform, row by row.

    Each sample is divided by its mean modulus, which takes its brightness out (both as in the code of Zheng et al.
    2023).
    Frequency zero sits at row and column `side` // 2.

    Args:
        images: Grey values, axes (..., y, x).
        side: Frequencies a side; the number of ports is its square.
        dtype: complex64 or complex128.

    Raises:
        ValueError: If the images are smaller than `side`.
    """
    height, width = images.shape[-2:]
    if min(height, width) < side:
        raise ValueError(
            f"`side` must be at most the size of the images, {height} x {width}, but is {side}."
        )
    top, left = height // 2 - side // 2, width // 2 - side // 2
    spectrum = jnp.fft.fft2(images.astype(jnp.finfo(dtype).dtype))
    spectrum = jnp.fft.fftshift(spectrum, axes=(-2, -1))[..., top : top + side, left : left + side]
    ports = spectrum.reshape(*images.shape[:-2], side * side)
    mean = jnp.mean(jnp.abs(ports), axis=-1, keepdims=True)
    return (ports / jnp.maximum(mean, 1e-12)).astype(dtype)
