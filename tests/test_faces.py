"""A wing has one face: few names, in order of dependency, that users really take and take from there."""

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest

import nn
import quantum

ROOT = Path(__file__).parents[1]
PACKAGES = ("quantum", "nn")
WINGS = [
    (package, path.parent.name)
    for package in PACKAGES
    for path in sorted((ROOT / package).glob("*/__init__.py"))
]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def taken(module: ast.AST):
    """(module, name) of every `from module import name`."""
    return [
        (node.module.removeprefix("lightecho."), alias.name)
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    ]


@cache
def below(module: str) -> frozenset[str]:
    """Modules of its package that a module imports, directly or through others."""
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    if not path.exists():
        return frozenset()
    named = {part for pair in taken(tree(path)) for part in (pair[0], ".".join(pair))}
    direct = {
        name for name in named if name.split(".")[0] == module.split(".")[0] and name != module
    }
    return frozenset(direct.union(*(below(name) for name in direct)))


@cache
def user_imports() -> frozenset[tuple[str, str]]:
    """What experiments, notebooks, README and the guide import."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "experiments").rglob("*.py")]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    for path in (ROOT / "README.md", *(ROOT / "docs" / "guide").glob("*.md")):
        texts += re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.S)
    return frozenset(pair for text in texts for pair in taken(ast.parse(text)))


@pytest.mark.parametrize(("package", "wing"), WINGS)
def test_a_face_is_a_short_list_in_order_of_dependency(package, wing):
    module = tree(ROOT / package / wing / "__init__.py")
    names = taken(module)
    listed = next(node.value for node in module.body if isinstance(node, ast.Assign))
    assert [name for _, name in names] == ast.literal_eval(listed)
    assert 4 <= len(names) <= 15
    for place, (source, _) in enumerate(names):
        assert not below(source) & {later for later, _ in names[place + 1 :] if later != source}


@pytest.mark.parametrize(("package", "wing"), WINGS)
def test_users_take_every_name_and_take_it_from_the_face(package, wing):
    for source, name in taken(tree(ROOT / package / wing / "__init__.py")):
        assert (f"{package}.{wing}", name) in user_imports(), f"nobody takes {name}"
        assert (source, name) not in user_imports(), f"take {name} from {package}.{wing}"


def test_the_package_shows_its_wings():
    assert set(quantum.__all__) == {wing for package, wing in WINGS if package == "quantum"} | {
        "estimates"
    }
    assert set(nn.__all__) == {wing for package, wing in WINGS if package == "nn"}
    assert quantum.echoes.make_echo.__module__ == "quantum.echoes.otoc"
    with pytest.raises(AttributeError, match="no attribute 'make_echo'; its wings are"):
        quantum.make_echo  # noqa: B018
