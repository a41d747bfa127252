"""A model that is asked about pictures: a vision transformer, a projector, a decoder that sees it before the text.

    logits = decoder([projector(vit(picture)), E[text]])

All tokens of the picture stand at positions 0..m-1, the text after them; the decoder is causal throughout.

Source of the layout: H. Liu et al., arXiv 2304.08485 (LLaVA) and 2310.03744 (projector of two maps). Sizes are ours.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn.layers.feed_forward import split_key
from nn.layers.linear import AbstractLinear, make_dense
from nn.models.decoder import Decoder, DecoderConfig, make_decoder
from nn.models.vit import Vit, VitConfig, make_vit


@dataclass(frozen=True)
class VisionLanguageConfig:
    """Sizes of the parts.

    Attributes:
        vision: The encoder of pictures; its `classes` are of no use here.
        language: The decoder.
    """

    vision: VitConfig
    language: DecoderConfig

    @property
    def n_image(self) -> int:
        """Tokens of a picture."""
        return (self.vision.size // self.vision.patch) ** 2


class VisionLanguage(eqx.Module):
    """A decoder with eyes.

    Attributes:
        vision: Encoder of pictures.
        expand: First map of the projector.
        contract: Second map of the projector.
        decoder: The language model.
    """

    vision: Vit
    expand: AbstractLinear
    contract: AbstractLinear
    decoder: Decoder

    def __call__(
        self,
        images: Float[Array, "batch y x channels"],
        tokens: Int[Array, "batch n"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch n vocabulary"]:
        """Logits of the token after each of the text.

        Args:
            images: Pictures, one for each row.
            tokens: Text after the picture.
            key: For noisy maps.

        Raises:
            ValueError: If the pictures are of another size than the model.
        """
        keys = split_key(key, 2)
        x, _ = self.decoder.body(self.vectors(images, tokens, key=keys[0]), key=keys[1])
        return self.decoder.logits(x[:, -tokens.shape[1] :])

    def image_tokens(
        self, images: Float[Array, "batch y x channels"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch image_tokens width"]:
        """What the decoder sees of pictures, patch by patch, row by row."""
        keys = split_key(key, 3)
        features = self.vision.features(images, key=keys[0])[:, 1:]
        hidden = jax.nn.gelu(self.expand(features, key=keys[1]), approximate=False)
        return self.contract(hidden, key=keys[2])

    def vectors(
        self,
        images: Float[Array, "batch y x channels"],
        tokens: Int[Array, "batch n"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch all width"]:
        """Tokens of the picture and those of the text behind them, as the first block takes them."""
        seen = self.image_tokens(images, key=key)
        return jnp.concatenate([seen, self.decoder.embedding(tokens).astype(seen.dtype)], axis=1)

    def prefill(
        self,
        images: Float[Array, "batch y x channels"],
        tokens: Int[Array, "batch n"],
        caches: Any,
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, "batch n vocabulary"], Any]:
        """Logits of the text after a picture, and caches that know both; go on with `decoder.extend`.

        Raises:
            ValueError: If the caches have no room; NaN inside `jit`.
        """
        keys = split_key(key, 2)
        x = self.vectors(images, tokens, key=keys[0])
        logits, caches = self.decoder.extend_vectors(x, caches, key=keys[1])
        return logits[:, -tokens.shape[1] :], caches


def make_vision_language(
    config: VisionLanguageConfig, *, key: PRNGKeyArray, dtype: Any = jnp.float32
) -> VisionLanguage:
    """A model with random weights.

    Args:
        config: Sizes.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1, or heads do not divide.
    """
    keys = jax.random.split(key, 4)
    width = config.language.width
    return VisionLanguage(
        make_vit(config.vision, key=keys[0], dtype=dtype),
        make_dense(config.vision.width, width, key=keys[1], bias=True, dtype=dtype),
        make_dense(width, width, key=keys[2], bias=True, dtype=dtype),
        make_decoder(config.language, key=keys[3], dtype=dtype),
    )
