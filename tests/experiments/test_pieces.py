"""Pieces of every experiment can be sent to another process, which `--jobs` and `--cluster` need."""

import importlib
from pathlib import Path

import pytest

from experiments.command import registry
from experiments.harness import relay
from experiments.harness.context import Context

ROOT = Path(__file__).parents[2]


class _Sent(Exception):
    """The first pieces were packed; nothing is computed."""


class _Packs(Context):
    def map(self, function, pieces, on_piece=None):
        for arguments in pieces.values():
            relay.pack(function, arguments)
        raise _Sent

    def sub_run(self, label, compute):
        raise _Sent  # a piece that stands alone comes first; it is never sent


MAPPING = [
    name
    for name in registry.names()
    if ".map(" in (ROOT / f"{registry.module_path(name).replace('.', '/')}.py").read_text("utf-8")
]


@pytest.mark.parametrize("name", MAPPING)
def test_pieces_are_picklable(name):
    module = importlib.import_module(registry.module_path(name))
    with pytest.raises(_Sent):
        module.run(module.SCALES["quick"], _Packs())
