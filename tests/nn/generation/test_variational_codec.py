import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.generation.variational_codec import VariationalCodec, normal_divergence, variational_loss

RNG = np.random.default_rng(0)
MEAN = RNG.normal(size=(3, 2, 2))
LOG_VARIANCE = RNG.normal(size=(3, 2, 2))


def test_the_divergence_is_the_expected_logarithm_of_the_ratio_of_densities():
    e = RNG.normal(size=(200_000, 1, 1, 1))
    drawn = MEAN + np.exp(LOG_VARIANCE / 2) * e
    log_ratio = -0.5 * (e**2 + LOG_VARIANCE) + 0.5 * drawn**2
    found = normal_divergence(jnp.asarray(MEAN), jnp.asarray(LOG_VARIANCE))
    np.testing.assert_allclose(found, log_ratio.mean(axis=0).sum(axis=(1, 2)), rtol=0.01)
    whole = 0.5 * (MEAN**2 + np.exp(LOG_VARIANCE) - LOG_VARIANCE - 1)
    np.testing.assert_allclose(found, whole.sum(axis=(1, 2)), rtol=1e-12)


def test_the_divergence_is_zero_at_the_normal_law_and_exact_beside_it_in_half_precision():
    zero = jnp.zeros((1, 2), jnp.float16)
    assert float(normal_divergence(zero, zero)[0]) == 0
    near = normal_divergence(jnp.zeros((1, 2)), jnp.full((1, 2), 1e-3, jnp.float32))
    assert float(near[0]) == pytest.approx(2 * 1e-6 / 4, rel=1e-3)
    assert normal_divergence(zero + 60000, zero).dtype == jnp.float32  # 1.8e9 passes float16
    assert float(normal_divergence(zero + 60000, zero)[0]) == pytest.approx(59968.0**2, rel=1e-2)


def shifted(log_variance):
    """Latents are the pictures moved by 0.5, decoded as they are."""

    def encoder(images):
        return jnp.concatenate([images + 0.5, jnp.full_like(images, log_variance)], axis=-1)

    return VariationalCodec(encoder, lambda latents: latents, "vae")


IMAGES = jnp.asarray(RNG.normal(size=(500, 4, 3, 2)))


def test_pictures_have_the_mean_as_latent_and_the_loss_has_noise_and_beta():
    codec = shifted(np.log(0.3))
    np.testing.assert_array_equal(codec.encode(IMAGES), IMAGES + 0.5)
    np.testing.assert_array_equal(codec.decode(codec.encode(IMAGES)), IMAGES + 0.5)
    draw = lambda beta: float(variational_loss(codec, IMAGES, key=jax.random.key(0), beta=beta))  # noqa: E731
    assert draw(0) == pytest.approx(0.5**2 + 0.3, rel=0.02)
    divergence = 0.5 * (np.mean((IMAGES + 0.5) ** 2) + 0.3 - np.log(0.3) - 1)  # of one number
    assert draw(2.0) - draw(0) == pytest.approx(2 * float(divergence), rel=1e-6)


def test_variances_are_cut_off_where_they_would_overflow():
    mean, log_variance = shifted(1e4).moments(IMAGES[:1])
    assert float(log_variance.max()) == 20
    assert bool(jnp.isfinite(jnp.exp(log_variance.astype(jnp.float32))).all())
    assert float(shifted(-1e4).moments(IMAGES[:1])[1].max()) == -30
    assert mean.shape == IMAGES[:1].shape


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="`beta` must lie between 0"):
        variational_loss(shifted(0.0), IMAGES, key=jax.random.key(0), beta=-1.0)
    odd = VariationalCodec(lambda images: images[..., :1], lambda latents: latents, "odd")
    with pytest.raises(ValueError, match="`2` must divide `channels of the encoder`"):
        odd.encode(IMAGES)
