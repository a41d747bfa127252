"""Checks at the public boundary, so that every message reads alike: name, rule, value received, likely fix."""

import jax.core
import numpy as np


def is_concrete(value) -> bool:
    """Tells whether a value can be looked at now; inside `jit`, `vmap` and `grad` it cannot."""
    return not isinstance(value, jax.core.Tracer)


def check_positive(value, name: str, unit: str = "", hint: str = "") -> None:
    """Raises ValueError unless a concrete scalar is finite and above zero."""
    if np.shape(value) != ():
        rule = f"`{name}` must be a single number, but its shape is {np.shape(value)}"
        raise ValueError(_sentence(rule, "", hint))
    if not is_concrete(value):
        return
    number = float(value)
    if not (np.isfinite(number) and number > 0):
        raise ValueError(
            _sentence(f"`{name}` must be positive and finite, but is {number:g}", unit, hint)
        )


def check_at_least(value: int, least: int, name: str, hint: str = "") -> None:
    """Raises ValueError unless a count is `least` or more."""
    if value < least:
        raise ValueError(_sentence(f"`{name}` must be at least {least}, but is {value}", "", hint))


def check_in_range(
    value, name: str, low: float | int, high: float | int, unit: str = "", hint: str = ""
) -> None:
    """Raises ValueError unless a concrete scalar is finite and lies in [low, high]."""
    if not is_concrete(value):
        return
    number = float(value)
    if not (np.isfinite(number) and low <= number <= high):
        rule = f"`{name}` must lie between {low:g} and {high:g}, but is {number:g}"
        raise ValueError(_sentence(rule, unit, hint))


def check_choice(value, name: str, choices, hint: str = "") -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if value not in choices:
        known = ", ".join(str(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {known}, but is {value!r}. {hint}".rstrip())


def check_divides(part: int, whole: int, part_name: str, whole_name: str, hint: str = "") -> None:
    """Raises ValueError unless `whole` is a positive multiple of `part`."""
    if part < 1 or whole < 1 or whole % part:
        rule = (
            f"`{part_name}` must divide `{whole_name}`, but is {part}, and {whole_name} is {whole}"
        )
        raise ValueError(_sentence(rule, "", hint))


def check_axis(array, name: str, axis: int, size: int, hint: str = "") -> None:
    """Raises ValueError unless an axis has the given size."""
    shape = tuple(array.shape)
    if len(shape) < (axis + 1 if axis >= 0 else -axis) or shape[axis] != size:
        rule = f"`{name}` must have size {size} along axis {axis}, but its shape is {shape}"
        raise ValueError(_sentence(rule, "", hint))


def check_finite(array, name: str, hint: str = "") -> None:
    """Raises ValueError naming the first bad element of a concrete array that holds NaN or infinity."""
    if not is_concrete(array):
        return
    good = np.isfinite(np.asarray(array))  # not jnp, which `jit` would stage
    if good.all():
        return
    where = tuple(int(i) for i in np.argwhere(~good)[0])
    bad = int(good.size - good.sum())
    rule = (
        f"`{name}` must be finite, but has {bad} NaN or infinite values, the first at index {where}"
    )
    raise ValueError(_sentence(rule, "", hint))


def _sentence(rule: str, unit: str, hint: str) -> str:
    text = f"{rule} {unit}".rstrip() + "."
    return f"{text} {hint}" if hint else text
