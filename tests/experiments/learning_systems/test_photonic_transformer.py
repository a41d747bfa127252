"""What the parts of `photonic_transformer` do to one small chip, and what is told of finished pieces."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.learning_systems import (
    photonic_orders,
    photonic_training,
    photonic_transformer,
    photonic_transformer_figure,
)
from experiments.learning_systems.photonic_forward import program_chip
from nn.layers import Dense
from optics.hardware import MeshImperfections, nominal_matrices
from optics.hardware.mesh_bench import draw_mesh_twin
from optics.meshes import make_mesh

SIZES = MeshImperfections(splitter_error=0.1, phase_error=0.05, loss_db=0.3, loss_spread_db=0.075)
KEY = jax.random.key(2)


@pytest.fixture(scope="module")
def program():
    weights = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    return program_chip({"a": Dense(jnp.asarray(weights))})


@pytest.fixture(scope="module")
def lab(program):
    nothing = jnp.zeros((1, 1))
    return photonic_training.Lab(program, nothing, nothing, 1, 1, 0.02, 60, 2, key=KEY)


def seen(program, chip):
    return program.maps(chip.transfer_matrices(program.settings, 1.0))


def one(chip):
    return jax.tree.map(lambda leaf: leaf[0], chip)


def test_errors_have_their_orders_splitters_the_second():
    errors = photonic_orders.matrix_errors(4, 3, seed=1)
    for carrier in photonic_orders.CARRIERS:
        for kind, order, off in (
            ("splitter_error", 2, 0.02), ("phase_error", 1, 0.03), ("loss_db", 1, 0.03),
            # Rounded phases are as good as random, and there are few.
            ("voltage_bits", 1, 0.35),
        ):  # fmt: skip
            slopes = photonic_orders.orders(errors[f"{carrier}.{kind}"], kind)
            assert slopes.mean() == pytest.approx(order, abs=off), (carrier, kind)


def test_scaled_errors_are_those_drawn_with_the_size():
    mesh = make_mesh(4, key=KEY)
    unit = draw_mesh_twin(mesh, photonic_training.UNIT, key=KEY)
    drawn = draw_mesh_twin(mesh, SIZES, key=KEY)
    got = photonic_training.scaled(unit, dataclasses.replace(SIZES, voltage_bits=7))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(drawn), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert (got.control.levels, drawn.control.levels) == (127, None)


def test_the_mean_device_has_the_loss_and_no_random_error(lab):
    known = photonic_training.mean_device(lab.own, SIZES).cores.second
    assert not np.any(np.asarray(known.core.left_error))
    assert not known.control.offset.any()
    np.testing.assert_allclose(np.asarray(known.core.arm_loss_db), 0.3, rtol=1e-6)


def test_one_measurement_sets_the_gain_against_loss(program, lab):
    lossy = photonic_training.scaled_chip(lab.own, MeshImperfections(loss_db=1.0))
    (wanted,) = program.maps(nominal_matrices(program.settings, 1.0))
    bench = one(photonic_training.bench_of(lossy, MeshImperfections()))
    ready = lab._with_gains(program, [wanted], bench)
    errors = [
        float(photonic_training.relative_errors(seen(p, one(lossy)), [wanted])[0])
        for p in (program, ready)
    ]
    assert errors[0] > 0.4 > 0.3 > errors[1]


def test_gains_learnt_against_the_mean_loss_are_not_raised_again(program, lab, monkeypatch):
    monkeypatch.setattr(lab, "_trained", lambda program, pool: program)
    # Alike on all chips, so that the chip is the mean device.
    sizes = MeshImperfections(loss_db=1.0)
    ready, bench = lab.prepare("vaccinated", sizes)
    learnt = lab._with_gains(*photonic_training._as_wanted(program), bench)
    assert float(learnt.gain[0]) > 1.2 * float(program.gain[0])
    np.testing.assert_allclose(ready.gain, learnt.gain, rtol=2e-3)


def test_phases_that_know_the_errors_carry_the_matrix(program, lab):
    chip = one(photonic_training.scaled_chip(lab.own, SIZES))
    wanted = program.maps(nominal_matrices(program.settings, 1.0))
    ready = lab._fitted(program, wanted, chip)
    before, after = (
        float(photonic_training.relative_errors(seen(p, chip), wanted)[0]) for p in (program, ready)
    )
    assert after < 0.1 * before
    assert float(ready.settings.attenuation.max()) <= 1


def test_attenuations_stay_in_their_range(program):
    rate = photonic_training.optimiser(0.3, 4)
    slope = jax.tree.map(jnp.zeros_like, program)
    slope = eqx.tree_at(
        lambda p: p.settings.attenuation, slope, -jnp.ones_like(program.settings.attenuation)
    )
    state = rate.init(program)
    moved: Any = program
    for _ in range(4):
        updates, state = rate.update(slope, state, moved)
        moved = optax.apply_updates(moved, updates)
    attenuation = np.asarray(moved.settings.attenuation)
    assert attenuation.max() == 1
    assert (attenuation > np.asarray(program.settings.attenuation)).any()


def test_a_way_that_is_none_is_named(lab):
    with pytest.raises(ValueError, match=r"`way` must be one of in_silico, .*, but is 'luck'"):
        lab.prepare("luck", SIZES)


@pytest.mark.parametrize(("scale", "panels"), [("quick", 3), ("laptop", 6)])
def test_pieces_become_numbers_and_a_figure(scale, panels, monkeypatch):
    config = photonic_transformer.SCALES[scale]
    rng = np.random.default_rng(0)

    def seed(config, number, context):
        names = [f"{w}.{p}" for p in photonic_transformer.points(config) for w in config.ways]
        return {name: rng.random(50) < 0.8 for name in ("digital", *names)}

    errors = {
        f"matrix_error.{carrier}.{kind}": np.outer(np.array([1.0, 4, 16]), np.ones(2) / 100)
        for carrier in photonic_orders.CARRIERS
        for kind in photonic_orders.SIZES
    }
    cosines = {
        f"cosine.{name}": rng.random((len(config.gradient_errors), 2))
        for name in photonic_orders.GRADIENTS
    }
    monkeypatch.setattr(photonic_transformer, "_small", lambda config: errors | cosines)
    monkeypatch.setattr(photonic_transformer, "one_seed", seed)
    monkeypatch.setattr(photonic_transformer.Context, "map", _map)
    outcome = photonic_transformer.run(config)
    assert outcome.metrics["order.two_meshes.splitter_error"].value == pytest.approx(2)
    assert outcome.metrics["accuracy.forward.base"].n == config.repeats
    drawn = [axes for axes in photonic_transformer_figure.draw(outcome).axes if axes.axison]
    assert len(drawn) == panels


def _map(self, function, pieces):
    return {name: function(*arguments) for name, arguments in pieces.items()}


def test_each_point_differs_from_the_base_in_one_error():
    points = photonic_transformer.points(photonic_transformer.SCALES["laptop"])
    base = dataclasses.asdict(points.pop("base"))
    for name, sizes in points.items():
        changed = [
            field for field, value in dataclasses.asdict(sizes).items() if value != base[field]
        ]
        assert changed == (["detector_noise", "tap_noise"] if "noise" in name else changed[:1]), (
            name
        )
