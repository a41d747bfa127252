from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.networks.output_codes import (
    decode_hard,
    decode_soft,
    direct_code,
    least_length,
    make_output_code,
    minimum_distance,
    n_correctable,
    one_vs_rest_code,
)

KEY = jax.random.key(0)


def test_1623_classes_need_eleven_binary_sub_tasks():
    assert least_length(1623) == 11
    assert [least_length(c) for c in (2, 3, 4, 5, 2048, 2049)] == [1, 2, 2, 3, 11, 12]
    assert [least_length(c, 3) for c in (3, 4, 9, 10)] == [1, 2, 2, 3]


def test_all_omniglot_words_differ_at_the_shortest_length():
    code = make_output_code(1623, 11, key=KEY, n_trials=1)
    assert code.shape == (1623, 11)
    assert len(np.unique(code, axis=0)) == 1623


def brute_distance(code):
    return min(int(np.sum(a != b)) for a, b in combinations(code, 2))


@pytest.mark.parametrize(("n_classes", "length", "n_symbols"), [(10, 9, 2), (20, 40, 2), (7, 4, 3)])
def test_distance_is_that_of_all_pairs(n_classes, length, n_symbols):
    code = make_output_code(n_classes, length, key=KEY, n_symbols=n_symbols, n_trials=4)
    assert minimum_distance(code) == brute_distance(code) > 0
    assert set(np.unique(code)) <= set(range(n_symbols))
    assert np.all(np.ptp(code, axis=0) > 0)


def test_the_search_finds_the_known_best_linear_codes():
    # Sixteen words: Hamming (7, 4) has distance 3, its extension 4, the simplex code of length 15 has 8.
    # One draw in 330 is the extension, so 2000 miss it with probability 0.002.
    for length, distance in ((7, 3), (8, 4), (15, 8)):
        assert minimum_distance(make_output_code(16, length, key=KEY, n_trials=2000)) == distance


def test_sub_tasks_of_a_block_are_all_different():
    code = make_output_code(16, 15, key=KEY, n_trials=2)
    split = np.unique(np.where(code[0] == 1, 1 - code, code).T, axis=0)
    assert len(split) == 15


@pytest.mark.parametrize("n_symbols", [2, 3])
def test_every_pattern_of_correctable_mistakes_is_corrected(n_symbols):
    code = make_output_code(6, 9, key=KEY, n_symbols=n_symbols)
    wrong = n_correctable(code)
    assert wrong >= 1
    for places in combinations(range(9), wrong):
        read = code.copy()
        read[:, places] = (read[:, places] + 1) % n_symbols
        np.testing.assert_array_equal(
            decode_hard(jnp.asarray(code), jnp.asarray(read)), np.arange(6)
        )


def test_one_mistake_more_can_fail():
    code = make_output_code(6, 9, key=KEY)
    a, b = min(combinations(range(6), 2), key=lambda p: int(np.sum(code[p[0]] != code[p[1]])))
    read = code[a].copy()
    places = np.flatnonzero(code[a] != code[b])[: n_correctable(code) + 1]
    read[places] = code[b][places]
    distance = np.sum(read != code, axis=1)
    assert distance[b] <= distance[a]


def test_a_tie_goes_to_the_lowest_class():
    assert int(decode_hard(jnp.asarray(one_vs_rest_code(4)), jnp.zeros(4, int))) == 0


def test_soft_decoding_sums_the_log_probabilities_of_the_word():
    code = make_output_code(5, 6, key=KEY, n_symbols=3, n_trials=2)
    random = np.random.default_rng(1).normal(size=(2, 4, 6, 3))
    expected = np.array(
        [[[sum(p[b, code[c, b]] for b in range(6)) for c in range(5)] for p in q] for q in random]
    )
    got = decode_soft(jnp.asarray(code), jnp.asarray(random))
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-13)  # sums of six doubles


def test_sure_and_equal_probabilities_decode_softly_as_hard():
    code = make_output_code(20, 12, key=KEY)
    symbols = np.random.default_rng(2).integers(0, 2, (50, 12))
    # Scores then count the agreements, up to one factor and one offset.
    log_p = jnp.log(np.where(symbols[..., None] == np.arange(2), 0.9, 0.1))
    soft = jnp.argmax(jnp.round(decode_soft(jnp.asarray(code), log_p), 9), axis=-1)
    np.testing.assert_array_equal(soft, decode_hard(jnp.asarray(code), jnp.asarray(symbols)))


def test_one_vs_rest_and_direct_codes():
    assert minimum_distance(one_vs_rest_code(7)) == 2
    assert minimum_distance(direct_code(7, 3)) == 3
    np.testing.assert_array_equal(direct_code(3, 2), [[0, 0], [1, 1], [2, 2]])


def test_the_key_decides_the_code():
    a, b, c = (make_output_code(10, 8, key=jax.random.key(k), n_trials=3) for k in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: make_output_code(1623, 10, key=KEY),
            "`length` must be at least 11 to tell 1623 classes apart with 2 symbols, but is 10",
        ),
        (lambda: make_output_code(1, 3, key=KEY), "`n_classes` must be at least 2, but is 1"),
        (lambda: least_length(3, 1), "`n_symbols` must be at least 2, but is 1"),
        (lambda: make_output_code(4, 3, key=KEY, n_trials=0), "`n_trials` must be at least 1"),
        (
            lambda: decode_hard(jnp.asarray(one_vs_rest_code(3)), jnp.zeros((2, 4), int)),
            "`symbols` must have last axes",
        ),
        (
            lambda: decode_soft(jnp.asarray(one_vs_rest_code(3)), jnp.zeros((2, 4, 2))),
            "`log_probabilities` must have 3 sub-tasks, but has 4",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
