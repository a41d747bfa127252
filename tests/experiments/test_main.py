import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.__main__ import _interrupts_aside
from tests.experiments import pendulum
from tests.experiments.forked import Command

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from experiments.command import registry
registry.EXPERIMENTS = {"pendulum": "tests.experiments.pendulum"}
registry.BENCHMARKS = {}
from experiments.__main__ import main
sys.exit(main())
"""


def one_line(errors):
    assert errors.startswith("lightecho: ")
    assert errors.count("\n") == 1
    return errors


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "pendulun"], "no experiment `pendulun`; did you mean `pendulum`?"),
        (["run", "pendulum", "--lenghts", "1"], "--lenghts.* did you mean --lengths?"),
        (["run", "pendulum", "--pause", "x"], "--pause: .*'x'"),
        (["run", "pendulum", "--seed", "1.5"], "--seed: .*'1.5'"),
        (["run", "pendulum", "--fault", "other"], "invalid choice 'other' for argument '--fault'"),
        (["run", "pendulum", "--pause", "-1"], "`pause` must not be negative, but is -1 s"),
        (["run", "pendulum", "--gravity", "nan"], "finite"),
        (["run", "pendulum", "--fault", "boundary"], "`distance` must be positive"),
        (["run", "pendulum", "--scale", "huge"], "no scale `huge`; it has quick, laptop"),
        (["run", "pendulum", "--scale"], "no scale ``"),
        (["run", "pendulum", "--device", "tpu"], "invalid choice 'tpu' for argument '--device'"),
        (["run", "--scale", "quick", "pendulum"], "name of the experiment first"),
        (["run", "pendulum", "other"], "other"),
        (["bench", "pendulum"], "is an experiment"),
        (["shw", "pendulum"], "no command `shw`"),
        (["show"], "Missing from lightecho show: NAME"),
        (["show", "pendulum"], "no result in results yet"),
        (["show", "pendulun"], "did you mean `pendulum`"),
        (["show", "pendulum", "--jso"], "did you mean --json"),
        (["compare"], "no result in results yet"),
        (["verify", "pendulun"], "did you mean `pendulum`"),
        (["verify", "--accept"], "--reason"),
        (["run", "pendulum", "--jobs", "0"], "`--jobs` must be at least 1, but is 0"),
        (["run", "pendulum", "--jobs", "-3"], "`--jobs` must be at least 1, but is -3"),
        (["run", "pendulum", "--jobs", "two"], "--jobs: .*'two'"),
        (["run", "pendulum", "--jobs", "2", "--cluster", "tcp://x:1"], "leave one out"),
        (["run", "pendulum", "--cluster", "nonsense"], "`--cluster` must be the address of a Dask"),
    ],
)
def test_an_error_of_the_user_is_one_line_and_exit_code_2(cli, words, said):
    code, out, err = cli(*words)
    assert code == 2
    assert out == ""
    assert re.search(said, one_line(err))


def test_a_gpu_that_is_absent_is_one_line(cli):
    import jax

    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("there is a GPU here")
    code, _, err = cli("run", "pendulum", "--device", "gpu")
    assert code == 2
    assert "finds no gpu" in one_line(err)


def test_a_result_that_is_not_finite_stops_with_its_name(cli):
    code, _, err = cli("run", "pendulum", "--fault", "nan")
    assert code == 1
    assert "`period.1m` of pendulum must be finite" in one_line(err)


def test_a_training_that_diverges_is_one_line_with_the_step(cli):
    code, _, err = cli("run", "pendulum", "--fault", "diverge")
    assert code == 1
    assert "`loss` must be finite, but is not at step 7" in one_line(err)


def test_what_only_an_extra_brings_is_one_line(cli, monkeypatch):
    def run(config, context):
        raise ModuleNotFoundError("`diffrax` must be installed, but is missing.", name="diffrax")

    monkeypatch.setattr(pendulum, "run", run)
    code, _, err = cli("run", "pendulum")
    assert code == 2
    assert "`diffrax` must be installed" in one_line(err)


def test_a_fault_of_ours_keeps_its_traceback(cli):
    with pytest.raises(ValueError, match="not aligned"):
        cli("run", "pendulum", "--fault", "bug")


def test_a_full_disk_is_one_line(cli, monkeypatch):
    from experiments.command import storage
    from tests.experiments.command.test_storage import full_disk

    cli("run", "pendulum")
    monkeypatch.setattr(storage.os, "fsync", full_disk)
    code, _, err = cli("run", "pendulum", "--force")
    assert code == 2
    assert re.search(
        r"Cannot write results/pendulum/\S+: No space left", one_line(err.splitlines()[-1] + "\n")
    )


def test_run_prints_the_table_and_where_everything_is(cli, registered):
    code, out, _ = cli("run", "pendulum", "--lengths", "1", "4", "--seed", "7")
    assert code == 0
    for text in ("period.4m", "scale custom", "unknown"):
        assert text in out
    for line, name in zip(
        out.splitlines()[-3:], ("figure.png", "metrics.json", "report.html"), strict=True
    ):
        path = Path(line.split(maxsplit=1)[1])
        assert path.is_file()
        assert path.name == name
    (folder,) = Path("results/pendulum").iterdir()
    assert json.loads((folder / "config.json").read_text())["config"]["lengths"] == [1, 4]
    assert json.loads((folder / "config.json").read_text())["config"]["seed"] == 7


def test_a_second_run_uses_what_is_stored_and_force_does_not(cli, registered):
    cli("run", "pendulum", "--scale", "laptop")
    assert registered.COMPUTED == [1.0, 2.0, 4.0]
    _, out, _ = cli("run", "pendulum", "--scale=laptop")
    assert "--force computes it again" in out
    assert "scale laptop" in out
    assert registered.COMPUTED == [1.0, 2.0, 4.0]
    cli("run", "pendulum", "--scale", "laptop", "--force")
    assert len(registered.COMPUTED) == 6


def test_out_chooses_the_folder(cli, tmp_path):
    cli("run", "pendulum", "--out", tmp_path / "else where")
    assert (tmp_path / "else where" / "report.html").is_file()
    assert not Path("results").exists()
    assert cli("show", "pendulum", "--out", tmp_path / "else where")[0] == 0


def test_help_lists_each_field_with_its_text(cli):
    code, out, _ = cli("run", "pendulum", "--help")
    assert code == 0
    for text in ("--gravity", "Acceleration in m/s^2.", "(default: 9.81)", "--force", "--device"):
        assert text in out


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["bench", "--help"], ["show", "--help"]]
)
def test_every_command_explains_itself(cli, words):
    code, out, err = cli(*words)
    assert (code, err) == (0, "")
    assert "usage: lightecho" in out


def test_list_shows_claim_figure_and_times(cli, registered):
    _, out, _ = cli("list")
    for text in (registered.CLAIM, registered.PAPER_FIGURE, "quick: 1 s, laptop: 2 s"):
        assert text in out


def test_show_prints_json_that_a_script_can_read(cli):
    cli("run", "pendulum")
    cli("run", "pendulum", "--seed", "1")
    newest = json.loads(cli("show", "pendulum", "--json")[1])
    both = json.loads(cli("show", "pendulum", "--json", "--all")[1])
    assert newest == both[0]
    assert len(both) == 2
    older = json.loads(cli("show", "pendulum", "--json", "--digest", both[1]["digest"][:6])[1])
    assert older == both[1]
    assert "period.1m" in cli("show", "pendulum")[1]
    assert both[1]["digest"] in cli("show", "pendulum", "--all")[1]
    assert cli("show", "pendulum", "--digest", "zz")[0] == 2


def test_compare_leaves_out_what_the_paper_does_not_speak_of(cli):
    cli("run", "pendulum", "--lengths", "1", "3")
    _, out, _ = cli("compare")
    assert "period.1m" in out
    assert "unknown" in out
    assert "period.3m" not in out
    assert cli("compare", "pendulum", "--markdown")[1].startswith(
        "### pendulum (custom)\n\n| metric |"
    )


def test_verify_ends_with_1_where_numbers_differ_and_0_where_they_agree(cli, tmp_path):
    assert cli("verify")[0] == 1
    cli("run", "pendulum")
    assert cli("verify", "--accept", "--reason", "first measurement")[0] == 0
    assert cli("verify", "pendulum")[:2] == (0, "as accepted: pendulum\n")
    path = tmp_path / "accepted.json"
    path.write_text(path.read_text().replace('"tolerance": 0.5', '"tolerance": -1'))
    code, out, _ = cli("verify")
    assert code == 1
    assert out.startswith("pendulum: period.1m is 2.0")


def test_report_prints_its_path(cli):
    cli("run", "pendulum")
    assert cli("report")[1] == "results/report.html\n"


def test_info_names_versions_devices_and_data(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("LIGHTECHO_DATA", str(tmp_path))
    _, out, _ = cli("info")
    for text in ("jax", "device", "data digits", "no ", "mnist.npz"):
        assert text in out


def start(tmp_path, *words, **options):
    return Command(
        "run", "pendulum", "--lengths", "1", "2", "3", *words, folder=tmp_path, **options
    )


def wait_for_a_piece(tmp_path, process):
    for _ in range(12_000):
        if list(tmp_path.glob("results/pendulum/.*.pieces/*.npz")):
            return
        assert not process.ended(), process.errors()
        time.sleep(0.01)
    pytest.fail("no piece was saved within 120 s")


def is_that_of_one_process(tmp_path):
    """The stored result is whole, and that of a run without a stop: its noise depends on seed and length only."""
    record = json.loads(next(tmp_path.glob("results/pendulum/[!.]*/metrics.json")).read_text())
    whole = pendulum.run(pendulum.Config(lengths=(1.0, 2.0, 3.0)))
    assert {n: m["value"] for n, m in record["metrics"].items()} == {
        n: m.value for n, m in whole.metrics.items()
    }
    assert not list(tmp_path.glob("results/pendulum/.*"))


def test_side_by_side_a_killed_process_is_made_up_for_and_the_numbers_are_those_of_one(tmp_path):
    code, err = start(tmp_path, "--fault", "killed once", "--jobs", "2").finish(120)
    assert code == 0, err
    assert "warning: a process ended at `length 2` (by SIGKILL" in err
    assert "so far: 1 m swings in 2.00 s\nfigure  results/pendulum/." in err
    is_that_of_one_process(tmp_path)
    provenance = next(tmp_path.glob("results/pendulum/[!.]*/provenance.json"))
    assert json.loads(provenance.read_text())["workers"] == "2 processes"


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("killed", 2, "lightecho: `length 2` has ended 3 processes, the last one by SIGKILL"),
        ("limp", 1, "lightecho: `period` of a limp pendulum must be finite"),
    ],
)
def test_side_by_side_an_error_is_one_line_and_finished_pieces_are_kept(
    tmp_path, fault, code, said
):
    words = ("--fault", fault, "--jobs", "2", "--lengths", "1", "3", "2")
    found, err = start(tmp_path, *words).finish(120)
    assert found == code, err
    assert err.splitlines()[-1].startswith(said)
    assert "Traceback" not in err
    assert list(tmp_path.glob("results/pendulum/.*.pieces/length_1-*.npz"))


def descendants(process):
    lines = Path(f"/proc/{process}/task/{process}/children")
    found = [int(word) for word in lines.read_text().split()] if lines.exists() else []
    return found + [later for child in found for later in descendants(child)]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found by /proc")
def test_ctrl_c_leaves_pieces_and_no_process_behind(tmp_path):
    words = ("--jobs", "2", "--lengths", "1", "2", "3", "4", "--fault", "waiting")
    first = start(tmp_path, *words, own_server=True)
    wait_for_a_piece(tmp_path, first)
    left = descendants(first.pid)
    assert len(left) >= 2
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    code, err = first.finish(30)
    assert code == 130
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    for _ in range(500):
        if not any(Path(f"/proc/{process}").exists() for process in left):
            break
        time.sleep(0.02)
    else:
        pytest.fail("a process outlives the command")
    (tmp_path / "go-on").touch()
    code, err = start(tmp_path, *words).finish(120)
    assert code == 0, err
    assert re.search(r"length \d: taken from the interrupted run", err)
    assert not list(tmp_path.glob("results/pendulum/.*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_process_leaves_pieces_and_the_same_command_goes_on(tmp_path, number):
    words = ("--fault", "waiting")
    first = start(tmp_path, *words)
    wait_for_a_piece(tmp_path, first)
    first.send_signal(number)
    code, err = first.finish(20)
    assert "Traceback" not in err
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 128 + number
        assert (
            "the same command goes on from there: lightecho run pendulum --lengths 1 2 3 --fault waiting"
            in err
        )
    assert not list(tmp_path.glob("results/pendulum/[!.]*"))
    (tmp_path / "go-on").touch()
    code, err = start(tmp_path, *words).finish(60)
    assert code == 0, err
    assert "length 1: taken from the interrupted run" in err
    is_that_of_one_process(tmp_path)


def test_an_interrupt_that_something_swallows_comes_again(tmp_path):
    words = ("--fault", "deaf")
    first = start(tmp_path, *words)
    for _ in range(3000):
        if (tmp_path / "killed-once").exists():
            break
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    code, err = first.finish(20)
    assert code == 130
    assert "swallowed" in err
    assert "the same command goes on from there" in err


def test_an_interrupt_where_nothing_can_be_raised_is_no_traceback():
    shown = []
    aside = _interrupts_aside(shown.append)
    for kind in (KeyboardInterrupt, ValueError):
        aside(SimpleNamespace(exc_type=kind))
    assert [what.exc_type for what in shown] == [ValueError]


def test_an_error_is_one_plain_line_on_a_narrow_coloured_terminal(tmp_path):
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 30, 50, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "run", "pendulum", "--pause", "x"],
        cwd=tmp_path, stdout=theirs, stderr=theirs,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
    )  # fmt: skip
    assert process.wait(timeout=30) == 2
    shown = os.read(ours, 10000).decode()
    os.close(ours)
    os.close(theirs)
    assert shown == (
        "lightecho: Error parsing --pause: could not convert string to float: 'x'; "
        "see `lightecho run pendulum --help`.\r\n"
    )


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    command = f"{sys.executable} -c '{PROGRAM}' list | true"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
