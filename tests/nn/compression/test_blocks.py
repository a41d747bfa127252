import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.compression.blocks import signal_to_noise_db, to_int4, to_mxfp4, to_nvfp4


@pytest.fixture(scope="module")
def gaussian():
    return jnp.asarray(np.random.default_rng(0).normal(size=(400, 1024)), jnp.float32)


@pytest.fixture(scope="module")
def laplace():
    return jnp.asarray(np.random.default_rng(1).laplace(size=(400, 1024)), jnp.float32)


@pytest.mark.parametrize(
    ("quantise", "normal", "heavy"),
    [
        (to_nvfp4, 20.44, 20.66),
        (to_mxfp4, 18.79, 17.94),
        (lambda x: to_int4(x, 32), 20.26, 18.34),
        (lambda x: to_int4(x, 128), 18.61, 15.91),
        (lambda x: to_int4(x, 32, rule="zero_point"), 21.86, 20.5),
        (lambda x: to_int4(x, 32, rule="amax/7.5"), 20.46, None),
        (lambda x: to_int4(x, 32, rule="amax/8"), 20.56, None),
        (lambda x: to_mxfp4(x, rule="round_up"), 18.76, None),
    ],
    ids=["nvfp4", "mxfp4", "int4 32", "int4 128", "zero point", "7.5", "8", "mxfp4 round up"],
)
def test_noise_of_normal_and_laplace_numbers(quantise, normal, heavy, gaussian, laplace):
    # Independent computations of 4 million samples; 0.4 million here vary by 0.02 dB.
    noise = jax.jit(lambda x: signal_to_noise_db(x, quantise(x).values()))
    assert float(noise(gaussian)) == pytest.approx(normal, abs=0.06)
    if heavy is not None:
        assert float(noise(laplace)) == pytest.approx(heavy, abs=0.1)


def test_scales_of_powers_follow_their_rule():
    block = jnp.full((1, 32), 0.5).at[0, 3].set(7.0)
    rules = ("floor", "ceil", "even", "round_up")
    scaled = jax.jit(
        lambda x: [
            (b.scales[0, 0], b.values()[0, 2:4]) for b in [to_mxfp4(x, rule=rule) for rule in rules]
        ]
    )
    found = dict(zip(rules, scaled(block), strict=True))
    assert [float(found[rule][0]) for rule in rules] == [1, 2, 2, 2]
    np.testing.assert_array_equal(found["floor"][1], [0.5, 6.0])  # saturates
    np.testing.assert_array_equal(found["ceil"][1], [0.0, 8.0])  # 0.25 ties to 0
    six = scaled(block.at[0, 3].set(6.0))
    assert [float(scale) for scale, _ in six[2:]] == [1, 1]


def test_the_largest_numbers_of_a_tensor_are_kept_and_zeros_stay_zero():
    x = jnp.zeros((2, 32)).at[0, 5].set(3000.0).at[0, 20].set(-1.5)
    values = to_nvfp4(x).values()
    assert values[0, 5] == pytest.approx(3000, rel=1e-6)
    assert values[0, 20] == pytest.approx(-1.5, rel=0.1)  # its scale is near the smallest of E4M3
    assert not values[1].any()
    kinds = jax.jit(lambda x: [to_mxfp4(x), to_int4(x, 8), to_nvfp4(x)])(jnp.zeros((1, 32)))
    for zeros in kinds:
        assert not zeros.values().any()
        assert np.isfinite(zeros.scales).all()


@pytest.mark.parametrize("rule", ["amax/7", "zero_point"])
def test_integers_keep_small_numbers_and_name_or_cut_off_large_ones(rule, gaussian):
    x = gaussian[:8]
    small = x * jnp.float32(1e-5)  # their scales are below the normal numbers of float16
    assert float(signal_to_noise_db(small, to_int4(small, 32, rule=rule).values())) > 20
    with pytest.raises(ValueError, match="`x` must have scales of at most 65504, the largest"):
        to_int4(x * 1e6, 32, rule=rule)
    cut = jax.jit(lambda x: to_int4(x, 32, rule=rule).values())(x * 1e6)
    assert 7 * 65504 <= float(jnp.abs(cut).max()) <= 15 * 65504


def test_a_zero_point_holds_both_ends_and_zero_itself():
    x = jnp.array([[0.0, 1.0, 2.0, 15.0]])
    np.testing.assert_allclose(to_int4(x, 4, rule="zero_point").values(), x, atol=1e-6)
    # All positive, far from zero: the range still holds zero.
    assert float(to_int4(x + 100, 4, rule="zero_point").scales[0, 0]) == pytest.approx(
        115 / 15, rel=1e-3
    )


def test_bits_count_the_scales():
    def kinds(x):
        return [to_nvfp4(x), to_mxfp4(x), to_int4(x, 128), to_int4(x, 128, rule="zero_point")]

    bits = [kind.bits for kind in jax.eval_shape(kinds, jnp.ones((1, 128)))]
    assert bits == [4.5, 4.25, 4.125, 4.15625]


def test_blocks_that_do_not_divide_and_numbers_that_are_none_are_named():
    with pytest.raises(ValueError, match="`block` must divide `n`, but is 16, and n is 40"):
        to_nvfp4(jnp.ones((2, 40)))
    with pytest.raises(ValueError, match="`block` must divide `n`, but is 0"):
        to_int4(jnp.ones((2, 40)), 0)
    with pytest.raises(ValueError, match=r"`x` must be finite, but has 1 NaN"):
        to_mxfp4(jnp.ones((2, 32)).at[0, 0].set(jnp.nan))
    damaged = to_nvfp4(jnp.ones((2, 32)))
    damaged = dataclasses.replace(damaged, scales=damaged.scales.at[1, 0].set(jnp.nan))
    with pytest.raises(ValueError, match=r"`scales` must be finite, but has 1 NaN.*\(1, 0\)"):
        damaged.values()
    with pytest.raises(ValueError, match="`rule` must be one of amax/7"):
        to_int4(jnp.ones((2, 32)), 8, rule="amax/6")
