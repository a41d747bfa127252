"""Symmetric cores: a mesh, attenuators, and the mirror image of the mesh with tied phases, A = g V S V^T.

Light meets the mirror image first. A mesh in its mirror image is the mesh crossed from its outputs to its inputs, so
it acts as V^T by reciprocity; then come attenuators S and the mesh itself, V. The whole is complex symmetric, A =
A^T, and every symmetric matrix is of this form (`optics.meshes.takagi`), up to one gain g in electronics that makes the
largest attenuation 1. With S = 1 the core is a symmetric unitary, V V^T: N (N + 1) / 2 real freedoms against the N^2
of a general one, since a real rotation of the columns of V changes nothing. With S it has N (N + 1), as a complex
symmetric matrix has.

Two ways to build it:

- mirrored: two meshes on the chip. Errors common to both halves keep A symmetric, different ones do not (`mirror`).
- folded: one mesh crossed twice, with the attenuators and a mirror at its far end. A is symmetric whatever the errors;
  `attenuation` is that of the round trip. A circulator or splitter must part input from output; its loss is left out.

A symmetric core is what fully forward mode needs (Z. Xue et al., Nature 632, 280 (2024), DOI
10.1038/s41586-024-07687-4, Fig. 5a): an error sent into the inputs sees A = A^T. A shifter of the first half meets,
on its way, the error that its twin of the second half meets, and the other way round, so both contributions of a tied
phase are measured in two forward passes. Left out: reflections, dispersion, and the phase that a real attenuator
adds.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact, PRNGKeyArray

from optics._checks import check_in_range, check_shape
from optics._numbers import as_real, into, takes_numbers
from optics.meshes.decomposition import decompose_unitary
from optics.meshes.mesh import Layout, Mesh, ShifterFields, check_ports, make_mesh
from optics.meshes.takagi import takagi


class CoreFields(NamedTuple):
    """Amplitudes inside a core for light sent into its inputs, without the electronic gain.

    Attributes:
        first: On the side of the ports of each shifter of the mirrored half; its light leaves towards the
            attenuators.
        middle: In front of the attenuators.
        second: Behind each shifter of the second half, the side of the ports again.
    """

    first: ShifterFields
    middle: Complex[Array, "*batch port"]
    second: ShifterFields


class CoreGradient(NamedTuple):
    """Derivative of a real loss with respect to what a core is set by.

    Attributes:
        phases: With respect to each tied phase, in the order of `Mesh.pack`, 1/rad.
        attenuation: With respect to each attenuation.
    """

    phases: Float[Array, " parameter"]
    attenuation: Float[Array, " port"]


class SymmetricCore(eqx.Module):
    """A = gain V diag(attenuation) V'^T, where V' = V unless the halves have different errors.

    Attributes:
        mesh: Second half, V, whose phases are the tied ones.
        attenuation: Amplitude transmissions in [0, 1] between the halves.
        gain: Factor that the measured field is multiplied with.
        mirror: Mesh whose mirror image is the first half, where it differs from `mesh`: other errors, or phases that
            missed their values. None is a folded core, or a mirrored one with equal errors in both halves.
    """

    mesh: Mesh
    attenuation: Float[Array, " port"] = eqx.field(converter=into(as_real, "attenuation"))
    gain: Float[Array, ""] = eqx.field(converter=into(as_real, "gain"))
    mirror: Mesh | None = None

    def __check_init__(self):
        hint = "One attenuator and one port a waveguide."
        check_shape(self.attenuation, "attenuation", (self.n_ports,), hint)
        if self.mirror is not None and self.mirror.n_ports != self.n_ports:
            raise ValueError(
                f"`mirror` must have the {self.n_ports} ports of `mesh`, but has {self.mirror.n_ports}."
            )

    @property
    def n_ports(self) -> int:
        """Number of ports N."""
        return self.mesh.n_ports

    @property
    def n_parameters(self) -> int:
        """Number of tied phases, N^2; N (N - 1) / 2 directions among them change nothing where S = 1."""
        return self.mesh.n_parameters

    @property
    def first(self) -> Mesh:
        """Mesh whose mirror image the light meets first."""
        return self.mesh if self.mirror is None else self.mirror

    @takes_numbers
    def __call__(self, fields: Complex[Array, "*batch port"]) -> Complex[Array, "*batch port"]:
        """Fields at the outputs, A x, `gain` included."""
        check_ports(fields, "fields", self.n_ports)
        return self._pass(self.first, self.mesh, fields)

    @takes_numbers
    def backward(self, fields: Complex[Array, "*batch port"]) -> Complex[Array, "*batch port"]:
        """Fields at the inputs for light sent into the outputs, A^T x; of use where A is not quite symmetric."""
        check_ports(fields, "fields", self.n_ports)
        return self._pass(self.mesh, self.first, fields)

    def matrix(self) -> Complex[Array, "port port"]:
        """Transfer matrix A with `gain`."""
        scaled = self.mesh.matrix() * (self.gain * self.attenuation)[None, :]
        return scaled @ self.first.matrix().T

    @takes_numbers
    def internal_fields(self, fields: Complex[Array, "*batch port"]) -> CoreFields:
        """Fields at every phase shifter of both halves, and in front of the attenuators."""
        check_ports(fields, "fields", self.n_ports)
        first = self.first.internal_fields(fields, backward=True)
        middle = self.first.backward(fields)
        second = self.mesh.internal_fields(_along(self.attenuation, middle))
        return CoreFields(first, middle, second)

    def pack(self) -> Float[Array, " parameter"]:
        """Phases of the second half as one vector; those of the whole core where they are tied."""
        return self.mesh.pack()

    @takes_numbers
    def unpack(self, phases: Float[Array, " parameter"]) -> "SymmetricCore":
        """Core with other phases, the same ones in both halves, and the same errors."""
        core = eqx.tree_at(lambda c: c.mesh, self, self.mesh.unpack(phases))
        if self.mirror is None:
            return core
        return eqx.tree_at(lambda c: c.mirror, core, self.mirror.unpack(phases))

    def _pass(self, first: Mesh, second: Mesh, fields):
        return second(_along(self.gain * self.attenuation, first.backward(fields)))


def make_symmetric_core(
    n_ports: int, *, key: PRNGKeyArray, layout: Layout = "rectangular", dtype=jnp.complex64
) -> SymmetricCore:
    """Core without errors that is a random symmetric unitary, V V^T with V from the Haar measure.

    Args:
        n_ports: Number of ports N, at least 2.
        key: PRNG key.
        layout: Layout of both meshes, "rectangular" or "triangular".
        dtype: complex64 or complex128.
    """
    mesh = make_mesh(n_ports, key=key, layout=layout, dtype=dtype)
    real = mesh.theta.dtype
    return SymmetricCore(mesh, jnp.ones(n_ports, real), jnp.ones((), real))


@takes_numbers
def program_symmetric(
    matrix: Inexact[Array | np.ndarray, "rows columns"],
    *,
    layout: Layout = "rectangular",
    dtype=None,
) -> SymmetricCore:
    """Core without errors whose matrix is `matrix`, to rounding.

    Args:
        matrix: Complex symmetric matrix (A = A^T), at least 2 x 2, of any rank.
        layout: Layout of both meshes.
        dtype: complex64 or complex128 of the core; that of `matrix` if None.

    Raises:
        ValueError: If the matrix is not square, not finite, not symmetric, or zero.
    """
    dtype = jnp.result_type(matrix, jnp.complex64) if dtype is None else dtype
    vectors, values = takagi(np.asarray(matrix))
    largest = values[0]
    if largest == 0:
        raise ValueError("`matrix` must not be zero, since its largest singular value is the gain.")
    real = jnp.finfo(dtype).dtype
    mesh = decompose_unitary(vectors, layout=layout, dtype=dtype)
    return SymmetricCore(mesh, (values / largest).astype(real), largest.astype(real))


def tied_gradient(
    data: Any, error: Any, *, gain: Any = 1.0, pack: Callable[[Any], Array] = lambda taps: taps
) -> CoreGradient:
    """Gradient of the tied phases and the attenuations from two forward passes, summed over the batch.

    With u the data's and c the error's amplitudes, each phase gets -gain Im(u_first c_second + u_second c_first), the
    sum over its two shifters; each attenuation gets gain Re(u_middle c_middle). Exact if the core is symmetric, since
    the error then meets in forward direction what the cotangent meets backwards.

    Args:
        data: Light of the data x, with `first`, `middle` and `second` as in `CoreFields`, one axis of samples first.
        error: The same of the cotangent c = dL/d(Re y) - i dL/d(Im y) of the output y, sent into the inputs.
        gain: Weight with which the core is added to the output.
        pack: Brings what stands at the shifters into the order of the phases, such as `Mesh.pack_fields`; taps that
            are in that order already need none.
    """

    def products(a, b):
        # Summed over samples before they are put into order, which is then done once.
        return jax.tree.map(lambda u, c: jnp.sum(u * c, axis=0), a, b)

    both = jax.tree.map(
        jnp.add, products(data.first, error.second), products(data.second, error.first)
    )
    attenuation = jnp.sum(jnp.real(data.middle * error.middle), axis=0)
    return CoreGradient(gain * -jnp.imag(pack(both)), gain * attenuation)


@takes_numbers
def partially_symmetric(
    ratio: float | Float[Array, ""],
    symmetric: Inexact[Array | np.ndarray, "rows columns"],
    general: Inexact[Array | np.ndarray, "rows2 columns2"],
) -> Inexact[Array, "rows columns"]:
    """A = ratio A_sym + (1 - ratio) A_gen, our definition of the symmetry ratio; the paper's is unknown.

    Args:
        ratio: Symmetry ratio in [0, 1]; 1 is fully symmetric.
        symmetric: A_sym; its antisymmetric part, if it has one, is dropped.
        general: A_gen.

    Raises:
        ValueError: If the ratio is out of range or the matrices are not square and of one size.
    """
    check_in_range(ratio, "ratio", 0, 1)
    for name, matrix in (("symmetric", symmetric), ("general", general)):
        n = symmetric.shape[0]
        check_shape(matrix, name, (n, n), "Both matrices are square and of one size.")
    symmetric = jnp.asarray(symmetric)
    return ratio * (symmetric + symmetric.T) / 2 + (1 - ratio) * jnp.asarray(general)


def _along(vector, fields):
    return vector.reshape((1,) * (fields.ndim - 1) + (-1,)) * fields
