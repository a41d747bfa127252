import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.generation import make_sampling, restrict, sample

LOGITS = np.log(np.float32([0.05, 0.4, 0.1, 0.25, 0.2]))
N = 20_000


def _frequencies(sampling):
    tokens = sample(jnp.tile(LOGITS[None], (N, 1)), sampling, key=jax.random.key(1))
    return np.bincount(np.asarray(tokens), minlength=5) / N


@pytest.mark.parametrize(
    ("rule", "law"),
    [
        ({}, [0.05, 0.4, 0.1, 0.25, 0.2]),
        # Probabilities squared.
        ({"temperature": 0.5}, np.square([0.05, 0.4, 0.1, 0.25, 0.2])),
        ({"top_k": 2}, [0, 0.4, 0, 0.25, 0]),
        # 0.4 + 0.25 is below 0.7, the third goes beyond it.
        ({"top_p": 0.7}, [0, 0.4, 0, 0.25, 0.2]),
        # Of the three left the first two have 0.65 / 0.85 = 0.76 of the probability.
        ({"top_k": 3, "top_p": 0.75}, [0, 0.4, 0, 0.25, 0]),
        # Hot: 1/2 of the logits, then more tokens are needed to reach p.
        ({"temperature": 2, "top_p": 0.8}, [0, 0.4**0.5, 0.1**0.5, 0.25**0.5, 0.2**0.5]),
    ],
)
def test_tokens_are_drawn_by_the_law(rule, law):
    law = np.array(law) / np.sum(law)
    found = _frequencies(make_sampling(**rule))
    # Four standard errors of each share; what is not left is never drawn.
    bound = 4 * np.sqrt(law * (1 - law) / N)
    assert (np.abs(found - law) <= bound).all(), (found, law)


def test_cold_is_the_most_probable_token_and_the_first_of_equals():
    logits = jnp.array([[0.0, 3.0, 3.0], [5.0, -1.0, 4.0]])
    for rule in (make_sampling(0), make_sampling(top_k=1), make_sampling(top_p=1e-6)):
        found = [sample(logits, rule, key=jax.random.key(i)).tolist() for i in range(3)]
        assert found == [[1, 0]] * 3


def test_of_equals_the_earlier_are_left():
    logits = jnp.zeros((1, 5))
    assert np.isfinite(restrict(logits, make_sampling(top_k=2))).tolist() == [[1, 1, 0, 0, 0]]
    # Three of five equal ones have 0.6.
    assert np.isfinite(restrict(logits, make_sampling(top_p=0.5))).tolist() == [[1, 1, 1, 0, 0]]


def test_what_is_left_keeps_its_logits():
    logits = jnp.asarray(LOGITS)
    kept = np.asarray(restrict(logits, make_sampling(2.0, top_k=3)))
    np.testing.assert_array_equal(kept[[1, 3, 4]], LOGITS[[1, 3, 4]] / 2)
    assert np.isneginf(kept[[0, 2]]).all()
    np.testing.assert_array_equal(restrict(logits, make_sampling(top_k=99, top_p=1)), LOGITS)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"temperature": -1}, "`temperature` must lie between 0 and inf, but is -1"),
        ({"top_k": 0}, "`top_k` must be at least 1, but is 0"),
        ({"top_p": 0}, "`top_p` must lie above 0 and at most at 1, but is 0"),
        ({"top_p": 1.5}, "`top_p` must lie above 0 and at most at 1, but is 1.5"),
    ],
)
def test_numbers_out_of_range_are_named(rule, message):
    with pytest.raises(ValueError, match=message):
        make_sampling(**rule)
