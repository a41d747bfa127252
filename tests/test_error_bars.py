import numpy as np
import pytest

from tests.exact import (
    errors_by_hand,
    errors_of_experiments_by_hand,
    errors_of_noise_by_hand,
)

CASES = (
    *errors_by_hand.CASES,
    *errors_of_noise_by_hand.CASES,
    *errors_of_experiments_by_hand.CASES,
)


def name_of(function) -> str:
    """Last part of the module and the name in it, `statistics.DecayFit.time_constant`: it survives a move."""
    inner = getattr(function, "fget", function)
    return f"{inner.__module__.rpartition('.')[2]}.{inner.__qualname__}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: name_of(case.of))
def test_the_error_of_two_or_three_numbers_is_the_one_by_hand(case):
    # A few roundings; fits by iteration stop at 1e-8.
    np.testing.assert_allclose(case.error(), case.expected, rtol=1e-6, atol=1e-12)
