"""Generated pages on disk: written where they differ, so that Sphinx reads again only what changed; old ones go.

And the order in which they are read.
"""

import shutil
from pathlib import Path

_written: set[Path] = set()


def write_changed(path: Path, text: str) -> None:
    """Writes a page unless it says the same already."""
    _written.add(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def copy_changed(source: Path, path: Path) -> None:
    """Copies a notebook or a picture unless the copy is the same already."""
    _written.add(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_bytes() != source.read_bytes():
        shutil.copyfile(source, path)


def remove_others(folder: Path) -> None:
    """Removes files that this build did not write: pages of modules and experiments that are gone."""
    for path in folder.rglob("*"):
        if path.is_file() and path not in _written:
            path.unlink()


def spread(names: list[str], heavy: str) -> list[str]:
    """Pages with those under `heavy` dealt out evenly: each process of Sphinx reads a run of some twenty neighbours."""
    heavy_ones = [name for name in names if name.startswith(heavy)]
    light = [name for name in names if not name.startswith(heavy)]
    step = len(light) / max(1, len(heavy_ones))
    for i, name in enumerate(heavy_ones):
        light.insert(round(i * step) + i, name)
    return light
