"""Checks at the public boundary, so that every message reads alike: name, rule, value with unit, likely fix."""

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
        known = ", ".join(str(c) for c in choices)
        raise ValueError(f"`{name}` must be one of {known}, but is {value!r}. {hint}".rstrip())


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


def check_shape(array, name: str, shape: tuple[int, ...], hint: str = "") -> None:
    """Raises ValueError unless the last axes of `array` have the given sizes."""
    got = tuple(array.shape)
    if got[len(got) - len(shape) :] != tuple(shape):
        rule = f"`{name}` must have last axes {tuple(shape)}, but its shape is {got}"
        raise ValueError(_sentence(rule, "", hint))


def _sentence(rule: str, unit: str, hint: str) -> str:
    text = f"{rule} {unit}".rstrip() + "."
    return f"{text} {hint}" if hint else text
