"""Puts named tensors into a model: a table says which tensor fills which array; all that does not fit is reported.

The model is built by shape (`eqx.filter_eval_shape(make_model, ...)`), so that nothing is drawn only to be replaced. A
table maps the path of each array, as `jax.tree_util.keystr` writes it without the leading dot, to a `TensorSource`.

Two conventions differ from those of files and are mended here alone: torch and GGUF store a linear map as (output,
input), `nn.layers.Dense` as (input, output); and GGUF files of Llama models keep the rows of query and key for the
rotary embedding of neighbours: row 2 i + j of a head is row i + j head_dim / 2 of ours (halves; J. Su et al., arXiv
2104.09864 (2021), pairs neighbours; which pairs turn together makes no difference if the rows move along).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

# A name, or a tuple of what is stacked, itself names or tuples.
Names = str | tuple


class TensorSource(NamedTuple):
    """Where an array of a model comes from.

    Attributes:
        names: Name of the tensor; a tuple stacks those of its names along a first axis (the layers of a scanned stack),
            and may hold tuples (the experts of each layer).
        transposed: Whether the last two axes are exchanged: the weight of a linear map.
        rotary_heads: Heads whose rows come in rotary pairs, as query and key of a Llama model in a GGUF file; 0 where
            rows come in halves.
    """

    names: Names
    transposed: bool = False
    rotary_heads: int = 0


@dataclass(frozen=True)
class AssignmentReport:
    """What did not fit, by name.

    Attributes:
        missing: Tensors that the table names and the file lacks.
        leftovers: Tensors of the file that no array takes and that were not named as such.
        wrong_shapes: Arrays whose tensor has another shape, with both shapes.
        unnamed: Arrays of the model that the table does not name.
        unknown_paths: Paths of the table that the model lacks.
    """

    missing: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    wrong_shapes: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    unknown_paths: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether there is nothing to report."""
        return not any(vars(self).values())

    def __str__(self) -> str:
        parts = (
            ("tensors that the file lacks", self.missing),
            ("tensors that no array takes", self.leftovers),
            ("other shapes", self.wrong_shapes),
            ("arrays without a tensor", self.unnamed),
            ("paths that the model lacks", self.unknown_paths),
        )
        return "; ".join(f"{title}: {', '.join(names)}" for title, names in parts if names)


class AssignmentError(ValueError):
    """Tensors that do not fit a model; `report` lists them."""

    def __init__(self, report: AssignmentReport):
        super().__init__(f"`tensors` must fill the model exactly, but do not: {report}.")
        self.report = report


def assign(
    model: Any,
    tensors: Mapping[str, np.ndarray],
    table: Mapping[str, TensorSource],
    *,
    leftovers: tuple[str, ...] = (),
) -> Any:
    """Gives a model its weights.

    Args:
        model: Pytree of modules whose arrays, or `jax.ShapeDtypeStruct` in their place, say shape and type of what is
            to be filled in; the numbers are cast to the type.
        tensors: Tensors by name: a `TensorFile`, or a dictionary.
        table: Source of each array of the model, by its path.
        leftovers: Names of tensors, or shell patterns, that may stay unused; `("*",)` allows all.

    Returns:
        The model with all arrays filled.

    Raises:
        AssignmentError: If a tensor is missing or left over, has another shape, or model and table differ: one error
            for all, a ValueError.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(model)
    paths = [jax.tree_util.keystr(path).lstrip(".") for path, _ in leaves]
    wanted = {path: leaf for path, (_, leaf) in zip(paths, leaves, strict=True) if _is_array(leaf)}
    report = _compare(wanted, _shapes(tensors), table, leftovers)
    if not report.fits:
        raise AssignmentError(report)
    filled = [
        _filled(tensors, table[path], leaf) if path in wanted else leaf
        for path, (_, leaf) in zip(paths, leaves, strict=True)
    ]
    return jax.tree_util.tree_unflatten(structure, filled)


def _is_array(leaf) -> bool:
    return eqx.is_array(leaf) or isinstance(leaf, np.ndarray | jax.ShapeDtypeStruct)


def _shapes(tensors: Mapping[str, np.ndarray]) -> Mapping[str, tuple[int, ...]]:
    # A file knows shapes without reading.
    known = getattr(tensors, "shapes", None)
    return {name: np.shape(array) for name, array in tensors.items()} if known is None else known


def _compare(wanted, shapes, table, leftovers) -> AssignmentReport:
    taken, missing, wrong = set(), [], []
    for path, source in table.items():
        names = _flat(source.names)
        taken.update(names)
        absent = [name for name in names if name not in shapes]
        missing += absent
        if path in wanted and not absent:
            wrong += _misfits(path, source, shapes, tuple(wanted[path].shape))
    unused = [name for name in shapes if name not in taken]
    return AssignmentReport(
        missing=tuple(dict.fromkeys(missing)),
        leftovers=tuple(
            name for name in unused if not any(fnmatchcase(name, word) for word in leftovers)
        ),
        wrong_shapes=tuple(wrong),
        unnamed=tuple(path for path in wanted if path not in table),
        unknown_paths=tuple(path for path in table if path not in wanted),
    )


def _misfits(path, source, shapes, shape) -> list[str]:
    """The tensors of one array whose shape, after stacking and transposing, is not that of the array."""
    stacked, names = [], source.names
    while not isinstance(names, str):
        stacked.append(len(names))
        names = names[0]
    rest = shape[len(stacked) :]
    if shape[: len(stacked)] != tuple(stacked):
        return [f"{path} {shape} is to be filled by {'x'.join(map(str, stacked))} tensors"]
    expected = (*rest[:-2], rest[-1], rest[-2]) if source.transposed and len(rest) > 1 else rest
    found = [
        f"{name} {tuple(shapes[name])} for {path}, which wants {expected}"
        for name in _flat(source.names)
        if tuple(shapes[name]) != expected
    ]
    if not found and source.rotary_heads and expected[0] % (2 * source.rotary_heads):
        found = [f"{path} {expected} has no even number of rows in {source.rotary_heads} heads"]
    return found


def _flat(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else [name for part in names for name in _flat(part)]


def _filled(tensors, source: TensorSource, leaf) -> jax.Array:
    def gather(names: Names) -> np.ndarray:
        if not isinstance(names, str):
            return np.stack([gather(part) for part in names])
        array = np.asarray(tensors[names])
        if source.rotary_heads:
            array = halves_from_pairs(array, source.rotary_heads)
        return np.swapaxes(array, -1, -2) if source.transposed else array

    # In order, so that products read it row by row.
    return jnp.asarray(np.ascontiguousarray(gather(source.names)), dtype=leaf.dtype)


def halves_from_pairs(rows: np.ndarray, n_heads: int) -> np.ndarray:
    """Reorders the rows of each head from rotary pairs (0, 1), (2, 3), ... into halves: all first, all second ones.

    Args:
        rows: Weight (heads x head_dim, inputs) or bias (heads x head_dim,).
        n_heads: Heads among the rows.
    """
    pairs = rows.reshape(n_heads, -1, 2, *rows.shape[1:])  # (heads, head_dim / 2, 2, ...)
    return np.swapaxes(pairs, 1, 2).reshape(rows.shape)
