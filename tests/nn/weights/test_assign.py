import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers import make_dense
from nn.weights import AssignmentError, TensorSource, assign
from nn.weights.assign import AssignmentReport, halves_from_pairs

RNG = np.random.default_rng(0)
TABLE = {
    "['layers'].weight": TensorSource(("layer.0.weight", "layer.1.weight"), transposed=True),
    "['layers'].bias": TensorSource(("layer.0.bias", "layer.1.bias")),
    "['scale']": TensorSource("norm.weight"),
}


def _model():
    keys = jax.random.split(jax.random.key(0), 2)
    layers = eqx.filter_vmap(lambda key: make_dense(3, 2, key=key, bias=True))(keys)
    return {"layers": layers, "scale": jnp.ones(3, jnp.float16), "name": "a model"}


def _tensors():
    found = {"norm.weight": np.float32([1, 2, 0.1])}
    for i in range(2):
        found[f"layer.{i}.weight"] = np.float32(RNG.normal(size=(2, 3)))
        found[f"layer.{i}.bias"] = np.float32(RNG.normal(size=2))
    return found


def test_every_array_is_filled_stacked_transposed_and_cast():
    tensors = _tensors()
    model = assign(eqx.filter_eval_shape(_model), tensors, TABLE)
    assert model["name"] == "a model"
    np.testing.assert_array_equal(model["scale"], np.float16([1, 2, 0.1]))
    assert model["scale"].dtype == jnp.float16
    second = jax.tree.map(lambda array: array[1], model["layers"])
    x = np.float32([1, -2, 5])
    expected = tensors["layer.1.weight"] @ x + tensors["layer.1.bias"]
    np.testing.assert_allclose(second(jnp.asarray(x)), expected, rtol=1e-6)


def test_stacks_of_stacks_are_filled_in_order():
    names = (("0.0", "0.1", "0.2"), ("1.0", "1.1", "1.2"))
    tensors = {name: np.full((4, 5), float(name)) for row in names for name in row}
    model = assign(
        {"experts": jnp.zeros((2, 3, 5, 4))}, tensors, {"['experts']": TensorSource(names, True)}
    )
    np.testing.assert_array_equal(model["experts"][:, :, 0, 0], np.array(names).astype(float))


def test_all_that_does_not_fit_is_reported_at_once():
    tensors = _tensors()
    tensors["layer.0.weight"] = tensors["layer.0.weight"].T
    del tensors["layer.1.bias"]
    tensors |= {"head.weight": np.zeros(1), "pooler.bias": np.zeros(1)}
    table = {name: source for name, source in TABLE.items() if name != "['scale']"}
    table["['head']"] = TensorSource("pooler.bias")
    with pytest.raises(AssignmentError, match="must fill the model exactly, but do not") as caught:
        assign(_model(), tensors, table)
    assert caught.value.report == AssignmentReport(
        missing=("layer.1.bias",),
        leftovers=("norm.weight", "head.weight"),
        wrong_shapes=("layer.0.weight (3, 2) for ['layers'].weight, which wants (2, 3)",),
        unnamed=("['scale']",),
        unknown_paths=("['head']",),
    )
    for word in ("layer.1.bias", "head.weight", "(3, 2)", "['scale']", "['head']"):
        assert word in str(caught.value)


def test_leftovers_pass_only_where_they_are_named():
    tensors = _tensors() | {"head.weight": np.zeros(1), "ids": np.arange(3)}
    with pytest.raises(AssignmentError) as caught:
        assign(_model(), tensors, TABLE, leftovers=("head.*",))
    assert caught.value.report == AssignmentReport(leftovers=("ids",))
    assign(_model(), tensors, TABLE, leftovers=("head.*", "ids"))
    assign(_model(), tensors, TABLE, leftovers=("*",))


def test_a_stack_of_another_depth_is_refused():
    table = TABLE | {"['layers'].bias": TensorSource(("layer.0.bias",))}
    with pytest.raises(AssignmentError) as caught:
        assign(_model(), _tensors(), table, leftovers=("*",))
    assert caught.value.report.wrong_shapes == (
        "['layers'].bias (2, 2) is to be filled by 1 tensors",
    )


def test_rotary_pairs_become_halves():
    # Two heads of six rows: (a0, b0), (a1, b1), (a2, b2) -> a0 a1 a2 b0 b1 b2.
    rows = np.arange(12)
    expected = [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]
    assert halves_from_pairs(rows, 2).tolist() == expected
    matrix = RNG.normal(size=(12, 5))
    source = {"": TensorSource("query", transposed=True, rotary_heads=2)}
    found = assign(jnp.zeros((5, 12)), {"query": matrix}, source)
    np.testing.assert_array_equal(found, matrix[expected].T)
    with pytest.raises(AssignmentError, match="no even number of rows in 4 heads"):
        assign(jnp.zeros((5, 12)), {"query": matrix}, {"": TensorSource("query", True, 4)})
