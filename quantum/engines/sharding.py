"""A state of many qubits spread over devices, and what they have to tell each other.

2^g devices share a state of n qubits: each holds the amplitudes of one value of the first g qubits, the global ones;
the other n - g are local. A block of gates on local qubits sends nothing. For a block on global ones each of these
changes places with a local qubit that the block leaves alone, and back afterwards:

    psi_d[.., b, ..]  <->  psi_b[.., d, ..]      d the global bit, which numbers the device, b the local one

so that a device sends half of its share S = state / 2^g to one other device, twice: S bytes for each global qubit of a
block, whatever its gates. No device ever holds more than three shares. Partitioned by XLA alone, collectives of 7 S for
one and 17 S for two global qubits of a block come out of the compiled program (8 devices), where ours have 2 S and 4 S,
half of it sent. Leaving qubits where they are until they are needed elsewhere could halve that again.

As on one device the program is a scan over the layers of `quantum.circuits.program`. Left out: derivatives, batches of
circuits.
"""

import functools
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex

from quantum.circuits.circuit import Circuit
from quantum.circuits.program import Layer, Structure, make_program, trimmed
from quantum.engines.jax_engine import apply_block, precision_type, walk, zero_state
from quantum.engines.memory import state_bytes

_WIDTH = 2  # most qubits of a block


def sharded_state(
    circuit: Circuit, devices: Sequence[Any], precision: str = "single"
) -> Complex[Array, " amplitudes"]:
    """State after a circuit from |0...0>, spread over devices.

    Args:
        circuit: The circuit.
        devices: Devices of JAX; a power of two, and two qubits at least must remain local where there are several.
        precision: "single" or "double".

    Raises:
        ValueError: If the number of devices does not fit, or the precision is unknown.
    """
    _check_devices(circuit, len(devices))
    with precision_type(precision) as dtype:
        structure, matrices = make_program(circuit, _WIDTH)
        mesh = _mesh(devices)
        # Made where it stays: no device ever holds the whole state.
        start = jax.jit(partial(zero_state, circuit.n_qubits, dtype), out_shardings=_spread(mesh))()
        return _program(structure, mesh)(jnp.asarray(matrices, dtype), start)


def lower_sharded(
    circuit: Circuit, devices: Sequence[Any], precision: str = "single"
) -> jax.stages.Lowered:
    """The program of `sharded_state` before it is compiled, to ask what it sends and holds; allocates no state.

    Args:
        circuit: The circuit.
        devices: Devices of JAX.
        precision: "single" or "double".

    Raises:
        ValueError: As `sharded_state`.
    """
    _check_devices(circuit, len(devices))
    with precision_type(precision) as dtype:
        structure, matrices = make_program(circuit, _WIDTH)
        mesh = _mesh(devices)
        start = jax.ShapeDtypeStruct((2**circuit.n_qubits,), dtype, sharding=_spread(mesh))
        return _program(structure, mesh).lower(jax.ShapeDtypeStruct(matrices.shape, dtype), start)


def bytes_sent(circuit: Circuit, n_devices: int, precision: str = "single") -> int:
    """Bytes that each device sends in the whole of `sharded_state`.

    Args:
        circuit: The circuit.
        n_devices: Number of devices.
        precision: "single" or "double".

    Raises:
        ValueError: As `sharded_state`.
    """
    _check_devices(circuit, n_devices)
    n_global = n_devices.bit_length() - 1
    structure, _ = make_program(circuit, _WIDTH)
    far = [sum(q < n_global for support in layer for q in support) for layer in structure.layers]
    exchanges = sum(far[which] for which in structure.order)
    return exchanges * state_bytes(circuit.n_qubits, precision) // n_devices


def _check_devices(circuit: Circuit, n_devices: int) -> None:
    most = 2 ** max(circuit.n_qubits - _WIDTH, 0)
    if n_devices < 1 or n_devices & (n_devices - 1) or n_devices > most:
        raise ValueError(
            f"`devices` must be a power of two of at most {most} for {circuit.n_qubits} qubits, but are {n_devices}."
        )


def _mesh(devices: Sequence[Any]) -> jax.sharding.Mesh:
    """One axis of two for every global qubit."""
    n_global = len(devices).bit_length() - 1
    names = tuple(f"qubit{q}" for q in range(n_global))
    return jax.sharding.Mesh(np.array(devices).reshape((2,) * n_global), names)


def _spread(mesh: jax.sharding.Mesh) -> jax.NamedSharding:
    return jax.NamedSharding(mesh, jax.P(mesh.axis_names))


@functools.lru_cache(maxsize=64)
def _program(structure: Structure, mesh: jax.sharding.Mesh):
    """Compiled once for all circuits of a structure; takes block matrices and state, and consumes the state."""
    spread = jax.P(mesh.axis_names)
    run = jax.shard_map(
        partial(_evolve, structure, mesh.axis_names),
        mesh=mesh,
        in_specs=(jax.P(), spread),
        out_specs=spread,
        check_vma=False,
    )
    return jax.jit(run, donate_argnums=1)


def _evolve(structure: Structure, names: tuple[str, ...], matrices: Array, share: Array) -> Array:
    layers = [partial(_apply_layer, structure, names, layer) for layer in structure.layers]
    return walk(structure, matrices, layers, share)[0]


def _apply_layer(
    structure: Structure,
    names: tuple[str, ...],
    layer: Layer,
    share: Array,
    matrices: Array,
    number,
) -> Array:
    del number
    n_global, n_local = len(names), structure.n_qubits - len(names)
    for slot, support in enumerate(layer):
        matrix = trimmed(matrices[slot], len(support), structure.width)
        far = [q for q in support if q < n_global]
        # The first free ones: halves of a share are then one piece each.
        free = [q for q in range(n_local) if q + n_global not in support][: len(far)]
        places = dict(zip(far, free, strict=True))
        for qubit, place in places.items():
            share = _exchange(share, names[qubit], place)
        on = [places.get(q, q - n_global) for q in support]
        share = lax.optimization_barrier(
            apply_block(share, _sorted_matrix(matrix, on), tuple(sorted(on)))
        )
        for qubit, place in places.items():
            share = _exchange(share, names[qubit], place)
    return share


def _exchange(share: Array, name: str, qubit: int) -> Array:
    """A global and a local qubit change places."""
    halves = share.reshape(2**qubit, 2, -1)
    return lax.all_to_all(halves, name, split_axis=1, concat_axis=1, tiled=True).reshape(-1)


def _sorted_matrix(matrix: Array, qubits: Sequence[int]) -> Array:
    """The matrix of a block on `qubits` as one on the same qubits in rising order."""
    k = len(qubits)
    order = np.argsort(qubits)
    tensor = matrix.reshape((2,) * (2 * k))
    return tensor.transpose(*order, *(order + k)).reshape(2**k, 2**k)
