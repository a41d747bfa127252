"""Focusing light through a scattering medium with a phase modulator by measured fields.

The medium turns the modulator's N elements into a field at the target, y = sum_n t_n exp(i phi_n). All methods here
measure fields; those that measure one intensity at a time are in `optics.imaging.focus_search`. What a focus is worth
is in `optics.imaging.focus_quality`.

    forward mode         gradient of the loss by two passes in the same direction: data, then the error conj(y) times a
                         real map (Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4)
    phase conjugation    phi = -arg w, w the field that a source at the target leaves behind the medium
    transmission matrix  t_n measured in a Hadamard basis, phi_n = -arg t_n (Popoff et al., Phys. Rev. Lett. 104, 100601
                         (2010), DOI 10.1103/PhysRevLett.104.100601; with our four-step reference arm)

For independent circular Gaussian t_n all three end at phi_n = -arg t_n and brighten the target by pi/4 (N - 1) + 1 over
the mean speckle before (Vellekoop and Mosk, Opt. Lett. 32, 2309 (2007), DOI 10.1364/OL.32.002309).

Loss (our choice): minus the natural logarithm of the share of the camera's light that falls on the target square.
"""

import math
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.linalg
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from optics._dark import quotient
from optics._numbers import takes_numbers
from optics.hardware.bench import OpticalBench
from optics.hardware.holography import FRAMES_PER_FIELD
from optics.learning.loop import descend
from optics.learning.passes import phase_derivative
from optics.learning.rules.forward_mode import send_error
from optics.waves.elements import modulation
from optics.waves.field import intensity

LEAST_SHARE = (
    1e-9  # A target without a count has no logarithm; below this share the loss stays at 20.7.
)


class FocusResult(NamedTuple):
    """What a method found and what it cost.

    Attributes:
        phase: Phase of the modulator, rad.
        losses: Loss after 0, 1, 2, ... iterations, as measured; a method without iterations has none.
        evaluations: Hardware evaluations (one modulator setting, one exposure of any kind) in all.
        frames: Camera frames in all: four a field, one an intensity.
        pictures: Measured intensity at the camera after 0, 1, 2, ... iterations, where the method keeps it.
    """

    phase: Float[Array, "y x"]
    losses: Float[Array, " iteration"]
    evaluations: int
    frames: int
    pictures: Float[Array, "iteration y x"] | None = None


def square_target(
    shape: tuple[int, int], centre: tuple[int, int], side: int = 1
) -> Float[Array, "y x"]:
    """Ones on a square of `side` pixels about pixel `centre` (row, column), zeros elsewhere.

    Raises:
        ValueError: If the square does not lie on the grid.
    """
    corner = [c - side // 2 for c in centre]
    if side < 1 or any(c < 0 or c + side > n for c, n in zip(corner, shape, strict=True)):
        raise ValueError(
            f"`centre` must leave a square of {side} px inside the grid {shape}, but is {centre}."
        )
    mask = np.zeros(shape)
    mask[corner[0] : corner[0] + side, corner[1] : corner[1] + side] = 1
    return jnp.asarray(mask, jnp.float32)


@takes_numbers
def intensity_loss(
    intensity: Float[Array, "*batch y x"], target: Float[Array, "y x"]
) -> Float[Array, "*batch"]:
    """-ln of the share of the light that falls on the target; 0 is all of it, 20.7 for a dark frame."""
    mask = jnp.broadcast_to(target.astype(intensity.dtype), intensity.shape)
    share = quotient(jnp.sum(intensity * mask, axis=(-2, -1)), jnp.sum(intensity, axis=(-2, -1)))
    return -jnp.log(jnp.maximum(share, LEAST_SHARE))


@takes_numbers
def focus_loss(
    field: Complex[Array, "*batch y x"], target: Float[Array, "y x"]
) -> Float[Array, "*batch"]:
    """`intensity_loss` of a measured field.

    Its cotangent is conj(y) times the real map 2 (1 / P - target / P_target), with P the power on the camera.
    """
    return intensity_loss(intensity(field), target)


@takes_numbers
@partial(eqx.filter_jit)
def measure_focus_gradient(
    bench: OpticalBench,
    illumination: Complex[Array, "y x"],
    target: Float[Array, "y x"],
    phase: Float[Array, "y x"],
    *,
    key: PRNGKeyArray,
    time: int | Array = 0,
) -> tuple[Float[Array, ""], Float[Array, "y x"]]:
    """Loss and its derivative in the phase from two measured fields; exact if the bench is symmetric.

    Args:
        bench: Hardware with the medium in it.
        illumination: Field that falls on the modulator.
        target: Where the light is wanted, ones and zeros.
        phase: Present phase of the modulator, rad.
        key: PRNG key of camera noise.
        time: Number of the first of the two measurements.
    """
    loss, gradient, _ = _two_passes(bench, illumination, target, phase, key, time)
    return loss, gradient


def _two_passes(bench, illumination, target, phase, key, time):
    """Loss, its derivative in the phase, and the field of the data pass."""
    data_key, error_key = jax.random.split(key)
    measured = bench.measure_field(illumination, phase, key=data_key, time=time)
    loss, error = jax.value_and_grad(focus_loss)(measured, target)
    carried = send_error(bench, error, phase, key=error_key, time=time + 1)
    return loss, phase_derivative(modulation(phase) * illumination, carried), measured


@takes_numbers
@partial(eqx.filter_jit)
def forward_mode_focus(
    bench: OpticalBench,
    illumination: Complex[Array, "y x"],
    target: Float[Array, "y x"],
    *,
    key: PRNGKeyArray,
    n_iterations: int = 30,
    learning_rate: float | Array = 0.6,
    momentum: float | Array = 0.5,
    time: int | Array = 0,
) -> FocusResult:
    """Focuses by forward-mode training with Adam (Kingma and Ba 2015, arXiv:1412.6980), from a flat modulator.

    Args:
        bench: Hardware with the medium in it.
        illumination: Field that falls on the modulator.
        target: Where the light is wanted, ones and zeros.
        key: PRNG key of camera noise.
        n_iterations: Updates; each takes a data and an error field.
        learning_rate: Adam's step, rad.
        momentum: Adam's b1, the memory of its mean gradient.
        time: Number of the first measurement.
    """
    optimiser = optax.adam(learning_rate, b1=momentum)
    phase = jnp.zeros_like(jnp.real(illumination))

    def look(phase, index):
        noise = jax.random.fold_in(key, index)
        _, gradient, field = _two_passes(
            bench, illumination, target, phase, noise, time + 2 * index
        )
        return gradient, intensity(field)

    (phase, _), pictures = descend(
        look,
        (phase, optimiser.init(phase)),
        optimiser,
        jnp.arange(n_iterations),
        project=lambda phase: jnp.mod(phase, 2 * jnp.pi),
    )
    noise = jax.random.fold_in(key, n_iterations)
    last = bench.measure_field(illumination, phase, key=noise, time=time + 2 * n_iterations)
    pictures = jnp.concatenate([pictures, intensity(last)[None]])
    losses = intensity_loss(pictures, target)
    evaluations = 2 * n_iterations + 1
    return FocusResult(phase, losses, evaluations, FRAMES_PER_FIELD * evaluations, pictures)


@takes_numbers
@partial(eqx.filter_jit)
def phase_conjugation(
    bench: OpticalBench,
    illumination: Complex[Array, "y x"],
    target: Float[Array, "y x"],
    *,
    key: PRNGKeyArray,
    time: int | Array = 0,
) -> FocusResult:
    """Digital phase conjugation with a source at the target, one field, four frames.

    The measurement: the target square is lit at the INPUT face, the modulator is flat, and the field is measured at the
    camera. That is T 1_target, which equals the T^T 1_target of a source in the focal plane looking back only where
    T^T = T. Elsewhere the source would have to stand in the focus and the camera at the modulator.
    """
    source, like = target.astype(illumination.dtype), jnp.real(illumination)
    field = send_error(bench, source, like, key=key, time=time)
    phase = jnp.mod(-jnp.angle(illumination * field), 2 * jnp.pi)
    return FocusResult(phase, jnp.zeros(0, phase.dtype), 1, FRAMES_PER_FIELD)


@takes_numbers
@partial(eqx.filter_jit)
def measure_transmission_matrix(
    bench: OpticalBench,
    illumination: Complex[Array, "y x"],
    outputs: Int[Array, " output"],
    n_blocks: int,
    *,
    key: PRNGKeyArray,
    time: int | Array = 0,
) -> Complex[Array, "output block"]:
    """Fields that each of n_blocks^2 super-pixels adds to camera pixels, measured in the Hadamard basis.

    All super-pixels are lit in each of the n_blocks^2 measurements (phases 0 and pi), which beats measuring one after
    the other by their number in signal to noise. Costs n_blocks^2 fields.

    Args:
        bench: Hardware with the medium in it.
        illumination: Field that falls on the modulator.
        outputs: Flat indices (row-major) of the camera pixels wanted.
        n_blocks: Super-pixels along each side, a power of 2.
        key: PRNG key of camera noise.
        time: Number of the first measurement.

    Raises:
        ValueError: If `n_blocks` is not a power of 2.
    """
    if n_blocks < 1 or n_blocks & (n_blocks - 1):
        raise ValueError(f"`n_blocks` must be a power of 2, but is {n_blocks}.")
    n_modes, shape = n_blocks**2, (illumination.shape[0], illumination.shape[1])
    real = jnp.finfo(illumination.dtype).dtype
    signs = jnp.asarray(scipy.linalg.hadamard(n_modes), real)

    def measure(index):
        phase = expand_blocks(jnp.where(signs[index] > 0, 0, jnp.pi).astype(real), shape)
        noise = jax.random.fold_in(key, index)
        field = bench.measure_field(illumination, phase, key=noise, time=time + index)
        return field.reshape(-1)[outputs]

    answers = jax.lax.map(measure, jnp.arange(n_modes), batch_size=min(8, n_modes))
    return (signs.astype(answers.dtype).T @ answers).T / n_modes


@takes_numbers
def matrix_focus(
    matrix: Complex[Array, "output block"], shape: tuple[int, int]
) -> Float[Array, "y x"]:
    """Phase that focuses on all outputs of a transmission matrix together.

    The leading right singular vector puts most light there; its phase, negated, is loaded. For one output that is
    -arg t_n.
    """
    _, _, rows = jnp.linalg.svd(matrix, full_matrices=False)
    return expand_blocks(jnp.mod(jnp.angle(rows[0].conj()), 2 * jnp.pi), shape)


@takes_numbers
def transmission_matrix_focus(
    bench: OpticalBench,
    illumination: Complex[Array, "y x"],
    target: Float[Array, "y x"],
    *,
    key: PRNGKeyArray,
    n_blocks: int = 16,
) -> FocusResult:
    """Focuses by the measured transmission matrix from super-pixels to all pixels of the target.

    Args:
        bench: Hardware with the medium in it.
        illumination: Field that falls on the modulator.
        target: Where the light is wanted, ones and zeros.
        key: PRNG key of camera noise.
        n_blocks: Super-pixels along each side, a power of 2; n_blocks^2 fields are measured.

    Raises:
        ValueError: If `n_blocks` is not a power of 2.
    """
    outputs = jnp.flatnonzero(target.reshape(-1))
    matrix = measure_transmission_matrix(bench, illumination, outputs, n_blocks, key=key)
    phase = matrix_focus(matrix, (illumination.shape[0], illumination.shape[1]))
    fields = n_blocks**2
    return FocusResult(phase, jnp.zeros(0, phase.dtype), fields, FRAMES_PER_FIELD * fields)


@takes_numbers
def expand_blocks(
    phase: Float[Array, "*batch block"], shape: tuple[int, int]
) -> Float[Array, "*batch y x"]:
    """Phases of a square array of super-pixels, row-major, on the modulator's grid; sizes may differ by a pixel."""
    side = math.isqrt(phase.shape[-1])
    if side * side != phase.shape[-1] or side > min(shape):
        raise ValueError(
            f"`phase` must hold a square number of super-pixels, at most one a pixel of {shape}, but holds "
            f"{phase.shape[-1]}."
        )
    rows, columns = (np.arange(n) * side // n for n in shape)
    return phase.reshape(*phase.shape[:-1], side, side)[..., rows[:, None], columns[None, :]]
