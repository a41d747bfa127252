"""The training of experiments: `nn.training.train`, saved as `--save-every` says and gone on with after a kill."""

import contextlib
from typing import Any

from experiments.harness import saving
from experiments.harness.errors import StorageError
from nn.checkpoint import CheckpointError
from nn.checkpoint.save import settle
from nn.training import Saves, Trained
from nn.training import train as train_unsaved


def train(*arguments: Any, name: str = "training", **options: Any) -> Trained:
    """As `nn.training.train`, to which all arguments go.

    Raises:
        StorageError: If a state could not be saved or read.
    """
    here = saving.here()
    if here is None:
        return train_unsaved(*arguments, name=name, **options)
    saves = Saves(
        here.every.folder, here.every.steps, here.every.seconds, here.begun[name], here.tell
    )
    here.begun[name] += 1
    try:
        return train_unsaved(*arguments, name=name, saves=saves, **options)
    except (OSError, CheckpointError) as error:
        raise StorageError(
            f"Cannot save {name}: {error} What was saved before is kept; `--save-every` may be left out."
        ) from error
    except BaseException:
        # Stopped while a state is being written: it is worth waiting for.
        with contextlib.suppress(Exception):
            settle()
        raise
