"""A circuit as a program that can be scanned: fused blocks in layers, few of them different.

One-qubit gates are multiplied into the next two-qubit gate on their qubit, the last ones into the one before. What is
left of a circuit of moments are its two-qubit moments: one layer each, a list of blocks (supports and matrices). A
layer's supports recur: U walks through four coupler groups, U^dagger through the same four backwards, Pauli moments
vanish into their neighbours. So a program names the *different* layers once, and their order. Whoever compiles one
branch for each different layer and scans over the order gets a compile time that does not grow with depth. A pruned
circuit lacks other blocks in each of its layers, so that nearly all of them differ; where that makes more blocks to
compile than there are different supports, every block is a layer of its own.

Which gates stand where (`Recipe`) is kept apart from what they are (their matrices): the matrices of the blocks are an
array function of those of the gates, with any number of leading axes, in NumPy or JAX, and differentiable.

    block = E_m ... E_2 E_1, E_i the i-th gate written on the qubits of the block

Qubit 0 is the most significant bit; of a block the first qubit.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from quantum._checks import check_count
from quantum.circuits.circuit import Circuit

# Blocks of all different layers for each different support; 1 for a random circuit, 1.4 where its echo has two blocks
# of one qubit more. Pruned echoes have 2 to 4 (our choice between).
_MOST_REPEATED = 1.5

Support = tuple[int, ...]
Layer = tuple[Support, ...]


@dataclass(frozen=True)
class Structure:
    """Where the blocks of a program are; equal structures compare equal and hash alike.

    Attributes:
        n_qubits: Number of qubits.
        width: Most qubits of a block; block matrices are padded to 2^width.
        layers: The different layers, each the sorted qubits of its blocks in the order they are applied.
        order: Which layer each step applies.
    """

    n_qubits: int
    width: int
    layers: tuple[Layer, ...]
    order: tuple[int, ...]

    @property
    def n_slots(self) -> int:
        """Most blocks of a layer."""
        return max((len(layer) for layer in self.layers), default=0)

    @property
    def n_blocks(self) -> int:
        """Blocks of all steps."""
        return sum(len(self.layers[step]) for step in self.order)


@dataclass(frozen=True, eq=False)
class Recipe:
    """Which gates make up which block.

    Attributes:
        structure: Where the blocks are.
        members: For every step, slot and place in the product the number of the gate, in the order in which they
            act; the number of gates stands for the identity. (steps, slots, places)
        placements: For every gate how it sits in its block, and for the identity; an index into `spreads`.
        spreads: Linear maps from the 16 padded elements of a gate to those of its block, (kinds, 4^width, 16).
    """

    structure: Structure
    members: np.ndarray
    placements: np.ndarray
    spreads: np.ndarray


@dataclass
class _Block:
    support: Support
    gates: list[int] = field(default_factory=list)


def make_program(circuit: Circuit, width: int = 2) -> tuple[Structure, np.ndarray]:
    """Structure of a circuit and its block matrices, complex128, (steps, slots, 2^width, 2^width)."""
    recipe = make_recipe(circuit, width)
    return recipe.structure, assemble(recipe, gate_matrices(circuit))


def make_recipe(circuit: Circuit, width: int = 2) -> Recipe:
    """How a circuit becomes a program; depends on the places of its gates alone, not on their matrices.

    Args:
        circuit: The circuit.
        width: Most qubits of a block, at least 2. With more than 2, `width - 1` two-qubit moments share a step.

    Raises:
        ValueError: If the width is below 2.
    """
    check_count(width, "width", 2)
    supports = [op.qubits for op in circuit.operations()]
    steps = _few_different(_steps(circuit, width))
    layers: dict[Layer, int] = {}
    order = [layers.setdefault(tuple(b.support for b in step), len(layers)) for step in steps]
    structure = Structure(circuit.n_qubits, width, tuple(layers), tuple(order))
    places = max((len(b.gates) for step in steps for b in step), default=1)
    members = np.full((len(steps), structure.n_slots, places), len(supports))
    # The identity (and an unused slot) is a one-qubit gate on a block's first qubit.
    kinds: dict[tuple[int, ...], int] = {(0,): 0}
    placements = np.zeros(len(supports) + 1, dtype=int)
    for number, step in enumerate(steps):
        for slot, block in enumerate(step):
            members[number, slot, : len(block.gates)] = block.gates
            for gate in block.gates:
                where = tuple(block.support.index(q) for q in supports[gate])
                placements[gate] = kinds.setdefault(where, len(kinds))
    spreads = np.stack([_spread(where, width) for where in kinds])
    return Recipe(structure, members, placements, spreads)


def gate_matrices(circuit: Circuit) -> np.ndarray:
    """Matrices of all gates in time order, padded with zeros to (4, 4): complex128, (gates, 4, 4)."""
    cache: dict[Any, np.ndarray] = {}
    padded = np.zeros((circuit.n_operations, 4, 4), dtype=complex)
    for row, operation in zip(padded, circuit.operations(), strict=True):
        gate = operation.gate
        if gate not in cache:
            cache[gate] = gate.matrix()
        size = len(cache[gate])
        row[:size, :size] = cache[gate]
    return padded


def assemble(recipe: Recipe, gates, xp: Any = np):
    """Block matrices from gate matrices.

    Args:
        recipe: Which gates make up which block.
        gates: Padded gate matrices, (..., gates, 4, 4); see `gate_matrices`.
        xp: Array namespace of `gates`, `numpy` or `jax.numpy`.

    Returns:
        (..., steps, slots, 2^width, 2^width), in the type of `gates`.
    """
    batch = gates.shape[:-3]
    size = 2**recipe.structure.width
    eye = np.zeros((*batch, 1, 4, 4))
    eye[..., 0, 0, 0] = eye[..., 0, 1, 1] = 1
    flat = xp.concatenate([gates, xp.asarray(eye, dtype=gates.dtype)], -3)
    flat = flat.reshape(*batch, -1, 16, 1)
    spread = xp.asarray(recipe.spreads[recipe.placements], dtype=gates.dtype)
    spread = spread.reshape((1,) * len(batch) + spread.shape)
    embedded = (spread @ flat).reshape(*batch, -1, size, size)
    factors = embedded[..., recipe.members, :, :]
    product = factors[..., 0, :, :]
    for place in range(1, recipe.members.shape[-1]):
        product = factors[..., place, :, :] @ product
    return product


def blocks(structure: Structure, matrices: np.ndarray) -> Iterator[tuple[Support, np.ndarray]]:
    """Supports and trimmed matrices of all blocks in time order."""
    for step, which in enumerate(structure.order):
        for slot, support in enumerate(structure.layers[which]):
            yield support, trimmed(matrices[step, slot], len(support), structure.width)


def trimmed(matrix, n_qubits: int, width: int):
    """Matrix on the first `n_qubits` of a padded block, (..., 2^n_qubits, 2^n_qubits)."""
    stride = 2 ** (width - n_qubits)
    return matrix[..., ::stride, ::stride]


def _steps(circuit: Circuit, width: int) -> list[list[_Block]]:
    """Blocks of every step; one-qubit gates wait for the next two-qubit gate on their qubit."""
    waiting: list[list[int]] = [[] for _ in range(circuit.n_qubits)]
    last: list[_Block | None] = [None] * circuit.n_qubits
    steps: list[list[_Block]] = []
    number = moments = 0
    for moment in circuit.moments:
        if any(len(op.qubits) == 2 for op in moment):
            if moments % (width - 1) == 0:
                steps.append([])
            moments += 1
        for operation in moment:
            if len(operation.qubits) == 1:
                waiting[operation.qubits[0]].append(number)
            else:
                block = _host(steps[-1], last, operation.qubits, width)
                for qubit in operation.qubits:
                    block.gates += waiting[qubit]
                    waiting[qubit].clear()
                    last[qubit] = block
                block.gates.append(number)
            number += 1
    alone = [_Block((q,), gates) for q, gates in enumerate(waiting) if gates and not last[q]]
    for block, gates in zip(last, waiting, strict=True):
        if block:
            block.gates += gates
    return [*steps, alone] if alone else steps


def _few_different(steps: list[list[_Block]]) -> list[list[_Block]]:
    """The same blocks in the same order, one by one where that leaves fewer different ones to compile."""
    layers = {tuple(block.support for block in step) for step in steps}
    supports = {support for layer in layers for support in layer}
    if sum(map(len, layers)) <= _MOST_REPEATED * len(supports):
        return steps
    return [[block] for step in steps for block in step]


def _host(step: list[_Block], last: Sequence[_Block | None], qubits: Support, width: int) -> _Block:
    """The block of this step that takes a gate on `qubits`: the latest on them if there is room, or a new one."""
    touched = [i for i, block in enumerate(step) if any(last[q] is block for q in qubits)]
    if touched:
        block = step[touched[-1]]
        union = tuple(sorted({*block.support, *qubits}))
        if len(union) <= width:
            block.support = union
            return block
    step.append(_Block(tuple(sorted(qubits))))
    return step[-1]


def _spread(where: tuple[int, ...], width: int) -> np.ndarray:
    """Linear map that writes a gate on the qubits `where` of a block, identity on the others; (4^width, 16)."""
    size = 2**width
    found = np.zeros((size, size, 4, 4))
    for bits in itertools.product((0, 1), repeat=width):
        row = int("".join(map(str, bits)), 2)
        gate_row = int("".join(str(bits[q]) for q in where), 2)
        for turned in itertools.product((0, 1), repeat=len(where)):
            column = list(bits)
            for qubit, bit in zip(where, turned, strict=True):
                column[qubit] = bit
            gate_column = int("".join(map(str, turned)), 2)
            found[row, int("".join(map(str, column)), 2), gate_row, gate_column] = 1
    return found.reshape(size * size, 16)
