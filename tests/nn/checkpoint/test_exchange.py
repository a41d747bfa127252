"""Shardings without copies, made from those with; `test_resharding.py` moves data through them on eight devices."""

import math

import pytest
from jax.sharding import AbstractMesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nn.checkpoint.exchange import copied_axes, reading_sharding

MESH = AbstractMesh((2, 4, 1), ("a", "b", "c"))


@pytest.mark.parametrize(
    ("spec", "shape", "copied", "read"),
    [
        (P(), (8, 3), ("a", "b"), P(("a", "b"), None)),
        (P(), (4, 2), ("a", "b"), None),
        (P(), (2, 4), ("a", "b"), P("a", "b")),
        (P("a"), (2, 8), ("b",), P("a", "b")),
        (P(None, "b"), (3, 8), ("a",), P(None, ("b", "a"))),
        (P(("a", "b")), (8, 3), (), P(("a", "b"), None)),
        (P(), (3, 5), ("a", "b"), None),
        (P(), (), ("a", "b"), None),
    ],
)
def test_copies_are_cut_further_where_an_axis_divides(spec, shape, copied, read):
    sharding = NamedSharding(MESH, spec)
    assert copied_axes(sharding) == copied
    found = reading_sharding(sharding, shape)
    assert (found is None) == (read is None)
    if found is not None:
        assert found.is_equivalent_to(NamedSharding(MESH, read), len(shape))
        part = found.shard_shape(shape)
        whole = sharding.shard_shape(shape)
        n_copies = math.prod(MESH.shape[name] for name in copied)
        assert math.prod(part) * n_copies == math.prod(whole)
