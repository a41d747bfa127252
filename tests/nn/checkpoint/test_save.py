"""Saving: every kind of leaf as it was, bytes as they were when it was called, errors that somebody hears of."""

import json
import subprocess
import sys
import threading
import time
import typing

import equinox as eqx
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest

from nn.checkpoint import manifest as manifests
from nn.checkpoint.files import LocalFiles
from nn.checkpoint.load import load
from nn.checkpoint.plan import PlanCache
from nn.checkpoint.save import save, settle
from nn.checkpoint.storage import Store

RANDOM = np.random.default_rng(1)


class Pair(typing.NamedTuple):
    left: typing.Any
    right: typing.Any


class Block(eqx.Module):
    weight: jax.Array
    bias: jax.Array | None
    activation: typing.Callable
    width: int = eqx.field(static=True)


def block(width=3):
    return Block(jnp.arange(6.0).reshape(2, 3), None, jax.nn.relu, width)


def numbers(dtype, shape=(3, 4)):
    return (RANDOM.standard_normal(shape) * 3).astype(dtype)


def every_kind():
    names = (
        "bool", "int8", "uint16", "int64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
        "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float8_e4m3b11fnuz", "float4_e2m1fn",
        "int4", "uint4", "int2",
    )  # fmt: skip
    return {
        "numpy": {name: numbers(np.dtype(getattr(ml_dtypes, name, name))) for name in names},
        "jax": {name: jnp.asarray(numbers(np.float32), jnp.dtype(name)) for name in names},
        "scalars": [np.float32(1.5), np.int8(-3), jnp.float32(2.5), np.array(7.0), np.zeros((), np.complex64)],
        "empty": (np.zeros((0, 3), np.int16), jnp.zeros((2, 0), jnp.bfloat16)),
        "keys": ({0: jax.random.key(3)}, {"0": jax.random.split(jax.random.key(4, impl="rbg"), 3)}),
        "python": Pair([1, 0.1, True, None], ("text", b"\x00", 2 - 1j, float("inf"))),
        "model": block(),
        "optimiser": optax.adam(1e-3).init({"w": jnp.ones(3)}),
    }  # fmt: skip


def bits(leaf):
    """What tells two leaves apart: type, dtype, shape and every bit."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return str(leaf.dtype), bits(jax.random.key_data(leaf))
    if isinstance(leaf, jax.Array | np.ndarray | np.generic):
        kind = jax.Array if isinstance(leaf, jax.Array) else type(leaf)
        return kind, leaf.dtype, leaf.shape, np.asarray(leaf).tobytes()
    return type(leaf), repr(leaf)


def assert_same(found, expected):
    ours, theirs = (jax.tree_util.tree_flatten_with_path(t) for t in (found, expected))
    assert ours[1] == theirs[1]
    for (path, leaf), (_, other) in zip(ours[0], theirs[0], strict=True):
        assert bits(leaf) == bits(other), path


def emptied(state):
    """A target of the same kinds and other numbers."""

    def zero(leaf):
        if isinstance(leaf, np.generic):
            return type(leaf)(0)
        return np.zeros_like(leaf) if isinstance(leaf, np.ndarray) else leaf

    arrays = jax.tree.map(zero, state)
    return arrays | {"python": Pair([9, 9.0, False, None], ("", b"", 0j, 0.0))}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("save") / "all"
    state = every_kind()
    handle = save(path, state, step=5)
    handle.wait()
    assert handle.done()
    return path, state, handle


def test_every_kind_of_leaf_returns_bit_by_bit(saved):
    path, state, _ = saved
    assert_same(load(path, emptied(state)), state)


def test_without_a_target_all_leaves_come_by_path(saved):
    path, state, _ = saved
    found = load(path)
    assert found["['numpy']['int4']"].dtype == ml_dtypes.int4
    assert found["['python'].right[0]"] == "text"
    assert found["['model'].weight"].tolist() == np.arange(6.0).reshape(2, 3).tolist()
    assert "['model'].activation" not in found
    assert bits(found["['keys'][0][0]"]) == bits(
        np.asarray(jax.random.key_data(state["keys"][0][0]))
    )


def test_each_distinct_byte_is_stored_once_in_data_that_is_told_apart(saved):
    path, _, handle = saved
    stored = manifests.from_json((path / "manifest.json").read_text())
    arrays = [x for x in load(path).values() if isinstance(x, np.ndarray)]
    n_bytes = sum(array.nbytes for array in arrays)
    assert stored.n_bytes == n_bytes == sum(f.size for f in stored.files) == sum(handle.plan.loads)
    assert (path / "data/00000.bin").stat().st_size == n_bytes
    assert stored.step == 5
    assert stored.static["['model'].width"] == "3"
    assert {"plan", "snapshot", "serialise", "checksum", "write", "commit"} == set(handle.clock.seconds())  # fmt: skip
    assert all(seconds >= 0 for seconds in handle.clock.seconds().values())


VIEWS = {
    "transposed": lambda a: a.T,
    "sliced": lambda a: a[::2, 1:],
    "reversed": lambda a: a[::-1],
    "fortran": np.asfortranarray,
    "big_endian": lambda a: a.astype(">f8"),
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
}


def test_views_of_numpy_are_stored_in_c_order(tmp_path):
    state = {name: view(np.arange(20.0).reshape(4, 5)) for name, view in VIEWS.items()}
    save(tmp_path / "a", state, chunk_bytes=64, wait=True)
    found = load(tmp_path / "a", state)
    for name, array in state.items():
        assert (found[name] == array).all(), name
        assert found[name].flags.c_contiguous


def test_many_small_files_and_writers_hold_the_same(tmp_path):
    state = {"a": np.arange(1000, dtype=np.int32).reshape(10, 100), "b": jnp.arange(77.0)}
    handle = save(tmp_path / "a", state, writers=3, chunk_bytes=64, file_bytes=500, wait=True)
    names = sorted(p.name for p in (tmp_path / "a/data").iterdir())
    assert {"00000.bin", "00000.bin.1", "00002.bin"} <= set(names)
    assert max(p.stat().st_size for p in (tmp_path / "a/data").iterdir()) <= 500
    assert max(handle.plan.loads) - min(handle.plan.loads) <= 64
    assert_same(load(tmp_path / "a", state), state)


@pytest.mark.parametrize("kind", ["views", "copies", "pinned"])
def test_a_step_that_is_given_the_buffers_does_not_change_what_is_saved(tmp_path, kind):
    gate = threading.Event()

    class Slow(LocalFiles):
        def put(self, name, pieces):
            gate.wait(30)
            return super().put(name, pieces)

    step = jax.jit(lambda x: x * 2 + 1, donate_argnums=0)
    state = {"w": step(jnp.arange(4096.0)), "n": np.arange(5)}
    expected = np.array(state["w"], copy=True)
    handle = save(Store(Slow(tmp_path / "a")), state, snapshot=kind)
    new = state["w"]
    for _ in range(3):
        new = step(new)
    state["n"][:] = -1
    assert not handle.done()
    gate.set()
    handle.wait()
    found = load(tmp_path / "a")
    assert (found["['w']"] == expected).all()
    assert found["['n']"].tolist() == [0, 1, 2, 3, 4]
    assert float(new[1]) == 8 * 3 + 7


def test_views_on_the_host_copy_nothing(tmp_path):
    from nn.checkpoint.boxes import whole
    from nn.checkpoint.plan import Part
    from nn.checkpoint.snapshot import part_bytes, take_snapshot

    array = jnp.arange(64.0)
    part = Part("a", whole((64,)), whole((64,)), 512, 0)
    taken = take_snapshot({"a": array}, [part], "auto")
    where = array.unsafe_buffer_pointer()
    assert part_bytes(taken, part).ctypes.data == where
    copied = take_snapshot({"a": array}, [part], "copies")
    assert part_bytes(copied, part).ctypes.data != where


def test_a_donated_array_is_named(tmp_path):
    gone = jnp.arange(4.0)
    gone.delete()
    with pytest.raises(RuntimeError, match=r"leaf \['w'\] must be alive"):
        save(tmp_path / "a", {"w": gone})


class Failing(LocalFiles):
    def put(self, name, pieces):
        raise PermissionError(13, "Permission denied", name)


def test_an_error_is_raised_by_wait_and_else_by_the_next_save(tmp_path):
    handle = save(Store(Failing(tmp_path / "a")), {"a": 1, "b": np.zeros(2)})
    with pytest.raises(OSError, match="Permission denied"):
        handle.wait()
    settle()  # it has been seen
    save(Store(Failing(tmp_path / "b")), {"b": np.zeros(2)})
    with pytest.raises(OSError, match="Permission denied"):
        save(tmp_path / "c", {"a": 1})
    save(tmp_path / "c", {"a": 1}, wait=True)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        load(tmp_path / "b")


def test_ctrl_c_ends_the_waiting_and_not_the_save(tmp_path, monkeypatch):
    handle = save(tmp_path / "a", {"a": np.arange(3)})

    def interrupted(self, timeout=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Event, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            handle.wait()
    handle.wait()
    assert load(tmp_path / "a")["['a']"].tolist() == [0, 1, 2]


def test_a_program_that_ends_waits_for_its_saves(tmp_path):
    """What it saves at the very end is saved too; and a fork of it has threads of its own."""
    code = f"""
import atexit, os, sys, time
import numpy as np
from nn.checkpoint.files import LocalFiles
from nn.checkpoint.save import save
from nn.checkpoint.storage import Store
class Slow(LocalFiles):
    def put(self, name, pieces):
        time.sleep(0.3)
        return super().put(name, pieces)
class Failing(LocalFiles):
    def put(self, name, pieces):
        raise PermissionError(13, "Permission denied", name)
if sys.argv[1] == "good":
    save({str(tmp_path / "first")!r}, {{"a": np.arange(2)}}, wait=True)
    forked = os.fork()
    if not forked:
        try:
            save({str(tmp_path / "forked")!r}, {{"a": np.arange(6)}}).wait(20)
        finally:
            os._exit(0)  # JAX does not end well in a fork
    atexit.register(save, {str(tmp_path / "last")!r}, {{"a": np.arange(5)}})
    save(Store(Slow({str(tmp_path / "a")!r})), {{"a": np.arange(3), "b": np.arange(4)}}, writers=2)
    os.waitpid(forked, 0)
else:
    save(Store(Failing({str(tmp_path / "b")!r})), {{"a": np.arange(3)}})
"""
    ends = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code, how], stderr=subprocess.PIPE, text=True
        )
        for how in ("good", "bad")
    ]
    told = [end.communicate(timeout=120)[1] for end in ends]
    assert [end.returncode for end in ends] == [0, 0]
    assert told[0] == ""
    assert "failed: " in told[1]
    assert "Permission denied" in told[1]
    assert load(tmp_path / "a")["['b']"].tolist() == [0, 1, 2, 3]
    assert load(tmp_path / "forked")["['a']"].tolist() == [0, 1, 2, 3, 4, 5]
    assert load(tmp_path / "last")["['a']"].tolist() == [0, 1, 2, 3, 4]


def test_a_second_state_of_the_same_structure_is_not_planned_again(tmp_path):
    plans = PlanCache(4)
    for number, (state, hits) in enumerate(
        [
            ({"m": block(), "b": np.zeros(3)}, 0),
            ({"m": block(), "b": np.ones(3)}, 1),
            ({"m": block(4), "b": np.ones(3)}, 1),
            ({"m": block(), "b": np.ones(4)}, 1),
            ({"m": block(), "b": np.ones(3)}, 2),
        ]
    ):
        save(tmp_path / str(number), state, plans=plans, wait=True)
        assert plans.hits == hits


def test_training_is_the_same_with_and_without_saving(tmp_path):
    step = jax.jit(lambda w, x: w - 0.1 * jnp.sin(w * x), donate_argnums=0)

    def train(saving):
        w = jnp.linspace(0, 1, 50)
        for number in range(6):
            if saving and number % 2:
                save(tmp_path / str(number), {"w": w}, step=number)
            w = step(w, number + 1.0)
        return np.asarray(w).tobytes()

    assert train(True) == train(False)
    settle()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"a": object()}, r"leaf \['a'\] must be an array"),
        ({"a": jax.ShapeDtypeStruct((2,), jnp.int8)}, r"leaf \['a'\] must be an array, but is a shape"),
    ],
)  # fmt: skip
def test_what_cannot_be_saved_is_named(tmp_path, state, said):
    with pytest.raises(TypeError, match=said):
        save(tmp_path / "a", state)
    assert not (tmp_path / "a").exists()


def test_a_state_inside_jit_is_refused(tmp_path):
    def inside(x):
        save(tmp_path / "a", {"x": x})
        return x

    with pytest.raises(TypeError, match=r"leaf \['x'\] must be an array, but is traced"):
        jax.jit(inside)(jnp.ones(2))


@pytest.mark.parametrize(
    "wrong", [{"snapshot": "photo"}, {"writers": 0}, {"chunk_bytes": 0}, {"file_bytes": 0}]
)
def test_bad_arguments_are_named(tmp_path, wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
        save(tmp_path / "a", {"a": 1}, **wrong)


def test_a_finished_checkpoint_is_not_written_over(tmp_path):
    save(tmp_path / "a", {"a": np.arange(3)}, wait=True)
    with pytest.raises(ValueError, match="holds a finished checkpoint"):
        save(tmp_path / "a", {"a": np.arange(4)}, wait=True)
    assert load(tmp_path / "a")["['a']"].tolist() == [0, 1, 2]


def test_waiting_has_an_end(tmp_path):
    gate = threading.Event()

    class Slow(LocalFiles):
        def put(self, name, pieces):
            gate.wait(30)
            return super().put(name, pieces)

    handle = save(Store(Slow(tmp_path / "a")), {"a": np.zeros(2)})
    start = time.perf_counter()
    with pytest.raises(TimeoutError, match=r"has not ended after 0\.01 s"):
        handle.wait(0.01)
    assert time.perf_counter() - start < 5
    gate.set()
    handle.wait()
    assert json.loads((tmp_path / "a/manifest.json").read_text())["manifest"]["format"] == 1
