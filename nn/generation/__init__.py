"""Text out of a model: how a token is drawn, and the loop that reads and writes."""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from nn.generation.sampling import make_sampling, restrict, sample
from nn.generation.decoding import generate

__all__ = [
    "make_sampling",
    "restrict",
    "sample",
    "generate",
]
