"""Trainings that survive a kill: their state is saved every so many steps or seconds, and found again.

A step of `train` depends on its number, the state and the key alone, and a state is saved only between two calls of
the compiled program; so a training that was killed and begun again goes through the same programs on the same numbers,
and ends in the same bits. Saved are weights, the optimiser's memory, the number of steps, which is also the position in
the data, the key and the losses so far. Files are written by `nn.checkpoint` while the training goes on.

A training is known by its weights, data and key at the start and its counts. Loss and optimiser are functions and no
part of that: a folder is for one program.
"""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nn._checks import check_at_least, check_positive
from nn.checkpoint import Series, load
from nn.checkpoint.manifest import NAME as MANIFEST
from nn.checkpoint.save import settle


@dataclass(frozen=True)
class Saves:
    """Where and how often states of trainings are saved.

    Attributes:
        folder: Folder of the trainings of one program, each in a folder of its own there.
        steps: A state is saved after the first compiled call that ends this many steps after the last saved one; None
            does not count steps.
        seconds: The same in seconds; None looks at no clock.
        number: Tells trainings apart that start alike in all that they are known by.
        tell: Called with a line where a training goes on from a saved state.

    Raises:
        ValueError: If neither steps nor seconds are given, or are not positive.
    """

    folder: str | Path
    steps: int | None = None
    seconds: float | int | None = None
    number: int = 0
    tell: Callable[[str], None] | None = None

    def __post_init__(self):
        if self.steps is None and self.seconds is None:
            raise ValueError("`steps` or `seconds` must be given, but both are None.")
        if self.steps is not None:
            check_at_least(self.steps, 1, "steps")
        if self.seconds is not None:
            check_positive(self.seconds, "seconds")


class SavedTraining:
    """The saved states of one training; the newest two are kept.

    Args:
        saves: Where and how often.
        name: Who trains.
        start: State at the start.
        known_by: What else tells it from other trainings: a pytree of arrays, numbers and strings.
        key: Key of the training.
    """

    def __init__(self, saves: Saves, name: str, start: Any, known_by: Any, key: Any):
        self._saves, self._name, self._key = saves, name, key
        words = re.sub(r"[^A-Za-z0-9-]+", "_", name)[:40]
        digest = _digest((name, saves.number, start, known_by, key))
        self._series = Series(Path(saves.folder) / f"{words}-{digest}", keep_last=2)
        self._saved, self._at = start.n_done, time.monotonic()

    def newest(self, start: Any, n_steps: int) -> tuple[Any, np.ndarray]:
        """The newest sound state and the losses until there; the start and none where nothing is saved.

        Args:
            start: State at the start, whose structure, dtypes and shardings the found one has.
            n_steps: Steps of the whole training, to be told.
        """
        settle()  # an earlier try in this process, ended by an error, may still be writing
        step = self._series.latest(sound=True)
        for later in self._series.steps():
            if step is None or later > step:
                # Damaged. Without its manifest it is no checkpoint, and its place is free.
                self._series.at(later).remove(MANIFEST)
        if step is None:
            return start, np.zeros(0, np.float32)
        about = load(self._series.at(step), at="['about']")
        state = load(self._series.at(step), start, at="['state']")
        self._saved, self._at = step, time.monotonic()
        if self._saves.tell is not None:
            self._saves.tell(f"{self._name}: goes on from step {step} of {n_steps}")
        return _weakened(state, about["['weak']"]), about["['losses']"]

    def keep(self, state: Any, losses: list[np.ndarray], *, last: bool = False) -> None:
        """Saves a state where it is time, and the last one always; waits for that one.

        Args:
            state: State after a call; `n_done` is its step.
            losses: Losses of all calls.
            last: Whether the training has ended.

        Raises:
            Exception: What went wrong in this save or the one before.
        """
        if state.n_done == self._saved or not (last or self._is_due(state.n_done)):
            return
        weak = [bool(getattr(leaf, "weak_type", False)) for leaf in jax.tree.leaves(state)]
        about = {"losses": np.concatenate(losses), "weak": np.array(weak), "key": self._key}
        kept = {"state": state, "about": about}
        self._series.save(kept, state.n_done, wait=last)
        self._saved, self._at = state.n_done, time.monotonic()

    def _is_due(self, step: int) -> bool:
        steps, seconds = self._saves.steps, self._saves.seconds
        return (steps is not None and step - self._saved >= steps) or (
            seconds is not None and time.monotonic() - self._at >= seconds
        )


def _weakened(state: Any, weak: np.ndarray) -> Any:
    """The state with weakly typed arrays where they were, without which another program would be compiled."""
    leaves, structure = jax.tree.flatten(state)
    for place in np.nonzero(weak)[0]:
        found = leaves[place]
        where = found.sharding if found.committed else None
        nothing = jnp.full(found.shape, np.zeros((), found.dtype).item(), device=where)
        leaves[place] = nothing.at[...].set(found)
    return jax.tree.unflatten(structure, leaves)


def _digest(tree: Any) -> str:
    """First hex digits of a SHA-256 of all arrays, numbers and strings of a tree."""
    sha = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        if isinstance(leaf, jax.Array | np.ndarray | np.generic):
            array = np.asarray(leaf, order="C")
            sha.update(f"{array.dtype.name}{array.shape}".encode())
            sha.update(array.reshape(-1).view(np.uint8).data)
        elif isinstance(leaf, bool | int | float | complex | str):
            sha.update(repr(leaf).encode())
    return sha.hexdigest()[:12]
