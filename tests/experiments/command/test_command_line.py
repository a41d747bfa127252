"""What a user may type, see and break, in one process; `tests/experiments/test_main.py` has the rest."""

import dataclasses
import io
import json
import re
import sys
from pathlib import Path

import pytest

from experiments.__main__ import main, undotted
from experiments.command import commands, provenance
from tests.experiments.pendulum import Config


@dataclasses.dataclass(frozen=True)
class Optics:
    """Panel.

    Attributes:
        pixels: Pixels a side.
    """

    pixels: int = 32


@dataclasses.dataclass(frozen=True)
class WithParts(Config):
    """Pendulums seen by a camera.

    Attributes:
        camera: Measures through a camera.
        optics: The panel.
    """

    camera: bool = True
    optics: Optics = dataclasses.field(default_factory=Optics)


@pytest.fixture
def parts(registered, monkeypatch):
    monkeypatch.setattr(registered, "Config", WithParts)
    monkeypatch.setattr(registered, "SCALES", {"quick": WithParts(), "laptop": WithParts(seed=1)})


def stored_config():
    (path,) = Path("results/pendulum").glob("[!.]*/config.json")
    return json.loads(path.read_text())["config"]


def test_the_version_is_told(cli):
    import lightecho

    assert cli("--version") == (0, f"lightecho {lightecho.__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shwo"], "no command `shwo`; did you mean `show`?"),
        (["xyzzy"], "known are list, run, bench, checkpoint, show"),
        (["pendulum"], "did you mean `lightecho run pendulum`?"),
        (["run", "pendulum", "--scale", "quik"], "no scale `quik`; did you mean `quick`?"),
        (
            ["run", "pendulum", "--seed", "-1"],
            "`seed` must lie between 0 and 4294967295, but is -1",
        ),
        (["run", "pendulum", "--seed", "4294967296"], "`seed` must lie between 0 and 4294967295"),
        (["run", "pendulum", "--lengths"], "`lengths` must have at least one entry, but is empty"),
        (["run", "pendulum", "--stand.height", "1"], "stand.height"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(cli, words, said):
    code, out, err = cli(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_fields_of_fields_are_taken_as_results_show_them():
    config = WithParts()
    words = [
        "--optics.pixels",
        "64",
        "--config.optics.pixels=64",
        "--seed",
        "1",
        "--optics.colour",
        "2.5",
    ]
    assert undotted(words, config) == [
        "--pixels", "64", "--pixels=64", "--seed", "1", "--optics.colour", "2.5",
    ]  # fmt: skip


def test_a_dotted_option_and_both_words_of_a_switch_reach_the_run(cli, parts):
    _, out, _ = cli("run", "pendulum", "--help")
    assert re.search(r"--camera, --no-camera\s.*Measures through a camera\.", out, re.S)
    assert "--no-force" not in out
    assert cli("run", "pendulum", "--optics.pixels", "64", "--no-camera")[0] == 0
    assert stored_config()["optics"] == {"pixels": 64}
    assert stored_config()["camera"] is False


def test_brackets_in_what_is_printed_are_text(cli, registered, monkeypatch):
    note = "in [0, 1], not [/red]"
    first, second, _ = registered.REFERENCES
    references = (first, dataclasses.replace(second, note=note))
    monkeypatch.setattr(registered, "REFERENCES", references)
    assert note in cli("run", "pendulum")[1]
    for words in (["show", "pendulum"], ["compare"], ["compare", "--markdown"]):
        code, out, _ = cli(*words)
        assert (code, note in out) == (0, True)


def test_an_output_that_takes_ascii_only_gets_words_for_signs(cli, monkeypatch):
    cli("run", "pendulum")
    sink = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(sink, encoding="ascii", write_through=True))
    assert main(["show", "pendulum"]) == 0
    assert "+- 0.001" in sink.getvalue().decode("ascii")
    assert "sigma" in sink.getvalue().decode("ascii")


def test_a_narrow_terminal_keeps_words_whole(cli, monkeypatch):
    cli("run", "pendulum")
    monkeypatch.setattr(commands, "NARROW", 1000)
    _, out, _ = cli("show", "pendulum")
    assert "\nperiod.2m\n  paper unknown\n  ours 2.8" in out


def test_a_long_table_is_cut_and_says_where_the_rest_is(cli, monkeypatch):
    monkeypatch.setattr(commands, "MOST_ROWS", 1)
    _, out, _ = cli("run", "pendulum", "--lengths", "1", "3", "4", "5")
    assert "period.3m" in out
    assert "period.5m" not in out
    assert "2 more numbers: lightecho show pendulum --full" in out
    assert "period.5m" in cli("show", "pendulum", "--full")[1]


def test_one_damaged_result_costs_no_command_and_is_named(cli):
    cli("run", "pendulum")
    cli("run", "pendulum", "--seed", "1")
    damaged = sorted(Path("results/pendulum").glob("*/metrics.json"))[0]
    damaged.write_text('{"experiment": "pendulum"}')
    for words in (
        ["report"], ["info"], ["compare"], ["show", "pendulum"], ["show", "pendulum", "--all"],
        ["run", "pendulum", "--seed", "2"],
    ):  # fmt: skip
        code, _, err = cli(*words)
        assert code == 0, words
        assert f"lightecho: warning: Cannot read {damaged}: it lacks `digest`" in err


def test_a_result_of_other_code_is_told_when_it_is_used_and_verified(cli, monkeypatch):
    cli("run", "pendulum")
    cli("verify", "--accept", "--reason", "first measurement")
    assert "other code" not in "".join(cli("run", "pendulum")[1:])
    monkeypatch.setattr(provenance, "code_fingerprint", lambda: "0123456789ab")
    for words in (["run", "pendulum"], ["verify"]):
        code, _, err = cli(*words)
        assert code == 0
        assert re.search(r"made by other code \(fingerprint \w+, now 0123456789ab\); --force", err)


def test_info_denies_no_data_set_that_it_lists(cli, monkeypatch, tmp_path):
    monkeypatch.delenv("LIGHTECHO_DATA", raising=False)
    _, out, _ = cli("info")
    assert "There is no data set" not in out
    assert re.search(r"data fashion_and_mnist +not found; downloaded when", out)
    assert re.search(r"data omniglot +Omniglot is not downloaded: put", out)
