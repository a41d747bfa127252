"""Checks at the public boundary, so that every message reads alike: name, rule, value, likely fix.

A small copy of the ones in `optics`: the two packages may not import each other, and a dozen lines are cheaper than
a third package.
"""

import numpy as np


def check_count(value: int, name: str, least: int, hint: str = "") -> None:
    """Raises unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"`{name}` must be a whole number, but is {value!r}. {hint}".rstrip())
    if value < least:
        raise ValueError(f"`{name}` must be at least {least}, but is {value}. {hint}".rstrip())


def check_in_range(
    value: float | int,
    name: str,
    low: float | int,
    high: float | int,
    unit: str = "",
    hint: str = "",
) -> None:
    """Raises ValueError unless `value` is a number in [low, high]."""
    if not (np.isfinite(value) and low <= value <= high):
        shown = f"{float(value):g} {unit}".rstrip()
        rule = f"`{name}` must lie between {low:g} and {high:g}, but is {shown}."
        raise ValueError(f"{rule} {hint}".rstrip())


def check_choice(value: str, name: str, choices, hint: str = "") -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if value not in choices:
        known = ", ".join(str(c) for c in choices)
        raise ValueError(f"`{name}` must be one of {known}, but is {value!r}. {hint}".rstrip())
