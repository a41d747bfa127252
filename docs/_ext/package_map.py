"""The map of the packages: floors from the top as the import contracts state them, drawn from pyproject.toml."""

import html
import re
from pathlib import Path

from api_pages import ROOMS_OF_EXPERIMENTS
from gallery import THEMES
from pages import write_changed
from source_tree import PACKAGES, Module, floors, modules, package, wings


def write(target: Path) -> None:
    """Writes `map.md`, which the page of the packages includes."""
    write_changed(target / "map.md", "\n\n".join(_package(name) for name in PACKAGES) + "\n")


def rows(name: str) -> list[list[Module]]:
    """Wings of a package by floor from the top.

    Raises:
        ValueError: If a contract names a wing that is not there, or leaves one out.
    """
    there = {wing.name.rsplit(".", 1)[1]: wing for wing in wings(name)}
    files = {module.name.rsplit(".", 1)[1] for module in modules(name)} | {
        "__main__",
        "_checks",
        "_dark",
        "_numbers",
    }
    stated = floors(name)
    named = [wing for floor in stated for wing in floor if wing not in files]
    if stated and sorted(named) != sorted(there):
        odd = sorted(set(named) ^ set(there))
        raise ValueError(
            f"The contract of `{name}` in pyproject.toml and the folders of {name}/ differ in {odd}."
        )
    return [[there[wing] for wing in floor if wing in there] for floor in stated] or [
        list(there.values())
    ]


def _package(name: str) -> str:
    lines = "\n".join(_floor(floor) for floor in rows(name) if floor)
    ground = ", ".join(f"`{module.name.rsplit('.', 1)[1]}`" for module in modules(name))
    ground = f"\n\nBeside the wings, for all of them: {ground}." if ground else ""
    summary = package(name).summary
    return f'## {name}\n\n{summary}\n\n```{{raw}} html\n<div class="floors">\n{lines}\n</div>\n```{ground}'


def _floor(floor: list[Module]) -> str:
    return '<div class="floor">' + "".join(map(_room, floor)) + "</div>"


def _room(wing: Module) -> str:
    name = wing.name.rsplit(".", 1)[1]
    inside = ", ".join(module.name.rsplit(".", 1)[1] for module in modules(wing.name))
    summary = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(wing.summary))
    return (
        f'<a class="room" href="{_page(wing)}"><strong>{name}/</strong><span>{summary}</span>'
        f"<small>{inside}</small></a>"
    )


def _page(wing: Module) -> str:
    package_, name = wing.name.split(".")[:2]
    if package_ != "experiments" or wing.name in ROOMS_OF_EXPERIMENTS:
        return f"generated/api/{wing.name}.html"
    return f"themes/{THEMES[name][0]}.html" if name in THEMES else "generated/gallery/index.html"
