"""A circuit as it is really played: operations and channels in time order, whatever model put the channels there."""

from collections.abc import Iterable
from dataclasses import dataclass

from quantum.circuits.channels import Channel, depolarizing, twirled
from quantum.circuits.circuit import Operation


@dataclass(frozen=True)
class Fault:
    """A channel on certain qubits."""

    channel: Channel
    qubits: tuple[int, ...]


@dataclass(frozen=True)
class NoisyCircuit:
    """Gates as they are really played, and channels, in time order.

    Attributes:
        n_qubits: Number of qubits, all in |0> at first.
        steps: Operations and faults.
    """

    n_qubits: int
    steps: tuple[Operation | Fault, ...]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The channels alone."""
        return tuple(step for step in self.steps if isinstance(step, Fault))

    def mixed(self, qubits: Iterable[int]) -> "NoisyCircuit":
        """The same with some qubits maximally mixed at first, which is the average over all states of theirs."""
        mixing = tuple(Fault(depolarizing(0.75, 1), (qubit,)) for qubit in qubits)
        return NoisyCircuit(self.n_qubits, (*mixing, *self.steps))

    def twirled(self) -> "NoisyCircuit":
        """Every channel replaced by its Pauli twirl, so that trajectories are circuits with inserted Paulis."""
        steps = (
            Fault(twirled(step.channel), step.qubits) if isinstance(step, Fault) else step
            for step in self.steps
        )
        return NoisyCircuit(self.n_qubits, tuple(steps))

    def seen_from(self, qubits: Iterable[int]) -> "NoisyCircuit":
        """Without the steps that `qubits` cannot feel at the end; what is measured there does not change."""
        reached, kept = set(qubits), []
        for step in reversed(self.steps):
            if reached.intersection(step.qubits):
                kept.append(step)
                if isinstance(step, Operation):
                    reached.update(step.qubits)
        return NoisyCircuit(self.n_qubits, tuple(reversed(kept)))
