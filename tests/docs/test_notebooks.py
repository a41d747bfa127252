"""Notebooks are executed by `make docs`; that what they take from modules is there is asked here, in no time."""

import ast
import builtins
import inspect
import json
import re
from types import ModuleType

import pytest
from source_tree import ROOT

from experiments.command import registry

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def parsed(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return ast.parse(
        "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_takes_from_modules_is_there(path):
    code, names = parsed(path), {}
    for node in code.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(ast.unparse(node), names)
    assert names
    for node in ast.walk(code):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = names.get(node.value.id)
            assert not isinstance(module, ModuleType) or hasattr(module, node.attr), ast.unparse(
                node
            )


def to_try(path):
    """Code of the list "What to try", snippet by snippet."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    (text,) = [text for text in texts if text.startswith("## What to try")]
    return re.findall(r"`([^`]+)`", text)


def parameters(names):
    """Every parameter of what a notebook imports, and of the configuration of an experiment."""
    for found in list(names.values()):
        for called in (found, getattr(found, "Config", None)):
            if callable(called):
                yield from inspect.signature(called).parameters


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_to_try_uses_what_the_notebook_has(path):
    code, names = parsed(path), {}
    for node in code.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(ast.unparse(node), names)
    made = {
        n.id for n in ast.walk(code) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    taken = set(names) & made
    assert not taken, f"{taken} of the notebook hide what it imports"
    for snippet in to_try(path):
        if snippet.startswith("lightecho run "):
            assert snippet.split()[2] in registry.EXPERIMENTS
            continue
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom):
                exec(ast.unparse(node), names)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                assert node.id in made | set(names) | set(dir(builtins)), f"{node.id} of {snippet}"
            elif isinstance(node, ast.Name):
                assert node.id in made | set(parameters(names)), f"{node.id} of {snippet}"
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert hasattr(names[node.value.id], node.attr), snippet
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                wanted = inspect.signature(names.get(node.func.id, len)).parameters
                assert {word.arg for word in node.keywords} <= set(wanted), snippet
