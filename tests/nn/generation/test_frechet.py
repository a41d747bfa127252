import jax
import numpy as np
import pytest
from scipy.linalg import sqrtm

from nn.generation.frechet import bootstrap_distance, frechet_distance, kernel_distance

RNG = np.random.default_rng(0)
A = RNG.normal(size=(200, 4)) @ RNG.normal(size=(4, 4))
B = RNG.normal(size=(150, 4)) @ RNG.normal(size=(4, 4)) + 1


def test_the_distance_of_a_set_to_itself_is_zero_and_a_shift_adds_its_square():
    found = frechet_distance(A, A, feature="test")
    assert abs(found.value) < 1e-11
    assert found[1:] == (200, 200, 4, "test")
    shift = np.array([1.0, -2.0, 0.5, 0.0])
    assert frechet_distance(A, A + shift, feature="test").value == pytest.approx(5.25, rel=1e-11)
    # Widening a set by c: (c - 1)^2 tr C.
    wide = A.mean(axis=0) + 3 * (A - A.mean(axis=0))
    widened = frechet_distance(A, wide, feature="test").value
    assert widened == pytest.approx(4 * np.trace(np.cov(A.T)), rel=1e-11)


def test_the_distance_is_that_of_the_formula_and_symmetric():
    c, d = np.cov(A.T), np.cov(B.T)
    expected = ((A.mean(0) - B.mean(0)) ** 2).sum() + np.trace(c + d - 2 * sqrtm(c @ d).real)
    assert frechet_distance(A, B, feature="x").value == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(B, A, feature="x").value == pytest.approx(expected, rel=1e-10)


def test_the_kernel_distance_is_that_of_all_pairs():
    a, b = A[:9], B[:7]
    kernel = lambda x, y: (x @ y / 4 + 1) ** 3  # noqa: E731
    within = lambda s: np.mean([kernel(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j])  # noqa: E731  # fmt: skip
    expected = within(a) + within(b) - 2 * np.mean([kernel(x, y) for x in a for y in b])
    assert kernel_distance(a, b, feature="x").value == pytest.approx(expected, rel=1e-10)


def test_the_bootstrap_scatters_as_new_sets_do():
    # Of one law: distances of fresh pairs against draws from one pair.
    draw = lambda: RNG.normal(size=(300, 3))  # noqa: E731
    shifted = np.array([1.0, 0, 0])
    fresh = [frechet_distance(draw(), draw() + shifted, feature="x").value for _ in range(200)]
    drawn = bootstrap_distance(
        frechet_distance, draw(), draw() + shifted, feature="x", n_draws=200, key=jax.random.key(0)
    )
    assert drawn.std(ddof=1) == pytest.approx(np.std(fresh, ddof=1), rel=0.25)
    again = bootstrap_distance(
        kernel_distance, A[:20], B[:20], feature="x", n_draws=3, key=jax.random.key(0)
    )
    assert len(set(again.tolist())) == 3


def test_too_few_pictures_are_refused_or_shrunk_by_an_explicit_word():
    few = A[:4]
    with pytest.raises(ValueError, match=r"holds 4 of width 4: the covariance is singular.*shrink"):
        frechet_distance(A, few, feature="x")
    found = frechet_distance(few, few + 1.0, feature="x", singular="shrink")
    assert found.value == pytest.approx(4, rel=1e-10)
    # Half of the way to the mean variance at n = width, so that none is zero.
    shrunk = 0.5 * np.cov(few.T) + 0.5 * np.trace(np.cov(few.T)) / 4 * np.eye(4)
    c = np.cov(A.T)
    spread = np.trace(c + shrunk - 2 * sqrtm(c @ shrunk).real)
    expected = ((A.mean(0) - few.mean(0)) ** 2).sum() + spread
    found = frechet_distance(A, few, feature="x", singular="shrink")
    assert found.value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: frechet_distance(A, B[:, :3], feature="x"), "`second` must have the width of `first`, 4, but has 3"),
        (lambda: frechet_distance(A * np.nan, B, feature="x"), "`first` must be finite"),
        (lambda: frechet_distance(A, B, feature="x", singular="ignore"), "`singular` must be one of refuse"),
        (lambda: kernel_distance(A[:1], B, feature="x"), "`first` must be at least 2"),
        (lambda: bootstrap_distance(kernel_distance, A, B, feature="x", n_draws=1, key=jax.random.key(0)), "`n_draws`"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
