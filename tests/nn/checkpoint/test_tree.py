"""PyTrees taken apart: a name for each leaf, its kind, what is described and what refused."""

import enum
import functools
import typing

import equinox as eqx
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest

from nn.checkpoint import tree


class Pair(typing.NamedTuple):
    left: typing.Any
    right: typing.Any


class Order(enum.Enum):
    FIRST = 1


class Block(eqx.Module):
    weight: jax.Array | jax.ShapeDtypeStruct
    activation: typing.Callable
    size: int = eqx.field(static=True)
    norm: typing.Callable = eqx.field(static=True)


def block(size=3, norm=jnp.tanh):
    return Block(np.zeros(2), jax.nn.relu, size, norm)


def test_paths_tell_keys_indices_and_fields_apart():
    state = {"a": {0: 1, 1: 2}, "0": [(3, None)], "p": Pair(4.0, "five")}
    taken = tree.take_apart(state)
    assert taken.leaves == {
        "['0'][0][0]": 3,
        "['0'][0][1]": None,
        "['a'][0]": 1,
        "['a'][1]": 2,
        "['p'].left": 4.0,
        "['p'].right": "five",
    }
    assert taken.rebuild(taken.leaves) == state
    doubled = taken.rebuild({path: [leaf] for path, leaf in taken.leaves.items()})
    assert doubled["p"] == Pair([4.0], ["five"])
    assert tree.take_apart({0: 1}).leaves != tree.take_apart({"0": 1}).leaves


def test_two_leaves_of_one_name_are_refused():
    class Key(str):
        def __repr__(self):
            return "same"

    with pytest.raises(ValueError, match=r"two are at \[same\]"):
        tree.take_apart({Key("a"): 1, Key("b"): 2})


def test_an_optimiser_has_named_leaves():
    state = optax.adam(1e-3).init({"w": jnp.zeros(2)})
    assert list(tree.take_apart(state).leaves) == ["[0].count", "[0].mu['w']", "[0].nu['w']"]


def test_static_fields_are_described_wherever_they_are():
    taken = tree.take_apart({"net": [block(), block(4)]})
    assert taken.static["['net'][0].size"] == "3"
    assert taken.static["['net'][1].size"] == "4"
    assert "tanh" in taken.static["['net'][0].norm"]
    names = ("weight", "activation")
    assert set(taken.leaves) == {f"['net'][{i}].{name}" for i in (0, 1) for name in names}
    assert tree.take_apart(block(norm=jnp.sin)).static != tree.take_apart(block()).static


@pytest.mark.parametrize(
    ("leaf", "kind"),
    [
        (np.zeros(2), "array"),
        (np.float32(1), "array"),
        (np.zeros(2, ml_dtypes.float4_e2m1fn), "array"),
        (jax.ShapeDtypeStruct((2,), jnp.bfloat16), "array"),
        (jax.random.key(0), "key"),
        (jax.ShapeDtypeStruct((), jax.random.key(0).dtype), "key"),
        (jax.random.PRNGKey(0), "array"),
        (True, "value"),
        (b"x", "value"),
        (None, "value"),
        (jax.nn.relu, "static"),
        (Order.FIRST, "static"),
        (np.dtype("int8"), "static"),
    ],
)
def test_kinds_of_leaves(leaf, kind):
    assert tree.kind_of(leaf) == kind


@pytest.mark.parametrize(
    "leaf",
    [np.array([{}]), np.array(["text"]), np.zeros(2, [("a", int)]), {1, 2}, object()],
    ids=["objects", "text", "records", "set", "object"],
)
def test_what_cannot_be_stored_is_refused_by_path(leaf):
    with pytest.raises(TypeError, match=r"leaf \['x'\] must be an array"):
        tree.kind_of(leaf, "['x']")


@pytest.mark.parametrize(
    "value",
    [True, 3, -(10**30), 0.1, -0.0, float("inf"), 1e-320, 2 - 3j, "δ'\n", b"\x00\xff", None],
)
def test_values_of_python_return_exactly(value):
    found = tree.decode_value(tree.encode_value(value))
    assert type(found) is type(value)
    assert repr(found) == repr(value)


def test_not_a_number_returns_and_unknown_types_do_not():
    assert np.isnan(tree.decode_value(tree.encode_value(complex("nan"))).real)
    with pytest.raises(ValueError, match="one is a set"):
        tree.decode_value({"type": "set", "value": []})


@pytest.mark.parametrize(
    "name", ["bool", "int4", "uint2", "bfloat16", "float8_e4m3fn", "float8_e8m0fnu", "complex128"]
)
def test_dtypes_by_name(name):
    dtype = tree.dtype_of(name)
    assert tree.dtype_name(dtype) == name
    assert np.zeros(3, dtype).dtype == jnp.dtype(name)


def test_an_unknown_dtype_is_refused():
    with pytest.raises(ValueError, match="'float3' is known to neither"):
        tree.dtype_of("float3")


def test_random_keys_keep_their_implementation():
    for name in ("threefry2x32", "rbg", "unsafe_rbg"):
        keys = jax.random.key(0, impl=name)
        assert tree.key_implementation(keys) == name
        assert tree.key_dtype(name) == keys.dtype


def test_descriptions_are_the_same_in_every_process():
    ours, theirs = (functools.partial(np.sum, axis=0) for _ in range(2))
    other = functools.partial(np.sum, axis=1)
    assert tree.describe(ours) == tree.describe(theirs) != tree.describe(other)
    assert tree.describe(object()) == tree.describe(object())
    assert tree.describe({"b", "a"}) == "{'a', 'b'}"
    assert tree.describe((1, [jax.nn.relu])) == "tuple(1, list(jax._src.nn.functions.relu))"
    assert tree.describe(Order.FIRST).endswith("Order.FIRST")
    assert tree.describe(np.arange(3)) != tree.describe(np.arange(1, 4))
    assert tree.describe({"a": np.dtype("int8")}) == "{'a': int8}"
