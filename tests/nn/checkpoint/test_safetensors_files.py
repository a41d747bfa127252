import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.checkpoint.key_paths import dotted_name
from nn.checkpoint.load import load
from nn.checkpoint.manifest import CheckpointError
from nn.checkpoint.safetensors_files import from_safetensors, to_safetensors
from nn.checkpoint.save import save

safetensors = pytest.importorskip("safetensors", reason="safetensors comes with the extra `models`")

GRID = np.arange(12.0, dtype=np.float32).reshape(3, 4)


@pytest.fixture(scope="module")
def state():
    return {
        "layers": [{"w": GRID.T, "part": GRID[:, ::2], "none": np.zeros((0, 3), np.float32)}],
        "half": jnp.array([1.5, -2], jnp.bfloat16),
        "eight": jnp.array([0.5, 448], jnp.float8_e4m3fn),
        "pair": np.array([1 + 2j], np.complex64),
        "key": jax.random.key(3),
        "step": 5,
        "name": "run",
        "rate": None,
    }


@pytest.fixture(scope="module")
def checkpoint(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("safetensors") / "ours"
    save(path, state, step=5, wait=True, fsync=False)
    return path


def same(one, other):
    if isinstance(one, jax.Array | np.ndarray):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            return same(jax.random.key_data(one), jax.random.key_data(other))
        return one.dtype == other.dtype and np.array_equal(np.asarray(one), np.asarray(other))
    return one == other and type(one) is type(other)


def test_the_package_reads_what_is_written_also_of_views_that_are_not_contiguous(
    checkpoint, tmp_path
):
    to_safetensors(checkpoint, tmp_path / "file.safetensors")
    with safetensors.safe_open(tmp_path / "file.safetensors", "np") as file:
        names = set(file.keys())
        assert names == {
            *("layers.0.w", "layers.0.part", "layers.0.none", "half", "eight", "pair", "key")
        }
        np.testing.assert_array_equal(file.get_tensor("layers.0.w"), GRID.T)
        np.testing.assert_array_equal(file.get_tensor("layers.0.part"), GRID[:, ::2])
        assert file.get_slice("layers.0.none").get_shape() == [0, 3]
        assert [file.get_slice(name).get_dtype() for name in ("half", "eight", "pair")] == [
            "BF16",
            "F8_E4M3",
            "C64",
        ]
        np.testing.assert_array_equal(file.get_tensor("pair"), np.array([1 + 2j], np.complex64))


def test_the_way_back_gives_every_leaf_and_the_step(checkpoint, state, tmp_path):
    to_safetensors(checkpoint, tmp_path / "file.safetensors")
    manifest = from_safetensors(
        tmp_path / "file.safetensors", tmp_path / "back", writers=2, chunk_bytes=20
    )
    assert manifest.step == 5
    assert len(manifest.files) == 2
    back = load(tmp_path / "back", state)
    leaves = jax.tree.leaves(state, is_leaf=lambda x: x is None)
    for one, other in zip(leaves, jax.tree.leaves(back, is_leaf=lambda x: x is None), strict=True):
        assert same(one, other)


def test_a_file_of_the_package_is_taken_under_its_dotted_names(tmp_path):
    from safetensors.numpy import save_file

    save_file({"layers.0.w": GRID, "bias": np.float64([1, 2])}, tmp_path / "theirs.safetensors")
    from_safetensors(tmp_path / "theirs.safetensors", tmp_path / "ours")
    target = {"layers": [{"w": np.zeros_like(GRID)}], "bias": np.zeros(2)}
    found = load(tmp_path / "ours", target, rename=lambda path: f"[{dotted_name(path)!r}]")
    np.testing.assert_array_equal(found["layers"][0]["w"], GRID)
    np.testing.assert_array_equal(found["bias"], [1, 2])


def test_types_that_it_lacks_are_refused_or_viewed(tmp_path):
    state = {"c": np.array([[1 + 2j, 3j]]), "i": jnp.array([1, -2], jnp.int4)}
    save(tmp_path / "ours", state, wait=True, fsync=False)
    with pytest.raises(ValueError, match=r"\['c'\] is complex128\. Set `view`"):
        to_safetensors(tmp_path / "ours", tmp_path / "file.safetensors")
    to_safetensors(tmp_path / "ours", tmp_path / "file.safetensors", view=True)
    with safetensors.safe_open(tmp_path / "file.safetensors", "np") as file:
        np.testing.assert_array_equal(file.get_tensor("c"), [[[1, 2], [0, 3]]])
        assert file.get_slice("i").get_dtype() == "U8"
    from_safetensors(tmp_path / "file.safetensors", tmp_path / "back")
    back = load(tmp_path / "back", state)
    assert all(same(state[name], back[name]) for name in state)


def test_two_tensors_of_one_dotted_name_are_refused(tmp_path):
    save(tmp_path / "ours", {"a.b": GRID, "a": {"b": GRID}}, wait=True, fsync=False)
    with pytest.raises(ValueError, match=r"are both a\.b\. Rename one"):
        to_safetensors(tmp_path / "ours", tmp_path / "file.safetensors")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda b: b[:-1], "has .* bytes instead of"),
        (lambda b: b + b"!", "has .* bytes instead of"),
        (lambda b: b[:5], "is none"),
        (lambda b: b"\xff" * 8 + b[8:], "is none"),
        (lambda b: b.replace(b'"shape":[3]', b'"shape":[2]'), "bias has 12 bytes instead of 8"),
        (lambda b: b.replace(b"[0,12]", b"[4,12]"), "begins at byte 4 of the data where 0 was due"),
        (lambda b: b.replace(b"{", b"[", 1), "header of .* is damaged"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, damage, told):
    header = {"bias": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}
    text = json.dumps(header, separators=(",", ":")).encode()
    whole = len(text).to_bytes(8, "little") + text + bytes(12)
    (tmp_path / "file.safetensors").write_bytes(damage(whole))
    with pytest.raises(CheckpointError, match=told):
        from_safetensors(tmp_path / "file.safetensors", tmp_path / "ours")
    assert not (tmp_path / "ours" / "manifest.json").exists()
