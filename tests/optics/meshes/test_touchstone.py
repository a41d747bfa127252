"""Touchstone files through scikit-rf: which port is which, which way, and the sign of a delay."""

import builtins

import numpy as np
import pytest

from optics.meshes.s_matrix import from_s_dict, phase_shifter, to_s_dict
from optics.meshes.touchstone import read_touchstone, write_touchstone

# One frequency a line: S11 S21 S12 S22, modulus and degrees: forwards 0.9 at -30, backwards 0.1 at 60.
ISOLATOR = """! by hand
# GHz S MA R 50
193000 0 0 0.9 -30 0.1 60 0.2 0
194000 0 0 0.8 -45 0.1 60 0.2 0
"""
PORTS = ("in0", "out0")


@pytest.fixture
def isolator(tmp_path):
    pytest.importorskip("skrf", reason="scikit-rf comes with the extra `touchstone`")
    path = tmp_path / "isolator.s2p"
    path.write_text(ISOLATOR)
    return path


def test_two_port_has_its_own_order_and_a_delay_its_sign(isolator):
    frequency, found = read_touchstone(isolator, PORTS)
    np.testing.assert_allclose(frequency, [193e12, 194e12])
    # A delay of engineers is a negative phase, ours a positive one.
    turns = np.exp(1j * np.pi / np.array([6, 4]))
    np.testing.assert_allclose(found["in0", "out0"], [0.9, 0.8] * turns)
    np.testing.assert_allclose(found["out0", "in0"], 0.1 * np.exp(-1j * np.pi / 3) * np.ones(2))
    np.testing.assert_allclose(found["out0", "out0"], [0.2, 0.2])
    _, kept = read_touchstone(isolator, PORTS, conjugate=False)
    np.testing.assert_allclose(kept["in0", "out0"], [0.9, 0.8] / turns)
    with pytest.raises(ValueError, match="free of reflections"):  # a file hides none
        from_s_dict(found)


@pytest.mark.parametrize("conjugate", [True, False])
def test_what_is_written_is_read_back(isolator, conjugate):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((3, 2, 3)) + 1j * rng.standard_normal((3, 2, 3))
    frequency, ports = np.array([1.0, 2.0, 4.0]) * 1e14, ("out1", "in0", "in2", "out0", "in1")
    path = isolator.with_name("mesh.s5p")
    write_touchstone(path, to_s_dict(matrix), ports, frequency, conjugate=conjugate)
    found_frequency, found = read_touchstone(path, ports, conjugate=conjugate)
    np.testing.assert_allclose(found_frequency, frequency)
    np.testing.assert_allclose(from_s_dict(found), matrix, rtol=1e-6)
    _, other = read_touchstone(path, ports, conjugate=not conjugate)
    np.testing.assert_allclose(from_s_dict(other), matrix.conj(), rtol=1e-6)


def test_a_phase_is_a_delay_of_the_file(isolator):
    path = isolator.with_name("guide.s2p")
    write_touchstone(path, phase_shifter(np.array([0.5, 1.0])), PORTS, [1e14, 2e14])
    values = [line.split() for line in path.read_text().splitlines() if line[0].isdigit()]
    s21 = np.array(values, float)[:, 3:5] @ [1, 1j]
    np.testing.assert_allclose(s21, np.exp([-0.5j, -1j]), rtol=1e-6)


def test_bad_ports_and_endings_are_named(isolator):
    with pytest.raises(ValueError, match=r"`ports` must be 2 different names for .*s2p"):
        read_touchstone(isolator, ("in0", "in1", "out0"))
    good = {"s_matrix": phase_shifter(0.1), "ports": PORTS, "frequency_hz": np.array([1e14])}
    for change, message in (
        ({"ports": ("in0", "in0")}, "`ports` must be 2 different names"),
        ({"ports": ("in0", "o2")}, "`ports` must name all of `s_matrix`, but out0 is not"),
        ({"frequency_hz": np.array([2.0, 1.0])}, "`frequency_hz` must hold frequencies that rise"),
        ({"s_matrix": phase_shifter([0.1, 0.2])}, "must hold one number for each of 1 frequencies"),
        ({"path": isolator.with_name("a.s4p")}, "`path` must end with .s2p for 2 ports"),
    ):
        with pytest.raises(ValueError, match=message):
            write_touchstone(**({"path": isolator.with_name("a.s2p")} | good | change))


def test_a_missing_package_is_told_with_its_extra(monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *others, **options):
        if name == "skrf":
            raise ImportError
        return real(name, *others, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"`scikit-rf` must be installed .*lightecho\[touchst"):
        read_touchstone(tmp_path / "a.s2p", PORTS)
