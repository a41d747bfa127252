"""Photonic chiplets in the manner of Taichi: diffractive encoder, interferometric core, diffractive decoder, detectors.

    y = E'^T U E x,    E = N diag(exp(i a_n)) W ... diag(exp(i a_1)) W,    p_k = sum over region k of |y|^2

x are amplitudes in M waveguides, W and N slabs of free propagation on the chip (M to M and M to N waveguides), a phase
masks between them, U the unitary of a mesh of N ports, and E' an encoder with masks of its own, which light passes
backwards. Many such chiplets work side by side, each on its own small task (`optics.networks.output_codes`).
Z. Xu et al., Science 384, 202 (2024), DOI 10.1126/science.adl1203 gives the chain; port counts, wavelength, sizes and
errors are unknown to us, so they are parameters and every default is our choice.

A slab is two-dimensional. Between waveguides of mode psi, a distance d apart across a slab of length z,

    t(d) = integral over |f| < 1/l of |Psi(f)|^2 exp(i 2 pi (z sqrt(1/l^2 - f^2) + f d)) df,    l = wavelength / index,

which is the exact angular spectrum; in space it is the convolution with (i k z / 2 R) H1(k R) (first Rayleigh-
Sommerfeld kernel of two dimensions). The carrier exp(i k z) is left out. The modes are half cosines of compact
support, hence orthonormal, and a slab can only lose light: beside the outputs, between them, and where the arriving
front fits no mode. From M to N waveguides at least 1 - N/M is lost on average over all inputs, whatever the masks.
The kernel is even, so W^T = W and light sent backwards sees the transpose.
Left out: reflections, dispersion, propagation loss of the slab, polarisation, crosstalk outside the slab.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from optics._checks import check_in_range, check_positive, check_shape
from optics._dark import quotient
from optics._numbers import takes_numbers
from optics.meshes.mesh import Mesh, make_mesh
from optics.waves.field import intensity

Relay = Literal["detected", "coherent"]
# Below any power in use, above the smallest normal single-precision number.
_DARK = 1e-30


@dataclass(frozen=True)
class SlabGeometry:
    """Slab between two rows of equal waveguides that face each other, centred; every default is our choice.

    Attributes:
        wavelength: In vacuum, m.
        effective_index: Of the slab mode.
        pitch: Distance between waveguides, m.
        mode_width: Full width of the half-cosine mode, at most `pitch`, m.
        length: From inputs to outputs, m.
    """

    wavelength: float = 1.55e-6
    effective_index: float = 2.8
    pitch: float = 2e-6
    mode_width: float = 1.6e-6
    length: float = 150e-6

    def __post_init__(self):
        for name in ("wavelength", "pitch", "mode_width", "length"):
            check_positive(getattr(self, name), name, "m")
        check_positive(self.effective_index, "effective_index")
        if self.mode_width > self.pitch:
            raise ValueError(
                f"`mode_width` must not exceed the pitch of {self.pitch:g} m, but is {self.mode_width:g} m; "
                "overlapping modes are not orthogonal."
            )

    @property
    def slab_wavelength(self) -> float:
        """Wavelength in the slab, m."""
        return self.wavelength / self.effective_index


@takes_numbers
def slab_coupling(
    offsets: Float[np.ndarray, "*shape"], geometry: SlabGeometry
) -> Complex[np.ndarray, "*shape"]:
    """Amplitude t(d) that goes from one waveguide into another, by their lateral distance.

    Computed on the host in double precision, since k z is thousands of radians. In f = sin(angle) / l the rule is the
    midpoint rule in the angle; it is fine enough that a step changes the phase by at most a quarter radian.

    Args:
        offsets: Lateral distances d, m.
        geometry: Slab.
    """
    wavelength, z, width = geometry.slab_wavelength, geometry.length, geometry.mode_width
    reach = np.hypot(z, np.max(np.abs(offsets), initial=0.0))
    n = int(np.ceil(8 * np.pi**2 * reach / wavelength)) + 200
    angle = (np.arange(n) + 0.5) / n * np.pi - np.pi / 2
    f = np.sin(angle) / wavelength
    weight = half_cosine_spectrum(f, width) ** 2 * np.cos(angle) / wavelength * np.pi / n
    # cos(angle) - 1 without cancellation: the carrier is left out.
    weight = weight * np.exp(-4j * np.pi * z / wavelength * np.sin(angle / 2) ** 2)
    distances, place = np.unique(np.abs(offsets), return_inverse=True)
    found = np.array([np.sum(weight * np.cos(2 * np.pi * f * d)) for d in distances])
    return np.asarray(found[place].reshape(np.shape(offsets)))


@takes_numbers
def half_cosine_spectrum(
    f: Float[np.ndarray, "*shape"], width: float
) -> Float[np.ndarray, "*shape"]:
    """Fourier transform, in sqrt(m), of the mode sqrt(2 / w) cos(pi x / w) on |x| < w / 2, at f in 1/m."""
    # As two sinc functions, which have no pole at f w = 1/2.
    s = f * width
    return np.asarray(np.sqrt(width / 2) * (np.sinc(s - 0.5) + np.sinc(s + 0.5)))


def slab_matrix(
    n_outputs: int, n_inputs: int, geometry: SlabGeometry
) -> Complex[np.ndarray, "output input"]:
    """Transfer matrix of a slab in double precision; a contraction, symmetric where it is square."""
    for name, n in (("n_outputs", n_outputs), ("n_inputs", n_inputs)):
        if n < 1:
            raise ValueError(f"`{name}` must be at least 1, but is {n}.")
    outputs, inputs = ((np.arange(n) - (n - 1) / 2) * geometry.pitch for n in (n_outputs, n_inputs))
    return slab_coupling(outputs[:, None] - inputs[None, :], geometry)


class Diffractor(eqx.Module):
    """The two slabs of an encoder, which all chiplets of a network share.

    Attributes:
        wide: W, from M to M waveguides.
        narrow: N, from M to the N ports of the core.
    """

    wide: Complex[Array, "input input"]
    narrow: Complex[Array, "port input"]

    @takes_numbers
    def encode(
        self, masks: Float[Array, "mask input"], fields: Complex[Array, "*batch input"]
    ) -> Complex[Array, "*batch port"]:
        """E x: slab and mask in turn, then the slab onto the core."""

        def step(u, mask):
            u = u @ self.wide.T
            return u * _along_last(jnp.exp(1j * mask), u), None

        return jax.lax.scan(step, fields, masks)[0] @ self.narrow.T

    @takes_numbers
    def decode(
        self, masks: Float[Array, "mask input"], fields: Complex[Array, "*batch port"]
    ) -> Complex[Array, "*batch input"]:
        """E^T x: the same optics passed backwards, for the same masks."""

        def step(u, mask):
            return (u * _along_last(jnp.exp(1j * mask), u)) @ self.wide, None

        return jax.lax.scan(step, fields @ self.narrow, masks, reverse=True)[0]


def make_diffractor(
    n_inputs: int, n_ports: int, geometry: SlabGeometry, dtype=jnp.complex64
) -> Diffractor:
    """Prepares the slabs.

    Args:
        n_inputs: Waveguides M at the input, and as many detectors.
        n_ports: Ports N of the core, at most M.
        geometry: Slab, the same everywhere.
        dtype: complex64 or complex128.
    """
    if not 2 <= n_ports <= n_inputs:
        raise ValueError(
            f"`n_ports` must lie between 2 and the {n_inputs} inputs, but is {n_ports}; dark inputs may be added."
        )
    wide = slab_matrix(n_inputs, n_inputs, geometry)
    narrow = slab_matrix(n_ports, n_inputs, geometry)
    return Diffractor(jnp.asarray(wide, dtype), jnp.asarray(narrow, dtype))


class Chiplet(eqx.Module):
    """Phases of one chiplet; all of them are trained.

    Attributes:
        encoder_phase: Masks of the encoder, rad.
        core: Mesh.
        decoder_phase: Masks of the decoder in the order in which an encoder would meet them, rad.
    """

    encoder_phase: Float[Array, "mask input"]
    core: Mesh
    decoder_phase: Float[Array, "mask input"]

    @takes_numbers
    def __call__(
        self, diffractor: Diffractor, fields: Complex[Array, "*batch input"]
    ) -> Complex[Array, "*batch input"]:
        """Fields at the detectors."""
        check_shape(fields, "fields", diffractor.wide.shape[:1], "One amplitude a waveguide.")
        inside = diffractor.encode(self.encoder_phase, fields)
        return diffractor.decode(self.decoder_phase, self.core(inside))


def make_chiplets(
    n_chiplets: int,
    diffractor: Diffractor,
    *,
    key: PRNGKeyArray,
    n_masks: int = 1,
) -> Chiplet:
    """Chiplets with random masks and random unitary cores, stacked along a leading axis of every array.

    Args:
        n_chiplets: How many.
        diffractor: Slabs they will be used with.
        key: PRNG key.
        n_masks: Masks in each encoder and each decoder.
    """
    for name, n in (("n_chiplets", n_chiplets), ("n_masks", n_masks)):
        if n < 1:
            raise ValueError(f"`{name}` must be at least 1, but is {n}.")
    n_ports, n_inputs = diffractor.narrow.shape
    keys = jax.random.split(key, n_chiplets)
    return _draw_chiplets(keys, n_masks, n_inputs, n_ports, diffractor.wide.dtype)


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _draw_chiplets(keys, n_masks: int, n_inputs: int, n_ports: int, dtype) -> Chiplet:
    real = jnp.finfo(dtype).dtype

    def one(key):
        *mask_keys, core_key = jax.random.split(key, 3)
        masks = [
            jax.random.uniform(k, (n_masks, n_inputs), real, maxval=2 * np.pi) for k in mask_keys
        ]
        return Chiplet(masks[0], make_mesh(n_ports, key=core_key, dtype=dtype), masks[1])

    return jax.vmap(one)(keys)


def n_parameters(chiplets: Chiplet) -> int:
    """Trained phases of all stacked chiplets: masks, and N^2 of each core."""
    n_chiplets, n_ports = chiplets.core.output_phase.shape
    return chiplets.encoder_phase.size + chiplets.decoder_phase.size + n_chiplets * n_ports**2


def trainable(chiplets: Chiplet) -> Chiplet:
    """Filter for `equinox.partition`: every phase, no error of the hardware."""
    return eqx.tree_at(
        lambda c: (
            c.encoder_phase,
            c.decoder_phase,
            c.core.theta,
            c.core.phi,
            c.core.output_phase,
        ),
        jax.tree.map(lambda _: False, chiplets),
        (True,) * 5,
    )


@takes_numbers
def draw_chiplets(
    chiplets: Chiplet,
    *,
    key: PRNGKeyArray,
    splitter_error: Float[Array, ""] | float,
    phase_error: Float[Array, ""] | float,
) -> Chiplet:
    """The same commands on imperfect chips: normal errors, independent from place to place.

    Args:
        chiplets: One chiplet, or several stacked.
        key: PRNG key.
        splitter_error: Standard deviation of each coupler angle about pi/4, rad.
        phase_error: Standard deviation of every phase, of the masks and of the core, rad.
    """
    for name, size in (("splitter_error", splitter_error), ("phase_error", phase_error)):
        check_in_range(size, name, 0, np.pi, "rad")
    core = chiplets.core
    phases = (
        chiplets.encoder_phase,
        chiplets.decoder_phase,
        core.theta,
        core.phi,
        core.output_phase,
    )
    splitters = (core.theta, core.theta)
    # One long draw: many short ones compile slowly.
    sizes = [p.size for p in (*phases, *splitters)]
    noise = jax.random.normal(key, (sum(sizes),), core.theta.dtype)
    parts = [
        n.reshape(p.shape)
        for n, p in zip(jnp.split(noise, np.cumsum(sizes)[:-1]), (*phases, *splitters), strict=True)
    ]
    noisy = [p + phase_error * n for p, n in zip(phases, parts, strict=False)]
    angles = [splitter_error * n for n in parts[len(phases) :]]
    return eqx.tree_at(
        lambda c: (
            c.encoder_phase,
            c.decoder_phase,
            c.core.theta,
            c.core.phi,
            c.core.output_phase,
            c.core.left_error,
            c.core.right_error,
        ),
        chiplets,
        (*noisy, *angles),
        is_leaf=lambda leaf: leaf is None,
    )


@takes_numbers
def side_by_side(
    chiplets: Chiplet, diffractor: Diffractor, fields: Complex[Array, "*batch input"]
) -> Complex[Array, "chiplet *batch input"]:
    """Broad: every chiplet gets the same input, from a light source of its own."""
    return jax.vmap(lambda chiplet: chiplet(diffractor, fields))(chiplets)


@takes_numbers
def in_series(
    chiplets: Chiplet,
    diffractor: Diffractor,
    fields: Complex[Array, "*batch input"],
    relay: Relay = "detected",
) -> Complex[Array, "*batch input"]:
    """Deep: the output of each chiplet is the input of the next.

    Linear optics in series is linear optics. With the relay "detected", our choice, each output is measured and
    written onto fresh light of unit power, with amplitudes |y|: a nonlinearity that drops the phase and restores
    the power. "coherent" joins the waveguides, with no loss and no nonlinearity.
    """
    if relay not in ("detected", "coherent"):
        raise ValueError(f"`relay` must be detected or coherent, but is {relay!r}.")

    def step(carry, chiplet):
        y = chiplet(diffractor, carry[0])
        return (remodulate(y) if relay == "detected" else y, y), None

    return jax.lax.scan(step, (fields, jnp.zeros_like(fields)), chiplets)[0][1]


@takes_numbers
def remodulate(fields: Complex[Array, "*batch input"]) -> Complex[Array, "*batch input"]:
    """Fresh light of unit power with the amplitudes |y|."""
    power = intensity(fields)
    share = quotient(power, jnp.sum(power, axis=-1, keepdims=True))
    # The floor keeps the root differentiable where a waveguide is dark.
    return jnp.sqrt(share + 1e-12).astype(fields.dtype)


@takes_numbers
def region_powers(
    fields: Complex[Array, "*batch input"], n_regions: int
) -> Float[Array, "*batch region"]:
    """Power in equal groups of neighbouring detectors; the few that are left over at the end are not used."""
    width = fields.shape[-1] // n_regions
    if width < 1:
        raise ValueError(
            f"`n_regions` must not exceed the {fields.shape[-1]} detectors, but is {n_regions}; use a code."
        )
    used = fields[..., : width * n_regions]
    power = intensity(used)
    return jnp.sum(power.reshape(*fields.shape[:-1], n_regions, width), axis=-1)


@takes_numbers
def log_probabilities(
    powers: Float[Array, "*batch region"], gain: Float[Array, ""] | float = 15.0
) -> Float[Array, "*batch region"]:
    """Log softmax of gain times the share of each region; free of the brightness of the input."""
    share = powers / (jnp.sum(powers, axis=-1, keepdims=True) + _DARK)
    return jax.nn.log_softmax(gain * share)


def _along_last(vector: Array, batched: Array) -> Array:
    return vector.reshape((1,) * (batched.ndim - 1) + vector.shape)
