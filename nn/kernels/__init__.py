"""Attention and linear recurrences as functions of arrays: plain references, and fast forms that agree with them."""

# Order of dependency, which ruff would sort away.
# ruff: noqa: RUF022
from nn.kernels.attention import dense_attention, masked_softmax, visible
from nn.kernels.block_attention import BranchSizes, block_mixture_attention, keys_of_blocks
from nn.kernels.delta_rule import gated_delta_rule
from nn.kernels.delta_rule_chunked import gated_delta_rule_chunked
from nn.kernels.indexed_attention import index_scores, select_keys
from nn.kernels.online_attention import online_attention
from nn.kernels.pallas_attention import pallas_attention
from nn.kernels.selection import selected_mask

__all__ = [
    "visible",
    "masked_softmax",
    "dense_attention",
    "online_attention",
    "pallas_attention",
    "gated_delta_rule",
    "gated_delta_rule_chunked",
    "selected_mask",
    "index_scores",
    "select_keys",
    "BranchSizes",
    "block_mixture_attention",
    "keys_of_blocks",
]
