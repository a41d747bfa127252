"""The derivative that a chip measures of one map inside a transformer, beside the true one and that of a model."""

from functools import cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.learning_systems.photonic_forward import on_bench, program_chip
from nn.layers import linear_maps, make_dense, replace_linear
from nn.models.vit import VitConfig, make_vit
from nn.training import cross_entropy
from optics.hardware import MeshImperfections, draw_chip, nominal_matrices
from optics.hardware.chip import ChipBench
from optics.metrics import cosine_similarity

KEY = jax.random.key(5)
MAP = "body.blocks[0].mixer.value"
# All errors are there in all chips, so that they share one program; 1e-30 is none.
NONE = {"splitter_error": 1e-30, "phase_error": 1e-30, "loss_db": 1e-30, "loss_spread_db": 1e-30}
WRONG = {"splitter_error": 0.1, "phase_error": 0.1, "loss_db": 0.1, "loss_spread_db": 0.02}


@pytest.fixture(scope="module")
def vit():
    config = VitConfig(
        size=4, patch=2, channels=1, classes=3, width=3, n_layers=1, heads=1, hidden=3
    )
    made = make_vit(config, key=KEY, dtype=jnp.float64)
    return eqx.tree_at(lambda v: v.body, made, made.body.unrolled())


@pytest.fixture(scope="module")
def program(vit):
    return program_chip(vit, names=[MAP])


# What runs once is compiled without optimisation.
_jit_once = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@cache
def chip(halves="equal", **errors):
    """Twin and bench; equal halves are a symmetric core, as a folded one is."""
    sizes = MeshImperfections(**{**NONE, **errors})
    twin, _ = _jit_once(lambda key: draw_chip(6, 1, sizes, key=key, dtype=complex))(KEY)
    if halves == "equal":
        twin = eqx.tree_at(lambda t: t.cores.first, twin, twin.cores.second)
    return twin, ChipBench(twin, detector_noise=sizes.detector_noise, tap_noise=sizes.tap_noise)


IMAGES = jnp.asarray(np.random.default_rng(0).random((6, 4, 4, 1)))


@_jit_once
def run(program, bench, belief):
    """Logits and gradient of a loss of them."""

    def loss(program):
        logits = on_bench(program, bench, belief)(IMAGES, key=KEY)
        return cross_entropy(logits, jnp.arange(6) % 3).mean(), logits

    gradient, logits = eqx.filter_grad(loss, has_aux=True)(program)
    return logits, gradient


def phases(found):
    return found[1].settings.tied[0]


def error(got, wanted):
    return float(jnp.abs(got - wanted).max() / jnp.abs(wanted).max())


@pytest.fixture(scope="module")
def ideal():
    return chip()


def test_a_programmed_map_is_the_map(program, vit, ideal):
    logits, _ = run(program, ideal[1], None)
    np.testing.assert_allclose(logits, _jit_once(lambda v: v(IMAGES))(vit), atol=1e-12)
    (seen,) = program.maps(nominal_matrices(program.settings, 1.0))
    np.testing.assert_allclose(seen, vit.body.blocks[0].mixer.value.weight, atol=1e-13)


def test_on_ideal_hardware_all_that_is_measured_is_the_true_gradient(program, ideal):
    twin, bench = ideal
    measured, true = run(program, bench, None), run(program, bench, twin)
    np.testing.assert_allclose(measured[0], true[0], rtol=1e-12)
    # Phases, attenuations, gain, and all that the error reaches behind the map.
    for got, wanted in zip(jax.tree.leaves(measured[1]), jax.tree.leaves(true[1]), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)
    assert float(jnp.linalg.norm(phases(true))) > 1e-3


def test_with_errors_it_is_that_of_the_hardware_and_the_models_is_not(program, ideal):
    twin, bench = chip(**WRONG)
    true = phases(run(program, bench, twin))
    assert error(phases(run(program, bench, None)), true) < 1e-9
    in_silico = phases(run(program, ideal[1], ideal[0]))
    mean_device = phases(run(program, bench, ideal[0]))
    for model in (in_silico, mean_device):
        assert float(cosine_similarity(model, true)) < 0.95


def test_halves_with_errors_of_their_own_cost_direction(program):
    cosines = []
    for size in (0.01, 0.1):
        twin, bench = chip("mirrored", splitter_error=size, phase_error=size)
        measured, true = (phases(run(program, bench, b)) for b in (None, twin))
        cosines.append(float(cosine_similarity(measured, true)))
    assert 1 - 1e-3 > cosines[0] > 0.99 > cosines[1] > 0.3


def test_noise_of_taps_and_detectors_leaves_the_gradient_right_on_average(program):
    twin, bench = chip(**WRONG, detector_noise=0.02, tap_noise=0.05)
    true = phases(run(program, bench, twin))
    measured = phases(run(program, bench, None))
    assert 1e-3 < error(measured, true) < 0.3


def test_the_chip_refuses_to_be_differentiated_and_a_seat_to_carry_light(program, ideal):
    def power(x):
        blocks = ideal[1].program(program.settings, 1.0)
        block = jax.tree.map(lambda leaf: leaf[0], blocks)
        return jnp.sum(jnp.abs(block.measure_field(x, key=KEY)) ** 2)

    with pytest.raises(TypeError, match="is hardware"):
        jax.eval_shape(jax.grad(power), jnp.ones((1, 6)))
    with pytest.raises(TypeError, match="`Seat` has no chip"):
        dict(linear_maps(program.model))[MAP](jnp.ones((1, 3)))
    with pytest.raises(ValueError, match="`key` must be a PRNG key, since a chip"):
        jax.eval_shape(lambda x: on_bench(program, ideal[1])(x), IMAGES)


def test_attenuations_outside_their_range_are_set_at_its_edge(program, ideal):
    at_edge = program.settings.attenuation.at[0, 0].set(1.0)
    found = []
    for attenuation in (at_edge, at_edge.at[0, 0].set(1.3)):
        other = eqx.tree_at(lambda p: p.settings.attenuation, program, attenuation)
        found.append(run(other, ideal[1], None))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    # And they feel the light there, so that they find back.
    slopes = [gradient.settings.attenuation[0, 0] for _, gradient in found]
    assert slopes[0] == slopes[1] != 0


def test_bad_input_is_named(vit):
    with pytest.raises(ValueError, match=r"`names` must hold paths of maps of the model .*nowhere"):
        program_chip(vit, names=["nowhere"])
    with pytest.raises(ValueError, match=r"`n_ports` must be at least 6, .* but is 5"):
        program_chip(vit, names=[MAP], n_ports=5)
    stack = replace_linear(
        {"a": make_dense(2, 2, key=KEY)},
        lambda _, dense: eqx.tree_at(lambda d: d.weight, dense, jnp.ones((2, 2, 2))),
    )
    with pytest.raises(ValueError, match="unroll its stack of blocks"):
        program_chip(stack)
