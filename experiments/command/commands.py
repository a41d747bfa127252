"""What the subcommands of `lightecho` but `list` do; the docstrings and annotations here are their help texts."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from experiments.command import accepted, compilation_cache, registry
from experiments.command.report import format_seconds, write_report
from experiments.command.runner import other_code, run_and_store
from experiments.command.storage import Store, Stored
from experiments.harness.comparison import Row, first_rows, markdown_table, rich_table, text_rows
from experiments.harness.comparison import compare as compare_rows
from experiments.harness.errors import UserError

Names = Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[NAME ...]")]
Name = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
OptionalName = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[NAME]")]
RESULTS = Path("results")
MOST_ROWS = 24  # numbers without a published one that fit below each other on a screen
NARROW = 80  # columns; a table of six columns would break words


def run(name: str, config: Any, out: Path, force: bool, command: list[str], **where: Any) -> int:
    """Runs one configuration, prints its table and refreshes the report; `where` are options of `run_and_store`."""
    store = Store(out)
    console = _console()
    stored, reused = run_and_store(name, config, store, force, command=command, **where)
    if reused:
        when = stored.provenance["date"][:16].replace("T", " ")
        commit = (stored.provenance.get("commit") or "no commit")[:10]
        console.print(f"Taken from {when} UTC ({commit}); --force computes it again.")
        _warn(other_code(stored))
    _print_rows(console, compare_rows(stored.metrics, stored.references), stored, MOST_ROWS)
    report = write_report(store)
    _warn(*store.notes)
    lines = (
        f"figure  {stored.folder / 'figure.png'}",
        f"numbers {stored.folder / 'metrics.json'}",
        f"report  {report}",
    )
    for line in lines:
        console.print(line, soft_wrap=True)
    return 0


def show(
    name: Name,
    out: Path = RESULTS,
    digest: str = "",
    all: bool = False,
    full: bool = False,
    json: bool = False,
) -> int:
    """Shows a stored result.

    Args:
        name: Experiment or benchmark.
        out: Folder of the results.
        digest: Which result; the newest where this is left out.
        all: List every stored result instead.
        full: Every number, however many there are.
        json: Print metrics.json instead of a table.
    """
    results = _results(name, Store(out))
    if digest:
        results = [stored for stored in results if stored.digest.startswith(digest)]
        if not results:
            raise UserError(
                f"{name} has no result whose digest starts with {digest}; --all lists them."
            )
    if all:
        _show_all(results, json)
    elif json:
        _print_json(results[0].record)
    else:
        console, newest = _console(), results[0]
        rows = compare_rows(newest.metrics, newest.references)
        _print_rows(console, rows, newest, None if full else MOST_ROWS)
        console.print(f"figure  {newest.folder / 'figure.png'}", soft_wrap=True)
    return 0


def compare(name: OptionalName = "", out: Path = RESULTS, markdown: bool = False) -> int:
    """Sets the newest stored numbers beside the published ones.

    Args:
        name: Experiment; all that have results where this is left out.
        out: Folder of the results.
        markdown: Print Markdown.
    """
    store = Store(out)
    found = [_results(name, store)] if name else [store.all(each) for each in registry.names()]
    found = [results for results in found if results]
    _warn(*store.notes)
    if not found:
        raise UserError(f"There is no result in {out} yet; `lightecho run NAME` makes one.")
    console = _console()
    for newest, *_ in found:
        rows = compare_rows(newest.metrics, newest.references, only_published=True)
        if not rows:
            console.print(f"{newest.experiment}: the paper gives no number for this.")
        elif markdown:
            print(f"### {newest.experiment} ({newest.scale})\n\n{markdown_table(rows)}\n")
        else:
            _print_rows(console, rows, newest, None)
    return 0


def report(out: Path = RESULTS) -> int:
    """Writes one HTML page with every stored result and prints where it is.

    Args:
        out: Folder of the results.
    """
    store = Store(out)
    print(write_report(store))
    _warn(*store.notes)
    return 0


def verify(names: Names = (), out: Path = RESULTS, accept: bool = False, reason: str = "") -> int:
    """Compares stored quick results with the accepted numbers; ends with 1 where they differ.

    Args:
        names: Experiments; all where this is left out.
        out: Folder of the results.
        accept: Make the stored numbers the accepted ones instead.
        reason: Sentence that says why; required with --accept.
    """
    chosen = list(names) or registry.names()
    for name in chosen:
        registry.module_path(name)
    if accept:
        accepted.accept(chosen, Store(out), reason)
        print(f"accepted {', '.join(chosen)} in {accepted.PATH}")
        return 0
    findings = accepted.verify(chosen, Store(out))
    for finding in findings:
        print(f"{finding.experiment}: {finding.text}")
    if not findings:
        print(f"as accepted: {', '.join(chosen)}")
    _warn(*accepted.made_by_other_code(chosen, Store(out)))
    return 1 if findings else 0


def info(out: Path = RESULTS) -> int:
    """Shows versions, devices, data sets found and stored results.

    Args:
        out: Folder of the results.
    """
    from experiments.command import provenance
    from experiments.data import datasets

    table = Table(show_header=False, box=None)
    for name, version in provenance.versions().items():
        table.add_row(name, version)
    head, dirty = provenance.commit()
    table.add_row("commit", f"{head or 'not a checkout'}{' + changes' if dirty else ''}")
    for device in provenance.devices():
        table.add_row("device", device)
    for name in datasets.NAMES:
        table.add_row(f"data {name}", _where(name))
    programs, size = compilation_cache.size()
    kept = f"{programs}, {size / 2**20:.1f} of {compilation_cache.MAX_BYTES / 2**20:.0f} MiB"
    table.add_row("compiled programs", f"{kept} in {compilation_cache.folder()}")
    store = Store(out)
    count = sum(len(store.all(name)) for name in registry.names() + registry.benchmarks())
    table.add_row("results", f"{count} in {out}")
    _console().print(table)
    _warn(*store.notes)
    return 0


def _where(name: str) -> str:
    from experiments.data import datasets

    try:
        return datasets.place(name) or "not found; downloaded when an experiment asks for it"
    except UserError as error:
        return str(error)


def _show_all(results: list[Stored], as_json: bool) -> None:
    if as_json:
        _print_json([stored.record for stored in results])
        return
    table = Table("digest", "scale", "date", "wall time", "device")
    for stored in results:
        record = stored.provenance
        seconds = format_seconds(record["wall_time_s"])
        device = record.get("device") or "unknown"
        table.add_row(stored.digest, stored.scale, record["date"][:19], seconds, device)
    _console().print(table)


def _results(name: str, store: Store) -> list[Stored]:
    registry.module_path(name)
    results = store.all(name)
    _warn(*store.notes)
    if not results:
        raise UserError(
            f"{name} has no result in {store.root} yet; `lightecho run {shlex.quote(name)}` makes one."
        )
    return results


def _title(stored: Stored) -> str:
    seconds = format_seconds(stored.provenance["wall_time_s"])
    return f"{stored.experiment}, scale {stored.scale}, {seconds}, {stored.digest}"


def _print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False))


def _print_rows(console: Console, rows: list[Row], stored: Stored, most: int | None) -> None:
    """The comparison: all rows of the paper, and at most so many others."""
    kept = rows if most is None else first_rows(rows, most)
    if console.width < NARROW:
        print("\n".join([_title(stored), "", *text_rows(kept, console.width)]))
    else:
        console.print(rich_table(kept, title=_title(stored)))
    if len(kept) < len(rows):
        console.print(
            f"{len(rows) - len(kept)} more numbers: lightecho show {stored.experiment} --full",
            soft_wrap=True,
        )


def _warn(*notes: str) -> None:
    for note in filter(None, notes):
        print(f"lightecho: warning: {' '.join(note.split())}", file=sys.stderr)


def _console() -> Console:
    """A console that prints text as it is; without a terminal there is no width to keep to."""
    plain: Any = {"markup": False, "highlight": False, "emoji": False}
    console = Console(**plain)
    # In a log or a pipe folded tables are hard to search.
    return console if console.is_terminal else Console(width=160, **plain)
