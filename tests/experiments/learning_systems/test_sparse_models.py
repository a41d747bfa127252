import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.learning_systems.sparse_models import (
    TASKS,
    Sizes,
    make_model,
    make_texts,
)

SIZES = Sizes(length=16, width=8, heads=2, hidden=8, k=16, block=4, n_mixed=2, index_dim=4)


def test_every_answer_stands_in_the_text_once_more():
    texts = make_texts(60, SIZES, 0)
    marks, start = {8, 9}, 10
    for tokens, counts, task in zip(*texts, strict=True):
        places = np.flatnonzero(counts) + 1
        if TASKS[task] == "needle":
            assert places.tolist() == [13, 15]
            assert {*tokens[places - 1]} == marks
            for place in places:
                first = np.flatnonzero(tokens == tokens[place - 1])
                assert len(first) == 2
                assert tokens[first[0] + 1] == tokens[place] < 8
        elif TASKS[task] == "recall":
            pairs = dict(zip(tokens[0:8:2], tokens[1:8:2], strict=True))
            assert len(pairs) == 4
            assert places.tolist() == [9, 11, 13, 15]
            assert [pairs[tokens[p - 1]] for p in places] == tokens[places].tolist()
        else:
            assert tokens[0] == tokens[8] == start
            assert places.tolist() == [*range(9, 16)]
            np.testing.assert_array_equal(tokens[places], tokens[places - 8])
    assert np.bincount(texts.task).tolist() == [20, 20, 20]
    assert not np.array_equal(make_texts(60, SIZES, 1).tokens, texts.tokens)


def test_needles_do_not_fall_on_each_other_and_lie_anywhere_before_the_questions():
    sizes = Sizes(length=32)
    texts = make_texts(1200, sizes, 0)
    needles = texts.tokens[texts.task == 0]
    # 4 marks from 16 on; the last 8 tokens ask for them.
    marked = (needles[:, :24] >= 16) & (needles[:, :24] < 20)
    assert (marked.sum(axis=1) == 4).all()
    assert not (marked[:, 1:] & marked[:, :-1]).any()
    assert marked[:, :23].any(axis=0).all()
    assert not marked[:, 23].any()


def test_a_vector_tells_its_token_and_the_one_before_and_no_other():
    embedding = make_model("dense", SIZES, jax.random.key(0)).embedding
    tokens = np.random.default_rng(0).integers(0, 8, (1, 16)).astype(np.int32)
    other = tokens.copy()
    other[0, 5] = (other[0, 5] + 1) % 8
    vectors = np.asarray(embedding(jnp.asarray(tokens)))
    change = abs(np.asarray(embedding(jnp.asarray(other))) - vectors).max(axis=(0, 2))
    assert np.flatnonzero(change).tolist() == [5, 6]
    np.testing.assert_array_equal(vectors[0, 0], np.asarray(embedding.weight)[tokens[0, 0]])


def test_keys_that_the_last_token_reads():
    # NSA: 4 compressed keys, 2 blocks of 4, a window of 4.
    kinds = {"dense": 16, "index": 16, "blocks": 8, "branches": 16}
    assert {kind: SIZES.keys_read(kind) for kind in kinds} == kinds


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="`length` must be a multiple of 4, but is 18"):
        Sizes(length=18)
    with pytest.raises(ValueError, match="`n_steps` must be above `n_sparse`, 100, but is 100"):
        Sizes(n_steps=100)
