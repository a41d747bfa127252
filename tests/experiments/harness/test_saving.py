"""Trainings inside pieces go on after a kill, to the same bits; where `--save-every` means nothing that is said."""

import ast
import json
import re
import signal
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from experiments.command import registry
from experiments.command.storage import Store
from experiments.harness.errors import UserError
from experiments.harness.saving import parse
from tests.experiments import descent
from tests.experiments.forked import Command

ROOT = Path(__file__).parents[3]


def result(folder):
    """Metrics and arrays of the one result; nothing else may be left."""
    (found,) = (folder / "results" / "descent").iterdir()
    arrays = np.load(found / "arrays.npz")
    metrics = json.loads((found / "metrics.json").read_text())["metrics"]
    return metrics, {name: arrays[name].tobytes() for name in arrays.files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The result of a run that nobody saved or stopped."""
    folder = tmp_path_factory.mktemp("whole")
    code, err = Command("run", "descent", folder=folder).finish(120)
    assert code == 0, err
    return result(folder)


def begun(folder):
    """Trainings of the second piece that there are states of; the first piece is whole, and its states are gone."""
    (pieces,) = folder.glob("results/descent/.*.pieces")
    assert len(list(pieces.glob("start_1-*.npz"))) == 1
    (piece,) = pieces.glob("trainings/*/*")
    return len(list(piece.iterdir()))


def test_a_killed_training_goes_on_in_its_middle_to_the_same_bits(tmp_path, whole):
    words = ("run", "descent", "--stop", "kill", "--save-every", "8")
    code, err = Command(*words, folder=tmp_path).finish(120)
    assert code == -signal.SIGKILL, err
    assert begun(tmp_path) == 2
    code, err = Command(*words, folder=tmp_path).finish(120)
    assert code == 0, err
    went_on(err)
    assert result(tmp_path) == whole


def test_side_by_side_another_process_goes_on_with_the_training(tmp_path, whole):
    words = ("run", "descent", "--stop", "kill", "--save-every", "8", "--jobs", "2")
    code, err = Command(*words, folder=tmp_path).finish(120)
    assert code == 0, err
    went_on(err)
    assert result(tmp_path) == whole


def went_on(err):
    assert "descent: goes on from step 40 of 40" in err
    # The state of step 16 may be in the middle of being written when the kill comes.
    assert re.search("descent: goes on from step (8|16) of 40", err)


def test_a_training_stopped_by_an_error_waits_for_its_last_state(cli, tmp_path):
    registry.EXPERIMENTS["descent"] = "tests.experiments.descent"
    words = ("run", "descent", "--stop", "error", "--save-every", "8")
    code, _, err = cli(*words)
    assert (code, begun(tmp_path)) == (1, 2), err
    code, _, err = cli(*words)
    assert (code, "descent: goes on from step 16 of 40" in err) == (0, True)
    first = result(tmp_path)
    assert cli(*words, "--force", "--save-every", "1000s")[0] == 0  # stops no second time
    assert result(tmp_path) == first


def test_another_source_and_a_forced_run_begin_anew(tmp_path):
    places = [
        Store(tmp_path).pieces("descent", descent.Config(), code, force).states()
        for code in ("one", "two")
        for force in (False, True)
    ]
    assert len(set(places)) == 4
    assert parse("5", places[0]).of_piece("a") != parse("5", places[0]).of_piece("b")


def test_what_is_no_number_of_steps_or_seconds_is_told():
    assert (parse("500", ROOT).steps, parse("500", ROOT).seconds) == (500, None)
    assert (parse("2.5s", ROOT).steps, parse("2.5s", ROOT).seconds) == (None, 2.5)
    for text in ("0", "-3", "often", "2.5", "nans", "infs", "s"):
        with pytest.raises(UserError, match="`--save-every` must be a number of steps"):
            parse(text, ROOT)


def test_where_it_means_nothing_is_told(cli):
    code, _, err = cli("run", "pendulum", "--save-every", "10")
    assert code == 2
    assert err.startswith(
        "lightecho: `--save-every` means nothing for pendulum, which has no training"
    )
    registry.EXPERIMENTS["descent"] = "tests.experiments.descent"
    code, _, err = cli("run", "descent", "--save-every", "10", "--cluster", "tcp://127.0.0.1:1")
    assert (code, err.count("\n")) == (2, 1)
    assert "workers of `--cluster` may not see them" in err
    assert cli("run", "descent", "--save-every", "x")[0] == 2


@cache
def taken(module):
    """Modules that one imports from, and the names."""
    path = ROOT / f"{module.replace('.', '/')}.py"
    tree = ast.parse(path.read_text(encoding="utf-8") if path.exists() else "")
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return [(node.module or "", each.name) for node in nodes for each in node.names]


def stands_on(module):
    """Modules of experiments that one stands on, itself among them."""
    found, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name not in found and name.startswith("experiments"):
            found.add(name)
            todo += [
                place for source, each in taken(name) for place in (source, f"{source}.{each}")
            ]
    return found


def test_experiments_that_train_say_so_and_train_by_the_harness():
    for name in registry.names():
        modules = stands_on(registry.module_path(name))
        trains = "experiments.harness.training" in modules
        assert registry.summary(name).saves_trainings == trains, name
        for module in modules - {"experiments.harness.training"}:
            assert ("nn.training", "train") not in taken(module), module


def test_the_guide_names_those_that_train():
    text = (ROOT / "docs" / "guide" / "command_line.md").read_text(encoding="utf-8")
    told = text.split("the experiments that train by `nn.training`:")[1].split("It is refused")[0]
    named = {name for name in registry.names() if f"`{name}`" in told}
    assert named == {name for name in registry.names() if registry.summary(name).saves_trainings}
