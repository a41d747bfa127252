import math
from dataclasses import replace

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit
from quantum.circuits.lattice import rectangle
from quantum.circuits.random_circuits import random_circuit
from quantum.engines import density_matrix, statevector
from quantum.noise import cross_entropy as xeb
from quantum.noise import model as noise

D = 2**10
MIXED = np.full(D, 1 / D)


def haar(seed, size=D):
    rng = np.random.default_rng(seed)
    weight = rng.exponential(size=size)  # |normal complex|^2
    return weight / weight.sum()


def within(estimate, truth, sigmas=4.0):
    return abs(estimate.value - truth) < sigmas * estimate.stderr


@pytest.mark.parametrize("k", [1, 2, 3])
def test_moments_of_haar_states_are_those_of_porter_and_thomas(k):
    states = np.stack([haar(seed, 16) for seed in range(4000)])
    samples = np.mean(states**k, axis=1)
    error = samples.std() / math.sqrt(len(samples))
    assert abs(samples.mean() - xeb.porter_thomas_moment(16, k)) < 4 * error + 1e-15


def test_the_second_moment_is_two_over_d_squared_in_the_limit():
    assert xeb.porter_thomas_moment(8, 2) == pytest.approx(2 / (8 * 9))
    assert xeb.porter_thomas_moment(2**20, 2) * 2.0**40 == pytest.approx(2, rel=1e-5)


@pytest.mark.parametrize("fidelity", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("estimator", [xeb.linear_xeb, xeb.log_xeb])
def test_samples_of_a_mixture_give_its_weight(estimator, fidelity):
    ideal = haar(1)
    mixture = fidelity * ideal + (1 - fidelity) * MIXED
    found = [estimator(ideal, xeb.sample(mixture, 4000, seed=seed)) for seed in range(60)]
    share = np.mean([within(f, fidelity, 1.0) for f in found])
    assert 0.5 < share < 0.86  # 68 % within three binomial errors of 60 runs
    mean = np.mean([f.value for f in found])
    assert abs(mean - fidelity) < 4 * found[0].stderr / math.sqrt(60)
    assert found[0].stderr < 0.03


def test_exact_distributions_give_the_weight_without_error():
    ideal = haar(2)
    mixture = 0.37 * ideal + 0.63 * MIXED
    assert xeb.linear_fidelity(ideal, mixture) == pytest.approx(0.37, abs=1e-12)
    assert xeb.log_fidelity(ideal, mixture) == pytest.approx(0.37, abs=1e-12)
    assert xeb.linear_fidelity(ideal, haar(3)) == pytest.approx(0, abs=4 / math.sqrt(D))


def test_linear_and_logarithmic_scores_differ_where_theory_says():
    # q ~ p^2 with y = D p exponential: linear E[y^3] / 2 - 1 = 2, logarithmic E[y^2 log y] / 2 + gamma = 3 / 2.
    ideal = haar(8, 2**18)
    squared = ideal**2 / np.sum(ideal**2)
    # sqrt(E[y^6]) / 2 = 13 for one level, of 2^18.
    assert xeb.linear_fidelity(ideal, squared) == pytest.approx(2, abs=4 * 13 / 2**9)
    assert xeb.log_fidelity(ideal, squared) == pytest.approx(1.5, abs=4 * 5 / 2**9)


def test_the_linear_score_is_that_of_the_literature_for_porter_thomas_statistics():
    ideal, samples = haar(4), xeb.sample(haar(4), 5000, seed=0)
    wanted = D * ideal[samples].mean() - 1
    # Here D sum p^2 - 1 is 1 within its own spread, sqrt(20 / D).
    assert xeb.linear_xeb(ideal, samples).value == pytest.approx(
        wanted / (D * np.sum(ideal**2) - 1), abs=1e-12
    )
    assert D * np.sum(ideal**2) - 1 == pytest.approx(1, abs=4 * math.sqrt(20 / D))


def test_speckle_purity_is_the_square_of_the_weight():
    collision = np.mean(
        [np.sum((0.4 * haar(s) + 0.6 * MIXED) ** 2) for s in range(200)]
    )  # fmt: skip
    assert xeb.speckle_purity(float(collision), D) == pytest.approx(0.16, abs=0.003)
    assert xeb.speckle_purity(1 / D, D) == pytest.approx(0, abs=1e-12)
    assert xeb.speckle_purity(xeb.porter_thomas_moment(D, 2) * D, D) == pytest.approx(1)


def test_pairs_of_samples_give_the_collision_probability_without_bias():
    ideal = haar(5, 64)
    found = np.array(
        [xeb.collision_probability(xeb.sample(ideal, 50, seed=s)) for s in range(3000)]
    )
    error = found.std() / math.sqrt(len(found))
    # The biased estimate with n^2 pairs would be off by about 1/50.
    assert abs(found.mean() - np.sum(ideal**2)) < 4 * error < 0.002


def test_samples_follow_their_probabilities():
    probabilities = np.array([0.1, 0.0, 0.6, 0.3])
    counts = np.bincount(xeb.sample(probabilities, 20_000, seed=1), minlength=4)
    assert counts[1] == 0
    np.testing.assert_allclose(counts / 20_000, probabilities, atol=4 * 0.5 / math.sqrt(20_000))


def test_misread_bits_are_a_product_of_two_by_two_matrices():
    e0, e1 = 0.1, 0.3
    one = np.array([[1 - e0, e1], [e0, 1 - e1]])
    given = np.stack([haar(6, 8), haar(7, 8)])
    wanted = given @ np.kron(one, np.kron(one, one)).T
    np.testing.assert_allclose(xeb.flip_bits(given, e0, e1), wanted, atol=1e-14)
    # Qubit 0 is the most significant bit, and |0> reads 1 with e0.
    np.testing.assert_allclose(xeb.flip_bits(np.eye(4)[0], 0.1, 0.3), [0.81, 0.09, 0.09, 0.01])


MODEL = noise.NoiseModel(4e-3, 1e-2, readout_zero=0.01, readout_one=0.03)


@pytest.fixture(scope="module")
def circuit():
    return random_circuit(rectangle(2, 3), 10, seed=3, angles=(math.pi / 2,))


@pytest.fixture(scope="module")
def output(circuit):
    return xeb.noisy_output(circuit, MODEL, 100, seed=1, engine="reference", precision="double")


def test_trajectories_average_to_the_density_matrix(circuit, output):
    rho = density_matrix.run(noise.add_noise(circuit, MODEL))
    exact = xeb.flip_bits(np.real(np.diag(rho)), 0.01, 0.03)
    spread = (1 - output.clean_weight) * output.struck.std(axis=0, ddof=1) / math.sqrt(100)
    pull = (output.mean() - exact) / spread
    assert np.abs(pull).max() < 5
    assert np.sqrt(np.mean(pull**2)) < 1.5
    fidelity = xeb.linear_fidelity(output.ideal, exact)
    assert within(output.linear(), fidelity)
    assert output.linear().value == pytest.approx(
        xeb.linear_fidelity(output.ideal, output.mean()), abs=1e-12
    )
    assert within(output.log(), xeb.log_fidelity(output.ideal, exact))


def test_few_trajectories_give_purity_without_bias_and_an_honest_error(circuit):
    model = MODEL.scaled(4)
    rho = density_matrix.run(noise.add_noise(circuit, model))
    read = xeb.flip_bits(np.real(np.diag(rho)), 0.01, 0.03)
    outputs = [
        xeb.noisy_output(circuit, model, 4, seed=seed, engine="reference") for seed in range(60)
    ]
    purity = np.array([output.purity() for output in outputs])
    # Pairs of a trajectory with itself would add about a quarter.
    error = purity.std(ddof=1) / math.sqrt(60)
    assert abs(purity.mean() - xeb.speckle_purity(np.sum(read**2), 64)) < 4 * error < 0.1
    linear = [output.linear() for output in outputs]
    spread = np.std([e.value for e in linear], ddof=1)
    # The spread of 60 runs is known to 9 %, heavy tails make it 15 %.
    assert math.sqrt(np.mean([e.stderr**2 for e in linear])) == pytest.approx(spread, rel=0.45)


def test_the_error_is_that_of_the_trajectories_with_an_error_alone(output):
    scores = output.struck @ (output.ideal / np.sum(output.ideal**2))
    scale = np.sum((output.ideal - 1 / 64) ** 2) / np.sum(output.ideal**2)
    wanted = (1 - output.clean_weight) * scores.std(ddof=1) / scale / math.sqrt(100)
    assert 0.2 < output.clean_weight < 0.8
    assert output.linear().stderr == pytest.approx(wanted, rel=1e-10)


def test_xeb_is_the_fidelity_of_the_depolarised_circuit_and_that_of_the_digital_model():
    model = replace(MODEL, readout_zero=0.0, readout_one=0.0)
    ratios, states = [], []
    for seed in range(4):
        circuit = random_circuit(rectangle(2, 4), 14, seed=seed, angles=(math.pi / 2,))
        found = xeb.noisy_output(circuit, model, 30, seed=seed, engine="reference").linear()
        digital = xeb.circuit_fidelity(circuit, model)
        ratios.append(found.value / digital)
        noisy = density_matrix.run(noise.add_noise(circuit, model)) if seed == 0 else None
        if noisy is not None:
            psi = statevector.run(circuit)
            states = [np.real(psi.conj() @ noisy @ psi), found]
    fidelity, first = states
    # The last errors of a circuit change the state but not all of them its bitstrings: XEB lies a little above.
    assert first.value - fidelity + 4 * first.stderr > 0
    assert first.value == pytest.approx(fidelity, abs=0.1 * fidelity + 4 * first.stderr)
    assert np.mean(ratios) == pytest.approx(1, abs=0.12)


def test_digital_fidelity_counts_gates_and_readouts(circuit):
    n_two = sum(len(op.qubits) == 2 for op in circuit.operations())
    gates = noise.echo_fidelity(circuit, MODEL)
    assert xeb.digital_fidelity(60, n_two, 0, MODEL) == pytest.approx(gates, rel=1e-12)
    assert xeb.circuit_fidelity(circuit, MODEL) == pytest.approx(gates * 0.98**6, rel=1e-12)


def test_a_perfect_device_has_fidelity_one_without_error(circuit):
    perfect = xeb.noisy_output(circuit, noise.NoiseModel(), 2, seed=0, engine="reference")
    assert perfect.linear().value == pytest.approx(1, abs=1e-12)
    assert perfect.linear().stderr == 0
    assert perfect.purity() == pytest.approx(
        xeb.speckle_purity(float(perfect.ideal @ perfect.ideal), 64)
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: xeb.linear_xeb(MIXED, np.arange(4)), FloatingPointError, "`ideal` must not be"),
        (lambda: xeb.linear_xeb(haar(1), np.array([0, D])), ValueError, "`samples` must lie"),
        (lambda: xeb.linear_xeb(haar(1), np.ones(3)), TypeError, "`samples` must be whole"),
        (lambda: xeb.linear_xeb(2 * haar(1), np.arange(4)), ValueError, "`ideal` must be prob"),
        (lambda: xeb.log_xeb(np.array([0.0, 1]), np.arange(2)), ValueError, "`ideal` must be pos"),
        (lambda: xeb.linear_fidelity(haar(1), haar(1, 16)), ValueError, "`actual` must have 1024"),
        (lambda: xeb.sample(np.ones(3) / 3, 1, seed=0), ValueError, "`probabilities` must have a len"),
        (lambda: xeb.flip_bits(MIXED, 1.5, 0), ValueError, "`readout_zero` must lie between"),
        (lambda: xeb.collision_probability(np.ones(1)), ValueError, "`samples` must be at least 2"),
        (lambda: xeb.noisy_output(Circuit(1), MODEL, 1, seed=0), ValueError, "`n_trajectories` must"),
        (lambda: xeb.noisy_output(Circuit(50), MODEL, 4, seed=0), ValueError, "40 states of 50 qubits"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
