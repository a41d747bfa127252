"""A codec that says how sure it is: mean and variance of a latent, kept near a normal law by their divergence from it.

    loss = |x - decode(m + s e)|^2 + beta KL,   e ~ N(0, 1)
    KL   = 1/2 sum_j (m_j^2 + s_j^2 - log s_j^2 - 1),  of N(m, s^2) from N(0, 1), in nats

per picture, the square summed over its numbers, and all divided by how many these are, so that beta does not depend on
the size. It is the bound of evidence for pixels with Gaussian noise of variance beta / 2. A generator is taught on the
means, so a picture has one latent.

Sources: D. Kingma, M. Welling, arXiv 1312.6114, appendix B; latent diffusion, arXiv 2112.10752, has it at a small beta.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_divides, check_in_range
from nn.generation.codec import AbstractCodec

# Where a logarithm of a variance is cut off: exp stays finite in single precision. Our choice.
_LOG_RANGE = (-30.0, 20.0)


class VariationalCodec(AbstractCodec):
    """An encoder that says a mean and a variance, and a decoder.

    Attributes:
        encoder: Pictures -> (batch, ..., twice the channels): means, then logarithms of variances.
        decoder: Latents -> pictures.
        name: Name.
    """

    encoder: Callable[..., Array]
    decoder: Callable[..., Array]
    name: str = eqx.field(static=True)

    def encode(self, images: Float[Array, "batch y x channels"]) -> Float[Array, " batch *latent"]:
        """Means.

        Raises:
            ValueError: If the encoder does not say two numbers for each of a latent.
        """
        return self.moments(images)[0]

    def decode(self, latents: Float[Array, " batch *latent"]) -> Float[Array, "batch y x channels"]:
        """What the decoder makes of the latents."""
        return self.decoder(latents)

    def moments(
        self, images: Float[Array, "batch y x channels"]
    ) -> tuple[Float[Array, " batch *latent"], Float[Array, " batch *latent"]]:
        """Means and logarithms of variances, these within -30 and 20.

        Raises:
            ValueError: If the encoder does not say two numbers for each of a latent.
        """
        said = self.encoder(images)
        check_divides(2, said.shape[-1], "2", "channels of the encoder", "Means and variances.")
        mean, log_variance = jnp.split(said, 2, axis=-1)
        return mean, jnp.clip(log_variance, *_LOG_RANGE)


def normal_divergence(
    mean: Float[Array, " batch *latent"], log_variance: Float[Array, " batch *latent"]
) -> Float[Array, " batch"]:
    """KL of normal laws from the standard one, summed over a latent, in nats; single precision at least.

    Args:
        mean: Means.
        log_variance: Logarithms of variances.
    """
    wide = jnp.promote_types(mean.dtype, jnp.float32)
    mean, log_variance = mean.astype(wide), log_variance.astype(wide)
    # expm1: exp(v) - 1 - v of a small v is v^2 / 2, which exp alone would round away.
    each = 0.5 * (mean**2 + jnp.expm1(log_variance) - log_variance)
    return each.reshape(len(each), -1).sum(axis=1)


def variational_loss(
    codec: VariationalCodec,
    images: Float[Array, "batch y x channels"],
    *,
    key: PRNGKeyArray,
    beta: float | int,
) -> Float[Array, ""]:
    """Square error of what was drawn and decoded, and beta times the divergence, per number of a picture.

    Args:
        codec: The codec.
        images: Pictures.
        key: PRNG key of the draw, one for each picture.
        beta: Weight of the divergence; 0 leaves an encoder that need not stay anywhere.

    Raises:
        ValueError: If beta is negative or not finite.
    """
    check_in_range(beta, "beta", 0, 1e6)
    mean, log_variance = codec.moments(images)
    drawn = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape, mean.dtype)
    wide = jnp.promote_types(images.dtype, jnp.float32)
    missed = (codec.decode(drawn) - images).astype(wide)
    divergence = normal_divergence(mean, log_variance).mean()
    return jnp.mean(missed**2) + beta * divergence / images[0].size
