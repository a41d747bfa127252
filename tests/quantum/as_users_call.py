"""Circuits and molecules as users write them: lists, whole numbers, NumPy's defaults, single precision.

Runs in `tests/test_plain_user.py` alone, in a process as a user has it: with the suite's checks of types a list where
an array is written is refused before the package sees it.
"""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from quantum.circuits import (
    Circuit,
    EchoLayout,
    Lattice,
    Observable,
    PauliString,
    fsim,
    random_circuit,
)
from quantum.circuits.circuit import Operation
from quantum.circuits.gates import Gate, matrix_gate, rz
from quantum.compiling import circuit_echo, compile_circuit, nmr_echo_circuit
from quantum.compiling.pair_compiler import gate_count
from quantum.echoes import correlators, make_echo
from quantum.echoes.interference import measure_interference
from quantum.engines import expectation, expectations, sample
from quantum.inference import ForwardModel, Gaussian, fit
from quantum.nmr import echo, reversible_hamiltonian, secular_hamiltonian
from quantum.nmr.average_hamiltonian import heteronuclear, homonuclear, offset
from quantum.nmr.dipolar_sequences import tardis_2_like
from quantum.nmr.methods import Pulses
from quantum.nmr.pulse_sequence import cycle_average
from quantum.nmr.spectrum import free_induction, spectrum_lines
from quantum.noise import NoiseModel, linear_xeb, noisy_expectation
from quantum.noise.extrapolation import extrapolate_to_zero, richardson
from quantum.noise.readout import tensored_readout
from quantum.spins import make_hamiltonian, make_molecule, molecule_couplings
from quantum.spins.coupling_table import make_coupling_table
from quantum.spins.hamiltonian import dense
from quantum.spins.torsion import torsion_weights

# One table in hertz, as it is typed, read or measured.
HZ = [[0, 1], [1, 0]]
KINDS = {
    "list": lambda a: a,
    "int64": np.array,
    "float64": lambda a: np.array(a, float),
    "float32": lambda a: np.array(a, np.float32),
    "float16": lambda a: np.array(a, np.float16),
    "complex": lambda a: np.array(a, complex),
    "jax int32": jnp.array,
}
HADAMARD = np.array([[1, 1], [1, -1]], np.complex64) / np.sqrt(np.float32(2))


def in_hz(hamiltonian):
    return np.linalg.eigvalsh(dense(hamiltonian)) / (2 * math.pi)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_couplings_keep_their_fraction(kind):
    table = kind(HZ)
    # Like spins at D = 1 Hz: -D, 0, D/2, D/2; unlike ones +-D/2; J = 2 Hz moves the singlet by -3/4 J.
    np.testing.assert_allclose(in_hz(homonuclear(table, probe=None)), [-1, 0, 0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(in_hz(heteronuclear(table)), [-0.5, -0.5, 0.5, 0.5], atol=1e-6)
    scalar = kind([[0, 2], [2, 0]])
    both = secular_hamiltonian(table, None, scalar_hz=scalar)
    np.testing.assert_allclose(in_hz(both), [-1.5, -0.5, 1, 1], atol=1e-6)
    row = heteronuclear(table, scalar_hz=kind([0, 2]))
    np.testing.assert_allclose(in_hz(row), [-1, -1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(in_hz(offset(kind([1, 2]))), [-1.5, -0.5, 0.5, 1.5], atol=1e-6)
    shifted = secular_hamiltonian(kind([[0, 0], [0, 0]]), offsets_hz=kind([1, 2]))
    np.testing.assert_allclose(in_hz(shifted), [-1.5, -0.5, 0.5, 1.5], atol=1e-6)
    known = make_coupling_table(table, ["1H", "1H"])
    np.testing.assert_allclose(in_hz(homonuclear(known)), [-1, 0, 0.5, 0.5], atol=1e-6)
    # The double-quantum average of like spins: +-D/2, and nothing in the other half.
    turned = reversible_hamiltonian(table, None)
    np.testing.assert_allclose(in_hz(turned), [-0.5, 0, 0, 0.5], atol=1e-6)


@pytest.mark.parametrize("kind", ["list", "int64", "complex"])
def test_tensors_keep_their_fraction(kind):
    none, unit = [[0] * 3] * 3, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    made = 0.5 * make_hamiltonian(KINDS[kind]([[none, unit], [unit, none]]))
    np.testing.assert_allclose(np.linalg.eigvalsh(dense(made)), [-0.375] + [0.125] * 3)


def test_the_echo_of_a_pair_is_its_closed_form():
    # V = exp(-i theta I_x) on the partner: cos^2(theta / 2) + sin^2(theta / 2) cos(4 pi D t).
    times = [0, 1e-3, 2e-3]
    wanted = math.cos(0.5) ** 2 + math.sin(0.5) ** 2 * np.cos(4 * math.pi * 100 * np.array(times))
    pair = secular_hamiltonian([[0, 100], [100, 0]])
    for method in ("sectors", "real_sectors", "matrices"):
        found = echo(pair, [1], 1, times, method=method, axis=[1, 0, 0]).values
        np.testing.assert_allclose(found, wanted, atol=2e-6)
    found = echo(pair, np.array([1]), np.float32(1), np.array(times), axis=np.array([1, 0, 0]))
    np.testing.assert_allclose(found.values, wanted, atol=2e-6)
    drawn = echo(pair, (1,), 1, np.array(times, np.float32), method="typicality", axis=(1, 0, 0))
    assert np.all(np.abs(drawn.values - wanted) <= 5 * drawn.stderr + 1e-5)


def test_a_molecule_typed_as_lists_has_the_lines_it_should():
    angstrom = [(0, 0, 0), (0, 0, 2.2), (0, 2, 1.2)]
    molecule = make_molecule([[1e-10 * x for x in row] for row in angstrom], ["13C", "1H", "19F"])
    table = molecule_couplings(molecule, [[-0.3, 0, 0], [0, 0.1, 0], [0, 0, 0.2]])
    hamiltonian = secular_hamiltonian(table)
    wanted = np.repeat([-1032.23, -181.34, 464.79, 748.78], 2)
    np.testing.assert_allclose(in_hz(hamiltonian), wanted, atol=0.01)
    assert echo(hamiltonian, [1], 1, [1e-3]).values == pytest.approx([0.6482], abs=1e-4)
    lines = spectrum_lines(hamiltonian, [1])
    assert free_induction(lines, [0, 1])[0] == pytest.approx(1)
    weights = torsion_weights([0, 1, 2], 1, 0, 300)
    np.testing.assert_allclose(weights, 1 / 3, rtol=1e-6)


def test_pulses_take_what_a_list_takes():
    sequence = tardis_2_like(5e-6)
    table = [[0, 100, 50], [100, 0, -20], [50, -20, 0]]
    free = secular_hamiltonian(table)
    average = cycle_average(sequence, free, ["C", "H", "H"])
    wanted = reversible_hamiltonian(np.array(table, float), scaling=(1, 0))
    np.testing.assert_allclose(average.couplings[1, 2], wanted.couplings[1, 2], atol=1e-3)
    values = echo(free, [1, 2], 1, [0, sequence.duration], method=Pulses(sequence)).values
    assert values[0] == pytest.approx(1)
    assert 0.99 < values[1] < 1 - 1e-5


@pytest.mark.parametrize("engine", ["reference", "jax", "density_matrix", "pauli_propagation"])
def test_circuits_of_single_precision_matrices_run(engine):
    # <Z> after H rz(1) H is cos(1); in lists, with numbers of NumPy for qubits.
    h = matrix_gate(HADAMARD)
    gates = [[Operation(h, [1])], [Operation(rz(1), (np.int64(1),))], [Operation(h, [np.int64(1)])]]
    circuit = Circuit(np.int64(2), gates)
    assert hash(circuit) == hash(Circuit(2, tuple(map(tuple, gates))))
    sums = [
        "IZ",
        Observable.of({"IZ": np.int64(2), "II": np.float32(0.5)}),
        PauliString.parse("IZ"),
    ]
    found = expectations([circuit], sums, engine=engine)
    np.testing.assert_allclose(
        found, [[math.cos(1), 2 * math.cos(1) + 0.5, math.cos(1)]], atol=2e-6
    )


def test_matrices_are_taken_as_they_are_typed():
    x = Gate("x").matrix()
    for matrix in ([[0, 1], [1, 0]], np.array([[0, 1], [1, 0]]), jnp.array([[0, 1], [1, 0]])):
        np.testing.assert_array_equal(matrix_gate(matrix).matrix(), x)
    np.testing.assert_array_equal(fsim(np.int64(1), 2).matrix(), fsim(1.0, 2.0).matrix())
    assert gate_count(np.kron(HADAMARD, HADAMARD), "cz") == 0
    assert gate_count(np.eye(4, dtype=int).tolist(), "cz") == 0
    both = Circuit(2, [[Operation(matrix_gate(np.kron(HADAMARD, HADAMARD)), [0, 1])]])
    assert compile_circuit(both, "cz").n_two_qubit == 0
    assert expectation(compile_circuit(both, "cz"), "XI") == pytest.approx(1, abs=1e-6)


def test_echoes_run_in_single_precision():
    layout = EchoLayout(Lattice(np.array([(0, 0), (0, 1), (1, 0), (1, 1)])), np.int64(0), [3], 6)
    made = make_echo(layout, random_circuit(layout.lattice, np.int64(6), seed=np.int64(1)))
    exact = correlators([made], [()], engine="reference", precision="double")
    np.testing.assert_allclose(correlators([made], [()], engine="jax"), exact, atol=1e-5)
    assert abs(exact) < 0.999
    assert measure_interference([made], 2, seed=0).total == pytest.approx(exact[0], abs=1e-5)


def test_noise_takes_numbers_of_single_precision():
    flip = Circuit(1, [[Operation(Gate("x"), [0])]])
    wanted = -(1 - 0.03 / 0.75)
    for number in (0.03, np.float32(0.03), jnp.float32(0.03)):
        found = noisy_expectation(flip, "Z", NoiseModel(number, np.float32(0)))
        assert found.value == pytest.approx(wanted, abs=1e-6)
    read = tensored_readout({np.int64(0): (0, 0)})
    assert read.expectation(sample(flip, 100, seed=0), "Z").value == pytest.approx(-1)


def test_numbers_of_an_analysis_come_as_lists():
    assert linear_xeb([0.1, 0.2, 0.3, 0.4], [3, 3, 3]).value == pytest.approx((4 * 0.4 - 1) / 0.2)
    assert extrapolate_to_zero([1, 2, 3], [0.9, 0.8, 0.7], [0.01] * 3).value == pytest.approx(
        1, abs=0.01
    )
    assert richardson([1, 2]).apply([0.9, 0.8], [[1e-4, 0], [0, 1e-4]]).value == pytest.approx(1)
    line = ForwardModel(lambda p: p[0] + p[1] * jnp.arange(4), ("a", "b"), (-9, -9), (9, 9))
    np.testing.assert_allclose(line.jacobian([1, 2])[:, 1], range(4))
    found = fit(line, Gaussian([1, 3, 5, 7], np.eye(4, dtype=int)), [[0, 0]])
    np.testing.assert_allclose(found.values, [1, 2], atol=1e-5)


def test_a_molecule_becomes_a_circuit():
    pair = secular_hamiltonian([[0, 100], [100, 0]])
    circuit = nmr_echo_circuit(pair, np.array([1]), np.float32(1), np.float32(1e-3), np.int64(1))
    wanted = echo(pair, [1], 1, [1e-3], method="matrices").values[0]
    assert circuit_echo(circuit) == pytest.approx(float(wanted), abs=1e-6)
