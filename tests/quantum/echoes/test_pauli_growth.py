import math

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit
from quantum.circuits.gates import fsim
from quantum.circuits.lattice import rectangle
from quantum.circuits.packed_pauli import pack
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.pauli_growth import fit_growth, loop_spread, strings_for_share
from quantum.echoes.pauli_paths import sum_loops
from quantum.engines.pauli_propagation import PauliSum, propagate_paulis


def evolved_of(weights):
    strings = [PauliString.on({0: "X"}), PauliString.on({0: "Z"}), PauliString.on({1: "Y"})]
    return PauliSum(2, pack(strings, 2), np.sqrt(weights))


def test_the_fewest_strings_that_hold_a_share_are_counted():
    evolved = evolved_of([0.2, 0.7, 0.1])
    shares = (0.5, 0.7, 0.71, 0.9, 0.91, 1.0)
    assert [strings_for_share(evolved, share) for share in shares] == [1, 1, 2, 2, 3, 3]


def test_clifford_circuits_keep_one_string():
    clifford = random_circuit(
        rectangle(2, 2), 12, seed=0, angles=(math.pi,), two_qubit=fsim(math.pi / 2, 0)
    )
    turned = Circuit(4, tuple(m for m in clifford.moments if len(m[0].qubits) == 2))
    assert strings_for_share(propagate_paulis(turned, PauliString.parse("IIIX")), 1) == 1


def test_deep_circuits_keep_the_share_of_gaussian_coefficients():
    deep = propagate_paulis(random_circuit(rectangle(2, 2), 24, seed=1), PauliString.parse("IIIX"))
    # |x| < z holds erf(z / sqrt 2) - 2 z phi(z) of the squares of a normal x: 1 % at z = 0.339.
    z = 0.339
    below = math.erf(z / math.sqrt(2))
    assert below - 2 * z * math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) == pytest.approx(
        0.01, rel=0.01
    )
    # 255 strings: 0.73 +- 0.03.
    assert strings_for_share(deep, 0.99) / 4**4 == pytest.approx(1 - below, abs=0.06)


def test_an_exact_law_is_found_without_error():
    law = fit_growth([4, 6, 8, 8], [3 * 4.0**n for n in (4, 6, 8, 8)])
    assert law.slope == pytest.approx(2)
    assert law.log2_at(65)[0] == pytest.approx(math.log2(3) + 130)
    assert law.log2_at(65)[1] == pytest.approx(0, abs=1e-10)
    assert law.log2_at(65, ceiling=130)[0] == 130


def test_the_error_of_the_law_is_its_scatter_over_repetitions():
    rng = np.random.default_rng(0)
    sizes = np.repeat([4, 6, 8, 9], 3)
    laws = [
        fit_growth(sizes.tolist(), (2.0 ** (1 + 1.5 * sizes + rng.normal(0, 0.4, 12))).tolist())
        for _ in range(2000)
    ]
    at = np.array([law.log2_at(20) for law in laws])
    assert at[:, 0].mean() == pytest.approx(31, abs=0.1)
    # 2000 repetitions know a standard deviation to 1.6 %; the mean of an estimated one is 2.5 % low for 10 degrees.
    assert np.sqrt((at[:, 1] ** 2).mean()) == pytest.approx(at[:, 0].std(), rel=0.06)


def test_the_spread_of_a_loop_is_its_exact_second_moment():
    other = PauliString.parse("ZII")
    evolved = propagate_paulis(
        random_circuit(rectangle(1, 3), 12, seed=2), PauliString.parse("IIX")
    )
    n_samples = 40_000
    spread = loop_spread(evolved, other, n_samples, seed=0)
    letters = [dict(s.factors) for s in evolved.strings()]
    b = evolved.coefficients
    index = {tuple(sorted(one.items())): k for k, one in enumerate(letters)}
    total, second = np.abs(b).sum(), 0.0
    product = {("X", "Y"): "Z", ("Y", "Z"): "X", ("X", "Z"): "Y"}
    for i in range(len(b)):
        for j in range(len(b)):
            for k in range(len(b)):
                closing, odd = closed([letters[i], letters[j], letters[k]], product)
                at = index.get(closing)
                if at is not None and len({i, j, k}) == 3 and not odd:
                    second += total**3 * abs(b[i] * b[j] * b[k]) * b[at] ** 2
    mean = sum_loops(evolved, other).off_diagonal
    # 40,000 samples of a heavy-tailed square.
    assert spread == pytest.approx(math.sqrt(second - mean**2), rel=0.03)


def closed(strings, product):
    """Letters of the product of three strings, and whether its phase is imaginary."""
    result, turns = {}, 0
    for string in strings:
        for qubit, letter in string.items():
            before = result.pop(qubit, None)
            if before is None:
                result[qubit] = letter
            elif before != letter:
                result[qubit] = product[tuple(sorted((before, letter)))]
                turns += 1
    return tuple(sorted(result.items())), turns % 2 == 1


def test_what_cannot_be_is_named():
    with pytest.raises(ValueError, match="`sizes` must be three or more"):
        fit_growth([4, 6], [1.0, 2.0])
    with pytest.raises(ValueError, match="`sizes` must hold two sizes or more"):
        fit_growth([4, 4, 4], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="`quantities` must be positive"):
        fit_growth([4, 6, 8], [1.0, 0.0, 3.0])
    with pytest.raises(ValueError, match="`share` must be at most"):
        strings_for_share(evolved_of([0.2, 0.2, 0.1]), 0.9)
    with pytest.raises(ValueError, match="`share` must lie between"):
        strings_for_share(evolved_of([0.2, 0.7, 0.1]), 1.5)
