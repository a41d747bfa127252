"""The roofline: bytes and operations of a step of a decoder, and the time that a described chip takes for it.

Reading order: `chip`, `conventions` (what is counted), `mixers`, `sparse_mixers`, `feeds`, `models`, `steps`, `rates`;
`counted` is what they are held to, `published` has sizes of models.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from nn.roofline.chip import Chip, EDGE_CHIP, read_chip
from nn.roofline.conventions import Conventions
from nn.roofline.models import ModelCost, describe
from nn.roofline.steps import step
from nn.roofline.rates import crossover_batch, prefill, speculative_rate
from nn.roofline.counted import count_bytes, count_products

__all__ = [
    "Chip",
    "EDGE_CHIP",
    "read_chip",
    "Conventions",
    "ModelCost",
    "describe",
    "step",
    "crossover_batch",
    "prefill",
    "speculative_rate",
    "count_bytes",
    "count_products",
]
