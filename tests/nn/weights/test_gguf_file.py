"""Files are written by `gguf`, and read by it too: its reader is another implementation of the header."""

import gguf
import numpy as np
import pytest

from nn.weights.gguf_file import read_gguf

TYPES = ("F32", "F16", "BF16", "Q4_1", "Q8_0")


@pytest.fixture(scope="module")
def tensors():
    rng = np.random.default_rng(0)
    return {f"blk.{i}.weight": np.float32(rng.normal(size=(3, 64))) for i in range(len(TYPES))}


@pytest.fixture(scope="module")
def path(tmp_path_factory, tensors):
    path = tmp_path_factory.mktemp("weights") / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_custom_alignment(64)
    writer.add_rope_freq_base(1e5)
    writer.add_add_bos_token(False)
    writer.add_token_list(["a", "Ġé", "<end>"])
    writer.add_token_types([1, 1, 3])
    for (name, array), kind in zip(tensors.items(), TYPES, strict=True):
        kind = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.add_tensor("bias", np.float32([1, 2, 3]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_entries_come_back(path):
    entries = read_gguf(path).metadata
    assert entries["general.architecture"] == "llama"
    assert entries["llama.block_count"] == 2
    assert entries["llama.rope.freq_base"] == 1e5
    assert entries["tokenizer.ggml.add_bos_token"] is False
    assert entries["tokenizer.ggml.tokens"] == ["a", "Ġé", "<end>"]
    assert entries["tokenizer.ggml.token_type"] == [1, 1, 3]


def test_another_digest_is_refused(path):
    with pytest.raises(ValueError, match="must have the SHA-256 0000"):
        read_gguf(path, sha256="0" * 64)


def test_tensors_of_every_type_are_those_of_the_package(path, tensors):
    file = read_gguf(path)
    assert [file.stored_as[name] for name in tensors] == list(TYPES)
    theirs = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    assert list(file) == list(theirs)
    # Half a unit in the last place of 11 and 8 bits; half a step of 15 of the range of a block; half of 127 of its
    # largest, which itself is rounded to half precision.
    bounds = dict(zip(tensors, (0, 2**-12, 2**-9, 1 / 30, 1 / 254), strict=True))
    for name, array in tensors.items():
        assert file[name].dtype == np.float32
        assert file[name].shape == file.shapes[name] == (3, 64)
        np.testing.assert_array_equal(
            file[name], gguf.quants.dequantize(theirs[name].data, theirs[name].tensor_type)
        )
        assert np.abs(file[name] - array).max() <= 1.01 * bounds[name] * np.ptp(array)
    assert file["bias"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("kept", [0, 3, 10, 60, 150, 420, -60])
def test_a_truncated_file_is_named(path, tmp_path, kept):
    short = tmp_path / "short.gguf"
    short.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"`path` must be a (whole )?GGUF file, .*short\.gguf"):
        read_gguf(short)


@pytest.mark.parametrize(("number", "word"), [(77, "77"), (9, "Q8_1")])
def test_tensors_of_a_type_that_nobody_reads_are_named(path, tmp_path, number, word):
    data = path.read_bytes()
    # Type of the tensor: after its name, the number of axes and two sizes.
    at = data.index(b"blk.3.weight") + 12 + 4 + 2 * 8
    other = tmp_path / "other.gguf"
    other.write_bytes(data[:at] + number.to_bytes(4, "little") + data[at + 4 :])
    with pytest.raises(ValueError, match=rf"these are of others: blk\.3\.weight \({word}\)\."):
        read_gguf(other)


def test_a_damaged_header_is_told(path, tmp_path):
    data, other = path.read_bytes(), tmp_path / "other.gguf"
    other.write_bytes(data.replace(b"blk.3.weight", b"blk.2.weight"))
    with pytest.raises(ValueError, match=r"of different names, but .* names one twice"):
        read_gguf(other)
    at = data.index(b"general.alignment") + 17 + 4
    other.write_bytes(data[:at] + bytes(4) + data[at + 4 :])
    with pytest.raises(ValueError, match=r"a positive number of bytes, but .* gives 0"):
        read_gguf(other)
    other.write_bytes(data.replace("Ġ".encode(), b"\xff\xff"))
    with pytest.raises(ValueError, match=r"the text at byte \d+ of .* is no UTF-8"):
        read_gguf(other)


def test_another_version_and_another_format_are_named(path, tmp_path):
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF" + (1).to_bytes(4, "little") + path.read_bytes()[8:])
    with pytest.raises(ValueError, match=r"version 2 or 3, but .* gives the version 1"):
        read_gguf(other)
    other.write_bytes(b"PK\3\4" + path.read_bytes()[4:])
    with pytest.raises(ValueError, match=r"begins with GGUF, but .* begins with b'PK"):
        read_gguf(other)
