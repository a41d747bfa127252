"""Tokenizers that come with weights: of a `tokenizer.json`, or out of the entries of a GGUF file.

Both give a `tokenizers.Tokenizer`: `encode(text).ids` and `decode(ids)`. A GGUF file holds the tokens and merges of a
byte-pair encoding (R. Sennrich et al., arXiv 1508.07909), and the name of the rule that first cuts the text into words;
the rules are code, and an unknown one is refused, for it would give tokens the model was not trained on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nn.weights.tensor_file import check_sha256, import_package, open_path

# Types of a token (ggml, `token_type`).
_CONTROL, _USER_DEFINED = 3, 4


def read_tokenizer(path: Path | str, *, sha256: str | None = None) -> Any:
    """The tokenizer of a `tokenizer.json`, without the cutting and filling of texts that the file may ask for.

    Args:
        path: The file.
        sha256: Digest that it must have; None does not ask.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If the package `tokenizers` is missing.
        ValueError: If it cannot be read, or has another digest.
    """
    path = open_path(path)
    package = import_package("tokenizers")
    if sha256 is not None:
        check_sha256(path, sha256)
    try:
        tokenizer = package.Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:  # the package raises Exception itself
        raise ValueError(
            f"`path` must be a tokenizer.json, but {path} is none: {error}."
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def gguf_tokenizer(entries: Mapping[str, Any]) -> Any:
    """The tokenizer of a GGUF file; adds no token of its own at the beginning or end.

    Args:
        entries: `metadata` of the file.

    Raises:
        ModuleNotFoundError: If the package `tokenizers` is missing.
        ValueError: If the file has none, or one of a kind that is not known here.
    """
    package = import_package("tokenizers")
    kind, rule = (entries.get(f"tokenizer.ggml.{name}") for name in ("model", "pre"))
    byte_level = package.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = package.pre_tokenizers.Digits(individual_digits=True)
    rules = {
        "gpt-2": byte_level,
        "smollm": package.pre_tokenizers.Sequence([digits, byte_level]),
    }
    if kind != "gpt2" or rule not in rules:
        raise ValueError(
            f"`entries` must describe a tokenizer of kind gpt2 that cuts words as {' or '.join(rules)}, but describe "
            f"the kind {kind} and the rule {rule}."
        )
    tokens = entries["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in entries["tokenizer.ggml.merges"]]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = package.Tokenizer(package.models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = rules[rule]
    tokenizer.decoder = package.decoders.ByteLevel()
    types = entries.get("tokenizer.ggml.token_type", [])
    special = [
        package.AddedToken(token, special=kind == _CONTROL, normalized=False)
        for token, kind in zip(tokens, types, strict=False)
        if kind in (_CONTROL, _USER_DEFINED)
    ]
    tokenizer.add_tokens(special)
    return tokenizer
