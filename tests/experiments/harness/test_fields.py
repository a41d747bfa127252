from dataclasses import dataclass, replace

import pytest

from experiments.harness.fields import among, at_least, rising, within


@dataclass(frozen=True)
class Config:
    repeats: int = 1
    depths: tuple[int, ...] = (1, 2)
    bond: float = 1.5
    engine: str = "jax"
    methods: tuple[str, ...] = ()


FINE = Config()


def test_what_keeps_the_rule_passes_at_its_very_edge():
    at_least(FINE, 1, "repeats", "depths")
    within(FINE, 1.5, 2, "bond")
    within(FINE, 1, 1.5, "bond")
    rising(FINE, 1, "depths", entries=2)
    rising(replace(FINE, depths=()), 1, "depths", entries=0)
    among(FINE, ("jax", "cirq"), "engine")
    among(FINE, ("ffm",), "methods", empty=True)


@pytest.mark.parametrize(
    ("change", "check", "message"),
    [
        (
            {"repeats": 0},
            lambda c: at_least(c, 1, "repeats"),
            "`repeats` must be at least 1, but is 0.",
        ),
        (
            {"depths": (3, 0)},
            lambda c: at_least(c, 1, "repeats", "depths"),
            "`depths` must be at least 1, but is 0.",
        ),
        (
            {"depths": ()},
            lambda c: at_least(c, 1, "depths"),
            "`depths` must have at least one entry, but is empty.",
        ),
        (
            {"bond": float("nan")},
            lambda c: at_least(c, 0, "bond"),
            "`bond` must be at least 0, but is nan.",
        ),
        (
            {"bond": -1e-10},
            lambda c: at_least(c, 0, "bond", unit="m"),
            "`bond` must be at least 0 m, but is -1e-10 m.",
        ),
        (
            {"bond": float("nan")},
            lambda c: within(c, 1, 5, "bond"),
            "`bond` must lie between 1 and 5, but is nan.",
        ),
        (
            {"bond": 5.5},
            lambda c: within(c, 1, 5, "bond", unit="A"),
            "`bond` must lie between 1 and 5 A, but is 5.5 A.",
        ),
        (
            {"depths": (1, 1)},
            lambda c: rising(c, 1, "depths"),
            "`depths` must be rising numbers from 1 on, but is (1, 1).",
        ),
        (
            {"depths": (0, 1)},
            lambda c: rising(c, 1, "depths"),
            "`depths` must be rising numbers from 1 on, but is (0, 1).",
        ),
        (
            {"depths": (1,)},
            lambda c: rising(c, 1, "depths", entries=2),
            "`depths` must be 2 or more rising numbers from 1 on, but is (1,).",
        ),
        (
            {"engine": "qsim"},
            lambda c: among(c, ["jax"], "engine"),
            "`engine` must be one of jax, but is 'qsim'.",
        ),
        (
            {"methods": ("a", "b")},
            lambda c: among(c, "a", "methods", empty=True),
            "`methods` must be one of a, but is 'b'.",
        ),
        (
            {"methods": ()},
            lambda c: among(c, "a", "methods"),
            "`methods` must have at least one entry, but is empty.",
        ),
    ],
)
def test_what_breaks_the_rule_is_named_with_rule_and_value(change, check, message):
    with pytest.raises(ValueError, match=r"^`") as caught:
        check(replace(FINE, **change))
    assert str(caught.value) == message
