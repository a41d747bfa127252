"""Checks at the public boundary, so that every message reads alike: name, rule, value, likely fix.

A small copy of the ones in `optics`: the two packages may not import each other, and a dozen lines are cheaper than
a third package.
"""

import numpy as np
from jax.core import Tracer


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


def check_array(
    values, name: str, shape: tuple[int | str, ...], unit: str = "", hint: str = ""
) -> None:
    """Raises ValueError unless `values` are real, finite and of a shape; traced ones only need the shape.

    Args:
        values: Array, or what becomes one.
        name: What it is called.
        shape: Lengths; a name stands for any length, the same wherever it comes again.
        unit: Unit of the values.
        hint: What to do, a clause without a stop.
    """
    found, ending = np.shape(values), f"; {hint}." if hint else "."
    lengths: dict[str, int] = {}
    fits = len(found) == len(shape) and all(
        size == (lengths.setdefault(rule, size) if isinstance(rule, str) else rule)
        for rule, size in zip(shape, found, strict=True)
    )
    if not fits:
        rule = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})" if shape else "()"
        raise ValueError(f"`{name}` must have shape {rule}, but has {found}{ending}")
    if isinstance(values, Tracer):
        return
    array = np.asarray(values)
    if np.iscomplexobj(array) and np.imag(array).any():
        shown = f"{np.abs(np.imag(array)).max():.3g} {unit}".rstrip()
        raise ValueError(f"`{name}` must be real, but has an imaginary part of {shown}{ending}")
    wrong = np.argwhere(~np.isfinite(array))
    if wrong.size or (not array.ndim and not np.isfinite(array)):
        at = tuple(wrong[0].tolist())
        shown = f"{float(np.real(array[at])):g} {unit}".rstrip() + (f" at {at}" if at else "")
        raise ValueError(f"`{name}` must be finite, but holds {shown}{ending}")
