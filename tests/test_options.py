"""An option that nobody sets is code that nobody runs: it goes, or it gets a caller."""

import json
import re
from pathlib import Path

import pytest

from tests.option_callers import Tree

ROOT = Path(__file__).parents[1]
LIBRARIES = ("optics", "quantum", "nn")
FENCE = re.compile(r"^```\{?(?:python|code-cell)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def sources():
    """Path and text of all code of the tree: modules, cells of notebooks, examples of the documentation."""
    for path in sorted(ROOT.glob("*.py")):
        yield path, path.read_text(encoding="utf-8")
    for folder in (*LIBRARIES, "experiments", "tests", "docs", "findings"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        yield path, re.sub(r"^[%!].*$", "", "\n".join(code), flags=re.MULTILINE)
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for code in FENCE.findall(path.read_text(encoding="utf-8")):
            yield path, code


def options_without_caller(files):
    tree = Tree()
    for path, source in files:
        inside = Path(path).relative_to(ROOT) if Path(path).is_absolute() else Path(path)
        tree.read(source, inside.as_posix(), inside.parts[0] in LIBRARIES)
    return [str(option) for option in tree.unset()]


def test_every_option_has_a_caller():
    found = options_without_caller(sources())
    assert not found, "Remove these, or set each where it shows:\n" + "\n".join(found)


DEFINED = """
def f(x, size=1, *, rate=2.0, _own=3): ...
def _g(size=1): ...
@dataclass(frozen=True)
class Above:
    first: int
    second: int = 2
    third: int = field(default=3, init=False)
    def move(self, step=1): ...
class Below(Above):
    fourth: int = 4
    fifth: ClassVar[int] = 5
class Layer(eqx.Module):
    width: int = eqx.field(static=True)
    bias: bool = eqx.field(static=True, default=True)
    def __call__(self, x, cache=None): ...
class Plain:
    constant: int = 1
    def __init__(self, n=1): ...
    def _private(self, n=1): ...
"""
OPTIONS = {
    "f(size)": "f(1, 2)",
    "f(rate)": "options = {'rate': 1}; f(1, **options)",
    "Above(second)": "Below(1, 2)",
    "Above.move(step)": "x.move(3)",
    "Below(fourth)": "replace(below, fourth=1)",
    "Layer(bias)": "eqx.tree_at(lambda m: m.bias, layer, False)",
    "Layer.__call__(cache)": "layer(x, cache=1)",
    "Plain.__init__(n)": "class Q(Plain):\n    def __init__(self): super().__init__(2)",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_the_rule_finds_options_and_their_callers(option):
    def left(call):
        files = [("nn/a.py", DEFINED), ("tests/b.py", call)]
        return {line.removeprefix("nn/a.py: ") for line in options_without_caller(files)}

    assert left("f(1)") == {*OPTIONS}
    assert left(OPTIONS[option]) == {*OPTIONS} - {option}


@pytest.mark.parametrize(
    ("call", "is_caller"),
    [
        ("def f(x, size=1): return f(x, size=size)", False),
        ("def f(x, size=1): return f(x, size=size + 1)", True),
        ("from a import f as other\nother(1, size=2)", True),
        ("for run in (f, h): run(1, size=2)", True),
        ("def h(**more): return f(1, **more)\nh(size=2)", True),
        ("jit(f)(1, size=2)", True),
        ("f(1, size=2)(3)", True),
        ("partial(f, size=2)", True),
        ("f(*arguments)", True),
        ("g(1, size=2)", False),
    ],
)
def test_what_counts_as_a_caller(call, is_caller):
    files = [("nn/a.py", "def f(x, size=1): ...\ndef g(x): ..."), ("nn/b.py", call)]
    found = [line for line in options_without_caller(files) if line.startswith("nn/a.py")]
    assert found == ([] if is_caller else ["nn/a.py: f(size)"])
