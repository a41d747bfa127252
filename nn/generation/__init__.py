"""Text out of a model: how a token is drawn, and the loop that reads and writes."""

# Order of dependency, which ruff would sort away.
# ruff: noqa: RUF022
from nn.generation.decoding import Generated, generate
from nn.generation.sampling import Sampling, make_sampling, restrict, sample

__all__ = ["Sampling", "make_sampling", "restrict", "sample", "Generated", "generate"]
