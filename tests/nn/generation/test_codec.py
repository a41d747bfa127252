import jax.numpy as jnp
import numpy as np
import pytest

from nn.generation.codec import (
    KINDS,
    NetworkCodec,
    PixelCodec,
    fit_axes,
    fit_linear_decoder,
    fit_statistics,
    normalise_by_batch,
)

RNG = np.random.default_rng(0)
IMAGES = jnp.asarray(RNG.normal(size=(40, 4, 6, 1)) * np.linspace(0.5, 3, 6)[:, None] + 1)
PIXELS = PixelCodec(4, 6, 2)
MIX = jnp.asarray(RNG.normal(size=(24, 24)))


def network(scale):
    # A linear encoder, so that a linear decoder can undo it.
    encode = lambda images: scale * images.reshape(len(images), -1) @ MIX  # noqa: E731
    latents = encode(IMAGES)
    return NetworkCodec(encode, fit_linear_decoder(latents, IMAGES, 0), f"network {scale}")


def codecs():
    return [PIXELS, network(1.0), fit_axes(PIXELS, IMAGES, 24), fit_axes(network(1.0), IMAGES, 24)]


@pytest.mark.parametrize("codec", codecs(), ids=lambda codec: codec.name)
def test_what_loses_nothing_comes_back_and_each_picture_is_by_itself(codec):
    latents = codec.encode(IMAGES)
    assert latents[0].size == 24
    np.testing.assert_allclose(codec.decode(latents), IMAGES, atol=1e-8)
    np.testing.assert_allclose(codec.encode(IMAGES[3:4])[0], latents[3], rtol=1e-10, atol=1e-12)


def test_axes_are_the_best_of_their_number():
    codec = fit_axes(PIXELS, IMAGES, 3)
    assert codec.name == "pixels, 3 axes"
    flat = np.asarray(IMAGES).reshape(40, -1)
    left = np.linalg.svd(flat - flat.mean(axis=0), compute_uv=False)[3:]
    lost = np.asarray(codec.decode(codec.encode(IMAGES)) - IMAGES)
    assert (lost**2).sum() == pytest.approx((left**2).sum(), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_normalise_as_they_say_and_restore(kind):
    latents = PIXELS.encode(IMAGES)  # (40, 6, 4)
    found = fit_statistics(latents, kind, origin="pixels")
    normal = np.asarray(found.normalise(latents, origin="pixels"))
    back = found.restore(jnp.asarray(normal), origin="pixels")
    np.testing.assert_allclose(back, latents, rtol=1e-12, atol=1e-12)
    axes = {"one_scale": (0, 1, 2), "per_channel": (0, 1), "per_position": (0,)}
    if kind == "none":
        np.testing.assert_array_equal(normal, latents)
    else:
        np.testing.assert_allclose(normal.mean(axis=axes[kind]), 0, atol=1e-12)
        np.testing.assert_allclose(normal.std(axis=axes[kind]), 1, rtol=1e-12)
        # Not finer than it says.
        finer = axes[kind][:-1]
        assert finer == () or np.abs(normal.std(axis=finer) - 1).max() > 0.05


def test_a_fixed_affine_map_before_statistics_of_each_channel_changes_nothing():
    latents = PIXELS.encode(IMAGES)
    moved = latents * jnp.array([2.0, 0.1, 30.0, 1.0])[None, None] + 5.0
    one, other = (fit_statistics(x, origin="x").normalise(x, origin="x") for x in (latents, moved))
    np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-11)


def test_frozen_statistics_do_not_know_the_batch_and_those_of_a_batch_do():
    latents = PIXELS.encode(IMAGES)
    frozen = fit_statistics(latents, origin="pixels")
    whole = frozen.normalise(latents, origin="pixels")
    np.testing.assert_array_equal(frozen.normalise(latents[:1], origin="pixels")[0], whole[0])
    by_batch = normalise_by_batch(latents)
    np.testing.assert_allclose(by_batch, whole, rtol=1e-12)
    one_scale = (latents - latents.mean()) / latents.std()
    np.testing.assert_allclose(normalise_by_batch(latents, "one_scale"), one_scale, rtol=1e-9)
    assert jnp.abs(normalise_by_batch(latents[:5])[0] - by_batch[0]).max() > 1e-2


def test_the_linear_decoder_is_that_of_least_squares():
    latents = jnp.asarray(RNG.normal(size=(40, 3, 2)))
    decoder = fit_linear_decoder(latents, IMAGES, 0)
    inputs = np.column_stack([np.asarray(latents).reshape(40, -1), np.ones(40)])
    pixels = np.asarray(IMAGES).reshape(40, -1)
    best = inputs @ np.linalg.lstsq(inputs, pixels, rcond=None)[0]
    np.testing.assert_allclose(np.asarray(decoder(latents)).reshape(40, -1), best, rtol=1e-9, atol=1e-9)  # fmt: skip
    shrunk = fit_linear_decoder(latents, IMAGES, 10.0)
    assert jnp.linalg.norm(shrunk.weight) < 0.2 * jnp.linalg.norm(decoder.weight)


LATENTS = PIXELS.encode(IMAGES)
STATISTICS = fit_statistics(LATENTS, origin="pixels")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: STATISTICS.normalise(LATENTS, origin="vae"), "those of the codec 'vae', but are those of 'pixels'"),
        (lambda: STATISTICS.normalise(LATENTS[..., :3], origin="pixels"), r"\(6, 4\) each, but have \(6, 3\)"),
        (lambda: STATISTICS.restore(LATENTS[:, :2], origin="pixels"), r"but have \(2, 4\)"),
        (lambda: fit_statistics(LATENTS.at[..., 2].set(1.0), origin="x"), r"standard deviation of 0 at \(0, 2\)"),
        (lambda: fit_statistics(LATENTS * jnp.inf, origin="x"), "`latents` must be finite"),
        (lambda: fit_statistics(LATENTS, "per_batch", origin="x"), "`kind` must be one of none"),
        (lambda: fit_axes(PIXELS, IMAGES, 25), "`n_axes` must lie between 1 and 24"),
        (lambda: fit_axes(PIXELS, IMAGES[:4], 4), "`n_axes` must lie between 1 and 3"),
        (lambda: PIXELS.encode(IMAGES[:, :2]), "`images` must have size 4 along axis 1"),
        (lambda: PixelCodec(4, 6, 4).encode(IMAGES), "`patch` must divide `width`"),
        (lambda: fit_linear_decoder(LATENTS, IMAGES, -1.0), "`ridge` must lie"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
