import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.networks import coded_chiplets, taichi
from optics.networks.coded_chiplets import coded_labels, coded_loss, largest_chip, with_shot_noise
from optics.networks.encoders import load_amplitudes

CODE = np.array([[0, 0], [0, 1], [1, 1]])


@pytest.fixture(scope="module")
def single():
    """One chiplet, an input, and its output field."""
    diffractor = taichi.make_diffractor(10, 4, taichi.SlabGeometry(length=30e-6))
    chiplets = taichi.make_chiplets(1, diffractor, key=jax.random.key(2))
    fields = load_amplitudes(jnp.ones((5, 9), jnp.float32), 10)
    out = jax.jit(taichi.side_by_side)(chiplets, diffractor, fields)[0]
    return chiplets, diffractor, fields, out


detected = jax.jit(coded_chiplets.detected_powers, static_argnums=(0, 4, 5))


def test_one_chiplet_may_read_several_sub_tasks(single):
    *chip, out = single
    powers = detected("broad", *chip, 3, 2)
    assert powers.shape == (5, 3, 2)
    # Ten detectors, six regions of one each; single precision.
    np.testing.assert_allclose(powers.reshape(5, 6), jnp.abs(out[:, :6]) ** 2, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", ["broad", "detected", "coherent"])
def test_a_series_of_one_is_one_chiplet(single, kind):
    *chip, out = single
    expected = taichi.region_powers(out, 4)
    np.testing.assert_allclose(detected(kind, *chip, 1, 4)[:, 0], expected, rtol=1e-4, atol=1e-7)


def test_chiplets_that_cannot_share_the_sub_tasks_are_told(single):
    chiplets, *rest, _ = single
    pair = jax.tree.map(lambda a: jnp.concatenate([a, a]), chiplets)
    with pytest.raises(ValueError, match="`n_tasks` must be a multiple of the 2 chiplets"):
        detected("broad", pair, *rest, 3, 2)


def by_hand(powers, label, gain):
    """Losses of the whole word and of every sub-task, of one image."""
    share = powers / powers.sum(axis=-1, keepdims=True)
    log = gain * share - np.log(np.exp(gain * share).sum(axis=-1, keepdims=True))
    scores = np.array([log[0, first] + log[1, second] for first, second in CODE])
    together = np.log(np.exp(scores).sum()) - scores[label]
    return together, -np.mean([log[0, CODE[label, 0]], log[1, CODE[label, 1]]])


def test_the_loss_mixes_the_whole_word_with_every_sub_task():
    powers = np.random.default_rng(0).uniform(0.1, 1, size=(2, 2, 2))
    labels = np.array([1, 2])
    losses = np.array([by_hand(p, c, 5.0) for p, c in zip(powers, labels, strict=True)])
    for joint, expected in (
        (1.0, losses[:, 0]),
        (0.0, losses[:, 1]),
        (0.25, losses @ [0.25, 0.75]),
    ):
        found = coded_loss(powers, labels, CODE, joint, 5.0)
        assert float(found) == pytest.approx(expected.mean(), rel=1e-12)
    with pytest.raises(ValueError, match="`joint` must lie between 0 and 1"):
        coded_loss(powers, labels, CODE, 1.5, 5.0)


def test_a_soft_label_weighs_the_symbols_that_a_hard_one_takes_as_they_are():
    # The brightest symbols (1, 0) are no word and as far from (0, 0) as from (1, 1); the second symbol is the surer.
    powers = np.array([[[0.45, 0.55], [0.9, 0.1]], [[0.1, 0.9], [0.55, 0.45]]])
    soft, hard = coded_labels(powers, CODE, 5.0)
    assert soft.tolist() == [0, 2]
    assert hard.tolist() == [0, 0]


def test_counts_scatter_as_their_photons_do_and_are_never_negative():
    powers = jnp.tile(jnp.array([0.5, 0.02]), (20_000, 1))
    found = np.asarray(with_shot_noise(powers, 1 / 100, key=jax.random.key(0)))
    # Variance 0.5 / 100; a standard deviation of n draws is known to 1 / sqrt(2 n).
    assert found[:, 0].std() == pytest.approx(np.sqrt(0.005), rel=4 / 200)
    assert found[:, 0].mean() == pytest.approx(0.5, abs=4 * np.sqrt(0.005) / 141)
    assert found.min() == 0
    np.testing.assert_array_equal(with_shot_noise(powers, 0.0, key=jax.random.key(0)), powers)


@pytest.mark.parametrize("n_phases", [50, 500, 5000])
def test_the_largest_chip_is_the_largest_that_the_phases_allow(n_phases):
    n_inputs, n = largest_chip(n_phases, 10, 1)
    assert n**2 + 2 * max(n, 10) <= n_phases < (n + 1) ** 2 + 2 * max(n + 1, 10)
    assert n_inputs == max(n, 10)
