"""A page per wing: its table of contents, its face, and every module of it, for autodoc to fill from the docstrings."""

from collections.abc import Iterable
from pathlib import Path

from pages import write_changed
from plain_docstrings import convert
from source_tree import LIBRARIES, Module, documented, face, modules, package, wings

# Of experiments/ only what a new experiment stands on: the subjects have their pages in the gallery.
ROOMS_OF_EXPERIMENTS = ("experiments.harness", "experiments.data", "experiments.command")


def write(target: Path) -> None:
    """Writes all pages into `target`."""
    tops = [package(name) for name in LIBRARIES]
    rooms = [wing for wing in wings("experiments") if wing.name in ROOMS_OF_EXPERIMENTS]
    for top in (*tops, *rooms):
        _write_package(target, top)
    entries = "\n".join(f"   {top.name}" for top in (*tops, *rooms))
    write_changed(target / "index.rst", _INDEX.format(entries=entries))


def _write_package(target: Path, package_: Module) -> None:
    children, own = wings(package_.name), modules(package_.name)
    parts = [_title(package_.name, "="), "\n".join(convert(package_.docstring.splitlines()))]
    if names := face(package_.name):
        parts += [_title("Names of this face", "-"), _list(_face_line(*name) for name in names)]
    if children:
        parts += [_title("Wings", "-"), _list(map(_wing_line, children))]
        entries = "\n".join(f"   {_last(child)} <{child.name}>" for child in children)
        parts.append(f".. toctree::\n   :hidden:\n\n{entries}")
    if own:
        parts += [_title("Modules", "-"), _list(map(_module_line, own)), *map(_section, own)]
    write_changed(target / f"{package_.name}.rst", "\n\n".join(parts) + "\n")
    for wing in children:
        _write_package(target, wing)


def _title(text: str, mark: str) -> str:
    return f"{text}\n{mark * len(text)}"


def _section(module: Module) -> str:
    return f"{_title(_last(module), '-')}\n\n.. automodule:: {module.name}\n   :members:"


def _wing_line(wing: Module) -> str:
    return f":doc:`{_last(wing)} <{wing.name}>`: {_summary(wing)}"


def _module_line(module: Module) -> str:
    return f":py:mod:`{_last(module)} <{module.name}>`: {_summary(module)}"


def _summary(module: Module) -> str:
    return " ".join(convert([module.summary]))


def _face_line(name: str, dotted: str) -> str:
    return f":py:obj:`{name} <{dotted}>`" if documented(dotted) else f"``{name}``"


def _last(module: Module) -> str:
    return module.name.rsplit(".", 1)[1]


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


_INDEX = """API
===

From the docstrings, wing by wing (:doc:`/packages` draws what stands on what). Shapes in annotations are those of
jaxtyping: ``Complex[Array, "*batch y x"]`` is a complex array whose last two axes are y and x. SI units unless a name
says otherwise.

.. toctree::
   :maxdepth: 2

{entries}
"""
