"""Omniglot, 1,623 handwritten characters by 20 people each, read from the official archives where the user has them.

B. M. Lake, R. Salakhutdinov, J. B. Tenenbaum, Science 350, 1332 (2015), DOI 10.1126/science.aab3050. The archives
`images_background.zip` (964 characters) and `images_evaluation.zip` (659) of github.com/brendenlake/omniglot hold PNG
files `<set>/<alphabet>/<character>/<number>_<drawer>.png` of 105 x 105 pixels, ink black. Nothing is downloaded.

All characters of both archives are classes here, as in the test of Taichi on 1,623 categories (Z. Xu et al., Science
384, 202 (2024)). How that work split training and test images is unknown to us; ours: drawers 1 to 15 train, 16 to 20
test, so that no hand is in both. Blocks of 3 x 3 pixels are averaged, which gives 35 x 35, and ink is 1.
"""

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.harness.errors import UserError

SETS = ("images_background", "images_evaluation")
SIZE = 105
BLOCK = 3
LAST_TRAINING_DRAWER = 15  # of 20; our choice


def find(folder: Path | str | None = None) -> list[Path]:
    """Finds the two sets, each as an extracted folder or as its archive.

    Args:
        folder: Where to look, there and in its subfolder `omniglot`; None takes `LIGHTECHO_DATA`.

    Raises:
        UserError: If there is no folder, or a set is missing; says what to put where.
    """
    named = folder or os.environ.get("LIGHTECHO_DATA")
    if not named:
        raise UserError(
            f"Omniglot is not downloaded: put {' and '.join(f'{s}.zip' for s in SETS)} of "
            "github.com/brendenlake/omniglot (folder python) into a folder and set LIGHTECHO_DATA to it."
        )
    root = Path(named).expanduser()
    found = [_find_set(root, name) for name in SETS]
    missing = [name for name, path in zip(SETS, found, strict=True) if path is None]
    if missing:
        raise UserError(
            f"There is no {' and no '.join(f'{s}.zip' for s in missing)} in {root}; put the archives of "
            "github.com/brendenlake/omniglot (folder python), or what they contain, there."
        )
    return [path for path in found if path is not None]


def _find_set(root: Path, name: str) -> Path | None:
    for place in (root, root / "omniglot"):
        if (place / name).is_dir():
            return place / name
        if (place / f"{name}.zip").is_file():
            return place / f"{name}.zip"
    return None


def read(
    folder: Path | str | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Reads all characters of both sets.

    Args:
        folder: See `find`.

    Returns:
        Training images, labels, test images, labels, class names; images (n, 35, 35) with ink 1, float32.

    Raises:
        UserError: If a set is missing, a file cannot be read, or an image has another size.
    """
    names: dict[str, int] = {}
    parts: dict[bool, list] = {True: [], False: []}
    for path in find(folder):
        for name, content in _files(path):
            label, drawer = _place(path, name)
            number = names.setdefault(label, len(names))
            parts[drawer <= LAST_TRAINING_DRAWER].append((_picture(path, name, content), number))
    if not parts[True] or not parts[False]:
        raise UserError(
            f"Omniglot needs drawings by drawers up to {LAST_TRAINING_DRAWER} and beyond, but "
            f"{path.parent} has {len(parts[True])} and {len(parts[False])} of them."
        )
    return *_stack(parts[True]), *_stack(parts[False]), tuple(names)


def _stack(part: list) -> tuple[np.ndarray, np.ndarray]:
    pictures, numbers = zip(*part, strict=True)
    return np.stack(pictures), np.array(numbers, np.int32)


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """PNG files in the order of their names, which is the same for a folder and for its archive."""
    if path.is_dir():
        for file in sorted(path.rglob("*.png")):
            yield str(file.relative_to(path.parent).as_posix()), file.read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(n for n in archive.namelist() if n.endswith(".png")):
                if not name.startswith("__MACOSX"):
                    yield name, archive.read(name)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"Cannot read {path}: {error}.") from error


def _place(path: Path, name: str) -> tuple[str, int]:
    """Class name `alphabet/character` and drawer of a file."""
    parts = Path(name).with_suffix("").parts
    drawer = parts[-1].rpartition("_")[2]
    if len(parts) < 3 or not drawer.isdigit():
        raise UserError(
            f"{path} holds {name}, but files are named alphabet/character/number_drawer.png."
        )
    return f"{parts[-3]}/{parts[-2]}", int(drawer)


def _picture(path: Path, name: str, content: bytes) -> np.ndarray:
    from matplotlib.image import imread

    try:
        image = np.asarray(imread(io.BytesIO(content), format="png"), np.float32)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow says SyntaxError for a broken PNG
        raise UserError(f"Cannot read {name} of {path}: {error}.") from error
    if image.shape != (SIZE, SIZE):
        raise UserError(
            f"{name} of {path} must be {SIZE} x {SIZE} grey pixels, but its shape is {image.shape}."
        )
    side = SIZE // BLOCK
    return 1 - image.reshape(side, BLOCK, side, BLOCK).mean(axis=(1, 3))
