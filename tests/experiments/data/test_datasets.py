import gzip
import os
import struct

import numpy as np
import pytest

from experiments.data import datasets, mnist_files
from experiments.data.datasets import Dataset, available, load
from experiments.data.mnist_files import read_idx
from experiments.harness.errors import UserError


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch, tmp_path):
    monkeypatch.delenv("LIGHTECHO_DATA", raising=False)
    monkeypatch.setattr(datasets, "cache_folder", lambda: tmp_path / "cache")


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def images(n_train=30, n_test=20):
    random = np.random.default_rng(0)
    return {
        "x_train": random.integers(0, 256, (n_train, 28, 28), dtype=np.uint8),
        "y_train": np.arange(n_train, dtype=np.uint8) % 10,
        "x_test": random.integers(0, 256, (n_test, 28, 28), dtype=np.uint8),
        "y_test": np.arange(n_test, dtype=np.uint8) % 10,
    }


def test_digits_are_normalised_and_complete():
    from sklearn.datasets import load_digits

    digits = load("digits")
    pixels = np.concatenate([digits.x_train, digits.x_test])
    assert (pixels.min(), pixels.max(), pixels.dtype) == (0.0, 1.0, np.float32)
    # Every image is in exactly one of the two sets: sorted, they are the data set.
    whole = load_digits().images.reshape(-1, 64) / 16
    both = pixels.reshape(-1, 64)
    np.testing.assert_array_equal(both[np.lexsort(both.T)], whole[np.lexsort(whole.T)])


@pytest.mark.parametrize("name", ["digits", "iris"])
def test_what_is_read_from_the_files_of_scikit_learn_is_what_it_loads_itself(name):
    import sklearn.datasets

    theirs = vars(sklearn.datasets)[f"load_{name}"]()
    ours = load(name)
    assert ours.class_names == tuple(map(str, theirs.target_names))
    x = theirs.images / 16 if name == "digits" else theirs.data
    labels = dict(zip((a.tobytes() for a in x.astype(np.float32)), theirs.target, strict=True))
    for images, found in ((ours.x_train, ours.y_train), (ours.x_test, ours.y_test)):
        assert [labels[image.tobytes()] for image in images] == found.tolist()


@pytest.mark.parametrize("name", ["digits", "iris"])
def test_the_test_set_has_a_quarter_of_each_class(name):
    data = load(name)
    n_train, n_test = np.bincount(data.y_train), np.bincount(data.y_test)
    # Shares hold to within one example of each class.
    assert np.all(np.abs(n_test - 0.25 * (n_train + n_test)) <= 1)


def test_labels_stay_with_their_images():
    from sklearn.datasets import load_digits

    known = {
        image.tobytes(): label for image, label in zip(*load_digits(return_X_y=True), strict=True)
    }
    drawn = load("digits").limit(200, 50, seed=3)
    for x, y in ((drawn.x_train, drawn.y_train), (drawn.x_test, drawn.y_test)):
        assert all(
            known[(16.0 * im.ravel()).astype(float).tobytes()] == c
            for im, c in zip(x, y, strict=True)
        )


def test_the_split_is_the_same_each_time():
    np.testing.assert_array_equal(load("digits").x_test, load("digits").x_test)


def test_a_subset_relabels_in_the_given_order():
    data = load("digits")
    part = data.subset([7, 2])
    assert part.class_names == ("7", "2")
    np.testing.assert_array_equal(part.x_test[part.y_test == 0], data.x_test[data.y_test == 7])
    np.testing.assert_array_equal(part.x_test[part.y_test == 1], data.x_test[data.y_test == 2])


@pytest.mark.parametrize("classes", [[], [1, 1], [10], [-1]])
def test_a_subset_of_unknown_classes_is_refused(classes):
    with pytest.raises(ValueError, match="`classes`"):
        load("digits").subset(classes)


def test_validation_and_training_share_nothing_and_lose_nothing():
    data = load("digits")
    rest, x, y = data.hold_out(300, seed=1)
    assert len(x) == len(y) == 300
    assert len(rest.y_train) + 300 == len(data.y_train)
    both = np.concatenate([rest.x_train, x]).reshape(-1, 64)
    whole = data.x_train.reshape(-1, 64)
    np.testing.assert_array_equal(both[np.lexsort(both.T)], whole[np.lexsort(whole.T)])
    assert np.ptp(np.bincount(y) - 300 * np.bincount(data.y_train) / len(data.y_train)) <= 2
    np.testing.assert_array_equal(rest.x_test, data.x_test)


def test_the_seed_decides_what_is_drawn():
    data = load("digits")
    a, b, c = (data.limit(100, 50, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.x_train, b.x_train)
    assert not np.array_equal(a.x_train, c.x_train)


def test_more_than_there_is_cannot_be_drawn():
    with pytest.raises(ValueError, match="`n_train` must lie between 1 and 1348, but is 5000"):
        load("digits").limit(5000, 10, 0)


def test_an_npz_in_the_named_folder_is_read(tmp_path, monkeypatch):
    arrays = images()
    np.savez(tmp_path / "mnist.npz", **arrays)
    assert not available("mnist")
    monkeypatch.setenv("LIGHTECHO_DATA", str(tmp_path))
    assert available("mnist")
    assert not available("fashion_mnist")
    data = load("mnist")
    # 8-bit levels over 255 in float32: one rounding.
    np.testing.assert_allclose(data.x_train * 255, arrays["x_train"], rtol=2e-7)
    np.testing.assert_array_equal(data.y_test, arrays["y_test"])
    assert data.source == str(tmp_path / "mnist.npz")


def test_a_named_folder_without_the_file_is_an_error_that_names_both(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTECHO_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"LIGHTECHO_DATA is .* no .*fashion_mnist\.npz"):
        load("fashion_mnist")
    with pytest.raises(UserError, match=r"`folder` is "):
        load("mnist", tmp_path / "elsewhere")


def spoilt(arrays, **changes):
    return {k: v for k, v in (arrays | changes).items() if v is not None}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"y_test": None}, "lacks y_test"),
        ({"x_train": np.zeros((30, 28, 28))}, "x_train must be uint8"),
        ({"x_test": np.zeros((20, 784), np.uint8)}, "x_test must be uint8 images"),
        ({"y_train": np.zeros(29, np.uint8)}, "y_train must be 30 integers"),
        ({"y_train": np.full(30, 10, np.uint8)}, "between 0 and 9"),
    ],
)
def test_a_file_with_other_content_is_named_with_its_fault(tmp_path, changes, fault):
    np.savez(tmp_path / "mnist.npz", **spoilt(images(), **changes))
    with pytest.raises(UserError, match=rf"mnist\.npz is not a mnist file: .*{fault}"):
        load("mnist", tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 5000, -50])
def test_a_truncated_file_is_named(tmp_path, keep):
    path = tmp_path / "mnist.npz"
    np.savez_compressed(path, **images())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"Cannot read .*mnist\.npz") as caught:
        load("mnist", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_single_array_is_not_a_data_set(tmp_path):
    with open(tmp_path / "mnist.npz", "wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(UserError, match=r"mnist\.npz"):
        load("mnist", tmp_path)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match="digits, iris, mnist, fashion_mnist"):
        load("cifar")


def test_idx_is_big_endian_and_row_major(tmp_path):
    # Three axes of different length: a swapped order would give another shape or other values.
    array = np.arange(2 * 3 * 300).reshape(2, 3, 300) % 251
    for path, content in (
        (tmp_path / "a", idx(array)),
        (tmp_path / "a.gz", gzip.compress(idx(array))),
    ):
        path.write_bytes(content)
        np.testing.assert_array_equal(read_idx(path), array)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not an IDX file"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x01\x00", "not an IDX file"),
        (b"\x00\x00\x08\x03\x00\x00", "within its header"),
        (idx(np.arange(12).reshape(3, 4))[:-1], "must hold 12 values, but holds 11"),
    ],
)
def test_a_bad_idx_file_is_named(tmp_path, content, fault):
    path = tmp_path / "labels"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"labels.*{fault}"):
        read_idx(path)


def test_a_damaged_gzip_is_named(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(idx(np.arange(100)))[:-9])
    with pytest.raises(UserError, match=r"Cannot read .*x\.gz"):
        read_idx(path)


def serve(monkeypatch, folder, arrays):
    """Stands in for the network: writes what the home of the data would send, checked as pooch checks it."""
    import pooch

    def retrieve(url, known_hash, fname, path):
        key = {file: key for key, file in mnist_files.FILES.items()}[url.rsplit("/", 1)[1]]
        os.makedirs(path, exist_ok=True)
        target = folder / "cache" / fname
        target.write_bytes(gzip.compress(idx(arrays[key]), mtime=0))
        return str(target)

    monkeypatch.setattr(pooch, "retrieve", retrieve)


def test_a_download_is_converted_and_kept(tmp_path, monkeypatch):
    arrays = images()
    serve(monkeypatch, tmp_path, arrays)
    data = load("mnist")
    assert data.source == str(tmp_path / "cache" / "mnist.npz")
    np.testing.assert_array_equal(np.round(data.x_test * 255).astype(np.uint8), arrays["x_test"])
    np.testing.assert_array_equal(data.y_train, arrays["y_train"])
    monkeypatch.setattr(datasets, "download", None)
    assert isinstance(load("mnist"), Dataset)


@pytest.mark.parametrize(
    "error", [OSError("no route to host\nmore"), ValueError("hash of file does not match")]
)
def test_a_failed_download_says_what_to_do(monkeypatch, error):
    import pooch

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(pooch, "retrieve", fail)
    with pytest.raises(
        UserError, match=r"Cannot download mnist \((no route|hash).*set LIGHTECHO_DATA"
    ) as caught:
        load("mnist")
    assert "\n" not in str(caught.value)


def test_checksums_are_complete():
    for name in ("mnist", "fashion_mnist"):
        assert all(len(mnist_files.MD5[name][key]) == 32 for key in mnist_files.KEYS)
        assert mnist_files.FILES.keys() == mnist_files.MD5[name].keys()


def test_the_joined_set_has_the_garments_first_and_then_the_digits(tmp_path):
    np.savez(tmp_path / "mnist.npz", **images(30, 20))
    np.savez(tmp_path / "fashion_mnist.npz", **images(10, 10))
    both, digits = load("fashion_and_mnist", tmp_path), load("mnist", tmp_path)
    garments = load("fashion_mnist", tmp_path)
    assert both.n_classes == 20
    assert both.class_names == garments.class_names + digits.class_names
    assert both.y_train.dtype == np.int32
    for part in ("train", "test"):
        x, y = getattr(both, f"x_{part}"), getattr(both, f"y_{part}")
        for data, first in ((garments, 0), (digits, 10)):
            mine = (y >= first) & (y < first + 10)
            np.testing.assert_array_equal(x[mine], getattr(data, f"x_{part}"))
            np.testing.assert_array_equal(y[mine] - first, getattr(data, f"y_{part}"))


def test_the_joined_set_needs_both(tmp_path):
    np.savez(tmp_path / "mnist.npz", **images())
    assert not available("fashion_and_mnist", tmp_path)
    with pytest.raises(UserError, match=r"no .*fashion_mnist\.npz"):
        load("fashion_and_mnist", tmp_path)


def test_digits_stand_in_for_what_is_not_at_hand(tmp_path, monkeypatch):
    assert datasets.first_available("fashion_mnist", "mnist") == "digits"
    note = datasets.stand_in_note(["fashion_and_mnist"])
    assert "digits of scikit-learn stand in for fashion_and_mnist" in note
    assert "put fashion_mnist.npz and mnist.npz into a folder and set LIGHTECHO_DATA" in note
    np.savez(tmp_path / "mnist.npz", **images())
    monkeypatch.setenv("LIGHTECHO_DATA", str(tmp_path))
    assert datasets.first_available("fashion_mnist", "mnist") == "mnist"
    assert "mnist" not in datasets.stand_in_note(["mnist"])
    assert "for fashion_mnist, not" in datasets.stand_in_note(["mnist", "fashion_mnist"])
