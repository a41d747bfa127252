import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.data.tasks import Task
from experiments.harness.context import Context
from experiments.photonic_chips import taichi_chiplets as many
from experiments.photonic_chips.taichi_chiplets import Chips
from optics.networks.coded_chiplets import largest_chip
from optics.networks.output_codes import direct_code, make_output_code
from optics.networks.taichi import SlabGeometry

CHIPS = Chips(side=3, n_ports=4, n_steps=30, batch_size=8, slab=SlabGeometry(length=30e-6))


@pytest.fixture(scope="module")
def task():
    random = np.random.default_rng(0)
    centres = random.uniform(size=(4, 9)).astype(np.float32)
    y = np.arange(40) % 4
    x = np.clip(centres[y] + 0.1 * random.normal(size=(40, 9)), 0, 1).astype(np.float32)
    labels = jnp.asarray(y, jnp.int32)
    return Task(jnp.asarray(x), labels, jnp.asarray(x), labels, tuple("abcd"), "drawn")


@pytest.fixture(scope="module")
def trained(task):
    """Two equal runs trained apart, one together; three chiplets each."""
    diffractor = CHIPS.diffractor()
    codes = np.stack([make_output_code(4, 3, key=jax.random.key(0))] * 3)
    keys = [jax.random.key(1)] * 3
    runs = many.make_runs(
        CHIPS, diffractor, codes, keys, n_chiplets=3, joint=np.array([0.0, 0.0, 1.0])
    )
    return codes, diffractor, *many.train(Context(), "train", CHIPS, diffractor, runs, task)


def test_the_monolith_has_the_slabs_of_the_largest_chip():
    large = many.monolith(CHIPS, 500)
    assert (large.n_inputs, large.n_ports) == largest_chip(500, CHIPS.n_inputs, CHIPS.n_masks)
    assert large.diffractor.narrow.shape == (large.n_ports, large.n_inputs)


def test_runs_do_not_see_each_other_and_the_joint_loss_differs(trained):
    losses = trained[3]
    assert losses.shape == (3, CHIPS.n_steps)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)  # single precision, 30 steps
    assert not np.allclose(losses[0], losses[2], rtol=0.1)


def test_training_lowers_the_loss_and_classifies(trained, task):
    codes, diffractor, chiplets, losses = trained
    assert np.all(losses[:, -5:].mean(axis=1) < 0.5 * losses[:, :3].mean(axis=1))
    scores = many.evaluate(CHIPS, diffractor, chiplets, codes, task)
    assert np.all(scores.soft > 60)  # chance is 25
    assert np.all((scores.transmission > 0) & (scores.transmission < 1))


def test_errors_and_few_photons_cost_accuracy(trained, task):
    codes, diffractor, chiplets, _ = trained
    clean, rough, dim = (
        many.evaluate(CHIPS, diffractor, chiplets, codes, task, **condition).soft.mean()
        for condition in ({}, {"error": 1.0}, {"photons": 3.0})
    )
    assert rough < clean - 10
    assert dim < clean - 10


def test_training_with_errors_sees_them(task):
    diffractor = CHIPS.diffractor()
    codes = np.stack([direct_code(4)] * 2)
    keys = [jax.random.key(3)] * 2
    runs = many.make_runs(CHIPS, diffractor, codes, keys, n_chiplets=1, error=np.array([0.0, 1.0]))
    _, losses = many.train(Context(), "aware", CHIPS, diffractor, runs, task, n_symbols=4)
    # Phases that jump by a radian each step cannot be learnt as well.
    assert losses[1, -10:].mean() > losses[0, -10:].mean() + 0.2


def test_a_training_that_diverges_is_named(task, trained):
    codes, diffractor, chiplets, _ = trained
    # Shapes of the fixture, so that nothing compiles again.
    runs = many.Runs(
        chiplets,
        jnp.asarray(codes),
        jnp.full(3, jnp.nan, jnp.float32),
        jnp.zeros(3, jnp.float32),
        jnp.stack([jax.random.key(1)] * 3),
    )
    with pytest.raises(FloatingPointError, match=r"`loss` of broken must be finite, .* at step 0"):
        many.train(Context(), "broken", CHIPS, diffractor, runs, task)
