"""Which leaf of a checkpoint goes into which leaf of a target: by name, and strictly unless told otherwise.

A leaf that is missing, one too many, or of another kind, shape or dtype is refused, all of them in one message.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from nn._checks import check_choice
from nn.checkpoint.buckets import BucketTensor
from nn.checkpoint.manifest import Manifest, Tensor
from nn.checkpoint.tree import Leaves, describe, dtype_name, key_dtype, kind_of

PARTIAL = ("none", "extra", "missing", "both")

# Leaves that cannot stay as they are: without data, or a part of another leaf.
_HOLLOW = (jax.ShapeDtypeStruct, BucketTensor)
_NAMES = {
    "array": "an array",
    "key": "random keys",
    "tensor": "an array",
    "value": "a number, string or None",
    "static": "a static part",
}

# Prefixes of paths of the target and what they are in the checkpoint, or a function of a path.
Rename = Mapping[str, str] | Callable[[str], str]


@dataclass
class Match:
    """Where the leaves of a target come from.

    Attributes:
        tensors: Path in the checkpoint of each array and key, by path in the target.
        values: The same of numbers, strings and None.
        kept: Paths of the target whose leaves stay as they are.
    """

    tensors: dict[str, str]
    values: dict[str, str]
    kept: list[str]


def match(
    manifest: Manifest,
    target: Leaves,
    *,
    at: str = "",
    rename: Rename | None = None,
    partial: str = "none",
    cast: bool = False,
    check_static: bool = True,
) -> Match:
    """Finds the leaf of a checkpoint for every leaf of a target.

    Args:
        manifest: What the checkpoint holds.
        target: Leaves to be filled.
        at: Path of the sub-tree of the checkpoint that the target stands for.
        rename: How the checkpoint calls what the target calls otherwise, before `at`; of prefixes the longest counts.
        partial: What may be left out: `extra` leaves of the checkpoint, leaves that are `missing` there and so stay as
            they are in the target, `both`, or `none`.
        cast: Whether another dtype, or another type of number, is converted.
        check_static: Whether functions, sizes and other static parts must be described alike.

    Raises:
        ValueError: If anything does not fit, naming all of it.
    """
    check_choice(partial, "partial", PARTIAL)
    rules = rename or {}
    found, wrong, used = Match({}, {}, []), [], set()

    def source(path: str) -> str:
        return at + _renamed(path, rules)

    stored = {
        **dict.fromkeys(manifest.tensors, "tensor"),
        **dict.fromkeys(manifest.values, "value"),
        **dict.fromkeys(manifest.static, "static"),
    }
    for path, leaf in target.leaves.items():
        place, kind = source(path), kind_of(leaf, path)
        where = path if place == path else f"{path} (here {place})"
        there = stored.get(place)
        if there is None:
            if partial in ("missing", "both") and not isinstance(leaf, _HOLLOW):
                found.kept.append(path)
            elif kind != "static" or check_static:
                wrong.append(f"{where} is missing in the checkpoint")
            else:
                found.kept.append(path)
            continue
        used.add(place)
        if kind == "static":
            found.kept.append(path)
            wrong += _static(where, describe(leaf), manifest.static.get(place), check_static)
        elif kind == "value":
            found.values[path] = place
            wrong += _value(where, leaf, there, manifest.values.get(place), cast)
        else:
            found.tensors[path] = place
            wrong += _tensor(where, leaf, kind, there, manifest.tensors.get(place), cast)
    for path, text in target.static.items():
        place = source(path)
        used.add(place)
        wrong += _static(path, text, manifest.static.get(place), check_static)
    if partial not in ("extra", "both"):
        left = [p for p, what in stored.items() if what != "static" or check_static]
        wrong += [
            f"{p} is missing in the target" for p in left if is_below(p, at) and p not in used
        ]
    if wrong:
        raise ValueError(
            "`target` does not fit the checkpoint: "
            + "; ".join(wrong)
            + ". Explicit words for it: `cast`, `partial`, `rename`, `at`, `check_static`."
        )
    return found


def is_below(path: str, at: str) -> bool:
    """Whether a path is `at` or a leaf of the sub-tree there; all are below the empty path."""
    return path.startswith(at) and path[len(at) : len(at) + 1] in ("", ".", "[")


def _renamed(path: str, rules: Rename) -> str:
    if not isinstance(rules, Mapping):
        return rules(path)
    for old in sorted(rules, key=len, reverse=True):
        if is_below(path, old):
            return rules[old] + path[len(old) :]
    return path


def _static(where: str, ours: str, theirs: str | None, check: bool) -> list[str]:
    if not check or ours == theirs:
        return []
    if theirs is None:
        return [f"{where} is {ours}, but no static part of the checkpoint"]
    return [f"{where} is {ours}, but {theirs} in the checkpoint"]


def _value(where: str, leaf: Any, there: str, entry: Any, cast: bool) -> list[str]:
    ours = type(leaf).__name__
    if there != "value":
        return [f"{where} is of type {ours}, but {_NAMES[there]} in the checkpoint"]
    theirs = entry["type"]
    numbers = {ours, theirs} <= {"bool", "int", "float", "complex"}
    return [] if ours == theirs or (cast and numbers) else [
        f"{where} is of type {ours}, but {theirs} in the checkpoint"
    ]  # fmt: skip


def _tensor(
    where: str, leaf: Any, kind: str, there: str, tensor: Tensor | None, cast: bool
) -> list[str]:
    if tensor is None:
        return [f"{where} is {_NAMES[kind]}, but {_NAMES[there]} in the checkpoint"]
    if kind != tensor.kind:
        return [f"{where} is {_NAMES[kind]}, but {_NAMES[tensor.kind]} in the checkpoint"]
    shape, wrong = tensor.shape, []
    if kind == "key":
        name = tensor.details["implementation"]
        shape = shape[: len(shape) - len(key_data_shape(name))]
        if key_dtype(name) != leaf.dtype:
            wrong.append(f"{where} is of {leaf.dtype}, but of {name} in the checkpoint")
    elif dtype_name(leaf.dtype) != tensor.dtype and not cast:
        wrong.append(
            f"{where} has dtype {dtype_name(leaf.dtype)}, but {tensor.dtype} in the checkpoint"
        )
    if tuple(leaf.shape) != shape:
        wrong.append(f"{where} has shape {tuple(leaf.shape)}, but {shape} in the checkpoint")
    elif isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) and leaf.sharding is not None:
        try:
            leaf.sharding.shard_shape(shape)
        except ValueError as error:
            wrong.append(f"{where} has shape {shape}, which its sharding does not cut: {error}")
    if kind == "array" and not isinstance(leaf, np.ndarray | np.generic):
        held = jax.dtypes.canonicalize_dtype(leaf.dtype)
        if held != leaf.dtype:
            wrong.append(
                f"{where} has dtype {dtype_name(leaf.dtype)}, which JAX holds with `jax_enable_x64` only"
            )
    return wrong


def key_data_shape(implementation: str) -> tuple[int, ...]:
    """Shape of the data of one typed random key."""
    key = jax.ShapeDtypeStruct((), key_dtype(implementation))
    return jax.eval_shape(jax.random.key_data, key).shape
