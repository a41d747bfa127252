"""One rule for random numbers: JAX code takes `key`, NumPy code takes `seed`, by name and never both."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Libraries, and what their random numbers come from.
RULE = {"optics": "key", "nn": "key", "quantum": "seed"}


def breaches(source: str, word: str):
    """What public functions and methods of public classes of a module do against the rule."""
    body = ast.parse(source).body
    classes = [node for node in body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
    for node in (node for part in (body, *(c.body for c in classes)) for node in part):
        if not isinstance(node, ast.FunctionDef) or node.name[0] == "_":
            continue
        named = {arg.arg for arg in node.args.kwonlyargs} & {"seed", "key"}
        placed = {arg.arg for arg in node.args.args + node.args.posonlyargs} & {"seed", "key"}
        if placed:
            yield f"{node.name}: `{placed.pop()}` must be keyword-only"
        if named - {word}:
            yield f"{node.name}: must take `{word}`, not `{(named - {word}).pop()}`"


def test_randomness_comes_in_by_name():
    found = [
        f"{path.relative_to(ROOT)}: {breach}"
        for package, word in RULE.items()
        for path in sorted((ROOT / package).rglob("*.py"))
        for breach in breaches(path.read_text(encoding="utf-8"), word)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "def f(n, seed): ...",
        "def f(seed=0): ...",
        "def f(n, *, key): ...",
        "def f(n, *, seed, key): ...",
        "class A:\n    def f(self, seed): ...",
    ],
)
def test_the_rule_finds_a_breach(line):
    assert list(breaches(line, "seed"))
    fine = "def f(n, *, seed): ...\ndef _f(seed): ...\nclass A:\n    def g(self, *, seed=0): ..."
    assert not list(breaches(fine, "seed"))
