import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from nn.generation.ddim import FlowNoise, make_ddim_grid, sample_ddim, signal_levels
from nn.generation.exact_flow import make_gaussian_flow
from nn.generation.flow_samplers import sample_flow
from nn.generation.flow_time import make_grid, make_shift
from nn.generation.guidance import make_guidance
from nn.generation.inversion import fit_null, invert_ddim, invert_flow

SIGNAL = signal_levels()
RNG = np.random.default_rng(0)
DATA = jnp.asarray(0.5 * RNG.normal(size=(32, 2)))
FLOW = make_gaussian_flow(jnp.zeros((1, 2)), 0.25 * jnp.eye(2)[None])
NOISE_OF = FlowNoise(FLOW, jnp.asarray(SIGNAL))
# Two classes, told by the logarithms of their probabilities: an embedding that guidance can be tried on.
PAIR = make_gaussian_flow(
    jnp.array([[-1.0, 0.0], [1.0, 0.0]]), 0.09 * jnp.broadcast_to(jnp.eye(2)[None], (2, 2, 2))
)
RIGHT = jnp.broadcast_to(jnp.array([-5.0, 0.0])[None], (32, 2))
NULL = np.zeros(2)


def miss(found, wanted):
    return float(jnp.linalg.norm(found - wanted) / jnp.linalg.norm(wanted))


def ddim_trip(n_steps, n_iterations, spacing="leading"):
    grid = make_ddim_grid(SIGNAL, n_steps, spacing=spacing)
    noise = invert_ddim(NOISE_OF, DATA, grid, n_iterations=n_iterations).noise
    return miss(sample_ddim(NOISE_OF, noise, grid), DATA)


def test_the_round_trip_of_ddim_falls_as_one_over_the_steps():
    # Numbers that divide the levels: others leave the noisiest out.
    steps = np.array([10, 50, 100, 200])
    misses = [ddim_trip(int(n), 0) for n in steps]
    slope = np.polyfit(np.log(steps[1:]), np.log(misses[1:]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.1)
    # What diffusers 0.42 makes of the same predictor and schedule.
    np.testing.assert_allclose(misses, [0.197, 0.037, misses[2], 0.0090], rtol=0.01)


def test_fixed_points_beat_it_by_far():
    plain = ddim_trip(50, 0)
    assert ddim_trip(50, 2) < plain / 10
    assert ddim_trip(50, 20) < 1e-9
    assert ddim_trip(50, 20, "trailing") < 1e-9


def test_euler_steps_are_inverted_by_iteration():
    grid = make_grid(20, make_shift(0.4, noise_at=0))
    misses = []
    for n_iterations in (0, 1, 2, 4, 8, 40):
        found = invert_flow(FLOW, DATA, grid, n_iterations=n_iterations)
        misses.append(miss(sample_flow(FLOW, found.noise, grid).end, DATA))
    assert (np.diff(misses) < 0).all()
    assert misses[4] < 1e-3
    assert misses[5] < 1e-12
    # What is said of the last iteration is of the size of what is left.
    assert 0 < found.residual < 1e-10
    # An iteration shrinks a linear field's change by step times slope: the worst is where that is largest.
    times = grid.times(0)
    t = times[:-1]
    slope = (0.25 * t - (1 - t)) / (0.25 * t**2 + (1 - t) ** 2)
    assert invert_flow(FLOW, DATA, grid).step == np.argmax(np.abs(np.diff(times) * slope))


def test_the_ode_backwards_is_of_second_order():
    misses = []
    for n_steps in (50, 100, 200):
        grid = make_grid(n_steps)
        noise = sample_flow(FLOW, DATA, grid.reversed(), method="heun").end
        misses.append(miss(sample_flow(FLOW, noise, grid, method="heun").end, DATA))
    slope = np.polyfit(np.log([50, 100, 200]), np.log(misses), 1)[0]
    assert slope == pytest.approx(-2, abs=0.15)


def test_divergence_names_the_step_and_the_residual():
    guided = lambda n, w: invert_flow(  # noqa: E731
        PAIR, DATA, make_grid(n), condition=RIGHT, guidance=make_guidance(w, NULL)
    )
    with pytest.raises(FloatingPointError, match=r"at step 9 of 10 its residual is .* after 8"):
        guided(10, 2.0)
    # Smaller steps and no guidance: it converges.
    assert guided(40, 1.0).residual < 1e-4


def test_the_number_of_steps_and_iterations_is_data():
    traced = []

    class Counted(eqx.Module):
        def __call__(self, x, t, condition):
            traced.append(1)
            return FLOW(x, t)

    field = Counted()
    for n_steps, n_iterations in ((5, 0), (9, 3), (20, 8)):
        invert_flow(field, DATA, make_grid(n_steps), n_iterations=n_iterations)
    assert len(traced) == 1


def test_fitted_null_embeddings_bring_guided_steps_back():
    grid = make_ddim_grid(SIGNAL, 10)
    noise_of = FlowNoise(PAIR, jnp.asarray(SIGNAL))
    data = jnp.asarray(np.array([0.9, 0.1]) + 0.2 * RNG.normal(size=(32, 2)))
    fitted = fit_null(noise_of, data, grid, RIGHT, NULL, 4.0, n_inner=10, learning_rate=0.1)
    plain = sample_ddim(
        noise_of, fitted.noise, grid, condition=RIGHT, guidance=make_guidance(4.0, NULL)
    )
    assert miss(fitted.data, data) < miss(plain, data) / 2
    assert fitted.nulls.shape == (10, 32, 2)
    # The same noise as the plain inversion at weight 1.
    unguided = invert_ddim(noise_of, data, grid, condition=RIGHT, n_iterations=0)
    np.testing.assert_allclose(fitted.noise, unguided.noise, rtol=1e-9)
    # Inverted as it will be guided it comes back, but for a few points whose iterations do not settle.
    guide = {"condition": RIGHT, "guidance": make_guidance(1.5, NULL)}
    guided = invert_ddim(noise_of, data, grid, **guide, n_iterations=40)
    back = np.asarray(sample_ddim(noise_of, guided.noise, grid, **guide))
    assert np.median(np.abs(back - data)) < 1e-6
    once = fit_null(
        noise_of, data, grid, RIGHT, NULL, 4.0, n_inner=10, learning_rate=0.1, first_step_only=True
    )
    assert np.ptp(np.asarray(once.nulls), axis=0).max() == 0
    assert miss(fitted.data, data) < miss(once.data, data) < miss(plain, data)


def fit_badly(**options):
    return fit_null(NOISE_OF, DATA, make_ddim_grid(SIGNAL, 2), RIGHT, NULL, 2.0, **options)


GUIDED = make_guidance(2.0, NULL)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: invert_flow(FLOW, DATA * jnp.nan, make_grid(2)), "`data` must be finite"),
        (lambda: invert_flow(FLOW, DATA, make_grid(2), n_iterations=-1), "`n_iterations` must be"),
        (lambda: invert_flow(PAIR, DATA, make_grid(2), guidance=GUIDED), "cannot be guided"),
        (lambda: fit_badly(n_inner=0), "`n_inner` must be at least 1"),
        (lambda: fit_badly(learning_rate=0), "`learning_rate` must be positive"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
