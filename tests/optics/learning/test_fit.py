import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware import OpticalBench
from optics.learning import evaluate, fit, output_field
from optics.learning.rules import ForwardMode, InSilico, PhysicsAware
from optics.networks import encode_images
from tests.exact.small_bench import GEOMETRY, network, twin

KEY = jax.random.key(0)


def encode(images):
    return encode_images(images, GEOMETRY.shape, dtype=jnp.complex128)


def _bars(n=64, seed=0):
    """Four classes a network learns in seconds: a bright bar at one of four places, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    images = rng.uniform(0, 0.2, (n, 8, 8))
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] += 1
    return jnp.asarray(images), jnp.asarray(labels)


@pytest.mark.parametrize("rule", [ForwardMode(), PhysicsAware(), InSilico()])
def test_every_rule_learns_bars_on_an_ideal_bench(rule):
    images, labels = _bars()
    bench = OpticalBench(GEOMETRY, twin())
    result = fit(
        network(2), rule, images, labels, encode=encode, key=jax.random.key(0), bench=bench,
        n_steps=40, batch_size=16, learning_rate=0.1,
    )  # fmt: skip
    test_images, test_labels = _bars(seed=1)
    good = evaluate(
        result.network, test_images, test_labels, encode=encode, bench=bench, key=jax.random.key(1)
    )
    assert good.mean() > 0.9  # chance is 0.25
    assert result.losses[-5:].mean() < result.losses[:5].mean()


def test_forward_mode_learns_where_in_silico_weights_fail():
    images, labels = _bars()
    bench = OpticalBench(GEOMETRY, twin(slm_gain=-0.5, both_faces_aberration=((6, 2.0),)))
    accuracy = {}
    for rule in (ForwardMode(), InSilico()):
        result = fit(
            network(2), rule, images, labels, encode=encode, key=jax.random.key(0), bench=bench,
            n_steps=40, batch_size=16, learning_rate=0.1,
        )  # fmt: skip
        good = evaluate(
            result.network, images, labels, encode=encode, bench=bench, key=jax.random.key(1)
        )
        accuracy[type(rule).__name__] = good.mean()
    assert accuracy["ForwardMode"] > accuracy["InSilico"] + 0.2


def test_phases_stay_wrapped_and_transmissions_in_range():
    images, labels = _bars()
    result = fit(
        network(2, train_amplitude=True), InSilico(), images, labels, encode=encode,
        key=jax.random.key(0), n_steps=20, learning_rate=0.5,
    )  # fmt: skip
    assert result.network.phase.min() >= 0
    assert result.network.phase.max() <= 2 * np.pi
    assert result.network.amplitude.min() >= 0
    assert result.network.amplitude.max() <= 1


def test_steps_in_one_call_or_many_give_the_same_weights():
    images, labels = _bars()
    runs = [
        fit(
            network(1), InSilico(), images, labels, encode=encode, key=jax.random.key(0),
            n_steps=3, steps_per_call=chunk,
        ).network.phase
        for chunk in (3, 2)
    ]  # fmt: skip
    np.testing.assert_allclose(runs[0], runs[1], atol=1e-12)


def test_frames_and_time_are_counted():
    images, labels = _bars()
    bench = OpticalBench(GEOMETRY, twin())
    result = fit(
        network(2), ForwardMode(), images, labels, encode=encode, key=jax.random.key(0), bench=bench,
        n_steps=10, batch_size=16,
    )  # fmt: skip
    assert result.frames == 2 * 2 * 4 * 16 * 10  # layers, passes, holography, batch, steps
    assert result.time == 2 * 2 * 10


def test_progress_is_told_and_adds_up():
    images, labels = _bars()
    seen = []
    result = fit(
        network(1), InSilico(), images, labels, encode=encode, key=jax.random.key(0),
        n_steps=5, steps_per_call=2, on_progress=lambda n, loss: seen.append((n, loss)),
    )  # fmt: skip
    assert [n for n, _ in seen] == [2, 2, 1]
    means = [result.losses[k : k + 2].mean() for k in (0, 2, 4)]
    np.testing.assert_allclose([loss for _, loss in seen], means, rtol=1e-12)


def test_second_training_does_not_compile_again():
    images, labels = _bars()
    traced = []

    def counted(images):
        traced.append(images.shape)  # Python runs only while the step is traced.
        return encode(images)

    for seed, rate in ((0, 0.05), (1, 0.1)):
        bench = OpticalBench(GEOMETRY, twin(seed, camera_shift_px=0.3))
        fit(
            network(1, key=seed), ForwardMode(), images, labels, encode=counted,
            key=jax.random.key(seed), bench=bench, n_steps=2 + seed, steps_per_call=1, learning_rate=rate,
        )  # fmt: skip
    assert len(traced) == 1


@pytest.mark.parametrize("rule", [ForwardMode(), InSilico()])
def test_a_network_of_the_first_layers_trains_as_a_shallow_one_and_depths_share_a_program(rule):
    images, labels = _bars(n=20)
    bench = OpticalBench(GEOMETRY, twin(camera_shift_px=0.3, reference_drift=0.1))
    deep, traced = network(3), []

    def counted(images):
        traced.append(1)
        return encode(images)

    def train_and_test(net, how_many, encoder):
        n = slice(how_many)
        result = fit(
            net, rule, images[n], labels[n], encode=encoder, key=jax.random.key(0), bench=bench,
            n_steps=3, batch_size=4, steps_per_call=3,
        )  # fmt: skip
        good = evaluate(
            result.network, images[n], labels[n], encode=encoder, bench=bench,
            key=jax.random.key(1), time=result.time, batch_size=4,
        )  # fmt: skip
        return result, good

    result, good = train_and_test(deep.first(2), 20, counted)
    train_and_test(deep.first(1), 12, counted)
    assert len(traced) == 2  # steps and evaluation, for both depths and both numbers of images
    shallow = eqx.tree_at(lambda net: net.phase, deep, deep.phase[:2])
    expected, expected_good = train_and_test(shallow, 20, encode)
    np.testing.assert_allclose(result.network.phase[:2], expected.network.phase, atol=1e-9)
    np.testing.assert_array_equal(result.network.phase[2], deep.phase[2])
    np.testing.assert_allclose(result.losses, expected.losses, rtol=1e-9)
    np.testing.assert_array_equal(good, expected_good)
    assert (result.frames, result.time) == (expected.frames, expected.time)


def test_a_rule_that_needs_the_depth_while_compiling_refuses_a_part_of_a_network():
    images, labels = _bars(n=4)
    with pytest.raises(TypeError, match="traced"):
        fit(
            network(2).first(1), PhysicsAware(), images, labels, encode=encode,
            key=jax.random.key(0), bench=OpticalBench(GEOMETRY, twin()), n_steps=1, batch_size=4,
        )  # fmt: skip


def test_start_weights_survive_the_donated_buffers():
    images, labels = _bars()
    net = network(1)
    before = np.array(net.phase)
    result = fit(net, InSilico(), images, labels, encode=encode, key=jax.random.key(0), n_steps=1)
    np.testing.assert_array_equal(net.phase, before)
    assert not np.array_equal(result.network.phase, before)


def test_evaluation_of_a_ragged_batch_counts_each_sample_once():
    images, labels = _bars(n=10)
    whole = evaluate(network(1), images, labels, encode=encode, batch_size=10)
    parts = evaluate(network(1), images, labels, encode=encode, batch_size=4)
    np.testing.assert_array_equal(whole, parts)


def test_output_field_on_an_ideal_bench_is_the_model():
    images, _ = _bars(n=2)
    net = network(2)
    both = eqx.filter_jit(lambda bench, field: output_field(net, field, bench=bench, key=KEY))
    field, bench = encode(images), OpticalBench(GEOMETRY, twin())
    np.testing.assert_allclose(both(bench, field), both(None, field), atol=1e-12)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_steps": 0}, ValueError, "`n_steps` must be at least 1, but is 0"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be at least 1, but is 0"),
        ({"learning_rate": -1.0}, ValueError, "`learning_rate` must be positive"),
    ],
)
def test_bad_options_are_named(options, error, message):
    images, labels = _bars()
    with pytest.raises(error, match=message):
        fit(network(1), InSilico(), images, labels, encode=encode, key=jax.random.key(0), **options)


def test_loss_that_is_not_finite_stops_with_the_step_named():
    images, labels = _bars()
    broken = jnp.asarray(np.full(images.shape, np.nan))
    with pytest.raises(FloatingPointError, match=r"`loss` of InSilico .* at step 0"):
        fit(network(1), InSilico(), broken, labels, encode=encode, key=KEY, n_steps=1)


def test_evaluation_on_a_bench_needs_a_key():
    images, labels = _bars()
    with pytest.raises(ValueError, match="`key` must be given with a bench"):
        evaluate(network(1), images, labels, encode=encode, bench=OpticalBench(GEOMETRY, twin()))


class _Clock(InSilico):
    """Gives the time it is told as its loss."""

    def gradient(self, network, bench, field, labels, *, key, time=0):
        estimate = super().gradient(network, bench, field, labels, key=key)
        return estimate._replace(loss=jnp.asarray(time, float))

    def measurements_per_sample(self, n_layers):
        return 3 * n_layers


def test_laboratory_time_runs_on_from_step_to_step():
    images, labels = _bars()
    result = fit(
        network(2), _Clock(), images, labels, encode=encode, key=jax.random.key(0), n_steps=4,
        steps_per_call=2,
    )  # fmt: skip
    np.testing.assert_array_equal(result.losses, [0, 6, 12, 18])
