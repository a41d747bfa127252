"""HTML of stored results: `report.html`, an index with a card per experiment, and one page per run under `report/`.

A page carries its figure and its style within itself and asks the network for nothing, so it can be mailed: the claim,
ours beside the paper, where the numbers come from. The index carries no figure; it shows those that lie beside it.
"""

import base64
import datetime
import html
import os
from pathlib import Path

from experiments.command import registry
from experiments.command.registry import Summary
from experiments.command.storage import PRINT_DPI, Store, Stored
from experiments.harness.comparison import compare, html_table
from experiments.harness.errors import StorageError

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
        path = index
        _write(index, render_index(store, results))
    except OSError as error:
        raise StorageError(
            f"Cannot write {path}: {error.strerror or error}; results are kept."
        ) from error
    return index


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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(path)


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
    picture = newest.folder / "figure.png"
    shown = ""
    if picture.is_file():
        width, height = _size(picture)
        source = html.escape(picture.relative_to(store.root).as_posix())
        shown = (
            f'<a href="{there}"><img alt="{_alt(summary)}" loading="lazy" width="{width}" height="{height}" '
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


def _alt(summary: Summary) -> str:
    return f"Figure of {html.escape(summary.name)}: {html.escape(summary.claim, quote=True)}"


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
        f"{_sources(stored)}{_facts(stored)}{_config(stored)}</article>"
    )
    return _page(f"{stored.experiment} {stored.digest}, lightecho", lead, body)


def _page(title: str, lead: str, body: str) -> str:
    return _PAGE.format(
        title=html.escape(title), style=_STYLE, lead=lead, body=body, date=_date(None)
    )


def _figure(summary: Summary, stored: Stored) -> str:
    path = stored.folder / "figure.png"
    if not path.is_file():
        return "<p>No figure was saved.</p>"
    if path.stat().st_size > LARGEST_PICTURE:
        place = html.escape(f"../{stored.experiment}/{stored.digest}/figure.png")
        return f'<p>The figure is too large for this page: <a href="{place}">figure.png</a>.</p>'
    data = base64.b64encode(path.read_bytes()).decode()
    # A figure keeps its size in print, enlarged to be read on a screen.
    inches = _size(path)[0] / PRINT_DPI
    return (
        f'<img alt="{_alt(summary)}" style="width: {8 * inches:.1f}rem" '
        f'src="data:image/png;base64,{data}">'
    )


def _size(picture: Path) -> tuple[int, int]:
    """Width and height of a PNG in pixels, which are its bytes 16 to 23."""
    with open(picture, "rb") as file:
        head = file.read(24)
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _sources(stored: Stored) -> str:
    places: dict[str, list[str]] = {}
    for reference in stored.references:
        places.setdefault(f"{reference.place} ({reference.how})", []).append(reference.name)
    if not places:
        return '<p class="sources">The paper gives no number for this.</p>'
    items = "; ".join(html.escape(place) for place in places)
    return f'<p class="sources">Published numbers: {items}. Hover over one for its place.</p>'


def _facts(stored: Stored) -> str:
    record = stored.provenance
    commit = (record.get("commit") or "not a checkout")[:10] + (
        " + changes" if record.get("dirty") else ""
    )
    facts = {
        "scale": stored.scale,
        "wall time": format_seconds(record["wall_time_s"]),
        "device": record["device"],
        "precision": record["precision"],
        "date": _date(stored),
        "commit": commit,
        "digest": stored.digest,
    }
    items = "".join(
        f"<div><dt>{k}</dt><dd>{html.escape(str(v))}</dd></div>" for k, v in facts.items()
    )
    return f'<dl class="facts">{items}</dl>'


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


_STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #5b6670; --line: #dfe3e7; --accent: #0068a3;
  --paper: #fff; --ground: #f5f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e7eb; --soft: #a3adb7; --line: #3a424b; --accent: #6bb8ea; --paper: #1d2227; --ground: #14181c; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; color: var(--ink); background: var(--ground);
  font: 16px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; overflow-wrap: break-word; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25; } h2 { margin: 2.5rem 0 0; font-size: 1.25rem; }
h3 { margin: 0; font-size: 1.1rem; line-height: 1.35; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .92em; }
nav { display: flex; flex-wrap: wrap; gap: .4rem 1.1rem; margin: .8rem 0 0; }
article { margin: 1.5rem 0; padding: 1.5rem 1.75rem; background: var(--paper); border: 1px solid var(--line);
  border-radius: 8px; }
.card { display: grid; grid-template-columns: 15rem 1fr; gap: 1.5rem; align-items: start; }
.card p { margin: .35rem 0 0; }
.back { margin: 0 0 .75rem; }
.origin, .sources, .waiting, .lead { color: var(--soft); margin: .25rem 0 0; }
.sources { font-size: .85rem; }
/* Figures have a white ground of their own, which stays a sheet of paper on a dark page. */
article img { display: block; max-width: 100%; height: auto; margin: 0 auto; background: #fff; border-radius: 4px; }
article > img { margin-bottom: 1.25rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid var(--ink); padding: .3rem .6rem; }
td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; vertical-align: top; }
td.name { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .82rem; }
td.number { text-align: right; white-space: nowrap; }
th:nth-child(n+2):nth-child(-n+5) { text-align: right; }
.comparison td.note { color: var(--soft); min-width: 11rem; }
td span[title] { border-bottom: 1px dotted var(--soft); cursor: help; }
.facts { display: flex; flex-wrap: wrap; gap: .1rem 1.5rem; margin: 1.1rem 0 .6rem; font-size: .85rem; }
.facts div { display: flex; gap: .35rem; } .facts dt { color: var(--soft); } .facts dd { margin: 0; }
details { margin-top: .6rem; font-size: .9rem; } summary { cursor: pointer; color: var(--accent); }
details ul { margin: .3rem 0 0; padding-left: 1.2rem; }
.config { width: auto; margin-top: .5rem; } .config td:first-child { font-family: ui-monospace, Menlo, monospace; }
footer { color: var(--soft); font-size: .85rem; margin-top: 2rem; }
@media (max-width: 42rem) {
  body { padding: 1.25rem .75rem 3rem; } h1 { font-size: 1.35rem; }
  article { padding: 1rem; } .card { grid-template-columns: 1fr; gap: .9rem; }
  /* A row of the comparison becomes a few lines, or our number would lie outside the window. */
  .comparison thead { display: none; } .comparison tr { display: block; padding: .4rem 0; }
  .comparison tr { border-bottom: 1px solid var(--line); }
  .comparison td, .comparison td.number { display: inline; border: 0; padding: 0 .9rem 0 0; white-space: normal; }
  .comparison td:empty, .comparison td.number:empty { display: none; }
  .comparison td.name, .comparison td.note:not(:empty) { display: block; }
  .comparison td.number:not(:empty)::before { color: var(--soft); }
  .comparison td:nth-child(2):not(:empty)::before { content: "paper "; }
  .comparison td:nth-child(3):not(:empty)::before { content: "ours "; }
  .comparison td:nth-child(4):not(:empty)::before { content: "ratio "; }
  .comparison td:nth-child(6):not(:empty)::before { content: "comparable: "; }
}
@media print { body { background: #fff; } article { break-inside: avoid; } }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{lead}
{body}
<footer>Written {date} by <code>lightecho report</code>.</footer>
</body>
</html>
"""
