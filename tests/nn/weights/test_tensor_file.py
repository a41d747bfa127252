import hashlib

import numpy as np
import pytest

from nn.weights.tensor_file import TensorFile, check_sha256, import_package


def test_a_tensor_is_read_when_it_is_asked_for_and_comes_in_single_precision_at_least(tmp_path):
    arrays = {
        "half": np.float16([1, 2]),
        "double": np.ones(1),
        "count": np.int32([3]),
    }
    read = []

    def fetch(name):
        read.append(name)
        return arrays[name]

    shapes = {name: array.shape for name, array in arrays.items()}
    file = TensorFile(tmp_path, shapes, dict.fromkeys(arrays, "?"), {}, fetch)
    assert list(file) == list(arrays)
    assert len(file) == 3
    assert "half" in file
    assert "other" not in file
    assert read == []
    assert [file[name].dtype for name in arrays] == [np.float32, np.float64, np.int32]
    assert read == list(arrays)
    with pytest.raises(KeyError, match="other"):
        file["other"]


def test_a_changed_byte_is_another_file(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    check_sha256(path, digest.upper())
    path.write_bytes(b"Weights")
    with pytest.raises(ValueError, match=f"must have the SHA-256 {digest}, but has"):
        check_sha256(path, digest)
    with pytest.raises(FileNotFoundError, match="`path` must be a file of weights"):
        check_sha256(tmp_path / "none", digest)


def test_a_missing_package_is_named_with_the_extra_that_brings_it():
    with pytest.raises(
        ModuleNotFoundError, match=r"`no_such_reader` must be installed .* \"lightecho\[models\]\""
    ):
        import_package("no_such_reader")
