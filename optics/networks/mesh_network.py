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
from jaxtyping import Array, Complex, Float

from optics._checks import check_positive
from optics._numbers import takes_numbers
from optics.networks.activations import electro_optic
from optics.networks.readout import PortReadout

Activation = Callable[[Array], Array]


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

    @takes_numbers
    def activate(self, field: Complex[Array, "*batch port"]) -> Complex[Array, "*batch port"]:
        """Field loaded into the next layer."""
        return field if self.activation is None else self.activation(field)

    @takes_numbers
    def layer(
        self,
        field: Complex[Array, "*batch port"],
        phase: Float[Array, " parameter"],
        amplitude: Array | None = None,
    ) -> Complex[Array, "*batch port"]:
        """Ideal model of one layer: its mesh."""
        del amplitude
        return self.core.unpack(phase)(field)

    @takes_numbers
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
