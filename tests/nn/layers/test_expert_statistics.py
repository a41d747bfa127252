import itertools

import numpy as np
import pytest

from nn.layers import expert_statistics as statistics

BATCHES = np.array([1, 4, 8, 16, 32, 64, 128])
# E[N] to one decimal by the closed form, evaluated elsewhere and confirmed by sampling.
TABLE = {
    (128, 8): (8, 29.1, 51.6, 82.4, 111.8, 125.9, 128.0),
    (256, 8): (8, 30.5, 57.4, 102.0, 163.3, 222.4, 251.6),
    (512, 10): (10, 38.8, 74.7, 138.6, 239.6, 367.1, 471.0),
}


@pytest.mark.parametrize("sizes", TABLE)
def test_the_table_of_large_models(sizes):
    np.testing.assert_allclose(
        statistics.expected_active(*sizes, BATCHES), TABLE[sizes], atol=0.0501
    )


def test_mean_and_variance_are_those_of_all_cases_counted():
    sets = list(itertools.combinations(range(5), 2))
    found = [len({*a, *b, *c}) for a, b, c in itertools.product(sets, repeat=3)]
    assert statistics.expected_active(5, 2, 3) == pytest.approx(np.mean(found), rel=1e-13)
    assert statistics.variance_active(5, 2, 3) == pytest.approx(np.var(found), rel=1e-12)


@pytest.fixture(scope="module")
def sampled():
    """Experts of 2000 batches of 16 tokens that choose 8 of 128."""
    rng = np.random.default_rng(3)
    keys = rng.random((2000 * 16, 128), np.float32)
    return np.argpartition(keys, 8, axis=-1)[:, :8].reshape(2000, 16, 8)


def test_sampling_agrees_within_three_standard_errors(sampled):
    n = statistics.count_active(sampled, 128)
    mean, variance = (
        f(128, 8, 16) for f in (statistics.expected_active, statistics.variance_active)
    )
    assert abs(n.mean() - mean) < 3 * np.sqrt(variance / len(n))
    # Var of a sample variance is 2 sigma^4 / (n - 1) for nearly normal counts.
    assert abs(n.var(ddof=1) - variance) < 3 * variance * np.sqrt(2 / (len(n) - 1))
    # Choosing with replacement, the usual shortcut, is refuted by the same sample.
    shortcut = 128 * (1 - (1 - 1 / 128) ** (8 * 16))
    assert abs(n.mean() - shortcut) > 10 * np.sqrt(variance / len(n))


def test_skewed_choices_agree_with_sampling_and_use_fewer():
    rng = np.random.default_rng(4)
    popular = np.linspace(0, 2, 12)
    # The k largest of popularity plus Gumbel noise: k different experts, some far more often than others.
    noise = rng.gumbel(size=(4000, 6, 12))
    choices = np.argpartition(-(popular + noise), 3, axis=-1)[..., :3]
    p = statistics.choice_shares(choices, 12)
    assert p.sum() == pytest.approx(3)
    assert p.max() > 2 * p.min()
    n = statistics.count_active(choices, 12)
    expected = statistics.expected_active_skewed(p, 6)
    assert abs(n.mean() - expected) < 3 * n.std() / np.sqrt(len(n))
    assert expected < statistics.expected_active(12, 3, 6) - 10 * n.std() / np.sqrt(len(n))
    np.testing.assert_allclose(
        statistics.expected_active_skewed(np.full(12, 0.25), np.array([1, 6])),
        statistics.expected_active(12, 3, np.array([1, 6])),
    )


def test_bounds_and_ends():
    for e, k in TABLE:
        expected = statistics.expected_active(e, k, BATCHES)
        assert (expected <= statistics.most_active(e, k, BATCHES) + 1e-9).all()
        assert (expected >= k - 1e-9).all()
        assert statistics.variance_active(e, k, 1) < 1e-9
        assert statistics.variance_active(e, k, np.arange(1, 300)).min() >= 0
    assert statistics.expected_active(7, 7, 3) == 7
    assert statistics.variance_active(7, 7, 3) == 0
    assert statistics.expected_active(1, 1, 2) == 1
    assert statistics.variance_active(1, 1, 2) == 0
    assert statistics.expected_active(8, 2, 0) == 0


def test_evenness_and_peak_of_a_load():
    assert statistics.load_evenness(np.array([3, 3, 3, 3])) == pytest.approx(1)
    assert statistics.load_evenness(np.array([0, 9, 0])) == 0
    assert statistics.load_evenness(np.array([1, 1, 0, 0])) == pytest.approx(0.5)
    assert statistics.load_evenness(np.array([4])) == 1
    assert statistics.load_peak(np.array([1, 2, 3, 6])) == pytest.approx(2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.expected_active(4, 5, 1), "`n_chosen` must lie between 1 and 4, but is 5"),
        (lambda: statistics.variance_active(4, 0, 1), "`n_chosen` must lie between 1 and 4, but is 0"),
        (lambda: statistics.most_active(4, 2, -1), "`n_tokens` must be at least 0, but is -1"),
        (
            lambda: statistics.expected_active_skewed(np.array([0.5, 0.9]), 1),
            "`probabilities` must sum to the experts .* but sum to 1.4",
        ),
        (
            lambda: statistics.expected_active_skewed(np.array([-0.5, 1.5]), 1),
            "`probabilities` must lie between 0 and 1, but that of expert 0 is -0.5",
        ),
        (
            lambda: statistics.choice_counts(np.array([[0, 3]]), 3),
            "`choices` must be numbers of experts, 0 to 2, but one is 3",
        ),
        (lambda: statistics.choice_counts(np.array([[0, 1, 2]]), 2), "`choices` must lie between 1 and 2"),
        (lambda: statistics.choice_shares(np.zeros((0, 1), int), 2), "`tokens` must be at least 1"),
        (lambda: statistics.load_peak(np.array([0, 0])), r"`counts` must be .* but are \[0, 0\]"),
    ],
)  # fmt: skip
def test_bad_numbers_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
