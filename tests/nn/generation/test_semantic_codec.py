import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.generation.codec import fit_statistics
from nn.generation.semantic_codec import (
    SemanticCodec,
    decoding_loss,
    freeze_alignment,
    make_semantic_codec,
    measure_alignment,
    trains,
)
from nn.training import adamw, draw_rows, train

RNG = np.random.default_rng(0)
IMAGES = jnp.asarray(RNG.normal(size=(30, 4, 4, 1)) + 0.3)
KEY = jax.random.key(0)


class Places(eqx.Module):
    """Rows of a picture as places, each mapped linearly."""

    weight: jax.Array
    bias: float = eqx.field(static=True, default=0.0)

    def __call__(self, images):
        return images[..., 0] @ self.weight + self.bias


class Join(eqx.Module):
    weight: jax.Array

    def __call__(self, latents):
        return (latents @ self.weight)[..., None]


def matrix(*shape):
    return jnp.asarray(RNG.normal(size=shape))


FEATURES = Places(3 * matrix(4, 5), 2.0)
RESIDUAL = Places(0.1 * matrix(4, 2), -7.0)
DECODER = Join(0.1 * matrix(7, 4))


def make(alignment="none", residual=RESIDUAL, few=2):
    return make_semantic_codec(
        FEATURES, residual, DECODER, few=few, alignment=alignment, name="svg", key=KEY
    )


def test_alignment_takes_the_residual_to_the_mean_and_deviation_of_the_features():
    h, r = (np.asarray(part) for part in make().parts(IMAGES))
    latents = np.asarray(make("batch").encode(IMAGES))
    np.testing.assert_array_equal(latents[..., :5], h)
    flat_h, flat_r = h.reshape(-1, 5), r.reshape(-1, 2)
    m_h, s_h = flat_h.mean(), flat_h.std(axis=0, ddof=1).mean()
    m_r, s_r = flat_r.mean(), flat_r.std(axis=0, ddof=1).mean()
    np.testing.assert_allclose(
        latents[..., 5:], (r - m_r) / (s_r + 1e-6) * s_h + m_h, rtol=1e-12, atol=1e-11
    )
    # The mean of the deviations, not the deviation of all channels together.
    assert abs(flat_h.std(ddof=1) - s_h) > 0.01
    np.testing.assert_array_equal(make("none").encode(IMAGES)[..., 5:], r)
    assert make(residual=None, few=0).encode(IMAGES).shape == (30, 4, 5)


def test_a_picture_by_itself_has_the_same_latent_when_frozen_and_not_when_aligned_by_batch():
    frozen, batch = freeze_alignment(make("batch"), IMAGES), make("batch")
    whole = frozen.encode(IMAGES)
    np.testing.assert_allclose(whole, batch.encode(IMAGES), rtol=1e-12)
    np.testing.assert_allclose(frozen.encode(IMAGES[3:4])[0], whole[3], rtol=1e-12)
    np.testing.assert_allclose(frozen.encode(IMAGES[3:9])[0], whole[3], rtol=1e-12)
    assert jnp.abs(batch.encode(IMAGES[3:4])[0] - whole[3])[:, 5:].max() > 0.1


def test_statistics_of_each_channel_undo_a_fixed_alignment_and_one_scale_does_not():
    normal = {}
    for kind in ("per_channel", "one_scale"):
        for codec in (make("none"), freeze_alignment(make("batch"), IMAGES)):
            latents = codec.encode(IMAGES)
            statistics = fit_statistics(latents, kind, origin="svg")
            normal[kind, codec.alignment] = statistics.normalise(latents, origin="svg")
    np.testing.assert_allclose(
        normal["per_channel", "frozen"], normal["per_channel", "none"], atol=1e-6
    )
    assert jnp.abs(normal["one_scale", "frozen"] - normal["one_scale", "none"]).max() > 0.1


def test_no_gradient_flows_through_features_or_alignment():
    weights = matrix(4, 7)

    def total(codec):
        return jnp.sum(codec.encode(IMAGES) * weights[None])

    found = eqx.filter_grad(total)(make("batch"))
    assert not np.any(found.features.weight)
    # As with the frozen one, whose scalars are given.
    fixed = eqx.filter_grad(total)(freeze_alignment(make("batch"), IMAGES))
    np.testing.assert_allclose(found.residual.weight, fixed.residual.weight, rtol=1e-10)
    assert np.any(found.residual.weight)


def test_training_leaves_the_features_bit_for_bit_and_moves_the_rest():
    begun = make("batch")
    loss = lambda codec, images, key: decoding_loss(codec, images, key=key, replaced=0.3, noise=0.1)  # noqa: E731
    found = train(
        begun, loss, IMAGES, draw_rows(8), adamw(0.01, 8), 8, key=KEY, trainable=trains(begun)
    )
    codec = found.model
    np.testing.assert_array_equal(codec.features.weight, FEATURES.weight)
    assert jnp.abs(codec.residual.weight - RESIDUAL.weight).min() > 0
    assert jnp.abs(codec.stand_in - begun.stand_in).min() > 0
    assert found.losses[-1] < found.losses[0]
    frozen = freeze_alignment(codec, IMAGES)
    assert not any(jax.tree.leaves(trains(frozen).frozen))
    assert all(jax.tree.leaves(trains(frozen).residual))


def test_replaced_residuals_are_the_stand_in_of_the_whole_picture():
    codec = make("batch")
    replaced = jnp.arange(30) % 3 == 0
    plain, found = codec.encode(IMAGES), codec.latents(IMAGES, replaced)
    kept = np.where(np.asarray(replaced)[:, None, None], np.asarray(codec.stand_in), plain[..., 5:])
    np.testing.assert_array_equal(found[..., :5], plain[..., :5])
    np.testing.assert_array_equal(found[..., 5:], kept)
    # All or none of the pictures.
    missed = lambda latents: float(jnp.mean((codec.decode(latents) - IMAGES) ** 2))  # noqa: E731
    loss = lambda share: float(decoding_loss(codec, IMAGES, key=KEY, replaced=share, noise=0))  # noqa: E731
    assert loss(0) == pytest.approx(missed(plain), rel=1e-12)
    assert loss(1) == pytest.approx(missed(codec.latents(IMAGES, replaced | True)), rel=1e-12)
    # Some: between the two, and not with the share of places.
    assert loss(0.5) not in (loss(0), loss(1))


def test_noise_has_a_deviation_of_its_own_for_each_picture():
    # Features that lose nothing, decoded as they are: only the noise is missed.
    same = Places(jnp.eye(4))
    codec = make_semantic_codec(
        same, None, Join(jnp.eye(4)), few=0, alignment="none", name="rae", key=KEY
    )
    images = jnp.zeros((4000, 4, 4, 1))
    loss = float(decoding_loss(codec, images, key=KEY, replaced=0, noise=0.8))
    assert loss == pytest.approx(0.8**2 / 3, rel=0.06)  # E U^2 = 1/3
    # Not one for the batch, whose loss would scatter with it over keys.
    again = [
        float(decoding_loss(codec, images[:400], key=jax.random.key(i), replaced=0, noise=0.8))
        for i in range(5)
    ]
    assert np.std(again) < 0.1 * np.mean(again)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: make("frozen"), "`alignment` must be one of none, batch, but is 'frozen'.*freeze_alignment"),
        (lambda: make(few=0), "`few` must be .* but is 0 with a residual"),
        (lambda: make(residual=None), "but is 2 with no residual"),
        (lambda: SemanticCodec(FEATURES, RESIDUAL, DECODER, jnp.zeros(2), None, "frozen", "x"), "`frozen` must be"),
        (lambda: freeze_alignment(make(residual=None, few=0), IMAGES), "`residual` must be an encoder"),
        (lambda: freeze_alignment(make(), IMAGES * jnp.inf), "`features` must be finite"),
        (lambda: make(residual=lambda x: RESIDUAL(x)[:, :3]).encode(IMAGES), r"\(30, 4, 5\), but gives \(30, 3, 2\)"),
        (lambda: measure_alignment(jnp.ones((1, 1, 5)), jnp.ones((1, 1, 2))), "`features` must be at least 2"),
        (lambda: decoding_loss(make(), IMAGES, key=KEY, replaced=1.1, noise=0), "`replaced` must lie between 0 and 1"),
        (lambda: decoding_loss(make(), IMAGES, key=KEY, replaced=0, noise=-1), "`noise` must lie"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
