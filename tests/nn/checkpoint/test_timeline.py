import numpy as np
import pytest

from nn.checkpoint import save
from nn.checkpoint.pipeline import Clock, Event
from nn.checkpoint.timeline import STAGES, timeline

CLOCK = Clock(
    [
        Event("write", 1, 12.0, 3.0, 10),
        Event("plan", -1, 10.0, 0.5),
        Event("checksum", 0, 11.0, 1.0, 4),
        Event("checksum", 0, 13.0, 0.5, 5),
    ]
)


def test_events_come_in_the_order_of_time_from_the_begin_of_the_save():
    found = timeline(CLOCK)
    assert [STAGES[stage] for stage in found.stages] == ["plan", "checksum", "write", "checksum"]
    assert found.starts.tolist() == [0, 1, 2, 3]
    assert found.writers.tolist() == [-1, 0, 1, 0]


def test_the_table_adds_what_each_writer_took_and_moved():
    found = timeline(CLOCK)
    seconds, n_bytes = found.heat_map(), found.heat_map("n_bytes")
    assert seconds.shape == (2, len(STAGES))
    assert (seconds[0, STAGES.index("checksum")], seconds[1, STAGES.index("write")]) == (1.5, 3)
    assert seconds.sum() == 4.5  # what the process did as a whole is no writer's
    assert n_bytes[0].sum() == 9
    assert found.slowest() == 1


def test_a_save_notes_every_stage_and_every_byte_of_each_writer(tmp_path):
    handle = save(
        tmp_path / "a", {"w": np.zeros(64)}, writers=2, chunk_bytes=64, wait=True, fsync=False
    )
    found = timeline(handle.clock)
    assert set(found.stages) == set(range(len(STAGES)))
    moved = found.heat_map("n_bytes")
    for stage in ("serialise", "checksum", "write"):
        assert moved[:, STAGES.index(stage)].tolist() == [256, 256]


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="`clock` must have noted an event"):
        timeline(Clock())
    with pytest.raises(ValueError, match="`of` must be one of seconds, n_bytes, but is 'bytes'"):
        timeline(CLOCK).heat_map("bytes")
