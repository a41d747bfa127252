import numpy as np
import pytest

from quantum.inference.measured_curve import MeasuredCurve, read_curve


def _write(tmp_path, text):
    path = tmp_path / "curve.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_are_found_by_name_in_any_order(tmp_path):
    path = _write(
        tmp_path,
        "# toluene\nvalue, standard_error,note,time_s\n1,0.01,a,0\n\n0.9,0.02,b,3.75e-4\n",
    )
    curve = read_curve(path)
    np.testing.assert_array_equal(curve.times, [0, 3.75e-4])
    np.testing.assert_array_equal(curve.values, [1, 0.9])
    np.testing.assert_array_equal(curve.standard_errors, [0.01, 0.02])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_s,value\n0,1\n", "`columns` must include .* lacks standard_error; .* time_s, value"),
        ("", "lacks time_s, value, standard_error; its first line holds nothing"),
        ("# x\ntime_s,value,standard_error\n0,one,0.1\n", "`value` must be a number, but line 3"),
        ("time_s,value,standard_error\n0,1\n", "`standard_error` must be a number, but line 2"),
        ("time_s,value,standard_error\n-1e-3,1,0.1\n", "`times` must not be negative, .* -0.001 s"),
        ("time_s,value,standard_error\n1,1,0.1\n1,1,0.1\n", "`times` must rise"),
        ("time_s,value,standard_error\n0,1,0\n", "`standard_errors` must be positive"),
        ("time_s,value,standard_error\n0,nan,0.1\n", "`values` must be finite"),
        ("time_s,value,standard_error\n", "`times` must hold at least one point"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_curve(_write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="`path` must be a readable CSV file"):
        read_curve(tmp_path / "none.csv")


def test_a_curve_made_in_memory_is_checked_alike():
    with pytest.raises(ValueError, match="`times` must rise"):
        MeasuredCurve(np.array([1.0, 0.5]), np.ones(2), np.ones(2))
