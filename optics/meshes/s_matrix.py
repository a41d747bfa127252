"""Exchange with circuit simulators: S-matrices as dictionaries, and a mesh as a netlist of couplers and shifters.

The dictionary is that of sax: {(port_in, port_out): complex}, with the ports named in0, in1, ... and out0, out1, ...;
a pair that is missing transmits nothing. All our elements are reciprocal and reflect nothing, so that both orders of
a pair are there with one value. The netlist has the form that sax and gdsfactory use: instances with component and
settings, connections "a,port": "b,port", and the ports of the whole. Its two components are `coupler` and
`phase_shifter`; their models here are what `sax.circuit(netlist, models=MODELS)` needs. Nothing of sax is imported.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex

from optics.meshes.mesh import Mesh
from optics.meshes.mzi import amplitude_transmission, coupler_matrix

SDict = dict[tuple[str, str], Any]


def to_s_dict(matrix: Complex[Array | np.ndarray, "output input"]) -> SDict:
    """S-matrix of something reciprocal and free of reflections from its transfer matrix.

    Args:
        matrix: Amplitudes at the outputs for unit amplitude at each input.
    """
    pairs = {}
    for out, row in enumerate(matrix):
        for into, value in enumerate(row):
            pairs[f"in{into}", f"out{out}"] = value
            pairs[f"out{out}", f"in{into}"] = value
    return pairs


def from_s_dict(
    s_matrix: Mapping[tuple[str, str], Any], *, backward: bool = False
) -> Complex[Array, "output input"]:
    """Transfer matrix from the ports in* to the ports out*, or back.

    Args:
        s_matrix: Amplitude by (port_in, port_out).
        backward: Reads the values from out* to in*; the result is (input, output) then.

    Raises:
        ValueError: If ports have other names, or the numbers of either kind have a gap.
    """
    names = sorted({name for pair in s_matrix for name in pair})
    counts = [_count(names, kind) for kind in ("in", "out")]
    if sum(counts) != len(names) or 0 in counts:
        raise ValueError(
            f"`s_matrix` must have ports in0, in1, ... and out0, out1, ..., but has {', '.join(names)}."
        )
    first, last = ("out", "in") if backward else ("in", "out")
    n_first, n_last = counts[::-1] if backward else counts
    return jnp.stack(
        [
            jnp.stack(
                [
                    jnp.asarray(s_matrix.get((f"{first}{i}", f"{last}{j}"), 0), complex)
                    for i in range(n_first)
                ]
            )
            for j in range(n_last)
        ]
    )


def coupler(angle: Any = jnp.pi / 4) -> SDict:
    """Directional coupler as a model of sax; angle in rad, pi/4 is 50:50."""
    return to_s_dict(coupler_matrix(jnp.asarray(angle, float)))


def phase_shifter(phase: Any = 0.0, loss_db: Any = 0.0) -> SDict:
    """Waveguide with a phase (rad) and a loss (dB of power) as a model of sax."""
    value = amplitude_transmission(jnp.asarray(loss_db, float)) * jnp.exp(1j * phase)
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
