"""Rules of layout that a reader relies on and that no single file can show."""

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARIES = ("optics", "quantum", "nn")
PACKAGES = (*LIBRARIES, "experiments")
MAX_LINES = 400
# Modules whose behaviour is tested through another one, each with the reason.
TESTED_ELSEWHERE = {
    "experiments/generation/latent_straightness_figure.py": "test_latent_straightness.py draws it",
    "experiments/generation/hologram_prior_figure.py": "test_hologram_prior.py draws it",
    "experiments/generation/hologram_methods.py": "test_hologram_prior.py holds each of them",
    "optics/learning/relocations.py": "test_reciprocity.py audits systems with each of them",
    "quantum/compiling/program_gates.py": "test_echo_program.py multiplies the gates",
    "experiments/harness/progress.py": "tests/experiments/harness/test_context.py shows bars and lines",
    "experiments/harness/relay.py": "tests/experiments/harness/test_jobs.py sends pieces through it",
    "experiments/harness/errors.py": "three exception classes without code",
    "experiments/echoes/otoc_interference_figure.py": "test_otoc_interference.py draws it",
    "experiments/echoes/otoc_noise_ratios.py": "test_otoc_noise.py looks at them",
    "experiments/scattering/ffm_focus_published.py": "test_ffm_focus.py compares with it",
    "experiments/echoes/otoc_cost_figure.py": "test_otoc_cost.py draws it",
    "experiments/molecules/nmr_geometry_figure.py": "test_nmr_geometry.py draws it",
    "experiments/molecules/nmr_echo_figure.py": "test_nmr_echo.py draws it",
    "experiments/molecules/nmr_echo_pulses.py": "test_nmr_echo.py runs its trains",
    "experiments/molecules/nmr_echo_published.py": "test_nmr_echo.py compares with it",
    "experiments/data/mnist_files.py": "test_datasets.py fetches, reads and checks the files",
    "experiments/command/commands.py": "test_main.py calls every command",
    "experiments/command/provenance.py": "test_runner.py checks the record",
    "experiments/learning_systems/checkpoint_faults_figure.py": "test_checkpoint_faults.py draws it",
    "experiments/molecules/nmr_geometry_verdict.py": "test_nmr_geometry.py judges with it",
    "experiments/forward_mode/reciprocity_audit_bench.py": "test_reciprocity_audit.py trains on it",
    "experiments/forward_mode/reciprocity_audit_core.py": "test_reciprocity_audit.py runs the chip family",
    "experiments/echoes/hamiltonian_learning_figure.py": "test_hamiltonian_learning.py draws it",
    "experiments/forward_mode/ffm_depth_figure.py": "test_ffm_depth.py draws it",
    "experiments/molecules/nmr_circuits_figure.py": "test_nmr_circuits.py draws it",
    "experiments/molecules/nmr_mitigation_figure.py": "test_nmr_mitigation.py draws it",
    "experiments/photonic_chips/exceptional_point_figure.py": "test_exceptional_point.py draws it",
    "experiments/scattering/ffm_hidden_object_figure.py": "test_ffm_hidden_object.py draws it",
    "experiments/forward_mode/ffm_weak_light_figure.py": "test_ffm_weak_light.py draws it",
    "experiments/photonic_chips/ffm_chip_figure.py": "test_ffm_chip.py draws the figure",
    "experiments/benchmarks/peers": "test_bench_propagation.py runs them as processes",
}

# Simulators that only their own bridge may import, so that the rest of the library runs without them.
BRIDGES = {
    "quantum/engines/cirq_engine.py": {"cirq", "cirq_google", "qsimcirq"},
    "quantum/engines/qiskit_engine.py": {"qiskit", "qiskit_aer"},
}


def modules(*packages):
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def broken(rule, paths):
    """What `rule`, which yields what is wrong with one file, finds in all of them, a line each."""
    return "\n".join(f"{path.relative_to(ROOT)}: {wrong}" for path in paths for wrong in rule(path))


@cache
def text_of(path):
    return path.read_text(encoding="utf-8")


@cache
def nodes(source):
    """All nodes of a module, itself first; many rules look through the same."""
    return list(ast.walk(ast.parse(source)))


def tree(path):
    return nodes(text_of(path))[0]


def dotted(node):
    """`a.b.c` where an expression is nothing but such, else the end of it that is."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id] if isinstance(node, ast.Name) else parts))


@cache
def imported(path):
    found = set()
    for node in nodes(text_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def test_a_library_imports_none_of_its_neighbours():
    def neighbours(path):
        own = path.relative_to(ROOT).parts[0]
        return ({*PACKAGES, "tests", "notebooks", "matplotlib"} - {own}) & imported(path)

    assert not (found := broken(neighbours, modules(*LIBRARIES))), found


def test_a_simulator_is_imported_by_its_bridge_alone():
    def simulators(path):
        own = BRIDGES.get(path.relative_to(ROOT).as_posix(), set())
        return (set().union(*BRIDGES.values()) - own) & imported(path)

    assert not (found := broken(simulators, modules(*PACKAGES))), found


def test_experiments_import_no_tests():
    found = broken(lambda path: {"tests", "notebooks"} & imported(path), modules("experiments"))
    assert not found, found


def test_a_library_prints_nothing_and_sets_no_global_option():
    def loud(path):
        for node in nodes(text_of(path)):
            if isinstance(node, ast.Call) and dotted(node.func) in ("print", "jax.config.update"):
                yield f"line {node.lineno} calls {dotted(node.func)}"

    assert not (found := broken(loud, modules(*LIBRARIES))), found


def test_a_module_can_be_read_in_one_sitting():
    def too_long(path):
        lines = len(text_of(path).splitlines())
        if lines >= MAX_LINES:
            yield f"{lines} lines"
        if path.stem in ("utils", "helpers", "misc", "core"):
            yield "its name says nothing"

    assert not (found := broken(too_long, modules(*PACKAGES))), found


def test_a_module_opens_with_a_docstring_and_keeps_annotations_live():
    def opening(path):
        if not ast.get_docstring(tree(path)):
            yield "no docstring"
        # jaxtyping needs annotations as objects, which the future import would turn into strings.
        if "__future__" in imported(path):
            yield "imports __future__"

    assert not (found := broken(opening, modules(*PACKAGES))), found


@cache
def imported_modules(path):
    found = set()
    for node in nodes(text_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_every_module_has_its_tests():
    tests = {package: list((ROOT / "tests" / package).rglob("test_*.py")) for package in PACKAGES}
    files = {package: {test.name for test in found} for package, found in tests.items()}
    named = {
        package: set().union(*map(imported_modules, found)) for package, found in tests.items()
    }

    def untested(path):
        inside = path.relative_to(ROOT)
        package, name = inside.parts[0], ".".join(inside.with_suffix("").parts)
        if path.name.startswith("_") and path.name != "__main__.py":
            return  # private modules are tested through the public ones
        if {str(inside), str(inside.parent)} & set(TESTED_ELSEWHERE):
            return
        if f"test_{path.stem.strip('_')}.py" not in files[package] and name not in named[package]:
            yield f"no test imports {name}"

    assert not (found := broken(untested, modules(*PACKAGES))), found


def private_uses(source):
    """Attributes with a leading underscore that are taken from anything but `self` or `cls`, but for public ones."""
    public = (
        "__name__",
        "_replace",
        "_fields",
        "_asdict",
    )  # the last three: interface of named tuples
    for node in nodes(source):
        private = (
            isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and node.attr not in public
        )
        if private and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
            yield f"line {node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.Call) and dotted(node.func) in (
            "getattr",
            "vars",
            "object.__getattribute__",
        ):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def looks_behind_the_counter(source):
    """Calls that are the experimenter's: a quiet bench, the hidden hardware, the true gradient."""
    for node in nodes(source):
        if isinstance(node, ast.Attribute) and node.attr in ("reveal", "quiet"):
            yield f"line {node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.ImportFrom):
            named = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            if any("truth" in name or "true_" in name for name in named):
                yield f"line {node.lineno}: {ast.unparse(node)}"


def test_a_learner_sees_only_what_the_bench_shows():
    def peeks(path):
        source = text_of(path)
        yield from private_uses(source)
        # The face of the wing is the experimenter's too.
        if path.name != "__init__.py":
            yield from looks_behind_the_counter(source)

    assert not (found := broken(peeks, modules("optics/learning"))), found


def test_an_experiment_uses_public_names_only():
    # An experiment may ask its own configuration for a field by name, Python for a version, and the system to end.
    fair = ("getattr", "vars(", ".__", "os._exit")

    def private(path):
        source = text_of(path)
        yield from (use for use in private_uses(source) if not any(word in use for word in fair))
        yield from private_imports(source)

    assert not (found := broken(private, modules("experiments"))), found


def private_imports(source):
    """Dotted names with a part that begins with one underscore, as imported."""
    for node in nodes(source):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (
            name
            for name in names
            if any(part.startswith("_") and not part.startswith("__") for part in name.split("."))
        )


@pytest.mark.parametrize(
    "cheat",
    [
        "bench._hidden",
        "bench.slm._gain",
        "self.bench._hidden",
        "getattr(bench, '_hidden')",
        "vars(bench)",
    ],
)
def test_the_rule_for_learners_finds_a_cheat(cheat):
    assert list(private_uses(f"def f(self, bench):\n    return {cheat}"))
    assert not list(private_uses("def f(self, bench):\n    return self._state + bench.measure(1)"))


@pytest.mark.parametrize(
    "cheat",
    [
        "bench.reveal().run",
        "place(bench).quiet()",
        "from optics.learning.truth import true_gradient",
        "from optics.learning import truth",
        "from optics.learning import true_phase_gradient",
    ],
)
def test_the_rule_for_learners_finds_a_look_behind_the_counter(cheat):
    assert list(looks_behind_the_counter(cheat))
    assert not list(looks_behind_the_counter("from optics.learning import fit\nbench.measure(1)"))


def test_the_rule_for_imports_finds_private_names():
    source = "from quantum._checks import check\nfrom optics.a import _b, c\nimport optics._d\nimport __future__"
    assert list(private_imports(source)) == [
        "quantum._checks.check",
        "optics.a._b",
        "optics._d",
    ]


def module_of(path):
    return ".".join(path.parent.relative_to(ROOT).parts)


FACES = [
    pytest.param(path, id=module_of(path))
    for path in sorted((ROOT / "optics").glob("*/**/__init__.py"))
]


def face(path):
    """Names of a wing's face in their order, each with the module that it comes from."""
    found = [
        (alias.name, node.module)
        for node in tree(path).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    listed = next(node.value for node in tree(path).body if isinstance(node, ast.Assign))
    assert [name for name, _ in found] == ast.literal_eval(listed)
    return found


@cache
def imports_in_all(module):
    """Modules that a module of optics imports, directly or through others."""
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    if not path.exists():
        return frozenset()
    direct = {name for name in imported_modules(path) if name.startswith("optics.")}
    return frozenset(direct.union(*(imports_in_all(name) for name in direct)))


@cache
def user_code():
    """Code of experiments, notebooks, README and the guide."""
    texts = [text_of(path) for path in modules("experiments")]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    for path in (ROOT / "README.md", *(ROOT / "docs" / "guide").glob("*.md")):
        texts += re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.S)
    return texts


@cache
def used_from_faces():
    """Dotted names that users take: `from wing import name`, or `wing.name` after `from optics import wing`."""
    found = set()
    for code in user_code():
        for node in nodes(code):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = node.module.removeprefix("lightecho.")
                found |= {f"{module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Attribute):
                found.add(f"optics.{dotted(node)}")
    return found


@pytest.mark.parametrize("path", FACES)
def test_a_face_is_a_short_table_of_contents_in_order_of_dependency(path):
    names = face(path)
    assert 5 <= len(names) <= 15
    for place, (name, module) in enumerate(names):
        for later, theirs in names[place + 1 :]:
            assert theirs == module or theirs not in imports_in_all(module), (
                f"{later} of {theirs} must stand before {name}, whose module imports it"
            )


@pytest.mark.parametrize("path", FACES)
def test_every_name_of_a_face_is_used_and_taken_from_the_face(path):
    wing = module_of(path)
    for name, module in face(path):
        assert f"{wing}.{name}" in used_from_faces(), f"nobody takes {name} from {wing}"
        assert f"{module}.{name}" not in used_from_faces(), f"take {name} from {wing}"


def test_the_package_shows_its_wings():
    import optics

    wings = {path.parent.name for path in (ROOT / "optics").glob("*/__init__.py")}
    assert set(optics.__all__) == wings | {"metrics"}
    assert optics.waves.Field.__module__ == "optics.waves.field"
    with pytest.raises(AttributeError, match="its wings are"):
        optics.Field  # noqa: B018
