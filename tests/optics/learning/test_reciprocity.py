import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from optics.hardware import OpticalBench
from optics.learning.reciprocity import (
    audit_layers,
    find_relocation,
    measure_overlap,
    predict_cosines,
    white_probes,
)
from optics.learning.relocations import (
    displacement,
    find_permutation,
    relocations,
    residual,
    symmetry,
)
from tests.exact import small_bench

SHAPE = (4, 4)
SIZE = 16


# Compiled whole: one by one, each operation compiles anew for every shape.
overlap_of = eqx.filter_jit(measure_overlap)


def _complex(seed, *shape):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape))


def _symmetric(seed, n=SIZE):
    matrix = _complex(seed, n, n)
    return matrix + matrix.T


class _Operator(eqx.Module):
    """A module and not a closure, so that what was compiled for one matrix serves all."""

    matrix: Array
    noise: float = 0.0

    def __call__(self, fields, key):
        flat = fields.reshape(fields.shape[0], -1) @ self.matrix.T
        rms = jnp.sqrt(jnp.mean(jnp.abs(flat) ** 2, axis=1, keepdims=True))
        flat = flat + self.noise * rms * jax.random.normal(key, flat.shape, flat.dtype)
        return flat.reshape(fields.shape)


def _operator(matrix, noise=0.0):
    return _Operator(jnp.asarray(matrix), noise)


def _permutation(relocation):
    """S as a matrix, from what `receive` does to unit vectors."""
    unit = jnp.eye(SIZE).reshape(SIZE, *relocation.shape)
    return np.asarray(relocation.receive(unit)).reshape(SIZE, SIZE).T


def _with_symmetry(s, seed):
    """A matrix with T^T = S T S^-1: for S^2 = 1, T = A S with A symmetric; else averaged over the group."""
    matrix = np.asarray(_complex(seed, SIZE, SIZE))
    for _ in range(200):  # projections onto the condition alternate until they agree
        matrix = (matrix + (s @ matrix @ s.T).T) / 2
    return jnp.asarray(matrix)


@pytest.mark.parametrize("which", relocations(SHAPE), ids=lambda r: r.name)
def test_every_symmetry_makes_its_own_forward_pass_the_transpose(which):
    matrix = _with_symmetry(_permutation(which), seed=1)
    error = _complex(2, 3, *SHAPE)
    found = which.transport(_operator(matrix), error, key=jax.random.key(0))
    expected = (error.reshape(3, -1) @ matrix).reshape(found.shape)  # T^T c
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert residual(matrix, which) < 1e-9
    assert np.abs(matrix).max() > 0.1


@pytest.mark.parametrize("name", ["identity", "flip_x", "rotation_180", "rotation_90"])
def test_the_audit_finds_the_hidden_symmetry_from_noisy_runs(name):
    hidden = next(r for r in relocations(SHAPE) if r.name == name)
    matrix = _with_symmetry(_permutation(hidden), seed=3)
    best, overlaps = find_relocation(
        _operator(matrix, noise=0.05), _complex(4, 12, *SHAPE), _complex(5, 12, *SHAPE),
        key=jax.random.key(1),
    )  # fmt: skip
    # A quarter turn and its inverse serve the same systems: T^T = S T S^-1 transposed.
    assert best.name in ({"rotation_90", "rotation_270"} if "90" in name else {name})
    assert overlaps[best.name] > 0.98
    assert sum(value > 0.9 for value in overlaps.values()) <= 2


def test_a_known_relocation_makes_the_overlap_whole():
    hidden = next(r for r in relocations(SHAPE) if r.name == "flip_x")
    operator = _operator(_with_symmetry(_permutation(hidden), seed=1))
    errors, probes = _complex(2, 3, *SHAPE), _complex(3, 4, *SHAPE)
    found, plain = (
        measure_overlap(operator, errors, probes, key=jax.random.key(0), relocation=r)
        for r in (hidden, None)
    )
    np.testing.assert_allclose([found.kappa, found.residual], [1, 0], atol=1e-6)
    assert abs(plain.kappa) < 0.9


def test_overlap_and_residual_are_those_of_the_matrices():
    matrix = _symmetric(6) + 0.4 * _complex(7, SIZE, SIZE)
    errors, probes = _complex(8, 400, *SHAPE), _complex(9, 400, *SHAPE)
    found = overlap_of(_operator(matrix), errors, probes, key=jax.random.key(2))
    exact = np.vdot(matrix.T, matrix) / np.linalg.norm(matrix) ** 2
    identity = relocations(SHAPE)[0]
    # 400 white fields of 16 ports: relative error of each sum about 1/sqrt(400 x 16).
    np.testing.assert_allclose(found.kappa, exact, atol=0.03)
    np.testing.assert_allclose(found.residual, residual(matrix, identity), rtol=0.05)
    # Equal norms: |a - b|^2 = 2 - 2 Re kappa.
    np.testing.assert_allclose(residual(matrix, identity) ** 2, 2 - 2 * exact.real, rtol=1e-12)
    assert found.n_fields == 1600


def test_noise_adds_no_bias_to_the_residual_of_a_symmetric_system():
    def squares(noise):
        keys = jax.random.split(jax.random.key(3), 40)
        run = _operator(_symmetric(10), noise)
        errors, probes = _complex(11, 30, *SHAPE), _complex(12, 30, *SHAPE)
        audit = jax.jit(lambda k: measure_overlap(run, errors, probes, key=k).kappa)
        return np.real(np.asarray([audit(k) for k in keys]))

    # A single noisy run each would give 1 / (1 + 0.3^2) = 0.917.
    values = squares(0.3)
    assert abs(values.mean() - 1) < 4 * values.std() / np.sqrt(40) + 2e-3


def test_the_overlap_is_the_expected_cosine_of_the_gradient():
    matrix = _symmetric(13, 256) + 0.7 * _complex(14, 256, 256)
    full, c, u = (np.asarray(a) for a in (matrix, _complex(15, 256), _complex(16, 200, 256)))
    true, ours = (-np.imag(u * carried) for carried in (full.T @ c, full @ c))
    cosines = np.sum(true * ours, axis=1) / np.linalg.norm(true, axis=1) / np.linalg.norm(ours, axis=1)  # fmt: skip
    found = overlap_of(
        _Operator(matrix), jnp.asarray(c[None]), _complex(17, 3000, 256), key=jax.random.key(4)
    )
    # 3000 probes: 1/sqrt(3000) = 0.02.
    assert np.mean(cosines) == pytest.approx(float(jnp.real(found.kappa)), abs=0.05)


def test_probes_count_where_the_loaded_light_is():
    # The system is asymmetric in its first port only, and no light is loaded there.
    matrix, errors, light = (
        np.array(a) for a in (_symmetric(18), _complex(19, 50, *SHAPE), np.ones((200, *SHAPE)))
    )
    matrix[0] *= 3.0

    def measured():
        probes = jax.jit(white_probes)(jnp.asarray(light), key=jax.random.key(5))
        arrays = _operator(matrix), jnp.asarray(errors), probes
        return overlap_of(*arrays, key=jax.random.key(6))

    assert measured().residual > 0.3
    light[:, 0, 0] = errors[:, 0, 0] = 0.0
    np.testing.assert_allclose(measured().kappa, 1, atol=1e-12)


@pytest.mark.parametrize("shift", [(1, 0), (-1, 2)])
def test_a_displaced_camera_is_found_and_undone(shift):
    # T = C_s A with A symmetric and shift-invariant: T^T = C_-2s T.
    kernel = _complex(20, *SHAPE)
    kernel = kernel + jnp.roll(kernel[::-1, ::-1], (1, 1), axis=(0, 1))

    def run(fields, key):
        spread = jnp.fft.ifft2(jnp.fft.fft2(fields) * jnp.fft.fft2(kernel)[None])
        return jnp.roll(spread, shift, axis=(1, 2))

    best, overlaps = find_relocation(
        run, _complex(21, 6, *SHAPE), _complex(22, 6, *SHAPE), [relocations(SHAPE)[0]],
        key=jax.random.key(7),
    )  # fmt: skip
    wanted = displacement((-2 * shift[0], -2 * shift[1]), SHAPE)
    np.testing.assert_array_equal(best.read, wanted.read)
    assert overlaps[best.name] == pytest.approx(1, abs=1e-9)
    assert overlaps["identity"] < 0.7


def test_wrongly_connected_outputs_are_found_by_assignment():
    order = np.random.default_rng(3).permutation(SIZE)
    matrix = _symmetric(23)[order] + 0.01 * _complex(24, SIZE, SIZE)
    found = find_permutation(matrix)
    assert residual(matrix, found) < 0.05 < residual(matrix, symmetry(np.arange(SIZE), (SIZE,), ""))
    error = _complex(25, 2, SIZE)
    carried = found.transport(lambda f, key: f @ matrix.T, error, key=jax.random.key(0))
    np.testing.assert_allclose(
        carried, error @ matrix, rtol=0, atol=0.4
    )  # 1 % of entries near 1.4 x 16


def test_reference_phase_turns_each_pass():
    # A drift: cos(m delta) on the layer m passes back.
    np.testing.assert_allclose(
        predict_cosines(jnp.ones(3) + 0j, 0.3), np.cos(0.3 * np.arange(1, 4)), rtol=1e-12
    )


@pytest.fixture(scope="module")
def shifted():
    """Small network on a bench with a displaced camera, and everything an audit needs."""
    net = small_bench.network(classes=None)
    field, _ = small_bench.inputs(batch=12)
    target = jnp.zeros(field.shape).at[:, 14:18, 14:18].set(10.0)
    return net, field, target


@eqx.filter_jit
def _audited(net, bench, field, target):
    def run(fields, phase, key):
        if phase is None:
            return -bench.measure_field(fields, jnp.full(field.shape[1:], np.pi), key=key)
        return bench.measure_field(fields, phase, key=key)

    loaded, x = [], field
    for phase in net.phase:
        loaded.append(jnp.exp(1j * phase)[None] * x)
        x = run(x, phase, jax.random.key(1))
    errors = jax.grad(net.readout.loss)(x, target)
    return audit_layers(
        run, errors, jnp.stack(loaded), net.phase, key=jax.random.key(2), n_probes=64
    )


@pytest.mark.parametrize(
    ("error", "low", "high"),
    [
        # A shift of a billionth of a pixel costs nothing; both cases are then compiled as one.
        ({"both_faces_aberration": ((6, 1.0),), "camera_shift_px": 1e-9}, 0.999, 1.001),
        ({"camera_shift_px": 0.1}, 0.5, 0.999),
    ],
)
def test_the_audit_of_a_bench_predicts_the_gradient_cosine(shifted, error, low, high):
    from optics.learning.rules import ForwardMode

    net, field, target = shifted
    twin = small_bench.twin(**error)
    bench = OpticalBench(small_bench.GEOMETRY, twin)
    true = small_bench.true_gradient(twin, net, field, target).phase
    ours = small_bench.estimate(ForwardMode(), net, bench, field, target).gradient.phase
    measured = small_bench.cosines(true, ours)

    found = _audited(net, bench, field, target)
    assert np.all((low < measured) & (measured < high))
    # Three times the stated error of 64 sign patterns, on the very batch that is trained.
    np.testing.assert_allclose(found.cosine, measured, atol=3 * np.max(1 - measured**2) / 8 + 1e-9)
    assert found.n_fields == 2 * 12 * (3 + 64 * (1 + 2 + 3))


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: symmetry(np.array([0, 0]), (2,), ""), ValueError, "`index` must be a permutation of the 2 ports"),
        (lambda: relocations((2, 2, 2)), ValueError, "`shape` must have one axis of ports or two"),
        (lambda: find_permutation(_complex(0, 2, 3)), ValueError, "`matrix` must be square"),
        (lambda: measure_overlap(_operator(jnp.eye(4)), _complex(0, 1, 4), _complex(0, 1, 5), key=jax.random.key(0)),
         ValueError, "`probes` must have the shape"),
        (lambda: measure_overlap(_operator(jnp.nan * jnp.eye(4)), _complex(0, 1, 4), _complex(0, 1, 4),
                                 key=jax.random.key(0)), FloatingPointError, "`operator` must answer with finite"),
    ],
)  # fmt: skip
def test_bad_input_is_named(make, kind, message):
    with pytest.raises(kind, match=message):
        make()
