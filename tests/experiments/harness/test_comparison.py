import io

import pytest
from rich.console import Console

from experiments.harness.comparison import (
    Row,
    compare,
    first_rows,
    format_number,
    html_table,
    markdown_table,
    rich_table,
    text_rows,
)
from experiments.harness.measurement import Measurement, Reference


def paper(value, uncertainty=None, comparable=True, note="", name="a"):
    return Reference(name, value, uncertainty, "%", "Fig. 2d", "table", comparable, note)


def test_errors_of_both_sides_add_in_quadrature():
    # 5 / sqrt(3^2 + 4^2) = 1
    row = Row("a", Measurement(95.0, 3.0, "%"), paper(90.0, 4.0))
    assert row.sigma == pytest.approx(1.0, rel=1e-15)
    assert row.ratio == pytest.approx(95 / 90, rel=1e-15)


def test_difference_is_negative_where_ours_is_below():
    assert Row("a", Measurement(80.0, None, "%"), paper(90.0, 5.0)).sigma == pytest.approx(-2.0)


def test_no_stated_error_gives_no_sigma():
    row = Row("a", Measurement(80.0, None, "%"), paper(90.0))
    assert row.sigma is None
    assert "no error given" in row.cells()


def test_a_value_the_paper_does_not_give_is_unknown_and_has_no_ratio():
    row = Row("a", Measurement(80.0, 1.0, "%"), paper(None, None, False, "not stated"))
    assert row.cells() == ("a", "unknown", "80.0 ± 1.0 %", "", "", "no: not stated")


def test_what_does_not_compare_has_neither_ratio_nor_sigma():
    row = Row("a", Measurement(80.0, 1.0, "%"), paper(90.0, 1.0, False, "other data"))
    assert (row.ratio, row.sigma) == (None, None)
    assert row.cells() == ("a", "90.0 ± 1.0 %", "80.0 ± 1.0 %", "", "", "no: other data")


def test_equal_repeats_are_told_from_a_value_measured_once():
    twice = Measurement(80.0, 0.0, "%", 2)
    assert format_number(twice) == "80 % (no spread in 2)"
    assert format_number(Measurement(80.0, None, "%")) == "80 %"
    assert Row("a", twice, paper(90.0)).cells()[4] == "no spread in 2"


def test_a_published_zero_has_no_ratio():
    assert Row("a", Measurement(1.0, 1.0, "%"), paper(0.0, 1.0)).ratio is None


def test_every_metric_and_every_reference_gets_one_row():
    rows = compare(
        {"b": Measurement(1.0, unit="%"), "a": Measurement(2.0, unit="%")},
        [paper(1.0), paper(1.0, name="c")],
    )
    assert [row.name for row in rows] == ["b", "a", "c"]
    assert rows[2].cells()[2] == "not run at this scale"
    published = compare({"b": Measurement(1.0, unit="%")}, [paper(1.0)], only_published=True)
    assert [row.name for row in published] == ["a"]


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (86.5123, 0.4211, "86.51 ± 0.42 %"),
        (86.5123, 4.211, "86.5 ± 4.2 %"),
        (86.5123, 42.11, "87 ± 42 %"),
        (86.5123, 0.01, "86.512 ± 0.010 %"),
        (86.5123, None, "86.51 %"),
        (1.5e6, 2.0e4, "(1.5e+06 ± 2e+04) %"),
        (1.0e-6, 2.0e-8, "(1e-06 ± 2e-08) %"),
    ],
)
def test_a_value_is_shown_to_two_digits_of_its_error(value, error, shown):
    assert format_number(Measurement(value, error, "%")) == shown


def test_html_escapes_what_notes_contain_and_names_the_place():
    shown = html_table([Row("a", None, paper(1.0, None, False, "<script>"))])
    assert "<script>" not in shown
    assert 'title="Fig. 2d, table"' in shown


def test_markdown_escapes_the_column_mark():
    assert "x \\| y" in markdown_table([Row("a", None, paper(1.0, None, False, "x | y"))])


def test_a_long_table_keeps_published_rows_open_and_folds_the_rest():
    metrics = {f"extra{i}": Measurement(1.0) for i in range(60)} | {"known": Measurement(2.0)}
    reference = Reference("known", 2.0, None, "", "Table 1", "table", True)
    page = html_table(compare(metrics, (reference,)))
    before, folded = page.split("<details>")
    assert "known" in before
    assert "60 more measurements" in folded
    assert "extra59" in folded
    assert "extra0" not in before


def test_brackets_are_text_in_the_terminal_s_table():
    text = io.StringIO()
    note = "values in [0, 1] and [/red]"
    row = Row(
        "phase[0]", Measurement(1.0, None, "%"), paper(1.0, None, False, note, name="phase[0]")
    )
    Console(file=text, width=200).print(rich_table([row], title="[bold] scale"))
    for shown in ("[bold] scale", "phase[0]", note):
        assert shown in text.getvalue()


def test_a_narrow_terminal_has_lines_folded_between_words():
    note = "number of classes and data split of the paper are unknown"
    row = Row(
        "accuracy.in_silico.depth2", Measurement(80.0, 1.0, "%"), paper(90.0, 1.0, False, note)
    )
    lines = text_rows([row], 40)
    assert lines[0] == "accuracy.in_silico.depth2"
    assert lines[1:3] == ["  paper 90.0 ± 1.0 %", "  ours 80.0 ± 1.0 %"]
    assert all(len(line) <= 40 for line in lines)
    assert f"comparable no: {note}" in " ".join(" ".join(lines).split())


def test_published_rows_stay_when_a_table_is_cut():
    metrics = {f"m{i}": Measurement(float(i), unit="%") for i in range(9)}
    rows = compare(metrics, [paper(1.0, name="m8"), paper(2.0, name="absent")])
    assert [row.name for row in first_rows(rows, 2)] == ["m0", "m1", "m8", "absent"]
