import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from experiments.benchmarks import bench_training_step as bench
from optics.media import Geometry

TINY = bench.Config(pixels=16, n_layers=2, batch_size=3, rounds=2, n_steps=2, product_size=8)


@pytest.fixture(scope="module")
def outcome():
    return bench.run(TINY)


def _products(jaxpr) -> int:
    """Operations of all real matrix products in a program, inner programs included."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (summed, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            size = int(np.prod(equation.outvars[0].aval.shape))
            total += 2 * size * int(np.prod([left[axis] for axis in summed]))
        if (
            equation.primitive.name == "custom_linear_solve"
        ):  # the transpose beside it is not run here
            total += _products(equation.params["jaxprs"].solve.jaxpr)
        else:
            total += sum(_products(inner) for inner in jaxprs_in_params(equation.params))
    return total


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1e-6, 2e-6)])
@pytest.mark.parametrize("shape", [(16, 16), (16, 10)])
def test_operations_are_those_of_the_program(shape, shift):
    medium = Geometry(shape, distance=1e-3).free_space(output_shift=shift)
    fields = jnp.ones((3, *shape), jnp.complex64)
    expected = _products(jax.make_jaxpr(medium)(fields).jaxpr)
    assert expected > 0
    assert 3 * bench.operations_of(medium) == expected


def test_operations_of_transforms_are_not_guessed():
    medium = Geometry((16, 16), distance=1e-3).free_space(method="fft")
    with pytest.raises(
        ValueError, match="`medium` must propagate by matrices, but its method is fft"
    ):
        bench.operations_of(medium)


def test_a_step_is_its_propagations_and_the_rest(outcome):
    found = outcome.metrics
    for step in bench.STEPS:
        whole, part = found[f"cpu.step.{step}"].value, found[f"cpu.propagations.{step}"].value
        assert whole > 0
        assert part > 0
        assert found[f"rest.{step}"].value == pytest.approx(whole - part)
        assert found[f"cpu.step.{step}"].n == TINY.rounds


def test_rates_are_operations_over_time(outcome):
    milliseconds = outcome.arrays["cpu_ms.sgemm"]
    assert outcome.metrics["rate.sgemm"].value == pytest.approx(
        np.mean(2 * 8**3 / (1e6 * milliseconds))
    )
    # 16 px: 2 axes of 2 halves of 8 x 8, 3 products each on 16 lines; forwards and back, 2 layers, 3 fields.
    operations = 2 * (2 * 2 * 8 * 8 * 3 * 16) * 2 * 2 * 3
    rate = np.mean(operations / (1e6 * outcome.arrays["cpu_ms.propagations.model"]))
    assert outcome.metrics["rate.propagations.model"].value == pytest.approx(rate)


def test_both_steps_do_the_work():
    """Their losses change from step to step, so that nothing is left out as unused or done once only."""
    pieces, _ = bench._pieces(TINY)
    for step in bench.STEPS:
        losses = np.asarray(pieces[f"step.{step}"]())
        assert losses.shape == (TINY.n_steps,)
        assert np.all(np.isfinite(losses))
        assert np.ptp(losses) > 0


def test_figure_shows_both_steps_and_all_rates(outcome):
    times, rates = bench.plot(outcome).axes
    assert [text.get_text() for text in times.get_yticklabels()] == ["in the model", "forward mode"]
    assert len(rates.patches) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounds": 0}, "`rounds` must be at least 1, but is 0"),
        ({"pixels": 8}, "`pixels` must be at least 16"),
    ],
)
def test_bad_configuration_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        bench.Config(**change)
