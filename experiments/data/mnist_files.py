"""MNIST and Fashion-MNIST from their own homes: four gzipped IDX files each, with checksums, kept as one NPZ."""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from experiments.harness.errors import UserError
from experiments.harness.files import write_arrays

KEYS = ("x_train", "y_train", "x_test", "y_test")
FILES = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}
HOMES = {
    # The mirror that torchvision uses, since the original site asks for no automatic downloads.
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion_mnist": "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
}
MD5 = {
    # torchvision, datasets/mnist.py
    "mnist": {
        "x_train": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "y_train": "d53e105ee54ea40749a09fcbcd1e9432",
        "x_test": "9fb629c4189551a2d022fa330f9573f3",
        "y_test": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    # README of zalandoresearch/fashion-mnist
    "fashion_mnist": {
        "x_train": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "y_train": "25c81989df183df01b3e8a0aad5dffbe",
        "x_test": "bef4ecab320f06d8554ea6380940ec79",
        "y_test": "bb300cfdad3c16e7a12a480ee83cd310",
    },
}


def download(name: str, folder: Path) -> Path:
    """Fetches a data set and keeps it as `folder`/`name`.npz, whose path is returned.

    Raises:
        UserError: If it cannot be fetched, or is not what its checksums say.
    """
    import pooch

    try:
        arrays = {}
        for key, file in FILES.items():
            known_hash = f"md5:{MD5[name][key]}"
            got = pooch.retrieve(
                HOMES[name] + file, known_hash, fname=f"{name}-{file}", path=folder
            )
            arrays[key] = read_idx(Path(got))
    except (
        OSError,
        ValueError,
    ) as error:  # requests' errors are OSErrors; a wrong checksum is a ValueError
        reason = str(error).splitlines()[0][:160]
        raise UserError(
            f"Cannot download {name} ({reason}); connect to the internet, or put {name}.npz with the keys "
            f"{', '.join(KEYS)} into a folder and set LIGHTECHO_DATA to it."
        ) from error
    path = folder / f"{name}.npz"
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    write_arrays(temporary, arrays)
    temporary.replace(path)
    return path


def read_idx(path: Path) -> np.ndarray:
    """Reads an IDX file of unsigned bytes, the format of MNIST: 0, 0, 8, n axes, sizes (big-endian), data.

    Args:
        path: File, gzipped where its name ends in .gz.

    Returns:
        Array of uint8.

    Raises:
        UserError: If the file cannot be read, is cut short or holds another type.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"Cannot read {path}: {error}.") from error
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise UserError(f"{path} is not an IDX file of unsigned bytes.")
    header = 4 + 4 * content[3]
    if len(content) < header:
        raise UserError(f"{path} is cut short within its header.")
    shape = struct.unpack(f">{content[3]}I", content[4:header])
    if len(content) != header + math.prod(shape):
        raise UserError(
            f"{path} must hold {math.prod(shape)} values, but holds {len(content) - header}."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
