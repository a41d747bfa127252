"""The pendulum in place of the real experiments, and a command line that writes into a temporary folder."""

import pytest

from experiments.command import accepted, registry
from experiments.command.storage import Store
from tests.experiments import pendulum


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(registry, "EXPERIMENTS", {"pendulum": "tests.experiments.pendulum"})
    monkeypatch.setattr(registry, "BENCHMARKS", {})
    pendulum.COMPUTED.clear()
    return pendulum


@pytest.fixture
def cli(registered, tmp_path, monkeypatch, capsys):
    """Runs `lightecho` in a temporary folder; returns exit code, standard output, standard error."""
    from experiments.__main__ import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(accepted, "PATH", tmp_path / "accepted.json")

    def call(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
