import jax
import pytest

from nn.checkpoint.key_paths import dotted_name, keys_of, nested


def paths(tree):
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]


def test_paths_of_jax_are_taken_apart():
    tree = {"a": [1, {"it's": 2, 'say "no"': 3}], "b.c": (4,), 5: 6}
    found = [keys_of(path) for path in paths({"tree": tree["a"]}) + paths(tree["b.c"])]
    assert found == [("tree", 0), ("tree", 1, "it's"), ("tree", 1, 'say "no"'), (0,)]
    assert keys_of(".layers[0].weight") == ("layers", 0, "weight")
    assert keys_of("[<flat index 3>]") == (3,)
    assert keys_of("") == ()
    assert keys_of("[Key(1)]") == ("[Key(1)]",)


def test_dotted_names():
    assert dotted_name("['layers'][0].weight") == "layers.0.weight"
    assert dotted_name("") == "value"


def test_leaves_are_nested_as_their_paths_say():
    tree = {"a": [1, {"x": 2}], "b": {"1": 3, "2": 4}}
    leaves = dict(zip(paths(tree), jax.tree.leaves(tree), strict=True))
    assert nested(leaves) == tree
    assert nested({"": 7}) == 7
    assert nested({"[1]": 8}) == {"1": 8}


def test_two_leaves_at_one_place_are_refused():
    with pytest.raises(ValueError, match=r"\.a leads to another's place"):
        nested({"['a']": 1, ".a": 2})
    with pytest.raises(ValueError, match=r"\['a'\]\['b'\] goes through another"):
        nested({"['a']": 1, "['a']['b']": 2})
