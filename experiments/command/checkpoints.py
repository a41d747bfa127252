"""What `lightecho checkpoint` does; the docstrings and annotations here are its help texts."""

import functools
import json
from collections.abc import Callable
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from experiments.harness.errors import UserError
from nn.checkpoint import (
    CheckpointError,
    Series,
    from_orbax,
    from_safetensors,
    inspect_checkpoint,
    rewrite_checkpoint,
    to_orbax,
    to_safetensors,
    verify_checkpoint,
)
from nn.checkpoint.inspection import Inspection
from nn.checkpoint.manifest import NAME, to_json

Where = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PATH")]
Target = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TARGET")]
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def told(command: Callable[..., int]) -> Callable[..., int]:
    """A command whose errors of files and damage are those of a user, one line each."""

    @functools.wraps(command)
    def run(*positional, **named) -> int:
        try:
            return command(*positional, **named)
        except (OSError, CheckpointError) as error:
            raise UserError(str(error)) from error

    return run


@told
def inspect(path: Where, chunks: bool = False, json: bool = False) -> int:
    """Shows what a checkpoint holds, or the checkpoints of a series; reads no data.

    Args:
        path: Folder or URL of fsspec.
        chunks: Show where each chunk of each tensor lies.
        json: Print the manifest instead.
    """
    series = Series(path)
    if not series.store.exists(NAME) and series.steps():
        return _show_series(series, json)
    found = inspect_checkpoint(path)
    if json:
        print(to_json(found.manifest), end="")
        return 0
    _show(found)
    if chunks:
        _show_chunks(found)
    return 0


@told
def verify(path: Where) -> int:
    """Reads every byte of a checkpoint and compares all checksums; ends with 1 where something is damaged.

    Args:
        path: Folder or URL of fsspec.
    """
    damage = verify_checkpoint(path)
    for each in damage:
        print(each)
    if damage:
        return 1
    manifest = inspect_checkpoint(path).manifest
    stored = sum(file.size for file in manifest.files)
    print(
        f"every byte is as written: {len(manifest.tensors)} tensors, {_size(stored)} in {_files(len(manifest.files))}"
    )
    return 0


@told
def reshard(path: Where, target: Target, writers: int = 1, chunk_mib: float = 4.0) -> int:
    """Writes a checkpoint anew for another number of files; loading needs no such thing, it reshards by itself.

    Args:
        path: Folder or URL of fsspec.
        target: Where the new one goes; must be free.
        writers: Number of data files.
        chunk_mib: Most MiB of a chunk, which is what has a checksum.
    """
    if not chunk_mib > 0:
        raise UserError(f"`chunk_mib` must be positive, but is {chunk_mib:g}.")
    manifest = rewrite_checkpoint(
        path, target, writers=writers, chunk_bytes=max(int(chunk_mib * 2**20), 1)
    )
    n_chunks = sum(len(tensor.chunks) for tensor in manifest.tensors.values())
    print(f"{target}: {_files(len(manifest.files))}, {n_chunks} chunks, {_size(manifest.n_bytes)}")
    return 0


@told
def convert(path: Where, target: Target, view: bool = False, leave_out: bool = False) -> int:
    """Converts a checkpoint to or from safetensors (TARGET or PATH ends in .safetensors) or Orbax (orbax:FOLDER).

    Args:
        path: What is converted.
        target: What it becomes; must be free, but for a file of safetensors.
        view: For safetensors: write complex128 as pairs of float64, and types of four bits as bytes.
        leave_out: For Orbax: leave out what it cannot hold, which are empty arrays and text.
    """
    is_file, is_orbax = path.endswith(".safetensors"), path.startswith("orbax:")
    to_file, into_orbax = target.endswith(".safetensors"), target.startswith("orbax:")
    if (is_file or is_orbax) == (to_file or into_orbax):
        raise UserError(
            "one of PATH and TARGET must end in .safetensors or begin with orbax:, and the other be a checkpoint of "
            f"lightecho, but they are {path} and {target}."
        )
    if is_file:
        from_safetensors(path, target)
    elif is_orbax:
        from_orbax(path.removeprefix("orbax:"), target)
    elif to_file:
        to_safetensors(path, target, view=view)
    else:
        for name in to_orbax(path, target.removeprefix("orbax:"), leave_out=leave_out):
            print(f"left out: {name}")
    print(f"{path} is now also {target}")
    return 0


COMMANDS = {command.__name__: command for command in (inspect, verify, reshard, convert)}


def _show(found: Inspection) -> None:
    manifest = found.manifest
    step = "" if manifest.step is None else f", step {manifest.step}"
    writers = len({file.writer for file in manifest.files})
    print(f"{found.location}{step}, written by {manifest.created_by}, format {manifest.format}")
    print(
        f"{len(manifest.tensors)} tensors, {_size(manifest.n_bytes)} in {_files(len(manifest.files))} "
        f"of {writers} writer{'' if writers == 1 else 's'}"
    )
    table = Table("tensor", "dtype", "shape", "bytes", "chunks", "sharding when saved")
    for path, dtype, shape, n_bytes, n_chunks, sharding in found.rows():
        table.add_row(path, dtype, shape, _size(n_bytes), str(n_chunks), sharding)
    _console().print(table)
    for path, value in manifest.values.items():
        print(f"{path} = {value['value']!r} ({value['type']})")
    for path, text in manifest.static.items():
        print(f"{path} is {text}")
    for name in found.strays:
        print(f"{name} belongs to nothing")


def _show_chunks(found: Inspection) -> None:
    table = Table("tensor", "from", "lengths", "file", "byte", "bytes", "checksum")
    for path, tensor in found.manifest.tensors.items():
        for c in tensor.chunks:
            place = (str(c.offsets), str(c.lengths), c.file, str(c.offset), str(c.length))
            table.add_row(path, *place, c.checksum)
    _console().print(table)


def _show_series(series: Series, as_json: bool) -> int:
    scores, steps = series.scores(), series.steps()
    if as_json:
        print(json.dumps([{"step": step, "score": scores.get(step)} for step in steps]))
        return 0
    print(f"{series.store.location}: {len(steps)} checkpoints; inspect one by its folder")
    for step in steps:
        score = f", score {scores[step]:g}" if step in scores else ""
        size = _size(inspect_checkpoint(series.at(step)).manifest.n_bytes)
        print(f"step_{step:08d}: {size}{score}")
    return 0


def _files(count: int) -> str:
    return f"{count} file" + ("" if count == 1 else "s")


def _size(n_bytes: int) -> str:
    size, unit = float(n_bytes), 0
    while size >= 1024 and unit + 1 < len(_UNITS):
        size, unit = size / 1024, unit + 1
    return f"{n_bytes} B" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def _console() -> Console:
    console = Console(markup=False, highlight=False, emoji=False)
    # In a log or a pipe folded tables are hard to search.
    return console if console.is_terminal else Console(width=160, markup=False, highlight=False)
