import inspect

from plain_docstrings import convert, escape


def shown(text):
    return convert(inspect.cleandoc(text).splitlines())


def test_formulas_keep_their_marks():
    assert escape("|u|^2 and T^* of a_j, x_ (`name`)") == r"\|u\|^2 and T^\* of a_j, x\_ (``name``)"


def test_letters_after_code_do_not_undo_it():
    assert escape("`cirq.Qid`s") == r"``cirq.Qid``\ s"
    assert escape("`twin`, `bench`; (`chip`)") == "``twin``, ``bench``; (``chip``)"


def test_an_indented_block_is_shown_as_it_stands():
    lines = shown("""
        The map

            T = |u|^2 *
                 + 1
        is symmetric in |u|.
        """)
    assert lines == [
        "The map",
        "",
        "::",
        "",
        "    T = |u|^2 *",
        "         + 1",
        "",
        r"is symmetric in \|u\|.",
    ]


def test_a_list_after_text_is_a_list_with_its_hanging_lines():
    lines = shown("""
        Two:
        - one
          goes on
        - two
        """)
    assert lines == ["Two:", "", "- one", "  goes on", "- two"]


def test_sections_are_left_to_napoleon():
    lines = shown("""
        Adds.

        Args:
            a: A number |a|.
                More of it.

        Returns:
            Sum.
        """)
    assert lines == [
        "Adds.", "", "Args:", r"    a: A number \|a\|.", "        More of it.", "", "Returns:", "    Sum.",
    ]  # fmt: skip


def test_text_after_a_section_is_text_again():
    lines = shown("""
        Args:
            a: A number.

        The formula

            a + 1
        """)
    assert lines[-3:] == ["::", "", "    a + 1"]
