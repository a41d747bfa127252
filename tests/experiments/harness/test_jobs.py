"""Pieces in processes of this machine: the same bits, nothing lost, nothing left behind."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from experiments.command.storage import PieceStore
from experiments.harness.context import Context, stacked
from experiments.harness.errors import NonFiniteError, UserError
from experiments.harness.jobs import LocalWorkers
from experiments.harness.settings import cores, precision
from tests.experiments import forked, map_pieces

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", autouse=True)
def imported_once():
    """All processes of these tests come from one that has imported what they need."""
    forked.server()


@pytest.fixture(scope="module")
def workers(imported_once):
    """Two processes for all tests that leave them alive."""
    two = LocalWorkers(2)
    yield two
    two.close()


def context_with(workers, **options):
    text = io.StringIO()
    console = Console(file=text, width=200)
    return Context(console=console, workers=workers, **options), text


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()


@pytest.mark.parametrize("name", ["single", "double"])
def test_side_by_side_gives_the_bits_of_one_after_the_other(workers, name):
    pieces = {f"seed{s}": (s, 96) for s in range(4)}
    with precision(name):
        serial = Context().map(map_pieces.spectrum, pieces)
        parallel = context_with(workers)[0].map(map_pieces.spectrum, pieces)
    assert list(parallel) == list(serial) == list(pieces)
    for label, piece in serial.items():
        for key, array in piece.items():
            assert parallel[label][key].dtype == array.dtype
            assert parallel[label][key].tobytes() == array.tobytes(), (label, key)
    assert stacked(parallel.values())["row"].shape == (4, 96)


def test_each_process_has_its_share_of_the_cores():
    two = LocalWorkers(2)
    try:
        pieces = {f"{i}": (0.1,) for i in range(4)}
        found = stacked(context_with(two)[0].map(map_pieces.process, pieces).values())
    finally:
        two.close()
    assert len(set(found["process"].tolist())) == 2
    assert os.getpid() not in found["process"]
    assert set(found["threads"].tolist()) == {max(1, cores() // 2)}
    assert not any(alive(process) for process in found["process"].tolist())


def test_what_pieces_tell_appears_here(workers):
    context, text = context_with(workers, line_period=0.0)
    context.map(map_pieces.told, {name: (context, name, 3) for name in ("a", "b")})
    lines = text.getvalue().splitlines()
    assert {"a begins", "b begins"} <= set(lines)
    assert any(line.startswith("a 3/3, ") and line.endswith("step 2") for line in lines)
    assert any(line.startswith("pieces 2/2, ") for line in lines)


def test_all_pieces_share_one_display_on_a_terminal(workers):
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, force_jupyter=False, width=120)
    context = Context(console=console, workers=workers)
    context.map(map_pieces.told, {name: (context, name, 3) for name in ("a", "b")})
    assert text.getvalue().count("\x1b[?25h") == 1  # the cursor is shown again when a display ends
    assert "pieces" in text.getvalue()


def test_a_killed_process_costs_one_piece_that_is_computed_again(tmp_path):
    two = LocalWorkers(2)
    context, text = context_with(two)
    try:
        found = context.map(map_pieces.killed_once, {f"{i}": (tmp_path, i) for i in range(4)})
    finally:
        two.close()
    assert [int(piece["x"]) for piece in found.values()] == [0, 1, 2, 3]
    assert "warning: a process ended at `1` (by SIGKILL" in text.getvalue()


def test_a_piece_that_always_ends_its_process_is_one_error_and_the_rest_is_kept(tmp_path):
    two = LocalWorkers(2)
    kept = PieceStore(tmp_path / "pieces", {})
    context, _ = context_with(two, pieces=kept)
    try:
        context.map(map_pieces.killed_once, {"0": (tmp_path, 0)})
        with pytest.raises(UserError, match="`bad` has ended 3 processes, the last one by SIGKILL"):
            context.map(map_pieces.killed, {"bad": ()})
    finally:
        two.close()
    assert kept.load("0") is not None


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("user", UserError, "`length` must be positive, but is -1 m."),
        ("not finite", NonFiniteError, "`loss` must be finite, but is nan."),
        ("ours", ZeroDivisionError, "fault of ours"),
        ("odd", RuntimeError, "Locked: the door is locked"),
    ],
)
def test_the_error_of_a_piece_arrives_as_itself(workers, kind, error, text):
    with pytest.raises(error) as raised:
        context_with(workers)[0].map(map_pieces.failing, {"a": (kind,)})
    assert str(raised.value) == text
    # Where it happened is told too.
    assert "map_pieces.py" in str(raised.value.__cause__)


def test_the_workers_go_on_after_an_error(workers):
    with pytest.raises(UserError):
        context_with(workers)[0].map(map_pieces.failing, {"a": ("user",)})
    found = context_with(workers)[0].map(map_pieces.process, {"b": (0.0,)})
    assert found["b"]["process"] != os.getpid()


def test_saved_pieces_are_not_computed_again(workers, tmp_path):
    first, _ = context_with(workers, pieces=PieceStore(tmp_path / "p", {}))
    some = first.map(map_pieces.process, {"a": (0.0,)})
    again, text = context_with(workers, pieces=PieceStore(tmp_path / "p", {}))
    both = again.map(map_pieces.process, {"b": (0.0,), "a": (0.0,)})
    assert list(both) == ["b", "a"]
    np.testing.assert_array_equal(both["a"]["process"], some["a"]["process"])
    assert "a: taken from the interrupted run" in text.getvalue()


def test_a_function_that_cannot_be_sent_is_refused_even_without_workers():
    with pytest.raises(TypeError, match="`function` must be a function of a module"):
        Context().map(lambda: {}, {"a": ()})


def test_arguments_that_cannot_be_sent_are_named(workers):
    with pytest.raises(TypeError, match=r"`process` and its arguments must be picklable"):
        context_with(workers)[0].map(map_pieces.process, {"a": (lambda: 0,)})


ORPHANS = """
import sys
from experiments.harness.context import Context
from experiments.harness.jobs import LocalWorkers
from tests.experiments import map_pieces
context = Context(workers=LocalWorkers(2))
context.map(map_pieces.process, {"a": (0.0,), "b": (0.0,)}, on_piece=lambda found: print(
    *(int(piece["process"]) for piece in found.values()), flush=True))
context.map(map_pieces.endless, {name: (sys.argv[1], name) for name in "cd"})
"""


def test_workers_end_with_a_command_that_is_killed(tmp_path):
    command = subprocess.Popen(
        [sys.executable, "-c", ORPHANS, tmp_path], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    command.stdout.readline()
    processes = [int(word) for word in command.stdout.readline().split()]
    for _ in range(6000):  # both are busy
        if len(list(tmp_path.iterdir())) == 2:
            break
        time.sleep(0.01)
    assert all(alive(process) for process in processes)
    command.kill()
    command.communicate(timeout=20)
    for _ in range(200):
        if not any(alive(process) for process in processes):
            return
        time.sleep(0.05)
    pytest.fail("a worker outlives its command")


_ASKS = """
from multiprocessing import resource_tracker
from experiments.harness.context import Context
from experiments.harness.jobs import LocalWorkers
from tests.experiments.map_pieces import blocked_signals

resource_tracker.ensure_running()  # which otherwise lets signals through, as it happens
workers = LocalWorkers(1)
print(Context(workers=workers).map(blocked_signals, {"all": ()})["all"]["numbers"].tolist())
workers.close()
"""


def test_a_worker_blocks_no_signal():
    call = [sys.executable, "-c", _ASKS]
    run = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "[]", run.stderr


DESERTED = """
import os
from multiprocessing import Pipe
from experiments.harness.jobs import _serve
theirs, ours = Pipe()
theirs.close()
_serve(ours, dict(os.environ))
"""


def test_a_worker_whose_command_has_ended_while_it_started_is_silent():
    done = subprocess.run(
        [sys.executable, "-c", DESERTED], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
