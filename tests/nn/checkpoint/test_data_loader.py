"""Packed streams whose number of readers changes: every token once, those of a sample together and in order."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn.checkpoint.data_loader import as_state, from_leaves, make_readers, reshard, take_row
from nn.checkpoint.load import load
from nn.checkpoint.save import save

N_SAMPLES = 60
LENGTHS = np.random.default_rng(0).integers(1, 23, N_SAMPLES)


def sample(number):
    """Tokens that say which sample they are of, and where in it."""
    return None if number >= N_SAMPLES else 100 * number + np.arange(LENGTHS[number])


EVERYTHING = sorted(token for i in range(N_SAMPLES) for token in sample(i))


def run(readers, n_rows, length=8):
    """Rows of all readers, and the readers after them."""
    rows, after = [], []
    for reader, n in zip(readers, n_rows, strict=True):
        for _ in range(n):
            row, reader = take_row(reader, sample, length)
            if row is not None:
                rows.append(row)
        after.append(reader)
    return rows, tuple(after)


def in_order(tokens):
    """Whether what is seen of each sample is a stretch of it."""
    by_sample = {}
    for token in tokens:
        by_sample.setdefault(token // 100, []).append(token % 100)
    return all(seen == list(range(seen[0], seen[0] + len(seen))) for seen in by_sample.values())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 5)), min_size=1, max_size=4))
def test_no_token_is_lost_or_seen_twice_however_often_the_readers_change(stages):
    readers, seen = make_readers(stages[0][0]), []
    for count, n in stages:
        readers = reshard(readers, count)
        # Readers are not at the same place: as many rows more as their rank.
        rows, readers = run(readers, [n + rank % 3 for rank in range(count)])
        seen += [token for row in rows for token in row]
    rows, readers = run(readers, [200] * len(readers))
    seen += [token for row in rows for token in row]
    left = [token for reader in readers for token in reader.tokens]
    assert all(reader.tokens.size < 8 for reader in readers)
    assert sorted([*seen, *left]) == EVERYTHING
    assert Counter(seen).most_common(1)[0][1] == 1


def test_four_to_two_to_eight_keeps_samples_whole_and_in_order(tmp_path):
    readers, streams = make_readers(4), []
    for number, (count, n_rows) in enumerate([(4, [3, 1, 2, 2]), (2, [4, 1]), (8, [100] * 8)]):
        save(tmp_path / str(number), {"loader": as_state(readers)}, fsync=False, wait=True)
        readers = from_leaves(load(tmp_path / str(number), at="['loader']"), count)
        assert len(readers) == count
        for rank in range(count):
            rows, (after,) = run([readers[rank]], [n_rows[rank]])
            streams.append(np.concatenate([*rows, np.zeros(0, int)]))
            readers = (*readers[:rank], after, *readers[rank + 1 :])
    left = [token for reader in readers for token in reader.tokens]
    seen = np.concatenate(streams).tolist()
    assert sorted(seen + left) == EVERYTHING
    assert all(in_order(stream) for stream in streams)
    assert seen != sorted(seen)


def test_the_same_number_of_readers_goes_on_bit_by_bit(tmp_path):
    _, readers = run(make_readers(3), [2, 4, 1])
    save(tmp_path / "a", {"loader": as_state(readers), "w": np.zeros(3)}, fsync=False, wait=True)
    again = from_leaves(load(tmp_path / "a", at="['loader']"))
    ours, theirs = run(readers, [5, 5, 5])[0], run(again, [5, 5, 5])[0]
    assert [row.tolist() for row in ours] == [row.tolist() for row in theirs]
    assert again[0].tokens.dtype == readers[0].tokens.dtype
    assert all(
        (a.next, a.frontier) == (b.next, b.frontier) for a, b in zip(again, readers, strict=True)
    )


def test_new_readers_have_nearly_the_same_to_do():
    _, readers = run(make_readers(8), [0, 1, 2, 3, 0, 1, 2, 3])
    found = reshard(readers, 3)
    backlogs = [reader.backlog.size for reader in found]
    assert max(backlogs) - min(backlogs) <= 1
    assert sum(reader.tokens.size for reader in found) == sum(r.tokens.size for r in readers)


def test_a_reader_that_is_missing_is_told():
    readers = make_readers(3)
    with pytest.raises(ValueError, match=r"all of one run in order, but are the ranks \[0, 2\]"):
        reshard((readers[0], readers[2]), 2)
    with pytest.raises(ValueError, match=r"\"\['readers'\]\[0\]\['next'\]\" is missing"):
        from_leaves({"['count']": 1, "['frontier']": 0})
    with pytest.raises(ValueError, match="`count` must be at least 1"):
        reshard(readers, 0)
    with pytest.raises(ValueError, match="`length` must be at least 1"):
        take_row(readers[0], sample, 0)
