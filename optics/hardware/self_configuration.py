"""Progressive self-configuration: a triangular mesh finds its own phases on hardware whose errors nobody knows.

D. A. B. Miller, "Self-configuring universal linear optical component", Photonics Research 1, 1 (2013), DOI
10.1364/PRJ.1.000001. To make the last output answer to row r of a wanted unitary, send conj(U_r) into the mesh; a
mesh that is right collects all of this light in output r. The cells of one diagonal are set one after another, each
so that the port it leaves behind goes dark; light of the rows above cannot tell any more. At the end the output
shifters take off the measured phase. Where a port goes dark depends on the true splitters, so their errors are
absorbed, as long as the cell can still reach the wanted ratio.

The power of a port is a + b cos(phase - phase_0) in each phase, so three readings a third of a turn apart give its
minimum: tan(phase_0) from their first harmonic. Only measurements are used: taps of
`optics.hardware.mesh_bench.MeshBench`, and one field per row. Rectangular meshes need another order of steps and are
left out.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact, PRNGKeyArray

from optics._checks import check_shape
from optics._numbers import takes_numbers
from optics.hardware.mesh_bench import MeshBench
from optics.meshes.decomposition import decompose_unitary
from optics.meshes.mesh import Mesh
from optics.waves.field import intensity

READINGS = 3  # Per phase and sweep; a sinusoid has three unknowns.


class Configuration(NamedTuple):
    """Result of a self-configuration.

    Attributes:
        phase: Phases to command, in the order of `Mesh.pack`, rad.
        n_measurements: How often light was sent in.
    """

    phase: Float[Array, " parameter"]
    n_measurements: int


@takes_numbers
def self_configure(
    bench: MeshBench,
    unitary: Inexact[Array | np.ndarray, "row column"],
    *,
    key: PRNGKeyArray,
    sweeps: int = 3,
    time: int = 0,
) -> Configuration:
    """Sets a triangular mesh to a unitary by making ports dark, starting from the phases of the ideal model.

    Args:
        bench: Chip with a triangular mesh.
        unitary: Matrix to realise.
        key: PRNG key of the measurement noise.
        sweeps: How often (phi, theta) of a cell are set in turn; one is enough with perfect splitters.
        time: Number of the first measurement.

    Raises:
        ValueError: If the mesh is not triangular, the matrix is not a unitary of its size, or `sweeps` is below 1.
    """
    mesh = bench.core
    if not isinstance(mesh, Mesh) or mesh.layout != "triangular":
        raise ValueError("`bench` must hold a triangular mesh; its diagonals can be set in turn.")
    if sweeps < 1:
        raise ValueError(f"`sweeps` must be at least 1, but is {sweeps}.")
    check_shape(unitary, "unitary", (mesh.n_ports, mesh.n_ports), "The mesh has this many ports.")
    start = decompose_unitary(unitary, layout="triangular", dtype=jnp.result_type(mesh.theta, 1j))
    rows = jnp.conj(jnp.asarray(unitary)).astype(jnp.result_type(mesh.theta, 1j))
    phases = _dark_ports(bench, rows, start, key, jnp.asarray(time), sweeps=sweeps)
    per_step = 2 * READINGS * sweeps
    return Configuration(phases, len(_steps(mesh)) * per_step + mesh.n_ports)


@partial(jax.jit, static_argnames="sweeps")
def _dark_ports(bench, rows, start, key, time, *, sweeps):
    mesh = bench.core
    steps, (last_key, scan_key) = _steps(mesh), jax.random.split(key)
    n_steps, per_step = len(steps), 2 * READINGS * sweeps
    readings = jnp.arange(READINGS) * (2 * jnp.pi / READINGS)

    def set_phase(phases, which, field, detector, key, when):
        def power(reading, key, when):
            taps = bench.measure_taps(field, phases.at[which].set(reading), key=key, time=when)
            return intensity(mesh.pack_fields(taps)[detector])

        keys = jax.random.split(key, READINGS)
        powers = jax.vmap(power)(readings, keys, when + jnp.arange(READINGS))
        lowest = jnp.angle(jnp.sum(powers * jnp.exp(1j * readings))) + jnp.pi
        return phases.at[which].set(jnp.mod(lowest, 2 * jnp.pi))

    def set_cell(phases, step):
        (row, phi, theta, detector, number), key = step

        def set_one(phases, inputs):
            turn, turn_key = inputs
            which, when = jnp.where(turn % 2, theta, phi), turn * READINGS + number * per_step
            return set_phase(phases, which, rows[row], detector, turn_key, time + when), None

        turns = jnp.arange(2 * sweeps), jax.random.split(key, 2 * sweeps)
        return jax.lax.scan(set_one, phases, turns)

    keys = jax.random.split(scan_key, n_steps)
    columns = tuple(jnp.asarray(column) for column in steps.T)
    phases, _ = jax.lax.scan(set_cell, start.pack(), (columns, keys))
    found = bench.measure_field(rows, phases, key=last_key, time=time + n_steps * per_step)
    return phases.at[-mesh.n_ports :].add(-jnp.angle(jnp.diagonal(found)))


@takes_numbers
def measure_matrix(
    bench: MeshBench,
    phase: Float[Array, " parameter"],
    *,
    key: PRNGKeyArray,
    time: int | Array = 0,
) -> Complex[Array, "port port"]:
    """Transfer matrix as measured, one input at a time."""
    dtype = jnp.result_type(phase, jnp.complex64)
    inputs = jnp.eye(bench.core.n_ports, dtype=dtype)
    return bench.measure_field(inputs, phase, key=key, time=time).T


def _steps(mesh: Mesh) -> np.ndarray:
    """(row, phi, theta, detector, number) of each cell in turn; the last but one indexes the packed taps.

    Diagonal g has its cell of port p in column 2 g + p. The port p that it leaves behind next meets the lower input
    of the cell of port p - 1 on the following diagonal, whose upper input is dark by then; its theta tap sees half
    the power. Port 0 meets the phi tap of its cell there, and behind the last diagonal it is an output.
    """
    n_ports, n_cells = mesh.n_ports, int(mesh.present.sum())
    index = np.full(mesh.present.shape, -1)
    index[mesh.present] = np.arange(n_cells)
    steps = []
    for row in range(n_ports - 1, 0, -1):
        first = 2 * (n_ports - 1 - row)
        for port in range(row):
            theta = index[first + port, port // 2]
            if row == 1:
                detector = 2 * n_cells
            elif port == 0:
                detector = n_cells + index[first + 2, 0]
            else:
                detector = index[first + port + 1, (port - 1) // 2]
            steps.append((row, n_cells + theta, theta, detector, len(steps)))
    return np.array(steps)
