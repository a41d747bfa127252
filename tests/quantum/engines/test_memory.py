import os

import pytest

from quantum.engines import memory
from quantum.engines.memory import available_bytes, check_memory, n_threads, state_bytes


def test_a_state_takes_8_or_16_bytes_an_amplitude():
    assert state_bytes(32) == 34_359_738_368  # 8 * 2^32: 34 GB
    assert state_bytes(20, "double", 3) == 3 * 16 * 2**20


@pytest.mark.parametrize("available", [10**6, 2 * 10**9, 7 * 10**11])
@pytest.mark.parametrize("held", [1, 3])
def test_the_size_that_fits_fits_and_one_more_does_not(available, held):
    with pytest.raises(ValueError, match="`n_qubits` must leave room") as caught:
        check_memory(60, "single", held, available)
    fits = int(str(caught.value).split("at most ")[1].split()[0])
    check_memory(fits, "single", held, available)
    with pytest.raises(ValueError, match="`n_qubits` must leave room"):
        check_memory(fits + 1, "single", held, available)


def test_the_message_names_both_amounts():
    amounts = r"3 states of 30 qubits in double precision take 51\.5 GB and 16 GB are free"
    with pytest.raises(ValueError, match=amounts):
        check_memory(30, "double", 3, 16 * 10**9)


def test_free_memory_is_below_what_the_machine_has():
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < available_bytes() <= installed


def test_the_limit_of_a_control_group_counts(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("2000000\n")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert available_bytes() == 3_000_000


def test_small_states_run_on_one_thread_and_large_ones_on_all():
    assert n_threads(10) == 1
    assert n_threads(28) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("running", "threads"), [("1/97", 4), ("3/97", 2), ("9/97", 1), ("odd", 1), (None, 1)]
)
def test_states_of_middling_size_take_idle_cores_only(tmp_path, monkeypatch, running, threads):
    """The thread that asks is among those that run; a machine that does not say counts as busy."""
    load = tmp_path / "loadavg"
    if running:
        load.write_text(f"0.31 0.25 0.10 {running} 1143\n")
    monkeypatch.setattr(memory, "_RUNNING", load)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert n_threads(20) == threads


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "`n_qubits` must be at least 1"), ((3, "half"), "`precision` must be one of")],
)
def test_what_has_no_size_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        state_bytes(*arguments)
