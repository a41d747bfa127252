"""Compiled programs on disk: for the command line alone, bounded, and never in the way."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.command import compilation_cache
from experiments.command.compilation_cache import folder, kept_programs, size

ROOT = Path(__file__).parents[3]
COMPILE = """
import sys
from experiments.command.compilation_cache import kept_programs
with kept_programs("off" not in sys.argv):
    import jax
    hits = []
    jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
    print(float(jax.jit(lambda x: (x @ x).sum())(jax.numpy.eye(7))))
    print(sum(event.endswith("cache_hits") for event in hits), "hits")
    print(jax.config.jax_compilation_cache_max_size)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith(("JAX_COMP", "JAX_PERS"))]:
        monkeypatch.delenv(name)


def compile_once(*words, **environment):
    unset = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_COMP", "JAX_PERS"))}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, *words], cwd=ROOT, capture_output=True, text=True, timeout=120,
        env=unset | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"} | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    value, hits, most = done.stdout.splitlines()
    assert value == "7.0"
    return int(hits.split()[0]), int(most), done.stderr


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Folder that one process has filled, a copy of it, and what that process said."""
    home = tmp_path_factory.mktemp("first") / "cache"
    said = compile_once(XDG_CACHE_HOME=str(home))
    return home, Path(shutil.copytree(home, home.with_name("copy"))), said


@pytest.fixture
def filled(first, monkeypatch):
    """The folder as the first process has left it, since JAX finds programs at one path alone: programs and bytes."""
    home, copy, _ = first
    shutil.rmtree(home)
    shutil.copytree(copy, home)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return size()


def test_a_second_process_takes_programs_from_the_first(first, filled):
    hits, most, _ = first[2]
    assert hits == 0
    assert most == compilation_cache.MAX_BYTES
    programs, n_bytes = filled
    assert programs > 0
    assert 0 < n_bytes < compilation_cache.MAX_BYTES
    assert folder().is_relative_to(os.environ["XDG_CACHE_HOME"])
    assert compile_once()[0] >= programs


def test_switched_off_it_takes_and_keeps_nothing(filled):
    next(folder().glob("*-cache")).unlink()
    left = size()
    assert left[0] > 0
    assert compile_once("off")[0] == 0
    assert size() == left


def test_a_folder_that_cannot_be_written_is_one_line_and_no_obstacle(tmp_path):
    (tmp_path / "lightecho").write_text("a file where the folder should be")
    _, _, err = compile_once()
    assert err.startswith("lightecho: warning: the cache of compiled programs at ")
    assert err.count("\n") == 1


def test_damaged_programs_are_one_line_and_no_obstacle(filled):
    for path in folder().glob("*-cache"):
        path.write_bytes(b"half a program")
    hits, _, err = compile_once()
    assert hits == 0
    assert err.startswith("lightecho: warning: the cache of compiled programs at ")
    assert "delete it" in err
    assert err.count("\n") == 1


def test_the_size_is_bounded(filled, tmp_path, monkeypatch):
    everything = filled[1]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "smaller"))
    compile_once(JAX_COMPILATION_CACHE_MAX_SIZE=str(everything - 1))
    assert 0 < size()[1] < everything


def test_what_the_user_has_set_stays_and_nothing_is_left_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "mine"))
    before = dict(os.environ)
    with kept_programs():
        assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / "mine")
        assert folder() == tmp_path / "mine"
    assert dict(os.environ) == before
