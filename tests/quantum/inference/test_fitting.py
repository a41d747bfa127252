import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import curve_fit

from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import echo_circuit, make_echo
from quantum.engines import statevector
from quantum.engines.jax_engine import expectation_of_angles
from quantum.inference.fitting import ForwardModel, fisher_information, fit, log_likelihood
from quantum.inference.likelihood import Binomial, Gaussian

TIMES = np.linspace(0.1, 3, 25)


def oscillation(p):
    """A damped precession: frequency in rad/s, rate in 1/s."""
    return jnp.exp(-p[1] * TIMES) * jnp.cos(p[0] * TIMES)


MODEL = ForwardModel(oscillation, ("omega", "rate"), (0.0, 0.0), (20.0, 3.0))
TRUTH = np.array([7.3, 0.4])


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    return Gaussian(MODEL.predict(TRUTH), np.full(25, 0.05)).redrawn(MODEL.predict(TRUTH), rng)


def test_the_fit_is_the_one_of_scipy(data):
    found = fit(MODEL, data)

    def curve(times, omega, rate):
        return np.exp(-rate * times) * np.cos(omega * times)

    wanted, covariance = curve_fit(
        curve, TIMES, data.data, TRUTH, np.full(25, 0.05), absolute_sigma=True
    )
    np.testing.assert_allclose(found.values, wanted, rtol=1e-5)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-3)
    assert found.degrees_of_freedom == 23
    assert 0.001 < found.p_value < 0.999
    assert abs(found.estimate("omega").value - 7.3) < 4 * found.estimate("omega").stderr


def test_one_start_is_not_enough_for_an_oscillation():
    wave = ForwardModel(lambda p: jnp.cos(p[0] * TIMES), ("omega",), (0.0,), (20.0,))
    data = Gaussian(wave.predict(np.array([7.3])), np.full(25, 0.05))
    lost, found = (fit(wave, data, np.array([[omega]])) for omega in (15.0, 7.0))
    assert lost.chi_squared > found.chi_squared + 100
    both = fit(wave, data, np.array([[15.0], [7.0]]))
    assert both.agreeing == 0.5
    assert both.values == pytest.approx(found.values)


def test_shots_are_learned_from_at_the_rate_of_their_number():
    rng = np.random.default_rng(1)
    prediction = MODEL.predict(TRUTH)
    errors = []
    for shots in (100, 10000):
        counted = Binomial(prediction, np.array(shots)).redrawn(prediction, rng)
        found = fit(MODEL, counted)
        errors.append(found.estimate("omega").stderr)
        assert abs(found.values[0] - 7.3) < 4 * errors[-1]
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.2)


def test_the_gradient_vanishes_at_the_fit_and_points_uphill_elsewhere(data):
    found = fit(MODEL, data)
    best, gradient = log_likelihood(MODEL, data, found.values)
    error = np.sqrt(np.diag(found.covariance))
    assert np.all(np.abs(gradient * error) < 1e-2)
    away = found.values + 0.5 * error
    lower, slope = log_likelihood(MODEL, data, away)
    assert lower < best
    step = 1e-6 * slope / np.linalg.norm(slope)
    assert log_likelihood(MODEL, data, away + step)[0] - lower == pytest.approx(
        slope @ step, rel=1e-3
    )


def test_fisher_is_minus_the_mean_curvature(data):
    exact = Gaussian(MODEL.predict(TRUTH), np.full(25, 0.05))
    step = np.array([1e-5, 0])
    up, down = (log_likelihood(MODEL, exact, TRUTH + s)[1] for s in (step, -step))
    curvature = -(up - down) / 2e-5
    np.testing.assert_allclose(
        curvature, fisher_information(MODEL, exact, TRUTH)[0], rtol=1e-5, atol=1e-2
    )


def test_two_names_for_one_effect_are_found_out():
    model = ForwardModel(lambda p: oscillation(jnp.stack([p[0] + p[1] / 2, p[2]])),
                         ("D", "J", "rate"), (0, 0, 0), (10, 10, 3))  # fmt: skip
    truth = np.array([6.0, 2.6, 0.4])
    found = fit(model, Gaussian(model.predict(truth), np.full(25, 0.05)))
    assert found.identifiability.unidentifiable == ("D - 2 J",)
    assert found.values[0] + found.values[1] / 2 == pytest.approx(7.3, abs=1e-4)
    with pytest.raises(ValueError, match="do not determine D - 2 J"):
        found.estimate("D")


def test_an_echo_circuit_is_a_forward_model_by_its_reverse_derivative():
    layout = rectangle_layout(2, 2, 3)
    echo = make_echo(layout, random_circuit(layout.lattice, 3, seed=4), order=1)
    circuit = echo_circuit(echo)
    gates = [k for k, op in enumerate(circuit.operations()) if len(op.qubits) == 2]
    value, angles = expectation_of_angles(circuit, echo.observable, gates)

    def predicted(p):
        return value(jnp.asarray(angles) + p[0] * jnp.sign(angles))[None]

    model = ForwardModel(predicted, ("phase",), (-1.0,), (1.0,), "reverse")
    plain = statevector.expectation(statevector.run(circuit), echo.observable)
    assert model.predict(np.zeros(1))[0] == pytest.approx(plain, abs=1e-12)
    step = 1e-5
    numeric = (model.predict(np.array([step])) - model.predict(np.array([-step]))) / (2 * step)
    assert model.jacobian(np.zeros(1))[0, 0] == pytest.approx(numeric[0], rel=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ForwardModel(oscillation, (), (), ()), "`names` must name different"),
        (lambda: ForwardModel(oscillation, ("a", "a"), (0, 0), (1, 1)), "`names` must name diff"),
        (lambda: ForwardModel(oscillation, ("a",), (0, 0), (1,)), "`lower` and `upper` must hold"),
        (lambda: ForwardModel(oscillation, ("a",), (2,), (1,)), "`lower` must be finite and below"),
        (lambda: fit(MODEL, Gaussian(np.zeros(3), np.ones(3))), "`function` must predict 3 points"),
        (lambda: fit(MODEL, Gaussian(np.zeros(25), np.ones(25)), np.array([[30.0, 1]])),
         "`starts` must lie within the bounds"),
        (lambda: fit(MODEL, Gaussian(np.zeros(25), np.ones(25)), 0), "`starts` must be at least 1"),
        (lambda: fit(MODEL, Gaussian(np.zeros(25), np.ones(25)), 2).estimate("x"),
         "`name` must be one of omega, rate"),
    ],
)  # fmt: skip
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_prediction_that_is_not_finite_is_located():
    model = ForwardModel(lambda p: jnp.log(p - 0.5) * jnp.ones(2), ("x",), (0.0,), (1.0,))
    with pytest.raises(FloatingPointError, match=r"finite predictions.* at x = 0.25"):
        model.predict(np.array([0.25]))
