import numpy as np
import pytest

from experiments.learning_systems.byte_ngrams import count_ngrams

SHARES = np.array([0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02])


def _independent(seed):
    letters = np.frombuffer(b"abcdefgh", np.uint8)
    return np.random.default_rng(seed).choice(letters, size=4000, p=SHARES)


TEXT = _independent(0)


def test_a_small_text_has_the_probabilities_of_the_formula():
    text = np.frombuffer(b"ababac", np.uint8)
    # Pairs: ab 2, ba 2, ac 1; one of them once, two twice: D = 1 / 5. Before each of a, b, c stands one kind of byte;
    # no count of order 1 is 2, so D = 1 there, and p_1 is 3 / 3 of 1 / 256.
    grams = count_ngrams(text, 2)
    p = {}
    for pair in ("ab", "ac", "aa", "ba", "xa"):
        (p[pair],) = grams.probabilities(np.frombuffer(pair.encode(), np.uint8), 1)
    assert p["ab"] == pytest.approx((2 - 0.2) / 3 + 0.2 * 2 / 3 / 256)
    assert p["ac"] == pytest.approx((1 - 0.2) / 3 + 0.2 * 2 / 3 / 256)
    assert p["aa"] == pytest.approx(0.2 * 2 / 3 / 256)
    assert p["ba"] == pytest.approx((2 - 0.2) / 2 + 0.2 * 1 / 2 / 256)
    assert p["xa"] == pytest.approx(1 / 256)


@pytest.mark.parametrize("order", [1, 3, 8])
def test_probabilities_of_all_bytes_sum_to_one(order):
    grams = count_ngrams(TEXT, order)
    for context in (
        b"abacabad"[: order - 1],
        b"zzzzzzzz"[: order - 1],
        b"\xff\x00\xffabab"[: order - 1],
    ):
        texts = [np.frombuffer(context + bytes([last]), np.uint8) for last in range(256)]
        total = sum(float(grams.probabilities(text, order - 1)[0]) for text in texts)
        assert total == pytest.approx(1, abs=1e-12)


def test_of_independent_bytes_a_longer_context_gains_nothing():
    fresh = _independent(1)
    bits = [
        -np.log2(count_ngrams(TEXT, order).probabilities(fresh, 7)).mean() for order in (2, 4, 8)
    ]
    entropy = -np.sum(SHARES * np.log2(SHARES))
    # 56 free numbers learned from 4,000 bytes cost about 56 / (2 ln 2 4000) = 0.01 bits.
    assert entropy - 0.05 < bits[0] < entropy + 0.05
    assert bits[0] < bits[1] < bits[2]


def test_orders_and_texts_out_of_range_are_named():
    with pytest.raises(ValueError, match="`order` must lie between 1 and 8, but is 9"):
        count_ngrams(TEXT, 9)
    with pytest.raises(ValueError, match="`text` must have more than 3 bytes, but has 3"):
        count_ngrams(TEXT[:3], 3)
    with pytest.raises(ValueError, match="`first` must be at least 2, but is 1"):
        count_ngrams(TEXT, 3).probabilities(TEXT, 1)
