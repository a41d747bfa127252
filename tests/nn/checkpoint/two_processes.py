"""One of two processes with two devices each; `test_processes.py` starts both and reads what they print."""

import json
import sys
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nn.checkpoint.coordination import all_processes
from nn.checkpoint.files import LocalFiles
from nn.checkpoint.load import load
from nn.checkpoint.save import save
from nn.checkpoint.storage import Store

jax.config.update("jax_cpu_collectives_implementation", "gloo")
index, port, root = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
jax.distributed.initialize(f"127.0.0.1:{port}", 2, index)


class Counting(LocalFiles):
    n_bytes = 0

    def get_into(self, name, start, *targets):
        self.n_bytes += sum(map(len, targets))
        return super().get_into(name, start, *targets)


class Failing(LocalFiles):
    def put(self, name, pieces):
        raise PermissionError(13, "Permission denied", name)


DRAW = np.random.default_rng(0)
HOSTS = {
    "both": DRAW.standard_normal((8, 12)).astype(np.float32),
    "copies": DRAW.standard_normal((8, 4)).astype(np.float32),
    "odd": DRAW.standard_normal((3, 5)).astype(np.float32),
}


def placed(mesh, specs):
    def put(host, spec):
        sharding = NamedSharding(mesh, spec)
        return jax.make_array_from_callback(host.shape, sharding, lambda at: host[at])

    return {name: put(host, specs[name]) for name, host in HOSTS.items()}


devices = np.array(jax.devices())
one = Mesh(devices.reshape(4), ("a",))
two = Mesh(devices.reshape(2, 2), ("a", "b"))
state = placed(one, {"both": P("a"), "copies": P(), "odd": P()})
handle = save(root / "a", state | {"step": 4, "host": np.arange(3)}, chunk_bytes=64, fsync=False)
handle.wait()
everyone = all_processes()
everyone.gather("test/saved", index)
target = placed(two, {"both": P("b", "a"), "copies": P("b"), "odd": P()})
counted = Counting(root / "a")
found = load(Store(counted), target, partial="extra", verify=False)
wrong = [
    f"{name} on {shard.device}"
    for name, array in found.items()
    for shard in array.addressable_shards
    if np.asarray(shard.data).tobytes() != HOSTS[name][shard.index].tobytes()
]
everyone.gather("test/loaded", index)
failed = save(Store((Failing if index else LocalFiles)(root / "b")), state)
try:
    failed.wait()
    error = ""
except Exception as told:
    error = str(told)
print(
    json.dumps(
        {
            "processes": jax.process_count(),
            "mine": handle.plan.loads[index],
            "loads": handle.plan.loads,
            "read": counted.n_bytes,
            "wrong": wrong,
            "error": error,
        }
    )
)
