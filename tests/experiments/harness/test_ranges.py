from dataclasses import dataclass, field, replace

import pytest

from experiments.harness.ranges import check_ranges


@dataclass(frozen=True)
class Optics:
    pixels: int = 32
    wavelength: float = 532e-9
    pixel_pitch: float = 8e-6
    distance: float = 0.012
    batch_size: int = 32


@dataclass(frozen=True)
class Config:
    optics: Optics = field(default_factory=Optics)
    repeats: int = 1
    depths: tuple[int, ...] = (2, 4)
    n_classes: int = 4
    n_train: int = 0
    methods: tuple[str, ...] = ()
    coupler: int = -1


FINE = Config()


def refusal(config, scales=(FINE,)):
    with pytest.raises(ValueError, match=r"^`") as caught:
        check_ranges(config, scales)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"wavelength": 532.0}, "`wavelength` must lie between 1e-08 and 0.0001 m, but is 532 m; did you mean 532e-9?"),
        ({"wavelength": 532e-3}, "but is 0.532 m; did you mean 0.532e-6?"),
        ({"pixel_pitch": 8.0}, "but is 8 m; did you mean 8e-6?"),
        ({"distance": 388.0}, "but is 388 m; did you mean 388e-3?"),
        ({"distance": 1e30}, "`distance` must lie between 1e-07 and 100 m, but is 1e+30 m."),
        ({"distance": float("nan")}, "but is nan m."),
        ({"pixels": 0}, "`pixels` must be at least 4, but is 0."),
        ({"pixels": 100_000}, "`pixels` must be such that a step fits in memory, but 100000 a side, 32 "),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_length_that_no_bench_has_is_refused_with_the_likely_unit(change, said):
    assert said in refusal(replace(FINE, optics=replace(FINE.optics, **change)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"repeats": 0}, "`repeats` must be at least 1, but is 0."),
        ({"repeats": -1}, "`repeats` must be at least 1, but is -1."),
        ({"n_classes": 0}, "`n_classes` must be at least 2, but is 0."),
        ({"depths": (2, 0)}, "`depths` must be at least 1, but is 0."),
        ({"depths": ()}, "`depths` must have at least one entry, but is empty."),
    ],
)
def test_counts_and_lists_without_which_nothing_is_computed_are_refused(change, said):
    assert refusal(replace(FINE, **change)) == said


def test_what_may_be_empty_or_negative_passes():
    check_ranges(FINE, [FINE])
    check_ranges(replace(FINE, depths=()), [FINE, replace(FINE, depths=())])
    check_ranges(replace(FINE, n_classes=0), [FINE, replace(FINE, n_classes=0)])
