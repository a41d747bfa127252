"""One page and one card for every experiment and benchmark, from its source and from the stored quick results.

Nothing is computed here. Where no quick result is stored the card says so and shows the committed figure, if there is
one; `lightecho run NAME --scale quick` adds the result, and `.ci/run` has all of them.
"""

import ast
import re
from pathlib import Path

from pages import copy_changed, write_changed
from plain_docstrings import convert
from source_tree import ROOT

from experiments.command import registry
from experiments.command.registry import Summary
from experiments.command.report import format_seconds
from experiments.command.storage import Store, Stored
from experiments.harness.comparison import compare, html_table
from experiments.harness.png import description

FIGURES = ROOT / "experiments" / "figures"
# Folder of the registry's path, the theme page that tells its results, and its heading.
THEMES = {
    "forward_mode": ("forward_mode", "Forward mode"),
    "scattering": ("scattering", "Scattering and imaging"),
    "photonic_chips": ("photonic_chips", "Photonic chips and meshes"),
    "echoes": ("echoes", "Quantum echoes"),
    "molecules": ("molecules", "Molecules by NMR"),
    "learning_systems": ("learning_systems", "Learning systems"),
    "generation": ("generation", "Generation"),
    "benchmarks": ("speed", "Benchmarks"),
}


def write(target: Path, store: Store) -> None:
    """Writes `index.md`, a page per experiment and the pictures into `target`."""
    names = [*registry.names(), *registry.benchmarks()]
    pages = {name: _page(name, _quick(store, name), target) for name in names}
    cards = [
        _theme(theme, [name for name in names if theme_of(name) == theme], store)
        for theme in THEMES
    ]
    contents = "\n".join(names)
    pages["index"] = _INDEX.format(cards="\n".join(cards), contents=contents)
    for name, text in pages.items():
        write_changed(target / f"{name}.md", text)


def theme_of(name: str) -> str:
    """Folder of experiments/ in which an experiment lives; refused where no theme page tells its results."""
    theme = registry.module_path(name).split(".")[1]
    if theme not in THEMES:
        raise ValueError(
            f"`{name}` lives in experiments/{theme}, for which `THEMES` in docs/_ext/gallery.py has no page; add one."
        )
    return theme


def _quick(store: Store, name: str) -> Stored | None:
    return next((stored for stored in store.all(name) if stored.scale == "quick"), None)


def _picture(name: str, stored: Stored | None) -> tuple[Path, str] | None:
    """Figure to show and where it comes from: the quick result's own, else the committed one."""
    if stored is not None and (stored.folder / "figure.png").is_file():
        return stored.folder / "figure.png", "quick scale"
    committed = FIGURES / f"{name}.png"
    return (committed, "laptop scale, the committed figure") if committed.is_file() else None


def _alt(name: str, picture: Path) -> str:
    """What the picture shows, as it says itself, without what Markdown would take for its own signs."""
    shown = re.sub(r"[\[\]`*_$\\{}]", "", description(picture))
    return f"Figure of {name}{f': {shown}' if shown else ''}"


def _theme(theme: str, names: list[str], store: Store) -> str:
    page, heading = THEMES[theme]
    cards = "\n".join(_card(name, _quick(store, name)) for name in names)
    grid = _GRID.format(cards=cards)
    return (
        f"## {heading}\n\nResults at laptop scale: [{heading}](../../themes/{page}.md).\n\n{grid}"
    )


def _card(name: str, stored: Stored | None) -> str:
    summary = registry.summary(name)
    picture = _picture(name, stored)
    image = (
        f":img-top: pictures/{name}.png\n:img-alt: {_alt(name, picture[0])}\n" if picture else ""
    )
    state = "" if stored is not None else "\n\n*No quick result stored here.*"
    return f"::::{{grid-item-card}} `{name}`\n:link: {name}\n:link-type: doc\n{image}\n{summary.claim}{state}\n::::"


def _page(name: str, stored: Stored | None, target: Path) -> str:
    summary = registry.summary(name)
    page, heading = THEMES[theme_of(name)]
    origin = summary.paper_figure[0].upper() + summary.paper_figure[1:]
    parts = [
        f"# `{name}`\n\n**{summary.claim}**\n\n{origin}. Theme: [{heading}](../../themes/{page}.md)."
    ]
    parts.append(_commands(summary))
    if picture := _picture(name, stored):
        path, scale = picture
        copy_changed(path, target / "pictures" / f"{name}.png")
        parts.append(
            f"![{_alt(name, path)}, {scale}](pictures/{name}.png)\n\n*{scale[0].upper()}{scale[1:]}.*"
        )
    parts += _numbers(stored) if stored else [_MISSING.format(name=name)]
    parts.append(f"## What it computes\n\n```{{eval-rst}}\n{_docstring(name)}\n```")
    return "\n\n".join(parts) + "\n"


def _commands(summary: Summary) -> str:
    times = "\n".join(
        f"lightecho run {summary.name} --scale {scale:8} # {time}"
        for scale, time in summary.expected_time.items()
    )
    return f"```\n{times}\n```"


def _numbers(stored: Stored) -> list[str]:
    table = html_table(compare(stored.metrics, stored.references))
    record = stored.provenance
    device, precision = (record.get(part) or "unknown" for part in ("device", "precision"))
    facts = f"wall time {format_seconds(record['wall_time_s'])}, {device}, {precision} precision"
    return [
        "## Numbers at quick scale",
        "Quick checks the machinery in seconds; its numbers are small versions, not results. Hover over a published"
        f" number, or tap it, for its place. Run: {facts}, digest `{stored.digest}`.",
        f'```{{raw}} html\n<div class="wide">{table}</div>\n```',
    ]


def _docstring(name: str) -> str:
    source = ROOT.joinpath(*registry.module_path(name).split(".")).with_suffix(".py")
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return "\n".join(convert(text.splitlines()))


_INDEX = """# Gallery of experiments

Every experiment and benchmark, with the figure of its stored quick result and its numbers beside the published ones.
Quick runs take seconds and show small versions; the results are on the pages of their themes.

{cards}

```{{toctree}}
:hidden:

{contents}
```
"""
_GRID = """:::::{{grid}} 1 2 2 3
:gutter: 3

{cards}
:::::
"""
_MISSING = """## Numbers at quick scale

No quick result of this experiment is stored where this site was built; `lightecho run {name} --scale quick` adds it."""
