"""Scenes of real digits, and questions about them: what stands in which cell.

A scene is a grid of cells, each with a handwritten digit of 8 x 8 pixels (scikit-learn's, E. Alpaydin and C. Kaynak,
UCI 1998) or nothing. A question is one token, the place of a cell; its answer one token, the digit, or `EMPTY`. Scenes
for testing are drawn from digits that no training scene holds.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from experiments.data import datasets

# Answers are 0 to 9, and this where the cell is empty; tokens of places follow.
EMPTY = 10
FIRST_PLACE = 11
CELL = 8  # pixels along a side of a digit


class Scenes(NamedTuple):
    """Scenes with questions.

    Attributes:
        images: Pictures, grey values in [0, 1].
        tokens: Place, answer, place, answer ...; no place twice in a row.
    """

    images: Float[np.ndarray, "scenes y x 1"]
    tokens: Int[np.ndarray, "scenes tokens"]


def vocabulary(grid: int) -> int:
    """Tokens there are."""
    return FIRST_PLACE + grid**2


def draw_scenes(
    n_scenes: int, grid: int, n_questions: int, share_empty: float, *, test: bool, seed
) -> Scenes:
    """Draws scenes and questions.

    Args:
        n_scenes: Scenes.
        grid: Cells along a side.
        n_questions: Questions about each scene, each about another cell.
        share_empty: Probability that a cell is empty.
        test: Whether digits are those kept for testing.
        seed: What `numpy.random.default_rng` takes.
    """
    digits = datasets.load("digits")
    pictures, labels = (digits.x_test, digits.y_test) if test else (digits.x_train, digits.y_train)
    rng = np.random.default_rng(seed)
    shown = rng.integers(len(labels), size=(n_scenes, grid**2))
    empty = rng.random(shown.shape) < share_empty
    cells = np.where(empty[..., None, None], 0, pictures[shown])
    answers = np.where(empty, EMPTY, labels[shown])
    rows = cells.reshape(n_scenes, grid, grid, CELL, CELL).transpose(0, 1, 3, 2, 4)
    images = rows.reshape(n_scenes, grid * CELL, grid * CELL, 1).astype(np.float32)
    places = rng.permuted(np.tile(np.arange(grid**2), (n_scenes, 1)), axis=1)[:, :n_questions]
    tokens = np.empty((n_scenes, 2 * n_questions), np.int32)
    tokens[:, ::2] = FIRST_PLACE + places
    tokens[:, 1::2] = np.take_along_axis(answers, places, 1)
    return Scenes(images, tokens)
