"""Notebooks are executed by `make docs`; that what they take from modules is there is asked here, in no time."""

import ast
import dataclasses
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


def takes(called, word):
    """Whether a call may be given a keyword; `dataclasses.replace` takes those of any configuration."""
    try:
        known = inspect.signature(called).parameters
    except (TypeError, ValueError):
        return False
    return word in known


class Given(ast.NodeTransformer):
    """Sets a keyword in the first call that takes it, or in the first call of a name."""

    def __init__(self, names, word, value, wanted=None):
        self.names, self.word, self.value, self.wanted, self.done = (
            names,
            word,
            value,
            wanted,
            False,
        )

    def visit_Call(self, node):
        self.generic_visit(node)
        if self.done or (self.wanted and ast.unparse(node.func) != self.wanted):
            return node
        try:
            called = eval(ast.unparse(node.func), self.names)
            if called is dataclasses.replace:
                called = type(eval(ast.unparse(node.args[0]), self.names))
        except NameError:
            return node
        if takes(called, self.word):
            node.keywords = [k for k in node.keywords if k.arg != self.word]
            node.keywords.append(ast.keyword(self.word, self.value))
            self.done = True
        return node


def loaded(node):
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def stored(node):
    if isinstance(node, ast.FunctionDef):
        return {node.name}
    return {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }


def run(statements, wanted, names):
    """Executes what the wanted names hang on, and nothing else of a notebook."""
    needed, chosen = set(wanted), []
    for node in reversed(statements):
        if stored(node) & needed:
            needed |= loaded(node)
            chosen.append(node)
    for node in reversed(chosen):
        exec(ast.unparse(node), names)


def tried(snippet, code, names):
    """Does what a snippet says, with as much of the notebook as it needs; returns what comes of it."""
    imports = (ast.Import, ast.ImportFrom)
    body = [node for node in code.body if not isinstance(node, imports)]
    (said,) = ast.parse(snippet).body
    if isinstance(said, imports):
        exec(snippet, names)
        return True
    call = getattr(said, "value", None)
    elided = isinstance(call, ast.Call) and [ast.unparse(a) for a in call.args] == ["..."]
    if isinstance(said, ast.Expr) and not elided:
        run(body, loaded(said), names)
        return eval(snippet, names)
    if elided:
        word, value, wanted = call.keywords[0].arg, call.keywords[0].value, ast.unparse(call.func)
    else:
        word, value, wanted = said.targets[0].id, said.value, None
    for place, node in enumerate(body):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, before = node.targets[0].id, ast.unparse(node)
            if name == word:
                node.value = value
            else:
                change = Given(names, word, value, wanted)
                node = change.visit(node)
            if ast.unparse(node) != before:
                run(body[:place], loaded(node), names)
                found = [exec(text, names) or names[name] for text in (before, ast.unparse(node))]
                assert repr(found[0]) != repr(found[1]), f"{snippet} changes nothing"
                return True
    raise AssertionError(f"{snippet} belongs to nothing in the notebook")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_to_try_can_be_done(path):
    """Snippets run with what they hang on; the experiment with the changed configuration, minutes of it, does not."""
    code, names = parsed(path), {}
    for node in code.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(ast.unparse(node), names)
    made = set().union(*(stored(node) for node in code.body))
    taken = set(names) & made
    assert not taken, f"{taken} of the notebook hide what it imports"
    snippets = to_try(path)
    assert snippets
    for snippet in snippets:
        if snippet.startswith("lightecho run "):
            assert snippet.split()[2] in registry.EXPERIMENTS
        else:
            assert tried(snippet, parsed(path), names) is not None
