import jax.numpy as jnp
import numpy as np
import pytest

from nn.training.self_supervised import vicreg_loss

RNG = np.random.default_rng(0)
A = RNG.normal(size=(6, 3))
B = A + 0.1 * RNG.normal(size=(6, 3))


def by_hand(a, b, alike=25, varied=25, unlike=1):
    loss = alike * ((a - b) ** 2).sum(axis=1).mean() / 3
    for z in (a, b):
        spread = [max(0, 1 - np.sqrt(z[:, j].var(ddof=1) + 1e-4)) for j in range(3)]
        loss += varied * np.mean(spread)
        cov = np.cov(z.T)
        loss += unlike * sum(cov[i, j] ** 2 for i in range(3) for j in range(3) if i != j) / 3
    return loss


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_the_loss_is_that_of_the_paper(scale):
    found = vicreg_loss(jnp.asarray(scale * A), jnp.asarray(scale * B))
    assert float(found) == pytest.approx(by_hand(scale * A, scale * B), rel=1e-12)
    weights = {"alike": 10, "varied": 3, "unlike": 0.5}
    found = vicreg_loss(jnp.asarray(scale * A), jnp.asarray(scale * B), **weights)
    assert float(found) == pytest.approx(by_hand(scale * A, scale * B, **weights), rel=1e-12)


def test_views_that_agree_vary_and_do_not_repeat_cost_nothing_and_a_collapse_costs_most():
    # Three columns of Walsh's functions, orthogonal and of variance 8/7.
    signs = jnp.asarray([[1.0, 1, 1], [1, -1, 1], [1, 1, -1], [1, -1, -1]])
    varied = jnp.concatenate([signs, -signs])
    assert float(vicreg_loss(varied, varied)) == pytest.approx(0, abs=1e-12)
    constant = jnp.ones((8, 3))
    assert float(vicreg_loss(constant, constant)) == pytest.approx(2 * 25 * 0.99, rel=1e-12)
    with pytest.raises(ValueError, match="`first` must be at least 2"):
        vicreg_loss(constant[:1], constant[:1])
