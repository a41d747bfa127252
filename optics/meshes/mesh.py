"""Meshes of Mach-Zehnder cells: any unitary matrix from phase shifters.

Columns of cells on alternating neighbouring ports, then one phase shifter per output:

    M = diag(exp(i output_phase)) . T_last ... T_first

Layouts: "triangular", 2 N - 3 columns (Reck, Zeilinger, Bernstein and Bertani, Phys. Rev. Lett. 73, 58 (1994), DOI
10.1103/PhysRevLett.73.58), and "rectangular", N columns (Clements et al., Optica 3, 1460 (2016), DOI
10.1364/OPTICA.3.001460). Both have N (N - 1) / 2 cells and N^2 phases. Cell c, s sits on the ports 2 s + c % 2 and the
next one; `optics.meshes.mzi` fixes the cell. Errors of the hardware are further leaves: splitter angles and loss of
the arms. All elements are reciprocal, so light sent backwards sees M^T whatever the errors. A waveguide that passes a
column without a cell loses nothing there (our choice; some chips put dummy cells in its way).
"""

from functools import cache, partial
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from optics._checks import check_shape
from optics._numbers import as_real, into, takes_numbers
from optics.meshes.columns import apply_columns, tap_columns
from optics.meshes.mzi import BALANCED, Cell, amplitude_transmission, cell_elements

Layout = Literal["rectangular", "triangular"]


class ShifterFields(NamedTuple):
    """Amplitudes at one plane of every phase shifter, its output-facing end, for light in either direction.

    With u from forward light and c from the cotangent sent backwards, dL/dphase = -Im(u c) summed over samples. In
    slots without a cell stands what passes there, which means nothing; `Mesh.pack_fields` leaves it out.

    Attributes:
        theta: At the internal shifters.
        phi: At the external shifters.
        output: At the output shifters.
    """

    theta: Complex[Array, "*batch column slot"]
    phi: Complex[Array, "*batch column slot"]
    output: Complex[Array, "*batch port"]


class Mesh(eqx.Module):
    """A mesh with its phases and, where given, its errors.

    Values in slots without a cell have no effect and no gradient.

    Attributes:
        theta: Internal phases, rad.
        phi: External phases, rad.
        output_phase: Phases of the shifters behind the last column, rad.
        left_error: Deviation of each left coupler from pi/4, rad, or None.
        right_error: Deviation of each right coupler from pi/4, rad, or None.
        arm_loss_db: Insertion loss of top and bottom arm of each cell, dB of power, or None.
        layout: "rectangular" or "triangular".
    """

    theta: Float[Array, "column slot"] = eqx.field(converter=into(as_real, "theta"))
    phi: Float[Array, "column slot"] = eqx.field(converter=into(as_real, "phi"))
    output_phase: Float[Array, " port"] = eqx.field(converter=into(as_real, "output_phase"))
    left_error: Float[Array, "column slot"] | None = eqx.field(
        default=None, converter=into(as_real, "left_error")
    )
    right_error: Float[Array, "column slot"] | None = eqx.field(
        default=None, converter=into(as_real, "right_error")
    )
    arm_loss_db: Float[Array, "column slot 2"] | None = eqx.field(
        default=None, converter=into(as_real, "arm_loss_db")
    )
    layout: Layout = eqx.field(static=True, default="rectangular")

    def __check_init__(self):
        shape = cells(self.n_ports, self.layout).shape
        for name in ("theta", "phi", "left_error", "right_error"):
            if getattr(self, name) is not None:
                check_shape(getattr(self, name), name, shape, "Axes are (column, slot).")
        if self.arm_loss_db is not None:
            check_shape(self.arm_loss_db, "arm_loss_db", (*shape, 2), "Axes: column, slot, arm.")

    @property
    def n_ports(self) -> int:
        """Number of ports N."""
        return self.output_phase.shape[-1]

    @property
    def n_parameters(self) -> int:
        """Number of phases that have an effect, N^2."""
        return self.n_ports**2

    @property
    def present(self) -> np.ndarray:
        """True at each (column, slot) that holds a cell."""
        return cells(self.n_ports, self.layout)

    @takes_numbers
    def __call__(self, fields: Complex[Array, "*batch port"]) -> Complex[Array, "*batch port"]:
        """Fields at the outputs for fields at the inputs, M x."""
        check_ports(fields, "fields", self.n_ports)
        if _size(fields) > self.n_ports:
            return fields @ self.matrix().T
        return _send(self, fields)

    @takes_numbers
    def backward(self, fields: Complex[Array, "*batch port"]) -> Complex[Array, "*batch port"]:
        """Fields at the inputs for light sent into the outputs, M^T x (reciprocity)."""
        check_ports(fields, "fields", self.n_ports)
        if _size(fields) > self.n_ports:
            return fields @ self.matrix()
        return _send_back(self, fields)

    def matrix(self) -> Complex[Array, "port port"]:
        """Transfer matrix M from inputs to outputs."""
        return _matrix(self)

    def cell(self) -> Cell:
        """Physical state of all cells; where none is, couplers and shifters are at zero, which is the identity."""
        mask = jnp.asarray(self.present, self.theta.dtype)
        one = jnp.ones_like(mask)
        couplers = [BALANCED if e is None else BALANCED + e for e in self._errors]
        arms = [one, one]
        if self.arm_loss_db is not None:
            arms = [amplitude_transmission(mask * self.arm_loss_db[..., i]) for i in range(2)]
        return Cell(
            mask * self.theta, mask * self.phi, mask * couplers[0], mask * couplers[1], *arms
        )

    @takes_numbers
    def internal_fields(
        self, fields: Complex[Array, "*batch port"], *, backward: bool = False
    ) -> ShifterFields:
        """Fields at the output-facing end of every phase shifter.

        Args:
            fields: Light at the inputs, or at the outputs if `backward`.
            backward: Sends the light from the outputs to the inputs.
        """
        check_ports(fields, "fields", self.n_ports)
        if backward:
            theta, phi, _ = tap_columns(
                self.cell(), self._output_shift(fields), direction="backward"
            )
            return ShifterFields(theta, phi, fields)
        theta, phi, out = tap_columns(self.cell(), fields)
        return ShifterFields(theta, phi, self._output_shift(out))

    def pack(self) -> Float[Array, " parameter"]:
        """All N^2 phases as one vector: theta, phi (column by column), output_phase."""
        return _pack(self)

    @takes_numbers
    def unpack(self, phases: Float[Array, " parameter"]) -> "Mesh":
        """Mesh with other phases, given as `pack` orders them, and the same errors."""
        check_shape(phases, "phases", (self.n_parameters,), "A mesh of N ports has N^2 phases.")
        found = _unpack(phases, self.n_ports, self.layout)
        return eqx.tree_at(lambda m: (m.theta, m.phi, m.output_phase), self, found)

    def pack_fields(self, taps: ShifterFields) -> Complex[Array, "*batch parameter"]:
        """Shifter fields in the order of `pack`, one per phase."""
        columns, slots = np.nonzero(self.present)
        return jnp.concatenate(
            [taps.theta[..., columns, slots], taps.phi[..., columns, slots], taps.output], axis=-1
        )

    @property
    def _errors(self):
        return self.left_error, self.right_error

    def _output_shift(self, fields):
        shift = jnp.exp(1j * self.output_phase)
        return fields * shift.reshape((1,) * (fields.ndim - 1) + shift.shape)

    def _columns(self, fields, direction):
        # Loss makes running backwards in time amplify rounding, so the fields are stored then.
        method = None if self.arm_loss_db is None else "stored"
        return apply_columns(cell_elements(self.cell()), fields, direction=direction, method=method)


# One program each, where a call outside of `jit` would compile and start some thirty small ones.
@eqx.filter_jit
def _send(mesh: Mesh, fields):
    return mesh._output_shift(mesh._columns(fields, "forward"))


@eqx.filter_jit
def _send_back(mesh: Mesh, fields):
    return mesh._columns(mesh._output_shift(fields), "backward")


@eqx.filter_jit
def _matrix(mesh: Mesh):
    dtype = jnp.result_type(mesh.theta, jnp.complex64)
    rows = mesh._columns(jnp.eye(mesh.n_ports, dtype=dtype), "forward")
    return rows.T * jnp.exp(1j * mesh.output_phase)[:, None]


@eqx.filter_jit
def _pack(mesh: Mesh):
    there = mesh.present
    return jnp.concatenate([mesh.theta[there], mesh.phi[there], mesh.output_phase])


@partial(jax.jit, static_argnums=(1, 2))
def _unpack(phases, n_ports: int, layout: Layout):
    there = cells(n_ports, layout)
    n_cells = int(there.sum())
    dark = jnp.zeros(there.shape, phases.dtype)
    theta = dark.at[there].set(phases[:n_cells])
    phi = dark.at[there].set(phases[n_cells : 2 * n_cells])
    return theta, phi, phases[2 * n_cells :]


@cache
def cells(n_ports: int, layout: Layout = "rectangular") -> np.ndarray:
    """True at each (column, slot) of a layout that holds a cell, shape (columns, N // 2).

    Raises:
        ValueError: If there are fewer than two ports or no such layout.
    """
    if n_ports < 2:
        raise ValueError(f"`n_ports` must be at least 2, but is {n_ports}.")
    if layout not in ("rectangular", "triangular"):
        raise ValueError(f"`layout` must be rectangular or triangular, but is {layout!r}.")
    n_columns = n_ports if layout == "rectangular" else 2 * n_ports - 3
    column, slot = np.indices((n_columns, n_ports // 2))
    port = 2 * slot + column % 2
    there = port <= n_ports - 2
    if layout == "triangular":
        # Diagonals of the triangle start at port 0 in the columns 0, 2, 4, ... and are one cell shorter each.
        there &= (column >= port) & (port + (column - port) // 2 <= n_ports - 2)
    there.setflags(write=False)
    return there


def make_mesh(
    n_ports: int, *, key: PRNGKeyArray, layout: Layout = "rectangular", dtype=jnp.complex64
) -> Mesh:
    """Mesh whose matrix is drawn from the Haar measure over all unitaries.

    The phases phi and output_phase are uniform; the crossing share t = cos^2(theta/2) of a cell has the density
    d t^(d - 1), with d from `haar_exponents`.

    Args:
        n_ports: Number of ports N, at least 2.
        key: PRNG key.
        layout: "rectangular" or "triangular".
        dtype: complex64 or complex128.

    Raises:
        ValueError: If there are fewer than two ports or no such layout.
    """
    real = jnp.finfo(dtype).dtype
    there = cells(n_ports, layout)
    keys = jax.random.split(key, 3)
    exponents = jnp.asarray(haar_exponents(n_ports, layout), real)
    crossing = jax.random.uniform(keys[0], there.shape, real) ** (1 / exponents)
    theta = 2 * jnp.arccos(jnp.sqrt(crossing))
    turn = 2 * jnp.pi
    phi = jax.random.uniform(keys[1], there.shape, real, maxval=turn)
    output_phase = jax.random.uniform(keys[2], (n_ports,), real, maxval=turn)
    mask = jnp.asarray(there, real)
    return Mesh(mask * theta, mask * phi, output_phase, layout=layout)


@cache
def haar_exponents(n_ports: int, layout: Layout = "rectangular") -> np.ndarray:
    """The d of each cell in the density d t^(d - 1) of its crossing share under the Haar measure; 1 without a cell.

    In the triangle the cell on ports (p, p + 1) nulls the sum of p + 1 elements against one more, so d = p + 1. In the
    rectangle, with c the column, d = min(2 c + 1, 2 p + 2) for the cells that Clements nulls from the right (c + p <
    N - 1) and min(2 (N - 1 - c) + 1, 2 (N - 1 - p)) for the others; found from decompositions of random unitaries and
    held to them by a test. That such exponents exist: Russell et al., New J. Phys. 19, 033007 (2017), DOI
    10.1088/1367-2630/aa60ed.
    """
    there = cells(n_ports, layout)
    column, slot = np.indices(there.shape)
    port = 2 * slot + column % 2
    if layout == "triangular":
        exponent = port + 1
    else:
        last = n_ports - 1
        exponent = np.where(
            column + port < last,
            np.minimum(2 * column + 1, 2 * port + 2),
            np.minimum(2 * (last - column) + 1, 2 * (last - port)),
        )
    return np.where(there, exponent, 1)


def check_ports(fields, name: str, n_ports: int) -> None:
    """Raises ValueError unless the last axis of `fields` has one amplitude per port."""
    check_shape(fields, name, (n_ports,), "The last axis is the port.")


def _size(fields) -> int:
    return int(np.prod(fields.shape[:-1]))
