"""How every learning system is trained and measured: one loop, its optimiser, its batches, losses sample by sample."""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from nn.training.saves import Saves
from nn.training.loop import Trained, adamw, draw_rows, draw_windows, train
from nn.training.supervised import cross_entropy, evaluate, next_token_loss

__all__ = [
    "Saves",
    "Trained",
    "adamw",
    "draw_rows",
    "draw_windows",
    "train",
    "cross_entropy",
    "evaluate",
    "next_token_loss",
]
