"""Fully forward mode: the error goes through the same hardware, in the same direction, as the data.

Z. Xue, T. Zhou, Z. Xu, S. Yu, Q. Dai, L. Fang, "Fully forward mode training for optical neural networks", Nature 632,
280-286 (2024), DOI 10.1038/s41586-024-07687-4. The gradient needs H^T acting on the error; where H = H^T, running the
bench forward on the error is that. No model of the bench is used: only the commanded weights, the measured fields, and
the loss and activation, both computed in electronics.

Its parts are the same for every system of modulators and free space, and stand here once: `send_error` (the error
pass), `optics.learning.passes.phase_derivative` (-Im of light times error), `forward_pass` (a whole network),
`forward_layer` (one layer with these as its derivative, where light is a part of something larger); focusing, hidden
wavefronts and the reciprocity audit use them. Two systems differ in where light is known. On symmetric cores of
a chip each phase stands twice, and taps see both places (`optics.meshes.symmetric.tied_gradient`, for
`mesh_forward_mode` and `chip_forward_mode`). In a resonator nothing inside is seen: the light of a mode follows from
what it adds to the wave that passes, (S - 1), and the derivative is one of a spectrum, summed over frequencies
(`optics.resonators.exceptional_points.linearise_forward`).
"""

import cmath
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from optics.learning.passes import DataPass, error_pass, measure_data_pass, phase_derivative
from optics.learning.protocols import (
    AbstractLearningRule,
    Bench,
    GradientEstimate,
    Network,
    require_bench,
)
from optics.learning.relocations import Relocation
from optics.waves.elements import modulation
from optics.waves.field import over_batch

FLAT_PHASE = math.pi


def send_error(
    bench: Bench,
    error,
    like,
    *,
    key,
    time: int | Array = 0,
    flat_phase: float = FLAT_PHASE,
    relocation=None,
) -> Array:
    """H c: the error through the bench with flat weights, whose commanded phase electronics takes off again.

    Args:
        bench: Hardware.
        error: c = dL/d(Re y) - i dL/d(Im y).
        like: Array shaped and typed like the phase of the modulator.
        key: PRNG key of measurement noise.
        time: Number of the measurement.
        flat_phase: Phase of the flat modulator, rad.
        relocation: Where the error is injected and read, on a system whose transpose is H behind a permutation.
    """
    flat = jnp.full_like(like, flat_phase)

    def measure(fields, key):
        return cmath.exp(-1j * flat_phase) * bench.measure_field(fields, flat, key=key, time=time)

    return (
        measure(error, key) if relocation is None else relocation.transport(measure, error, key=key)
    )


class ForwardPass(NamedTuple):
    """A step of forward mode with what was measured on the way.

    Attributes:
        estimate: Loss, gradient, output.
        data: Fields loaded into and measured behind each layer.
    """

    estimate: GradientEstimate
    data: DataPass


def forward_pass(
    network: Network,
    bench: Bench,
    field,
    labels,
    *,
    key,
    time: int | Array = 0,
    flat_phase: float = FLAT_PHASE,
    relocation: Relocation | None = None,
) -> ForwardPass:
    """Data and then error through every layer of a network in the same direction.

    Args:
        network: Commanded weights, activation, loss.
        bench: Hardware that is every layer in turn.
        field: Input fields, batch first.
        labels: What the loss wants of each.
        key: PRNG key of measurement noise.
        time: Number of the first measurement.
        flat_phase: See `send_error`.
        relocation: See `send_error`.
    """
    data_key, error_key = jax.random.split(key)
    data = measure_data_pass(network, bench, field, key=data_key, time=time)

    def transport(error, layer_key, passes):
        return send_error(
            bench, error, network.phase[0],
            key=layer_key, time=time + network.n_layers + passes, flat_phase=flat_phase, relocation=relocation,
        )  # fmt: skip

    return ForwardPass(error_pass(network, data, labels, transport, key=error_key), data)


def forward_layer(bench: Bench, field, phase, *, key, times: tuple[Any, Any]) -> Array:
    """One layer of the hardware that `jax.grad` may go through: its derivative is measured, by one error pass.

    With it forward mode needs no loop of its own: layers are called one after the other, between and around them
    stands whatever is computed in electronics, and what stands in front of the light is trained along with it.

    Args:
        bench: Hardware; it has no derivative of its own.
        field: Field loaded, batch first.
        phase: Commanded phase, rad.
        key: PRNG key of the noise of both measurements.
        times: Number of the data pass and of the error pass.

    Returns:
        Measured field.
    """
    arrays, rest = eqx.partition(bench, eqx.is_array)
    keys = jax.random.split(key)

    @jax.custom_vjp
    def layer(field, phase, arrays, keys, times):
        return eqx.combine(arrays, rest).measure_field(field, phase, key=keys[0], time=times[0])

    def forwards(field, phase, *others):
        return layer(field, phase, *others), (field, phase, *others)

    def backwards(kept, error):
        field, phase, arrays, keys, times = kept
        hardware = eqx.combine(arrays, rest)
        c_u = send_error(hardware, error, phase, key=keys[1], time=times[1])
        turn = over_batch(modulation(phase), field)
        slope = jnp.sum(phase_derivative(turn * field, c_u), axis=0)
        return turn * c_u, slope, None, None, None

    layer.defvjp(forwards, backwards)
    return layer(field, phase, arrays, keys, times)


class ForwardMode(AbstractLearningRule):
    """FFM training rule; needs a bench whose flat-weight operator is symmetric for its gradient to be exact.

    Attributes:
        flat_phase: Phase of the flat modulator while the error passes, rad. Mid-range by default: an error of the
            phase stroke then turns the error field as far one way as the other (our choice; the paper's is unknown).
    """

    flat_phase: float = FLAT_PHASE

    def gradient(self, network, bench, field, labels, *, key, time=0) -> GradientEstimate:
        """See `AbstractLearningRule.gradient`; a bench is required."""
        bench = require_bench(bench, "forward-mode")
        return forward_pass(
            network, bench, field, labels, key=key, time=time, flat_phase=self.flat_phase
        ).estimate

    def measurements_per_sample(self, n_layers: int) -> int:
        """One data and one error pass per layer."""
        return 2 * n_layers
