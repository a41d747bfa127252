"""One name for the four packages: the same modules, and a word where one of them is not ours."""

import importlib
import importlib.machinery
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import lightecho

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "name",
    ["nn", "quantum", "quantum.estimates", "experiments.harness.errors", "quantum.circuits.gates"],
)
def test_a_module_is_the_same_under_both_names(name):
    plain = importlib.import_module(name)
    spec = plain.__spec__
    assert importlib.import_module(f"lightecho.{name}") is plain
    assert plain.__spec__ is spec
    assert plain.__name__ == name


def test_it_does_not_matter_which_name_comes_first():
    name = "experiments.harness.png"
    kept = {each: sys.modules.pop(each, None) for each in (name, f"lightecho.{name}")}
    try:
        first = importlib.import_module(f"lightecho.{name}")
        assert importlib.import_module(name) is first
        assert first.__spec__.name == name
    finally:
        sys.modules.update({each: module for each, module in kept.items() if module})


def test_packages_are_attributes_and_other_names_are_not():
    assert lightecho.quantum is importlib.import_module("quantum")
    assert {"optics", "quantum", "nn", "experiments", "__version__"} <= set(dir(lightecho))
    with pytest.raises(
        AttributeError, match="lightecho has no `opticks`; its packages are optics,"
    ):
        lightecho.opticks  # noqa: B018
    with pytest.raises(ModuleNotFoundError, match=r"lightecho\.quantum\.no_such"):
        importlib.import_module("lightecho.quantum.no_such")


def test_all_packages_here_are_ours():
    assert lightecho.stranger() == ""
    for name in lightecho.PACKAGES:
        assert lightecho.MARK in (ROOT / name / "__init__.py").read_text("utf-8")


def test_a_package_of_somebody_else_is_named_and_nothing_is_run(monkeypatch, capsys, tmp_path):
    other = ModuleType("nn")
    other.__spec__ = importlib.machinery.ModuleSpec("nn", None, origin=f"{tmp_path}/nn/__init__.py")
    monkeypatch.setitem(sys.modules, "nn", other)
    monkeypatch.delitem(sys.modules, "lightecho.nn", raising=False)
    assert lightecho.main(["list"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"lightecho: `nn` is {tmp_path}/nn/__init__.py here, not the one of")
    assert said.err.count("\n") == 1
    with pytest.raises(ImportError, match="`nn` is "):
        importlib.import_module("lightecho.nn")


def test_a_package_that_is_overwritten_is_named(monkeypatch):
    monkeypatch.setattr(lightecho, "MARK", "# of another distribution")
    assert "optics/__init__.py is not the one of lightecho: " in lightecho.stranger()
    assert "install lightecho again" in lightecho.stranger()


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(lightecho, "PACKAGES", ("no_such_package",))
    assert lightecho.stranger().startswith("there is no package `no_such_package` in ")


def test_python_m_lightecho_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "lightecho", "--version"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (f"lightecho {lightecho.__version__}\n", "")


def test_what_is_installed_holds_the_module_and_every_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["only-include"]) == {"lightecho.py", *lightecho.PACKAGES}
    assert project["project"]["scripts"] == {"lightecho": "lightecho:main"}
    assert f"version: {lightecho.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
