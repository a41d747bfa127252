import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.meshes.symmetric import (
    SymmetricCore,
    make_symmetric_core,
    partially_symmetric,
    program_symmetric,
    tied_gradient,
)
from tests.exact.small_mesh import plain_mesh

N = 5
PRECISE = jnp.complex128


def random_complex(seed, *shape):
    random = np.random.default_rng(seed)
    return jnp.asarray(random.normal(size=shape) + 1j * random.normal(size=shape))


def with_errors(mesh, seed, size=0.1):
    """Same commanded phases; couplers, losses and settings that miss their values."""
    random = np.random.default_rng(seed)
    shape = mesh.theta.shape

    def missed(phases):
        return jnp.asarray(np.asarray(phases) + size * random.normal(size=phases.shape))

    return eqx.tree_at(
        lambda m: (m.theta, m.phi, m.output_phase, m.left_error, m.right_error, m.arm_loss_db),
        mesh,
        (
            *map(missed, (mesh.theta, mesh.phi, mesh.output_phase)),
            jnp.asarray(size * random.normal(size=shape)),
            jnp.asarray(size * random.normal(size=shape)),
            jnp.asarray(random.uniform(0.1, 0.5, (*shape, 2))),
        ),
        is_leaf=lambda leaf: leaf is None,
    )


# Compiled whole: one by one, each operation compiles anew for every shape.
drawn = jax.jit(lambda key: make_symmetric_core(N, key=key, dtype=PRECISE))


@pytest.fixture(scope="module")
def core():
    """A core with attenuators, without errors."""
    perfect = drawn(jax.random.key(0))
    attenuation = jnp.asarray(np.linspace(1.0, 0.2, N))
    return eqx.tree_at(lambda c: (c.attenuation, c.gain), perfect, (attenuation, jnp.asarray(1.7)))


@eqx.filter_jit
def _matrix(core):
    return core.matrix()


def matrix_of(core):
    return np.asarray(_matrix(core))


@jax.jit
def both_ways(core, x, y):
    return core(x), core.backward(y)


def asymmetry(core):
    a = matrix_of(core)
    return np.abs(a - a.T).max()


def test_a_core_is_gain_times_mesh_attenuators_and_mirror_image(core):
    v = matrix_of(core.mesh)
    expected = 1.7 * v @ np.diag(core.attenuation) @ v.T
    assert np.allclose(matrix_of(core), expected, atol=1e-13)
    assert asymmetry(core) < 1e-14


@pytest.mark.parametrize("batch", [(1,), (40,), (2, 3)])
def test_light_sees_the_matrix_row_by_row(core, batch):
    # Small batches run through the columns, large ones through the matrix: both have to agree.
    x = random_complex(1, *batch, N)
    expected = np.einsum("ij,...j->...i", matrix_of(core), x)
    assert np.allclose(both_ways(core, x, x)[0], expected, atol=1e-12)


@pytest.mark.parametrize("layout", ["rectangular", "triangular"])
def test_any_symmetric_matrix_can_be_programmed(layout):
    a = np.asarray(random_complex(2, N, N))
    a = a + a.T
    core = program_symmetric(jnp.asarray(a), layout=layout)
    assert core.mirror is None
    assert np.abs(matrix_of(core) - a).max() < 1e-10
    assert np.max(core.attenuation) == 1
    assert np.min(core.attenuation) >= 0


def test_a_core_has_the_layout_and_precision_asked_for():
    hollow = jax.eval_shape(
        lambda key: make_symmetric_core(N, key=key, layout="triangular"), jax.random.key(0)
    )
    assert hollow.mesh.layout == "triangular"
    single = program_symmetric(np.eye(3), dtype=jnp.complex64)
    assert {leaf.dtype for leaf in jax.tree.leaves(single)} == {jnp.dtype(jnp.float32)}


def test_a_singular_matrix_can_be_programmed():
    a = np.outer(*2 * [random_complex(3, N)])
    assert np.abs(matrix_of(program_symmetric(jnp.asarray(a))) - a).max() < 1e-10


def test_a_perfect_random_core_is_a_symmetric_unitary(core):
    a = matrix_of(drawn(jax.random.key(3)))
    assert np.abs(a.conj().T @ a - np.eye(N)).max() < 1e-13
    assert np.abs(a - a.T).max() < 1e-14


def test_errors_common_to_both_halves_keep_the_core_symmetric(core):
    wrong = eqx.tree_at(lambda c: c.mesh, core, with_errors(core.mesh, 4))
    assert np.abs(matrix_of(wrong) - matrix_of(core)).max() > 0.1
    assert asymmetry(wrong) < 1e-14


def test_errors_of_their_own_break_the_symmetry(core):
    untied = SymmetricCore(
        with_errors(core.mesh, 4), core.attenuation, core.gain, with_errors(core.mesh, 5)
    )
    assert asymmetry(untied) > 0.1


def test_light_sent_backwards_sees_the_transpose_even_of_an_asymmetric_core(core):
    untied = SymmetricCore(
        with_errors(core.mesh, 4), core.attenuation, core.gain, with_errors(core.mesh, 5)
    )
    x, y = random_complex(6, 1, N), random_complex(7, 1, N)
    # Dot-product test, no conjugate: rounding of 4 N products.
    there, back = both_ways(untied, x, y)
    assert abs(np.sum(np.asarray(there) * y) - np.sum(np.asarray(back) * x)) < 1e-12


@pytest.mark.parametrize(
    ("attenuated", "freedoms"), [(False, N * (N + 1) // 2), (True, N * (N + 1))]
)
def test_real_freedoms_of_a_symmetric_core(core, attenuated, freedoms):
    def matrix(settings):
        mesh = core.mesh.unpack(settings[: N * N])
        s = settings[N * N :] if attenuated else jnp.ones(N)
        a = eqx.tree_at(lambda c: (c.mesh, c.attenuation), core, (mesh, s)).matrix()
        return jnp.concatenate([a.real.ravel(), a.imag.ravel()])

    jacobian = jax.jit(
        lambda c: jax.jacrev(matrix)(jnp.concatenate([c.mesh.pack(), c.attenuation]))
    )
    values = np.linalg.svd(jacobian(core), compute_uv=False)
    # Clear gap at the rank: kept values are of order 0.1, the others rounding.
    assert np.sum(values > 1e-4) == np.sum(values > 1e-12) == freedoms


def test_a_general_mesh_has_more_freedoms_than_a_symmetric_unitary():
    mesh, start = plain_mesh(N)

    def matrix(phases):
        m = mesh.unpack(phases).matrix()
        return jnp.concatenate([m.real.ravel(), m.imag.ravel()])

    values = np.linalg.svd(jax.jit(jax.jacrev(matrix))(start), compute_uv=False)
    assert np.sum(values > 1e-4) == N * N


def loss(y):
    return jnp.sum(jnp.abs(y) ** 2 * jnp.linspace(-1, 2, N)[None]) + jnp.sum(y.real**3)


@eqx.filter_jit
def two_passes(core, x):
    cotangent = jax.grad(loss)(core(x))
    data, error = core.internal_fields(x), core.internal_fields(cotangent)
    return tied_gradient(data, error, gain=core.gain, pack=core.mesh.pack_fields)


@pytest.mark.parametrize("with_tied_errors", [False, True])
def test_tied_gradient_from_two_forward_passes_is_automatic_differentiation(core, with_tied_errors):
    if with_tied_errors:
        core = eqx.tree_at(lambda c: c.mesh, core, with_errors(core.mesh, 9))
    x = random_complex(10, 3, N)

    def total(phases, attenuation):
        mesh = core.mesh.unpack(phases)
        return loss(eqx.tree_at(lambda c: (c.mesh, c.attenuation), core, (mesh, attenuation))(x))

    gradient = jax.jit(lambda c: jax.grad(total, argnums=(0, 1))(c.mesh.pack(), c.attenuation))
    expected = [np.asarray(part) for part in gradient(core)]
    found = two_passes(core, x)
    # Rounding times 2 N columns.
    assert np.allclose(found.phases, expected[0], atol=1e-11 * np.abs(expected[0]).max())
    assert np.allclose(found.attenuation, expected[1], atol=1e-11 * np.abs(expected[1]).max())


def test_partial_symmetry_runs_from_general_to_symmetric():
    s, g = (np.asarray(random_complex(seed, N, N)) for seed in (11, 12))
    general, symmetric, halfway = (
        np.asarray(partially_symmetric(r, jnp.asarray(s), jnp.asarray(g))) for r in (0.0, 1.0, 0.25)
    )
    assert np.allclose(general, g)
    assert np.allclose(symmetric, (s + s.T) / 2)
    assert np.allclose(halfway - halfway.T, 0.75 * (g - g.T))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda core: core(jnp.ones((2, N + 1), PRECISE)), r"`fields` must have last axes \(5,\)"),
        (lambda core: core.backward(jnp.ones(N - 1, PRECISE)), r"`fields` must have last axes"),
        (
            lambda core: SymmetricCore(core.mesh, core.attenuation[:-1], core.gain),
            r"`attenuation` must have last axes \(5,\)",
        ),
        (
            lambda core: SymmetricCore(core.mesh, core.attenuation, core.gain, plain_mesh(4)[0]),
            "`mirror` must have the 5 ports of `mesh`, but has 4",
        ),
        (
            lambda core: program_symmetric(random_complex(0, 3, 3)),
            "`matrix` must be symmetric",
        ),
        (lambda core: program_symmetric(np.ones((2, 3))), "`matrix` must be square"),
        (lambda core: program_symmetric(np.zeros((3, 3))), "`matrix` must not be zero"),
        (
            lambda core: partially_symmetric(1.5, np.eye(2), np.eye(2)),
            "`ratio` must lie between 0 and 1, but is 1.5",
        ),
        (
            lambda core: partially_symmetric(0.5, np.eye(2), np.eye(3)),
            r"`general` must have last axes \(2, 2\)",
        ),
    ],
)
def test_bad_input_is_named(core, call, message):
    with pytest.raises(ValueError, match=message):
        call(core)
