"""Files in the safetensors format, read with the package `safetensors`.

Through `safe_open`: of safetensors 0.8.0, `safetensors.numpy.load` cannot read the BF16 that its `save` wrote.
"""

from pathlib import Path

from nn.weights.tensor_file import TensorFile, check_sha256, import_package, open_path


def read_safetensors(path: Path | str, *, sha256: str | None = None) -> TensorFile:
    """Opens a safetensors file.

    Args:
        path: The file.
        sha256: Digest that it must have; None does not ask.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If the package `safetensors` is missing.
        ValueError: If the file is truncated or no safetensors file, or has another digest.
    """
    path = open_path(path)
    package = import_package("safetensors")
    if sha256 is not None:
        check_sha256(path, sha256)
    try:
        file = package.safe_open(str(path), framework="np")
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 it is no mapping
    except package.SafetensorError as error:
        raise ValueError(
            f"`path` must be a whole safetensors file, but {path} is truncated or none: {error}."
        ) from error
    shapes = {name: tuple(piece.get_shape()) for name, piece in slices.items()}
    stored_as = {name: str(piece.get_dtype()) for name, piece in slices.items()}
    return TensorFile(path, shapes, stored_as, file.metadata() or {}, file.get_tensor)
