"""Names of leaves: sub-trees and prefixes end where a name ends; `test_load.py` has the rest."""

import numpy as np
import pytest

from nn.checkpoint.manifest import Manifest, Tensor
from nn.checkpoint.matching import is_below, key_data_shape, match
from nn.checkpoint.tree import take_apart


@pytest.mark.parametrize(
    ("path", "at", "below"),
    [
        ("['a'].b", "", True),
        ("['a'].b", "['a']", True),
        ("['a']", "['a']", True),
        (".ab", ".a", False),
        (".a[0]", ".a", True),
        ("['b']", "['a']", False),
    ],
)
def test_a_path_is_below_whole_names_only(path, at, below):
    assert is_below(path, at) == below


def test_the_longest_prefix_counts():
    stored = {name: Tensor("float64", (), ()) for name in (".x.w", ".y", ".ab")}
    manifest = Manifest(1, stored, {}, {}, ())
    target = take_apart({"m": {"w": np.zeros(()), "b": np.zeros(())}, "ma": np.zeros(())})
    rules = {"['m']": ".x", "['m']['b']": ".y", "['m']['w']": ".x.w", "['ma']": ".ab"}
    found = match(manifest, target, rename=rules)
    assert found.tensors == {"['m']['b']": ".y", "['m']['w']": ".x.w", "['ma']": ".ab"}


def test_data_of_keys_have_the_shape_of_their_implementation():
    assert key_data_shape("threefry2x32") == (2,)
    assert key_data_shape("rbg") == (4,)
