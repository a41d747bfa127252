"""Notebooks are executed by `make docs`; that what they take from modules is there is asked here, in no time."""

import ast
import json
from types import ModuleType

import pytest
from source_tree import ROOT

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
