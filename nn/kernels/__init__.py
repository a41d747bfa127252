"""Attention as functions of arrays: who sees whom, the plain reference, and fast forms that agree with it."""

# Order of dependency, which ruff would sort away.
# ruff: noqa: RUF022
from nn.kernels.attention import dense_attention, masked_softmax, visible
from nn.kernels.online_attention import online_attention
from nn.kernels.pallas_attention import pallas_attention

__all__ = [
    "visible",
    "masked_softmax",
    "dense_attention",
    "online_attention",
    "pallas_attention",
]
