import subprocess
import sys

import pytest

from experiments.benchmarks.peers import environments
from experiments.benchmarks.peers.environments import (
    ENVIRONMENTS,
    EngineError,
    find_interpreter,
    make_environment,
)


@pytest.fixture
def peers(monkeypatch, tmp_path):
    """No peer here: no variable, not in this interpreter, and an empty folder."""
    for name in ("TORCHOPTICS", "QUTIP", "DYNAMIQS", "SAX", "NEUROPHOX", "CHROMATIX"):
        monkeypatch.delenv(f"LIGHTECHO_{name}_PYTHON", raising=False)
    monkeypatch.setattr(environments.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(environments, "_PEERS", tmp_path / ".venv-peers")
    return tmp_path / ".venv-peers"


@pytest.fixture
def commands(peers, monkeypatch):
    """Commands that would be run; the first makes an interpreter, as `venv` does."""
    ran = []

    def run(command, check):
        assert check
        ran.append(command)
        folder = peers / ran[0][3].rsplit("/", 1)[1] / "bin"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "python").touch()

    monkeypatch.setattr(environments.subprocess, "run", run)
    return ran


def test_chromatix_is_found_by_its_variable_alone(peers, monkeypatch):
    with pytest.raises(
        EngineError, match=r"LIGHTECHO_CHROMATIX_PYTHON is not set; .* Python 3\.12"
    ):
        find_interpreter("chromatix")
    monkeypatch.setenv("LIGHTECHO_CHROMATIX_PYTHON", "/opt/python")
    assert find_interpreter("chromatix") == "/opt/python"


@pytest.mark.parametrize(
    ("package", "home"),
    [("qutip", "spins"), ("dynamiqs", "spins"), ("neurophox", "networks"), ("sax", "sax")],
)
def test_environment_is_made_from_package_names_and_then_found(package, home, peers, commands):
    with pytest.raises(
        EngineError, match=rf"no \.venv-peers/{home} here \(`make peers` makes it\)"
    ):
        find_interpreter(package)
    make_environment(home)
    python = find_interpreter(package)
    assert commands[0] == [sys.executable, "-m", "venv", str(peers / home)]
    assert commands[1][:4] == [python, "-m", "pip", "install"]
    assert commands[1][5:] == list(ENVIRONMENTS[home])
    assert any(wanted.startswith(package) for wanted in ENVIRONMENTS[home])
    make_environment(home)
    assert len(commands) == 2  # what is there is kept


@pytest.mark.parametrize("package", ["qutip", "sax"])
def test_this_interpreter_serves_where_it_can(package, peers, monkeypatch):
    monkeypatch.setattr(environments.importlib.util, "find_spec", lambda name: object())
    if package == "qutip":
        assert find_interpreter(package) == sys.executable
    else:  # sax wants another jax than ours
        with pytest.raises(EngineError, match="make peers"):
            find_interpreter(package)


def test_environment_that_cannot_be_made_says_so_and_leaves_nothing(peers, monkeypatch, capsys):
    def run(command, check):
        (peers / "sax" / "bin").mkdir(parents=True, exist_ok=True)
        (peers / "sax" / "bin" / "python").touch()
        if "pip" in command:
            raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(environments.subprocess, "run", run)
    assert environments.main(["sax"]) == 1
    assert capsys.readouterr().err.startswith(".venv-peers/sax was not made: ")
    assert not (peers / "sax").exists()


def test_unknown_environment_is_named(capsys):
    assert environments.main(["sacks"]) == 2
    assert capsys.readouterr().err.startswith("no environment `sacks`; known are spins, sax,")
