"""Attention and linear recurrences as functions of arrays: plain references, and fast forms that agree with them."""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from nn.kernels.attention import dense_attention, visible
from nn.kernels.delta_rule import gated_delta_rule
from nn.kernels.delta_rule_chunked import gated_delta_rule_chunked
from nn.kernels.online_attention import online_attention
from nn.kernels.selection import selected_mask
from nn.kernels.block_attention import BranchSizes, block_mixture_attention, keys_of_blocks
from nn.kernels.indexed_attention import index_scores, select_keys

__all__ = [
    "dense_attention",
    "visible",
    "gated_delta_rule",
    "gated_delta_rule_chunked",
    "online_attention",
    "selected_mask",
    "BranchSizes",
    "block_mixture_attention",
    "keys_of_blocks",
    "index_scores",
    "select_keys",
]
