"""Real weights: files of named tensors, the models and tokenizers that packages bring, and how a model takes them.

The packages that read files (`safetensors`, `gguf`, `tokenizers`) come with the extra `models` and are imported where
they are first used.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from nn.weights.assign import AssignmentError, TensorSource, assign
from nn.weights.safetensors_file import read_safetensors
from nn.weights.packages import MINILM, MINILM_TOKENIZER, SMOLLM2, open_packaged
from nn.weights.tokenizer import gguf_tokenizer, read_tokenizer

__all__ = [
    "AssignmentError",
    "TensorSource",
    "assign",
    "read_safetensors",
    "MINILM",
    "MINILM_TOKENIZER",
    "SMOLLM2",
    "open_packaged",
    "gguf_tokenizer",
    "read_tokenizer",
]
