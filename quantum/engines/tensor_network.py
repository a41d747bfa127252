"""Expectation values as tensor networks: <0|V^dagger O V|0> as one network, its contraction, and what that would cost.

V, the observable O and V^dagger are joined to one circuit, in which gates next to their inverse go. Then one-qubit
gates are fused, and every two-qubit gate takes the smallest form it has: a diagonal gate is a matrix between the two
wires instead of a tensor of four legs, and so is a swap followed by a diagonal, since a swap only renames wires. The
iSWAP-like gate of the echo experiment is of that kind, fsim(pi/2, phi) = SWAP diag(1, -i, -i, exp(-i phi)), so that its
network has hyperedges: one index on three or more tensors. Last, tensors that no contraction can enlarge are absorbed
(rank simplification, J. Gray, quimb).

    cost = sum over pairwise contractions of 2^(number of indices involved)     [complex multiply-adds]

is counted as 8 real floating point operations each (4 multiplications, 4 additions). A search starts from a sweep,
which takes the tensors in time order from one end or from both (a state vector, in essence), or from the best of
several random greedy trees, and then anneals the tree (`quantum.engines.tree_annealing`). Where a tensor passes a
limit, indices are sliced while annealing: fixed and summed over outside.

Sources: J. Gray and S. Kourtis, Quantum 5, 410 (2021), DOI 10.22331/q-2021-03-15-410 (cotengra); J. Gray, J. Open
Source Softw. 3, 819 (2018), DOI 10.21105/joss.00819 (quimb). Left out: approximate contraction, and reuse between
slices. This is the only file that imports quimb and cotengra.
"""

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cotengra
import numpy as np
import quimb.tensor

from quantum._checks import check_choice, check_count
from quantum.circuits.circuit import Circuit, cancel_inverses
from quantum.circuits.gates import Gate
from quantum.circuits.pauli import PauliString
from quantum.circuits.tolerance import is_diagonal
from quantum.engines.tree_annealing import anneal_tree

FLOPS_PER_MULTIPLY_ADD = 8
STARTS = ("sweep", "two_sweeps", "greedy")
_SWAP = np.eye(4)[[0, 2, 1, 3]]
_MOST_QUBITS = 20  # a state as one open tensor; more belongs to a state-vector engine
_LARGEST_TENSOR = 2**27  # 2 GB in double precision
_GREEDY_TREES = 8
# States held for an expectation value: none, what a contraction needs depends on the circuit.
N_STATES = {"single": 0, "double": 0}


@dataclass(frozen=True)
class TensorNetwork:
    """Tensors whose every index has size 2, and a factor in front.

    Attributes:
        arrays: Elements of every tensor, in the order of time.
        indices: Names of the indices of every tensor; one name may stand on more than two tensors.
        output: Indices left open; empty for a number.
        factor: What the contraction is multiplied by.
    """

    arrays: tuple[np.ndarray, ...]
    indices: tuple[tuple[str, ...], ...]
    output: tuple[str, ...] = ()
    factor: complex = 1 + 0j

    @property
    def n_tensors(self) -> int:
        """Number of tensors."""
        return len(self.arrays)


@dataclass(frozen=True)
class ContractionPlan:
    """A contraction tree and what it costs.

    Attributes:
        flops: Real floating point operations, all slices together.
        largest: Elements of the largest tensor.
        n_slices: Number of slices, 1 where nothing is sliced.
        start: Tree the search started from.
        seed: Seed of the search.
        seconds: Time of the search, in s.
        tree: Tree of cotengra.
    """

    flops: float
    largest: float
    n_slices: float
    start: str
    seed: int
    seconds: float
    tree: Any = field(repr=False, compare=False)


def expectation_network(circuit: Circuit, observable: PauliString) -> TensorNetwork:
    """Network of <0|V^dagger O V|0> for the circuit V and a Pauli string O, simplified."""
    middle = Circuit(circuit.n_qubits, (observable.moment(),))
    whole = cancel_inverses(circuit + middle + circuit.inverse())
    builder = _Builder(whole)
    return _absorb_small(builder.closed())


def contract(
    network: TensorNetwork, plan: ContractionPlan | None = None, precision: str = "double"
) -> np.ndarray:
    """Value of a network, with the plan given or a quick one; a 0-axis array where no index is open.

    Raises:
        ValueError: If a tensor on the way would hold more than 2^27 elements.
    """
    dtype = np.complex64 if precision == "single" else np.complex128
    if not network.arrays:
        return np.asarray(network.factor, dtype)
    tree = (plan or search_plan(network)).tree
    if tree.max_size() > _LARGEST_TENSOR:
        raise ValueError(
            f"`network` must contract within 2^{math.log2(_LARGEST_TENSOR):.0f} elements here, but needs "
            f"2^{math.log2(tree.max_size()):.0f}; slice it with `max_elements`, or use a state-vector engine."
        )
    value = tree.contract([array.astype(dtype) for array in network.arrays])
    return np.asarray(network.factor * value, dtype)


def search_plan(
    network: TensorNetwork,
    *,
    start: str = "two_sweeps",
    sweeps: int = 0,
    seed: int = 0,
    max_elements: float | int | None = None,
) -> ContractionPlan:
    """Searches one contraction tree.

    Args:
        network: The network.
        start: "sweep" (tensors in time order), "two_sweeps" (from both ends) or "greedy" (best of 8 random ones).
        sweeps: Annealing sweeps over the tree; none at all by default.
        seed: Seed of the search.
        max_elements: Most elements of any tensor, rounded down to a power of 2; indices are sliced to keep to it.

    Raises:
        ValueError: If the start is unknown, or the limit is below 2 elements.
    """
    check_choice(start, "start", STARTS)
    check_count(sweeps, "sweeps", 0)
    if max_elements is not None and not max_elements >= 2:
        raise ValueError(f"`max_elements` must be at least 2 elements, but is {max_elements:g}.")
    if not network.arrays:
        return ContractionPlan(0.0, 1.0, 1.0, start, seed, 0.0, None)
    began = time.monotonic()
    path = _first_path(network, start, seed=seed)
    if network.n_tensors == 1 or (not sweeps and max_elements is None):
        tree = _cotengra_tree(network, path, ())
    else:
        width = None if max_elements is None else int(math.log2(max_elements))
        found = anneal_tree(
            network.indices, network.output, path, sweeps=sweeps, seed=seed, max_width=width
        )
        tree = _cotengra_tree(network, found.path, found.sliced)
    return ContractionPlan(
        flops=FLOPS_PER_MULTIPLY_ADD * float(tree.total_flops()),
        largest=float(tree.max_size()),
        n_slices=float(tree.nslices),
        start=start,
        seed=seed,
        seconds=time.monotonic() - began,
        tree=tree,
    )


def state(circuit: Circuit, precision: str = "double") -> np.ndarray:
    """State after a circuit, flat of length 2^n, as a network with open ends.

    Raises:
        ValueError: If the circuit has more than 20 qubits; expectation values have no such limit.
    """
    if circuit.n_qubits > _MOST_QUBITS:
        raise ValueError(
            f"`circuit` must have at most {_MOST_QUBITS} qubits for a state from the tensor network, but has "
            f"{circuit.n_qubits}; ask for expectation values, or use another engine."
        )
    network = _Builder(circuit).open()
    return contract(network, search_plan(network, start="sweep"), precision).reshape(-1)


def expectations(
    circuits: Sequence[Circuit], observables: Sequence[PauliString], precision: str = "double"
) -> np.ndarray:
    """Engine interface: expectation values, (circuits, observables), each a contraction of its own."""
    return np.array(
        [
            [np.real(contract(expectation_network(c, o), None, precision)) for o in observables]
            for c in circuits
        ]
    )


class _Builder:
    """Walks through a circuit and writes tensors down, fusing one-qubit gates as it goes."""

    def __init__(self, circuit: Circuit):
        self._tensors: list[tuple[np.ndarray, tuple[str, ...]]] = []
        self._n_indices = 0
        # Index now on each wire, None while the qubit is still in |0>; and the gate that waits to be applied.
        self._wires: list[str | None] = [None] * circuit.n_qubits
        self._waiting = [np.eye(2, dtype=complex) for _ in range(circuit.n_qubits)]
        for operation in circuit.operations():
            if len(operation.qubits) == 1:
                qubit = operation.qubits[0]
                self._waiting[qubit] = operation.gate.matrix() @ self._waiting[qubit]
            else:
                self._two_qubit(operation.gate, *operation.qubits)

    def closed(self) -> TensorNetwork:
        """The amplitude of |0...0> at the end."""
        factor = 1 + 0j
        for wire, waiting in zip(self._wires, self._waiting, strict=True):
            if wire is None:
                factor *= waiting[0, 0]
            else:
                self._tensors.append((waiting[0], (wire,)))
        return self._network((), complex(factor))

    def open(self) -> TensorNetwork:
        """The state at the end, one open index for each qubit."""
        return self._network(tuple(self._wire(q) for q in range(len(self._wires))))

    def _network(self, output: tuple[str, ...], factor: complex = 1 + 0j) -> TensorNetwork:
        return TensorNetwork(
            tuple(array for array, _ in self._tensors),
            tuple(names for _, names in self._tensors),
            output,
            factor,
        )

    def _new(self) -> str:
        self._n_indices += 1
        return f"{self._n_indices:06d}"

    def _wire(self, qubit: int) -> str:
        """Index on a wire after the waiting gate."""
        before, waiting = self._wires[qubit], self._waiting[qubit]
        self._waiting[qubit] = np.eye(2, dtype=complex)
        if before is not None and np.array_equal(waiting, np.eye(2)):
            return before
        after = self._wires[qubit] = self._new()
        if before is None:
            self._tensors.append((waiting[:, 0], (after,)))
        else:
            self._tensors.append((waiting, (after, before)))
        return after

    def _two_qubit(self, gate: Gate, first: int, second: int) -> None:
        a, b = self._wire(first), self._wire(second)
        matrix, precision = gate.matrix(), gate.precision()
        swapped = _SWAP @ matrix
        if is_diagonal(matrix, precision):
            self._tensors.append((np.diag(matrix).reshape(2, 2), (a, b)))
        elif is_diagonal(swapped, precision):
            self._tensors.append((np.diag(swapped).reshape(2, 2), (a, b)))
            self._wires[first], self._wires[second] = b, a
        else:
            c, d = self._new(), self._new()
            self._tensors.append((matrix.reshape(2, 2, 2, 2), (c, d, a, b)))
            self._wires[first], self._wires[second] = c, d


def _absorb_small(network: TensorNetwork) -> TensorNetwork:
    """Rank simplification by quimb, then back into the order of time."""
    make: Any = quimb.tensor.Tensor
    tensors = [make(*pair) for pair in zip(network.arrays, network.indices, strict=True)]
    simple: Any = quimb.tensor.TensorNetwork(tensors).rank_simplify(output_inds=network.output)
    # The name of an index is its number in time, so the latest one dates a tensor.
    found = sorted(simple.tensors, key=lambda tensor: max(tensor.inds, default=""))
    # Numbers (tensors without an index) go into the factor.
    factor = network.factor * math.prod(complex(t.data) for t in found if not t.inds)
    kept = [t for t in found if t.inds]
    return TensorNetwork(
        tuple(np.asarray(t.data) for t in kept),
        tuple(t.inds for t in kept),
        network.output,
        complex(factor),
    )


def _first_path(network: TensorNetwork, start: str, *, seed: int) -> list[tuple[int, int]]:
    if start != "greedy":
        return _sweep_path(network.n_tensors, two_sided=start == "two_sweeps")
    inputs, output, symbols = _symbols(network)
    options: dict[str, Any] = {"accel": False, "parallel": False}
    greedy = cotengra.RandomGreedyOptimizer(max_repeats=_GREEDY_TREES, seed=seed, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to install an optional accelerator
        path: Any = greedy.ssa_path(inputs, output, dict.fromkeys(symbols.values(), 2))
    return [(int(a), int(b)) for a, b in path]


def _cotengra_tree(network: TensorNetwork, path, sliced: Sequence[str]) -> Any:
    inputs, output, symbols = _symbols(network)
    sizes = dict.fromkeys(symbols.values(), 2)
    tree = cotengra.ContractionTree.from_path(inputs, output, sizes, ssa_path=path)
    for name in sliced:
        tree.remove_ind_(symbols[name])
    return tree


def _symbols(network: TensorNetwork) -> tuple[list[list[str]], list[str], dict[str, str]]:
    """Indices of all tensors and open ones as cotengra wants them, one character each."""
    names = sorted({name for tensor in network.indices for name in tensor})
    symbols = {name: cotengra.get_symbol(number) for number, name in enumerate(names)}
    inputs = [[symbols[name] for name in tensor] for tensor in network.indices]
    return inputs, [symbols[name] for name in network.output], symbols


def _sweep_path(n_tensors: int, two_sided: bool) -> list[tuple[int, int]]:
    """Takes in one tensor after another in the order of time; from both ends, then joins the two."""
    middle = n_tensors // 2 if two_sided else 0
    path: list[tuple[int, int]] = []
    ends: list[int] = []
    for part in (range(middle), range(n_tensors - 1, middle - 1, -1)):
        here = None
        for tensor in part if two_sided else reversed(part):
            if here is not None:
                path.append((here, tensor))
            here = tensor if here is None else n_tensors + len(path) - 1
        ends += [] if here is None else [here]
    if len(ends) == 2:
        path.append((ends[0], ends[1]))
    return path
