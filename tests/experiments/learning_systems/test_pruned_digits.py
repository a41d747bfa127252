import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.learning_systems import pruned_digits
from nn.models.vit import VitConfig, make_vit
from nn.models.vit_pruning import multiply_adds, open_gates, unit_sizes
from tests.exact import language_model_laws as laws


@pytest.fixture(scope="module")
def chosen():
    """A model, what is known of its units by made-up numbers, and the gates of all rules at half of the work."""
    config = VitConfig(8, 4, 1, 10, 12, 2, 3, 16)
    model = laws.drawn(lambda: make_vit(config, key=jax.random.key(0)))
    rng = np.random.default_rng(0)
    taylor = {kind: jnp.asarray(rng.random(g.shape)) for kind, g in open_gates(model).items()}
    # In the order heads, hidden, width: hidden units cost nothing to lose, components much.
    known = pruned_digits.Known(taylor, jnp.diag(jnp.array([1.0, 0.01, 9])), jnp.eye(3))
    half = multiply_adds(model, unit_sizes(model)) / 2
    gates = pruned_digits.choose(model, known, half, np.random.default_rng(1))
    return model, half, dict(zip(pruned_digits.RULES, gates, strict=True))


def test_every_rule_keeps_to_the_budget_and_uses_it(chosen):
    model, half, gates = chosen
    for rule, found in gates.items():
        work = multiply_adds(model, {kind: float(g.sum()) for kind, g in found.items()})
        assert 0.85 * half < work <= half, rule


def test_the_joint_rule_takes_the_kind_that_costs_least(chosen):
    _, _, gates = chosen
    left = {kind: g.mean() for kind, g in gates["joint"].items()}
    assert left["hidden"] < left["heads"] < left["width"]
    equal = {kind: g.mean() for kind, g in gates["equal"].items()}
    assert max(equal.values()) - min(equal.values()) < 0.1


def test_rules_with_the_same_shares_differ_in_who_goes(chosen):
    _, _, gates = chosen
    for kind in ("hidden", "width"):
        equal, other, chance = (gates[rule][kind] for rule in ("equal", "magnitude", "random"))
        assert equal.sum() == other.sum() == chance.sum()
        assert (equal != other).any()
        assert (equal != chance).any()
