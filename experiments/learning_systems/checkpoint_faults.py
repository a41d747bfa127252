"""What can go wrong with a checkpoint, done to it: damage, kills, failures of the power, full disks, two writers.

A small state is saved by `nn.checkpoint`, and then

    damage     one bit, one byte, 64 bytes or the end of one of its files is changed: silent where loading succeeds
    kills      the save is killed in the middle of one of its calls of the system, at each in turn; the checkpoint
               before must load, the new one be whole or not there, and the same save succeed afterwards
    power      the same, and what was not synced is lost; and the power fails after the save was acknowledged, with
               and without syncing
    disks      the disk is full after some bytes, or the right to write is gone
    races      two threads write to one path
    stores     a store answers late, or not at all

Kills are simulated within this process; some are true ones, SIGKILL of a process that saves. The design is that of
ByteCheckpoint (B. Wan et al., arXiv:2407.20143), which gives no numbers of faults to compare with.
"""

import tempfile
from dataclasses import dataclass

import numpy as np

from experiments.harness.context import ALONE, Context, called
from experiments.harness.fields import at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.learning_systems import checkpoint_damage, checkpoint_kills
from experiments.learning_systems.checkpoint_faults_figure import plot as plot
from nn.checkpoint import save
from nn.checkpoint.timeline import timeline

CLAIM = "No damaged byte of a checkpoint loads silently, and no kill or failure of the power costs the one before."
PAPER_FIGURE = "B. Wan et al., arXiv:2407.20143 (ByteCheckpoint); no figure compared"
EXPECTED_TIME = {"quick": "15 s", "laptop": "5 min", "paper": "30 min"}
TOLERANCES = {"located.byte": 0.1, "*.committed": 0.1, "unsynced.lost": 0.1, "*": 0.0}
REFERENCES: tuple[Reference, ...] = ()


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        n_damages: Damages of each of the four kinds.
        n_kills: Simulated kills during a save.
        n_power_failures: Failures of the power during a save, after one, and after one without syncing: of each.
        n_true_kills: Processes that are ended by SIGKILL while they save.
        n_full_disks: Saves to a disk that gets full.
        n_races: Pairs of threads that save to one path.
        state_mib: MiB of the state whose save is drawn as a timeline.
        seed: Seed of all that is drawn.
    """

    n_damages: int = 2500
    n_kills: int = 1000
    n_power_failures: int = 1000
    n_true_kills: int = 200
    n_full_disks: int = 200
    n_races: int = 100
    state_mib: int = 64
    seed: int = 0

    def __post_init__(self):
        at_least(
            self,
            1,
            "n_damages",
            "n_kills",
            "n_power_failures",
            "n_full_disks",
            "n_races",
            "state_mib",
        )
        at_least(self, 0, "n_true_kills", "seed")


SCALES = {
    "quick": Config(
        n_damages=100,
        n_kills=216,
        n_power_failures=72,
        n_true_kills=10,
        n_full_disks=20,
        n_races=20,
        state_mib=16,
    ),
    "laptop": Config(),
    "paper": Config(n_damages=25_000, n_kills=10_000, n_power_failures=10_000, n_true_kills=1000),
}


def run(config: Config, context: Context = ALONE) -> Outcome:
    """All faults, a piece for each kind."""
    seed = config.seed
    pieces: dict[str, tuple] = {
        f"damage {kind}": (checkpoint_damage.damages, kind, config.n_damages, seed)
        for kind in checkpoint_damage.KINDS
    }
    power = config.n_power_failures
    pieces |= {
        "refusals": (checkpoint_damage.refusals, seed),
        "kills": (checkpoint_kills.kills, config.n_kills, seed),
        "power": (_power, power, seed),
        "synced": (_acknowledged, power, seed, True),
        "unsynced": (_acknowledged, power, seed, False),
        "disks": (checkpoint_kills.refused, config.n_full_disks, seed),
        "races": (checkpoint_kills.races, config.n_races),
        "stores": (checkpoint_kills.late_stores,),
        "timeline": (_timeline, config.state_mib),
    }
    if config.n_true_kills:
        pieces["true kills"] = (checkpoint_kills.true_kills, config.n_true_kills, seed)
    found = context.map(called, pieces)
    metrics: dict[str, Measurement] = {}
    for kind in checkpoint_damage.KINDS:
        for name, each in found[f"damage {kind}"].items():
            metrics[f"{name}.{kind}"] = _share(each)
    for name in ("kills", "power", "true kills", "disks"):
        for what, each in found.get(name, {}).items():
            if what not in ("call", "killed"):
                metrics[f"{name.replace(' ', '_')}.{what}"] = _share(each)
    for name in ("synced", "unsynced"):
        for what, each in found[name].items():
            metrics[f"{name}.{what}"] = _share(each)
    metrics["refusals.told"] = _share(np.array(list(found["refusals"].values())))
    metrics["races.committed"] = _share(found["races"]["committed"])
    metrics["races.mixed"] = _share(found["races"]["mixed"])
    metrics |= {f"stores.{w}": _share(found["stores"][w]) for w in ("waited", "told")}
    arrays = {
        f"{name}.{what}": each
        for name in ("kills", "timeline")
        for what, each in found[name].items()
    }
    return Outcome("checkpoint_faults", config, metrics, arrays, REFERENCES)


def _power(count: int, seed: int) -> dict[str, np.ndarray]:
    return checkpoint_kills.kills(count, seed, power=True)


def _acknowledged(count: int, seed: int, fsync: bool) -> dict[str, np.ndarray]:
    return checkpoint_kills.after_acknowledged(count, seed, fsync=fsync)


def _timeline(state_mib: int) -> dict[str, np.ndarray]:
    """One undisturbed save of four writers, for the figure."""
    state = {f"layer{i}": np.full(state_mib * 2**20 // 32, float(i)) for i in range(4)}
    with tempfile.TemporaryDirectory() as folder:
        handle = save(f"{folder}/a", state, writers=4, chunk_bytes=state_mib * 2**16, wait=True)
    return dict(vars(timeline(handle.clock)))


def _share(cases: np.ndarray) -> Measurement:
    """Share of the cases in which something is so."""
    return Measurement(float(np.mean(cases)), None, "", np.size(cases))
