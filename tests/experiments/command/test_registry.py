import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.command import registry
from experiments.command.provenance import SOURCES
from experiments.harness.errors import UserError
from experiments.harness.ranges import check_ranges
from quantum.engines import memory

ROOT = Path(registry.__file__).parents[1]


def test_a_summary_is_read_without_importing_the_module(registered, monkeypatch):
    monkeypatch.setattr(registry.importlib, "import_module", None)
    summary = registry.summary("pendulum")
    assert summary.claim == registered.CLAIM
    assert summary.paper_figure == registered.PAPER_FIGURE
    assert summary.expected_time == registered.EXPECTED_TIME
    assert summary.tolerances == registered.TOLERANCES


def test_every_experiment_file_is_registered_and_every_name_has_a_file():
    claims = re.compile("^CLAIM = ", re.MULTILINE)
    files = [path for path in ROOT.rglob("*.py") if claims.search(path.read_text("utf-8"))]
    found = sorted(
        (path.stem, ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)) for path in files
    )
    # A list and no set: two files of one name would hide each other.
    assert found == sorted((registry.EXPERIMENTS | registry.BENCHMARKS).items())


@pytest.mark.parametrize("name", [*registry.EXPERIMENTS, *registry.BENCHMARKS])
def test_every_experiment_has_the_whole_interface(name, monkeypatch):
    monkeypatch.setattr(
        memory, "available_bytes", lambda: 2**60
    )  # that of this machine decides nothing
    module = registry.load(name)
    assert module.__doc__
    assert "quick" in module.SCALES
    assert registry.summary(name).claim == module.CLAIM
    # `verify` goes by the summary, so that a tolerance it cannot read would not hold.
    assert registry.summary(name).tolerances == getattr(module, "TOLERANCES", {})
    assert all(isinstance(config, module.Config) for config in module.SCALES.values())
    for config in module.SCALES.values():
        check_ranges(config, module.SCALES.values())


@pytest.mark.parametrize("name", registry.EXPERIMENTS)
def test_every_experiment_names_its_paper_so_that_a_reader_finds_it(name):
    assert re.search(r"DOI 10\.\d{4,}/\S+|arXiv:\d{4}\.\d{5}", registry.summary(name).paper_figure)


def test_no_text_quotes_what_a_reader_cannot_have():
    # In two parts, so that this line is not found.
    unseen = re.compile("fact " + "sheet|seed " + "text", re.IGNORECASE)
    sources = [path for folder in SOURCES for path in (ROOT.parent / folder).rglob("*.py")]
    sources += [*(ROOT.parent / "docs").rglob("*.md"), *(ROOT.parent / "notebooks").glob("*.ipynb")]
    assert not [path for path in sources if unseen.search(path.read_text("utf-8"))]


@pytest.mark.parametrize(("word", "near"), [("pendulun", "pendulum"), ("pendlum", "pendulum")])
def test_an_unknown_name_is_answered_with_the_nearest(registered, word, near):
    with pytest.raises(UserError, match=f"no experiment `{word}`; did you mean `{near}`"):
        registry.load(word)


def test_a_name_like_no_other_lists_all(registered):
    with pytest.raises(UserError, match="known are pendulum"):
        registry.summary("xyz")


def test_a_module_that_lacks_a_part_is_named_with_it(registered, monkeypatch):
    monkeypatch.delattr(registered, "REFERENCES")
    with pytest.raises(UserError, match="must define REFERENCES"):
        registry.load("pendulum")


def test_scales_without_a_time_are_refused(registered, monkeypatch):
    monkeypatch.setattr(registered, "EXPECTED_TIME", {"quick": "1 s"})
    with pytest.raises(UserError, match="same scales"):
        registry.load("pendulum")


def test_reading_the_table_imports_neither_jax_nor_matplotlib():
    code = (
        "import sys; import experiments.__main__; from experiments.command import registry;"
        "print(sorted({'jax', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_importing_the_experiments_computes_nothing_and_keeps_no_programs():
    """Processes are forked from one that has them (`.ci/quick.py`), which is safe before JAX has a device only."""
    code = (
        "from experiments.command import registry; from jax._src import xla_bridge; import jax;"
        "[registry.load(name) for name in registry.names() + registry.benchmarks()];"
        "print(xla_bridge.backends_are_initialized(), jax.config.jax_compilation_cache_dir)"
    )
    unset = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COMP")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.parent, env=unset, capture_output=True, text=True
    )
    assert done.stdout.strip() == "False None", done.stderr
