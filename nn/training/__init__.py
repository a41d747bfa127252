"""How every learning system is trained and measured: one loop, its optimiser, its batches, losses sample by sample."""

# Order of dependency, which ruff would sort away.
# ruff: noqa: RUF022
from nn.training.loop import adamw, draw_rows, draw_windows, train
from nn.training.supervised import cross_entropy, evaluate, next_token_loss

__all__ = [
    "adamw",
    "draw_rows",
    "draw_windows",
    "train",
    "cross_entropy",
    "evaluate",
    "next_token_loss",
]
