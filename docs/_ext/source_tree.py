"""What the tree of packages says about itself, read without importing it: wings, modules, faces, layers."""

import ast
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARIES = ("optics", "quantum", "nn")
PACKAGES = (*LIBRARIES, "experiments")


@dataclass(frozen=True)
class Module:
    """A module or a package.

    Attributes:
        name: Dotted name.
        path: Its source.
        docstring: The whole docstring.
    """

    name: str
    path: Path
    docstring: str

    @property
    def summary(self) -> str:
        """First sentence of the docstring's first paragraph, on one line."""
        paragraph = " ".join(self.docstring.strip().split("\n\n")[0].split())
        return paragraph if len(paragraph) <= 160 else paragraph.split(". ")[0].rstrip(".") + "."


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _module(path: Path) -> Module:
    inside = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(inside[:-1] if inside[-1] == "__init__" else inside)
    return Module(name, path, ast.get_docstring(_tree(path)) or "")


def package(name: str) -> Module:
    """A package by its dotted name."""
    return _module(ROOT.joinpath(*name.split("."), "__init__.py"))


def wings(name: str) -> list[Module]:
    """Sub-packages one floor down, by name."""
    folder = ROOT.joinpath(*name.split("."))
    return [_module(path) for path in sorted(folder.glob("*/__init__.py"))]


def modules(name: str) -> list[Module]:
    """Public modules of a package itself, those that its docstring names first and in that order."""
    package_ = package(name)
    folder = package_.path.parent
    found = [_module(path) for path in folder.glob("*.py") if not path.name.startswith("_")]

    def place(module: Module) -> tuple[int, str]:
        at = package_.docstring.find(f"`{module.name.rsplit('.', 1)[1]}`")
        return (at if at >= 0 else len(package_.docstring), module.name)

    return sorted(found, key=place)


def face(name: str) -> list[tuple[str, str]]:
    """Names that a package's `__init__` offers, each with the dotted name of what it is, in the order of the file."""
    found = []
    for node in _tree(package(name).path).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [
                (alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names
            ]
    return found


def documented(dotted: str) -> bool:
    """Whether a dotted name is a public class or function with a docstring."""
    parent, _, name = dotted.rpartition(".")
    path = ROOT.joinpath(*parent.split(".")).with_suffix(".py")
    if name.startswith("_") or not path.is_file():
        return False
    kinds = (ast.ClassDef, ast.FunctionDef)
    found = [node for node in _tree(path).body if isinstance(node, kinds) and node.name == name]
    return bool(found) and ast.get_docstring(found[-1]) is not None


def contracts() -> list[dict]:
    """Import contracts as pyproject.toml states them."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        return tomllib.load(file)["tool"]["importlinter"]["contracts"]


def floors(name: str) -> list[list[str]]:
    """Layers of a package from the top, each the wings that stand side by side; empty where no contract says."""
    for contract in contracts():
        if contract["type"] == "layers" and contract.get("containers") == [name]:
            return [
                layer.replace("(", "").replace(")", "").split(" | ") for layer in contract["layers"]
            ]
    return []
