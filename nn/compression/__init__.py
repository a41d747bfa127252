"""Fewer bits: formats of four and eight, blocks with scales, rounding that keeps the outputs; fewer units or tokens.

Reading order: `formats` (codes), `packing`, `blocks` (NVFP4, MXFP4, integers), `gptq`, `awq`, `four_bit` (a map that
holds four bits), `activation_ranges`, `rptq` (activations), `bit_budget` (bits for each part); by themselves `novices`
(fewer experts), `joint_pruning` (units of several kinds), and fewer tokens of a picture: `pruned_prefill`,
`token_rules`, `token_budgets`.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from nn.compression.blocks import to_int4, to_mxfp4, to_nvfp4
from nn.compression.gptq import gptq, gram_matrix, output_error
from nn.compression.awq import awq

__all__ = [
    "to_int4",
    "to_mxfp4",
    "to_nvfp4",
    "gptq",
    "gram_matrix",
    "output_error",
    "awq",
]
