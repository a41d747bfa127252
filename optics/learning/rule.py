"""The one interface of all training methods: a rule turns a batch into a loss and a gradient of the weights."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from optics.bench import FRAMES_PER_FIELD, OpticalBench
from optics.diffractive import DiffractiveNetwork, modulation
from optics.field import over_batch


class Weights(NamedTuple):
    """Trained arrays of a network, or anything shaped like them (a gradient).

    Attributes:
        phase: Phases, rad.
        amplitude: Transmissions, or None.
    """

    phase: Float[Array, "layer y x"]
    amplitude: Float[Array, "layer y x"] | None


class GradientEstimate(NamedTuple):
    """What a rule knows after one batch.

    Attributes:
        loss: Loss of the batch, as the rule saw it (measured or simulated).
        gradient: Estimated derivative of the loss with respect to the weights.
        output: Field at the camera after the last layer, as the rule saw it.
    """

    loss: Float[Array, ""]
    gradient: Weights
    output: Complex[Array, "batch y x"]


class AbstractLearningRule(eqx.Module):
    """Estimates the gradient of a loss; implementations differ in what they measure and what they simulate."""

    @abc.abstractmethod
    def gradient(
        self,
        network: DiffractiveNetwork,
        bench: OpticalBench | None,
        field: Complex[Array, "batch y x"],
        labels: Int[Array, " batch"],
        *,
        key: PRNGKeyArray,
        time: int | Array = 0,
    ) -> GradientEstimate:
        """Loss and gradient for one batch.

        Args:
            network: Nominal model with the present weights.
            bench: Hardware to measure on; a rule that only simulates ignores it.
            field: Input fields.
            labels: Class of each input.
            key: PRNG key of measurement noise.
            time: Number of the first measurement since the laboratory was set up.
        """

    @abc.abstractmethod
    def measurements_per_sample(self, n_layers: int) -> int:
        """Complex fields measured for one sample in one step; `FRAMES_PER_FIELD` camera frames each."""

    def frames_per_sample(self, n_layers: int) -> int:
        """Camera frames used for one sample in one step."""
        return FRAMES_PER_FIELD * self.measurements_per_sample(n_layers)


class DataPass(NamedTuple):
    """Everything a data pass leaves behind for the error pass.

    Attributes:
        loaded: Field loaded into each layer.
        measured: Field measured after each layer.
    """

    loaded: Complex[Array, "layer batch y x"]
    measured: Complex[Array, "layer batch y x"]


def weights_of(network: DiffractiveNetwork) -> Weights:
    """Trained arrays of a network."""
    return Weights(network.phase, network.amplitude)


def with_weights(network: DiffractiveNetwork, weights: Weights) -> DiffractiveNetwork:
    """Network with other weights."""
    network = eqx.tree_at(lambda n: n.phase, network, weights.phase)
    if weights.amplitude is None:
        return network
    return eqx.tree_at(lambda n: n.amplitude, network, weights.amplitude)


def measure_data_pass(
    network: DiffractiveNetwork, bench: OpticalBench, field, *, key, time: int | Array = 0
) -> DataPass:
    """Sends data through the hardware layer by layer, measuring and re-loading the field in between."""
    n_layers = network.n_layers

    def step(x, inputs):
        layer, weights, layer_key = inputs
        y = bench.measure_field(x, *weights, key=layer_key, time=time + layer)
        return network.activate(y), (x, y)

    keys = jax.random.split(key, n_layers)
    layers = (jnp.arange(n_layers), (network.phase, network.amplitude), keys)
    _, (loaded, measured) = jax.lax.scan(step, field, layers)
    return DataPass(loaded, measured)


def error_pass(
    network: DiffractiveNetwork, data: DataPass, labels, transport, *, key
) -> GradientEstimate:
    """Carries the error from the last layer to the first and collects the gradient on the way.

    With c = dL/d(Re y) - i dL/d(Im y) and c_u = transport(c), the transported error (fact sheet of Xue et al. 2024,
    section 3.3): dL/dphi = -Im(u c_u), dL/da = Re(exp(i phi) x c_u), and the error of the layer
    before is f'^T(y) [a exp(i phi) c_u].

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
    output = data.measured[-1]
    loss, error = jax.value_and_grad(network.readout.loss)(output, labels)
    n_layers = network.n_layers

    def step(carry, inputs):
        layer, (phase, amplitude), x, y_before, layer_key = inputs
        c_u = transport(carry, layer_key, n_layers - 1 - layer)
        turned = over_batch(jnp.exp(1j * phase), x) * x
        u = turned if amplitude is None else over_batch(amplitude, x) * turned
        phase_gradient = -jnp.sum(jnp.imag(u * c_u), axis=0)
        amplitude_gradient = None if amplitude is None else jnp.sum(jnp.real(turned * c_u), axis=0)
        c_x = over_batch(modulation(phase, amplitude), c_u) * c_u
        if network.activation is not None:
            # Multiplied by the stored local gradient before it is propagated; nothing stands before the first layer.
            _, pull_back = jax.vjp(network.activate, y_before)
            c_x = jnp.where(layer > 0, pull_back(c_x)[0], c_x)
        return c_x, (phase_gradient, amplitude_gradient)

    before = jnp.concatenate([data.loaded[:1], data.measured[:-1]])
    keys = jax.random.split(key, n_layers)
    layers = (jnp.arange(n_layers), (network.phase, network.amplitude), data.loaded, before, keys)
    _, (phase, amplitude) = jax.lax.scan(step, error, layers, reverse=True)
    return GradientEstimate(loss, Weights(phase, amplitude), output)
