"""HTML of stored results: `report.html`, an index with a card per experiment, and one page per run under `report/`.

A page carries its figure and its style within itself and asks the network for nothing, so it can be mailed: the claim,
ours beside the paper, where the numbers come from. The index carries no figure; it shows those that lie beside it.
"""

import base64
import contextlib
import datetime
import html
import shlex
import time
from pathlib import Path

from experiments.command import registry
from experiments.command.registry import Summary
from experiments.command.report_style import PAGE, STYLE
from experiments.command.storage import PRINT_DPI, YOUNG_S, Store, Stored
from experiments.harness.comparison import compare, html_table
from experiments.harness.errors import StorageError
from experiments.harness.files import write_bytes
from experiments.harness.png import description, is_png, size

NAME = "report.html"
PAGES = "report"
LARGEST_PICTURE = (
    3 * 2**20
)  # bytes; a larger one is linked to, so that a page stays one that can be mailed


def write_report(store: Store) -> Path:
    """Writes the index and the pages that are missing or older than their result, and returns the path of the index."""
    results = {name: store.all(name) for name in registry.names() + registry.benchmarks()}
    index = store.root / NAME
    path = index
    try:
        store.root.mkdir(parents=True, exist_ok=True)
        current = set()
        for name, found in results.items():
            for stored in found:
                path = page_path(store, stored)
                current.add(path)
                if _is_old(path, stored):
                    _write(path, render_run(registry.summary(name), stored))
        for path in (store.root / PAGES).glob("*.html"):
            if path not in current:
                path.unlink()  # its result is gone
        _clear_left_behind(store.root, store.root / PAGES)
        path = index
        _write(index, render_index(store, results))
    except OSError as error:
        raise StorageError(
            f"Cannot write {path}: {error.strerror or error}; results are kept."
        ) from error
    return index


def _clear_left_behind(*folders: Path) -> None:
    """Removes what killed processes left; a young file may belong to one still writing."""
    for left in (path for folder in folders for path in folder.glob(".*.tmp")):
        with contextlib.suppress(OSError):  # another process may have been quicker
            if time.time() - left.stat().st_mtime > YOUNG_S:
                left.unlink()


def page_path(store: Store, stored: Stored) -> Path:
    """Where the page of a result is."""
    return store.root / PAGES / f"{stored.experiment}-{stored.digest}.html"


def _is_old(page: Path, stored: Stored) -> bool:
    if not page.is_file():
        return True
    sources = (stored.folder / "provenance.json", stored.folder / "figure.png", Path(__file__))
    newest = max(source.stat().st_mtime for source in sources if source.is_file())
    return page.stat().st_mtime <= newest


def _write(path: Path, page: str) -> None:
    path.parent.mkdir(exist_ok=True)
    write_bytes(path, page.encode())


def render_index(store: Store, results: dict[str, list[Stored]]) -> str:
    """The index as text.

    Args:
        store: Where the results are.
        results: Those of each experiment and benchmark, newest first.
    """
    cards = {
        name: _card(store, registry.summary(name), found)
        for name, found in results.items()
        if found
    }
    links = "".join(f'<a href="#{html.escape(name)}">{html.escape(name)}</a>' for name in cards)
    parts = [f"<nav>{links}</nav>"]
    for title, names in (("", registry.names()), ("Benchmarks", registry.benchmarks())):
        there = [cards[name] for name in names if name in cards]
        if there and title:
            parts.append(f"<h2>{title}</h2>")
        parts += there
    if not cards:
        parts.append("<p>Nothing has been run yet.</p>")
    waiting = [f"<code>{html.escape(name)}</code>" for name in results if name not in cards]
    if waiting:
        parts.append(
            f'<p class="waiting">Not run yet: {", ".join(waiting)}. <code>lightecho run NAME</code> adds one.</p>'
        )
    lead = """<h1>lightecho</h1>
<p class="lead">Published experiments, run again in simulation. Each links to the page of its newest run.</p>"""
    return _page("lightecho: ours beside the papers", lead, "\n".join(parts))


def _card(store: Store, summary: Summary, results: list[Stored]) -> str:
    newest, *older = results
    there = _link(store, newest)
    picture = _picture(newest)
    shown = ""
    if picture is not None:
        width, height = size(picture)
        source = html.escape(picture.relative_to(store.root).as_posix())
        shown = (
            f'<a href="{there}"><img alt="{_alt(summary, picture)}" loading="lazy" width="{width}" height="{height}" '
            f'src="{source}"></a>'
        )
    compared = sum(reference.name in newest.metrics for reference in newest.references)
    beside = f", {compared} beside the paper" if compared else ""
    others = "".join(
        f'<li><a href="{_link(store, each)}">scale {html.escape(each.scale)}, {_date(each)}, {each.digest}</a></li>'
        for each in older
    )
    folded = f"<details><summary>Earlier runs: {len(older)}</summary><ul>{others}</ul></details>"
    return (
        f'<article class="card" id="{html.escape(summary.name)}">{shown}<div>'
        f'<h3><a href="{there}">{html.escape(summary.claim)}</a></h3>{_origin(summary)}'
        f"<p>{len(newest.metrics)} numbers{beside}. Scale {html.escape(newest.scale)}, "
        f"{format_seconds(newest.provenance['wall_time_s'])}, {_date(newest)}.</p>"
        f"{folded if older else ''}</div></article>"
    )


def _link(store: Store, stored: Stored) -> str:
    return html.escape(page_path(store, stored).relative_to(store.root).as_posix())


def _origin(summary: Summary) -> str:
    name = html.escape(summary.name)
    return f'<p class="origin">{html.escape(summary.paper_figure)} &middot; <code>{name}</code></p>'


def _alt(summary: Summary, picture: Path) -> str:
    shown = description(picture)
    text = f"Figure of {summary.name}: {summary.claim}{f' Shown: {shown}.' if shown else ''}"
    return html.escape(text, quote=True)


def _picture(stored: Stored) -> Path | None:
    """The figure of a result; a link that leads out of its folder, or a file that is no PNG, is none."""
    path = stored.folder / "figure.png"
    if not path.is_file() or path.resolve().parent != stored.folder.resolve():
        return None
    return path if is_png(path) else None


def render_run(summary: Summary, stored: Stored) -> str:
    """The page of one result as text."""
    lead = (
        f'<p class="back"><a href="../{NAME}#{html.escape(summary.name)}">All results</a></p>'
        f"<h1>{html.escape(summary.claim)}</h1>{_origin(summary)}"
    )
    table = html_table(compare(stored.metrics, stored.references))
    body = (
        f'<article>{_figure(summary, stored)}<div class="wide">{table}</div>'
        '<p class="sources">Difference = (ours - paper) / combined standard error.</p>'
        f"{_sources(stored)}{_facts(stored)}{_command(stored)}{_config(stored)}</article>"
    )
    return _page(f"{stored.experiment} {stored.digest}, lightecho", lead, body)


def _page(title: str, lead: str, body: str) -> str:
    return PAGE.format(
        title=html.escape(title), style=STYLE, lead=lead, body=body, date=_date(None)
    )


def _figure(summary: Summary, stored: Stored) -> str:
    path = _picture(stored)
    if path is None:
        return "<p>No figure was saved.</p>"
    if path.stat().st_size > LARGEST_PICTURE:
        place = html.escape(f"../{stored.experiment}/{stored.digest}/figure.png")
        return f'<p>The figure is too large for this page: <a href="{place}">figure.png</a>.</p>'
    data = base64.b64encode(path.read_bytes()).decode()
    # A figure keeps its size in print, enlarged to be read on a screen.
    inches = size(path)[0] / PRINT_DPI
    return (
        f'<img alt="{_alt(summary, path)}" style="width: {8 * inches:.1f}rem" '
        f'src="data:image/png;base64,{data}">'
    )


def _sources(stored: Stored) -> str:
    places: dict[str, list[str]] = {}
    for reference in stored.references:
        places.setdefault(f"{reference.place} ({reference.how})", []).append(reference.name)
    if not places:
        return '<p class="sources">The paper gives no number for this.</p>'
    items = "; ".join(html.escape(place) for place in places)
    return f'<p class="sources">Published numbers: {items}. Hover over one, or tap it, for its place.</p>'


def _facts(stored: Stored) -> str:
    record = stored.provenance
    commit = (record.get("commit") or "not a checkout")[:10] + (
        " + changes" if record.get("dirty") else ""
    )
    facts = {
        "scale": stored.scale,
        "wall time": format_seconds(record["wall_time_s"]),
        "device": record.get("device") or "unknown",
        "precision": record.get("precision") or "unknown",
        "date": _date(stored),
        "commit": commit,
        "digest": stored.digest,
    }
    items = "".join(
        f"<div><dt>{k}</dt><dd>{html.escape(str(v))}</dd></div>" for k, v in facts.items()
    )
    return f'<dl class="facts">{items}</dl>'


def _command(stored: Stored) -> str:
    """The command that made the result, and with what."""
    record = stored.provenance
    command = shlex.join(map(str, record.get("command") or []))
    versions = (record.get("versions") or {}) | {"source": stored.code or "unknown"}
    made_with = ", ".join(f"{name} {version}" for name, version in versions.items())
    said = f"<p><code>{html.escape(command)}</code></p>" if command else ""
    return (
        f"<details open><summary>Made by</summary>{said}"
        f'<p class="sources">{html.escape(made_with)}</p></details>'
    )


def _config(stored: Stored) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in stored.config.items()
    )
    table = f'<div class="wide"><table class="config">{rows}</table></div>'
    return f"<details><summary>Configuration</summary>{table}</details>"


def format_seconds(seconds: float) -> str:
    """A duration to read: 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _date(stored: Stored | None) -> str:
    if stored is None:
        moment = datetime.datetime.now(datetime.UTC)
    else:
        moment = datetime.datetime.fromisoformat(stored.provenance["date"])
    return moment.strftime("%Y-%m-%d %H:%M UTC")
