"""Pieces that a test hands to an experiment, to see what it makes of them without any training.

That trainings come to their numbers is held by the quick runs, against what was accepted; what `run` counts, averages,
pairs and draws is held better by pieces that are known.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.harness.context import Context


class Given(Context):
    """Takes every piece from `make`, called with its label and its arguments, and computes none."""

    def __init__(self, make: Callable[..., Mapping[str, Any]], **options):
        super().__init__(**options)
        self._make = make

    def map(self, function, pieces, on_piece=None):
        found = {}
        for label, rest in pieces.items():
            found[label] = _arrays(self._make(label, *rest))
            if on_piece:
                on_piece(dict(found))
        return found

    def sub_run(self, label, compute):
        return _arrays(self._make(label))


def _arrays(piece: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in piece.items()}


def rng(label: str) -> np.random.Generator:
    """The same draws for a label in every run."""
    return np.random.default_rng(list(label.encode()))
