import numpy as np
import pytest

from quantum.inference.maxima import most_prominent


def test_the_maximum_rises_most_over_what_surrounds_it():
    # Heights 3, 5 and 4 over the higher valley beside them, where higher ground or the end of the curve follows.
    values = np.array([0.0, 3, 2, 5, 1, 4, 1.5])
    at = np.linspace(0, 6, 7)
    assert most_prominent(at, values, 0.1) == (3.0, 4.0)
    assert most_prominent(at, values, 0.1, near=(6.0, 1.5)) == (5.0, 2.5)
    assert most_prominent(at, values, 0.1, near=(1.0, 0.0)) == (1.0, 1.0)


def test_what_does_not_stand_out_is_none():
    at = np.linspace(0, 1, 5)
    assert most_prominent(at, 1 - at, 0.0) is None
    bump = np.array([0.0, 0.2, 0, 0, 0])
    assert most_prominent(at, bump, 0.3) is None
    assert most_prominent(at, bump, 0.1, near=(1.0, 0.5)) is None


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="`values` must"):
        most_prominent(np.arange(3.0), np.array([0.0, np.nan, 0.0]), 0.1)
