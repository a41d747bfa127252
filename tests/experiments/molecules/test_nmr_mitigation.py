import dataclasses

import numpy as np
import pytest
from scipy.linalg import expm

from experiments.molecules import nmr_mitigation as experiment
from quantum.circuits.noisy_circuit import NoisyCircuit
from quantum.compiling.swap_network import swap_network
from quantum.compiling.trotter import spin_matrix
from quantum.noise.extrapolation import richardson
from quantum.noise.path_weight import PathWeights
from quantum.spins.hamiltonian import dense, spin_product
from tests.exact.drawn import columns

# A weak coupling, so that echoes stay near their start.
TINY = experiment.Config(
    n_spins=4,
    n_steps=(1, 3),
    n_molecules=5,
    bond=2.5,
    repeats=1,
    noises=("depolarizing", "willow_qec"),
)


@pytest.fixture(scope="module")
def outcome():
    return experiment.run(TINY)


def test_many_short_steps_are_the_dense_echo_of_the_trace(monkeypatch):
    steps, time = 65, 2e-4
    monkeypatch.setattr(experiment, "STEP", time / steps)
    config = dataclasses.replace(TINY, n_steps=(steps,), strike=1.1, bond=1.0865)
    circuit = experiment.echo_circuit(config, steps, 2)
    found = experiment._mixed_expectation(NoisyCircuit(4, tuple(circuit.operations())))
    hamiltonian = experiment.molecule(config, 2)
    # An odd number of networks leaves the line reversed, which the strike has to follow.
    assert swap_network(hamiltonian, time, steps).places == (3, 2, 1, 0)
    there = expm(-1j * dense(hamiltonian) * time)
    turn = spin_matrix(1.1 * np.array([0, 2, 1]) / 5**0.5, 1.0)
    echo = there.conj().T @ np.kron(np.eye(4), np.kron(turn, turn)) @ there
    x = 2 * spin_product(4, {0: 0})
    wanted = np.trace(x @ echo @ x @ echo.conj().T).real / 16
    assert 1 - wanted > 0.003
    # First order: a part of about the angle of a step, 0.05, of what has decayed.
    assert 1 - found == pytest.approx(1 - wanted, rel=0.05)


def test_longer_echoes_have_decayed_further(outcome):
    assert outcome.arrays["exact.s3"].mean() < outcome.arrays["exact.s1"].mean() < 1
    assert np.all(outcome.arrays["exact.s1"] > 0.5)


def test_signals_are_those_of_the_density_matrix(outcome):
    circuit = experiment.echo_circuit(TINY, 3, 1)
    for column, scale in ((0, 1.0), (3, 3.0)):
        wanted = experiment._noisy(TINY, circuit, "depolarizing", scale)
        assert outcome.arrays["depolarizing.s3"][1, column] == pytest.approx(wanted, abs=1e-12)


def test_path_weights_add_up_to_the_noiseless_echo(outcome):
    for steps in TINY.n_steps:
        sums = outcome.arrays[f"amplitudes.s{steps}"].sum(axis=1)
        np.testing.assert_allclose(sums, outcome.arrays[f"exact.s{steps}"], atol=1e-12)


def test_near_the_start_the_free_normal_law_has_the_least_bias(outcome):
    for noise in TINY.noises:
        bias = {m: outcome.metrics[f"bias.{m}.{noise}"].value for m in experiment.METHODS}
        assert bias["gaussian_free"] < 0.5 * bias["exponential"] < 0.1 * bias["raw"]
        assert bias["linear"] < bias["raw"]
        assert bias["richardson"] < bias["linear"]


def test_shots_add_to_the_bias_and_less_with_more_of_them(outcome):
    squares = outcome.arrays["squares.richardson.depolarizing"].mean(axis=(1, 2))
    assert squares[1] > squares[2] > squares[0]


def test_shot_noise_has_the_variance_of_the_coefficients(outcome, monkeypatch):
    weights = richardson(np.array(TINY.scales)).coefficients
    alone = lambda scales, values, *_: {"richardson": values @ weights}  # noqa: E731
    monkeypatch.setattr(experiment, "extrapolate", alone)
    config = dataclasses.replace(TINY, repeats=100)
    found = experiment._squares(config, outcome.arrays, "depolarizing")["richardson"]
    for column, steps in enumerate(TINY.n_steps):
        values = outcome.arrays[f"depolarizing.s{steps}"]
        wanted = np.mean((1 - values**2) @ weights**2) / 1e4 + found[0, column].mean()
        # 500 squares of normal numbers: four times sqrt(2 / 500), more where molecules differ.
        assert found[1, column].mean() == pytest.approx(wanted, rel=0.3)


def test_weights_of_both_signs_are_counted(outcome):
    rows = [PathWeights(c, (0, 1)) for c in outcome.arrays["amplitudes.s3"]]
    found = outcome.metrics["path.negative_share.s3"]
    assert found.value == pytest.approx(np.mean([p.negative_share for p in rows]))
    assert 0 < found.value < 0.5


def test_all_panels_are_drawn_with_the_errors_of_the_metrics(outcome):
    axes = outcome.figure().axes
    assert len(axes) == 4
    shown = columns(axes[2])
    kinds = [(kind, noise) for noise in TINY.noises for kind in ("bias", "rms")]
    for (heights, halves), (kind, noise) in zip(shown, kinds, strict=True):
        metrics = [outcome.metrics[f"{kind}.{name}.{noise}"] for name in experiment.METHODS]
        np.testing.assert_allclose(heights, [m.value for m in metrics])
        np.testing.assert_allclose(halves, [m.stderr for m in metrics], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_spins": 3}, "`n_spins` must be at least 4"),
        ({"n_molecules": 2}, "`n_molecules` must be at least 3"),
        ({"bond": 0.1}, "`bond` must lie between 1 and 5 A"),
        ({"n_steps": (2, 1)}, "`n_steps` must be rising"),
        ({"scales": (1.0, 2.0)}, "`scales` must be 3 or more"),
        ({"gate_error": 0.3}, "`gate_error` must lie above 0"),
        ({"noises": ("depolarizing", "quiet")}, "`noises` must be one of"),
        ({"noises": ("willow_qec",)}, "`noises` must begin with"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)
