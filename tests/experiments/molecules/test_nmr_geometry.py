import dataclasses

import numpy as np
import pytest

from experiments.__main__ import main
from experiments.command.storage import digest
from experiments.harness.context import Context
from experiments.harness.settings import precision
from experiments.molecules import nmr_geometry

TINY = nmr_geometry.Config(
    repeats=4, noise=(0.001,), n_times=8, time_step=1.1e-3, dmbp_time_step=0.4e-3, degree=10,
    dmbp_degree=24, refits=20,
    dmbp_spins=("C", "H2", "H6", "H2'", "H6'", "M0"),
)  # fmt: skip


def echo_of_one_proton(config, name, times, point):
    """Closed form of one proton beside the probe, which a fit may not tell from an exact echo of many."""
    angle = point[1] if len(point) > 1 else config.butterfly_angle
    if name == "toluene":
        coupling_hz = 25 * (2.46 / point[0]) ** 3
    else:
        coupling_hz = 90 * (3 * np.cos(np.radians(point[0])) ** 2 - 1) / 2
    turned = np.sin(angle / 2) ** 2
    return 1 - 0.8 * turned * (1 - np.cos(2 * np.pi * coupling_hz * times))


@pytest.fixture(scope="module", autouse=True)
def closed_form():
    """What is learned from curves knows nothing of where they come from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nmr_geometry, "_curve", echo_of_one_proton)
        yield


@pytest.fixture(scope="module")
def outcome(closed_form):
    with precision("double"):
        return nmr_geometry.run(TINY)


@pytest.mark.parametrize("name", ["toluene", "dmbp"])
def test_the_truth_lies_within_the_stated_errors(outcome, name):
    pulls = outcome.metrics[f"{name}.pull_spread.noise_0.001"]
    # Four pulls of spread 1: chi^2 of four degrees below its 0.9999 quantile, 23.5, and above its 0.0001 quantile.
    assert 0.07 < pulls.value < 2.42
    value, miss = (outcome.metrics[f"{name}.{k}.noise_0.001"] for k in ("value", "miss"))
    truth = outcome.arrays[f"{name}.truth"][0, 0]
    assert value.value - miss.value == pytest.approx(truth)


def test_errors_are_small_against_what_is_allowed(outcome):
    low, high = nmr_geometry.DISTANCES
    assert outcome.metrics["toluene.error.noise_0.001"].value < (high - low) / 10
    low, high = nmr_geometry.DIHEDRALS
    assert outcome.metrics["dmbp.error.noise_0.001"].value < (high - low) / 3


@pytest.mark.parametrize("name", ["toluene", "dmbp"])
def test_the_bootstrap_of_one_curve_gives_its_stated_error(outcome, name):
    refits, stated = (outcome.arrays[f"{name}.{kind}.0"] for kind in ("bootstrap", "errors"))
    # 20 refits know a standard deviation to 1 / sqrt(38), of which three.
    assert refits[0] == pytest.approx(stated[0, 0], rel=0.49)


@pytest.mark.parametrize("name", ["toluene", "dmbp"])
def test_the_profile_has_its_valley_at_the_fit_as_wide_as_its_error(outcome, name):
    at, profiles = (outcome.arrays[f"{name}.{k}.0"] for k in ("profile_at", "profile"))
    values, errors = (outcome.arrays[f"{name}.{k}.0"][:, 0] for k in ("values", "errors"))
    for value, error, profile in zip(values, errors, profiles, strict=True):
        low, high = at[profile < 1][[0, -1]]
        assert (low + high) / 2 == pytest.approx(value, abs=0.4 * error + at[1] - at[0])
        assert (high - low) / 2 == pytest.approx(error, abs=0.25 * error + at[1] - at[0])


def test_the_emulator_is_finer_than_the_noise(outcome):
    for name in ("toluene", "dmbp"):
        assert outcome.metrics[f"{name}.emulation"].value < 0.1 * TINY.noise[0]


def test_the_fit_never_sees_the_truth(outcome, monkeypatch):
    """Other truths behind the same data change no estimate, only the comparison."""
    pieces = {}

    class Keeping(Context):
        def map(self, function, work, on_piece=None):
            found = super().map(function, work, on_piece)
            if sealed := found.get("toluene.blind"):
                found["toluene.blind"] = sealed | {"truth": sealed["truth"] + 0.05}
            pieces.update(found)
            return found

    config = dataclasses.replace(TINY, dmbp_spins=())
    with precision("double"):
        moved = nmr_geometry.run(config, Keeping())
    np.testing.assert_allclose(
        pieces["toluene.learned.noise_0.001"]["values"],
        outcome.arrays["toluene.values.0"],
        atol=1e-9,
    )
    shift = [o.metrics["toluene.miss.noise_0.001"].value for o in (outcome, moved)]
    assert shift[0] - shift[1] == pytest.approx(0.05)


def test_a_measured_curve_is_learned(tmp_path):
    times = 1.1e-3 * np.arange(1, 9)
    config = dataclasses.replace(TINY, dmbp_spins=(), repeats=2)
    curve = nmr_geometry._curve(config, "toluene", times, np.array([2.46]))
    rows = "".join(f"{t},{v},0.002\n" for t, v in zip(times, curve, strict=True))
    path = tmp_path / "curve.csv"
    path.write_text("time_s,value,standard_error\n" + rows)
    with precision("double"):
        found = nmr_geometry.run(dataclasses.replace(config, curve_csv=str(path)))
    measured = found.metrics["measured.value"]
    assert measured.value == pytest.approx(2.46, abs=3 * (measured.stderr or 0))
    # sigma / |dm/dr| of independent errors; a polynomial of degree 10 knows the slope to some per cent.
    low, high = (nmr_geometry._curve(config, "toluene", times, np.array([r])) for r in (2.45, 2.47))
    assert measured.stderr == pytest.approx(0.002 / np.linalg.norm((high - low) / 0.02), rel=0.15)
    path.write_text("time_s,value\n0,1\n")
    with precision("double"), pytest.raises(ValueError, match="lacks standard_error"):
        nmr_geometry.run(dataclasses.replace(config, curve_csv=str(path)))


def test_curves_learned_values_and_pulls_are_drawn(outcome):
    figure = outcome.figure()
    assert len(figure.axes) == 6
    assert figure.axes[1].get_xlabel() == "True r$_{om}$ (Å)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": (-0.01,)}, "`noise` must lie between"),
        ({"noise": ()}, "`noise` must have at least one entry"),
        ({"repeats": 1}, "`repeats` must be at least 2"),
        ({"dmbp_spins": ("H2", "C")}, "`dmbp_spins` must begin with C"),
        ({"butterfly_angle": 3.0}, "`butterfly_angle` must lie between 1.6 and 2.4"),
    ],
)
def test_a_bad_request_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


@pytest.mark.parametrize(
    ("molecule", "data", "said"),
    [
        ("none.xyz", "", "`path` must be a file that can be read"),
        ("water.xyz", "", "must say `saupe` in its second line"),
        ("", "none.csv", "`path` must be a readable CSV file"),
    ],
)
def test_a_file_at_fault_ends_the_command_in_one_line(molecule, data, said, tmp_path, capsys):
    (tmp_path / "water.xyz").write_text("3\nwater\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n")
    words = ["run", "nmr_geometry", "--out", str(tmp_path)]
    words += ["--molecule", str(tmp_path / molecule)] if molecule else []
    words += ["--data", str(tmp_path / data)] if data else []
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("lightecho: ")] == lines[-1:]
    assert said in lines[-1]


def test_a_changed_file_is_another_run(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("time_s,value,standard_error\n1e-3,0.5,0.1\n")
    first = dataclasses.replace(TINY, data=str(path))
    assert first == dataclasses.replace(first)
    path.write_text("time_s,value,standard_error\n1e-3,0.6,0.1\n")
    assert digest("nmr_geometry", dataclasses.replace(first)) != digest("nmr_geometry", first)
    with pytest.raises(ValueError, match="`curve_csv` must be left out beside `data`"):
        dataclasses.replace(first, curve_csv=str(path))
