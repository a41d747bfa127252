"""Loading: strict unless told otherwise, parts and renamed leaves, and no damaged byte that goes unseen."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.checkpoint import reading
from nn.checkpoint.files import LocalFiles
from nn.checkpoint.load import load
from nn.checkpoint.manifest import CheckpointError, from_json
from nn.checkpoint.plan import PlanCache
from nn.checkpoint.save import save
from nn.checkpoint.storage import Store


class Layer(eqx.Module):
    weight: jax.Array
    activation: object
    width: int = eqx.field(static=True)


def state():
    return {
        "model": {
            "first": np.arange(12, dtype=np.float32).reshape(3, 4),
            "second": np.arange(5, dtype=np.int32),
        },
        "layer": Layer(jnp.ones((2, 2)), jax.nn.relu, 2),
        "key": jax.random.key(5),
        "step": 3,
        "name": "run",
    }


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("load") / "a"
    save(path, state(), chunk_bytes=16, fsync=False, wait=True)
    return path


def test_all_that_does_not_fit_is_in_one_message(path):
    wrong = {
        "model": {"first": np.zeros((4, 3), np.float32), "third": np.zeros(2)},
        "layer": Layer(jnp.ones((2, 2), jnp.float16), jax.nn.gelu, 3),
        "key": jax.random.key(5, impl="rbg"),
        "step": 3.0,
        "name": np.zeros(2),
    }
    with pytest.raises(ValueError, match="`target` does not fit the checkpoint") as told:
        load(path, wrong)
    for line in (
        "['model']['first'] has shape (4, 3), but (3, 4) in the checkpoint",
        "['model']['third'] is missing in the checkpoint",
        "['model']['second'] is missing in the target",
        "['layer'].weight has dtype float16, but float64 in the checkpoint",
        "['layer'].activation is jax._src.nn.functions.gelu, but jax._src.nn.functions.relu in the checkpoint",
        "['layer'].width is 3, but 2 in the checkpoint",
        "['key'] is of key<rbg>, but of threefry2x32 in the checkpoint",
        "['step'] is of type float, but int in the checkpoint",
        "['name'] is an array, but a number, string or None in the checkpoint",
    ):
        assert line in str(told.value)


def test_kinds_are_not_confused(path):
    tree = state()
    for name, leaf, said in [
        ("key", np.zeros(2, np.uint32), "is an array, but random keys"),
        ("step", None, "is of type NoneType, but int"),
        ("name", 3, "is of type int, but str"),
    ]:
        with pytest.raises(ValueError, match=rf"\['{name}'\] {said} in the checkpoint"):
            load(path, tree | {name: leaf})


def test_a_target_of_numpy_of_another_shape_is_refused(path):
    for leaf in (np.zeros(6, np.int32), np.zeros((5, 1), np.int32), np.int32(0)):
        with pytest.raises(ValueError, match=r"\['second'\] .*has shape .*, but \(5,\)"):
            load(path, {"second": leaf}, at="['model']", partial="extra")


def test_a_cast_is_made_where_it_is_asked_for(path):
    tree = state()
    tree["model"]["second"] = jax.ShapeDtypeStruct((5,), jnp.bfloat16)
    tree["step"] = 0.5
    found = load(path, tree, cast=True)
    assert found["model"]["second"].dtype == jnp.bfloat16
    assert found["model"]["second"].tolist() == [0, 1, 2, 3, 4]
    assert type(found["step"]) is float
    assert found["step"] == 3
    with pytest.raises(ValueError, match="'name'"):
        load(path, tree | {"name": 2}, cast=True)


def test_a_sub_tree_is_a_checkpoint_of_its_own(path):
    target = {"first": np.zeros((3, 4), np.float32), "second": np.zeros(5, np.int32)}
    found = load(path, target, at="['model']")
    assert found["first"].tolist() == state()["model"]["first"].tolist()
    assert load(path, np.zeros(5, np.int32), at="['model']['second']").tolist() == [0, 1, 2, 3, 4]
    assert set(load(path, at="['model']")) == {"['first']", "['second']"}
    with pytest.raises(ValueError, match=r"there is nothing at \['mod"):
        load(path, at="['mod")


def test_what_is_left_out_is_said(path):
    kept = np.full(2, 7.0)
    tree = {"model": {"first": np.zeros((3, 4), np.float32), "new": kept}}
    for partial, said in [
        ("extra", r"new'. is missing in the checkpoint"),
        ("missing", r"step'. is missing in the target"),
        ("none", r"new'. is missing in the checkpoint; .*step'. is missing in the target"),
    ]:
        with pytest.raises(ValueError, match=said):
            load(path, tree, partial=partial)
    found = load(path, tree, partial="both")
    assert found["model"]["new"] is kept
    assert found["model"]["first"][2, 3] == 11
    hollow = {"model": {"new": jax.ShapeDtypeStruct((2,), jnp.float32)}}
    with pytest.raises(ValueError, match=r"new'. is missing in the checkpoint"):
        load(path, hollow, partial="both")  # there is nothing that could stay


def test_leaves_that_are_called_otherwise(path):
    target = {"net": {"first": np.zeros((3, 4), np.float32), "bias": np.zeros(5, np.int32)}}
    rules = {"['net']": "['model']", "['net']['bias']": "['model']['second']"}
    found = load(path, target, rename=rules, partial="extra")
    assert found["net"]["bias"].tolist() == [0, 1, 2, 3, 4]
    by_function = load(
        path, target, partial="extra",
        rename=lambda p: p.replace("net", "model").replace("bias", "second"),
    )  # fmt: skip
    assert by_function["net"]["first"].tolist() == found["net"]["first"].tolist()
    with pytest.raises(
        ValueError, match=r"\['net'\]\['bias'\] \(here \['model'\]\['bias'\]\) is missing"
    ):
        load(path, target, rename={"['net']": "['model']"}, partial="extra")


def test_static_parts_are_compared_unless_told_otherwise(path):
    other = state() | {"layer": Layer(jnp.zeros((2, 2)), jax.nn.gelu, 7)}
    found = load(path, other, check_static=False)["layer"]
    assert found.weight.tolist() == [[1, 1], [1, 1]]
    assert found.activation is jax.nn.gelu
    assert found.width == 7


def test_values_and_keys_replace_those_of_the_target(path):
    found = load(path, state() | {"step": 0, "name": "", "key": jax.random.key(9)})
    assert (found["step"], found["name"]) == (3, "run")
    assert jax.random.bits(found["key"]) == jax.random.bits(jax.random.key(5))


def test_arrays_of_jax_stay_free_to_move(path):
    found = load(path, state())
    assert not found["layer"].weight.committed
    bound = jax.device_put(jnp.ones((2, 2)), jax.devices()[0])
    tree = state()
    tree["layer"] = Layer(bound, jax.nn.relu, 2)
    assert load(path, tree)["layer"].weight.committed


def damaged(path, tmp_path, change):
    """A copy of a checkpoint with one data file changed."""
    copy = tmp_path / "copy"
    (copy / "data").mkdir(parents=True)
    for name in ("manifest.json", "data/00000.bin"):
        (copy / name).write_bytes((path / name).read_bytes())
    data = bytearray((path / "data/00000.bin").read_bytes())
    change(copy / "data/00000.bin", data)
    return copy


def test_every_flipped_byte_names_tensor_file_and_place(path, tmp_path):
    manifest = from_json((path / "manifest.json").read_text())
    data = bytearray((path / "data/00000.bin").read_bytes())
    copy = damaged(path, tmp_path, lambda file, data: None)
    chunks = [(p, c) for p, tensor in manifest.tensors.items() for c in tensor.chunks]
    for place in range(len(data)):
        data[place] ^= 0x10
        (copy / "data/00000.bin").write_bytes(data)
        data[place] ^= 0x10
        tensor, chunk = next(pc for pc in chunks if pc[1].offset <= place < pc[1].offset + pc[1].length)  # fmt: skip
        with pytest.raises(CheckpointError) as told:
            load(copy, state())
        said = str(told.value)
        assert f"tensor {tensor}: " in said
        assert f"bytes {chunk.offset} and {chunk.offset + chunk.length}" in said
        assert "data/00000.bin" in said
    (copy / "data/00000.bin").write_bytes(data)
    load(copy, state())


def test_a_file_cut_short_or_missing_is_named(path, tmp_path):
    copy = damaged(path, tmp_path, lambda file, data: file.write_bytes(data[:-3]))
    size = (path / "data/00000.bin").stat().st_size
    with pytest.raises(CheckpointError, match=rf"tensor .*00000\.bin ends at byte {size - 3}, but"):
        load(copy)
    (copy / "data/00000.bin").unlink()
    with pytest.raises(CheckpointError, match=r"tensor \['.*00000\.bin is missing"):
        load(copy)


def test_without_checks_only_the_wanted_bytes_are_read(path):
    class Counting(LocalFiles):
        n_bytes = 0

        def get_into(self, name, start, *targets):
            Counting.n_bytes += sum(map(len, targets))
            return super().get_into(name, start, *targets)

    target = {"second": np.zeros(5, np.int32)}
    load(Store(Counting(path)), target, at="['model']", partial="extra", verify=False)
    assert Counting.n_bytes == 20


def test_memory_holds_a_few_reads_and_not_the_checkpoint(tmp_path):
    """Leaves are made while others are still to be read."""
    state = {f"{i:02d}": np.full(1000, i, np.float64) for i in range(40)}
    save(tmp_path / "a", state, chunk_bytes=8000, fsync=False, wait=True)
    n_made, n_read = [], 0

    class Noting(LocalFiles):
        def get_into(self, name, start, *targets):
            nonlocal n_read
            n_read += 1
            return super().get_into(name, start, *targets)

    from nn.checkpoint.boxes import whole
    from nn.checkpoint.reading import Source

    store = Store(Noting(tmp_path / "a"))
    source = Source(store, from_json(store.read("manifest.json")), True, 2, 8000)

    def make(read):
        n_made.append(n_read)
        return next(iter(read.values()))

    wishes = {name: (f"['{name}']", ([whole((1000,))], make)) for name in state}
    found = source.bring(wishes)
    assert all((found[name] == state[name]).all() for name in state)
    assert n_made[0] <= 5  # twice the readers, and the one that was waited for
    assert n_made[20] <= 25


@pytest.mark.parametrize(
    "wrong", [{"partial": "some"}, {"exchange": "mail"}, {"readers": 0}, {"read_bytes": 0}]
)
def test_bad_arguments_are_named(path, wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
        load(path, state(), **wrong)


def test_a_checkpoint_that_is_not_finished_is_none(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/00000.bin").write_bytes(b"abc")
    with pytest.raises(CheckpointError, match="not finished"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        load(tmp_path / "nowhere")


def test_a_second_load_is_not_planned_again_and_still_compares_its_own_checksums(
    tmp_path, monkeypatch
):
    plans = PlanCache(8)
    monkeypatch.setattr(reading, "PLANS", plans)
    for step in (1, 2):
        state = {"w": np.arange(24.0).reshape(4, 6) * step, "n": np.arange(3) + step}
        save(tmp_path / str(step), state, wait=True, fsync=False)
    target = {"w": np.zeros((4, 6)), "n": np.zeros(3, int)}
    for step in (1, 2, 1):
        assert load(tmp_path / str(step), target)["w"][0, 1] == step
    assert (plans.hits, plans.misses) == (2, 1)
    load(tmp_path / "1", target, verify=False)
    load(tmp_path / "1", {"w": target["w"]}, partial="extra")
    assert (plans.hits, plans.misses) == (2, 3)
    (file,) = (tmp_path / "2" / "data").iterdir()
    data = bytearray(file.read_bytes())
    data[3] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="is damaged between bytes"):
        load(tmp_path / "2", target)
    assert plans.misses == 3
