"""What learning rules ask of a network and of hardware, and what they give back: a loss and a gradient.

Nothing here knows what the layers are: `Network` and `Bench` say what a rule may rely on. Diffractive networks on
`optics.hardware.bench.OpticalBench` and meshes of interferometers on theirs meet both. The passes through hardware that
rules share are in `optics.learning.passes`.
"""

import abc
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from optics.hardware.holography import FRAMES_PER_FIELD


@runtime_checkable
class Network(Protocol):
    """What rules ask of a network: layers of weights, a model of one layer, a readout.

    Weights are a phase and perhaps an amplitude array with the layer as first axis.
    """

    @property
    def phase(self) -> Array:
        """Phases, layer first, rad."""
        ...

    @property
    def amplitude(self) -> Array | None:
        """Transmissions, layer first, or None."""
        ...

    @property
    def readout(self) -> Any:
        """Has `loss(field, labels)` and, for classes, `correct(field, labels)`; both see the intensity only."""
        ...

    @property
    def n_layers(self) -> Any:
        """Number of layers that light passes: an int, or an array where that is not all."""
        ...

    def layer(self, field: Array, phase: Array, amplitude: Array | None = None, /) -> Array:
        """Ideal model of one layer, from the loaded field to the detector."""
        ...

    def activate(self, field: Array, /) -> Array:
        """Field loaded into the next layer."""
        ...

    def __call__(self, field: Array, /) -> Array:
        """Ideal model of all layers."""
        ...


@runtime_checkable
class Bench(Protocol):
    """What rules ask of hardware: one layer, measured as a complex field or as an intensity."""

    def measure_field(
        self, field: Any, phase: Any, amplitude: Any = None, *, key: Any, time: Any = 0
    ) -> Array:
        """Complex field after one layer, four camera frames."""
        ...

    def measure_intensity(
        self, field: Any, phase: Any, amplitude: Any = None, *, key: Any, time: Any = 0
    ) -> Array:
        """Intensity after one layer, one camera frame."""
        ...


class Weights(NamedTuple):
    """Trained arrays of a network, or anything shaped like them (a gradient).

    Attributes:
        phase: Phases, rad.
        amplitude: Transmissions, or None.
    """

    phase: Float[Array, "layer ..."]
    amplitude: Float[Array, "layer ..."] | None


class GradientEstimate(NamedTuple):
    """What a rule knows after one batch.

    Attributes:
        loss: Loss of the batch, as the rule saw it (measured or simulated).
        gradient: Estimated derivative of the loss with respect to the weights.
        output: Field at the camera after the last layer, as the rule saw it.
    """

    loss: Float[Array, ""]
    gradient: Weights
    output: Complex[Array, "batch ..."]


class AbstractLearningRule(eqx.Module):
    """Estimates the gradient of a loss; implementations differ in what they measure and what they simulate."""

    @abc.abstractmethod
    def gradient(
        self,
        network: Network,
        bench: Bench | None,
        field: Complex[Array, "batch ..."],
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


def weights_of(network: Network) -> Weights:
    """Trained arrays of a network."""
    return Weights(network.phase, network.amplitude)


def with_weights(network, weights: Weights):
    """Network with other weights."""
    network = eqx.tree_at(lambda n: n.phase, network, weights.phase)
    if weights.amplitude is None:
        return network
    return eqx.tree_at(lambda n: n.amplitude, network, weights.amplitude)


def require_bench(bench: Bench | None, method: str) -> Bench:
    """The bench, or an error where there is none.

    Raises:
        ValueError: If it is None.
    """
    if bench is None:
        raise ValueError(f"`bench` must be an OpticalBench for {method} training, but is None.")
    return bench
