"""Words for the rules that fields of a configuration keep, so that every `Config` reads alike and every message too.

Each takes the configuration, a rule, and the names of the fields that keep it. A field that holds several values keeps
it with each of them and may not be empty. All raise ValueError that opens with the name in backticks, which the command
line shows as one line.
"""

import itertools
from collections.abc import Iterable
from typing import Any

Number = float | int


def at_least(config: Any, least: Number, *names: str, unit: str = "") -> None:
    """Each field is, or holds only, numbers of at least `least`; NaN is not."""
    for name in names:
        for value in _values(config, name):
            if not value >= least:
                raise ValueError(
                    f"`{name}` must be at least {_shown(least, unit)}, but is {_shown(value, unit)}."
                )


def within(config: Any, low: Number, high: Number, *names: str, unit: str = "") -> None:
    """Each field is, or holds only, numbers in [low, high]; NaN is not."""
    for name in names:
        for value in _values(config, name):
            if not low <= value <= high:
                raise ValueError(
                    f"`{name}` must lie between {low:g} and {_shown(high, unit)}, but is {_shown(value, unit)}."
                )


def rising(config: Any, least: Number, *names: str, entries: int = 1) -> None:
    """Each field holds at least `entries` numbers that rise strictly, from `least` on; 0 entries allow none."""
    for name in names:
        values = list(getattr(config, name))
        rises = all(first < second for first, second in itertools.pairwise(values))
        if len(values) < entries or not rises or any(not value >= least for value in values):
            number = f"{entries} or more " if entries > 1 else ""
            raise ValueError(
                f"`{name}` must be {number}rising numbers from {least:g} on, but is {tuple(values)}."
            )


def among(config: Any, choices: Iterable, *names: str, empty: bool = False) -> None:
    """Each field is, or holds only, one of `choices`; `empty` where none stands for all of them."""
    known = list(choices)
    for name in names:
        if empty and getattr(config, name) == ():
            continue
        for value in _values(config, name):
            if value not in known:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(map(str, known))}, but is {value!r}."
                )


def _values(config: Any, name: str) -> tuple:
    value = getattr(config, name)
    if not isinstance(value, tuple | list):
        return (value,)
    if not value:
        raise ValueError(f"`{name}` must have at least one entry, but is empty.")
    return tuple(value)


def _shown(value: Any, unit: str) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".rstrip()
