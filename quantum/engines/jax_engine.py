"""Exact states in JAX: one compiled program for all circuits that differ in angles only, and differentiable.

The state is a complex vector of 2^n, qubit 0 the most significant bit. A program (`quantum.circuits.program`) is run
by a scan over its layers, with one compiled branch for each different layer, so that compile time grows with the
number of different layers and not with depth. A block on k qubits is 2^k weighted sums of 2^k slices of the state:

    psi'[.., i, ..] = sum_j M[i, j] psi[.., j, ..]

Measured on two CPU cores at 20 qubits, complex64: 0.4 to 1.7 ms a block of two qubits, by place; real and imaginary
planes apart 0.8 to 2.3 ms, sums over reversed axes 2 to 3 ms, `einsum` (which transposes) 1 to 11 ms, real matrix
products of 5 or 6 qubits 1.2 to 2.5 ms, but only where these qubits are the first or last. Blocks of three qubits halve
their number, take as long in all and three times as long to compile.

`evolve` has a derivative with respect to state and block matrices that keeps no states on the way: the backward pass
undoes the layers with the inverse matrices, so blocks must be unitary. Derivatives with respect to angles come from
`angle_matrices` and `program.assemble`. Memory on the CPU: three states, seven for the
derivative; one more elsewhere, where a step is a switch.

Left out: gates that are not unitary (see `quantum.engines.density_matrix`), states spread over several devices (see
`quantum.engines.sharding`), and anything beyond 2^31 amplitudes on a device.
"""

import contextlib
import functools
import itertools
import operator
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

from quantum._checks import check_choice
from quantum.circuits.circuit import Circuit
from quantum.circuits.pauli import PauliString
from quantum.circuits.program import (
    Layer,
    Recipe,
    Structure,
    assemble,
    gate_matrices,
    make_program,
    make_recipe,
    trimmed,
)

# States held at a time, by `memory_analysis` of the compiled program.
N_STATES = {"single": 3, "double": 3}
# Amplitudes worked on at once in a batch: 2^18 of 8 bytes stay in a core's cache. Our choice, by measurement.
_BATCH_AMPLITUDES = 2**18


def zero_state(n_qubits: int, dtype=jnp.complex64) -> Complex[Array, " amplitudes"]:
    """All qubits in |0>."""
    return jnp.zeros(2**n_qubits, dtype).at[0].set(1)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def evolve(
    structure: Structure,
    matrices: Complex[Array, "steps slots rows columns"],
    state: Complex[Array, " amplitudes"],
) -> Complex[Array, " amplitudes"]:
    """State after a program; pure, for `jit`, `vmap` and `grad`.

    Args:
        structure: Where the blocks are; static.
        matrices: Block matrices, unitary, as `program.assemble` makes them.
        state: State before.
    """
    return _scan(structure, matrices, state)


def expectation(state: Complex[Array, " amplitudes"], observable: PauliString) -> Float[Array, ""]:
    """<P> in a normalised state; `observable` is static."""
    n = state.size.bit_length() - 1
    tensor = state.reshape(_split(n, observable.qubits))
    if all(letter == "Z" for _, letter in observable.factors):
        weight = jnp.real(tensor) ** 2 + jnp.imag(tensor) ** 2
        return jnp.sum(weight * np.real(_signs(observable, tensor.ndim)).astype(weight.dtype))
    turned = [2 * k + 1 for k, (_, p) in enumerate(observable.factors) if p in "XY"]
    other = lax.rev(tensor, turned)
    signs = _signs(observable, tensor.ndim).astype(tensor.dtype)
    return jnp.real(jnp.sum(jnp.conj(tensor) * signs * other))


def state(circuit: Circuit, precision: str = "single") -> np.ndarray:
    """State after a circuit, complex64 or complex128."""
    with precision_type(precision) as dtype:
        structure, matrices = make_program(circuit)
        return np.asarray(_final(structure, jnp.asarray(matrices, dtype)))


def expectations(
    circuits: Sequence[Circuit], observables: Sequence[PauliString], precision: str = "single"
) -> np.ndarray:
    """Expectation values, (circuits, observables); circuits of one structure run as a batch."""
    found = np.empty((len(circuits), len(observables)))
    programs = [make_program(circuit) for circuit in circuits]
    with precision_type(precision) as dtype:
        for structure in dict.fromkeys(structure for structure, _ in programs):
            rows = [k for k, (other, _) in enumerate(programs) if other == structure]
            matrices = jnp.asarray(np.stack([programs[k][1] for k in rows]), dtype)
            start = zero_state(structure.n_qubits, dtype)
            found[rows] = ensemble(structure, matrices, start, tuple(observables))
    return found


@partial(jax.jit, static_argnums=(0, 3))
def ensemble(
    structure: Structure,
    matrices: Complex[Array, "batch steps slots rows columns"],
    state: Complex[Array, " amplitudes"],
    observables: tuple[PauliString, ...],
) -> Float[Array, "batch observables"]:
    """Expectation values of many circuits of one structure that start from one state.

    As many as fit a cache run side by side, the others after each other.
    """

    def one(circuit_matrices: Array) -> Array:
        final: Any = evolve(structure, circuit_matrices, state)
        return jnp.stack([expectation(final, o) for o in observables])

    if not observables:
        return jnp.zeros((len(matrices), 0))
    return lax.map(one, matrices, batch_size=max(1, _BATCH_AMPLITUDES // state.size))


def ensemble_after(
    opening: tuple[Structure, np.ndarray],
    rest: tuple[Structure, np.ndarray],
    observable: PauliString,
    precision: str = "single",
) -> np.ndarray:
    """Expectation values of circuits that open alike, (circuits,); the opening runs once.

    Args:
        opening: Program of the common part.
        rest: Structure of what follows and block matrices of every circuit, (circuits, steps, slots, ...).
        observable: What is measured.
        precision: "single" or "double".
    """
    with precision_type(precision) as dtype:
        start = _final(opening[0], jnp.asarray(opening[1], dtype))
        matrices = jnp.asarray(rest[1], dtype)
        return np.asarray(ensemble(rest[0], matrices, start, (observable,)))[:, 0]


def angle_matrices(name: str, angles: Float[Array, "gates 2"]) -> Complex[Array, "gates 4 4"]:
    """Padded matrices of `phased_x` or `fsim` gates as a differentiable function of their two angles in rad.

    Raises:
        ValueError: If the gate has another name.
    """
    check_choice(name, "name", ("phased_x", "fsim"))
    first, second = angles[:, 0], angles[:, 1]
    half = first / 2 if name == "phased_x" else first
    cosine, turn = jnp.cos(half) + 0j, -1j * jnp.sin(half)
    rows = jnp.zeros((len(angles), 4, 4), cosine.dtype)
    if name == "phased_x":
        rows = rows.at[:, 0, 0].set(cosine).at[:, 1, 1].set(cosine)
        rows = rows.at[:, 0, 1].set(turn * jnp.exp(-1j * second))
        return rows.at[:, 1, 0].set(turn * jnp.exp(1j * second))
    rows = rows.at[:, 0, 0].set(1).at[:, 3, 3].set(jnp.exp(-1j * second))
    rows = rows.at[:, 1, 1].set(cosine).at[:, 2, 2].set(cosine)
    return rows.at[:, 1, 2].set(turn).at[:, 2, 1].set(turn)


def expectation_of_angles(circuit: Circuit, observable: PauliString, gates: Sequence[int]):
    """Makes <P> a differentiable function of the angles of chosen gates.

    Args:
        circuit: The circuit that sets all other gates.
        observable: What is measured.
        gates: Numbers of the chosen gates in time order, all `phased_x` or all `fsim`.

    Returns:
        A pure function of angles (gates, 2) in rad, and the angles the circuit has. It computes in the precision of
        the angles it is given.

    Raises:
        ValueError: If the chosen gates are not of one of the two kinds.
    """
    operations = list(circuit.operations())
    names = {operations[k].gate.name for k in gates}
    if len(names) != 1 or not names <= {"phased_x", "fsim"}:
        raise ValueError(
            f"`gates` must all be phased_x or all be fsim, but are {', '.join(sorted(names)) or 'none'}."
        )
    name = names.pop()
    recipe, fixed = make_recipe(circuit), gate_matrices(circuit)
    chosen = np.asarray(gates)
    angles = np.array([operations[k].gate.parameters for k in gates])

    def value(angles: Float[Array, "gates 2"]) -> Float[Array, ""]:
        turned = angle_matrices(name, angles)
        gate_array = jnp.asarray(fixed, turned.dtype).at[chosen].set(turned)
        return _measured(recipe, gate_array, observable)

    return value, angles


def _measured(recipe: Recipe, gates: Array, observable: PauliString) -> Array:
    matrices = assemble(recipe, gates, jnp)
    start = zero_state(recipe.structure.n_qubits, gates.dtype)
    return expectation(evolve(recipe.structure, matrices, start), observable)


@contextlib.contextmanager
def precision_type(name: str) -> Iterator[Any]:
    """Complex type of a precision, with 64 bits switched on for this block alone where it needs them."""
    check_choice(name, "precision", ("single", "double"))
    if name == "single":
        yield jnp.complex64
    else:
        with jax.enable_x64(True):
            yield jnp.complex128


@partial(jax.jit, static_argnums=0)
def _final(structure: Structure, matrices: Array) -> Array:
    return evolve(structure, matrices, zero_state(structure.n_qubits, matrices.dtype))


@partial(jax.jit, static_argnums=(0, 2))
def measure(
    structure: Structure,
    matrices: Complex[Array, "steps slots rows columns"],
    observable: PauliString,
) -> Float[Array, ""]:
    """<P> after one program from |0...0>; compiled once for all circuits of a structure."""
    return expectation(
        evolve(structure, matrices, zero_state(structure.n_qubits, matrices.dtype)), observable
    )


def _scan(structure: Structure, matrices: Array, state: Array) -> Array:
    layers = [partial(_apply_layer, structure, layer) for layer in structure.layers]
    return walk(structure, matrices, layers, state, reverse=False)[0]


def walk(structure: Structure, matrices: Array, branches, carry, *, reverse: bool = False):
    """Scan over the steps, each by the branch of its layer: (carry, matrices, step) to carry."""

    def step(carry, this):
        which, here, number = this
        if (
            jax.default_backend() != "cpu"
        ):  # where each condition waits for the host, once is enough
            return lax.switch(which, branches, carry, here, number), None
        # A switch holds a fourth state: its result and its operand. Loops of one or no turn work in place.
        for k, branch in enumerate(branches):
            turns = (which == k).astype(jnp.int32)
            carry = lax.fori_loop(0, turns, lambda _, c, run=branch: run(c, here, number), carry)
        return carry, None

    steps = (jnp.asarray(structure.order, jnp.int32), matrices, jnp.arange(len(structure.order)))
    return lax.scan(step, carry, steps, reverse=reverse) if structure.order else (carry, None)


def _apply_layer(structure: Structure, layer: Layer, psi: Array, matrices: Array, number) -> Array:
    del number
    for slot, support in enumerate(layer):
        matrix = trimmed(matrices[slot], len(support), structure.width)
        # Without the barrier XLA computes earlier blocks anew for every slice a later one reads.
        psi = lax.optimization_barrier(apply_block(psi, matrix, support))
    return psi


def apply_block(psi: Array, matrix: Array, support: tuple[int, ...]) -> Array:
    """State after one block on the sorted qubits `support`."""
    k = len(support)
    slices = _slices(psi, support)
    rows = [
        functools.reduce(operator.add, (matrix[i, j] * slices[j] for j in range(2**k)))
        for i in range(2**k)
    ]
    for place in range(k, 0, -1):
        rows = [jnp.stack(rows[i : i + 2], place) for i in range(0, len(rows), 2)]
    return rows[0].reshape(-1)


def _slices(psi: Array, support: tuple[int, ...]) -> list[Array]:
    """Parts of the state by the values of the sorted qubits `support`, each with an axis before, between and after."""
    tensor = psi.reshape(_split(psi.size.bit_length() - 1, support))
    return [
        tensor[tuple(part for bit in bits for part in (slice(None), bit))]
        for bits in itertools.product((0, 1), repeat=len(support))
    ]


def _evolve_forward(structure: Structure, matrices: Array, state: Array):
    final = _scan(structure, matrices, state)
    return final, (matrices, final)


def _evolve_backward(structure: Structure, kept, cotangent: Array):
    """Walks back with state and cotangent; what a layer started from is what its inverse gives."""
    matrices, final = kept
    layers = [partial(_undo_layer, structure, layer) for layer in structure.layers]
    carry = (final, cotangent, jnp.zeros_like(matrices))
    (_, bar, gradient), _ = walk(structure, matrices, layers, carry, reverse=True)
    return gradient, bar


def _undo_layer(structure: Structure, layer: Layer, carry, matrices: Array, number):
    """One layer backwards: psi = M psi_0 gives psi_0 = M^dagger psi, bar_0 = M^T bar, gradient = bar psi_0^T."""
    psi, bar, gradient = carry
    for slot, support in reversed(list(enumerate(layer))):
        matrix = trimmed(matrices[slot], len(support), structure.width)
        psi = lax.optimization_barrier(apply_block(psi, jnp.conj(matrix.T), support))
        rows, columns = (
            jnp.stack(_slices(part, support)).reshape(2 ** len(support), -1) for part in (bar, psi)
        )
        here = rows @ columns.T
        stride = 2 ** (structure.width - len(support))
        gradient = gradient.at[number, slot, ::stride, ::stride].set(here)
        bar = lax.optimization_barrier(apply_block(bar, matrix.T, support))
    return psi, bar, gradient


evolve.defvjp(_evolve_forward, _evolve_backward)


def _split(n_qubits: int, qubits: Sequence[int]) -> tuple[int, ...]:
    """Shape that gives each of the sorted `qubits` an axis of its own, at the odd places."""
    shape: list[int] = []
    last = -1
    for qubit in qubits:
        shape += [2 ** (qubit - last - 1), 2]
        last = qubit
    return (*shape, 2 ** (n_qubits - last - 1))


def _signs(observable: PauliString, n_axes: int) -> np.ndarray:
    """Product of the factors that Z and Y give, by axis: <P> = sum conj(psi) signs rev(psi)."""
    found = np.ones((1,) * n_axes, dtype=complex)
    for place, (_, letter) in enumerate(observable.factors):
        values = {"X": (1, 1), "Y": (-1j, 1j), "Z": (1, -1)}[letter]
        found = found * np.reshape(
            values, (1,) * (2 * place + 1) + (2,) + (1,) * (n_axes - 2 * place - 2)
        )
    return found
