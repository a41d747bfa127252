import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from quantum.nmr import average_hamiltonian, exact_echo, pulse_sequence
from quantum.nmr.dipolar_sequences import tardis_1_like, tardis_2_like
from quantum.spins.coupling_table import make_coupling_table
from quantum.spins.dipolar import TOLUENE_SAUPE, couplings, molecule_couplings
from quantum.spins.hamiltonian import SpinHamiltonian, dense, make_hamiltonian, spin_product
from quantum.spins.molecule import ORTHO_META, toluene

METHYL = (6, 7, 8)


def drawn_couplings(n, seed, scale=500.0):
    table = np.random.default_rng(seed).normal(size=(n, n)) * scale
    return np.triu(table, 1) + np.triu(table, 1).T


@pytest.mark.parametrize(
    "make",
    [
        average_hamiltonian.homonuclear,
        average_hamiltonian.heteronuclear,
        average_hamiltonian.secular_hamiltonian,
        average_hamiltonian.reversible_hamiltonian,
    ],
)
def test_nuclides_are_told_by_the_table_or_by_name(make):
    hz, nuclides = drawn_couplings(4, 3), ("1H", "13C", "1H", "13C")
    known = make(make_coupling_table(hz, nuclides), probe=1)
    told = make(hz, probe=1, isotopes=nuclides)
    np.testing.assert_array_equal(told.couplings, known.couplings)
    # Without nuclides only spin 1 is rare: its pair with spin 3 is another one.
    assert not np.array_equal(make(hz, probe=1).couplings[1, 3], known.couplings[1, 3])


def drawn_echo(seed, n):
    """Random couplings, J and offsets with a probe somewhere, and some struck spins."""
    rng = np.random.default_rng(seed)
    probe = int(rng.integers(n))
    hamiltonian = average_hamiltonian.reversible_hamiltonian(
        drawn_couplings(n, seed), probe, ("tardis-1", "tardis-2")[seed % 2],
        scalar_hz=rng.normal(size=n) * 100, offsets_hz=rng.normal(size=n) * 300,
    )  # fmt: skip
    others = [k for k in range(n) if k != probe]
    struck = tuple(int(k) for k in rng.permutation(others)[: rng.integers(1, n)])
    axis = rng.normal(size=3)
    return hamiltonian, probe, struck, float(rng.uniform(0.3, 6)), axis / np.linalg.norm(axis)


def by_dense_exponentials(hamiltonian, probe, struck, angle, axis, time, order):
    """C^(2k) from its definition in the space of all spins, with M = 2 S_x in every place."""
    n = hamiltonian.n_spins
    unitary = expm(-1j * time * dense(hamiltonian))
    generator = sum(axis[a] * spin_product(n, {k: a}) for k in struck for a in range(3))
    turned = unitary.conj().T @ expm(-1j * angle * generator) @ unitary
    measured = 2 * spin_product(n, {probe: 0})
    total = turned
    for _ in range(order - 1):
        total = turned @ measured @ total
    return np.trace(total.conj().T @ measured @ total @ measured).real / 2**n


@pytest.mark.parametrize(
    ("seed", "n", "order"), [(0, 2, 1), (2, 5, 1), (4, 4, 2), (5, 4, 3), (6, 3, 4)]
)
def test_two_blocks_give_the_trace_over_all_spins(seed, n, order):
    hamiltonian, probe, struck, angle, axis = drawn_echo(seed, n)
    times = np.array([0.0, 0.3e-3, 1.1e-3])
    found = exact_echo.echo_by_sectors(
        hamiltonian, struck, angle, times, axis=axis, probe=probe, order=order
    )
    for time, value in zip(times, found, strict=True):
        wanted = by_dense_exponentials(hamiltonian, probe, struck, angle, axis, time, order)
        assert value == pytest.approx(wanted, abs=1e-10)
    assert np.abs(np.asarray(found)[1:] - 1).min() > 1e-3  # something happened


def test_one_proton_has_a_closed_form():
    # Two rotations by theta about n turned by +-phi about z, phi = pi eta 2 D t:
    # C = cos^2(theta/2) + sin^2(theta/2) (n_z^2 + (1 - n_z^2) cos 2 phi).
    couplings = np.array([[0.0, -800.0], [-800.0, 0.0]])
    times = np.linspace(0, 4e-3, 30)
    for variant, eta in (("tardis-1", 2 / 3), ("tardis-2", 2 / 9)):
        hamiltonian = average_hamiltonian.reversible_hamiltonian(
            couplings, 0, variant, scalar_hz=np.array([0, 100.0])
        )
        for angle in (0.4, math.pi, 5.0):
            found = exact_echo.echo_by_sectors(hamiltonian, (1,), angle, times)
            beat = np.cos(2 * math.pi * eta * 2 * (-800 + 50) * times)
            wanted = math.cos(angle / 2) ** 2 + math.sin(angle / 2) ** 2 * (0.2 + 0.8 * beat)
            np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_the_secular_form_is_what_a_strong_field_leaves_of_the_point_dipoles():
    # Classical point dipoles, b (3 (I.u)(I.u) - I.I) with D = b P_2 / 2 pi, averaged over the turn about the field:
    # alike for protons, independent for the probe. That fixes the factors 3 and 2 of the two forms.
    rng = np.random.default_rng(8)
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    strength = 2 * math.pi * 900.0
    full = strength * (3 * np.outer(direction, direction) - np.eye(3))
    coupling_hz = 900.0 * (3 * direction[2] ** 2 - 1) / 2
    turns = [
        np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
        for a in 2 * math.pi * np.arange(4) / 4
    ]
    alike = np.mean([r @ full @ r.T for r in turns], axis=0)
    apart = np.mean([r @ full @ s.T for r in turns for s in turns], axis=0)
    couplings = coupling_hz * (1 - np.eye(3))
    found = average_hamiltonian.secular_hamiltonian(couplings, 0).couplings
    np.testing.assert_allclose(found[1, 2], alike, atol=1e-9)
    np.testing.assert_allclose(found[0, 1], apart, atol=1e-9)


def test_half_of_j_adds_to_the_dipolar_coupling_and_offsets_turn_as_protons_do():
    couplings, scalar = drawn_couplings(3, 1), np.array([7.0, 150.0, -20.0])
    offsets = np.array([0.0, 120.0, -2348.0])
    hamiltonian = average_hamiltonian.secular_hamiltonian(
        couplings, scalar_hz=scalar, offsets_hz=offsets
    )
    # J I.S truncates to J I_z S_z, and 2 D I_z S_z stands beside it.
    wanted = 2 * math.pi * (2 * couplings[0, 1] + 150.0)
    assert hamiltonian.couplings[0, 1, 2, 2] == pytest.approx(wanted)
    assert not np.asarray(hamiltonian.fields)[:, :2].any()
    np.testing.assert_allclose(hamiltonian.fields[:, 2], -2 * math.pi * offsets)
    make_hamiltonian(np.asarray(hamiltonian.couplings), np.asarray(hamiltonian.fields))


def turn_about_z(angle):
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


@pytest.mark.parametrize("variant", ["tardis-1", "tardis-2"])
def test_a_quarter_turn_of_the_phases_and_a_turned_probe_reverse_time(variant):
    hamiltonian = average_hamiltonian.reversible_hamiltonian(drawn_couplings(5, 3), 0, variant)
    turns = np.stack([np.diag([1.0, -1, -1])] + 4 * [turn_about_z(math.pi / 2)])
    reversed_one = hamiltonian.rotated(jnp.asarray(turns))
    np.testing.assert_allclose(reversed_one.couplings, -hamiltonian.couplings, atol=1e-9)
    # The secular form does not reverse: protons about z leave it alone.
    secular = average_hamiltonian.homonuclear(drawn_couplings(5, 3))
    np.testing.assert_allclose(secular.rotated(jnp.asarray(turns)).couplings, secular.couplings, atol=1e-9)  # fmt: skip


def test_the_two_double_quantum_forms_are_an_eighth_turn_apart():
    couplings = drawn_couplings(4, 6)
    eighth = jnp.asarray(np.stack(4 * [turn_about_z(math.pi / 4)]))
    first = average_hamiltonian.homonuclear(couplings, form="xy+yx").rotated(eighth)
    second = average_hamiltonian.homonuclear(couplings, form="yy-xx")
    np.testing.assert_allclose(first.couplings, second.couplings, atol=1e-9)


@pytest.mark.parametrize("variant", ["tardis-1", "tardis-2"])
def test_averages_are_those_of_pulse_sequences(variant):
    # Baum-Pines with pi pulses on the probe has 1 and 2/9. Of TARDIS-1 only the proton part is reached: eta_heter = 2/3
    # is beyond any cycle, and ours has 4 / (3 pi).
    couplings = drawn_couplings(4, 9)
    channels = ("C", "H", "H", "H")
    sequence = tardis_2_like(1e-5) if variant == "tardis-2" else tardis_1_like(1e-5)
    mean = pulse_sequence.cycle_average(
        sequence,
        average_hamiltonian.secular_hamiltonian(couplings, offsets_hz=np.full(4, 200.0)),
        channels,
    )
    scaling = None if variant == "tardis-2" else (1 / math.pi, 4 / (3 * math.pi))
    wanted = average_hamiltonian.reversible_hamiltonian(couplings, 0, variant, scaling=scaling)
    np.testing.assert_allclose(mean.couplings, wanted.couplings, atol=1e-6 * 500)
    np.testing.assert_allclose(np.asarray(mean.fields)[1:], 0, atol=1e-6 * 200)


@pytest.fixture(scope="module")
def toluene_hamiltonian():
    return average_hamiltonian.reversible_hamiltonian(molecule_couplings(toluene(), TOLUENE_SAUPE))


def test_toluene_is_the_curve_of_the_sheet(toluene_hamiltonian):
    # Computed once by other code from dense matrices on 512 states with theta = pi, rounded to three digits.
    wanted = [1, 0.949, 0.804, 0.814, 0.735, 0.653, 0.589, 0.525, 0.536, 0.473, 0.361]
    times = average_hamiltonian.GRID_STEP * np.arange(11)
    found = exact_echo.echo_by_sectors(toluene_hamiltonian, METHYL, math.pi, times)
    np.testing.assert_allclose(found, wanted, atol=6e-4)
    assert found[0] == pytest.approx(1, abs=1e-12)


def test_no_butterfly_no_decay(toluene_hamiltonian):
    times = average_hamiltonian.GRID_STEP * np.arange(11)
    for angle in (0.0, 2 * math.pi):  # V = -1 for an odd number of spins, which no echo sees
        np.testing.assert_allclose(
            exact_echo.echo_by_sectors(toluene_hamiltonian, METHYL, angle, times), 1, atol=1e-12
        )


# The probe, two ring protons and a turning methyl group of toluene.
FEW, FEW_METHYL = np.array([0, 2, 4, 6, 7, 8]), (3, 4, 5)


def test_the_derivative_from_coordinates_to_echo_is_that_of_differences():
    times = np.array([0.75e-3, 2.25e-3])

    def curve(distance, angle):
        table = molecule_couplings(toluene(1e-10 * distance), TOLUENE_SAUPE)
        hamiltonian = average_hamiltonian.reversible_hamiltonian(table[np.ix_(FEW, FEW)])
        return exact_echo.echo_by_sectors(hamiltonian, FEW_METHYL, angle, times)

    # One program for the values, and one for both slopes.
    value, slopes = jax.jit(curve), jax.jit(jax.jacfwd(curve, (0, 1)))
    start = np.array([ORTHO_META * 1e10, 2.0])
    for argument, slope in enumerate(slopes(*start)):
        assert np.isfinite(slope).all()  # levels of a methyl group coincide
        assert np.abs(slope).max() > 1e-3
        shift = np.eye(2)[argument] * 1e-5
        difference = (value(*(start + shift)) - value(*(start - shift))) / 2e-5
        np.testing.assert_allclose(slope, difference, rtol=1e-6, atol=1e-9)


def test_every_coordinate_moves_the_echo_as_differences_say():
    """Positions of the probe, two ring protons and a turning methyl group, through couplings and blocks."""
    whole = toluene().spins()
    kept = np.array([0, 1, 3, 6, 7, 8])
    ratios, times = whole.gyromagnetic[kept], np.array([0.75e-3, 1.5e-3])

    @jax.jit
    def value(places):  # in angstrom, so that all steps are of one size
        table = couplings(1e-10 * places, ratios, TOLUENE_SAUPE, (FEW_METHYL,))
        found = exact_echo.echo_by_sectors(
            average_hamiltonian.reversible_hamiltonian(table), FEW_METHYL, 2.0, times
        )
        return found[0] - 2 * found[1]

    places = 1e10 * np.asarray(whole.positions)[kept]
    gradient = np.asarray(jax.jit(jax.grad(value))(places))
    wanted = np.empty(gradient.size)
    for k, shift in enumerate(2e-5 * np.eye(gradient.size)):
        step = shift.reshape(gradient.shape)
        wanted[k] = (value(places + step) - value(places - step)) / 4e-5
    # Differences of second order: 4e-10 times a sixth of a third derivative of some 10^3 / A^3.
    np.testing.assert_allclose(gradient.ravel(), wanted, atol=1e-6)
    # The molecule as a whole may move without being seen.
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-10)
    # x is normal to the ring, whose plane is a mirror: its atoms feel nothing along x.
    np.testing.assert_allclose(gradient[:3, 0], 0, atol=1e-10)
    assert np.abs(gradient[:, 1:]).max() > 0.05


def test_forward_and_reverse_derivatives_agree_in_every_argument():
    hamiltonian, probe, struck, angle, axis = drawn_echo(3, 4)
    times = np.array([0.2e-3, 0.5e-3])

    @jax.jit
    def last(tensor, fields, angle, axis, times):
        axis = axis / jnp.linalg.norm(axis)
        moved = SpinHamiltonian(tensor, fields)
        return exact_echo.echo_by_sectors(
            moved, struck, angle, times, axis=axis, probe=probe, order=2
        )[1]

    args = tuple(map(np.asarray, (hamiltonian.couplings, hamiltonian.fields, angle, axis, times)))
    rng = np.random.default_rng(0)
    step = tuple(np.asarray(a * rng.normal(size=a.shape)) for a in args)  # what is zero stays zero
    gradient = jax.jit(jax.grad(last, range(5)))(*args)
    along = sum(float(np.sum(g * s)) for g, s in zip(gradient, step, strict=True))
    small = 1e-5
    ends = [
        last(*(a + sign * small * s for a, s in zip(args, step, strict=True))) for sign in (1, -1)
    ]
    assert along == pytest.approx(float(ends[0] - ends[1]) / (2 * small), rel=1e-5)
    forward = jax.jit(lambda at, step: jax.jvp(last, at, step)[1])
    assert along == pytest.approx(float(forward(args, step)), rel=1e-9)


def test_single_precision_stays_single(toluene_hamiltonian):
    small = jax.tree.map(lambda a: a.astype(jnp.float32), toluene_hamiltonian)
    times = np.array([0.0, 0.75e-3], dtype=np.float32)
    found = exact_echo.echo_by_sectors(small, METHYL, math.pi, times)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, [1, 0.804], atol=1e-3)


def test_blocks_are_the_matrix_of_all_spins():
    hamiltonian, probe, *_ = drawn_echo(2, 4)
    matrix = dense(hamiltonian).reshape([2] * 8)
    energy = float(hamiltonian.fields[probe, 2]) / 2
    for state, sz in ((0, 0.5), (1, -0.5)):
        block = matrix.take(state, probe).take(state, 3 + probe).reshape(8, 8)
        shift = np.sign(sz) * energy * np.eye(8)
        np.testing.assert_allclose(
            exact_echo.sector(hamiltonian, sz, probe=probe), block - shift, atol=1e-9
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": np.array([0.0, -1e-3])}, "`times` must be finite and not negative, but begin at -0.001 s"),
        ({"times": np.array([np.inf])}, "`times` must be finite"),
        ({"struck": (0, 1)}, "`struck` must be different spins of 0 to 3 other than the probe 0"),
        ({"struck": (4,)}, "`struck` must be different spins of 0 to 3"),
        ({"axis": np.array([0.0, 2, 1])}, "`axis` must lie between"),
        ({"probe": 4}, "`probe` must be a spin from 0 to 3"),
        ({"order": 0}, "`order` must be at least 1"),
    ],
)  # fmt: skip
def test_bad_echoes_are_named(change, message):
    args = {"struck": (1,), "angle": 1.0, "times": np.array([1e-3])} | change
    hamiltonian = average_hamiltonian.reversible_hamiltonian(drawn_couplings(4, 1))
    with pytest.raises(ValueError, match=message):
        exact_echo.echo_by_sectors(hamiltonian, **args)


def test_bad_hamiltonians_are_named():
    couplings = drawn_couplings(3, 1)
    with pytest.raises(ValueError, match="`couplings_hz` must be finite and symmetric"):
        average_hamiltonian.reversible_hamiltonian(np.triu(couplings))
    with pytest.raises(ValueError, match=r"`couplings_hz` must have shape \(spins, spins\)"):
        average_hamiltonian.homonuclear(couplings[:2])
    with pytest.raises(ValueError, match="`variant` must be one of tardis-1, tardis-2"):
        average_hamiltonian.reversible_hamiltonian(couplings, variant="tardis-3")
    with pytest.raises(ValueError, match="`scalar_hz` must have shape"):
        average_hamiltonian.secular_hamiltonian(couplings, scalar_hz=np.zeros(2))
    with pytest.raises(ValueError, match="`offsets_hz` must have shape"):
        average_hamiltonian.secular_hamiltonian(couplings, offsets_hz=np.zeros(2))
    turned = average_hamiltonian.reversible_hamiltonian(couplings, 1)
    with pytest.raises(ValueError, match="`hamiltonian` must keep S_z of the probe"):
        exact_echo.echo_by_sectors(turned, (1,), 1.0, np.array([1e-3]), probe=0)
    with pytest.raises(ValueError, match="`hamiltonian` must have 2 to 11 spins, but has 12"):
        exact_echo.echo_by_sectors(
            make_hamiltonian(np.zeros((12, 12, 3, 3))), (1,), 1.0, np.array([1e-3])
        )
    shifted = dataclasses.replace(turned, fields=turned.fields.at[1, 0].set(1.0))
    with pytest.raises(ValueError, match="`hamiltonian` must keep S_z"):
        exact_echo.echo_by_sectors(shifted, (0,), 1.0, np.array([1e-3]), probe=1)
