"""Codecs: pictures to latents and back, all by one protocol, and the frozen statistics that normalise the latents.

A codec encodes (batch, y, x, channels) into latents (batch, ..., channels) and decodes them. What a flow sees are
normalised latents, (latent - mean) / sd, with statistics taken once from a training set:

    "none"           0 and 1
    "one_scale"      one mean and one sd
    "per_channel"    of each channel, over batch and positions (SVG); of latents without positions this whitens them
    "per_position"   of each number, over the batch (RAE)

They know which codec they belong to and which channels they hold, and refuse latents of another. Statistics of a batch,
which would make a picture's latent depend on its mates, are another function, `normalise_by_batch`, that nothing here
calls. The mean square error of decode(encode(x)) is what no generator can mend: report it beside every distance.
"""

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nn._checks import check_axis, check_choice, check_finite, check_in_range
from nn.layers.patches import join_patches, patches

KINDS = ("none", "one_scale", "per_channel", "per_position")


class AbstractCodec(eqx.Module):
    """Pictures to latents and back.

    Attributes:
        name: What statistics remember as their origin.
    """

    name: eqx.AbstractVar[str]

    @abc.abstractmethod
    def encode(self, images: Float[Array, "batch y x channels"]) -> Float[Array, " batch *latent"]:
        """Latents of pictures, each by itself."""

    @abc.abstractmethod
    def decode(self, latents: Float[Array, " batch *latent"]) -> Float[Array, "batch y x channels"]:
        """Pictures of latents."""


class PixelCodec(AbstractCodec):
    """The pixels themselves, cut into patches: latents (batch, patches, numbers of a patch).

    Attributes:
        height: Pixels along y.
        width: Pixels along x.
        patch: Pixels along a side of a patch.
        name: "pixels".
    """

    height: int = eqx.field(static=True)
    width: int = eqx.field(static=True)
    patch: int = eqx.field(static=True)
    name: str = eqx.field(static=True, default="pixels")

    def encode(self, images: Float[Array, "batch y x channels"]) -> Float[Array, " batch *latent"]:
        """Patches.

        Raises:
            ValueError: If they do not fill the picture.
        """
        check_axis(images, "images", 1, self.height, "The codec was made for another size.")
        check_axis(images, "images", 2, self.width, "The codec was made for another size.")
        return patches(images, self.patch)

    def decode(self, latents: Float[Array, " batch *latent"]) -> Float[Array, "batch y x channels"]:
        """Pictures out of patches."""
        return join_patches(latents, self.height, self.width, self.patch)


class NetworkCodec(AbstractCodec):
    """Any encoder and decoder: trained with or without labels, or random as a control.

    Attributes:
        encoder: Pictures -> latents.
        decoder: Latents -> pictures.
        name: Name.
    """

    encoder: Callable[..., Array]
    decoder: Callable[..., Array]
    name: str = eqx.field(static=True)

    def encode(self, images: Float[Array, "batch y x channels"]) -> Float[Array, " batch *latent"]:
        """What the encoder makes of the pictures."""
        return self.encoder(images)

    def decode(self, latents: Float[Array, " batch *latent"]) -> Float[Array, "batch y x channels"]:
        """What the decoder makes of the latents."""
        return self.decoder(latents)


class AxesCodec(AbstractCodec):
    """The first principal axes of another codec's latents: a control of equal dimension. Made by `fit_axes`.

    Attributes:
        base: The other codec.
        mean: Mean of its latents.
        axes: Orthonormal axes, the strongest first.
        name: Name.
    """

    base: AbstractCodec
    mean: Float[Array, " *latent"]
    axes: Float[Array, "k numbers"]
    name: str = eqx.field(static=True)

    def encode(self, images: Float[Array, "batch y x channels"]) -> Float[Array, " batch *latent"]:
        """Coordinates along the axes, (batch, k)."""
        moved = self.base.encode(images) - self.mean[None]
        return moved.reshape(len(moved), -1) @ self.axes.T

    def decode(self, latents: Float[Array, " batch *latent"]) -> Float[Array, "batch y x channels"]:
        """What the other codec makes of the point in its space."""
        moved = (latents @ self.axes).reshape(-1, *self.mean.shape)
        return self.base.decode(moved + self.mean[None])


def fit_axes(
    base: AbstractCodec, images: Float[Array, "batch y x channels"], n_axes: int
) -> AxesCodec:
    """The codec of the first principal axes of another codec's latents.

    Args:
        base: The other codec; `PixelCodec` for the principal components of pictures.
        images: Training pictures.
        n_axes: Axes.

    Raises:
        ValueError: If there are more axes than numbers in a latent, or than pictures but one.
    """
    latents = np.asarray(base.encode(images))
    flat = latents.reshape(len(latents), -1)
    most = min(flat.shape[1], len(flat) - 1)
    check_in_range(n_axes, "n_axes", 1, most, hint="That many numbers, or pictures, there are.")
    mean = flat.mean(axis=0)
    axes = np.linalg.svd(flat - mean, full_matrices=False)[2][:n_axes]
    mean, axes = jnp.asarray(mean.reshape(latents.shape[1:])), jnp.asarray(axes)
    return AxesCodec(base=base, mean=mean, axes=axes, name=f"{base.name}, {n_axes} axes")


class LinearDecoder(eqx.Module):
    """Latents -> pictures, linearly; made by `fit_linear_decoder`.

    Attributes:
        weight: Matrix.
        bias: Picture of latents of zero.
    """

    weight: Float[Array, "numbers pixels"]
    bias: Float[Array, "y x channels"]

    def __call__(
        self, latents: Float[Array, " batch *latent"]
    ) -> Float[Array, "batch y x channels"]:
        """Pictures."""
        flat = latents.reshape(len(latents), -1) @ self.weight
        return flat.reshape(-1, *self.bias.shape) + self.bias[None]


def fit_linear_decoder(
    latents: Float[Array, " batch *latent"],
    images: Float[Array, "batch y x channels"],
    ridge: float | int = 1e-3,
) -> LinearDecoder:
    """The linear decoder of least squares.

    Args:
        latents: Latents of training pictures.
        images: The pictures.
        ridge: What is added to each variance, as a share of their mean: our choice.

    Raises:
        ValueError: If the ridge is negative or not finite.
    """
    check_in_range(ridge, "ridge", 0, 1e6)
    flat = np.asarray(latents, float).reshape(len(latents), -1)
    pixels = np.asarray(images, float).reshape(len(images), -1)
    means = flat.mean(axis=0), pixels.mean(axis=0)
    flat, pixels = flat - means[0], pixels - means[1]
    gram = flat.T @ flat
    gram += ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    weight = np.linalg.solve(gram, flat.T @ pixels)
    bias = (means[1] - means[0] @ weight).reshape(images.shape[1:])
    return LinearDecoder(jnp.asarray(weight, images.dtype), jnp.asarray(bias, images.dtype))


class LatentStatistics(eqx.Module):
    """Frozen mean and deviation of the latents of one codec; made by `fit_statistics`.

    Attributes:
        mean: Mean, of a shape that broadcasts over latents.
        sd: Standard deviation of the population.
        shape: Shape of one latent.
        origin: Name of the codec.
    """

    mean: Float[Array, " *part"]
    sd: Float[Array, " *part"]
    shape: tuple[int, ...] = eqx.field(static=True)
    origin: str = eqx.field(static=True)

    def normalise(
        self, latents: Float[Array, " batch *latent"], *, origin: str
    ) -> Float[Array, " batch *latent"]:
        """(latent - mean) / sd.

        Raises:
            ValueError: If the latents are of another codec or shape.
        """
        self._check(latents, origin)
        return (latents - self.mean[None]) / self.sd[None]

    def restore(
        self, normalised: Float[Array, " batch *latent"], *, origin: str
    ) -> Float[Array, " batch *latent"]:
        """mean + sd times normalised latents.

        Raises:
            ValueError: If the latents are for another codec or of another shape.
        """
        self._check(normalised, origin)
        return self.mean[None] + self.sd[None] * normalised

    def _check(self, latents, origin):
        if origin != self.origin:
            raise ValueError(
                f"`statistics` must be those of the codec {origin!r}, but are those of {self.origin!r}."
            )
        if latents.shape[1:] != self.shape:
            raise ValueError(
                f"`latents` must have the shape that `statistics` were taken of, {self.shape} each, "
                f"but have {latents.shape[1:]}."
            )


def fit_statistics(
    latents: Float[Array, " batch *latent"], kind: str = "per_channel", *, origin: str
) -> LatentStatistics:
    """Statistics of the latents of a training set.

    Args:
        latents: Latents.
        kind: One of `KINDS`.
        origin: Name of the codec that made them.

    Raises:
        ValueError: If the kind is unknown, a latent is not finite, or something does not vary at all.
    """
    check_finite(latents, "latents")
    mean, sd = _moments(latents, kind)
    if not np.all(np.asarray(sd) > 0):
        where = tuple(int(i) for i in np.argwhere(np.asarray(sd) <= 0)[0])
        raise ValueError(
            f"`latents` must vary, but have a standard deviation of 0 at {where or 'all places'}. "
            'Leave that channel out, or take "one_scale".'
        )
    return LatentStatistics(mean, sd, latents.shape[1:], origin)


def normalise_by_batch(
    latents: Float[Array, " batch *latent"], kind: str = "per_channel"
) -> Float[Array, " batch *latent"]:
    """Latents normalised by their own batch: each then depends on its mates. For comparison with releases that do so.

    Raises:
        ValueError: If the kind is unknown.
    """
    mean, sd = _moments(latents, kind)
    return (latents - mean[None]) / sd[None]


def _moments(latents, kind):
    check_choice(kind, "kind", KINDS)
    last = latents.ndim - 1
    axes = {
        "one_scale": tuple(range(last + 1)),
        "per_channel": tuple(range(last)),
        "per_position": (0,),
    }
    if kind == "none":
        return jnp.zeros(last * (1,), latents.dtype), jnp.ones(last * (1,), latents.dtype)
    found = latents.mean(axes[kind], keepdims=True), latents.std(axes[kind], keepdims=True)
    return found[0][0], found[1][0]
