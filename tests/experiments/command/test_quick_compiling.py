"""Flags of XLA for quick runs: set where asked for, never in the user's way, and those of the whole check."""

import os
from pathlib import Path

import pytest

from experiments import __main__ as command_line
from experiments.command import commands
from experiments.command.quick_compiling import FLAGS, compiled_soon

ROOT = Path(__file__).parents[3]
OURS = " ".join(f"{name}={value}" for name, value in FLAGS.items())


def test_what_the_user_has_set_stays_and_is_there_again_afterwards(monkeypatch):
    own = "--xla_backend_optimization_level=3 --xla_dump_to=here"
    monkeypatch.setenv("XLA_FLAGS", own)
    with compiled_soon():
        first, *rest = os.environ["XLA_FLAGS"].split(" --xla_cpu")
        assert first == own
        assert len(rest) == 2
    assert os.environ["XLA_FLAGS"] == own
    monkeypatch.delenv("XLA_FLAGS")
    with compiled_soon():
        assert os.environ["XLA_FLAGS"] == OURS
    assert "XLA_FLAGS" not in os.environ


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (["run", "ffm_gap"], OURS),
        (["run", "ffm_gap", "--scale", "laptop"], None),
        (["bench", "bench_mesh", "--scale", "quick"], None),
    ],
)
def test_they_are_for_quick_runs_alone(monkeypatch, words, flags):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    seen = []
    monkeypatch.setattr(
        commands, "run", lambda *_, **__: seen.append(os.environ.get("XLA_FLAGS")) or 0
    )
    assert command_line.main(words) == 0
    assert seen == [flags]


def test_the_whole_check_gives_notebooks_the_same_so_that_they_find_the_programs_of_quick_runs():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    # In how many parts a program is compiled changes no number; CI runs two at a time.
    other = [flag for flag in OURS.split() if flag not in script]
    assert other == ["--xla_cpu_parallel_codegen_split_count=4"]
