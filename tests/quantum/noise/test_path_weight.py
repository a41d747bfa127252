from math import comb

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, matrix_gate, phased_x, rz
from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import echo_circuit, make_echo
from quantum.engines import density_matrix
from quantum.noise.extrapolation import extrapolate_to_zero, fit_gaussian, richardson
from quantum.noise.model import add_noise
from quantum.noise.path_weight import PathWeights, matching_noise, path_weights


@pytest.fixture(scope="module")
def echo():
    layout = rectangle_layout(2, 2, 4)
    return make_echo(layout, random_circuit(layout.lattice, 4, seed=3), order=1)


@pytest.mark.parametrize("weights", [(0, 1), (1, 1), (1, 4)])
def test_path_weights_give_the_exact_noisy_signal(echo, weights):
    circuit = echo_circuit(echo)
    paths = path_weights(circuit, echo.observable, weights)
    for rate in (0.0, 0.03, 0.5):
        noisy = add_noise(circuit, matching_noise(rate, weights))
        wanted = density_matrix.expectation(density_matrix.run(noisy), echo.observable)
        assert paths.signal(rate) == pytest.approx(wanted, abs=1e-12)


def test_gates_with_their_qubits_swapped_and_virtual_gates_are_counted_right():
    turn = Operation(phased_x(0.7, 0.2), (1,))
    pair = Operation(Gate("fsim", (0.4, 1.1)), (2, 0))
    skew = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)) + 1j * np.eye(4))[0]
    other = Operation(matrix_gate(skew), (2, 1))  # changes when its qubits are swapped
    circuit = Circuit(3, ((turn,), (pair,), (Operation(rz(0.3), (2,)),), (other,),
                          (Operation(phased_x(1.1, -0.4), (2,)),)))  # fmt: skip
    observable = PauliString.parse("IXY")
    paths = path_weights(circuit, observable, (1, 2))
    noisy = add_noise(circuit, matching_noise(0.2, (1, 2)))
    wanted = density_matrix.expectation(density_matrix.run(noisy), observable)
    assert paths.signal(0.2) == pytest.approx(wanted, abs=1e-13)
    assert paths.amplitudes.size == 1 + 2 * 1 + 2 * 2


def test_mixed_qubits_are_the_average_over_their_states(echo):
    circuit = echo_circuit(echo)
    flips = [PauliString.on(dict(zip((1, 3), letters, strict=True)))
             for letters in ("II", "IX", "XI", "XX")]  # fmt: skip
    found = path_weights(circuit, echo.observable, mixed=(1, 3)).amplitudes
    each = [path_weights(Circuit(4, (f.moment(),)) + circuit, echo.observable) for f in flips]
    np.testing.assert_allclose(found, np.mean([p.amplitudes for p in each], axis=0), atol=1e-14)
    assert np.abs(each[0].amplitudes - found).max() > 1e-3


def test_a_clifford_circuit_is_one_path():
    half = Operation(Gate("h"), (0,))
    chain = Circuit(
        3, ((half,), (Operation(Gate("cz"), (0, 1)),), (Operation(Gate("cz"), (1, 2)),))
    )
    # Backwards from X Z I: CZ(1, 2) leaves it, CZ(0, 1) makes it X I I, H turns it to Z: two noisy pairs.
    paths = path_weights(chain, PauliString.parse("XZI"))
    np.testing.assert_allclose(paths.amplitudes, [0, 0, 1], atol=1e-15)
    assert paths.cumulants() == pytest.approx([2, 0, 0, 0], abs=1e-12)


def test_cumulants_are_derivatives_of_the_logarithm_of_the_signal(echo):
    paths = path_weights(echo_circuit(echo), echo.observable)
    step = 1e-3
    logs = np.log(np.abs(paths.signal(step * np.arange(-2, 3))))
    wanted = [(logs[1] - logs[3]) / (2 * step), (logs[1] - 2 * logs[2] + logs[3]) / step**2,
              (logs[0] - 2 * logs[1] + 2 * logs[3] - logs[4]) / (2 * step**3)]  # fmt: skip
    np.testing.assert_allclose(paths.cumulants()[:3], wanted, rtol=1e-3)


def binomial_paths(n, chance=0.4):
    return PathWeights(
        np.array([comb(n, h) * chance**h * (1 - chance) ** (n - h) for h in range(n + 1)]), (0, 1)
    )


def test_many_independent_gates_make_a_normal_law():
    few, many = binomial_paths(10), binomial_paths(160)
    mean, variance, third, fourth = many.cumulants()
    spread = 160 * 0.4 * 0.6
    assert [mean, variance] == pytest.approx([64, spread])
    assert third == pytest.approx(spread * (1 - 2 * 0.4))
    assert fourth == pytest.approx(spread * (1 - 6 * 0.24))
    # The distance falls with the square root of the number of gates.
    assert few.distance_from_normal() / many.distance_from_normal() == pytest.approx(4, rel=0.1)
    assert many.negative_share == 0


def test_weights_in_steps_are_compared_with_the_normal_law_in_steps():
    paths = binomial_paths(40)
    spread = np.zeros(81)
    spread[::2] = paths.amplitudes
    doubled = PathWeights(spread, (0, 2))
    assert doubled.distance_from_normal() == pytest.approx(paths.distance_from_normal())


def test_an_echo_has_paths_of_both_signs(echo):
    paths = path_weights(echo_circuit(echo), echo.observable)
    c = paths.amplitudes
    assert paths.negative_share == pytest.approx(
        np.abs(c[np.sign(c) != np.sign(c.sum())]).sum() / np.abs(c).sum()
    )
    assert 0 < paths.negative_share < 0.5


def test_the_normal_law_is_off_by_the_third_cumulant():
    # ln S_0 of a quadratic through three points misses k_3 x_1 x_2 x_3 / 6 of the cubic term.
    paths, x = binomial_paths(60), np.array([1.0, 2.0, 3.0]) * 0.01
    found = fit_gaussian(x, paths.signal(x), np.full(3, 1e-6)).start.value
    wanted = -paths.cumulants()[2] * np.prod(x) / 6
    assert np.log(found) == pytest.approx(wanted, rel=0.1)
    linear = extrapolate_to_zero(x, paths.signal(x), np.full(3, 1e-6), "exponential").value
    assert abs(linear - 1) > 30 * abs(found - 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, o: path_weights(c, o, (0, 0)), "`weights` must not both be 0"),
        (lambda c, o: path_weights(c, o, (-1, 1)), "`weights` must be at least 0"),
        (lambda c, o: path_weights(c, o, (10**6, 1)), "`circuit` must need at most 3e\\+07"),
        (lambda c, o: PathWeights(np.array([1.0, -1.0]), (0, 1)).cumulants(), "must not cancel"),
        (lambda c, o: PathWeights(np.array([0.0, 1.0]), (0, 1)).distance_from_normal(), "positive var"),
        (lambda c, o: matching_noise(-1), "`rate` must lie between"),
        (lambda c, o: richardson([1.0]), "`scales` must be 2 or more"),
        (lambda c, o: richardson([1.0, 1.0]), "`scales` must be 2 or more different"),
        (lambda c, o: fit_gaussian([1, 2], np.ones(2), np.ones(2)), "`scales` must be 3 or more"),
        (lambda c, o: fit_gaussian([1, 2, 3], np.ones(2), np.ones(3)), "`values` must be 3 finite"),
        (lambda c, o: fit_gaussian([1, 2, 3], np.ones(3), np.zeros(3)), "`covariance` must be 3"),
        (lambda c, o: fit_gaussian([1, 2, 3], np.ones(3), np.ones(3), law="linear"), "`law` must be"),
        (lambda c, o: fit_gaussian([1, 2, 3], np.ones(3), np.ones(3), most_damping=0), "`most_damping` and"),
    ],
)  # fmt: skip
def test_bad_input_is_named(echo, call, message):
    with pytest.raises(ValueError, match=message):
        call(echo_circuit(echo), echo.observable)
