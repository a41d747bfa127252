import dataclasses
import time

import jax
import numpy as np
import pytest

from experiments.command.runner import check_seed, data_note, run_and_store, scale_of
from experiments.command.storage import Store, digest
from experiments.harness.errors import NonFiniteError, StorageError, UserError
from experiments.harness.settings import on_device
from tests.experiments.pendulum import SCALES, Config

pytestmark = pytest.mark.usefixtures("registered")

THREE = Config(lengths=(1.0, 2.0, 3.0))


def test_a_stored_result_is_used_again(registered, store):
    first, reused_first = run_and_store("pendulum", THREE, store)
    again, reused_again = run_and_store("pendulum", THREE, store)
    assert (reused_first, reused_again) == (False, True)
    assert again.record == first.record
    assert registered.COMPUTED == [1.0, 2.0, 3.0]


def test_force_computes_again_and_replaces(registered, store):
    first, _ = run_and_store("pendulum", THREE, store)
    again, reused = run_and_store("pendulum", THREE, store, force=True)
    assert not reused
    assert registered.COMPUTED == [1.0, 2.0, 3.0] * 2
    assert again.record == first.record
    assert again.provenance["date"] > first.provenance["date"]


def stop_at(length, measure):
    def stopping(at, config):
        if at == length:
            raise KeyboardInterrupt
        return measure(at, config)

    return stopping


def slowly(measure):
    def waiting(at, config):
        time.sleep(0.5)
        return measure(at, config)

    return waiting


def test_a_stopped_run_goes_on_where_it_was_and_ends_in_the_same_result(
    registered, store, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(registered, "_measure", stop_at(2.0, slowly(registered._measure)))
        with pytest.raises(KeyboardInterrupt):
            run_and_store("pendulum", THREE, store)
    assert store.find("pendulum", THREE) is None
    resumed, _ = run_and_store("pendulum", THREE, store)
    assert registered.COMPUTED == [1.0, 2.0, 3.0]
    assert resumed.provenance["resumed_pieces"] == 1
    # The second half takes milliseconds; the time of the first is in its piece.
    assert resumed.provenance["wall_time_s"] > 0.5
    whole, _ = run_and_store("pendulum", THREE, Store(tmp_path / "elsewhere"))
    assert resumed.record == whole.record
    for name, array in whole.outcome(THREE).arrays.items():
        np.testing.assert_array_equal(resumed.outcome(THREE).arrays[name], array)
    assert [path.name for path in resumed.folder.parent.iterdir()] == [digest("pendulum", THREE)]


def test_a_result_that_is_not_finite_is_not_stored(store):
    with pytest.raises(NonFiniteError, match=r"`period\.1m` of pendulum"):
        run_and_store("pendulum", Config(fault="nan"), store)
    assert store.all("pendulum") == []


def test_a_forced_run_that_fails_keeps_the_former_result(store, registered, monkeypatch):
    first, _ = run_and_store("pendulum", THREE, store)
    with monkeypatch.context() as patch:
        patch.setattr(registered, "_measure", stop_at(2.0, registered._measure))
        with pytest.raises(KeyboardInterrupt):
            run_and_store("pendulum", THREE, store, force=True)
    kept = store.find("pendulum", THREE)
    assert kept.provenance == first.provenance
    # The same command goes on with the piece of the forced run, and computes the rest.
    registered.COMPUTED.clear()
    run_and_store("pendulum", THREE, store, force=True)
    assert registered.COMPUTED == [2.0, 3.0]


def test_a_fault_in_the_drawing_does_not_cost_the_numbers(store, registered, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(registered, "plot", lambda outcome: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_and_store("pendulum", THREE, store)
    registered.COMPUTED.clear()
    stored, reused = run_and_store("pendulum", THREE, store)
    assert reused
    assert registered.COMPUTED == []
    assert (stored.folder / "figure.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(("precision", "dtype"), [("single", "float32"), ("double", "float64")])
def test_the_configuration_decides_the_precision(store, registered, monkeypatch, precision, dtype):
    seen = []
    measure = registered._measure
    monkeypatch.setattr(
        registered, "_measure", lambda *a: seen.append(jax.numpy.ones(1).dtype) or measure(*a)
    )
    before = jax.config.jax_enable_x64
    stored, _ = run_and_store("pendulum", Config(precision=precision), store)
    assert {str(kind) for kind in seen} == {dtype}
    assert stored.provenance["precision"] == precision
    assert jax.config.jax_enable_x64 == before


def test_a_scale_is_known_by_its_configuration_but_for_the_seed():
    assert scale_of(dataclasses.replace(SCALES["laptop"], seed=9), SCALES) == "laptop"
    assert scale_of(dataclasses.replace(SCALES["laptop"], gravity=9.8), SCALES) == "custom"


def test_a_device_that_is_not_there_is_an_error_of_the_user():
    with pytest.raises(UserError, match="finds no tpu"), on_device("tpu"):
        pass


def test_provenance_says_where_the_numbers_come_from(store):
    record = run_and_store("pendulum", THREE, store, command=["lightecho", "run"])[0].provenance
    expected = "date commit dirty code versions device platform precision wall_time_s resumed_pieces workers "
    expected += "python command"
    assert list(record) == expected.split()
    assert record["versions"]["jax"] == jax.__version__
    assert record["command"] == ["lightecho", "run"]
    assert 0 < record["wall_time_s"] < 10


def test_a_run_says_when_digits_stand_in_for_other_data(registered, store, monkeypatch, capsys):
    @dataclasses.dataclass(frozen=True)
    class WithData(Config):
        dataset: str = "digits"

    scales = {"quick": WithData(), "laptop": WithData(lengths=(1.0,))}
    monkeypatch.setattr(registered, "SCALES", scales)
    monkeypatch.setattr(registered, "WANTED_DATA", {"laptop": ("mnist",)}, raising=False)
    monkeypatch.setattr("experiments.data.datasets.available", lambda *_: False)
    monkeypatch.setattr("experiments.harness.context.Context.log", lambda _, line: print(line))
    run_and_store("pendulum", scales["laptop"], store)
    assert "data: the digits of scikit-learn stand in for mnist" in capsys.readouterr().out
    assert data_note(registered, WithData(lengths=(3.0,)))
    assert not data_note(registered, scales["quick"])
    assert not data_note(registered, WithData(lengths=(1.0,), dataset="mnist"))
    monkeypatch.setattr("experiments.data.datasets.available", lambda *_: True)
    assert not data_note(registered, scales["laptop"])


@pytest.mark.parametrize("seed", [-1, 2**32, 2**64 + 1])
def test_a_seed_that_jax_would_cut_is_refused(store, registered, seed):
    with pytest.raises(
        ValueError, match=f"^`seed` must lie between 0 and 4294967295, but is {seed}."
    ):
        run_and_store("pendulum", Config(seed=seed), store)
    check_seed(Config(seed=2**32 - 1))


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_computed(registered, store):
    store.root.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match=r"Cannot write .*results/pendulum"):
        run_and_store("pendulum", THREE, store)
    assert registered.COMPUTED == []


def test_a_run_that_another_process_is_at_is_refused(registered, store):
    pieces = store.pieces("pendulum", THREE)
    with pieces.held(), pytest.raises(UserError, match="is being computed by process"):
        run_and_store("pendulum", THREE, store)
    assert registered.COMPUTED == []


def test_force_replaces_a_result_that_cannot_be_read(registered, store):
    first, _ = run_and_store("pendulum", THREE, store)
    (first.folder / "metrics.json").write_text("null")
    with pytest.raises(UserError, match=r"metrics\.json: it must hold an object"):
        run_and_store("pendulum", THREE, store)
    again, reused = run_and_store("pendulum", THREE, store, force=True)
    assert not reused
    assert again.record == first.record


def test_a_failed_run_without_pieces_leaves_nothing_behind(registered, store):
    with pytest.raises(ValueError, match="not aligned"):
        run_and_store("pendulum", Config(fault="bug"), store)
    assert list((store.root / "pendulum").iterdir()) == []
