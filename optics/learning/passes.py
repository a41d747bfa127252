"""The passes through hardware that learning rules share: data layer by layer, and the error on its way back.

`chain_pass` carries the error through any model of a layer. `error_pass` needs more: layers whose weights multiply the
loaded field, a exp(i phi) x, as a modulator does, before whatever linear map follows.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex

from optics._dark import root
from optics.hardware.holography import FRAMES_PER_FIELD
from optics.learning.protocols import Bench, GradientEstimate, Network, Weights
from optics.networks.layers import over_layers
from optics.waves.elements import modulation
from optics.waves.field import over_batch


class DataPass(NamedTuple):
    """Everything a data pass leaves behind for the error pass.

    Attributes:
        loaded: Field loaded into each layer; zeros where the network skips it.
        measured: Field measured after each layer, likewise.
    """

    loaded: Complex[Array, "layer batch ..."]
    measured: Complex[Array, "layer batch ..."]


def measure_data_pass(
    network: Network, bench: Bench, field, *, key, time: int | Array = 0
) -> DataPass:
    """Sends data through the hardware layer by layer, measuring and re-loading the field in between."""

    def step(x, inputs):
        layer, weights, layer_key = inputs
        y = bench.measure_field(x, *weights, key=layer_key, time=time + layer)
        return network.activate(y), (x, y)

    n_stacked = network.phase.shape[0]
    # The key of a layer is the same however many there are.
    keys = jax.random.split(key, n_stacked)
    layers = (jnp.arange(n_stacked), (network.phase, network.amplitude), keys)
    _, (loaded, measured) = over_layers(step, field, layers, network.n_layers)
    return DataPass(loaded, measured)


def measure_output(
    network: Network, bench: Bench, field, *, key, time: int | Array = 0
) -> Complex[Array, "batch ..."]:
    """Amplitude of the light after the last layer, for a method that needs the loss alone.

    Between layers the complex field is measured, since it is loaded again; after the last layer a plain camera frame
    is enough. Its square root stands in for the field: a readout sees intensities only.
    """
    last = network.n_layers - 1

    def step(x, inputs):
        layer, weights, layer_key = inputs
        y = bench.measure_field(x, *weights, key=layer_key, time=time + layer)
        return network.activate(y), None

    keys = jax.random.split(key, network.n_layers)
    weights = (network.phase[:-1], None if network.amplitude is None else network.amplitude[:-1])
    x, _ = jax.lax.scan(step, field, (jnp.arange(last), weights, keys[:-1]))
    amplitude = None if network.amplitude is None else network.amplitude[-1]
    intensity = bench.measure_intensity(
        x, network.phase[-1], amplitude, key=keys[-1], time=time + last
    )
    # Read noise makes some pixels negative; a square root has no room for them.
    return root(intensity).astype(field.dtype)


def frames_per_output(n_layers: int) -> int:
    """Camera frames of `measure_output` for one sample."""
    return FRAMES_PER_FIELD * (n_layers - 1) + 1


def chain_pass(
    network: Network,
    data: DataPass,
    labels,
    feedback: Callable[[Array, Array, Any], Array] | None = None,
    extras: Any = None,
) -> GradientEstimate:
    """Error through the model: the derivative of each layer's ideal model at the field that was loaded into it.

    Measured and modelled field of a layer may differ by a common phase, of the reference wave or of a stroke error; the
    model's derivative is turned by it, as otherwise the error would meet it under a wrong angle.

    Args:
        network: Nominal model.
        data: What the data pass measured.
        labels: Class of each sample.
        feedback: `(c, c_last, extra)` -> error at the output of a hidden layer, where `c` is the error that the layer
            behind passes on and `c_last` the error at the end; None takes `c`, which is back-propagation.
        extras: Something per layer for `feedback`, layer first.
    """
    output = data.measured[-1]
    loss, error = jax.value_and_grad(network.readout.loss)(output, labels)
    last = network.n_layers - 1

    def step(carry, inputs):
        layer, (phase, amplitude), x, y, extra = inputs
        c_x = carry
        if feedback is not None:
            c_x = jnp.where(layer < last, feedback(carry, error, extra), carry)
        # The last layer is not activated, and its error is the loss's own.
        c_y = jnp.where(layer < last, jax.vjp(network.activate, y)[1](c_x)[0], c_x)
        modelled, pull_back = jax.vjp(lambda x, p, a: network.layer(x, p, a), x, phase, amplitude)
        c_before, phase_gradient, amplitude_gradient = pull_back(c_y * _common_phase(modelled, y))
        return c_before, (phase_gradient, amplitude_gradient)

    layers = (
        jnp.arange(network.n_layers),
        (network.phase, network.amplitude),
        data.loaded,
        data.measured,
        extras,
    )
    _, (phase, amplitude) = jax.lax.scan(step, error, layers, reverse=True)
    return GradientEstimate(loss, Weights(phase, amplitude), output)


def _common_phase(modelled, measured):
    """exp(i alpha) of the one phase by which measured light is ahead of modelled light."""
    overlap = jnp.sum(jnp.conj(modelled) * measured)
    size = jnp.abs(overlap)
    return jnp.where(size > 0, overlap / jnp.where(size > 0, size, 1.0), 1.0)


def phase_derivative(light, error) -> Array:
    """-Im(u c): what a phase that light u has just passed gets from the error c behind it, for every sample."""
    return -jnp.imag(light * error)


def error_pass(network: Network, data: DataPass, labels, transport, *, key) -> GradientEstimate:
    """Carries the error from the last layer to the first and collects the gradient on the way.

    With c = dL/d(Re y) - i dL/d(Im y) and c_u = transport(c), the transported error (our derivation; the rule: Xue et
    al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4): dL/dphi = -Im(u c_u), dL/da = Re(exp(i phi) x c_u),
    and the error of the layer before is f'^T(y) [a exp(i phi) c_u].

    Args:
        network: Nominal model; supplies loss, activation and commanded weights.
        data: What the data pass measured.
        labels: Class of each sample.
        transport: `(c, key, passes)` -> c_u; the hardware itself in forward-mode training, the model's transpose in
            physics-aware training. `passes` counts error passes from 0.
        key: PRNG key of measurement noise.
    """
    # The loss and its cotangent are formed in electronics from the measured output field. JAX's gradient of a real
    # loss with respect to a complex array is the cotangent c above.
    n_layers = network.n_layers
    output = data.measured[n_layers - 1]
    loss, error = jax.value_and_grad(network.readout.loss)(output, labels)

    def step(carry, inputs):
        layer, (phase, amplitude), x, y_before, layer_key = inputs
        c_u = transport(carry, layer_key, n_layers - 1 - layer)
        turned = over_batch(modulation(phase), x) * x
        u = turned if amplitude is None else over_batch(amplitude, x) * turned
        phase_gradient = jnp.sum(phase_derivative(u, c_u), axis=0)
        amplitude_gradient = None if amplitude is None else jnp.sum(jnp.real(turned * c_u), axis=0)
        c_x = over_batch(modulation(phase, amplitude), c_u) * c_u
        # Multiplied by the stored local gradient before it is propagated; nothing stands before the first layer.
        _, pull_back = jax.vjp(network.activate, y_before)
        c_x = jnp.where(layer > 0, pull_back(c_x)[0], c_x)
        return c_x, (phase_gradient, amplitude_gradient)

    before = jnp.concatenate([data.loaded[:1], data.measured[:-1]])
    n_stacked = network.phase.shape[0]
    keys = jax.random.split(key, n_stacked)
    layers = (jnp.arange(n_stacked), (network.phase, network.amplitude), data.loaded, before, keys)
    _, (phase, amplitude) = over_layers(step, error, layers, n_layers, reverse=True)
    return GradientEstimate(loss, Weights(phase, amplitude), output)
