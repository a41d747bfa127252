"""Pictures as rows of square patches, each a row of numbers, and back."""

from jaxtyping import Array, Float

from nn._checks import check_axis, check_divides


def patches(
    images: Float[Array, "batch y x channels"], patch: int
) -> Float[Array, "batch patches numbers"]:
    """Cuts pictures into square patches, row by row; the numbers of each in the order (y, x, channel).

    Raises:
        ValueError: If the patches do not fill the picture.
    """
    batch, height, width, channels = images.shape
    for side, name in ((height, "height"), (width, "width")):
        check_divides(patch, side, "patch", name, "Patches fill the picture.")
    cut = images.reshape(batch, height // patch, patch, width // patch, patch, channels)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(batch, -1, patch * patch * channels)


def join_patches(
    rows: Float[Array, "batch patches numbers"], height: int, width: int, patch: int
) -> Float[Array, "batch y x channels"]:
    """Pictures of the patches that `patches` cut.

    Args:
        rows: Patches, row by row; the numbers of each in the order (y, x, channel).
        height: Pixels along y.
        width: Pixels along x.
        patch: Pixels along a side of a patch.

    Raises:
        ValueError: If the patches do not fill the picture, or their numbers are not whole pixels.
    """
    for side, name in ((height, "height"), (width, "width")):
        check_divides(patch, side, "patch", name, "Patches fill the picture.")
    down, across = height // patch, width // patch
    check_axis(rows, "rows", 1, down * across, "Patches fill the picture.")
    check_divides(patch**2, rows.shape[-1], "patch * patch", "numbers of a patch")
    cut = rows.reshape(len(rows), down, across, patch, patch, -1)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(len(rows), height, width, -1)
