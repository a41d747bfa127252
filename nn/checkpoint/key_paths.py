"""Key paths of a tree, as JAX writes them, taken apart: for formats that name or nest their tensors otherwise."""

import ast
import re
from collections.abc import Mapping
from typing import Any

_KEYS = re.compile(
    r"""\[('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+)\]|\.(\w+)|\[<flat index (\d+)>\]"""
)


def keys_of(path: str) -> tuple[str | int, ...]:
    """The keys of a path: words for keys of dictionaries and for fields, numbers for places in a sequence.

    A path with keys of another kind is one key as a whole.
    """
    keys: list[str | int] = []
    at = 0
    for found in _KEYS.finditer(path):
        literal, field, flat = found.groups()
        if found.start() != at:
            return (path,)
        at = found.end()
        keys.append(ast.literal_eval(literal) if literal else field or int(flat))
    return tuple(keys) if at == len(path) else (path,)


def dotted_name(path: str) -> str:
    """A path as a dotted name, `layers.0.weight`; that of a tree which is a leaf is `value`."""
    return ".".join(map(str, keys_of(path))) or "value"


def nested(leaves: Mapping[str, Any]) -> Any:
    """Leaves by path as dictionaries and lists; what is no list from 0 on becomes a dictionary.

    Raises:
        ValueError: If two paths lead to the same place, as those of a key and of a field of one name do.
    """
    if list(leaves) == [""]:
        return leaves[""]
    tree: dict[str | int, Any] = {}
    for path, leaf in leaves.items():
        *keys, last = keys_of(path)
        node = tree
        for key in keys:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise ValueError(f"`path` must lead to one leaf, but {path} goes through another.")
        if last in node:
            raise ValueError(f"`path` must lead to one leaf, but {path} leads to another's place.")
        node[last] = _Leaf(leaf)
    return _with_lists(tree)


class _Leaf:
    def __init__(self, leaf: Any):
        self.leaf = leaf


def _with_lists(node: Any) -> Any:
    if isinstance(node, _Leaf):
        return node.leaf
    below = {key: _with_lists(child) for key, child in node.items()}
    if set(below) == set(range(len(below))):
        return [below[place] for place in range(len(below))]
    return {str(key): child for key, child in below.items()}
