import jax.numpy as jnp
import numpy as np
import pytest

from nn.checkpoint.inspection import verify_checkpoint
from nn.checkpoint.load import load
from nn.checkpoint.manifest import CheckpointError
from nn.checkpoint.rewrite import rewrite_checkpoint
from nn.checkpoint.save import save
from nn.checkpoint.storage import open_store

STATE = {
    "w": np.arange(60.0).reshape(5, 4, 3),
    "half": jnp.arange(7, dtype=jnp.bfloat16),
    "none": np.zeros((2, 0)),
    "step": 9,
}


@pytest.mark.parametrize(("writers", "chunk_bytes"), [(1, 1 << 20), (3, 40), (7, 1)])
def test_what_is_written_anew_holds_the_same(tmp_path, writers, chunk_bytes):
    save(tmp_path / "a", STATE, step=9, writers=2, chunk_bytes=100, wait=True, fsync=False)
    manifest = rewrite_checkpoint(
        tmp_path / "a", tmp_path / "b", writers=writers, chunk_bytes=chunk_bytes
    )
    assert len(manifest.files) == writers
    assert all(
        chunk.length <= max(chunk_bytes, 8)
        for tensor in manifest.tensors.values()
        for chunk in tensor.chunks
    )
    assert verify_checkpoint(tmp_path / "b") == []
    back = load(tmp_path / "b", STATE)
    for name in ("w", "half", "none"):
        np.testing.assert_array_equal(np.asarray(back[name]), np.asarray(STATE[name]))
    assert (back["step"], manifest.step) == (9, 9)


def test_a_damaged_checkpoint_is_not_written_anew(tmp_path):
    save(tmp_path / "a", STATE, wait=True, fsync=False)
    store = open_store(tmp_path / "a")
    data = bytearray(store.read("data/00000.bin"))
    data[20] ^= 1
    store.write("data/00000.bin", [data])
    with pytest.raises(CheckpointError, match="damaged"):
        rewrite_checkpoint(tmp_path / "a", tmp_path / "b")
    assert not open_store(tmp_path / "b").exists("manifest.json")
