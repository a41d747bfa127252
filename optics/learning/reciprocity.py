"""Reciprocity audit: is a system its own transpose up to a relocation of its ports, and what does that cost FFM?

Forward mode sends the error c forward, through T, where the gradient needs T^T c. If permutations of the ports satisfy

    T^T = R T J        (R = S, J = S^-1: the known symmetry S of the system, T^T = S T S^-1)

then R T J c is the exact error: inject J c, read through R. T^T by itself is not measurable, but its bilinear forms
are: for any error c and probe b, two forward runs give x = c^T (T b) = b^T (T^T c) and y = b^T (R T J c), and over
white b

    E conj(x) y = <T^T c, R T J c>,   E |x|^2 = |T^T c|^2,   E |y|^2 = |R T J c|^2.

kappa = E conj(x) y / sqrt(E |x|^2 E |y|^2) is therefore the overlap of the true with the forward error, and
E |x - y|^2 / E |x|^2 its squared residual: properties of the system (`measure_overlap`). If the loaded field u has
random phases that the error does not know, the gradients -Im(u T^T c) and -Im(u R T J c) have the cosine Re kappa; over
m passes of a uniform system with random masks in between overlaps multiply, and a reference phase delta between data
and error passes turns each one (`predict_cosines`):

    cosine(layer) = Re prod_(passes p) kappa_p exp(i delta),   = cos(m delta) for a symmetric system.

In a training c knows u: part of it is the conjugate of the light itself, comes back as conj(u), and has no share in the
gradient. `audit_layers` keeps that. Probes b = s u with random signs s, one for each pixel, sent on through all later
layers, give Im x = -s . g, the projection of the true gradient g of a layer on s, summed over samples: the cosine of g
with what forward mode delivers follows from projections alone.

Every run is made twice, and only products of different runs are averaged, so noise adds no bias. What the audit cannot
see: a wrong u (errors of the modulator in the layer itself), and noise in the gradient. Derived for this project,
with the conditions on T; that T = T^T is what it takes: Xue et al., Nature 632, 280 (2024), DOI
10.1038/s41586-024-07687-4, and C. Boesch, Y. Gediz, H. Tureci, arXiv:2608.11585 (2026), section 10.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from optics._checks import check_finite, is_concrete
from optics.learning.relocations import Operator, Relocation, displacement, relocations


class Overlap(NamedTuple):
    """What one pass of the audit measured.

    Attributes:
        kappa: Overlap of forward and true error; 1 for a system that is symmetric after relocation.
        residual: |T^T c - R T J c| / |T^T c|, root mean square over errors.
        carried: R T J c, first of the two runs: the errors after the pass.
        n_fields: Complex fields measured.
    """

    kappa: Complex[Array, ""]
    residual: Float[Array, ""]
    carried: Complex[Array, " error *shape"]
    n_fields: int


def measure_overlap(
    operator: Operator,
    errors: Complex[Array, " error *shape"],
    probes: Complex[Array, "probe ..."],
    *,
    key: PRNGKeyArray,
    relocation: Relocation | None = None,
) -> Overlap:
    """Compares forward with true error on all pairs of errors and probes.

    Args:
        operator: The system with flat weights, `operator(fields, key=key)`, such as a bench's `measure_field`.
        errors: Fields as the error of a training looks, any scale.
        probes: White fields with the modulus of the loaded fields; `white_probes` makes them.
        key: PRNG key of the measurements.
        relocation: Relocation to use; None for the plain forward pass.

    Raises:
        ValueError: If shapes differ or a field is not finite.
        FloatingPointError: If the system answers with something that is not finite.
    """
    _check_fields(errors, probes)
    if relocation is None:
        relocation = relocations(errors.shape[1:])[0]
    keys = jax.random.split(key, 4)
    answers = [operator(probes, key=k) for k in keys[:2]]
    carried = [relocation.transport(operator, errors, key=k) for k in keys[2:]]
    _check_answers(answers + carried)
    kappa, residual = _overlap(
        [_pairs(errors, a) for a in answers], [_pairs(c, probes) for c in carried]
    )
    return Overlap(kappa, residual, carried[0], 2 * (len(errors) + len(probes)))


@jax.jit
def _pairs(first, second):
    """All bilinear forms, no conjugate: error by row, probe by column."""
    flat = [fields.reshape(fields.shape[0], -1) for fields in (first, second)]
    return flat[0] @ flat[1].T


@jax.jit
def _overlap(true, forward):
    """From two independent measurements of each form; products within a measurement would carry its noise."""
    (x1, x2), (y1, y2) = true, forward
    xx = jnp.sum(jnp.real(jnp.conj(x1) * x2))
    yy = jnp.sum(jnp.real(jnp.conj(y1) * y2))
    xy = jnp.sum(jnp.conj(x1) * y2 + jnp.conj(x2) * y1) / 2
    square = (xx + yy - 2 * jnp.real(xy)) / xx
    # Noise can push a vanishing residual below zero, and pure noise the powers.
    tiny = jnp.finfo(xx.dtype).tiny
    kappa = xy / jnp.sqrt(jnp.maximum(xx, tiny) * jnp.maximum(yy, tiny))
    return kappa, jnp.sqrt(jnp.maximum(square, 0))


class LayerAudit(NamedTuple):
    """What is expected of the gradient of each layer, first layer first.

    Attributes:
        cosine: Expected cosine of the gradient of forward mode with the true one.
        n_fields: Complex fields measured.
    """

    cosine: Float[Array, " layer"]
    n_fields: int


def audit_layers(
    run: Callable[..., Array],
    errors: Complex[Array, " sample *shape"],
    loaded: Complex[Array, " layer sample *shape"],
    phase: Float[Array, " layer *shape"],
    *,
    key: PRNGKeyArray,
    n_probes: int = 32,
    reference_phase: float | Array = 0.0,
) -> LayerAudit:
    """Audits a network of phase layers on one system, by forward runs with its weights and with flat weights.

    Error of a cosine r: about (1 - r^2) / sqrt(n_probes).

    Args:
        run: `run(fields, phase, key)`, the field measured after a layer; `phase` None for flat weights.
        errors: Error of each sample at the output, as a training forms it.
        loaded: Field of each sample behind the modulator of each layer, as commanded.
        phase: Commanded phases, rad.
        key: PRNG key of probes and measurements.
        n_probes: Sign patterns for each layer, each run with every sample.
        reference_phase: Phase that each error pass of the training gains against the data passes, rad.

    Raises:
        ValueError: If `n_probes` is below 2 or a shape does not fit.
        FloatingPointError: If the system answers with something that is not finite.
    """
    if n_probes < 2:
        raise ValueError(f"`n_probes` must be at least 2, but is {n_probes}.")
    _check_fields(errors, loaded[0])
    (n_layers, n_samples), shape = loaded.shape[:2], errors.shape[1:]
    cosines, carried = [], [errors, errors]
    turn = jnp.exp(1j * jnp.asarray(reference_phase))
    for layer in reversed(range(n_layers)):
        sign_key, *keys = jax.random.split(jax.random.fold_in(key, layer), 5)
        signs = jax.random.rademacher(sign_key, (n_probes, 1, *shape), loaded.real.dtype)
        probes = (signs * loaded[layer][None]).reshape(-1, *shape)
        carried = [turn * run(fields, None, k) for fields, k in zip(carried, keys[:2], strict=True)]
        true, forward = [], []
        for fields, k in zip(carried, keys[2:], strict=True):
            answer = run(probes, None, k)
            for later in range(layer + 1, n_layers):
                answer = run(answer, phase[later], jax.random.fold_in(k, later))
            _check_answers([answer, fields])
            true.append(_projections(errors, answer))
            forward.append(_projections(fields, probes))
        cosines.append(jnp.real(_overlap(true, forward)[0]))
        carried = [jnp.exp(1j * phase[layer])[None] * fields for fields in carried]
    passes = n_layers * (n_layers + 1) // 2
    n_fields = 2 * n_samples * (n_layers + n_probes * passes)
    return LayerAudit(jnp.stack(cosines[::-1]), n_fields)


@jax.jit
def _projections(fields, probed):
    """Im of the product with every sample of a probe, summed: one number for each probe."""
    products = fields[None] * probed.reshape(-1, *fields.shape)
    return jnp.sum(jnp.imag(products), axis=tuple(range(1, products.ndim)))


def find_relocation(
    operator: Operator,
    errors: Complex[Array, " error *shape"],
    probes: Complex[Array, "probe ..."],
    candidates: Sequence[Relocation] | None = None,
    *,
    key: PRNGKeyArray,
) -> tuple[Relocation, dict[str, float]]:
    """Best relocation among `candidates` and, on a grid, the best displacement of the reading.

    Probes are run twice, errors twice for each way of injecting them; displacements cost nothing further, since
    the correlation of probes with answers gives all of them at once.

    Args:
        operator: See `measure_overlap`.
        errors: See `measure_overlap`.
        probes: See `measure_overlap`.
        candidates: Relocations to try; None for all of `relocations`.
        key: PRNG key of the measurements.

    Returns:
        Best relocation, by the real part of its overlap, and that overlap for every relocation tried.

    Raises:
        ValueError: See `measure_overlap`.
    """
    _check_fields(errors, probes)
    shape = errors.shape[1:]
    candidates = list(relocations(shape) if candidates is None else candidates)
    keys = jax.random.split(key, 2 + 2 * len(candidates))
    true = [_pairs(errors, operator(probes, key=k)) for k in keys[:2]]
    overlaps = {}
    for i, candidate in enumerate(candidates):
        carried = [
            candidate.transport(operator, errors, key=k) for k in keys[2 + 2 * i : 4 + 2 * i]
        ]
        kappa, _ = _overlap(true, [_pairs(c, probes) for c in carried])
        overlaps[candidate.name] = float(jnp.real(kappa))
        if candidate.name == "identity" and len(shape) == 2:
            moved = displacement(_best_shift(true[0], carried[0], probes), shape)
            kappa, _ = _overlap(true, [_pairs(moved.receive(c), probes) for c in carried])
            overlaps[moved.name] = float(jnp.real(kappa))
            candidates = [*candidates, moved]
    best = max(candidates, key=lambda candidate: overlaps[candidate.name])
    return best, overlaps


def _best_shift(true, carried, probes) -> tuple[int, int]:
    """Displacement d that maximises Re sum conj(x) y(d), y(d) = sum_r b(r) (T c)(r - d), over all d by FFT."""
    # Reversed rows start at the last one, which moves every displacement by one.
    score = np.roll(np.asarray(_shift_scores(true, carried, probes)), (1, 1), axis=(0, 1))
    row, column = np.unravel_index(score.argmax(), score.shape)
    return _signed(row, score.shape[0]), _signed(column, score.shape[1])


@jax.jit
def _shift_scores(true, carried, probes):
    spectrum = jnp.fft.fft2(jnp.einsum("ij,jyx->iyx", jnp.conj(true), probes))
    backward = jnp.fft.fft2(carried[:, ::-1, ::-1])
    return jnp.real(jnp.sum(jnp.fft.ifft2(spectrum * backward), axis=0))


def _signed(index, n: int) -> int:
    """Cyclic displacement as the shorter way round."""
    return int((index + n // 2) % n - n // 2)


def white_probes(
    modulus: Float[Array, " probe *shape"], *, key: PRNGKeyArray
) -> Complex[Array, " probe *shape"]:
    """Fields of the given modulus with independent uniform phases."""
    return modulus * jnp.exp(2j * jnp.pi * jax.random.uniform(key, modulus.shape, modulus.dtype))


def predict_cosines(
    kappas: Complex[Array, " passes"], reference_phase: float | Array = 0.0
) -> Float[Array, " passes"]:
    """Cosine of the FFM gradient after 1, 2, ... error passes (last layer first).

    Args:
        kappas: Overlap of each pass.
        reference_phase: Phase that each error pass gains against the data passes, rad.
    """
    return jnp.real(jnp.cumprod(kappas * jnp.exp(1j * jnp.asarray(reference_phase))))


def _check_fields(errors, probes):
    if errors.shape[1:] != probes.shape[1:]:
        raise ValueError(
            f"`probes` must have the shape {errors.shape[1:]} of the errors, but have {probes.shape[1:]}."
        )
    check_finite(errors, "errors")
    check_finite(probes, "probes")


def _check_answers(answers):
    for answer in answers:
        if is_concrete(answer) and not np.isfinite(np.asarray(answer)).all():
            raise FloatingPointError(
                "`operator` must answer with finite fields, but one run gives NaN or infinity; check what is loaded."
            )
