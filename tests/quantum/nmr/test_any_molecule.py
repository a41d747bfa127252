"""Molecules of any spins 1/2 against NumPy alone: couplings, Hamiltonian and echo; and one of each kind by hand."""

import numpy as np
import pytest
from hypothesis import given

from quantum.nmr import echo, reversible_hamiltonian, secular_hamiltonian
from quantum.nmr.average_hamiltonian import heteronuclear, homonuclear, offset
from quantum.nmr.dipolar_sequences import double_resonance
from quantum.nmr.methods import Matrices, PulsedStates, Pulses, Typicality
from quantum.spins import molecule_couplings
from quantum.spins.coupling_table import make_coupling_table
from quantum.spins.hamiltonian import dense
from quantum.spins.molecule import make_molecule
from tests.strategies.molecules import RATIOS, coupling, echo_value, fuzz, molecules, secular_matrix

TURNS = 2 * np.pi


@fuzz
@given(molecules())
def test_a_random_molecule_is_what_numpy_makes_of_it(drawn):
    spectators = {"14N", "2H"} & set(drawn.isotopes)
    molecule = make_molecule(drawn.places, drawn.isotopes, left_out=sorted(spectators))
    table = molecule_couplings(molecule, drawn.saupe)
    names, order = [drawn.isotopes[k] for k in drawn.order], drawn.order
    assert table.isotopes == tuple(names)
    wanted = np.zeros((len(order),) * 2)
    for i, a in enumerate(order):
        for j, b in enumerate(order[:i]):
            at, to = drawn.places[a], drawn.places[b]
            wanted[i, j] = wanted[j, i] = coupling(names[i], names[j], at, to, drawn.saupe)
    # Constants of CODATA 2018 and 2022 differ by 1e-9 of a coupling; rounding is far below.
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(np.asarray(table), wanted, rtol=1e-8, atol=1e-9 * scale)
    found = secular_hamiltonian(table, scalar_hz=drawn.scalar_hz, offsets_hz=drawn.offsets_hz)
    matrix = secular_matrix(names, wanted, drawn.scalar_hz, drawn.offsets_hz)
    size = np.abs(matrix).max()
    np.testing.assert_allclose(dense(found), matrix, atol=1e-8 * size)
    if (
        drawn.time < 2.4e-3
    ):  # the echo of one in five: matrices of JAX cost more than all of the above
        return
    probes, struck = tuple(range(len(order) - 1)), (len(order) - 1,)
    ours = (
        Matrices()
        .curve(found, struck, drawn.angle, [drawn.time], axis=drawn.axis, probe=probes)
        .values[0]
    )
    value = echo_value(matrix, struck, drawn.angle, drawn.axis, drawn.time, probes)
    # An error e of H turns the echo by e t twice: 1e-8 x 1e6 rad/s x 3 ms.
    assert ours == pytest.approx(value, abs=1e-11 + 1e-7 * size * drawn.time)


CHF = make_molecule(1e-10 * np.array([(0, 0, 0), (0, 0, 2.2), (0, 2.0, 1.2)]), ["13C", "1H", "19F"])
ORDER = np.diag([-0.3, 0.1, 0.2])


def levels(hamiltonian):
    return np.linalg.eigvalsh(dense(hamiltonian)) / TURNS


def test_three_nuclides_are_unlike_in_every_pair():
    found = secular_hamiltonian(molecule_couplings(CHF, ORDER))
    wanted = np.repeat(
        [-1032.23, -181.34, 464.79, 748.78], 2
    )  # D / 2 with every sign: no flip-flop
    np.testing.assert_allclose(levels(found), wanted, atol=0.005)
    for method in ("sectors", "real_sectors"):
        value = echo(found, (1,), 1.0, [1e-3], method=method).values[0]
        assert value == pytest.approx(0.6482, abs=5e-5)


def test_like_spins_need_no_rare_one_beside_them():
    turns = np.arange(6) * TURNS / 6
    ring = 2.48e-10 * np.stack([np.cos(turns), np.sin(turns), 0 * turns], 1)
    benzene = make_molecule(np.concatenate([ring, ring * 1.397 / 2.48]), 6 * ["H"] + 6 * ["C"])
    table = molecule_couplings(benzene, np.diag([0.05, 0.05, -0.1]))
    found = secular_hamiltonian(table)
    assert levels(found)[-1] == pytest.approx(1519.17, abs=0.005)
    bare = secular_hamiltonian(np.asarray(table), None)
    np.testing.assert_allclose(bare.couplings, found.couplings)
    assert not np.any(heteronuclear(table).couplings)
    # Double quanta of all: no probe keeps its S_z, which matrices and random states take.
    average = reversible_hamiltonian(table)
    np.testing.assert_allclose(average.couplings, homonuclear(table, form="yy-xx").couplings)
    exact = echo(average, (3,), 1.0, [1e-4], method="matrices").values
    states = echo(average, (3,), 1.0, [1e-4], method=Typicality(64, precision="double"))
    assert abs(states.values - exact)[0] < 4 * states.stderr[0]
    with pytest.raises(ValueError, match="must keep S_z of the probe"):
        echo(average, (3,), 1.0, [1e-4])


def test_a_negative_ratio_turns_couplings_and_offsets_round():
    pair = 1.02e-10 * np.array([(0, 0, 0), (0, 0, 1.0)])
    full = np.diag([-0.5, -0.5, 1.0])
    found = molecule_couplings(make_molecule(pair, ["15N", "1H"]), full)
    assert found[0, 1] == pytest.approx(coupling("15N", "1H", *pair, full), rel=1e-8)
    assert found[0, 1] > 0 > molecule_couplings(make_molecule(pair, ["13C", "1H"]), full)[0, 1]
    fields = secular_hamiltonian(found, offsets_hz=np.array([100.0, 30.0])).fields
    np.testing.assert_allclose(fields[:, 2], [TURNS * 100, -TURNS * 30])
    np.testing.assert_allclose(offset(np.ones(2), ("29Si", "13C")).fields[:, 2], [TURNS, -TURNS])
    np.testing.assert_allclose(offset(np.ones(2)).fields[:, 2], [-TURNS, -TURNS])


@pytest.fixture(scope="module")
def two_probes():
    """Two 13C beside three protons."""
    hz = np.random.default_rng(3).normal(0, 200, (5, 5))
    table = make_coupling_table(np.triu(hz, 1) + np.triu(hz, 1).T, ("13C", "13C", "H", "H", "H"))
    return table, secular_hamiltonian(table)


def test_probes_of_one_nuclide_flip_each_other_and_no_proton(two_probes):
    table, found = two_probes
    tensor = np.asarray(found.couplings) / TURNS
    np.testing.assert_allclose(tensor[0, 1], table[0, 1] * np.diag([-1, -1, 2]))
    np.testing.assert_allclose(tensor[1, 2], table[1, 2] * np.diag([0, 0, 2]))
    bare = secular_hamiltonian(np.asarray(table), (0, 1))
    np.testing.assert_allclose(bare.couplings, found.couplings)
    # Pulses turn both carbons alike, so their own coupling stays as it is.
    average = np.asarray(reversible_hamiltonian(table).couplings) / TURNS
    np.testing.assert_allclose(average[0, 1], tensor[0, 1])
    np.testing.assert_allclose(average[0, 2], 2 / 9 * tensor[0, 2])
    np.testing.assert_allclose(average[2, 3], table[2, 3] * np.diag([-1, 1, 0]), atol=1e-12)


def test_several_probes_are_measured_together_by_matrices_states_and_pulses(two_probes):
    table, found = two_probes
    names, zero = list(table.isotopes), np.zeros((5, 5))
    matrix = secular_matrix(names, np.asarray(table), zero, np.zeros(5))
    asked = {"struck": (2, 4), "angle": 1.3, "times": [6e-4], "probe": (0, 1)}
    axis = np.array([0.0, 0.6, 0.8])
    value = echo_value(matrix, (2, 4), 1.3, axis, 6e-4, (0, 1))
    exact = echo(found, **asked, axis=axis, method="matrices")
    assert exact.values[0] == pytest.approx(value, abs=1e-9)
    states = echo(found, **asked, axis=axis, method=Typicality(200, precision="double"))
    assert abs(states.values[0] - value) < 4 * states.stderr[0] < 0.2
    cycle = double_resonance(1e-9)
    pulsed = echo(found, **asked | {"times": [0.0]}, axis=axis, method=Pulses(cycle))
    assert pulsed.values[0] == pytest.approx(1)
    for method in ("sectors", "real_sectors", PulsedStates(cycle)):
        with pytest.raises(ValueError, match="`probe` must be one spin"):
            echo(found, **asked | {"times": [0.0]}, method=method)


def test_a_third_nuclide_is_refused_by_an_average_and_left_alone_by_pulses():
    table = molecule_couplings(CHF, ORDER)
    with pytest.raises(ValueError, match="hold 19F, 1H beside 13C; leave one out"):
        reversible_hamiltonian(table)
    left = reversible_hamiltonian(molecule_couplings(CHF.without("F"), ORDER))
    assert left.isotopes == ("13C", "1H")
    secular = secular_hamiltonian(table)
    cycle = double_resonance(1e-6)
    found = echo(secular, (2,), 1.0, [0.0, 4 * cycle.duration], method=Pulses(cycle)).values
    # F couples to C through 2 D I_z S_z, which the backward cycle turns round with the rest: seen by taking F away.
    kept = secular.of((0, 2))
    alone = echo(kept, (1,), 1.0, [0.0, 4 * cycle.duration], method=Pulses(cycle)).values
    assert found[1] == pytest.approx(alone[1], abs=1e-3)
    assert found[1] < 0.9999


def test_tables_that_know_their_nuclides_say_what_they_cannot_be():
    table = molecule_couplings(CHF, ORDER)
    with pytest.raises(ValueError, match="`isotopes` must be those of the table"):
        secular_hamiltonian(table, isotopes=("13C", "1H", "1H"))
    same = secular_hamiltonian(np.asarray(table), isotopes=("13C", "F", "H"))
    np.testing.assert_allclose(same.couplings, secular_hamiltonian(table).couplings)
    with pytest.raises(ValueError, match="`isotopes` must be spins 1/2, but hold 12C"):
        secular_hamiltonian(np.asarray(table), isotopes=("C", "F", "H"))
    with pytest.raises(ValueError, match="`scalar_hz` must be a table of every pair"):
        secular_hamiltonian(table, None, scalar_hz=np.zeros(3))
    with pytest.raises(ValueError, match="`probe` must be a spin from 0 to 2, but is 3"):
        secular_hamiltonian(table, 3)
    assert set(RATIOS) >= {"13C", "1H", "19F"}
