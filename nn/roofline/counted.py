"""What a program really holds and multiplies, to hold the formulas to: bytes of arrays, products in a trace.

Products are counted in the trace (jaxpr), before a compiler has changed anything: in a product of matrices the numbers
of the result times the length of the sums, within a scan as often as it runs, and in a triangular system of n unknowns
with a diagonal of ones n (n - 1) / 2 for each right-hand side. Elementwise work is not counted. What a model does for
one token alone differs where another order is faster: `StackedDense` multiplies number by number, `query_attention`
computes products that it throws away. Formulas are of the plain products.
"""

import math
from typing import Any

import equinox as eqx
import jax
from jax.extend import core


def count_bytes(tree: Any) -> int:
    """Bytes of all arrays in a tree, such as a model or the entries of its caches; shapes of arrays count as such."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if _has_shape(leaf)]
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)


def count_products(function: Any, *arguments: Any) -> int:
    """Multiplications with their addition in the products of matrices of a function.

    Nothing is computed.

    Args:
        function: Function of trees of arrays or of their shapes (`eqx.filter_eval_shape`), such as a method of a model,
            so that a model need not fit into memory to be counted.
        *arguments: Its arguments.

    Raises:
        ValueError: If it has a loop whose number of turns is not known before it runs, or branches that differ.
    """
    arrays, rest = eqx.partition((function, arguments), _has_shape)

    def of_arrays(arrays):
        function, arguments = eqx.combine(arrays, rest)
        return eqx.filter(function(*arguments), eqx.is_array)

    return _products(jax.make_jaxpr(of_arrays)(arrays).jaxpr)


def _has_shape(leaf: Any) -> bool:
    return eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)


def _products(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        inside = [
            _products(inner) for value in equation.params.values() for inner in _traces(value)
        ]
        match equation.primitive.name:
            case "dot_general":
                (contracted, _), _ = equation.params["dimension_numbers"]
                shape = equation.invars[0].aval.shape
                depth = math.prod(shape[axis] for axis in contracted)
                total += equation.outvars[0].aval.size * depth
            case "triangular_solve":
                total += _solved(equation)
            case "scan":
                total += equation.params["length"] * sum(inside)
            case "while" if any(inside):
                raise ValueError(
                    "`function` must have no products in a loop of unknown length, but has; trace a size without."
                )
            case "cond":
                if len(set(inside)) > 1:
                    raise ValueError(
                        f"`function` must have branches of equally many products, but has {inside}."
                    )
                total += inside[0]
            case _:
                total += sum(inside)
    return total


def _solved(equation: Any) -> int:
    """Products of a triangular system, without those by a diagonal of ones."""
    size = equation.invars[0].aval.shape[-1]
    sides = equation.outvars[0].aval.size // size
    unit = equation.params["unit_diagonal"]
    return sides * size * (size - 1 if unit else size + 1) // 2


def _traces(value: Any) -> list[Any]:
    """Traces among the parameters of an operation."""
    found = value if isinstance(value, tuple | list) else [value]
    traces = [item.jaxpr if isinstance(item, core.ClosedJaxpr) else item for item in found]
    return [item for item in traces if isinstance(item, core.Jaxpr)]
