"""One HTML page with a card per experiment: the figure, the claim, ours beside the paper, and where it comes from.

The page carries its figures and its style within itself and asks the network for nothing, so it can be mailed.
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


def write_report(store: Store) -> Path:
    """Writes `report.html` into the root of the store and returns its path."""
    path = store.root / NAME
    page = render(store)
    try:
        store.root.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{NAME}.{os.getpid()}.tmp")
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"Cannot write {path}: {error.strerror or error}; results are kept."
        ) from error
    return path


def render(store: Store) -> str:
    """The page as text."""
    experiments = {name: store.all(name) for name in registry.names()}
    benchmarks = {name: store.all(name) for name in registry.benchmarks()}
    cards = [_card(registry.summary(name), found) for name, found in experiments.items() if found]
    benches = [_card(registry.summary(name), found) for name, found in benchmarks.items() if found]
    waiting = [name for name, found in (experiments | benchmarks).items() if not found]
    parts = [_contents(experiments | benchmarks), *cards]
    if benches:
        parts += ["<h2>Benchmarks</h2>", *benches]
    if not cards and not benches:
        parts.append("<p>Nothing has been run yet.</p>")
    if waiting:
        names = ", ".join(f"<code>{html.escape(name)}</code>" for name in waiting)
        parts.append(
            f'<p class="waiting">Not run yet: {names}. <code>lightecho run NAME</code> adds one.</p>'
        )
    return _PAGE.format(style=_STYLE, body="\n".join(parts), date=_date(None))


def _contents(results: dict[str, list[Stored]]) -> str:
    names = [html.escape(name) for name, found in results.items() if found]
    return "<nav>" + "".join(f'<a href="#{name}">{name}</a>' for name in names) + "</nav>"


def _card(summary: Summary, results: list[Stored]) -> str:
    """The newest result in full, older configurations folded away below it."""
    newest, *older = results
    folded = "".join(
        f"<details><summary>{_headline(stored)}</summary>{_result(stored)}</details>"
        for stored in older
    )
    return (
        f'<article id="{html.escape(summary.name)}"><header><h3>{html.escape(summary.claim)}</h3>'
        f'<p class="origin">{html.escape(summary.paper_figure)} &middot; <code>{html.escape(summary.name)}</code>'
        f"</p></header>{_result(newest)}{folded}</article>"
    )


def _headline(stored: Stored) -> str:
    return f"Another run: scale {html.escape(stored.scale)}, {_date(stored)}, {html.escape(stored.digest)}"


def _result(stored: Stored) -> str:
    table = html_table(compare(stored.metrics, stored.references))
    return f"{_figure(stored)}{table}{_sources(stored)}{_facts(stored)}{_config(stored)}"


def _figure(stored: Stored) -> str:
    path = stored.folder / "figure.png"
    if not path.is_file():
        return "<p>No figure was saved.</p>"
    picture = path.read_bytes()
    # Bytes 16 to 19 of a PNG are its width; a figure keeps its size in print, enlarged to be read on a screen.
    inches = int.from_bytes(picture[16:20], "big") / PRINT_DPI
    data = base64.b64encode(picture).decode()
    alt = f"figure of {html.escape(stored.experiment)}"
    return (
        f'<img alt="{alt}" style="width: {8 * inches:.1f}rem" src="data:image/png;base64,{data}">'
    )


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
    return (
        f'<details><summary>Configuration</summary><table class="config">{rows}</table></details>'
    )


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
:root { --ink: #1d2329; --soft: #5b6670; --line: #dfe3e7; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; color: var(--ink); background: #f5f6f8;
  font: 16px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0; font-size: 1.7rem; } h2 { margin: 2.5rem 0 0; font-size: 1.25rem; }
h3 { margin: 0; font-size: 1.15rem; line-height: 1.35; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .92em; }
nav { display: flex; flex-wrap: wrap; gap: .4rem 1.1rem; margin: .8rem 0 0; }
nav a { color: var(--accent); text-decoration: none; } nav a:hover { text-decoration: underline; }
article { margin: 1.5rem 0; padding: 1.5rem 1.75rem; background: #fff; border: 1px solid var(--line);
  border-radius: 8px; overflow-x: auto; }
.origin, .sources, .waiting, .lead { color: var(--soft); margin: .25rem 0 0; }
.sources { font-size: .85rem; }
article img { display: block; max-width: 100%; height: auto; margin: 1.25rem auto; }
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
.config { width: auto; margin-top: .5rem; } .config td:first-child { font-family: ui-monospace, Menlo, monospace; }
footer { color: var(--soft); font-size: .85rem; margin-top: 2rem; }
@media print { body { background: #fff; } article { break-inside: avoid; } }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>lightecho: ours beside the papers</title>
<style>{style}</style>
</head>
<body>
<h1>lightecho</h1>
<p class="lead">Published experiments, run again in simulation.
Difference = (ours - paper) / combined standard error.</p>
{body}
<footer>Written {date} by <code>lightecho report</code>.</footer>
</body>
</html>
"""
