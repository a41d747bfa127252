import hashlib

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from nn.weights import read_safetensors


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    tensors = {
        "block.weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
        "block.half": np.float16([0.1, 65504]),
        "block.brain": np.array([1.5, -3.0e38], ml_dtypes.bfloat16),
        "ids": np.array([[3, 5]], np.int64),
        "nothing": np.zeros((0, 3), np.float32),
    }
    save_file(tensors, path, metadata={"format": "np"})
    return path


def test_names_shapes_types_and_numbers_come_back(path):
    file = read_safetensors(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert file.metadata == {"format": "np"}
    assert file.shapes["nothing"] == (0, 3) == file["nothing"].shape
    assert file.stored_as["block.brain"] == "BF16"
    np.testing.assert_array_equal(
        file["block.weight"], np.arange(6, dtype=np.float32).reshape(2, 3) / 7
    )
    np.testing.assert_array_equal(file["block.half"], np.float32([np.float16(0.1), 65504]))
    # A bfloat16 is the first half of a float32.
    np.testing.assert_array_equal(
        file["block.brain"],
        np.array([0x3FC0, 0xFF62], "<u2").astype("<u4").__lshift__(16).view("<f4"),
    )
    assert {file[name].dtype for name in ("block.half", "block.brain")} == {np.dtype(np.float32)}
    assert file["ids"].tolist() == [[3, 5]]


@pytest.mark.parametrize("kept", [0, 5, 60, -1])
def test_a_truncated_file_is_named(path, tmp_path, kept):
    short = tmp_path / "short.safetensors"
    short.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"whole safetensors file, but .*short\.safetensors is"):
        read_safetensors(short)


def test_another_digest_is_refused(path):
    with pytest.raises(ValueError, match="must have the SHA-256 00"):
        read_safetensors(path, sha256="0" * 64)
