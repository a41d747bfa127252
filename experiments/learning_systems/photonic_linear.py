"""Linear maps of learning systems on light: the one place where `optics` and `nn` meet.

A model of `nn` is built of `AbstractLinear` maps and does not know what carries them; `replace_linear(model,
partial(on_meshes, ...))` puts simulated photonic cores in their place. Two carriers:

- `MeshLinear`: singular values, W = U S V^T with U and V^T on meshes of interferometers and S on attenuators between
  them (D. A. B. Miller, Photonics Research 1, 1 (2013), DOI 10.1364/PRJ.1.000001). Any matrix, exact without errors.
- `DiffractiveLinear`: phase masks with free space between them, trained until the amplitudes at the output ports are
  W times those at the input ports; as good as the number of phases allows.

Inputs are amplitudes of one phase, outputs are read by homodyne detection, so that signs survive; one gain and the
bias are electronics. Encoding and read-out are our choice. They forgive splitters: for a real matrix every cell
of the mesh is real up to the phases that the next one takes back, and what a small error of a splitter adds is i times
a real matrix, which homodyne detection does not see, so that it acts in second order. Errors of the internal phases act
in first order.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.harness.training import train
from nn.layers import AbstractLinear, Dense
from nn.training import adamw
from optics.hardware import MeshImperfections
from optics.hardware.mesh_imperfections import draw_control, draw_mesh
from optics.media import Geometry
from optics.meshes import Mesh
from optics.meshes.decomposition import SingularValueCore, decompose_matrix
from optics.networks import DiffractiveNetwork, IntensityTarget, make_network


class MeshLinear(AbstractLinear):
    """A map on two meshes with attenuators between them, as one chip has them, errors included.

    Attributes:
        core: Meshes with the phases and errors of the chip; trainable, like the weights of `Dense`.
        bias: Bias, added in electronics, or None.
        detector_noise: White noise of the detectors, rms relative to the rms over ports of each sample.
    """

    core: SingularValueCore
    bias: Float[Array, " n_out"] | None
    detector_noise: float = eqx.field(static=True, default=0.0)
    n_in: int = eqx.field(static=True, default=0)
    n_out: int = eqx.field(static=True, default=0)

    def __call__(
        self, x: Float[Array, "*batch n_in"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch n_out"]:
        """Sends amplitudes through the core.

        Raises:
            ValueError: If the detectors are noisy and there is no key.
        """
        # Light does not know half precision: at least complex64.
        dtype = jnp.result_type(x.dtype, jnp.complex64)
        y = jnp.real(self.core(x.astype(dtype)))
        if self.detector_noise:
            if key is None:
                raise ValueError(
                    "`key` must be a PRNG key, since the detectors are noisy, but is None."
                )
            rms = jnp.sqrt(jnp.mean(y**2, axis=-1, keepdims=True))
            y = y + self.detector_noise * rms * jax.random.normal(key, y.shape, y.dtype)
        return _with_bias(y.astype(x.dtype), self.bias)


def on_meshes(
    name: str,
    linear: AbstractLinear,
    *,
    hardware: MeshImperfections,
    key: PRNGKeyArray,
    calibrate: bool = True,
) -> MeshLinear | None:
    """Programs a chip with the weights of a dense map; for `replace_linear`.

    Args:
        name: Path of the map in the model; each path gets a chip of its own.
        linear: What is there now; anything but a `Dense` map of at least 2 x 2 stays.
        hardware: Errors of the chips; the phases are set as if there were none.
        key: PRNG key of the chips.
        calibrate: Sets the gain by least squares, as one measurement of the matrix would: mean loss then costs no
            accuracy. Otherwise it is the largest singular value.
    """
    if not isinstance(linear, Dense) or min(linear.n_in, linear.n_out) < 2:
        return None
    key = jax.random.fold_in(key, hash_of(name))
    if linear.weight.ndim == 2:
        core = _programmed(linear.weight.T, hardware, key, calibrate)
    else:  # a stack of layers
        cores = [
            _programmed(weight.T, hardware, jax.random.fold_in(key, place), calibrate)
            for place, weight in enumerate(linear.weight)
        ]
        core = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cores)
    return MeshLinear(
        core=core,
        bias=linear.bias,
        detector_noise=hardware.detector_noise,
        n_in=linear.n_in,
        n_out=linear.n_out,
    )


def hash_of(name: str) -> int:
    """A number below 2^31 from a path, the same in every process, which `hash` is not."""
    number = 0
    for letter in name.encode():
        number = (31 * number + letter) % (2**31 - 1)
    return number


def _programmed(matrix, hardware: MeshImperfections, key, calibrate: bool) -> SingularValueCore:
    core = decompose_matrix(matrix)
    keys = jax.random.split(key, 2)
    left, right = (
        _on_chip(mesh, hardware, k) for mesh, k in zip((core.left, core.right), keys, strict=True)
    )
    core = SingularValueCore(right, core.attenuation, left, core.gain)
    if not calibrate:
        return core
    got = np.real(np.asarray(core.matrix()))
    factor = np.vdot(got, np.asarray(matrix)) / np.vdot(got, got)
    return eqx.tree_at(lambda c: c.gain, core, core.gain * jnp.asarray(factor, core.gain.dtype))


def _on_chip(mesh: Mesh, hardware: MeshImperfections, key) -> Mesh:
    drawn, heaters = jax.random.split(key)
    control = draw_control(mesh, hardware, key=heaters)
    return draw_mesh(mesh.unpack(control.actual(mesh.pack())), hardware, key=drawn)


class DiffractiveLinear(AbstractLinear):
    """A map carried by phase masks between input and output ports.

    Attributes:
        network: Masks and free space.
        inputs: Field of each input port on the first mask, of power 1 in units of the grid.
        outputs: The same for what each output port detects.
        gain: Factor of the electronics.
        bias: Bias, added in electronics, or None.
    """

    network: DiffractiveNetwork
    inputs: Float[Array, "n_in y x"]
    outputs: Float[Array, "n_out y x"]
    gain: Float[Array, ""]
    bias: Float[Array, " n_out"] | None
    n_in: int = eqx.field(static=True)
    n_out: int = eqx.field(static=True)

    def matrix(self) -> Float[Array, "n_out n_in"]:
        """What homodyne detection sees of each input at each output, `gain` included."""
        dtype = jnp.result_type(self.inputs.dtype, jnp.complex64)
        fields = self.network(self.inputs.astype(dtype))
        return self.gain * jnp.real(jnp.einsum("oyx,iyx->oi", self.outputs, fields))

    def __call__(
        self, x: Float[Array, "*batch n_in"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch n_out"]:
        """Sends amplitudes through the masks; free space is linear, so their sum is that of the ports."""
        del key
        return _with_bias(x @ self.matrix().T.astype(x.dtype), self.bias)


def on_masks(
    linear: Dense,
    geometry: Geometry,
    n_layers: int,
    *,
    key: PRNGKeyArray,
    n_steps: int = 300,
    learning_rate: float = 0.1,
    port_px: int = 4,
    on_progress: Any = None,
) -> DiffractiveLinear:
    """Trains phase masks until they carry a dense map, as well as their number allows.

    Args:
        linear: The map.
        geometry: Masks, wavelength and distance.
        n_layers: Masks.
        key: PRNG key of the first phases.
        n_steps: Steps of training.
        learning_rate: Its largest step, rad; our choice.
        port_px: Side of a port in pixels; ports lie on a square grid around the axis.
        on_progress: See `nn.training.train`.

    Raises:
        ValueError: If the ports do not fit on the grid.
    """
    network = make_network(geometry, n_layers, IntensityTarget(), key=key)
    real = network.phase.dtype
    inputs, outputs = (
        jnp.asarray(ports(n, geometry.shape, port_px), real) for n in (linear.n_in, linear.n_out)
    )
    wanted = linear.weight.T.astype(real)
    model = DiffractiveLinear(
        network=network,
        inputs=inputs,
        outputs=outputs,
        # Light can at most keep its power: a tenth of it shall do for the wanted matrix.
        gain=jnp.sqrt(10 * jnp.sum(wanted**2) / min(wanted.shape)),
        bias=linear.bias,
        n_in=linear.n_in,
        n_out=linear.n_out,
    )
    trains = jax.tree.map(lambda _: False, model)
    trains = eqx.tree_at(lambda m: (m.network.phase, m.gain), trains, (True, True))

    def loss(model, wanted, key):
        del key
        return jnp.sum((model.matrix() - wanted) ** 2) / jnp.sum(wanted**2)

    rate = adamw(learning_rate, n_steps, weight_decay=0.0)
    return train(
        model, loss, wanted, lambda data, key: data, rate, n_steps, key=key, trainable=trains,
        name="masks", on_progress=on_progress,
    ).model  # fmt: skip


def ports(n_ports: int, shape: tuple[int, int], port_px: int) -> Float[np.ndarray, "port y x"]:
    """Square ports side by side with one port's width between them, around the middle of the grid.

    Raises:
        ValueError: If they do not fit.
    """
    per_row = int(np.ceil(np.sqrt(n_ports)))
    n_rows = -(-n_ports // per_row)
    pitch = 2 * port_px
    tops = shape[0] // 2 + pitch * np.arange(n_rows) - (pitch * n_rows - port_px) // 2
    lefts = shape[1] // 2 + pitch * np.arange(per_row) - (pitch * per_row - port_px) // 2
    if (
        min(tops[0], lefts[0]) < 0
        or tops[-1] + port_px > shape[0]
        or lefts[-1] + port_px > shape[1]
    ):
        raise ValueError(
            f"`port_px` must let {n_ports} ports fit on {shape} pixels, but is {port_px}; use a larger grid."
        )
    fields = np.zeros((n_ports, *shape))
    for place in range(n_ports):
        top, left = tops[place // per_row], lefts[place % per_row]
        fields[place, top : top + port_px, left : left + port_px] = 1 / port_px
    return fields


def _with_bias(y, bias):
    return y if bias is None else y + jnp.broadcast_to(bias.astype(y.dtype), y.shape)
