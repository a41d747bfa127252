"""The code of the page on checkpoints runs as it stands, and prints what it should."""

import re

import pytest
from source_tree import ROOT

fsspec = pytest.importorskip("fsspec", reason="fsspec comes with the extra `checkpoint`")


def test_the_code_of_the_page_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "guide" / "checkpoints.md").read_text("utf-8")
    names = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(code, "checkpoints.md", "exec"), names)
    fsspec.filesystem("memory").store.clear()
    assert capsys.readouterr().out.splitlines() == [
        "{'layers': [{'weight': array([[1., 1., 1.],",
        "       [1., 1., 1.]], dtype=float32)}], 'rate': 0.1}",
        "[200, 300] 300 []",
        "ValueError",
        "True",
        "[(\"['layers'][0]['weight']\", 'float32', '(2, 3)', 24, 1, '')]",
        "b'pieces'",
        "FileExistsError",
    ]
