import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers import linear_maps
from nn.models import vit_pruning as pruning
from nn.models.vit import VitConfig, make_vit
from tests.exact import language_model_laws as laws

CONFIG = VitConfig(size=6, patch=3, channels=1, classes=3, width=8, n_layers=2, heads=2, hidden=5)
IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 6, 1)))
CLOSED = {
    "heads": np.array([[1.0, 0], [1, 1]]),
    "hidden": np.array([[1.0, 0, 1, 1, 0], [0, 0, 0, 1, 0]]),
    "width": np.array([1.0, 1, 0, 1, 0, 1, 1, 1]),
}


@pytest.fixture(scope="module")
def model():
    return laws.drawn(lambda: make_vit(CONFIG, key=jax.random.key(0)))


@pytest.fixture(scope="module")
def gated():
    return eqx.filter_jit(pruning.gated_logits)


@pytest.fixture(scope="module")
def small(model):
    return pruning.remove_units(model, CLOSED)


def test_open_gates_change_nothing(model, gated):
    found = gated(model, pruning.open_gates(model), IMAGES)
    np.testing.assert_allclose(found, model(IMAGES), rtol=1e-9, atol=1e-12)


def test_closed_gates_give_the_numbers_of_the_smaller_model(model, gated, small):
    found = gated(model, {k: jnp.asarray(v) for k, v in CLOSED.items()}, IMAGES)
    np.testing.assert_allclose(found, small(IMAGES), rtol=1e-9, atol=1e-12)
    assert np.abs(found - model(IMAGES)).max() > 1e-3


def test_products_are_those_of_the_maps_that_are_left(model, small):
    tokens = {"embedding": 4, "head": 1}
    counted = sum(tokens.get(name, 5) * m.n_in * m.n_out for name, m in linear_maps(small))
    head_dim = CONFIG.width // CONFIG.heads
    counted += sum(2 * 5 * 5 * block.mixer.heads * head_dim for block in small.body.blocks)
    left = {kind: int(gates.sum()) for kind, gates in CLOSED.items()}
    assert pruning.multiply_adds(model, left) == counted
    assert pruning.unit_sizes(model) == {"heads": 4, "hidden": 10, "width": 8}


def test_magnitudes_are_of_all_weights_of_a_unit(model):
    found = pruning.unit_magnitudes(model)
    assert {k: v.shape for k, v in found.items()} == {
        "heads": (2, 2),
        "hidden": (2, 5),
        "width": (8,),
    }
    block = jax.tree.map(lambda a: a[1], model.body.blocks)
    square = lambda m, rows, columns: float((np.asarray(m.weight)[rows, columns] ** 2).sum())  # noqa: E731
    everything, second = slice(None), slice(4, 8)
    head = sum(
        square(getattr(block.mixer, n), everything, second) for n in ("query", "key", "value")
    )
    head += square(block.mixer.output, second, everything)
    assert found["heads"][1, 1] == pytest.approx((head / (4 * 8 * 4)) ** 0.5)
    hidden = square(block.feed.expand, everything, 3) + square(block.feed.contract, 3, everything)
    assert found["hidden"][1, 3] == pytest.approx((hidden / 16) ** 0.5)
    # Component 2: columns of what writes into the stream, rows of what reads it.
    total, count = 0.0, 0
    for name, m in linear_maps(model):
        weight = np.asarray(m.weight)
        writes = name in ("embedding",) or name.endswith(("output", "contract"))
        part = weight[..., 2] if writes else weight[..., 2, :]
        total, count = total + float((part**2).sum()), count + part.size
    assert found["width"][2] == pytest.approx((total / count) ** 0.5)


def test_gates_that_fit_no_model_are_named(model):
    gates = pruning.open_gates(model)
    with pytest.raises(ValueError, match=r"`gates\['hidden'\]` must have size 5 along axis 1"):
        pruning.gated_logits(model, gates | {"hidden": jnp.ones((2, 4))}, IMAGES)
    for values in (np.array([[1.0, 1], [0, 0]]), np.array([[1.0, 0.5], [1, 1]])):
        with pytest.raises(
            ValueError, match=r"`gates\['heads'\]` must be 0 or 1 with at least one"
        ):
            pruning.remove_units(model, gates | {"heads": values})
