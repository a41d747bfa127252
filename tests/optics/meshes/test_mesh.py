from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.mesh_imperfections import MeshImperfections, draw_mesh
from optics.meshes.decomposition import decompose_unitary
from optics.meshes.mesh import Mesh, cells, haar_exponents, make_mesh
from optics.meshes.mzi import mzi_matrix

LAYOUTS = ("rectangular", "triangular")
KEY = jax.random.key(0)
MATRIX = eqx.filter_jit(Mesh.matrix)
FORWARD = eqx.filter_jit(Mesh.__call__)
BACKWARD = eqx.filter_jit(Mesh.backward)


@eqx.filter_jit
def cell_matrices(mesh):
    return mzi_matrix(
        mesh.theta,
        mesh.phi,
        left_error=mesh.left_error,
        right_error=mesh.right_error,
        arm_loss_db=mesh.arm_loss_db,
    )


def random_complex(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape))


@partial(jax.jit, static_argnums=(0, 1, 2))
def erroneous(n_ports, layout="rectangular", loss_db=0.3):
    mesh = make_mesh(n_ports, key=KEY, layout=layout, dtype=jnp.complex128)
    errors = MeshImperfections(splitter_error=0.1, loss_db=loss_db, loss_spread_db=loss_db / 5)
    return draw_mesh(mesh, errors, key=jax.random.key(1))


def explicit(mesh):
    """Product of one full matrix for each cell, from the cell's own function."""
    product = np.eye(mesh.n_ports, dtype=complex)
    blocks = np.asarray(cell_matrices(mesh))
    for column, slot in zip(*np.nonzero(mesh.present), strict=True):
        port = 2 * slot + column % 2
        full = np.eye(mesh.n_ports, dtype=complex)
        full[port : port + 2, port : port + 2] = blocks[column, slot]
        product = full @ product
    return np.exp(1j * np.asarray(mesh.output_phase))[:, None] * product


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n_ports", [2, 5, 6])
def test_cells_are_n_choose_two_and_phases_n_squared(n_ports, layout):
    there = cells(n_ports, layout)
    assert there.sum() == n_ports * (n_ports - 1) // 2
    assert there.shape[0] == {"rectangular": n_ports, "triangular": 2 * n_ports - 3}[layout]
    packed = jax.eval_shape(lambda: make_mesh(n_ports, key=KEY, layout=layout).pack())
    assert packed.shape == (n_ports**2,)


@pytest.mark.parametrize(("layout", "n_ports"), [("rectangular", 6), ("triangular", 5)])
def test_mesh_is_the_product_of_its_cells_in_both_directions(layout, n_ports):
    mesh = erroneous(n_ports, layout)
    expected = explicit(mesh)
    np.testing.assert_allclose(MATRIX(mesh), expected, atol=1e-14)
    few = random_complex(3, n_ports)  # column by column
    many = random_complex(2, 3 * n_ports, n_ports)  # by the matrix
    for fields in (few, many):
        plain = np.asarray(fields)
        np.testing.assert_allclose(FORWARD(mesh, fields), plain @ expected.T, atol=2e-14)
        # Reciprocity: light sent backwards sees the transpose, whatever the errors.
        np.testing.assert_allclose(BACKWARD(mesh, fields), plain @ expected, atol=2e-14)


@pytest.mark.parametrize(("layout", "n_ports"), [("rectangular", 5), ("triangular", 6)])
def test_mesh_without_loss_is_unitary_with_any_splitter(layout, n_ports):
    matrix = np.asarray(MATRIX(erroneous(n_ports, layout, 0.0)))
    # Rounding of 2e-16 for each of about 10 columns.
    np.testing.assert_allclose(matrix.conj().T @ matrix, np.eye(n_ports), atol=1e-14)


def test_loss_follows_the_number_of_cells_on_the_way():
    # All cells bar: light stays in its port and loses once per cell there; ports 0 and N - 1 skip the odd columns.
    there = cells(6)
    mesh = Mesh(
        jnp.asarray(np.full(there.shape, np.pi)),
        jnp.asarray(np.zeros(there.shape)),
        jnp.asarray(np.zeros(6)),
        arm_loss_db=jnp.asarray(np.full((*there.shape, 2), 0.5)),
    )
    decibels = -20 * np.log10(np.abs(np.diag(MATRIX(mesh))))
    np.testing.assert_allclose(decibels, [1.5, 3, 3, 3, 3, 1.5], atol=1e-12)


def test_loss_in_one_arm_takes_that_arm_s_power():
    # Cell 0 is bar, the light of port 0 is spread over both arms by the first coupler: half the power each.
    mesh = Mesh(
        jnp.asarray(np.full((1, 1), np.pi)),
        jnp.asarray(np.zeros((1, 1))),
        jnp.asarray(np.zeros(2)),
        arm_loss_db=jnp.asarray([[[10.0, 0.0]]]),
        layout="triangular",
    )
    power = np.sum(np.abs(FORWARD(mesh, jnp.asarray([1.0 + 0j, 0]))) ** 2)
    np.testing.assert_allclose(power, 0.5 * 0.1 + 0.5, rtol=1e-14)


def test_empty_slots_do_nothing():
    mesh = erroneous(6)
    junk = np.where(mesh.present, 0.0, 7.0)
    other = eqx.tree_at(
        lambda m: (m.theta, m.phi, m.left_error),
        mesh,
        replace_fn=lambda a: jnp.asarray(np.asarray(a) + junk),
    )
    np.testing.assert_array_equal(MATRIX(other), MATRIX(mesh))
    weights = random_complex(6, 6)
    gradient = jax.jit(jax.grad(lambda m: jnp.real(jnp.sum(weights * m.matrix()))))(mesh)
    assert not np.any(np.asarray(gradient.theta)[~mesh.present])
    assert np.all(np.asarray(gradient.theta)[mesh.present] != 0)


def test_packing_keeps_every_phase_and_error():
    mesh = erroneous(5)
    phases, again = jax.jit(lambda m: (m.pack(), m.unpack(m.pack())))(mesh)
    np.testing.assert_allclose(MATRIX(again), MATRIX(mesh), atol=1e-15)
    phases, theta = np.asarray(phases), np.asarray(mesh.theta)
    # theta first, column by column, and the output phases last.
    assert phases[0] == theta[0, 0]
    assert phases[2] == theta[1, 0]
    np.testing.assert_array_equal(phases[-5:], mesh.output_phase)


@pytest.mark.parametrize("loss_db", [0.0, 0.3])
@pytest.mark.parametrize(("layout", "n_ports"), [("rectangular", 5), ("triangular", 6)])
def test_fields_at_the_shifters_give_the_gradient(layout, n_ports, loss_db):
    mesh = erroneous(n_ports, layout, loss_db)
    fields = random_complex(2, 2, n_ports)
    weights = random_complex(2, 2, n_ports, seed=2).real

    def loss_of(out):
        return jnp.sum(weights * jnp.abs(out) ** 2)

    @jax.jit
    def both_ways(mesh):
        phases = mesh.pack()
        known = jax.grad(lambda p: loss_of(mesh.unpack(p)(fields)))(phases)
        data = mesh.internal_fields(fields)
        error = mesh.internal_fields(jax.grad(loss_of)(data.output), backward=True)
        product = mesh.pack_fields(data) * mesh.pack_fields(error)
        return known, -jnp.sum(jnp.imag(product), axis=(0, 1)), data.output - mesh(fields)

    expected, found, difference = both_ways(mesh)
    np.testing.assert_allclose(found, expected, atol=2e-14)
    np.testing.assert_allclose(difference, 0, atol=1e-14)


def test_gradient_agrees_with_finite_differences():
    mesh, fields = erroneous(5, "rectangular", 0.0), random_complex(2, 5)

    def loss(phases):
        return jnp.sum(jnp.abs(mesh.unpack(phases)(fields)[:, 0]) ** 2)

    @jax.jit
    def both(mesh):
        phases, steps = mesh.pack(), 1e-5 * jnp.eye(25)
        up, down = (jax.vmap(loss)(phases[None] + sign * steps) for sign in (1, -1))
        return jax.grad(loss)(phases), (up - down) / 2e-5

    # Central differences: error h^2 / 6 times a third derivative of order 1.
    np.testing.assert_allclose(*both(mesh), atol=1e-9)


def test_ensemble_of_chips_is_a_vmap():
    mesh, errors = erroneous(5), MeshImperfections(splitter_error=0.1)
    keys = jax.random.split(KEY, 3)

    def chip(key):
        return draw_mesh(mesh, errors, key=key).matrix()

    together, alone = jax.jit(jax.vmap(chip))(keys), jax.jit(chip)
    for found, key in zip(together, keys, strict=True):
        np.testing.assert_allclose(found, alone(key), atol=1e-15)


def test_other_phases_do_not_compile_again():
    traces = []

    @eqx.filter_jit
    def matrix(mesh):
        traces.append(1)
        return mesh.matrix()

    mesh = jax.jit(lambda: make_mesh(4, key=KEY))()
    moved = jax.jit(lambda m: m.unpack(m.pack() + 1))(mesh)
    assert not np.array_equal(matrix(mesh), matrix(moved))
    assert matrix(moved).dtype == jnp.complex64
    assert len(traces) == 1


def test_program_does_not_grow_with_depth():
    def size(n_ports):
        mesh = jax.eval_shape(lambda: make_mesh(n_ports, key=KEY))
        step = jax.grad(lambda m: jnp.real(m.matrix()[0, 0]))
        return len(jax.jit(step).lower(mesh).as_text().splitlines())

    # Both ways of the derivative, which depend on the size.
    assert size(80) == size(16)
    assert size(64) == size(32)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_random_mesh_is_haar(layout):
    n, samples = 5, 4000
    draw = jax.vmap(lambda k: make_mesh(n, key=k, layout=layout).matrix())
    matrices = np.asarray(jax.jit(lambda: draw(jax.random.split(KEY, samples)))())
    powers = np.abs(matrices) ** 2
    # Haar: |U_ij|^2 has mean 1/N and second moment 2/(N (N + 1)); both within 5 standard errors, of all elements.
    spread = powers.std(0) / np.sqrt(samples)
    assert np.all(np.abs(powers.mean(0) - 1 / n) < 5 * spread)
    spread = (powers**2).std(0) / np.sqrt(samples)
    assert np.all(np.abs((powers**2).mean(0) - 2 / (n * (n + 1))) < 5 * spread)
    np.testing.assert_allclose(matrices.mean(0), 0, atol=5 / np.sqrt(n * samples))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_exponents_are_those_of_decomposed_random_unitaries(layout):
    n, samples = 6, 300
    rng = np.random.default_rng(3)
    logs = []
    for _ in range(samples):
        q, r = np.linalg.qr(rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n)))
        mesh = decompose_unitary(q * (np.diag(r) / np.abs(np.diag(r))), layout=layout)
        logs.append(-np.log(np.cos(np.asarray(mesh.theta) / 2) ** 2))
    # -log t is exponential with mean 1/d, so its standard error is 1 / (d sqrt(samples)).
    scaled = (np.mean(logs, 0) * haar_exponents(n, layout))[cells(n, layout)]
    np.testing.assert_allclose(scaled, 1, atol=4.5 / np.sqrt(samples))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_mesh(1, key=KEY), "`n_ports` must be at least 2, but is 1"),
        (lambda: make_mesh(4, key=KEY)(jnp.ones(5, jnp.complex64)), "`fields` must have last axes"),
        (lambda: make_mesh(4, key=KEY).unpack(jnp.ones(15)), "`phases` must have last axes"),
        (lambda: Mesh(jnp.ones((3, 2)), jnp.ones((3, 2)), jnp.ones(4)), "`theta` must have last"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
