import jax
import pytest

from nn.layers.feed_forward import make_swiglu
from nn.layers.mixture import MixtureConfig, make_mixture
from nn.roofline.conventions import Conventions
from nn.roofline.feeds import FeedCost

MIXTURE = MixtureConfig(
    8, 2, hidden=6, selection_bias=True, scores="sigmoid", shared_hidden=5, shared_gated=True
)


def weights(maps):
    return sum(one.n_in * one.n_out for one in maps)


def test_weights_are_those_that_the_layers_hold():
    key = jax.random.key(0)
    count = lambda layer: sum(array.size for array in jax.tree.leaves(layer))  # noqa: E731
    assert weights(FeedCost(4, 7).maps()) == count(make_swiglu(4, 7, key=key))
    cost = FeedCost(4, 0, MIXTURE)
    held = weights(cost.maps()) + 8 * weights(cost.expert()) + cost.other_weights()
    assert held == count(make_mixture(4, MIXTURE, key=key))


def test_a_step_reads_as_many_experts_as_the_convention_says():
    cost = FeedCost(4, 0, MIXTURE)
    read = lambda experts: cost.experts_read(3, Conventions(experts=experts))  # noqa: E731
    # 8 (1 - (3/4)^3); three tokens that agree on nothing; all; a number of one's own.
    assert read("expected") == pytest.approx(8 * (1 - 0.75**3))
    assert [read("apart"), read("all"), read(5)] == [6, 8, 5]
    assert FeedCost(4, 7).experts_read(3, Conventions()) == 0
    with pytest.raises(ValueError, match="`experts` must lie between 0 and 8, but is 9"):
        read(9)
