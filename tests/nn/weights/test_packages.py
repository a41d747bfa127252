import hashlib
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from nn.weights import open_packaged
from nn.weights.packages import MINILM, MINILM_TOKENIZER, SMOLLM2, PackagedFile


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with weights among the installed ones, that would fail if it were imported."""
    home = tmp_path / "weights_of_ours"
    home.mkdir()
    (home / "__init__.py").write_text("raise RuntimeError('imported')")
    save_file({"a": np.ones(2, np.float32)}, home / "model.safetensors")
    (home / "tokenizer.json").write_text("{}")
    record = tmp_path / "weights_of_ours-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: weights-of-ours\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    digest = hashlib.sha256((home / "model.safetensors").read_bytes()).hexdigest()
    return PackagedFile("weights-of-ours", "weights_of_ours/model.safetensors", digest)


def test_a_file_is_found_without_importing_its_package(installed):
    assert installed.is_installed
    assert open_packaged(installed)["a"].tolist() == [1, 1]
    assert "weights_of_ours" not in sys.modules


def test_another_file_under_its_name_is_refused(installed):
    installed.find().write_bytes(b"weights of somebody else")
    with pytest.raises(ValueError, match=f"must have the SHA-256 {installed.sha256}"):
        open_packaged(installed)


def test_what_is_missing_is_named_with_the_way_to_get_it(installed):
    absent = PackagedFile("weights-of-nobody", "a.gguf", "0")
    assert not absent.is_installed
    with pytest.raises(
        FileNotFoundError, match=r"`weights-of-nobody` must be installed .*make models"
    ):
        open_packaged(absent)
    emptied = PackagedFile(installed.package, "weights_of_ours/other.gguf", "0")
    with pytest.raises(FileNotFoundError, match=r"must hold weights_of_ours/other\.gguf"):
        open_packaged(emptied)
    with pytest.raises(ValueError, match=r"one of \.gguf, \.safetensors, but is tokenizer\.json"):
        open_packaged(PackagedFile(installed.package, "weights_of_ours/tokenizer.json", "0"))


def _need(*files):
    return pytest.mark.skipif(
        not all(file.is_installed for file in files),
        reason=f"{files[0].package} is not installed; `make models` installs it",
    )


@_need(SMOLLM2)
def test_smollm2_is_the_model_it_says():
    file = open_packaged(SMOLLM2)
    assert len(file) == 272
    assert sum(int(np.prod(shape)) for shape in file.shapes.values()) == 134_515_008
    assert file.metadata["general.architecture"] == "llama"
    weight = file["blk.0.attn_q.weight"]
    assert file.stored_as["blk.0.attn_q.weight"] == "Q4_1"
    assert weight.shape == (576, 576)
    # A block of 32 has a least number and a step: 16 levels.
    levels = [np.unique(block).size for block in weight.reshape(-1, 32)[:100]]
    assert 8 < np.mean(levels) <= 16


@_need(MINILM, MINILM_TOKENIZER)
def test_minilm_is_the_model_it_says():
    file = open_packaged(MINILM)
    assert len(file) == 104
    numbers = sum(
        int(np.prod(s)) for name, s in file.shapes.items() if name != "embeddings.position_ids"
    )
    assert numbers == 22_713_216
    assert set(file.stored_as.values()) == {"F32", "I64"}
    assert file["encoder.layer.5.output.dense.weight"].shape == (384, 1536)
