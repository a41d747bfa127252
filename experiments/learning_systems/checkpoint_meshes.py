"""States that are saved under one mesh and loaded under another: a part of `checkpoint_reshard`.

`python -m experiments.learning_systems.checkpoint_meshes ORDER` computes an order of JSON in a process of its own. It
has eight devices of the CPU because its environment says so before JAX is imported.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from experiments.data import corpora
from nn import training
from nn.checkpoint import inspect_checkpoint, load, save
from nn.checkpoint.boxes import box_of
from nn.checkpoint.manifest import Manifest
from nn.checkpoint.plan import plan_load
from nn.layers import Dense, make_dense
from nn.training import adamw, cross_entropy, draw_windows
from nn.training.loop import TrainState

N_DEVICES = 8
FIRST = (16, 24)  # shape of the first array
CONTEXT = 8  # bytes that the network sees
# The meshes of a training that moves: parallel in the data and the width, in three axes, then on ever fewer devices.
WAY = ((8,), (2, 2, 2), (4, 2), (1,))
MESHES = ((8,), (4, 2), (2, 2, 2), (4,), (2,), (1,))


def in_child(what: str, **order: Any) -> dict[str, np.ndarray]:
    """Computes `pairs` or `curves` in a process with eight devices."""
    with tempfile.TemporaryDirectory() as folder:
        order |= {"what": what, "folder": folder}
        forced = f"--xla_force_host_platform_device_count={N_DEVICES}"
        environment = os.environ | {
            "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {forced}",
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_X64": "1",
        }
        command = [sys.executable, "-m", __name__, json.dumps(order)]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True)
        if ran.returncode:
            raise RuntimeError(f"the process with {N_DEVICES} devices failed:\n{ran.stderr}")
        with np.load(Path(folder) / "found.npz") as found:
            return dict(found)


def mesh_of(shape: tuple[int, ...]) -> Mesh:
    """A mesh of the first devices."""
    devices = np.array(jax.devices()[: int(np.prod(shape))])
    return Mesh(devices.reshape(shape), tuple("abc"[: len(shape)]))


def specs_of(n_axes: int) -> list[PartitionSpec]:
    """All ways in which each axis of a mesh cuts rows, columns or nothing; of two on one axis both orders."""
    found: dict[PartitionSpec, None] = {}
    for cuts in itertools.product((None, 0, 1), repeat=n_axes):
        for order in itertools.permutations(range(n_axes)):
            parts = [tuple("abc"[i] for i in order if cuts[i] == axis) for axis in (0, 1)]
            found.setdefault(PartitionSpec(*(part or None for part in parts)))
    return list(found)


def shardings(stride: int) -> list[NamedSharding]:
    """Every `stride`-th sharding of all meshes and specs."""
    every = [NamedSharding(mesh_of(mesh), spec) for mesh in MESHES for spec in specs_of(len(mesh))]
    return every[::stride]


def make_state(seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Arrays that every sharding cuts, and those that it leaves whole."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.standard_normal(shape)  # noqa: E731
    cut = {
        "float32": draw(*FIRST).astype(np.float32),
        "bfloat16": draw(8, 16).astype(ml_dtypes.bfloat16),
        "float8": draw(16, 8).astype(ml_dtypes.float8_e4m3fn),
        "int4": rng.integers(-8, 8, (8, 16)).astype(ml_dtypes.int4),
        "complex64": (draw(8, 8) + 1j * draw(8, 8)).astype(np.complex64),
        "cube": rng.integers(-100, 100, (8, 8, 3)).astype(np.int16),
        "empty": np.zeros((0, 8), np.float32),
    }
    return cut, {"scalar": np.full((), -0.0, np.float32), "odd": draw(3, 5)}


def placed(sharding: NamedSharding, seed: int) -> dict[str, Any]:
    """The state under a sharding; random keys are cut by its first axis."""
    cut, whole = make_state(seed)
    everywhere = NamedSharding(sharding.mesh, PartitionSpec())
    by_row = NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[:1]))
    return {
        **{name: jax.device_put(array, sharding) for name, array in cut.items()},
        **{name: jax.device_put(array, everywhere) for name, array in whole.items()},
        "keys": jax.device_put(jax.random.split(jax.random.key(seed), 8), by_row),
    }


def blank(state: Any) -> Any:
    """Shapes, dtypes and shardings of a state, without its numbers."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
    )


def n_wrong(found: dict[str, Any], wanted: dict[str, Any]) -> int:
    """Shards whose bits, dtype or place are not those that are wanted."""
    wrong = 0
    for name, leaf in wanted.items():
        got = found[name]
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            got, leaf = jax.random.key_data(got), jax.random.key_data(leaf)
        pairs = zip(got.addressable_shards, leaf.addressable_shards, strict=True)
        for ours, theirs in pairs:
            same = ours.device == theirs.device and ours.index == theirs.index
            bits = [np.asarray(shard.data).tobytes() for shard in (ours, theirs)]
            wrong += not (same and got.dtype == leaf.dtype and bits[0] == bits[1])
    return wrong


def n_stretches(manifest: Manifest, sharding: NamedSharding) -> int:
    """Stretches of files that hold the first array's boxes of a sharding, and nothing else."""
    path, shape = "['float32']", FIRST
    indices = sharding.addressable_devices_indices_map(shape).values()
    boxes = [box_of(index or (), shape) for index in indices]
    reads = plan_load(manifest.tensors, {path: boxes}, verify=False)
    return sum(len(read.pieces) for read in reads)


def pairs(folder: Path, stride: int, seed: int) -> dict[str, np.ndarray]:
    """Saves under each sharding and loads under each.

    Returns:
        By pair (saved, loaded) the shards that are `wrong`, and the `stretches` that the first array is cut into; by
        sharding the bytes `stored` over those of the state, and the number of `devices`.
    """
    every = shardings(stride)
    states = [placed(sharding, seed) for sharding in every]
    n_bytes = sum(
        (jax.random.key_data(x) if name == "keys" else x).nbytes for name, x in states[0].items()
    )
    found: dict[str, list] = {key: [] for key in ("wrong", "stretches", "stored", "devices")}
    for number, state in enumerate(states):
        path = folder / str(number)
        handle = save(path, state, chunk_bytes=512, fsync=False, wait=True)
        found["stored"].append(sum(handle.plan.loads) / n_bytes)
        found["devices"].append(every[number].mesh.size)
        manifest = inspect_checkpoint(path).manifest
        for sharding, target in zip(every, states, strict=True):
            found["wrong"].append(n_wrong(load(path, blank(target)), target))
            found["stretches"].append(n_stretches(manifest, sharding))
    table = (len(every), len(every))
    return {
        name: np.reshape(each, table if name in ("wrong", "stretches") else len(every))
        for name, each in found.items()
    }


def _cut(mesh: Mesh, array: Any) -> NamedSharding:
    """Each axis of a mesh cuts the last axis of the array that it divides, and another one than the axis before."""
    spec: list[str | None] = [None] * array.ndim
    for name, size in mesh.shape.items():
        free = [i for i in range(array.ndim) if spec[i] is None and array.shape[i] % size == 0]
        if free and array.ndim > 1:
            spec[free[-1]] = name
    return NamedSharding(mesh, PartitionSpec(*spec))


def _targets(state: TrainState, mesh: Mesh) -> TrainState:
    """Where the arrays of a state go on a mesh."""
    make = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=_cut(mesh, x))  # noqa: E731
    return jax.tree.map(lambda x: make(x) if eqx.is_array(x) else x, state)


class Bytes(eqx.Module):
    """Predicts a byte from the `CONTEXT` before it, by one hidden layer."""

    vectors: jax.Array
    hidden: Dense
    out: Dense

    def __call__(self, windows: jax.Array) -> jax.Array:
        """Logits (batch, 256) after windows of bytes (batch, CONTEXT)."""
        x = self.vectors[windows].reshape(len(windows), -1)
        return self.out(jax.nn.gelu(self.hidden(x)))


def _loss(model: Bytes, windows: jax.Array, key: Any) -> jax.Array:
    del key
    return cross_entropy(model(windows[:, :-1]), windows[:, -1]).mean()


def curves(
    folder: Path, precision: str, n_steps: int, width: int, seed: int
) -> dict[str, np.ndarray]:
    """Losses of a network that trains on one mesh, and of one that moves to another after each quarter.

    Returns:
        `stayed`; `moved` through checkpoints; `put`, moved by JAX from device to device, without any checkpoint.
    """
    keys = jax.random.split(jax.random.key(seed), 4)
    dtype = {"single": jnp.float32, "double": jnp.float64}[precision]
    model = Bytes(
        jax.random.normal(keys[0], (256, width), dtype),
        make_dense(CONTEXT * width, 4 * width, key=keys[1], dtype=dtype),
        make_dense(4 * width, 256, key=keys[2], dtype=dtype),
    )
    text = np.asarray(corpora.load_corpus("python").train[:100_000], np.int32)
    optimiser, draw = adamw(3e-3, n_steps), draw_windows(64, CONTEXT + 1)

    def begin() -> TrainState:
        weights = eqx.filter(model, eqx.is_inexact_array)
        return TrainState(weights, optimiser.init(weights))

    def go(how: str) -> np.ndarray:
        state, losses = begin(), []
        for number, shape in enumerate(WAY):
            mesh = mesh_of(WAY[0] if how == "stayed" else shape)
            target = _targets(state, mesh)
            if how == "moved":
                path = folder / f"{precision}{number}"
                save(path, state, step=state.n_done, fsync=False, wait=True)
                state = load(path, target)
            else:
                state = jax.tree.map(
                    lambda x, to: jax.device_put(x, to.sharding) if eqx.is_array(x) else x, state, target
                )  # fmt: skip
            everywhere = NamedSharding(mesh, PartitionSpec())
            data, key, whole = jax.device_put((text, keys[3], model), everywhere)
            stop = n_steps * (number + 1) // len(WAY)
            # Not the harness's: `--save-every` does not reach this process.
            done = training.train(
                whole, _loss, data, draw, optimiser, stop, key=key, start=state,
                steps_per_call=stop - state.n_done, name=f"the network that {how}",
            )  # fmt: skip
            state = done.state
            losses.append(done.losses)
        return np.concatenate(losses)

    return {how: go(how) for how in ("stayed", "moved", "put")}


def _main(order: dict[str, Any]) -> None:
    what, folder = order.pop("what"), Path(order.pop("folder"))
    found = {"pairs": pairs, "curves": curves}[what](folder, **order)
    np.savez(folder / "found.npz", **found)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
