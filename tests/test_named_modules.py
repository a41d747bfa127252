"""Text that names modules: import-linter cannot see it, so it decays first.

The tables of engines and experiments are imported from text, docstrings send the reader somewhere. Every dotted name of
ours must exist; what is imported from text stays within the layers of the contracts.
"""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

from experiments.command import registry
from quantum.engines import dispatch

ROOT = Path(__file__).parents[1]
PACKAGES = ("optics", "quantum", "nn", "experiments")
PATHS = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
DOTTED = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
LAYERS = {
    contract["containers"][0]: [[wing.strip() for wing in layer.split("|")] for layer in contract["layers"]]
    for contract in CONTRACTS
    if contract["type"] == "layers" and "containers" in contract
}  # fmt: skip


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_file(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    found = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in found if file.exists()), None)


def names_in(body) -> set[str]:
    """What a module or class defines, imports or annotates at its top."""
    found = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {
                name.id for t in targets for name in ast.walk(t) if isinstance(name, ast.Name)
            }
    return found


def exists(name: str) -> bool:
    """Whether a dotted name is a module, a name of one, or a name of a class of one."""
    parts = name.split(".")
    if ROOT.joinpath(*parts).is_dir():
        return True
    for cut in range(len(parts), 0, -1):
        file = module_file(".".join(parts[:cut]))
        if file is None:
            continue
        rest = parts[cut:]
        if not rest:
            return True
        body = tree(file).body
        classes = {node.name: node.body for node in body if isinstance(node, ast.ClassDef)}
        if len(rest) == 2:
            return rest[0] in classes and rest[1] in names_in(classes[rest[0]])
        return len(rest) == 1 and rest[0] in names_in(body)
    return False


def obeys(source: str, target: str) -> bool:
    """Whether the contracts let one module import another; both by dotted name."""
    (package, *inner), (other, *under) = source.split("."), target.split(".")
    if package != other:
        return package == "experiments"
    if not inner or not under or inner[0] == under[0]:
        return True
    place = {wing: level for level, layer in enumerate(LAYERS[package]) for wing in layer}
    return place.get(inner[0], -1) < place.get(under[0], len(place))


@cache
def texts_in(path: Path) -> list[str]:
    return [
        node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]  # fmt: skip


def test_dotted_names_of_ours_exist():
    found = []
    for path in PATHS:
        texts = texts_in(path)
        named = {name for text in texts for name in re.findall(rf"`({DOTTED.pattern})", text)}
        named |= {text for text in texts if DOTTED.fullmatch(text)}
        found += [f"{path.relative_to(ROOT)}: {name}" for name in named if not exists(name)]
    assert not found, "\n".join(found)


def test_what_is_imported_from_text_stays_within_the_layers():
    found = []
    for path in PATHS:
        source = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if source == registry.__name__:
            continue  # the table of all experiments: see below
        named = {text for text in texts_in(path) if DOTTED.fullmatch(text)}
        broken = {name for name in named if module_file(name) and not obeys(source, name)}
        found += [f"{source}: {name}" for name in broken]
    assert not found, "\n".join(found)


def test_engines_are_modules_of_their_wing_and_experiments_of_theirs():
    assert {name.rpartition(".")[0] for name in dispatch.ENGINES.values()} == {"quantum.engines"}
    subjects = set(LAYERS["experiments"][1]) - {"command"}
    for name in registry.names() + registry.benchmarks():
        package, wing, module = registry.module_path(name).split(".")
        assert (package, module) == ("experiments", name)
        assert wing in subjects
        assert module_file(f"{package}.{wing}.{module}")


def test_the_rules_find_what_is_wrong():
    assert exists("quantum.engines.dispatch.ENGINES")
    assert exists("quantum.estimates.Estimate.value")
    assert not exists("quantum.spin_evolution")
    assert not exists("quantum.engines.dispatch.no_such_name")
    assert obeys("quantum.engines.dispatch", "quantum.circuits.gates")
    assert not obeys("quantum.engines.dispatch", "quantum.noise.model")
    assert not obeys("quantum.noise.model", "quantum.echoes.otoc")
    assert not obeys("quantum.engines.dispatch", "optics.metrics")
