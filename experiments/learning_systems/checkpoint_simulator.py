"""Times of saves and loads on thousands of accelerators, from bandwidths: a part of `checkpoint_scale`.

Two systems save the same job. `before` is what ByteCheckpoint (B. Wan et al., arXiv:2407.20143) set out from: the loop
waits for everything, the first replica writes what all hold, plans are made by one coordinator at each save, flat
shards are gathered first, one plain client per process writes. `after` is its design: the loop waits for the copy to
the host, replicas share the writing by worst fit (`nn.checkpoint.plan`), plans are kept, flat shards are cut into
boxes, files are split, chunks go through a pipeline, and a tree of processes agrees.

Each stage is bytes over bandwidth; chunks of the fullest rank pass the stages one after the other, and no chunk enters
a stage before the one ahead of it has left. Left out: contention inside a host but for the network, stragglers, the
loader's state, retries.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from nn.checkpoint.plan import worst_fit

PAPER, OURS = "paper", "our choice"
MODEL_BYTES, OPTIMISER_BYTES = (
    2,
    12,
)  # of a parameter: bf16; fp32 weights and two moments of Adam (our choice)

CHUNK = 4 << 20  # bytes, as in `nn.checkpoint.save`


def stated(value: float, source: str) -> Any:
    """A field of `Rates` and where its number comes from."""
    return field(default=value, metadata={"source": source})


@dataclass(frozen=True)
class Rates:
    """Bandwidths and times; each field says in its metadata whether the paper or we chose it.

    Attributes:
        network: Bytes/s of an accelerator's network card: 200 Gb/s (paper).
        plain_write: Bytes/s that a plain client of the storage writes, below 100 MB/s (paper).
        split_write: Bytes/s that a client writes with files in parts, up to 3 GB/s (paper).
        plain_read: Bytes/s that a plain client reads, 400 MB/s (paper).
        split_read: Bytes/s that a client reads by ranges, 2 to 3 GB/s (paper).
        storage: Bytes/s of the whole storage (our choice).
        pinned: Bytes/s from an accelerator into pinned memory (our choice).
        pageable: Bytes/s from an accelerator into other memory (our choice).
        serialise: Bytes/s at which one process serialises and takes checksums (our choice).
        plan_item: Seconds of the coordinator per shard in a plan, made to fit: 405 billion parameters on 8,960 take
            the paper's 62 s then (paper).
        flat_barrier: Seconds of a barrier per process, 20 s near 10,000 (paper).
        hop: Seconds of one message between processes (our choice).
        tensor: Seconds of the loop per tensor of a rank in a save that returns at once (our choice).
        open_file: Seconds of the storage to open or join a file (our choice).
    """

    network: float = stated(25e9, PAPER)
    plain_write: float = stated(100e6, PAPER)
    split_write: float = stated(3e9, PAPER)
    plain_read: float = stated(400e6, PAPER)
    split_read: float = stated(2.5e9, PAPER)
    storage: float = stated(1e12, OURS)
    pinned: float = stated(20e9, OURS)
    pageable: float = stated(4e9, OURS)
    serialise: float = stated(2e9, OURS)
    plan_item: float = stated(1.081e-4, PAPER)
    flat_barrier: float = stated(2e-3, PAPER)
    hop: float = stated(1e-3, OURS)
    tensor: float = stated(50e-6, OURS)
    open_file: float = stated(0.1, OURS)

    def __post_init__(self):
        for each in fields(self):
            value = getattr(self, each.name)
            if not 0 < value < math.inf:
                raise ValueError(f"`{each.name}` must be positive and finite, but is {value:g}.")


@dataclass(frozen=True)
class Job:
    """A training.

    Attributes:
        parameters: Parameters of the model.
        n_layers: Layers; the width follows from 12 width^2 parameters a layer.
        accelerators: Accelerators.
        tensor_parallel: Ways in which each matrix is cut.
        pipeline: Stages.
        flat: Whether the model too lies in flat shards over all (FSDP), or only the optimiser (ZeRO).
    """

    parameters: float
    n_layers: int
    accelerators: int
    tensor_parallel: int = 1
    pipeline: int = 1
    flat: bool = False

    @property
    def replicas(self) -> int:
        """Accelerators that hold the same part of the model, where it is not flat."""
        return self.accelerators // (self.tensor_parallel * self.pipeline)

    def tensors(self) -> np.ndarray:
        """Bytes of the model's tensors on one rank of the first stage: layers of attention and two maps."""
        layers = -(-self.n_layers // self.pipeline)
        square = self.parameters / self.n_layers / 12
        layer = np.array([3, 1, 4, 4]) * square / self.tensor_parallel
        return np.tile(layer, layers) * MODEL_BYTES

    def loads(self, balanced: bool) -> np.ndarray:
        """Bytes that each replica of the first stage writes."""
        own = OPTIMISER_BYTES * self.parameters / self.accelerators
        if self.flat:
            return np.array([own + MODEL_BYTES * self.parameters / self.accelerators])
        sizes = self.tensors()
        if not balanced:
            return np.array([sizes.sum() + own] + [own] * (self.replicas - 1))
        # Cut into chunks first, as ours are; whole matrices leave most replicas with nothing.
        parts = [size / n for size in sizes for n in [math.ceil(size / CHUNK)] for _ in range(n)]
        _, found = worst_fit(
            [int(p) for p in parts], [range(self.replicas)] * len(parts), self.replicas
        )
        return np.array(found) + own

    def shards(self) -> int:
        """Shards in a plan of all ranks: of the model, and as many of the optimiser."""
        return 2 * len(self.tensors()) * self.accelerators


@dataclass(frozen=True)
class Times:
    """What one save and one load of a system take, in seconds.

    Attributes:
        stall: What the loop waits for at a save.
        save: From the call until the checkpoint is there.
        load: From the call until the state is on the accelerators.
    """

    stall: float
    save: float
    load: float


def pipelined(load: float, chunk: float, rates: list[float]) -> float:
    """Seconds until the last chunk of a rank has left the last stage, each chunk in one stage at a time.

    Args:
        load: Bytes of the rank.
        chunk: Bytes of a chunk.
        rates: Bytes/s of the stages.
    """
    sizes = [chunk] * int(load // chunk) + ([load % chunk] if load % chunk else [])
    left = [0.0] * len(rates)  # when each stage has let go of its last chunk
    for size in sizes:
        done = 0.0
        for stage, rate in enumerate(rates):
            left[stage] = done = max(done, left[stage]) + size / rate
    return left[-1]


def before(job: Job, rates: Rates) -> Times:
    """A save that the loop waits for, and a load in which every rank reads all that it holds."""
    most, n = float(job.loads(balanced=False).max()), job.accelerators
    flat = OPTIMISER_BYTES + (MODEL_BYTES if job.flat else 0)
    # Each rank gathers what the flat shards of its group hold, to find tensors in it.
    gather = flat * job.parameters / (job.tensor_parallel * job.pipeline) / rates.network
    total = (MODEL_BYTES + OPTIMISER_BYTES) * job.parameters
    write = min(rates.plain_write, rates.storage / n)
    stall = (
        job.shards() * rates.plan_item + gather + most / rates.pageable + most / rates.serialise
        + most / write + n * rates.flat_barrier
    )  # fmt: skip
    held = 0.0 if job.flat else MODEL_BYTES * job.parameters / (job.tensor_parallel * job.pipeline)
    held += (total if job.flat else OPTIMISER_BYTES * job.parameters) / n
    read = min(rates.plain_read, rates.storage / n)
    load = (
        job.shards() * rates.plan_item
        + held / read
        + held / rates.pageable
        + n * rates.flat_barrier
    )
    return Times(stall, stall, load)


def after(job: Job, rates: Rates, *, chunk: float = 64e6, fan_out: int = 16) -> Times:
    """A save whose files are written beside the loop, and a load in which each byte is read once and then exchanged."""
    loads, n = job.loads(balanced=True), job.accelerators
    most = float(loads.max())
    tree = 2 * math.ceil(math.log(max(n, 2), fan_out)) * rates.hop
    stall = 2 * len(job.tensors()) * rates.tensor + most / rates.pinned
    write = min(rates.split_write, rates.network, rates.storage / n)
    stages = [rates.pinned, rates.serialise, write]
    save = 2 * len(job.tensors()) * rates.tensor + pipelined(most, chunk, stages)
    save += 2 * rates.open_file + tree
    read = min(rates.split_read, rates.network, rates.storage / n)
    load = pipelined(most, chunk, [read, rates.serialise, rates.pinned]) + rates.open_file + tree
    if not job.flat:
        model = MODEL_BYTES * job.parameters / (job.tensor_parallel * job.pipeline)
        load += model * (1 - 1 / job.replicas) / rates.network
    return Times(stall, save, load)


def effective_share(period: float, times: Times, restart: float, gap: float) -> float:
    """Share of the time that trains, to first order in the failures.

    Each period costs a stall, and each failure half a period, the time until a state is safe, a load and a restart
    (after J. W. Young, Commun. ACM 17, 530 (1974), DOI 10.1145/361147.361115).

    Args:
        period: Seconds of training between saves.
        times: Times of the system.
        restart: Seconds from a failure until loading begins.
        gap: Mean seconds between failures.
    """
    lost = period / 2 + times.save + times.load + restart
    return period / (period + times.stall) / (1 + lost / gap)


def paper_share(period: float, times: Times) -> float:
    """The paper's form, which charges one failure to each period: T / (T + (T + T_save) / 2 + T_load)."""
    return period / (period + (period + times.save) / 2 + times.load)


def simulated_share(
    period: float, times: Times, restart: float, gap: float, total: float, rng: np.random.Generator
) -> float:
    """The share of one run of `total` seconds with failures at random.

    After each save the loop stalls; the state is safe `save` seconds after the call. A failure throws the training back
    to the newest safe state, and costs a restart and a load, in which there may be further failures.
    """
    now, trained = 0.0, 0.0
    cycle, behind = period + times.stall, times.save - times.stall
    while now < total:
        fails = rng.exponential(gap)
        run = min(fails, total - now)
        # A call at the end of each period; safe where its stall and what follows it end in time.
        n_safe = max(0, math.floor((run - behind) / cycle))
        whole, rest = divmod(run, cycle)
        reached = whole * period + min(rest, period)
        trained += reached if now + run >= total else n_safe * period
        now += run
        while now < total:  # until a restart is not cut off by the next failure
            away = rng.exponential(gap)
            now += min(away, restart + times.load)
            if away >= restart + times.load:
                break
    return trained / total
