"""Runs one experiment: on which device, in which precision, with what kept if it is stopped."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.command import provenance
from experiments.command.registry import load, names, summary
from experiments.command.storage import PieceStore, Store, Stored
from experiments.data import datasets
from experiments.harness.cluster import ClusterWorkers
from experiments.harness.context import Context, Workers
from experiments.harness.errors import UserError
from experiments.harness.files import beside
from experiments.harness.jobs import LocalWorkers
from experiments.harness.ranges import check_ranges
from experiments.harness.saving import parse, saving
from experiments.harness.settings import Device, on_device, precision

SCREEN_DPI = 150
SEEDS = 2**32  # as many as a key of JAX tells apart


def run_and_store(
    name: str,
    config: Any,
    store: Store,
    force: bool = False,
    device: Device = "auto",
    command: list[str] | None = None,
    jobs: int = 1,
    cluster: str = "",
    save_every: str = "",
) -> tuple[Stored, bool]:
    """Runs an experiment and saves the result, or returns the saved one.

    Args:
        name: Experiment or benchmark.
        config: Its configuration.
        store: Where results live.
        force: Computes even where a result exists, and replaces it once the new one is whole.
        device: Where to compute.
        command: Command line for the record.
        jobs: Processes of this machine that compute pieces side by side; 1 computes here.
        cluster: Address of a Dask scheduler whose workers compute the pieces; "" for none.
        save_every: Steps, or seconds with an s, between saved states of a training; "" saves none.

    Returns:
        Stored result, and whether it was there before.

    Raises:
        ValueError: If the seed of the configuration is not one of 32 bits, or a value is out of range.
        UserError: If another process computes this configuration, or a stored result of it cannot be read.
        StorageError: If the results cannot be written there; that is tried before anything is computed.
    """
    _check_workers(jobs, cluster)
    check_seed(config)
    module = load(name)
    _check_saving(name, module, save_every, cluster)
    check_ranges(config, module.SCALES.values())
    stored = None if force else store.find(name, config)
    if stored is not None:
        return _drawn(stored, config, store), True
    pieces = store.pieces(name, config, provenance.code_fingerprint(), force)
    with pieces.held():
        # Another process may have finished it since.
        stored = None if force else store.find(name, config)
        if stored is not None:
            return _drawn(stored, config, store), True
        where = {"device": device, "jobs": jobs, "cluster": cluster, "save_every": save_every}
        return _computed(module, config, store, pieces, command, **where), False


def check_seed(config: Any) -> None:
    """Refuses a seed that JAX would cut to 32 bits, where two seeds give the same numbers, or that NumPy refuses.

    Raises:
        ValueError: If the seed of the configuration is not in [0, 2^32).
    """
    seed = getattr(config, "seed", 0)
    if not 0 <= seed < SEEDS:
        raise ValueError(f"`seed` must lie between 0 and {SEEDS - 1}, but is {seed}.")


def other_code(stored: Stored) -> str:
    """Says that a stored result was made by other source than this; "" where it was not."""
    here = provenance.code_fingerprint()
    if stored.code == here:
        return ""
    made_by = f"fingerprint {stored.code}, now {here}" if stored.code else "it does not say which"
    return f"{stored.experiment} {stored.digest} was made by other code ({made_by}); --force computes again."


def _drawn(stored: Stored, config: Any, store: Store) -> Stored:
    if not (stored.folder / "figure.png").is_file():
        store.draw(stored, stored.outcome(config).figure())
    return stored


def _computed(
    module: Any,
    config: Any,
    store: Store,
    pieces: PieceStore,
    command: list[str] | None,
    *,
    device: Device,
    jobs: int,
    cluster: str,
    save_every: str,
) -> Stored:
    with (
        on_device(device),
        precision(precision_of(config)),
        _workers(jobs, cluster, module.__name__) as workers,
    ):
        start = time.monotonic()
        every = parse(save_every, pieces.states()) if save_every else None
        draw = lambda early: _draw_early(early, pieces)  # noqa: E731
        context = Context(pieces, workers=workers, draw=draw, save_every=every)
        note = data_note(module, config)
        if note:
            context.log(note)
        with saving(every, context.log):
            outcome = module.run(config, context)
        seconds = time.monotonic() - start + pieces.reused_seconds
        record = provenance.record(
            seconds,
            precision_of(config),
            pieces.reused,
            command or [],
            str(workers or "this process"),
        )
    scale = scale_of(config, module.SCALES)
    try:
        figure = outcome.figure()
    except Exception:
        # A fault in the drawing must not cost the computation; the next run draws what is missing.
        store.save(outcome, scale, record)
        raise
    stored = store.save(outcome, scale, record, figure)
    pieces.discard()
    return stored


def _check_workers(jobs: int, cluster: str) -> None:
    if jobs < 1:
        raise UserError(f"`--jobs` must be at least 1, but is {jobs}; 1 computes in this process.")
    if cluster and jobs != 1:
        raise UserError(
            f"`--jobs` is {jobs}, but with `--cluster` the cluster decides; leave one out."
        )


def _check_saving(name: str, module: Any, save_every: str, cluster: str) -> None:
    if not save_every:
        return
    parse(save_every, Path())
    if not _saves_trainings(module):
        others = ", ".join(each for each in names() if summary(each).saves_trainings)
        raise UserError(
            f"`--save-every` means nothing for {name}, which has no training by `nn.training`; finished pieces are "
            f"kept anyway. It is for {others}."
        )
    if cluster:
        raise UserError(
            "`--save-every` keeps states on this machine, where workers of `--cluster` may not see them; leave one out."
        )


def save_help(module: Any) -> str:
    """What the help of an experiment says of `--save-every`."""
    if not _saves_trainings(module):
        return "Not here: this experiment has no training by nn.training."
    return (
        "Save the state of a training every so many steps (500) or seconds (60s); after a kill the same command goes "
        "on in the middle of it, to the same numbers."
    )


def _saves_trainings(module: Any) -> bool:
    return getattr(module, "SAVES_TRAININGS", False)


@contextlib.contextmanager
def _workers(jobs: int, cluster: str, module: str) -> Iterator[Workers | None]:
    if not cluster and jobs == 1:
        yield None
        return
    workers = (
        ClusterWorkers(cluster, provenance.code_fingerprint)
        if cluster
        else LocalWorkers(jobs, [module])
    )
    try:
        yield workers
    finally:
        workers.close()


def _draw_early(outcome: Any, pieces: PieceStore) -> Path:
    """Draws the outcome of a run that still goes on; the picture lives as long as its pieces."""
    path = pieces.folder / "figure.png"
    temporary = beside(path)
    outcome.figure().savefig(temporary, dpi=SCREEN_DPI, format="png")
    temporary.replace(path)
    return path


def data_note(module: Any, config: Any) -> str:
    """Line for a run on the digits where its scale wants other data, as `WANTED_DATA` of the module says; else ""."""
    used = getattr(config, "datasets", (getattr(config, "dataset", None),))
    wanted, scale = getattr(module, "WANTED_DATA", {}), scale_of(config, module.SCALES)
    # Which scale a custom configuration comes from is not known.
    names = wanted.get("laptop" if scale == "custom" else scale, ())
    return datasets.stand_in_note(names) if tuple(used) == ("digits",) else ""


def precision_of(config: Any) -> str:
    """Precision a configuration asks for; single where it does not say."""
    return getattr(config, "precision", "single")


def scale_of(config: Any, scales: dict[str, Any]) -> str:
    """Name of the scale that a configuration equals but for its seed; "custom" where a field was changed."""
    for name, standard in scales.items():
        if hasattr(config, "seed"):
            standard = dataclasses.replace(standard, seed=config.seed)
        if standard == config:
            return name
    return "custom"
