"""Calls between a molecule and its echo that are right but for one change, and what is said of a wrong one."""

from functools import cache

import numpy as np
import pytest

from quantum.inference.measured_curve import read_curve
from quantum.nmr import average_hamiltonian, exact_echo
from quantum.spins.molecule import read_xyz

PLACES = 2e-10 * np.arange(9.0).reshape(3, 3)
RATIOS = np.full(3, 2.675e8)
TABLE = np.array([[0.0, 100.0, 50.0], [100.0, 0.0, 30.0], [50.0, 30.0, 0.0]])
TENSOR = np.zeros((2, 2, 3, 3))
TRACEFUL = np.diag([-0.1, -0.1, 0.3])
WATER = "3\nwater\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
CURVE = "time_s,value,standard_error\n"
EARLY = np.array([1e-3, -2e-3])
ECHO = {"struck": (1,), "angle": 1.0, "times": np.array([1e-3])}
TRACELESS = "subtract a third of it from the diagonal."
BACK = "the echo itself runs back."


@cache
def average():
    """Not while tests are collected, which every worker does: it compiles."""
    return average_hamiltonian.reversible_hamiltonian(TABLE)


def changed(array, at, value):
    found = np.array(array, dtype=np.result_type(array, value))
    found[at] = value
    return found


def echo(**change):
    return exact_echo.echo_by_sectors(average(), **ECHO | change)


def xyz(folder, old="", new="", count=1):
    path = folder / "water.xyz"
    path.write_text(WATER.replace(old, new, count))
    return read_xyz(path)


def csv(folder, rows, header=CURVE):
    path = folder / "curve.csv"
    path.write_text(header + rows)
    return read_curve(path)


APART = "keep atoms at least 3e-11 m apart"


def says_what_is_wrong(case, folder):
    """The message of a call: name, rule, value received, what to do; one line."""
    call, name, rule, value, fix = case
    with pytest.raises(ValueError, match="`") as caught:
        call(folder)
    said = str(caught.value)
    begin = f"`{name.format(folder=folder)}` must {rule}"
    assert said.startswith(begin)
    assert "\n" not in said
    told, _, received = said[len(begin) :].partition(", but ")
    assert not told.strip(" ,") or name == "isotopes"  # the list of those that are known
    assert value in received
    assert received.endswith(fix)
