"""Losses on labels and next tokens, and their measurement over a whole data set, sample by sample.

A measurement gives the loss of every sample, not a mean: whoever reports it forms mean and standard error from them.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from nn._checks import check_at_least


def cross_entropy(
    logits: Float[Array, "*batch classes"], labels: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """-log softmax(logits)[label], in nats; at least in single precision.

    Args:
        logits: Logits, unscaled.
        labels: Right classes; one outside [0, classes) gives NaN, so that it is not trained on unseen.
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    chosen = jnp.take_along_axis(logits, labels[..., None], axis=-1, mode="fill")[..., 0]
    inside = (labels >= 0) & (labels < logits.shape[-1])
    return jnp.where(inside, jax.nn.logsumexp(logits, axis=-1) - chosen, jnp.nan)


def next_token_loss(
    model: Callable[..., Any],
    tokens: Int[Array, "batch window"],
    _key: PRNGKeyArray | None = None,
    *,
    counts: Bool[Array, "batch targets"] | None = None,
) -> Float[Array, ""]:
    """Mean over tokens of -log p(next token), in nats.

    Args:
        model: tokens -> logits (batch, length, vocabulary).
        tokens: Windows; the last token of each is a target only.
        _key: Not used: the loss draws nothing. There so that `train` can call it.
        counts: Which targets count; None counts all. Where none does the loss is 0.
    """
    losses = cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])
    if counts is None:
        return losses.mean()
    return jnp.where(counts, losses, 0).sum() / jnp.maximum(counts.sum(), 1)


def evaluate(measure: Callable[[Any, Any], Any], model: Any, data: Any, *, batch_size: int) -> Any:
    """Measures every row of the data, a batch at a time.

    Args:
        measure: (model, batch) -> arrays with the rows of the batch as first axis.
        model: The model.
        data: Pytree of arrays with the rows as first axis.
        batch_size: Rows in a batch; the last one is filled up with the first rows, whose values are dropped.

    Returns:
        What `measure` gives for all rows, as NumPy arrays.

    Raises:
        ValueError: If the data have no rows, or arrays of different numbers of rows.
        FloatingPointError: If a value is not finite; names the row.
    """
    check_at_least(batch_size, 1, "batch_size")
    counts = {array.shape[0] for array in jax.tree.leaves(data)}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(
            f"`data` must hold arrays with the same number of rows, at least one, but has {sorted(counts)}."
        )
    n_rows = counts.pop()
    found = []
    for first in range(0, n_rows, batch_size):
        rows = np.arange(first, first + batch_size) % n_rows
        batch = _rows(data, rows)
        values = _measured(measure, model, batch)
        found.append(_rows(jax.tree.map(np.asarray, values), slice(n_rows - first)))
    whole = jax.tree.map(lambda *parts: np.concatenate(parts), *found)
    for values in jax.tree.leaves(whole):
        good = np.isfinite(values).reshape(n_rows, -1).all(axis=1)
        if not good.all():
            raise FloatingPointError(
                f"`measure` must give finite values, but does not for row {int(np.argmin(good))}."
            )
    return whole


def _rows(data, rows):
    return jax.tree.map(lambda array: array[rows], data)


@eqx.filter_jit
def _measured(measure, model, batch):
    return measure(model, batch)
