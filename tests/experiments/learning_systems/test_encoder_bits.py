import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.learning_systems import encoder_bits
from nn.layers import Dense


@pytest.fixture(scope="module")
def found():
    """Two layers of two maps; the second layer of "a" does nearly all that the vectors show, "b" nearly nothing."""
    rng = np.random.default_rng(0)
    model = {
        name: jax.vmap(Dense)(jnp.asarray(rng.normal(size=(2, 8, 8)), jnp.float32))
        for name in ("a", "b")
    }
    strength = {"a": (0.1, 1.0), "b": (1e-4, 1e-4)}

    def vectors(model, x, _):
        y = sum(
            size * (x @ weight)
            for name, sizes in strength.items()
            for size, weight in zip(sizes, model[name].weight, strict=True)
        )
        return y / jnp.linalg.norm(y, axis=-1, keepdims=True)

    texts = [(jnp.asarray(rng.normal(size=(40, 8)), jnp.float32), None) for _ in range(2)]
    return encoder_bits.encoder_budgets(model, vectors, texts[0], texts[1], 4)


def test_bits_go_where_they_count_within_the_bytes(found):
    for bits in encoder_bits.BUDGETS:
        # In the order a 0, a 1, b 0, b 1.
        chosen = found[f"bits.{bits}"]
        assert chosen[1] == max(chosen) > bits > chosen[2] == chosen[3] == 2
        assert found[f"bytes_used.{bits}"] <= found[f"bytes.{bits}"]
        assert found[f"bytes.{bits}"] == 4 * (8 * 8 * bits // 8 + 2 * 2 * 2 * 8)
        assert found[f"loss.mixed.{bits}"].mean() < found[f"loss.uniform.{bits}"].mean() / 2


def test_more_bits_for_all_lose_less(found):
    losses = [found[f"loss.uniform.{bits}"].mean() for bits in encoder_bits.OPTIONS]
    assert all(2 * more < less for less, more in itertools.pairwise(losses))


def test_a_group_keeps_its_ends_and_zero():
    weight = jnp.asarray([[0.0, -1.0], [3.0, 0.5]], jnp.float32)
    np.testing.assert_allclose(encoder_bits.rounded_weight(weight, 2, 2), [[0, -1], [3, 0.5]])
