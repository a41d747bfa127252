"""`lightecho checkpoint`, in this process: what is printed, and the exit codes."""

import json

import numpy as np
import pytest

from experiments.__main__ import main
from experiments.command import checkpoints
from nn.checkpoint.load import load
from nn.checkpoint.save import save
from nn.checkpoint.series import Series
from nn.checkpoint.storage import open_store

STATE = {"w": np.arange(6.0).reshape(2, 3), "name": "run", "f": np.cos}


@pytest.fixture
def path(tmp_path):
    save(tmp_path / "a", STATE, step=3, wait=True, fsync=False)
    return str(tmp_path / "a")


def lines(capsys, *words):
    code = main(["checkpoint", *words])
    out, err = capsys.readouterr()
    return code, [*out.splitlines(), *err.splitlines()]


def test_inspect_shows_tensors_values_and_files(path, capsys):
    open_store(path).write("notes.txt", [b"mine"])
    code, shown = lines(capsys, "inspect", path, "--chunks")
    assert code == 0
    assert shown[0].startswith(f"{path}, step 3, written by")
    assert shown[1] == "1 tensors, 48 B in 1 file of 1 writer"
    text = "\n".join(shown)
    for word in ("['w']", "float64", "(2, 3)", "['name'] = 'run' (str)", "['f'] is ", "crc32"):
        assert word in text
    assert "notes.txt belongs to nothing" in shown


def test_inspect_gives_the_manifest_as_it_is(path, capsys):
    assert main(["checkpoint", "inspect", path, "--json"]) == 0
    assert capsys.readouterr().out.encode() == open_store(path).read("manifest.json")


def test_inspect_lists_a_series(tmp_path, capsys):
    series = Series(tmp_path, fsync=False)
    for step in (1, 2):
        series.save(STATE, step, score=step / 2, wait=True)
    code, shown = lines(capsys, "inspect", str(tmp_path))
    assert code == 0
    assert shown[1:] == ["step_00000001: 48 B, score 0.5", "step_00000002: 48 B, score 1"]
    main(["checkpoint", "inspect", str(tmp_path), "--json"])
    assert json.loads(capsys.readouterr().out)[1] == {"step": 2, "score": 1.0}


def test_verify_ends_with_one_where_a_byte_is_changed(path, capsys):
    assert lines(capsys, "verify", path) == (
        0,
        ["every byte is as written: 1 tensors, 48 B in 1 file"],
    )
    data = bytearray(open_store(path).read("data/00000.bin"))
    data[17] ^= 4
    open_store(path).write("data/00000.bin", [data])
    code, (told,) = lines(capsys, "verify", path)
    assert code == 1
    assert told.startswith(
        "data/00000.bin, byte 17 (tensor ['w']): bit 2 is flipped, in element (0, 2)"
    )


def test_reshard_writes_as_many_files_as_asked(path, tmp_path, capsys):
    to = str(tmp_path / "b")
    code, (told,) = lines(capsys, "reshard", path, to, "--writers", "2", "--chunk-mib", "0.00001")
    assert (code, told) == (0, f"{to}: 2 files, 6 chunks, 48 B")
    np.testing.assert_array_equal(load(to)["['w']"], STATE["w"])


def test_convert_to_safetensors_and_back(path, tmp_path, capsys):
    pytest.importorskip("safetensors")
    file, back = str(tmp_path / "w.safetensors"), str(tmp_path / "back")
    assert lines(capsys, "convert", path, file)[0] == 0
    assert lines(capsys, "convert", file, back) == (0, [f"{file} is now also {back}"])
    assert load(back)["['name']"] == "run"


def test_what_goes_wrong_is_told_in_one_line(path, tmp_path, capsys):
    nowhere = str(tmp_path / "nowhere")
    for words, told in (
        (("inspect", nowhere), f"lightecho: there is no checkpoint at {nowhere}."),
        (("reshard", path, path), "lightecho: `path` must be free, but"),
        (("reshard", path, nowhere, "--chunk-mib", "0"), "lightecho: `chunk_mib` must be positive"),
        (("convert", path, nowhere), "lightecho: one of PATH and TARGET must end in .safetensors"),
        (("convert", path, f"{nowhere}.safetensors", "--vew"), "lightecho: Unrecognized options"),
        (
            ("verifies", path),
            "lightecho: There is no `checkpoint verifies`; did you mean `verify`?",
        ),
    ):
        code, shown = lines(capsys, *words)
        assert (code, len(shown)) == (2, 1)
        assert shown[0].startswith(told)
    open_store(path).remove("manifest.json")
    code, (told,) = lines(capsys, "inspect", path)
    assert code == 2
    assert "is not finished" in told


def test_usage_and_help_name_all_commands(capsys):
    code, (usage,) = lines(capsys)
    assert code == 2
    assert all(name in usage for name in checkpoints.COMMANDS)
    assert main(["checkpoint", "convert", "--help"]) == 0
    assert "--leave-out" in capsys.readouterr().out
