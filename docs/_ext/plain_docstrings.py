"""Docstrings are plain text with formulas; this turns them into reStructuredText that shows what was written.

In a docstring of this package |u|^2, T^* and a_j are formulas, `name` is code, and an indented block is a formula or a
drawing. Read as reStructuredText the first would be substitutions, emphasis and links to nowhere. Napoleon comes after
this and turns the sections of Google style into fields.
"""

import re

SECTIONS = (
    "Args", "Arguments", "Attributes", "Example", "Examples", "Note", "Raises", "Returns", "Yields",
)  # fmt: skip
_SECTION = re.compile(rf"^({'|'.join(SECTIONS)}):\s*$")
_CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
_ITEM = re.compile(r"^\s*([-*]|\d+\.) ")


def escape(text: str) -> str:
    """Marks `code` as literal and takes the meaning from all else that reStructuredText would read as markup."""
    parts = _CODE.split(text)
    found = ""
    for part, after in zip(parts, [*parts[1:], ""], strict=True):
        if not _CODE.fullmatch(part):
            found += _plain(part)
            continue
        # Letters that touch code, as in `Qid`s, need a mark that ends the literal.
        found += _literal(part) + ("\\ " if re.match(r"\w", after) else "")
    return found


def _literal(part: str) -> str:
    return f"``{part.strip('`')}``"


def _plain(part: str) -> str:
    part = re.sub(r"([\\*|`])", r"\\\1", part)
    # A trailing underscore is a link in reStructuredText; within a word it is none.
    return re.sub(r"_(?!\w)", r"\\_", part)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def convert(lines: list[str]) -> list[str]:
    """Lines of a docstring as reStructuredText; indented blocks outside of sections become literal blocks.

    Args:
        lines: Docstring without its common indentation.

    Returns:
        Lines for Napoleon and docutils.
    """
    found: list[str] = []
    section = literal = item = False
    for line in lines:
        after_text = bool(found) and bool(found[-1].strip())
        if _SECTION.match(line):
            section, literal, item = True, False, False
        elif line.strip() and _indent(line) == 0:
            # Text at the margin after a blank line ends a section.
            section = section and after_text
            starts = bool(_ITEM.match(line))
            if after_text and (literal or (starts and not item)):
                found.append("")
            literal, item = False, starts or (item and after_text)
        elif line.strip() and not (section or item or literal):
            found += ["", "::", ""] if after_text else ["::", ""]
            literal = True
        found.append(line if literal else escape(line))
    return found
