"""The code of the page on checkpoints runs as it stands, and prints what it should."""

import re

import pytest
from source_tree import ROOT

pytest.importorskip("fsspec", reason="fsspec comes with the extra `checkpoint`")


def _block(number):
    page = (ROOT / "docs" / "guide" / "checkpoints.md").read_text("utf-8")
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)[number]


def test_a_store_keeps_names_apart_and_reads_parts(capsys):
    exec(compile(_block(0), "checkpoints.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "b'pieces' crc32:4673bdd2",
        "FileExistsError",
    ]
