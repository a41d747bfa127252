"""Numbers as users have them, and the one rule by which the package takes them.

Annotations say what a function computes with, `Float[Array, "y x"]`. What may be given is more: camera frames of
unsigned integers, lists, whole numbers, booleans, NumPy's defaults. `takes_numbers` reads the annotation of each
argument and brings what was given into that kind before the function sees it:

- a floating or complex array keeps its precision; half precision becomes single, which can hold the sum of an image;
- what declares no precision (integers, booleans, lists, Python numbers) takes JAX's default one;
- in JAX's 32-bit mode NumPy's double precision becomes single, as everywhere in JAX;
- a real number becomes complex where the annotation is complex, never the other way round;
- text, objects, or complex values where real ones are meant raise a TypeError that names the argument.

So a parameter that a function casts to the type of its data never loses its fraction to data of whole numbers.
Fields of a module take the same converters: `eqx.field(converter=into(as_real, "theta"))`.
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Bool, Complex, Float, Inexact, Int

P = ParamSpec("P")
R = TypeVar("R")


def as_real(value: Any, name: str = "value") -> Any:
    """Real array of single or double precision.

    Raises:
        TypeError: If the value is complex, or not made of numbers.
    """
    array = _as_numbers(value, name)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise TypeError(
            f"`{name}` must be real, but is {array.dtype}; take its real part, modulus or phase."
        )
    return _on_device(array)


def as_complex(value: Any, name: str = "value", *, default: Any = None) -> Any:
    """Complex array of single or double precision.

    Args:
        value: Numbers, real or complex.
        name: What they are called.
        default: Complex type of what declares no precision of its own; if None, complex64 for whole numbers, which it
            holds, and JAX's default otherwise.

    Raises:
        TypeError: If the value is not made of numbers.
    """
    array = _on_device(_as_numbers(value, name))
    if default is not None and not _declares_precision(value):
        return array.astype(default)
    if _is_whole(value):
        return array.astype(jnp.complex64)
    return array if jnp.iscomplexobj(array) else array.astype(jnp.result_type(array, jnp.complex64))


def as_inexact(value: Any, name: str = "value") -> Any:
    """Real or complex array of single or double precision.

    Raises:
        TypeError: If the value is not made of numbers.
    """
    return _on_device(_as_numbers(value, name))


def on_host(value: Any, name: str = "value") -> Any:
    """Array of a floating or complex type that stays in NumPy, in double precision unless it declares another.

    Arrays of JAX stay what they are. For what is computed on the host, in 32-bit mode too.

    Raises:
        TypeError: If the value is not made of numbers.
    """
    return _as_numbers(value, name, host=True)


def as_integers(value: Any, name: str = "value") -> Any:
    """Array of whole numbers, with a sign.

    Raises:
        TypeError: If the value is of another kind.
    """
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    if not array.size:
        return jnp.asarray(array, int)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"`{name}` must be whole numbers, but is {array.dtype}.")
    if jnp.issubdtype(array.dtype, jnp.unsignedinteger):
        array = array.astype(int)
    return _on_device(array)


def as_mask(value: Any, name: str = "value") -> Any:
    """Array of true and false; zeros and ones stand for them.

    Raises:
        ValueError: If another number is in it.
    """
    if isinstance(value, Tracer):
        return value.astype(bool)
    array = np.asarray(value)
    if array.dtype != bool and not np.isin(array, (0, 1)).all():
        raise ValueError(
            f"`{name}` must hold true and false (or 1 and 0), but holds other values of {array.dtype}."
        )
    return jnp.asarray(array, bool)


def refuse_traced_key(given) -> None:
    """Raises TypeError if a key is traced: what is drawn by NumPy has no place inside `jit` or `vmap`."""
    if isinstance(given, Tracer):
        raise TypeError(
            "`key` must be known now, for the draw is made on the host, but is traced by jit or vmap. Draw outside, "
            "for each key by itself, and stack."
        )


def into(convert: Callable[[Any, str], Any], name: str) -> Callable[[Any], Any]:
    """Converter of a module's field of that name; None, and what only stands for an array, goes through."""

    def converter(value: Any) -> Any:
        return value if value is None or isinstance(value, _STANDS_IN) else convert(value, name)

    return converter


def takes_numbers(function: Callable[P, R]) -> Callable[P, R]:
    """Brings the arguments of a function into the kinds that its annotations name; see the module."""
    signature = inspect.signature(function)
    converters = {
        name: converter
        for name, parameter in signature.parameters.items()
        if (converter := _converter(parameter.annotation)) is not None
    }
    places = {name: place for place, name in enumerate(signature.parameters)}
    positional = [(places[name], name, convert) for name, convert in converters.items()]

    @functools.wraps(function)
    def taking(*args: P.args, **kwargs: P.kwargs) -> R:
        given: list[Any] = list(args)
        named: dict[str, Any] = dict(kwargs)
        for place, name, convert in positional:
            if place < len(given):
                given[place] = convert(given[place], name)
            elif name in named:
                named[name] = convert(named[name], name)
        return function(*given, **named)  # pyright: ignore[reportCallIssue]

    # The function itself, not what checks its arguments at run time, as every other function has it.
    taking.__dict__.update(takes_numbers=True, __wrapped__=inspect.unwrap(function))
    return taking


def _as_numbers(value: Any, name: str, *, host: bool = False) -> Any:
    """NumPy or JAX array of a floating or complex type; on the host double precision where it declares none."""
    if isinstance(value, jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.extended):
            raise TypeError(f"`{name}` must be made of numbers, but is of type {value.dtype}.")
        if not jnp.issubdtype(value.dtype, jnp.inexact):
            return value.astype(float)
        return value.astype(jnp.float32) if jnp.finfo(value.dtype).bits < 32 else value
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value)):
        return _as_numbers(jnp.asarray(value), name)  # a list of traced numbers
    try:
        array = np.asarray(value)
        if array.dtype == object:  # whole numbers beyond 64 bits
            array = np.reshape([float(v) for v in array.flat], array.shape)
    except (TypeError, ValueError):
        raise TypeError(
            f"`{name}` must be made of numbers, an array or nested lists of equal lengths, but is of type "
            f"{type(value).__name__}."
        ) from None
    if array.dtype.kind not in "biufc" and not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"`{name}` must be made of numbers, but is of type {array.dtype}.")
    if not _declares_precision(value):
        kind = complex if array.dtype.kind == "c" else float
        return array.astype(kind if host else jnp.result_type(kind))
    if array.dtype.itemsize < 4:  # half precision, of any layout
        return array.astype(np.float32)
    if array.dtype.char in "gG":  # NumPy's extended precision
        return array.astype(np.complex128 if array.dtype.char == "G" else np.float64)
    return array


def _on_device(array: Any) -> Any:
    """As an array of JAX, of a known value even inside `jit`."""
    if isinstance(array, jax.Array):
        return array
    with jax.ensure_compile_time_eval():
        return jnp.asarray(array)


def _is_whole(value: Any) -> bool:
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value)):
        return jnp.issubdtype(jnp.asarray(value).dtype, jnp.integer)
    return np.asarray(value).dtype.kind in "biu"


def _declares_precision(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.inexact)


def _complex_on_host(value: Any, name: str) -> Any:
    array = on_host(value, name)
    return (
        array if np.iscomplexobj(array) else array.astype(np.result_type(array.dtype, np.complex64))
    )


def _integers_on_host(value: Any, name: str) -> Any:
    return (
        as_integers(value, name)
        if isinstance(value, jax.Array)
        else np.asarray(as_integers(value, name))
    )


_STANDS_IN = (jax.ShapeDtypeStruct,)
_KINDS = {
    "Float": as_real,
    "Complex": as_complex,
    "Inexact": as_inexact,
    "Int": as_integers,
    "Bool": as_mask,
}
# Where an annotation wants NumPy's array, it stays one.
_HOST_KINDS: dict[str, Any] = {
    "Float": on_host,
    "Inexact": on_host,
    "Complex": _complex_on_host,
    "Int": _integers_on_host,
}
_KINDS_OF_TYPES: dict[str, Any] = {
    "Float": Float,
    "Complex": Complex,
    "Inexact": Inexact,
    "Int": Int,
    "Bool": Bool,
}
_NAMES = {frozenset(kind[np.ndarray, "..."].dtypes): n for n, kind in _KINDS_OF_TYPES.items()}


def _converter(annotation: Any) -> Callable[[Any, str], Any] | None:
    """What brings a value into the kind that an annotation names, None where it names no array of numbers."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    parts = typing.get_args(annotation) if union else (annotation,)
    arrays = [part for part in parts if hasattr(part, "dtypes") and hasattr(part, "array_type")]
    if not arrays or not all(isinstance(part.dtypes, tuple | list) for part in arrays):
        return None  # no array, or one of any type
    kinds = {_NAMES.get(frozenset(part.dtypes)) for part in arrays}
    if None in kinds:
        return None
    kind = str(kinds.pop()) if len(kinds) == 1 else "Inexact"
    convert = _KINDS[kind]
    if any(part.array_type is np.ndarray for part in arrays):
        convert = _HOST_KINDS.get(kind, convert)
    # None, a number, or an object such as a `Field` goes through as it is; so does what stands for an array's shape.
    others = [part for part in parts if part not in arrays and isinstance(part, type)]
    kept = (*others, *_STANDS_IN)
    return lambda value, name: value if isinstance(value, kept) else convert(value, name)
