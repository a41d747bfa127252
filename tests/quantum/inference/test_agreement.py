import numpy as np
import pytest

from quantum.inference.agreement import agreement_limit, share_caught, squared_pulls

MEANS = np.random.default_rng(0).uniform(-0.9, 0.9, 40)


def test_equal_devices_have_a_mean_square_pull_of_one():
    found = squared_pulls(MEANS, MEANS, 1000, 200, seed=1)
    assert found.shape == (200, 40)
    # 8000 values of chi^2_1, each of variance 2: 1 +- 0.016.
    assert found.mean() == pytest.approx(1, abs=5 * 0.016)


def test_a_difference_grows_in_proportion_to_the_shots():
    means = [
        squared_pulls(MEANS, MEANS + 0.05, shots, 200, seed=2).mean() for shots in (1_000, 100_000)
    ]
    # (0.05)^2 / (2 (1 - m^2) / shots) on top of 1.
    wanted = 0.05**2 / 2 * np.mean(1 / (1 - (MEANS + 0.025) ** 2)) * 100_000
    assert means[1] - 1 == pytest.approx(wanted, rel=0.05)
    assert (means[1] - 1) / (means[0] - 1) == pytest.approx(100, rel=0.1)


def test_where_all_shots_agree_nothing_is_divided_by_zero():
    assert squared_pulls(np.ones(3), np.ones(3), 10, 2, seed=0).max() == 0


def test_the_limit_is_passed_by_its_share_of_equal_devices():
    found = squared_pulls(MEANS, MEANS, 10_000, 2000, seed=3)
    # 1 % of 2000 is 20 +- 4.4.
    assert 1 - share_caught(found, agreement_limit(40)) == pytest.approx(0.99, abs=5 * 0.0022)
    assert agreement_limit(1, 0.5) == pytest.approx(0.4549, abs=1e-4)  # median of chi^2_1


def test_shares_are_counted_over_repeats():
    z_squared = np.array([[[0.0, 2.0], [4.0, 2.0]], [[5.0, 5.0], [9.0, 1.0]]])
    np.testing.assert_array_equal(share_caught(z_squared, 2.0), [0.5, 1.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: squared_pulls(MEANS, MEANS, 0, 2, seed=0), "`shots` must be at least 1"),
        (lambda: agreement_limit(0), "`n_numbers` must be at least 1"),
        (lambda: agreement_limit(3, 1.5), "`share` must lie between"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
