"""Runs one experiment: on which device, in which precision, with what kept if it is stopped."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from typing import Any, Literal

from experiments.command import provenance
from experiments.command.registry import load
from experiments.command.storage import Store, Stored
from experiments.data import datasets
from experiments.harness.context import Context, precision
from experiments.harness.errors import UserError

Device = Literal["auto", "cpu", "gpu"]


def run_and_store(
    name: str,
    config: Any,
    store: Store,
    force: bool = False,
    device: Device = "auto",
    command: list[str] | None = None,
) -> tuple[Stored, bool]:
    """Runs an experiment and saves the result, or returns the saved one.

    Args:
        name: Experiment or benchmark.
        config: Its configuration.
        store: Where results live.
        force: Computes even where a result exists, and replaces it once the new one is whole.
        device: Where to compute.
        command: Command line for the record.

    Returns:
        Stored result, and whether it was there before.
    """
    module = load(name)
    stored = store.find(name, config)
    if stored is not None and not force:
        if not (stored.folder / "figure.png").is_file():
            store.draw(stored, stored.outcome(config).figure())
        return stored, True
    pieces = store.pieces(name, config, provenance.code_fingerprint(), force)
    with on_device(device), precision(precision_of(config)):
        start = time.monotonic()
        context = Context(pieces)
        note = data_note(module, config)
        if note:
            context.log(note)
        outcome = module.run(config, context)
        seconds = time.monotonic() - start + pieces.reused_seconds
        record = provenance.record(seconds, precision_of(config), pieces.reused, command or [])
    scale = scale_of(config, module.SCALES)
    try:
        figure = outcome.figure()
    except Exception:
        # A fault in the drawing must not cost the computation; the next run draws what is missing.
        store.save(outcome, scale, record)
        raise
    stored = store.save(outcome, scale, record, figure)
    pieces.discard()
    return stored, False


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


@contextlib.contextmanager
def on_device(device: Device) -> Iterator[None]:
    """Computes on the device of this kind within the block; "auto" leaves the choice to JAX."""
    if device == "auto":
        yield
        return
    import jax

    try:
        chosen = jax.devices(device)[0]
    except RuntimeError as error:
        raise UserError(
            f"JAX finds no {device} here; install lightecho[cuda] on a machine that has one, or leave out --device."
        ) from error
    with jax.default_device(chosen):
        yield
