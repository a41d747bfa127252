"""Exchange with circuit simulators: S-matrices as dictionaries, and a mesh as a netlist of couplers and shifters.

The dictionary is that of sax: {(port_in, port_out): complex}, with the ports named in0, in1, ... and out0, out1, ...;
a pair that is missing transmits nothing. All our elements are reciprocal and reflect nothing, so that both orders of
a pair are there with one value. The netlist has the form that sax and gdsfactory use: instances with component and
settings, connections "a,port": "b,port", and the ports of the whole. Its two components are `coupler` and
`phase_shifter`; their models here are what `sax.circuit(netlist, models=MODELS)` needs. Nothing of sax is imported.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex

from optics._checks import is_concrete
from optics._numbers import takes_numbers
from optics.meshes.mesh import Mesh
from optics.meshes.mzi import amplitude_transmission, coupler_matrix

NEGLIGIBLE_REFLECTION = 1e-6  # Amplitude; rounding of a simulator in single precision.
SDict = dict[tuple[str, str], Any]


@takes_numbers
def to_s_dict(matrix: Complex[Array | np.ndarray, "*sweep output input"]) -> SDict:
    """S-matrix of something reciprocal and free of reflections from its transfer matrix.

    Args:
        matrix: Amplitudes at the outputs for unit amplitude at each input; leading axes are a sweep, over the
            wavelength say, and stay with each value.

    Raises:
        ValueError: If the array has fewer than two axes.
    """
    if matrix.ndim < 2:
        raise ValueError(
            f"`matrix` must have axes (..., output, input), but its shape is {matrix.shape}."
        )
    pairs = {}
    for out, into in np.ndindex(*matrix.shape[-2:]):
        pairs[f"in{into}", f"out{out}"] = pairs[f"out{out}", f"in{into}"] = matrix[..., out, into]
    return pairs


def from_s_dict(
    s_matrix: Mapping[tuple[str, str], Any],
    *,
    backward: bool = False,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Complex[Array, "*sweep output input"]:
    """Transfer matrix from the input to the output ports, or back.

    Args:
        s_matrix: Amplitude by (port_in, port_out); numbers, or arrays of one shape over a sweep.
        backward: Reads the values from the outputs to the inputs; the result is (..., input, output) then.
        inputs: Names of the input ports in order, such as ("o1", "o2") of gdsfactory; in0, in1, ... if None.
        outputs: Names of the output ports; out0, out1, ... if None.

    Raises:
        ValueError: If ports have other names, the numbers of either kind have a gap, or light is reflected: between
            ports of one side a transfer matrix has no place for it.
    """
    names = sorted({name for pair in s_matrix for name in pair})
    sides = [
        [f"{kind}{i}" for i in range(_count(names, kind))] if given is None else list(given)
        for kind, given in (("in", inputs), ("out", outputs))
    ]
    if sorted(sides[0] + sides[1]) != names or not all(sides):
        wanted = "in0, in1, ... and out0, out1, ..."
        if inputs is not None or outputs is not None:
            wanted = ", ".join(sides[0] + sides[1])
        raise ValueError(
            f"`s_matrix` must have ports {wanted}, but has {', '.join(names)}; `inputs` and `outputs` name others."
        )
    for pair, value in s_matrix.items():
        one_side = any(set(pair) <= set(side) for side in sides)
        if one_side and is_concrete(value) and np.max(np.abs(value)) > NEGLIGIBLE_REFLECTION:
            raise ValueError(
                f"`s_matrix` must be free of reflections, but {pair} is {np.abs(value).max():.3g}; a transfer matrix "
                "has no place for light between ports of one side."
            )
    first, last = sides[::-1] if backward else sides
    values = [jnp.asarray(s_matrix.get((i, j), 0), complex) for j in last for i in first]
    stacked = jnp.stack(jnp.broadcast_arrays(*values), axis=-1)
    return stacked.reshape(*stacked.shape[:-1], len(last), len(first))


def coupler(angle: Any = jnp.pi / 4) -> SDict:
    """Directional coupler as a model of sax; angle in rad, pi/4 is 50:50; an array over a sweep is taken too."""
    return to_s_dict(coupler_matrix(jnp.asarray(angle, float)))


def phase_shifter(phase: Any = 0.0, loss_db: Any = 0.0) -> SDict:
    """Waveguide with a phase (rad) and a loss (dB of power) as a model of sax."""
    value = amplitude_transmission(jnp.asarray(loss_db, float)) * jnp.exp(
        1j * jnp.asarray(phase, float)
    )
    return {("in0", "out0"): value, ("out0", "in0"): value}


MODELS = {"coupler": coupler, "phase_shifter": phase_shifter}


def mesh_netlist(mesh: Mesh) -> dict[str, dict]:
    """Netlist of a mesh with its errors, of plain numbers and strings, so that it can be written as JSON.

    Cell (column c, slot s) becomes phi_c_s, left_c_s, theta_c_s, right_c_s, and arm_c_s where the lower arm has a
    loss; the shifter behind port p is output_p.
    """
    instances: dict[str, dict] = {}
    connections: dict[str, str] = {}
    ports: dict[str, str] = {}
    open_ends: list[str | None] = [None] * mesh.n_ports

    def place(name: str, at: list[int], component: str, **settings: float) -> None:
        instances[name] = {"component": component, "settings": settings}
        for i, port in enumerate(at):
            before = open_ends[port]
            if before is None:
                ports[f"in{port}"] = f"{name},in{i}"
            else:
                connections[before] = f"{name},in{i}"
            open_ends[port] = f"{name},out{i}"

    cell = {name: np.asarray(a, float) for name, a in mesh.cell()._asdict().items()}
    for column, slot in zip(*np.nonzero(mesh.present), strict=True):
        at, label = (column, slot), f"{column}_{slot}"
        top = int(2 * slot + column % 2)
        values = {name: float(a[at]) for name, a in cell.items()}
        place(f"phi_{label}", [top], "phase_shifter", phase=values["phi"], loss_db=0.0)
        place(f"left_{label}", [top, top + 1], "coupler", angle=values["left"])
        loss = -20 * np.log10([values["top"], values["bottom"]])
        place(
            f"theta_{label}",
            [top],
            "phase_shifter",
            phase=values["theta"],
            loss_db=float(loss[0]),
        )
        if loss[1]:
            place(f"arm_{label}", [top + 1], "phase_shifter", phase=0.0, loss_db=float(loss[1]))
        place(f"right_{label}", [top, top + 1], "coupler", angle=values["right"])
    for port, phase in enumerate(np.asarray(mesh.output_phase, float)):
        place(f"output_{port}", [port], "phase_shifter", phase=float(phase), loss_db=0.0)
        ports[f"out{port}"] = f"output_{port},out0"
    return {"instances": instances, "connections": connections, "ports": ports}


def _count(names: list[str], kind: str) -> int:
    """How many of `names` are kind0, kind1, ... without a gap."""
    count = 0
    while f"{kind}{count}" in names:
        count += 1
    return count
