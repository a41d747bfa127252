"""The packages may not import each other, so their checks are copies: the same call must say the same."""

import importlib
import inspect
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = [path.parent.name for path in sorted(ROOT.glob("*/_checks.py"))]
ARGUMENTS = {
    "check_in_range": [
        (value, "size", low, high, *rest)
        for value in (0.5, 0, 1, 2, -1e-3, 1.25, math.nan, math.inf, -math.inf)
        for low, high in ((0, 1), (0, math.inf), (-2.5, 0.5))
        for rest in ((), ("rad",), ("m", "Lower it."))
    ],
    "check_count": [
        (value, "n", least, *rest)
        for value in (0, 1, 7, np.int64(3), True, 2.0)
        for least in (1, 2)
        for rest in ((), ("Give one.",))
    ],
    "check_choice": [
        (value, "kind", ("a", "b"), *rest) for value in ("a", "c") for rest in ((), ("Take a.",))
    ],
    "check_positive": [
        (value, "size", *rest)
        for value in (1.0, 0, -2.5, math.nan, math.inf)
        for rest in ((), ("m",), ("m", "Raise it."))
    ],
    "check_finite": [(np.array([1.0, bad]), "field") for bad in (0.0, math.nan, math.inf)],
    "check_shape": [(np.zeros(shape), "field", (2, 3)) for shape in ((2, 3), (4, 2, 3), (3, 2))],
    "check_at_least": [(value, 2, "n", *rest) for value in (1, 2) for rest in ((), ("Raise it.",))],
    "check_divides": [(part, 6, "group", "n") for part in (0, 3, 4)],
    "check_axis": [(np.zeros((2, 3)), "x", -1, size) for size in (3, 4)],
    "check_array": [
        (values, "points", ("n", 2), "m", "give pairs")
        for values in (np.zeros((3, 2)), np.zeros(3), np.full((1, 2), np.nan), np.full((1, 2), 1j))
    ],
}


def checks(package):
    module = importlib.import_module(f"{package}._checks")
    return {
        n: f for n, f in vars(module).items() if n.startswith("check_") and inspect.isfunction(f)
    }


def said(check, arguments):
    try:
        check(*arguments)
    except (TypeError, ValueError) as error:
        return type(error), str(error)
    return None


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(PACKAGES, 2)))
def test_checks_of_one_name_say_the_same(first, second):
    one, other = checks(first), checks(second)
    shared = one.keys() & other.keys()
    assert shared
    for name in shared:
        for arguments in ARGUMENTS[name]:
            assert said(one[name], arguments) == said(other[name], arguments), (name, arguments)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_check_is_compared_or_has_no_twin_yet(package):
    assert checks(package).keys() <= ARGUMENTS.keys()
