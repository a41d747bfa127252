import shutil

import numpy as np
import pytest
from matplotlib.image import imsave

from experiments.data import datasets, omniglot
from experiments.harness.errors import UserError

CHARACTERS = {
    "images_background": ("Greek/character01", "Greek/character02"),
    "images_evaluation": ("Atlantean/character01",),
}


def write_png(path, image):
    """Bilevel, as the official files are."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * image).astype(np.uint8)).convert("1").save(path)


def drawing(character, drawer):
    """White paper with an upright stroke of ink whose place tells character and drawer."""
    image = np.ones((105, 105))
    image[3 * drawer : 3 * drawer + 3, 30 * character : 30 * character + 6] = 0
    return image


@pytest.fixture
def folder(tmp_path):
    number = 0
    for name, characters in CHARACTERS.items():
        for character in characters:
            for drawer in (1, 15, 16, 20):
                path = tmp_path / name / character / f"{number + 1:04d}_{drawer:02d}.png"
                write_png(path, drawing(number, drawer))
            number += 1
    return tmp_path


def test_characters_of_both_sets_are_classes_and_late_drawers_test(folder):
    data = datasets.load("omniglot", folder)
    assert data.class_names == ("Greek/character01", "Greek/character02", "Atlantean/character01")
    assert data.x_train.shape == data.x_test.shape == (6, 35, 35)
    assert data.x_train.dtype == np.float32
    for x, y, drawers in (
        (data.x_train, data.y_train, (1, 15)),
        (data.x_test, data.y_test, (16, 20)),
    ):
        np.testing.assert_array_equal(np.bincount(y), [2, 2, 2])
        for label in range(3):
            # Ink of 3 x 6 pixels is 1 x 2 blocks, at the block row of the drawer and column 10 times the character.
            seen = [tuple(np.argwhere(image)[0]) for image in x[y == label]]
            assert sorted(seen) == [(drawer, 10 * label) for drawer in drawers]
            assert all(image.sum() == 2 for image in x[y == label])


def test_archives_are_read_as_their_folders(folder, tmp_path_factory):
    packed = tmp_path_factory.mktemp("packed")
    for name in omniglot.SETS:
        shutil.make_archive(str(packed / "omniglot" / name), "zip", folder, name)
    a, b = datasets.load("omniglot", folder), datasets.load("omniglot", packed)
    for key in datasets.KEYS:
        np.testing.assert_array_equal(getattr(a, key), getattr(b, key))
    assert a.class_names == b.class_names


def test_the_folder_of_the_user_is_used(folder, monkeypatch):
    monkeypatch.setenv("LIGHTECHO_DATA", str(folder))
    assert datasets.available("omniglot")
    assert datasets.load("omniglot").n_classes == 3


def test_without_a_folder_the_error_says_what_to_put_where(monkeypatch, folder):
    monkeypatch.delenv("LIGHTECHO_DATA", raising=False)
    assert not datasets.available("omniglot")
    with pytest.raises(UserError, match=r"images_background\.zip and images_evaluation\.zip .*set"):
        datasets.load("omniglot")
    shutil.rmtree(folder / "images_evaluation")
    with pytest.raises(UserError, match=rf"no images_evaluation\.zip in {folder}; put"):
        datasets.load("omniglot", folder)


def test_bad_files_are_named(folder):
    bad = folder / "images_background/Greek/character01/0001_02.png"
    imsave(bad, np.zeros((105, 100, 3)))
    with pytest.raises(UserError, match=r"0001_02\.png .* must be 105 x 105 grey pixels"):
        omniglot.read(folder)
    bad.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"Cannot read images_background/.*0001_02\.png"):
        omniglot.read(folder)
    bad.rename(bad.with_name("drawing.png"))
    with pytest.raises(UserError, match=r"drawing\.png, but files are named"):
        omniglot.read(folder)
    shutil.rmtree(folder / "images_background")
    (folder / "images_background.zip").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"Cannot read .*images_background\.zip"):
        omniglot.read(folder)


def test_too_few_drawers_are_named(tmp_path):
    for name in omniglot.SETS:
        write_png(tmp_path / name / "A/character01/0001_01.png", drawing(0, 1))
    with pytest.raises(UserError, match="has 2 and 0 of them"):
        omniglot.read(tmp_path)
