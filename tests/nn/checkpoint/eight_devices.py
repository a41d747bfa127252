"""Runs in a process of its own with eight forced devices; `test_resharding.py` starts it and reads what it prints."""

import itertools
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nn.checkpoint.buckets import make_bucket
from nn.checkpoint.files import LocalFiles
from nn.checkpoint.load import load
from nn.checkpoint.plan import balance
from nn.checkpoint.save import save
from nn.checkpoint.storage import Store

ROOT = Path(sys.argv[1])
MESHES = {(8,): "a", (4, 2): "ab", (2, 2, 2): "abc", (1,): "a"}
SPECS = {
    (8,): [P(), P("a"), P(None, "a")],
    (4, 2): [P(), P("a", "b"), P("b", "a"), P(("a", "b")), P(None, "b")],
    (2, 2, 2): [P(), P("a", "b"), P("c", ("b", "a")), P(("a", "b"), "c"), P(None, ("a", "b", "c"))],
    (1,): [P()],
}
DRAW = np.random.default_rng(0)
STATE = {
    "float32": DRAW.standard_normal((8, 24)).astype(np.float32),
    "bfloat16": DRAW.standard_normal((8, 24)).astype(ml_dtypes.bfloat16),
    "float8": DRAW.standard_normal((16, 8)).astype(ml_dtypes.float8_e4m3fn),
    "cube": DRAW.integers(-100, 100, (8, 8, 3)).astype(np.int16),
    "empty": np.zeros((0, 8), np.float32),
}
ODD = {"scalar": np.full((), -0.0, np.float32), "odd": DRAW.standard_normal((3, 5))}
SHARDINGS = [
    NamedSharding(Mesh(np.array(jax.devices()[: np.prod(shape)]).reshape(shape), tuple(names)), spec)
    for shape, names in MESHES.items()
    for spec in SPECS[shape]
]  # fmt: skip


def placed(sharding):
    """The state under a sharding; keys by the first axis, what cannot be cut on all devices."""
    everywhere = NamedSharding(sharding.mesh, P())
    keys = jax.random.wrap_key_data(np.arange(16, dtype=np.uint32).reshape(8, 2))
    by_row = NamedSharding(sharding.mesh, P(*sharding.spec[:1]))
    return {
        **{name: jax.device_put(array, sharding) for name, array in STATE.items()},
        **{name: jax.device_put(array, everywhere) for name, array in ODD.items()},
        "keys": jax.device_put(keys, by_row),
        "step": 7,
    }


def blank(state):
    def struct(leaf):
        if isinstance(leaf, jax.Array):
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
        return 0

    return jax.tree.map(struct, state)


def bits(leaf):
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf).tobytes()


def same(found, expected):
    for name, leaf in expected.items():
        got = found[name]
        if bits(got) != bits(leaf):
            return f"{name} differs"
        if isinstance(leaf, jax.Array):
            if got.dtype != leaf.dtype or not got.sharding.is_equivalent_to(
                leaf.sharding, got.ndim
            ):
                return f"{name} is {got.dtype} in {got.sharding}"
            # `np.asarray` of an array looks at one copy only.
            for shard in () if name == "keys" else got.addressable_shards:
                if bits(shard.data) != np.asarray(leaf)[shard.index].tobytes():
                    return f"{name} differs on {shard.device}"
    return ""


class Counting(LocalFiles):
    """Counts the bytes of data that are read, and how often each is."""

    def __init__(self, root):
        super().__init__(root, fsync=False)
        self.ranges = []

    def get_into(self, name, start, *targets):
        self.ranges.append((name, start, start + sum(map(len, targets))))
        return super().get_into(name, start, *targets)

    def n_bytes(self):
        return sum(stop - start for _, start, stop in self.ranges)

    def twice(self):
        ranges = sorted(self.ranges)
        return any(a[0] == b[0] and a[2] > b[1] for a, b in itertools.pairwise(ranges))


def all_pairs():
    states = [placed(sharding) for sharding in SHARDINGS]
    wrong, stored = [], []
    for number, state in enumerate(states):
        handle = save(ROOT / str(number), state, chunk_bytes=160, fsync=False, wait=True)
        stored.append(sum(handle.plan.loads))
    for (i, _), (j, target) in itertools.product(enumerate(states), enumerate(states)):
        found = same(load(ROOT / str(i), blank(target)), target)
        if found:
            wrong.append(f"{SHARDINGS[i]} -> {SHARDINGS[j]}: {found}")
    return {"pairs": len(states) ** 2, "wrong": wrong, "stored": stored}


def between_devices():
    """Each byte is read once and moved between devices; -0.0 and the payload of NaN stay."""
    special = np.array([0x80000000, 0x7FC12345, 0xFFFFFFFF, 1] * 16, np.uint32).view(np.float32)
    mesh = Mesh(np.array(jax.devices()).reshape(2, 2, 2), tuple("abc"))
    found = {}
    for name, spec, shape in [
        ("copies", P(), (8, 8)),
        ("rows", P("a"), (8, 8)),
        ("no axis divides", P(), (4, 1, 16)),
        ("odd", P(), (3, 5)),
    ]:
        host = special[: np.prod(shape)].reshape(shape)
        array = jax.device_put(host, NamedSharding(mesh, spec))
        path = ROOT / f"between-{name}"
        save(path, {"x": array}, chunk_bytes=64, fsync=False, wait=True)
        for how in ("host", "devices"):
            files = Counting(path)
            got = load(Store(files), blank({"x": array}), exchange=how, verify=False)
            wrong = same(got, {"x": array})
            found[f"{name}, {how}"] = [files.n_bytes(), host.nbytes, files.twice(), wrong]
    return found


def partial_reads():
    """Bytes read for the shards of a part of the devices are those of their boxes."""
    mesh = Mesh(np.array(jax.devices()), ("a",))
    array = jax.device_put(np.arange(8 * 64, dtype=np.float32).reshape(8, 64), NamedSharding(mesh, P("a")))  # fmt: skip
    save(ROOT / "part", {"x": array, "y": array}, fsync=False, wait=True)
    two = Mesh(np.array(jax.devices()[:2]), ("a",))
    target = jax.ShapeDtypeStruct(
        array.shape, array.dtype, sharding=NamedSharding(two, P(None, "a"))
    )
    files = Counting(ROOT / "part")
    got = load(Store(files), {"x": target}, partial="extra")
    equal = bits(got["x"]) == bits(array)
    return [files.n_bytes(), array.nbytes, files.twice(), equal]


def buckets():
    """A bucket over four shares, saved, and loaded over all other numbers of them and in another order."""
    tensors = {
        "w": jnp.arange(105.0).reshape(5, 7, 3),
        "b": jnp.arange(105.0, 113.0),
        "v": jnp.arange(113.0, 162.0).reshape(7, 7),
    }

    def over(n_shares, order):
        sharding = NamedSharding(Mesh(np.array(jax.devices()[:n_shares]), ("a",)), P("a"))
        named = {name: tensors[name] for name in order}
        return make_bucket(named, n_shares=n_shares, sharding=sharding)

    handle = save(ROOT / "bucket", {"mu": over(4, "wbv")}, fsync=False, wait=True)
    wrong = [sum(handle.plan.loads) - 162 * tensors["w"].dtype.itemsize]
    for n_shares, order in itertools.product((1, 2, 4, 8), ("wbv", "vwb")):
        expected = over(n_shares, order)
        files = Counting(ROOT / "bucket")
        empty = jax.tree.map(jnp.zeros_like, expected)
        got = load(Store(files), {"mu": empty}, verify=False)["mu"]
        differs = same({"flat": got.flat}, {"flat": expected.flat})
        if differs or files.twice() or files.n_bytes() != sum(handle.plan.loads):
            wrong.append([n_shares, order, differs, files.n_bytes()])
    whole = load(ROOT / "bucket", {"mu": tensors})["mu"]
    wrong += [name for name in tensors if bits(whole[name]) != bits(tensors[name])]
    return wrong


def losses():
    """Losses of a training that moves to another mesh after each third of it, over those of one that stays."""
    inputs = jnp.asarray(DRAW.standard_normal((16, 8)))
    wanted = jnp.tanh(inputs @ jnp.asarray(DRAW.standard_normal((8, 8))))

    @jax.jit
    def step(state):
        def loss(w):
            return jnp.mean((jnp.tanh(inputs @ w) - wanted) ** 2)

        value, slope = jax.value_and_grad(loss)(state["w"])
        speed = 0.9 * state["speed"] - slope
        return value, {"w": state["w"] + speed, "speed": speed}

    def train(shardings):
        found, state = [], {"w": jnp.zeros((8, 8)), "speed": jnp.zeros((8, 8))}
        for number, sharding in enumerate(shardings):
            if sharding is not None:
                save(ROOT / f"train-{number}", state, fsync=False, wait=True)
                target = jax.ShapeDtypeStruct((8, 8), jnp.float64, sharding=sharding)
                state = load(ROOT / f"train-{number}", {"w": target, "speed": target})
            for _ in range(4):
                value, state = step(state)
                found.append(float(value))
        return found

    moved = [s for s in SHARDINGS if s.spec in (P("a"), P("a", "b"))][:2]
    return train([None] * 3), train([*moved, SHARDINGS[-1]])


def refused():
    """A shape that the sharding does not divide."""
    mesh = Mesh(np.array(jax.devices()), ("a",))
    save(ROOT / "six", {"x": np.zeros(6)}, fsync=False, wait=True)
    target = jax.ShapeDtypeStruct((6,), np.float32, sharding=NamedSharding(mesh, P("a")))
    try:
        load(ROOT / "six", {"x": target}, cast=True)
    except ValueError as error:
        return str(error)
    return ""


def memory():
    """Most memory that a save and a load add, over the bytes of the state; empty where the system does not tell."""

    def tell(name):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))

    def added(act):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = tell("VmRSS")
        kept = act()
        return (tell("VmHWM") - before) / n_bytes, kept

    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("a",)), P("a"))
    state = {
        str(i): jax.device_put(np.full((2048, 1024), i, np.float32), sharding) for i in range(8)
    }
    n_bytes = sum(array.nbytes for array in state.values())
    try:
        saving, _ = added(lambda: save(ROOT / "memory", state, fsync=False, wait=True))
        loading, found = added(lambda: load(ROOT / "memory", blank(state)))
    except (FileNotFoundError, PermissionError):
        return {}
    return {"save": saving, "load": loading, "wrong": same(found, state)}


class OnProcess:
    """A sharding that says of each device that it is a process."""

    def __init__(self, sharding):
        self.sharding = sharding

    def devices_indices_map(self, shape):
        from collections import namedtuple

        device = namedtuple("device", "process_index")
        return {device(d.id): i for d, i in self.sharding.devices_indices_map(shape).items()}


def writers_of_devices():
    """Were each device a process: how even the writers are, for a state with copies."""
    from nn.checkpoint.plan import Spec, plan_save

    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), tuple("ab"))
    sizes = np.random.default_rng(1).lognormal(8, 1, 200).astype(int) * 4
    specs = [
        Spec(str(i), (int(n),), 4, OnProcess(NamedSharding(mesh, [P("a"), P(), P("b")][i % 3])))
        for i, n in enumerate(sizes)
    ]
    plan = plan_save(specs, n_processes=8)
    return [sum(plan.loads), 4 * int(sizes.sum()), balance(plan.loads)]


print(
    json.dumps(
        {
            "devices": len(jax.devices()),
            "pairs": all_pairs(),
            "between": between_devices(),
            "part": partial_reads(),
            "buckets": buckets(),
            "losses": losses(),
            "refused": refused(),
            "writers": writers_of_devices(),
            "memory": memory(),
        }
    )
)
