"""The chip: what is set, what light meets, and that nothing but measurements leaves the bench."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.chip import (
    BlockSettings,
    ChipBench,
    CoreTwin,
    draw_chip,
    draw_core_twin,
    make_settings,
    nominal_matrices,
)
from optics.hardware.mesh_imperfections import MeshImperfections
from optics.meshes.symmetric import SymmetricCore
from tests.exact.small_mesh import plain_mesh

N, BLOCKS = 4, 2
ERRORS = MeshImperfections(
    splitter_error=0.05,
    phase_error=0.05,
    loss_db=0.2,
    loss_spread_db=0.05,
    crosstalk=0.02,
    voltage_bits=10,
    gamma_spread=0.01,
    drift=0.01,
)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def settings():
    draw = partial(make_settings, N, BLOCKS, symmetric=False, dtype=jnp.complex128)
    open_ = np.linspace(0.3, 1, BLOCKS * N).reshape(BLOCKS, N)
    return jax.jit(lambda key: draw(key=key))(KEY)._replace(attenuation=jnp.asarray(open_))


def chip(errors):
    draw = partial(draw_chip, N, BLOCKS, errors, symmetric=False, dtype=jnp.complex128)
    return jax.jit(lambda key: draw(key=key))(KEY)


@pytest.fixture(scope="module")
def ideal():
    return chip(MeshImperfections())


@pytest.fixture(scope="module")
def wrong():
    return chip(ERRORS)


nominal = jax.jit(nominal_matrices)


@eqx.filter_jit
def _transfer(twin, settings, ratio, time):
    return twin.transfer_matrices(settings, ratio, time)


def transfer(twin, settings, ratio, time=0):
    return np.asarray(_transfer(twin, settings, jnp.asarray(ratio), jnp.asarray(time)))


@eqx.filter_jit
def _light(bench, settings, ratio, fields):
    blocks = bench.program(settings, ratio)

    def measure(carry, inputs):
        block, x = inputs
        return carry, block.measure_taps(x, key=KEY)

    return jax.lax.scan(measure, None, (blocks, fields))[1]


def light(bench, settings, ratio, fields):
    return jax.tree.map(np.asarray, _light(bench, settings, jnp.asarray(ratio), fields))


@pytest.fixture(scope="module")
def fields():
    draws = np.random.default_rng(1).normal(size=(2, BLOCKS, 3, N))
    return jnp.asarray(draws[0] + 1j * draws[1])


def test_matrices_are_those_of_the_cores_with_their_weights(settings):
    found = nominal(settings, 0.7)
    mesh = plain_mesh(N)[0]
    matrix = jax.jit(lambda phases: mesh.unpack(phases).matrix())
    tied, free, attenuation = (
        np.asarray(a) for a in (settings.tied, settings.free, settings.attenuation)
    )
    for block in range(BLOCKS):
        v, second, first = (
            np.asarray(matrix(jnp.asarray(p))) for p in (tied[block], *np.split(free[block], 2))
        )
        expected = 0.7 * v @ np.diag(attenuation[block]) @ v.T + 0.3 * second @ first.T
        assert np.allclose(found[block], expected, atol=1e-12)


def test_asymmetry_is_what_the_general_core_has_of_it(settings):
    def asymmetry(ratio):
        a = np.asarray(nominal(settings, ratio))
        return a - np.swapaxes(a, 1, 2)

    assert np.abs(asymmetry(1.0)).max() < 1e-12
    assert np.allclose(asymmetry(0.6), 0.4 * asymmetry(0.0), atol=1e-12)
    assert np.abs(asymmetry(0.0)).max() > 0.1


def test_a_chip_without_errors_is_its_model(ideal, settings):
    assert np.allclose(transfer(ideal[0], settings, 0.7), nominal(settings, 0.7), atol=1e-12)


def test_halves_with_errors_of_their_own_break_the_symmetry(wrong, settings):
    a = transfer(wrong[0], settings, 1.0)
    assert np.abs(a - np.swapaxes(a, 1, 2)).max() > 0.05
    assert np.abs(a - np.asarray(nominal(settings, 1.0))).max() > 0.05


def test_a_folded_core_stays_symmetric_whatever_its_errors():
    mesh, phases = plain_mesh(N)

    @partial(jax.jit, static_argnums=1)
    def matrix(key, construction):
        twin = draw_core_twin(mesh, ERRORS, construction=construction, key=key)
        assert isinstance(twin, CoreTwin)
        return twin.realise(phases, None, 3).matrix()

    for construction, limits in (("folded", (0, 1e-12)), ("mirrored", (0.05, 1))):
        a = np.asarray(matrix(KEY, construction))
        assert limits[0] <= np.abs(a - a.T).max() <= limits[1]


def test_a_chip_may_be_folded_and_is_mirrored_unless_told():
    make = partial(draw_chip, N, BLOCKS, MeshImperfections(), key=KEY)
    folded, mirrored = jax.eval_shape(lambda: (make(construction="folded")[0], make()[0]))
    assert folded.cores.first is None
    assert mirrored.cores.first is not None


def test_phases_drift_with_time_and_only_then(wrong, settings):
    first, again, later = (
        transfer(wrong[0], settings, 1.0, jnp.asarray(t)) for t in (0, 0, 10_000)
    )
    assert np.array_equal(first, again)
    # Drift of 0.01 rad in 2 N columns of two shifters each.
    assert 1e-3 < np.abs(later - first).max() < 0.3


def test_measured_light_is_the_twin_s(wrong, settings, fields):
    twin, bench = wrong
    found = light(bench, settings, 0.7, fields)
    expected = np.einsum("bij,bsj->bsi", transfer(twin, settings, 0.7), fields)
    assert np.allclose(found.output, expected, atol=1e-12)


def test_taps_are_the_light_inside_the_symmetric_core(wrong, settings, fields):
    twin, bench = wrong
    found = light(bench, settings, 0.7, fields)

    @jax.jit
    def inside(twin, settings, fields):
        one = jax.tree.map(lambda leaf: leaf[1], twin.cores)
        core = one.realise(settings.tied[1], settings.attenuation[1], 0)
        assert isinstance(core, SymmetricCore)
        light = core.internal_fields(fields[1])
        return core.mesh.pack_fields(light.first), light.middle, core.mesh.pack_fields(light.second)

    expected = inside(twin, settings, fields)
    for name, light_there in zip(("first", "middle", "second"), expected, strict=True):
        assert np.allclose(getattr(found, name)[1], light_there, atol=1e-12)


def test_noise_has_the_sizes_asked_for(ideal, settings):
    bench = ChipBench(ideal[0], detector_noise=0.1, tap_noise=0.3)
    many = jnp.asarray(np.broadcast_to(np.eye(N, dtype=complex)[0], (BLOCKS, 2000, N)))
    noisy, clean = light(bench, settings, 1.0, many), light(ideal[1], settings, 1.0, many)
    for name, size in (("output", 0.1), ("first", 0.3), ("middle", 0.3), ("second", 0.3)):
        difference = getattr(noisy, name) - getattr(clean, name)
        power = np.mean(np.abs(getattr(clean, name)) ** 2)
        found = np.sqrt(np.mean(np.abs(difference) ** 2) / power)
        # 16,000 draws and more of a modulus squared: 0.4 % rms, four times that.
        assert abs(found / size - 1) < 0.016


@pytest.mark.parametrize("measure", ["measure_field", "measure_taps"])
def test_hardware_has_no_derivative(wrong, settings, measure):
    def power(scale):
        blocks = jax.tree.map(lambda leaf: leaf[0], wrong[1].program(settings, 0.7))
        light = getattr(blocks, measure)(scale * jnp.ones((1, N), complex), key=KEY)
        return sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(light))

    with pytest.raises(TypeError, match="`ChipBench` is hardware"):
        jax.eval_shape(jax.grad(power), 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, b: nominal_matrices(s, 1.5), "`ratio` must lie between 0 and 1, but is 1.5"),
        (lambda s, b: draw_chip(N, 0, ERRORS, key=KEY), "`n_blocks` must be at least 1, but is 0"),
        (
            lambda s, b: draw_chip(N, 1, ERRORS, symmetric=False, construction="folded", key=KEY),
            "`construction` must be mirrored on a chip with general cores",
        ),
        (lambda s, b: make_settings(N, 0, key=KEY), "`n_blocks` must be at least 1"),
        (lambda s, b: draw_chip(1, 1, ERRORS, key=KEY), "`n_ports` must be at least 2"),
        (
            lambda s, b: b[1].program(BlockSettings(s.tied, s.attenuation), 1.0),
            "`settings` must be for a chip with its general cores",
        ),
        (
            lambda s, b: b[1].program(BlockSettings(s.tied[:, 1:], s.attenuation, s.free), 1.0),
            r"`settings.tied` must have last axes \(16,\).* The chip has 4 ports",
        ),
        (lambda s, b: ChipBench(b[0], tap_noise=-1), "`tap_noise` must lie between 0 and inf"),
    ],
)
def test_bad_input_is_named(wrong, settings, call, message):
    with pytest.raises(ValueError, match=message):
        call(settings, wrong)


def test_a_quiet_bench_measures_the_truth_that_it_reveals(wrong, settings, fields):
    bench = ChipBench(wrong[0], detector_noise=0.1, tap_noise=0.1)
    truth = np.einsum("bij,bsj->bsi", transfer(bench.reveal(), settings, 0.7), fields)
    assert np.allclose(light(bench.quiet(), settings, 0.7, fields).output, truth, atol=1e-12)
    assert not np.allclose(light(bench, settings, 0.7, fields).output, truth, atol=1e-2)
