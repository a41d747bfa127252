import numpy as np
import pytest

from experiments.harness.errors import NonFiniteError
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from tests.experiments.pendulum import Config


def outcome(metrics, references=(), arrays=None):
    return Outcome("pendulum", Config(), metrics, arrays or {}, references)


def test_standard_error_of_repeats_is_the_textbook_value():
    # Samples 1, 2, 3, 4: mean 2.5, variance with n - 1 is 5/3, so the error is sqrt(5/12).
    measured = Measurement.from_samples([1, 2, 3, 4], "%")
    assert measured.value == 2.5
    assert measured.stderr == pytest.approx(np.sqrt(5 / 12), rel=1e-15)
    assert measured.sd == pytest.approx(np.sqrt(5 / 3), rel=1e-15)
    assert (measured.unit, measured.n) == ("%", 4)


def test_one_sample_has_no_standard_error():
    assert Measurement.from_samples([3.0]).stderr is None


def test_array_scalars_become_plain_numbers():
    measured = Measurement(np.float32(0.5), np.float64(0.1), "", np.int64(3))
    assert [type(v) for v in (measured.value, measured.stderr, measured.n)] == [float, float, int]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_metric_that_is_not_finite_is_named(bad):
    with pytest.raises(NonFiniteError, match=r"`accuracy\.ffm` of pendulum .* value"):
        outcome({"fine": Measurement(1.0), "accuracy.ffm": Measurement(bad)})
    with pytest.raises(NonFiniteError, match=r"`accuracy\.ffm` of pendulum .* stderr"):
        outcome({"accuracy.ffm": Measurement(1.0, bad)})


def test_a_reference_in_another_unit_is_refused():
    reference = Reference("accuracy", 0.9, None, "", "Fig. 1", "table", True)
    with pytest.raises(ValueError, match=r"`accuracy` must have one unit.*'%'.*''"):
        outcome({"accuracy": Measurement(90.0, unit="%")}, (reference,))


def test_a_reference_that_is_not_comparable_says_why():
    with pytest.raises(ValueError, match="`note`"):
        Reference("accuracy", 0.9, None, "", "Fig. 1", "table", False)


def test_arrays_that_would_need_pickles_are_refused():
    with pytest.raises(TypeError, match="`curve`"):
        outcome({}, arrays={"curve": np.array([{}], dtype=object)})


def test_an_outcome_shows_its_table_and_figure_in_jupyter(registered):
    shown = registered.run(Config())._repr_html_()
    assert shown.startswith(
        '<img alt="pendulum: Period (s) against Length (m) (paper)" src="data:image/png;base64,iVBOR'
    )
    assert "period.1m" in shown
    assert "long &amp; &lt;far&gt; away" in shown


def test_markdown_and_terminal_tables_have_a_row_for_each_metric_and_reference(registered):
    result = registered.run(Config())
    assert len(result.markdown().splitlines()) == 2 + 3
    assert result.table().row_count == 3
