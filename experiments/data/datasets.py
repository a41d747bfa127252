"""Image and flower data sets: digits and Iris from scikit-learn, MNIST and Fashion-MNIST as NPZ, Omniglot as archives.

The two large ones are looked for in the folder `LIGHTECHO_DATA`, then in the cache, and else downloaded from their own
homes (`mnist_files`). An NPZ holds `x_train`, `y_train`, `x_test`, `y_test` as uint8, images of 28 x 28.

Sources: digits, E. Alpaydin and C. Kaynak (1998), UCI repository; Iris, R. A. Fisher, Annals of Eugenics 7, 179 (1936);
MNIST, Y. LeCun, C. Cortes and C. J. C. Burges (1998); Fashion-MNIST, H. Xiao, K. Rasul and R. Vollgraf,
arXiv:1708.07747 (2017).
"""

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from experiments.data import omniglot
from experiments.data.mnist_files import HOMES, KEYS, download
from experiments.harness.errors import UserError
from experiments.harness.files import read_arrays

# One fixed seed: whoever loads a data set gets the same test set.
SPLIT_SEED = 0
TEST_FRACTION = 0.25

_DIGITS = tuple(str(digit) for digit in range(10))
_GARMENTS = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_CLASSES = {"mnist": _DIGITS, "fashion_mnist": _GARMENTS}
_BOTH = "fashion_and_mnist"  # the 20 classes of Fashion-MNIST, then MNIST
_JOINED = ("fashion_mnist", "mnist")
NAMES = ("digits", "iris", "mnist", "fashion_mnist", _BOTH, "omniglot")


@dataclass(frozen=True)
class Dataset:
    """Training and test examples with integer labels.

    Attributes:
        x_train: Images (n, y, x) in [0, 1], or features (n, features) for Iris; float32.
        y_train: Labels 0, 1, ...; int32.
        x_test: Held-out examples.
        y_test: Their labels.
        class_names: Name of each label.
        source: Where the data came from: a package, a file or an address.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    source: str

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def subset(self, classes: Sequence[int]) -> "Dataset":
        """Keeps the given classes and relabels them 0, 1, ... in the given order."""
        wanted = list(classes)
        if (
            not wanted
            or len(set(wanted)) != len(wanted)
            or not set(wanted) <= set(range(self.n_classes))
        ):
            raise ValueError(
                f"`classes` must be different labels between 0 and {self.n_classes - 1}, but is {wanted}."
            )
        names = tuple(self.class_names[c] for c in wanted)
        train = _pick(self.x_train, self.y_train, wanted)
        return Dataset(*train, *_pick(self.x_test, self.y_test, wanted), names, self.source)

    def limit(self, n_train: int, n_test: int, seed: int) -> "Dataset":
        """Draws fewer examples, the same share of each class, fixed by `seed`."""
        train = _draw(self.x_train, self.y_train, n_train, seed, "n_train")[0]
        test = _draw(self.x_test, self.y_test, n_test, seed + 1, "n_test")[0]
        return Dataset(*train, *test, self.class_names, self.source)

    def hold_out(self, n_validation: int, seed: int) -> tuple["Dataset", np.ndarray, np.ndarray]:
        """Takes validation examples out of the training set.

        Args:
            n_validation: How many, the same share of each class.
            seed: Decides which.

        Returns:
            Data set with the rest for training and the test set unchanged, validation examples, their labels.
        """
        (x, y), rest = _draw(self.x_train, self.y_train, n_validation, seed, "n_validation")
        return replace(self, x_train=rest[0], y_train=rest[1]), x, y


def _pick(x: np.ndarray, y: np.ndarray, classes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    keep = np.isin(y, classes)
    new_label = {old: new for new, old in enumerate(classes)}
    return x[keep], np.array([new_label[int(label)] for label in y[keep]], dtype=np.int32)


def _draw(x: np.ndarray, y: np.ndarray, n: int, seed: int, name: str):
    """Splits examples into `n` drawn ones and the rest, class shares kept to within one example."""
    if not 0 < n <= len(y):
        raise ValueError(f"`{name}` must lie between 1 and {len(y)}, but is {n}.")
    random = np.random.default_rng(seed)
    order = random.permutation(len(y))
    # Dealing the classes in turn: position of each example within its class, divided by the size of that class.
    turn = np.empty(len(y))
    for label in np.unique(y):
        members = order[y[order] == label]
        turn[members] = (np.arange(len(members)) + random.uniform()) / len(members)
    ranked = np.argsort(turn, kind="stable")
    drawn, rest = random.permutation(ranked[:n]), random.permutation(ranked[n:])
    return (x[drawn], y[drawn]), (x[rest], y[rest])


def load(name: str, folder: Path | str | None = None) -> Dataset:
    """Loads a data set, downloading it only where no file is found.

    Args:
        name: One of `NAMES`; "fashion_and_mnist" has the 20 classes of both, "omniglot" 1,623
            (`omniglot`).
        folder: Where the files lie; None takes `LIGHTECHO_DATA`, then the cache.

    Returns:
        Data set, images scaled to [0, 1].

    Raises:
        UserError: If the name is unknown, or a file is missing, unreadable or holds something else.
    """
    if name in ("digits", "iris"):
        return _from_scikit_learn(name)
    if name == _BOTH:
        return _join(*(load(single, folder) for single in _JOINED))
    if name == "omniglot":
        found = omniglot.find(folder)
        return Dataset(*omniglot.read(folder), ", ".join(str(path) for path in found))
    path = find(name, folder)
    return _from_npz(name, path if path is not None else download(name, cache_folder()))


def available(name: str, folder: Path | str | None = None) -> bool:
    """Tells whether `load` would find the data without downloading."""
    if name in ("digits", "iris"):
        return True
    if name == _BOTH:
        return all(available(single, folder) for single in _JOINED)
    try:
        look = omniglot.find(folder) if name == "omniglot" else find(name, folder)
        return look is not None
    except UserError:
        return False


def place(name: str) -> str:
    """Where `load` would take a data set from; "" where only a download would help.

    Raises:
        UserError: If it is missing and cannot be downloaded, or the folder that the user named does not hold it.
    """
    if name in ("digits", "iris"):
        return "scikit-learn"
    if name == _BOTH:
        places = [place(single) for single in _JOINED]
        return ", ".join(places) if all(places) else ""
    if name == "omniglot":
        return ", ".join(str(path) for path in omniglot.find())
    path = find(name)
    return "" if path is None else str(path)


def first_available(*names: str) -> str:
    """First of these data sets that is at hand, else the digits of scikit-learn, which always are."""
    return next(filter(available, names), "digits")


def stand_in_note(wanted: Sequence[str]) -> str:
    """Says that the digits stand in for data sets that are not at hand, and how to get those; "" where all are."""
    missing = [name for name in wanted if not available(name)]
    if not missing:
        return ""
    singles = [single for name in missing for single in (_JOINED if name == _BOTH else (name,))]
    files = " and ".join(f"{single}.npz" for single in singles)
    return (
        f"data: the digits of scikit-learn stand in for {' and '.join(missing)}, not found here; put {files} into a "
        "folder and set LIGHTECHO_DATA to it."
    )


def find(name: str, folder: Path | str | None = None) -> Path | None:
    """Finds the NPZ of MNIST or Fashion-MNIST; None where only a download would help.

    Raises:
        UserError: If the name is unknown, or the folder that the user named does not hold the file.
    """
    if name not in HOMES:
        raise UserError(f"There is no data set `{name}`; known are {', '.join(NAMES)}.")
    named = folder or os.environ.get("LIGHTECHO_DATA")
    if named:
        path = Path(named).expanduser() / f"{name}.npz"
        if path.is_file():
            return path
        by = "`folder`" if folder else "LIGHTECHO_DATA"
        raise UserError(
            f"{by} is {named}, but there is no {path}; put the file there or unset it to download."
        )
    cached = cache_folder() / f"{name}.npz"
    return cached if cached.is_file() else None


def cache_folder() -> Path:
    """Folder of downloaded data sets, of the operating system's choice."""
    import pooch

    return Path(pooch.os_cache("lightecho"))


def _join(first: Dataset, second: Dataset) -> Dataset:
    """All classes of two data sets of equal images, those of the second after those of the first."""
    shift = first.n_classes
    return Dataset(
        np.concatenate([first.x_train, second.x_train]),
        np.concatenate([first.y_train, second.y_train + shift]).astype(np.int32),
        np.concatenate([first.x_test, second.x_test]),
        np.concatenate([first.y_test, second.y_test + shift]).astype(np.int32),
        first.class_names + second.class_names,
        f"{first.source}, {second.source}",
    )


def _from_scikit_learn(name: str) -> Dataset:
    """Read from the files of the package, for importing it takes two seconds, a tenth of a quick run."""
    spec = importlib.util.find_spec("sklearn")
    places = (spec and spec.submodule_search_locations) or [""]
    folder = Path(places[0], "datasets", "data")
    if not folder.is_dir():
        raise UserError(
            f"scikit-learn's {name} are not in {folder}; is scikit-learn installed whole?"
        )
    if name == "digits":
        table = np.loadtxt(folder / "digits.csv.gz", delimiter=",")
        # Grey levels of the digits run from 0 to 16.
        x, names = table[:, :-1].reshape(-1, 8, 8) / 16.0, tuple("0123456789")
    else:
        table = np.loadtxt(folder / "iris.csv", delimiter=",", skiprows=1)
        x, names = table[:, :-1], ("setosa", "versicolor", "virginica")
    x, y = x.astype(np.float32), table[:, -1].astype(np.int32)
    test, train = _draw(x, y, round(TEST_FRACTION * len(y)), SPLIT_SEED, "n_test")
    return Dataset(*train, *test, names, f"scikit-learn {name}")


def _from_npz(name: str, path: Path) -> Dataset:
    arrays = read_arrays(path, "delete it to download it again")
    fault = _fault(arrays)
    if fault:
        raise UserError(f"{path} is not a {name} file: {fault}.")
    x_train, x_test = (
        (arrays[k] / np.float32(255)).astype(np.float32) for k in ("x_train", "x_test")
    )
    y_train, y_test = (arrays[k].astype(np.int32) for k in ("y_train", "y_test"))
    return Dataset(x_train, y_train, x_test, y_test, _CLASSES[name], str(path))


def _fault(arrays: dict[str, np.ndarray]) -> str:
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        return f"it lacks {', '.join(missing)}"
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.dtype != np.uint8 or x.ndim != 3:
            return f"x_{part} must be uint8 images (n, y, x), but is {x.dtype} of shape {x.shape}"
        if y.ndim != 1 or len(y) != len(x) or y.dtype.kind not in "iu":
            return f"y_{part} must be {len(x)} integers, but is {y.dtype} of shape {y.shape}"
        if y.size and (y.min() < 0 or y.max() > 9):
            return f"y_{part} must lie between 0 and 9, but reaches {y.min()} and {y.max()}"
    return ""
