import cirq
import numpy as np
import pytest

from quantum.circuits.channels import (
    Channel,
    depolarizing,
    pauli_channel,
    pauli_error_from_average_infidelity,
    pauli_error_from_depolarizing,
    relaxation,
    twirl_probabilities,
    twirled,
)


def applied(channel, rho):
    return np.sum([k @ rho @ k.conj().T for k in channel.kraus], axis=0)


def random_state(n_qubits, seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(2**n_qubits, 2**n_qubits, 2)) @ [1, 1j]
    rho = root @ root.conj().T
    return rho / np.trace(rho)


@pytest.mark.parametrize("n_qubits", [1, 2])
def test_depolarising_mixes_with_the_identity(n_qubits):
    # Pauli error e is the depolarising probability p = e / (1 - 4^-n).
    p, size = 0.3, 2**n_qubits
    error = pauli_error_from_depolarizing(p, n_qubits)
    rho = random_state(n_qubits, 1)
    expected = (1 - p) * rho + p * np.eye(size) / size
    np.testing.assert_allclose(
        applied(depolarizing(error, n_qubits), rho), expected, rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("n_qubits", [1, 2])
def test_pauli_error_and_average_infidelity_convert_as_averages_over_states_do(n_qubits):
    # Fidelity averaged over Haar-random states, within 4 standard errors.
    error, size = 0.06, 2**n_qubits
    channel = pauli_channel(np.array([1 - error, *np.zeros(4**n_qubits - 2), error]))
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20000, size, 2)) @ [1, 1j]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    overlaps = np.einsum("ti,kij,tj->tk", vectors.conj(), channel.kraus, vectors)
    infidelity = 1 - np.sum(np.abs(overlaps) ** 2, axis=1)
    found = pauli_error_from_average_infidelity(float(infidelity.mean()), n_qubits)
    stderr = infidelity.std() / np.sqrt(20000) * (1 + 1 / size)
    assert abs(found - error) < 4 * stderr
    assert stderr < 0.01 * error


@pytest.mark.parametrize("n_qubits", [1, 2])
def test_depolarising_is_that_of_cirq(n_qubits):
    theirs = cirq.kraus(cirq.depolarize(0.07, n_qubits))
    rho = random_state(n_qubits, 2)
    expected = sum(k @ rho @ k.conj().T for k in theirs)
    np.testing.assert_allclose(applied(depolarizing(0.07, n_qubits), rho), expected, atol=1e-14)


def test_relaxation_decays_populations_and_coherences():
    t, t1, t_phi = 3e-6, 10e-6, 7e-6
    rho = random_state(1, 3)
    after = applied(relaxation(t, t1, t_phi), rho)
    np.testing.assert_allclose(after[1, 1], rho[1, 1] * np.exp(-t / t1), rtol=1e-13)
    coherence = rho[0, 1] * np.exp(-t / (2 * t1) - t / t_phi)
    np.testing.assert_allclose(after[0, 1], coherence, rtol=1e-13)


def test_relaxation_is_that_of_cirq():
    t, t1, t_phi = 3e-6, 10e-6, 7e-6
    damp, dephase = 1 - np.exp(-t / t1), 1 - np.exp(-2 * t / t_phi)
    rho = random_state(1, 4)
    expected = rho
    for channel in (cirq.amplitude_damp(damp), cirq.phase_damp(dephase)):
        expected = sum(k @ expected @ k.conj().T for k in cirq.kraus(channel))
    np.testing.assert_allclose(applied(relaxation(t, t1, t_phi), rho), expected, atol=1e-14)


def test_relaxation_for_longer_is_relaxation_twice():
    rho = random_state(1, 5)
    twice = applied(relaxation(2e-6, 8e-6, 9e-6), applied(relaxation(1e-6, 8e-6, 9e-6), rho))
    np.testing.assert_allclose(applied(relaxation(3e-6, 8e-6, 9e-6), rho), twice, atol=1e-14)


def test_twirl_is_the_average_over_pauli_frames():
    channel = relaxation(3e-6, 10e-6, 7e-6)
    paulis = [
        np.eye(2),
        np.array([[0, 1], [1, 0]]),
        np.array([[0, -1j], [1j, 0]]),
        np.diag([1, -1]),
    ]
    rho = random_state(1, 6)
    average = sum(p @ applied(channel, p @ rho @ p) @ p for p in paulis) / 4
    np.testing.assert_allclose(applied(twirled(channel), rho), average, atol=1e-14)


def test_twirl_of_relaxation_in_closed_form():
    # p_x = p_y = (1 - e^(-t/T1)) / 4, p_z = 1/2 - p_x - e^(-t/T2) / 2.
    t, t1, t_phi = 3e-6, 10e-6, 7e-6
    flip = (1 - np.exp(-t / t1)) / 4
    phase = 0.5 - flip - np.exp(-t / (2 * t1) - t / t_phi) / 2
    np.testing.assert_allclose(
        twirl_probabilities(relaxation(t, t1, t_phi))[1:], [flip, flip, phase], rtol=1e-12
    )


def test_pauli_error_is_what_went_in():
    assert depolarizing(0.0123, 2).pauli_error == pytest.approx(0.0123, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: depolarizing(0.8, 1), "`pauli_error` must lie between 0 and 0.75"),
        (lambda: depolarizing(0.1, 3), "`n_qubits` must be one of 1, 2"),
        (lambda: relaxation(-1e-9, 1e-6, 1e-6), "`duration` must lie between 0"),
        (lambda: relaxation(1e-9, 0.0, 1e-6), "`t1` must be positive"),
        (lambda: pauli_channel(np.array([0.5, 0.5, 0.5, 0.0])), "`probabilities` must be at least"),
        (lambda: pauli_channel(np.ones(3) / 3), "`probabilities` must hold 4 or 16"),
        (lambda: Channel(np.array([np.eye(2) * 1.1])), "`kraus` must preserve the trace"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("n_qubits", [1, 2])
def test_no_channel_is_worse_than_one_without_the_identity(n_qubits):
    most = 2**n_qubits / (2**n_qubits + 1)
    assert pauli_error_from_average_infidelity(most, n_qubits) == pytest.approx(1)
    for infidelity in (most + 1e-6, 1.0, 1.5):
        with pytest.raises(ValueError, match=r"`infidelity` must lie between 0 and 0\."):
            pauli_error_from_average_infidelity(infidelity, n_qubits)


def test_channels_in_single_precision_are_taken_and_keep_the_trace():
    given = np.array([0.7, 0.1, 0.15, 0.05], dtype=np.float32)
    flips = pauli_channel(given)
    rough = Channel(relaxation(3e-6, 10e-6, 7e-6).kraus.astype(np.complex64))
    for channel in (flips, rough):
        total = np.einsum("kji,kjl->il", channel.kraus.conj(), channel.kraus)
        np.testing.assert_allclose(total, np.eye(2), atol=1e-14)
    np.testing.assert_allclose(twirl_probabilities(flips), given, atol=1e-7)
