import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.generation import optical_generation as experiment
from experiments.generation import optical_generation_figure
from experiments.generation import optical_generator as light
from optics.hardware import Imperfections, OpticalBench, draw_twin

TINY = dataclasses.replace(
    experiment.SCALES["quick"], panel=16, pool=2, seed_side=4, hidden=6, n_axes=3, n_pairs=40, n_pictures=30,
    n_steps=4, n_tuning=2, control_steps=3, batch_size=5,
)  # fmt: skip
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def outcome():
    return experiment.run(TINY)


@pytest.fixture(scope="module")
def generator():
    return experiment.start(TINY, 10, 0.3, KEY)


BATCH = (
    jnp.asarray(np.random.default_rng(1).normal(size=(5, 3)), jnp.float32),
    jnp.arange(5, dtype=jnp.int32),
    jnp.asarray(np.random.default_rng(2).random((5, 64)), jnp.float32),
)


def test_forward_mode_of_symmetric_hardware_gives_the_gradient_of_phases_encoder_and_exposure(
    generator,
):
    # Another distance is an error that leaves transport symmetric; a gain of the modulator is not.
    start, optics = generator
    for errors, exact in (
        (Imperfections(distance_error=1e-3), True),
        (Imperfections(slm_gain=-0.3), False),
    ):
        twin = draw_twin(TINY.geometry, errors, key=KEY)
        bench = OpticalBench(TINY.geometry, twin, camera=None)
        carriers = light.Measured(bench, TINY.n_layers), light.Revealed(twin)
        (loss, found), (true, wanted) = (
            light.ByGradient(optics, carrier)(start, BATCH, key=KEY, time=0) for carrier in carriers
        )
        assert float(loss) == pytest.approx(float(true), rel=1e-5)
        pairs = list(zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True))
        off = [float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in pairs]
        assert (max(off) < 1e-4) == exact


def test_the_encoder_gets_the_gradient_that_a_difference_finds(generator):
    start, optics = generator
    carrier = light.Modelled(optics.network)
    look = lambda g: light.mismatch(g, optics, carrier, BATCH, key=KEY, time=0)  # noqa: E731
    slope = jax.grad(look)(start)
    moved = lambda h: jax.tree.map(lambda w, g: w + h * g, start, slope)  # noqa: E731
    squares = sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(slope))
    step = 1e-2 / squares**0.5
    found = (float(look(moved(step))) - float(look(moved(-step)))) / (2 * step)
    assert found == pytest.approx(squares, rel=0.02)


def test_spsa_has_the_frames_of_forward_mode_and_estimates_its_gradient(generator):
    start, optics = generator
    costs = experiment.costs(TINY)
    assert costs["forward"].frames == 4 * costs["forward"].passes == 4 * 2 * 2 * 4 * 5
    one = light.cost_of_perturbation(TINY.n_layers, 1, TINY.batch_size).frames
    assert costs["forward"].frames - one < costs["perturbed"].frames <= costs["forward"].frames
    twin = draw_twin(TINY.geometry, Imperfections(), key=KEY)
    rule = light.ByPerturbation(
        optics, OpticalBench(TINY.geometry, twin, camera=None), (1e-2, 1e-3)
    )
    _, wanted = light.ByGradient(optics, light.Revealed(twin))(start, BATCH, key=KEY, time=0)
    draw = jax.jit(jax.vmap(lambda key: rule(start, BATCH, key=key, time=0)[1]))
    found = jax.tree.map(lambda g: g.mean(axis=0), draw(jax.random.split(KEY, 4000)))
    # The exposure is one number among hundreds that move with it: 4,000 draws tell it to about a tenth.
    assert float(found.log_exposure) == pytest.approx(float(wanted.log_exposure), rel=0.3)
    cosine = jnp.vdot(found.phase, wanted.phase)
    cosine /= jnp.linalg.norm(found.phase) * jnp.linalg.norm(wanted.phase)
    assert float(cosine) > 0.8


def test_teacher_ends_in_the_class_it_is_told():
    lesson = experiment._Lesson(dataclasses.replace(TINY, n_axes=20), 0)
    _, labels, pictures = lesson.pairs(60)
    judged = lesson.judge(pictures, pictures, labels)
    assert judged["recognised"] > 85
    assert judged["mismatch"] == 0
    shuffled = lesson.judge(pictures, pictures, (labels + 1) % 10)
    assert shuffled["recognised"] < 15


def test_outcome_has_every_method_and_gains_are_differences(outcome):
    found = outcome.metrics
    for method in (*experiment.BOUNDS, "ideal", *(f"{m}.1" for m in experiment.ON_HARDWARE)):
        assert np.isfinite(found[f"frechet.{method}"].value)
    gain = found["frechet.in_silico.1"].value - found["frechet.forward.1"].value
    assert found["gain.forward.1"].value == pytest.approx(gain)


def test_figure_has_a_picture_of_each_class_by_each_method(outcome):
    figure = optical_generation_figure.plot(outcome, ("forward",), experiment.BOUNDS)
    shown = [axes for axes in figure.axes if axes.images]
    # Rows: teacher, digital, ideal and one method, or all that were trained.
    assert len(shown) % 10 == 0
    assert len(shown) >= 40


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"panel": 15}, "`panel` must hold pictures of 8 x 2 pixels along a side, but has 15"),
        ({"seed_side": 3}, "`seed_side` must divide the 16 pixels of `panel`, but is 3"),
        ({"n_pictures": 3}, "`n_pictures` must be more than the 3 axes, but is 3"),
        ({"severities": ()}, "`severities`"),
    ],
)
def test_bad_settings_are_named(wrong, match):
    with pytest.raises(ValueError, match=match):
        dataclasses.replace(TINY, **wrong)
