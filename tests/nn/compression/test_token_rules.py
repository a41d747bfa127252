import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.compression import token_rules as rules
from nn.compression.pruned_prefill import Seen

rng = np.random.default_rng(4)


def seen(attention, hidden=None, asking=None, places=None):
    m = len(attention)
    hidden = rng.normal(size=(m, 3)) if hidden is None else hidden
    return Seen(
        jnp.asarray(attention, jnp.float64),
        jnp.asarray(hidden, jnp.float64),
        jnp.asarray(rng.normal(size=3) if asking is None else asking),
        jnp.arange(m) if places is None else jnp.asarray(places),
    )


def test_fastv_keeps_the_largest_and_of_equals_the_earlier():
    chosen, vectors = rules.fastv(seen([0.1, 0.3, 0.2, 0.3, 0.2, 0.0]), 3)
    assert chosen.tolist() == [1, 3, 2]
    assert vectors is None


def test_similar_is_by_angle_and_not_by_length():
    hidden = [[9.0, 9, 0], [0.1, 0, 0], [0, 5, 0], [-1, 0, 0]]
    chosen, _ = rules.similar(seen([0.9, 0, 0, 0], hidden, [2.0, 0.1, 0]), 2)
    assert chosen.tolist() == [1, 0]


def test_crops_share_the_budget_by_attention():
    # 4 x 4 patches, crops of 2 x 2; the first gets 6 parts, the last 2, the others 1 and 0.
    weights = np.zeros((4, 4))
    weights[:2, :2], weights[:2, 2:], weights[2:, 2:] = 1.5, 0.25, 0.5
    rule = rules.crops(4, 2, diversity=0)

    def crop(chosen):
        places = np.asarray(chosen[0])
        return np.bincount(places // 8 * 2 + places % 4 // 2, minlength=4).tolist()

    # Largest of share / (taken + 1) in turn: 6, 3, 2, 2 (the last crop), 1.5.
    assert crop(rule(seen(weights.ravel()), 5)) == [4, 0, 0, 1]
    equal = rules.crops(4, 2, sharpness=0, diversity=0)
    assert crop(equal(seen(weights.ravel()), 8)) == [2, 2, 2, 2]


def test_crops_see_only_what_is_left_and_take_nothing_twice():
    places = [0, 1, 5, 10, 11, 15]
    chosen, _ = rules.crops(4, 2)(seen([0.3, 0.1, 0.1, 0.2, 0.2, 0.1], places=places), 6)
    assert sorted(chosen.tolist()) == [0, 1, 2, 3, 4, 5]


def test_diversity_takes_what_is_unlike():
    hidden = [[1.0, 0, 0], [1, 0.01, 0], [0, 1, 0], [1, 0, 0.01]]
    given = seen([0.4, 0.39, 0.2, 0.01], hidden)
    assert rules.crops(2, 2, diversity=0)(given, 2)[0].tolist() == [0, 1]
    assert rules.crops(2, 2, diversity=1)(given, 2)[0].tolist() == [0, 2]


def test_merging_averages_each_into_the_nearest_kept_and_loses_no_weight():
    hidden = [[2.0, 0, 0], [0, 3, 0], [4, 0.1, 0], [0, 1, 0.1]]
    chosen, vectors = rules.merging(seen([0.5, 0.4, 0.1, 0.0], hidden), 2)
    assert chosen.tolist() == [0, 1]
    np.testing.assert_allclose(vectors, [[3, 0.05, 0], [0, 2, 0.05]], atol=1e-12)


def test_merging_a_token_like_another_kept_one_leaves_it_where_it_is():
    # Both kept tokens point the same way; each must stay its own.
    hidden = [[1.0, 0, 0], [2, 0, 0], [0, 1, 0]]
    _, vectors = rules.merging(seen([0.5, 0.4, 0.1], hidden), 3)
    np.testing.assert_allclose(vectors, hidden, atol=1e-12)


def test_half_of_the_budget_is_for_the_question_before():
    before = jnp.asarray([0.0, 0.0, 0.0, 0.5, 0.3, 0.2])
    given = seen([0.4, 0.3, 0.2, 0.1, 0.0, 0.0])

    def chosen(share, keep=4):
        return sorted(rules.with_previous(before, share)(given, keep)[0].tolist())

    assert chosen(0.5) == [0, 1, 3, 4]
    assert chosen(0) == [0, 1, 2, 3]
    assert chosen(1, 3) == [3, 4, 5]


def test_previous_attention_is_of_patches_and_not_of_what_is_left():
    before = jnp.zeros(16).at[11].set(1)
    chosen, _ = rules.with_previous(before)(seen([0.5, 0.3, 0.2], places=[2, 7, 11]), 2)
    assert sorted(chosen.tolist()) == [0, 2]


def test_controls_keep_so_many_and_none_twice():
    given = seen(np.zeros(10))
    assert rules.evenly(given, 5)[0].tolist() == [1, 3, 5, 7, 9]
    lots = [rules.at_random(key=jax.random.key(i))(given, 5)[0].tolist() for i in range(20)]
    assert all(len(set(lot)) == 5 for lot in lots)
    assert {place for lot in lots for place in lot} == set(range(10))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rules.fastv(seen([0.5, 0.5]), 0), "`keep` must lie between 1 and 2, but is 0"),
        (lambda: rules.fastv(seen([0.5, 0.5]), 3), "`keep` must lie between 1 and 2, but is 3"),
        (lambda: rules.fastv(seen([0.5, np.nan]), 1), "`scores` must be finite"),
        (lambda: rules.crops(6, 4), "`side` must divide `columns`"),
        (lambda: rules.crops(4, 2, diversity=-1), "`diversity` must lie between 0 and 100"),
        (lambda: rules.with_previous(jnp.ones(3), 1.5), "`share` must lie between 0 and 1"),
        (lambda: rules.at_random(key=jax.random.key(0))(seen([1.0]), 0), "`keep` must be at least 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
