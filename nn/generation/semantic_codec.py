"""Codecs on features learnt for their meaning: SVG's with a residual for what they lose, and RAE's with noise.

An encoder of pictures stays frozen and says h, (batch, places, channels). SVG adds a small encoder that is trained with
the decoder and says r, a few channels at the same places; the latent is both side by side, [h ; r']. Alignment brings r
to where h lies, by two scalars each:

    r' = (r - m_r) / (s_r + 1e-6) s_h + m_h,    m, s: mean and deviation (n - 1) of each channel over batch and places,
                                                then averaged over channels; no gradient flows through them

    "none"      r' = r
    "batch"     from the batch at hand, as SVG was released: a picture's latent then depends on its mates, so only for
                training and comparison
    "frozen"    from `freeze_alignment`, once for all

A fixed alignment is one affine map of the residual channels, which statistics of each channel undo
(`nn.generation.codec`): after these the flow sees the same.

While the decoder learns, SVG replaces all of r' of a tenth of the pictures by one learnt vector, so that the decoder
does not lean on it alone; RAE has no residual, and adds noise to latents instead, its deviation drawn for each picture
from 0 to a largest one, so that the decoder forgives what a flow gets wrong. Both are `decoding_loss`.

Sources: SVG, arXiv 2510.15301; RAE, arXiv 2510.11690. Both add perceptual and adversarial losses, which are left out.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from nn._checks import check_at_least, check_choice, check_finite, check_in_range
from nn.generation.codec import AbstractCodec

ALIGNMENTS = ("none", "batch", "frozen")
_EPS = 1e-6


class Alignment(eqx.Module):
    """Where features and residual lie; made by `measure_alignment`.

    Attributes:
        feature_mean: m_h.
        feature_sd: s_h.
        residual_mean: m_r.
        residual_sd: s_r.
    """

    feature_mean: Float[Array, ""]
    feature_sd: Float[Array, ""]
    residual_mean: Float[Array, ""]
    residual_sd: Float[Array, ""]

    def __call__(
        self, residual: Float[Array, "batch places few"]
    ) -> Float[Array, "batch places few"]:
        """r'."""
        scale = self.feature_sd / (self.residual_sd + _EPS)
        return (residual - self.residual_mean) * scale + self.feature_mean


def measure_alignment(
    features: Float[Array, "batch places numbers"], residual: Float[Array, "batch places few"]
) -> Alignment:
    """The four scalars of a set of pictures, without gradient.

    Args:
        features: h.
        residual: r.

    Raises:
        ValueError: If there is but one row, that is one picture with one place.
    """
    rows = features.shape[0] * features.shape[1]
    check_at_least(rows, 2, "features", "A deviation needs two rows of batch and places.")
    found = []
    for numbers in (features, residual):
        flat = jax.lax.stop_gradient(numbers).reshape(rows, -1)
        found += [flat.mean(), flat.std(axis=0, ddof=1).mean()]
    return Alignment(*found)


class SemanticCodec(AbstractCodec):
    """Frozen features, with a residual or without; made by `make_semantic_codec`.

    Attributes:
        features: The frozen encoder, pictures -> (batch, places, channels).
        residual: The small encoder, pictures -> (batch, places, few); None for none.
        decoder: Latents -> pictures.
        stand_in: What replaces the aligned residual of a picture now and then; None without residual.
        frozen: The alignment that was measured; None for none.
        alignment: One of `ALIGNMENTS`.
        name: Name.
    """

    features: Callable[..., Array]
    residual: Callable[..., Array] | None
    decoder: Callable[..., Array]
    stand_in: Float[Array, " few"] | None
    frozen: Alignment | None
    alignment: str = eqx.field(static=True)
    name: str = eqx.field(static=True)

    def __check_init__(self):
        check_choice(self.alignment, "alignment", ALIGNMENTS)
        if (self.alignment == "frozen") != (self.frozen is not None):
            raise ValueError(
                f'`frozen` must be given for the alignment "frozen" alone, but the alignment is {self.alignment!r}. '
                "Call `freeze_alignment`."
            )

    def encode(self, images: Float[Array, "batch y x channels"]) -> Float[Array, " batch *latent"]:
        """[h ; r'], (batch, places, channels and few).

        Raises:
            ValueError: If features and residual have other places, or a batch holds too little to align by.
        """
        return self.latents(images)

    def decode(self, latents: Float[Array, " batch *latent"]) -> Float[Array, "batch y x channels"]:
        """What the decoder makes of the latents."""
        return self.decoder(latents)

    def parts(
        self, images: Float[Array, "batch y x channels"]
    ) -> tuple[Float[Array, "batch places numbers"], Float[Array, "batch places few"]]:
        """h, without gradient, and r before alignment.

        Raises:
            ValueError: If the two have other places, or there is no residual.
        """
        if self.residual is None:
            raise ValueError("`residual` must be an encoder for this, but the codec has none.")
        h, r = jax.lax.stop_gradient(self.features(images)), self.residual(images)
        if h.ndim != 3 or r.ndim != 3 or h.shape[:2] != r.shape[:2]:
            raise ValueError(
                f"`residual` must give (batch, places, few) at the places of `features`, whose shape is {h.shape}, "
                f"but gives {r.shape}."
            )
        return h, r

    def latents(
        self,
        images: Float[Array, "batch y x channels"],
        replaced: Bool[Array, " batch"] | None = None,
    ) -> Float[Array, " batch *latent"]:
        """As `encode`, the residual of some pictures replaced by the stand-in.

        Args:
            images: Pictures.
            replaced: Whose; None for none. Without residual it changes nothing.

        Raises:
            ValueError: As `encode`.
        """
        if self.residual is None:
            return jax.lax.stop_gradient(self.features(images))
        h, r = self.parts(images)
        if self.alignment != "none":
            r = (measure_alignment(h, r) if self.frozen is None else self.frozen)(r)
        if replaced is not None and self.stand_in is not None:
            empty = jnp.broadcast_to(self.stand_in[None, None], r.shape)
            r = jnp.where(replaced[:, None, None], empty, r)
        return jnp.concatenate([h, r], axis=-1)


def make_semantic_codec(
    features: Callable[..., Array],
    residual: Callable[..., Array] | None,
    decoder: Callable[..., Array],
    *,
    few: int,
    alignment: str,
    name: str,
    key: PRNGKeyArray,
) -> SemanticCodec:
    """A codec to be trained; one to be used "frozen" is trained with "batch" or "none", then given `freeze_alignment`.

    Args:
        features: The frozen encoder.
        residual: The small encoder; None for none.
        decoder: The decoder.
        few: Channels of the residual; 0 for none.
        alignment: "none" or "batch".
        name: Name.
        key: PRNG key of the stand-in, normal of deviation 0.02.

    Raises:
        ValueError: If the alignment is unknown or is "frozen", or `few` is 0 with a residual or not without.
    """
    hint = 'For "frozen" call `freeze_alignment` on a trained codec.'
    check_choice(alignment, "alignment", ALIGNMENTS[:2], hint)
    if (residual is None) != (few == 0) or few < 0:
        has = "no residual" if residual is None else "a residual"
        raise ValueError(
            f"`few` must be the channels of the residual, 0 without one, but is {few} with {has}."
        )
    stand_in = None if residual is None else 0.02 * jax.random.normal(key, (few,), jnp.float32)
    return SemanticCodec(
        features=features,
        residual=residual,
        decoder=decoder,
        stand_in=stand_in,
        frozen=None,
        alignment=alignment,
        name=name,
    )


def freeze_alignment(
    codec: SemanticCodec, images: Float[Array, "batch y x channels"]
) -> SemanticCodec:
    """The codec with the alignment of these pictures, from now on the same for all.

    Args:
        codec: A codec with a residual.
        images: Training pictures.

    Raises:
        ValueError: If it has no residual, or a feature is not finite.
    """
    h, r = codec.parts(images)
    check_finite(h, "features")
    check_finite(r, "residual")
    return dataclasses.replace(codec, frozen=measure_alignment(h, r), alignment="frozen")


def trains(codec: SemanticCodec) -> Any:
    """Which arrays of a codec train: those of residual, decoder and stand-in. For `train`'s `trainable`."""
    kept = {id(leaf) for leaf in jax.tree.leaves((codec.features, codec.frozen))}
    return jax.tree.map(lambda leaf: eqx.is_inexact_array(leaf) and id(leaf) not in kept, codec)


def decoding_loss(
    codec: SemanticCodec,
    images: Float[Array, "batch y x channels"],
    *,
    key: PRNGKeyArray,
    replaced: float | int,
    noise: float | int,
) -> Float[Array, ""]:
    """Mean square error of pictures decoded from latents that lack or blur something.

    Args:
        codec: The codec.
        images: Pictures.
        key: PRNG key.
        replaced: Share of pictures whose residual is replaced; 0.1 in SVG.
        noise: Largest deviation of the noise on latents, in their own unit; 0.8 in RAE, 0 in SVG.

    Raises:
        ValueError: If the share lies outside [0, 1], or the noise is negative or not finite.
    """
    check_in_range(replaced, "replaced", 0, 1)
    check_in_range(noise, "noise", 0, 1e6)
    keys = jax.random.split(key, 3)
    lost = jax.random.uniform(keys[0], (len(images),)) < replaced
    latents = codec.latents(images, lost)
    deviation = noise * jax.random.uniform(keys[1], (len(images),), latents.dtype)
    deviation = deviation.reshape(-1, *(1,) * (latents.ndim - 1))
    latents = latents + deviation * jax.random.normal(keys[2], latents.shape, latents.dtype)
    missed = codec.decode(latents) - images
    return jnp.mean(missed.astype(jnp.promote_types(images.dtype, jnp.float32)) ** 2)
