"""Values that no run of ours can mean: lengths in the wrong unit, no repeats, empty lists, grids beyond the memory.

Every configuration is held against these before anything is computed, whatever its own rules. The ranges are choices of
ours, a few decades wider than any set-up of the papers; a value beside them is nearly always in another unit than SI.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

# Field: least, most, unit.
LENGTHS = {
    "wavelength": (1e-8, 1e-4, "m"),
    "pixel_pitch": (1e-8, 1e-3, "m"),
    "distance": (1e-7, 100.0, "m"),
    "distance_error": (-1.0, 1.0, "m"),
    "aperture": (1e-6, 1.0, "m"),
    "plate_length": (1e-8, 0.1, "m"),
    "tape_length": (1e-8, 0.1, "m"),
    "wall_correlation": (1e-8, 0.1, "m"),
    "ortho_meta": (1e-10, 1e-9, "m"),
    "pulse": (1e-9, 1e-2, "s"),
    "temperature": (1.0, 2000.0, "K"),
    "quantum_efficiency": (1e-6, 1.0, ""),
    "momentum": (0.0, 0.999999, ""),
    "learning_rate": (1e-9, 1e3, ""),
}
# Counts without which there is nothing to compute, and their least values; any other count may be zero.
LEAST = {
    "n_classes": 2,
    "pixels": 4,
    **dict.fromkeys(("repeats", "slow_repeats", "depths", "batch_size", "n_layers", "rounds"), 1),
}
# Empty lists that mean "all" or "none of these" to their experiment.
MAY_BE_EMPTY = {"methods", "shapes", "engines", "whole_steps"}
_PREFIXES = ("e-3", "e-6", "e-9", "e-10", "e-12")
_SURELY_THERE = 2**29  # bytes
_FIELDS_HELD = 4  # complex64 fields of a batch that the lightest training holds at once


def check_ranges(config: Any, scales: Iterable[Any] = ()) -> None:
    """Refuses a configuration with a value that no run can mean.

    Args:
        config: The configuration; configurations in its fields are looked through too.
        scales: Its standard ones; what a field has in one of them it may have, such as 0 for "all" or an empty list.

    Raises:
        ValueError: Names the field, the range, the value and, where there is one, the likely unit.
    """
    standards = [dict(_fields(standard)) for standard in scales]
    for name, value in _fields(config):
        entries = value if isinstance(value, tuple | list) else (value,)
        usual = [standard[name] for standard in standards if name in standard]
        if not entries and name not in MAY_BE_EMPTY and usual and all(usual):
            raise ValueError(f"`{name}` must have at least one entry, but is empty.")
        for entry in entries:
            if entry not in usual:
                _check(name, entry)
    _check_memory(config)


def _fields(config: Any) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _fields(value)
        else:
            yield field.name, value


def _check(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if name in LENGTHS:
        low, high, unit = LENGTHS[name]
        if not low <= value <= high:
            raise ValueError(
                f"`{name}` must lie between {low:g} and {_shown(high, unit)}, but is {_shown(value, unit)}"
                f"{_meant(value, low, high) or '.'}"
            )
    least = LEAST.get(name)
    if least is not None and not value >= least:
        raise ValueError(f"`{name}` must be at least {least}, but is {value}.")


def _meant(value: float, low: float, high: float) -> str:
    """The same figures with a prefix that brings them into the range."""
    for power in _PREFIXES:
        smaller = value * float(f"1{power}")
        if low <= smaller <= high:
            figures = f"{value:g}"
            return (
                f"; did you mean {smaller:g}?"
                if "e" in figures
                else f"; did you mean {figures}{power}?"
            )
    return ""


def _shown(value: float, unit: str) -> str:
    return f"{value:g} {unit}".rstrip()


def _check_memory(config: Any) -> None:
    values = dict(_fields(config))
    pixels, batch = values.get("pixels"), values.get("batch_size") or 1
    if not isinstance(pixels, int) or not isinstance(batch, int):
        return
    needed = 8 * _FIELDS_HELD * batch * pixels**2
    if needed < _SURELY_THERE:
        return
    from quantum.engines.memory import available_bytes

    there = available_bytes()
    if needed > there:
        raise ValueError(
            f"`pixels` must be such that a step fits in memory, but {pixels} a side, {batch} fields at a time, take "
            f"{needed / 2**30:.3g} GiB and {there / 2**30:.3g} GiB are free."
        )
