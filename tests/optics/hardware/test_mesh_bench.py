import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.mesh_bench import MeshBench, draw_mesh_bench, draw_mesh_twin
from optics.hardware.mesh_imperfections import MeshImperfections
from tests.exact.small_mesh import plain_mesh

KEY = jax.random.key(0)
RNG = np.random.default_rng(1)
MESH, PHASES = plain_mesh(5)
FIELDS = jnp.asarray(RNG.normal(size=(3, 5)) + 1j * RNG.normal(size=(3, 5)))
drawn = jax.jit(draw_mesh_bench, static_argnums=1)


@pytest.fixture(scope="module")
def chip():
    return jax.jit(draw_mesh_twin, static_argnums=1)(
        MESH, MeshImperfections.preset("chip"), key=KEY
    )


@eqx.filter_jit
def inside(core, fields, backward=False):
    return core.internal_fields(fields, backward=backward)


@eqx.filter_jit
def realised(twin, phases, fields, time):
    """The hidden core and what it does to fields."""
    core = twin.realise(phases, None, time)
    return core, core(fields)


@eqx.filter_jit
def measured(bench, how, *args, **options):
    return getattr(bench, how)(*args, **options)


def test_bench_without_noise_measures_its_twin(chip):
    bench = MeshBench(MESH, chip)
    out = measured(bench, "measure_field", FIELDS, PHASES, key=KEY, time=7)
    np.testing.assert_allclose(out, realised(chip, PHASES, FIELDS, 7)[1], atol=1e-14)
    powers = measured(bench, "measure_intensity", FIELDS, PHASES, key=KEY, time=7)
    np.testing.assert_allclose(powers, np.abs(out) ** 2, atol=1e-14)
    ideal = eqx.filter_jit(MESH)(FIELDS)
    assert np.max(np.abs(out - np.asarray(ideal))) > 0.01  # the errors are there


def test_chip_is_reciprocal_whatever_its_errors(chip):
    bench = MeshBench(MESH, chip)
    x, y = FIELDS[0], FIELDS[1]
    forward = measured(bench, "measure_field", x, PHASES, key=KEY)
    backward = measured(bench, "measure_field_backward", y, PHASES, key=KEY)
    np.testing.assert_allclose(
        np.vdot(np.conj(y), forward), np.vdot(np.conj(backward), x), rtol=1e-13
    )


def test_taps_measure_the_fields_at_the_shifters_in_both_directions(chip):
    bench, (core, _) = MeshBench(MESH, chip), realised(chip, PHASES, FIELDS, 0)
    for backward in (False, True):
        taps = measured(bench, "measure_taps", FIELDS, PHASES, key=KEY, backward=backward)
        expected = inside(core, FIELDS, backward)
        for found, truth in zip(taps, expected, strict=True):
            np.testing.assert_allclose(found, truth, atol=1e-14)


@pytest.mark.parametrize("how", ["measure_field", "measure_field_backward", "measure_intensity"])
def test_noise_of_the_detectors_has_the_stated_size(how):
    noisy = drawn(MESH, MeshImperfections(detector_noise=0.1), key=KEY)
    many = jnp.asarray(np.tile(FIELDS, (200, 1)))
    truth = np.asarray(measured(noisy.quiet(), how, many, PHASES, key=KEY))
    error = np.asarray(measured(noisy, how, many, PHASES, key=KEY)) - truth
    relative = np.sum(np.abs(error) ** 2, 1) / np.sum(np.abs(truth) ** 2, 1)
    # 3000 real or 6000 complex parts: standard error of the rms below 1.3 %.
    assert abs(np.sqrt(relative.mean()) / 0.1 - 1) < 0.06


def test_noise_of_the_taps_has_the_stated_size():
    bench = drawn(MESH, MeshImperfections(tap_noise=0.1), key=KEY)
    many = jnp.asarray(np.tile(FIELDS, (100, 1)))
    taps = measured(bench, "measure_taps", many, PHASES, key=KEY)
    truth = inside(MESH, many)
    for found, known in zip(taps, truth, strict=True):
        error, known = np.asarray(found) - np.asarray(known), np.asarray(known)
        rms = np.sqrt(np.mean(np.abs(error) ** 2) / np.mean(np.abs(known) ** 2))
        assert abs(rms / 0.1 - 1) < 0.06


@pytest.mark.parametrize(("size", "draws"), [(0.0, False), (0.1, True)])
def test_random_numbers_are_drawn_only_for_a_noise(chip, size, draws):
    bench = MeshBench(MESH, chip, detector_noise=size, tap_noise=size)
    for how in ("measure_field", "measure_field_backward", "measure_intensity", "measure_taps"):
        program = jax.make_jaxpr(lambda key, how=how: getattr(bench, how)(FIELDS, PHASES, key=key))
        assert ("random_bits" in str(program(KEY))) == draws


def test_same_key_is_the_same_chip_and_another_key_another():
    benches = [
        drawn(MESH, MeshImperfections.preset("careful"), key=jax.random.key(k)) for k in (3, 3, 4)
    ]
    first, again, other = (
        np.asarray(measured(b, "measure_field", FIELDS, PHASES, key=KEY)) for b in benches
    )
    np.testing.assert_array_equal(first, again)
    assert np.max(np.abs(first - other)) > 1e-3


def test_chip_drifts_with_the_number_of_measurements():
    bench = drawn(MESH, MeshImperfections(drift=0.01, drift_time=50.0), key=KEY)
    now, again, later = (
        np.asarray(measured(bench, "measure_field", FIELDS, PHASES, key=KEY, time=jnp.asarray(t)))
        for t in (0, 0, 500)
    )
    np.testing.assert_array_equal(now, again)
    assert 1e-4 < np.max(np.abs(now - later)) < 0.5


@pytest.mark.parametrize(
    "how", ["measure_field", "measure_field_backward", "measure_intensity", "measure_taps"]
)
def test_hardware_has_no_derivative(chip, how):
    bench = MeshBench(MESH, chip)

    def loss(phases):
        out = getattr(bench, how)(FIELDS, phases, key=KEY)
        return sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(out))

    with pytest.raises(TypeError, match="`MeshBench` is hardware"):
        jax.eval_shape(jax.grad(loss), PHASES)


def test_bench_shows_its_data_sheet_only(chip):
    bench = MeshBench(MESH, chip, detector_noise=0.1)
    assert {name for name in vars(bench) if not name.startswith("_")} == {"core"}
    assert "twin" not in repr(bench)
    assert bench.core.left_error is None


def test_bad_input_is_named(chip):
    bench = MeshBench(MESH, chip)
    with pytest.raises(ValueError, match=r"`field` must have last axes \(5,\)"):
        bench.measure_field(FIELDS[:, :4], PHASES, key=KEY)
    with pytest.raises(ValueError, match=r"`phase` must have last axes \(25,\)"):
        bench.measure_field(FIELDS, PHASES[:-1], key=KEY)
    with pytest.raises(ValueError, match="`phase` must be finite"):
        bench.measure_field(FIELDS, PHASES.at[3].set(jnp.nan), key=KEY)
    with pytest.raises(ValueError, match="`amplitude` must be None"):
        bench.measure_field(FIELDS, PHASES, jnp.ones(5), key=KEY)
    with pytest.raises(ValueError, match="`tap_noise` must lie between 0 and inf"):
        MeshBench(MESH, chip, tap_noise=-1)


def test_a_quiet_bench_measures_the_truth_that_it_reveals(chip):
    bench = MeshBench(MESH, chip, detector_noise=0.1, tap_noise=0.1)
    truth = np.asarray(realised(bench.reveal(), PHASES, FIELDS, 0)[1])
    quiet = measured(bench.quiet(), "measure_field", FIELDS, PHASES, key=KEY)
    np.testing.assert_allclose(quiet, truth, atol=1e-12)
    noisy = np.asarray(measured(bench, "measure_field", FIELDS, PHASES, key=KEY))
    assert np.linalg.norm(noisy - truth) > 0.03 * np.linalg.norm(truth)
