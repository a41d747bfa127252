"""A PyTree as named leaves, and back.

Each leaf has a key path, written as JAX writes it: `.layers[0].weight`, `['step']`. So the string key '0' and the
number 0 are two. A leaf is one of

    array    array of JAX or NumPy, scalar of NumPy, or a shape and dtype that stand for one
    key      typed random keys, kept as their data and the name of their implementation
    value    int, float, complex, bool, str, bytes of Python, or None
    static   a function, class, dtype or member of an enumeration, and whatever a dataclass such as `equinox.Module`
             declares static: not data but part of the program, so it is described in words and compared, not stored

Nothing is pickled: what is none of these is refused when it is saved.
"""

import dataclasses
import enum
import functools
import hashlib
import re
import types
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from nn.checkpoint.buckets import Bucket, BucketTensor

_VALUES = {kind.__name__: kind for kind in (bool, int, float, complex, str, bytes, type(None))}
_ARRAYS = (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct, BucketTensor)
_CODE = (type, types.ModuleType, np.dtype, enum.Enum, functools.partial)


@dataclasses.dataclass(frozen=True)
class Leaves:
    """A PyTree taken apart.

    Attributes:
        leaves: Leaves by key path, in the order of the tree.
        static: Descriptions of static fields by key path; those of static leaves are not among them.
        treedef: Structure that puts the leaves together again.
        paths: Key paths of the leaves of the tree itself, in their order.
        buckets: Buckets by key path; in `leaves` are their tensors.
    """

    leaves: dict[str, Any]
    static: dict[str, str]
    treedef: Any
    paths: tuple[str, ...]
    buckets: dict[str, Bucket]

    def rebuild(self, leaves: Mapping[str, Any]) -> Any:
        """The tree with other leaves in place of its own; a bucket is one of them."""
        return jax.tree_util.tree_unflatten(self.treedef, [leaves[path] for path in self.paths])


def take_apart(tree: Any) -> Leaves:
    """Names the leaves of a PyTree.

    Raises:
        ValueError: If two leaves have the same path, as keys of an own class with equal texts would.
    """
    found, treedef = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_leaf)
    named = [(jax.tree_util.keystr(path), leaf) for path, leaf in found]
    paths = tuple(path for path, _ in named)
    buckets = {path: leaf for path, leaf in named if isinstance(leaf, Bucket)}
    named = [pair for path, leaf in named for pair in _unpacked(path, leaf)]
    leaves = dict(named)
    if len(leaves) < len(named):
        names = [path for path, _ in named]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"`state` must name each leaf once, but two are at {twice}.")
    return Leaves(leaves, _static_fields(tree), treedef, paths, buckets)


def _is_leaf(node: Any) -> bool:
    return node is None or isinstance(node, Bucket)


def _unpacked(path: str, leaf: Any) -> list[tuple[str, Any]]:
    """A bucket as its tensors, named as those of a dictionary."""
    if not isinstance(leaf, Bucket):
        return [(path, leaf)]
    if isinstance(leaf.flat, np.ndarray):
        return [(f"{path}[{name!r}]", array) for name, array in leaf.split().items()]
    starts = leaf.starts()
    return [
        (f"{path}[{name!r}]", BucketTensor(leaf.flat, shape, starts[name]))
        for name, shape in leaf.tensors
    ]


def kind_of(leaf: Any, path: str = "") -> str:
    """The kind of a leaf: `array`, `key`, `value` or `static`.

    Raises:
        TypeError: If it is none of them, naming its path.
    """
    if isinstance(leaf, _ARRAYS):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return "key"
        if _is_stored(leaf.dtype):
            return "array"
        raise TypeError(
            f"leaf {path} must be an array of numbers, but its dtype is {leaf.dtype}. "
            "Keep text as strings of Python, and objects out of the state."
        )
    if type(leaf).__name__ in _VALUES and type(leaf) is _VALUES[type(leaf).__name__]:
        return "value"
    if callable(leaf) or isinstance(leaf, _CODE):
        return "static"
    raise TypeError(
        f"leaf {path} must be an array, a number, a string, None or a function, but is a {type(leaf).__name__}. "
        "Register its class as a PyTree, or leave it out of the state."
    )


def dtype_name(dtype: Any) -> str:
    """Name of a dtype of NumPy or ml_dtypes, without its order of bytes: what is stored is little-endian."""
    return np.dtype(dtype).name


def dtype_of(name: str) -> np.dtype:
    """The dtype of a name.

    Raises:
        ValueError: If neither NumPy nor ml_dtypes has it.
    """
    try:
        return np.dtype(name)
    except TypeError:
        scalar = getattr(ml_dtypes, name, None)
    if scalar is None:
        raise ValueError(
            f"dtype {name!r} is known to neither NumPy nor ml_dtypes. Install newer ones."
        )
    return np.dtype(scalar)


def _is_stored(dtype: np.dtype) -> bool:
    known = dtype.kind in "biufc" or getattr(ml_dtypes, dtype.name, None) is dtype.type
    return known and dtype.fields is None and dtype.subdtype is None


def encode_value(value: Any) -> dict[str, Any]:
    """A number, string, bytes or None of Python as JSON holds it, with the name of its type; exact."""
    name = type(value).__name__
    if isinstance(value, float):
        value = value if np.isfinite(value) else str(value)
    elif isinstance(value, complex):
        value = [encode_value(value.real)["value"], encode_value(value.imag)["value"]]
    elif isinstance(value, bytes):
        value = value.hex()
    return {"type": name, "value": value}


def decode_value(entry: Mapping[str, Any]) -> Any:
    """The value of an entry of `encode_value`.

    Raises:
        ValueError: If its type is none that is stored.
    """
    kind, value = entry["type"], entry["value"]
    if kind not in _VALUES:
        raise ValueError(f"values are of the types {', '.join(_VALUES)}, but one is a {kind}.")
    if kind == "complex":
        return complex(float(value[0]), float(value[1]))
    if kind == "bytes":
        return bytes.fromhex(value)
    return None if kind == "NoneType" else _VALUES[kind](value)  # pyright: ignore[reportCallIssue]


@functools.lru_cache(maxsize=32)
def key_dtype(implementation: str) -> Any:
    """The dtype of typed random keys of an implementation, found without making a key."""
    return jax.eval_shape(lambda: jax.random.key(0, impl=implementation)).dtype


def key_implementation(keys: Any) -> str:
    """The name of the implementation of typed random keys, as `jax.random.key` takes it."""
    return str(jax.random.key_impl(keys))


def sharding_text(leaf: Any) -> str | None:
    """What a manifest says of a sharding, for readers: axes of the mesh and which of them cut which axis."""
    if isinstance(leaf, BucketTensor):
        return f"elements {leaf.start} on of a flat bucket of {leaf.flat.shape[0]}, {sharding_text(leaf.flat)}"
    sharding = leaf.sharding if isinstance(leaf, jax.Array) else None
    if not isinstance(sharding, jax.sharding.NamedSharding):
        return None
    mesh = ", ".join(f"{name}: {size}" for name, size in sharding.mesh.shape.items())
    return f"mesh ({mesh}), {sharding.spec}"


def _static_fields(tree: Any) -> dict[str, str]:
    """Static fields of all dataclasses in a tree, described."""
    found: dict[str, str] = {}

    def visit(node: Any, path: tuple) -> None:
        children = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda x: x is not node)[0]
        if len(children) == 1 and not children[0][0]:
            return  # a leaf
        if isinstance(node, Bucket):
            return
        if dataclasses.is_dataclass(node) and not isinstance(node, type):
            for field in dataclasses.fields(node):
                if field.metadata.get("static"):
                    place = (*path, jax.tree_util.GetAttrKey(field.name))
                    # A field may be declared and not yet set.
                    value = getattr(node, field.name, None)
                    found[jax.tree_util.keystr(place)] = describe(value)
        for key, child in children:
            visit(child, path + key)

    visit(tree, ())
    return found


def describe(value: Any) -> str:
    """A part of the program in words that are the same in every process: no address, no order of a set.

    Functions and classes by module and name (all lambdas of a module are alike), containers by what they hold, arrays
    by dtype, shape and a digest of their bytes.
    """
    if type(value).__name__ in _VALUES:
        return repr(value)
    if isinstance(value, functools.partial):
        named = {"": value.args, **value.keywords}
        return f"partial({describe(value.func)}, {describe(named)})"
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.ascontiguousarray(value)
        digest = hashlib.sha256(array.tobytes()).hexdigest()[:16]
        return f"array({array.dtype.name}, {np.shape(value)}, sha256 {digest})"
    if isinstance(value, enum.Enum):
        return f"{_name(type(value))}.{value.name}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {describe(item)}" for key, item in value.items()) + "}"
    if isinstance(value, set | frozenset):
        return "{" + ", ".join(sorted(map(describe, value))) + "}"
    if isinstance(value, Sequence):
        return f"{type(value).__name__}({', '.join(map(describe, value))})"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
        return f"{_name(type(value))}({', '.join(f'{k}={describe(v)}' for k, v in parts.items())})"
    name = _name(value)
    if name:
        return name
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
    return text if _name(type(value)) in text else f"{_name(type(value))} {text}"


def _name(value: Any) -> str:
    """Module and name of a class, function or wrapped function; nothing where it has none."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    module = getattr(value, "__module__", None)
    return f"{module}.{name}" if isinstance(name, str) and isinstance(module, str) else name or ""
