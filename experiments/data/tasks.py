"""Classification tasks on the device: the first classes of a data set, capped, drawn by seed."""

from dataclasses import dataclass
from functools import lru_cache

import jax

from experiments.data import datasets


@dataclass(frozen=True)
class Task:
    """Images and labels of one classification task, on the device."""

    x_train: jax.Array
    y_train: jax.Array
    x_test: jax.Array
    y_test: jax.Array
    class_names: tuple[str, ...]
    source: str

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


def load_task(name: str, n_classes: int, n_train: int, n_test: int, seed: int) -> Task:
    """First `n_classes` classes of a data set; `n_train` and `n_test` cap the counts, 0 keeps all."""
    data = datasets.load(name)
    if not 2 <= n_classes <= data.n_classes:
        raise ValueError(
            f"`n_classes` must lie between 2 and {data.n_classes} for {name}, but is {n_classes}."
        )
    data = data.subset(range(n_classes))
    n_train = min(n_train or len(data.y_train), len(data.y_train))
    n_test = min(n_test or len(data.y_test), len(data.y_test))
    data = data.limit(n_train, n_test, seed)
    # `jnp.asarray` would compile a program for each shape.
    x_train, y_train, x_test, y_test = jax.device_put(
        (data.x_train, data.y_train, data.x_test, data.y_test)
    )
    return Task(
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        class_names=data.class_names,
        source=data.source,
    )


@lru_cache(maxsize=4)
def shared_task(name: str, n_classes: int, n_train: int, n_test: int, seed: int) -> Task:
    """`load_task`, once a process: pieces that run in another one are sent the name of the data, not the images."""
    return load_task(name, n_classes, n_train, n_test, seed)
