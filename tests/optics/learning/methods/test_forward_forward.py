import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware import OpticalBench
from optics.learning import evaluate, fit
from optics.learning.method import adam_init
from optics.learning.methods import ForwardForward, checkerboard, make_label_light
from optics.learning.protocols import weights_of
from tests.exact.bars import bars, encode
from tests.exact.small_bench import GEOMETRY, inputs, network, relative_error, twin

KEY = jax.random.key(0)
LIGHT = make_label_light(GEOMETRY.shape, 4, power_share=0.4)
METHOD = ForwardForward(LIGHT, checkerboard(GEOMETRY.shape, 4), learning_rate=0.1)


# Compiled whole: one by one, each operation compiles anew for every shape.
load = eqx.filter_jit(LIGHT.load)
goodness = eqx.filter_jit(METHOD.goodness)


def _power(field):
    return np.sum(np.abs(field) ** 2, axis=(-2, -1))


def test_label_light_takes_its_share_and_keeps_the_power():
    field, labels = inputs()
    loaded = np.asarray(load(field, labels))
    np.testing.assert_allclose(_power(loaded), _power(field), rtol=1e-12)
    on_strip = _power(loaded * (1 - np.asarray(LIGHT.keep)))
    np.testing.assert_allclose(on_strip / _power(field), 0.4, rtol=1e-12)
    # Label 2 of 4 lights rows 12 to 17 of 24 and nothing else on the strip.
    lit = np.abs(loaded[2][:, 0]) > 0
    np.testing.assert_array_equal(np.flatnonzero(lit), np.arange(12, 18))


def test_goodness_is_the_share_of_power_on_the_mask():
    field, _ = inputs()
    on_mask, found = _power(np.asarray(field) * np.asarray(METHOD.mask)), goodness(field)
    np.testing.assert_allclose(found, 30 * on_mask / _power(field), rtol=1e-12)
    turned = goodness(jnp.asarray(3j * np.asarray(field)))
    np.testing.assert_allclose(turned, found, rtol=1e-12)


@jax.jit
def _step(net, bench, field, labels):
    state = METHOD.init(net, key=KEY, n_steps=1)
    return METHOD.step(state, bench, field, labels, key=KEY)


def test_one_step_of_every_layer_lowers_its_own_loss_and_follows_its_own_gradient():
    net, bench = network(2), OpticalBench(GEOMETRY, twin())
    field, labels = inputs()
    state, report = _step(net, bench, field, labels)
    label_key, _ = jax.random.split(KEY)
    turns = jax.random.randint(label_key, (3,), 1, 4)
    wrong = np.mod(np.asarray(labels) + np.asarray(turns), 4)
    assert not np.any(wrong == labels)

    def loss(phase, x):
        y = net.layer(x, phase)
        goodness = METHOD.goodness(y)
        share = jax.nn.softplus(15 - goodness[:3]) + jax.nn.softplus(goodness[3:] - 15)
        return jnp.mean(share), y

    look = jax.jit(jax.value_and_grad(loss, has_aux=True))
    first = np.concatenate([load(field, labels), load(field, jnp.asarray(wrong))])
    (one, y), move = look(net.phase[0], first)
    # The next layer gets equal power on and beside the mask.
    y, mask = np.asarray(y), np.asarray(METHOD.mask)
    second = sum(
        part * np.sqrt(_power(y) / 2 / _power(part))[:, None, None]
        for part in (y * mask, y * (1 - mask))
    )
    (two, _), other = look(net.phase[1], second)
    losses, moves = [float(one), float(two)], [move, other]
    assert float(report.loss) == pytest.approx(np.mean(losses), rel=1e-10)
    # Adam's moments hold the gradient of the first step times 1 - 0.9.
    found = np.asarray(state.adam.moments.mu.phase) / 0.1
    assert relative_error(found, np.stack(moves)) < 1e-10


def test_learns_bars_and_is_judged_by_goodness():
    images, labels = bars()
    bench = OpticalBench(GEOMETRY, twin(both_faces_aberration=((6, 0.3),)))
    result = fit(
        network(2), METHOD, images, labels, encode=encode, key=KEY, bench=bench, n_steps=60,
        batch_size=16,
    )  # fmt: skip
    test_images, test_labels = bars(seed=1)
    good = evaluate(
        result.network, test_images, test_labels, encode=encode, bench=bench, key=KEY,
        judge=METHOD.correct,
    )  # fmt: skip
    assert good.mean() > 0.8  # chance is 0.25
    assert result.accuracies[-10:].mean() > 0.8  # pairs; chance is 0.5


def test_judge_asks_for_the_right_label_not_for_the_brightest():
    net, (field, labels) = network(1), inputs()
    judged = jax.jit(lambda n: METHOD.correct(n, None, field, labels, key=KEY))(net)
    through = jax.jit(lambda light: METHOD.goodness(net(light)))
    found = [through(load(field, jnp.asarray(np.full(3, j)))) for j in range(4)]
    np.testing.assert_array_equal(judged, np.argmax(found, axis=0) == labels)


def test_no_layer_hears_of_the_next():
    field, labels = inputs()
    bench = OpticalBench(GEOMETRY, twin())
    a = network(2)
    phase = np.array(a.phase)
    phase[1] += 1.0
    moved = eqx.tree_at(lambda n: n.phase, a, jnp.asarray(phase))
    first, second = (
        METHOD.network(_step(net, bench, field, labels)[0]).phase[0] for net in (a, moved)
    )
    np.testing.assert_array_equal(first, second)


def test_frames_are_two_passes_of_holography():
    assert METHOD.cost(network(3), 5).frames == 2 * 5 * 3 * 4
    assert METHOD.cost(network(3), 5).measurements == 3


def test_the_strip_of_labels_takes_its_part_of_the_width():
    keep = np.asarray(make_label_light((24, 24), 4, width=0.25).keep)
    np.testing.assert_array_equal(keep.all(axis=0), np.arange(24) >= 6)


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="`power_share` must lie between 0 and 1"):
        make_label_light(GEOMETRY.shape, 4, power_share=1.5)
    with pytest.raises(ValueError, match="`n_classes` = 30 blocks do not fit on 24 rows"):
        make_label_light(GEOMETRY.shape, 30)
    with pytest.raises(ValueError, match="`gain` must be positive"):
        ForwardForward(LIGHT, METHOD.mask, gain=0.0)
    state = METHOD.init(network(1), key=KEY, n_steps=1)
    with pytest.raises(ValueError, match="`bench` must be an OpticalBench"):
        METHOD.step(state, None, *inputs(), key=KEY)


def test_optimiser_starts_empty():
    net = network(1)
    state = METHOD.init(net, key=KEY, n_steps=4)
    assert jax.tree.structure(state.adam) == jax.tree.structure(adam_init(weights_of(net), 4))
