"""The checkpoints of one run: which there are, which is the newest, which are kept.

Each has a folder of its own, `step_00001200`. The newest is found by looking: there is no file that says so and could
be wrong. A checkpoint is removed only after a newer one was committed, its manifest first, so that none is ever half
there and looks whole.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

from nn._checks import check_at_least, check_choice
from nn.checkpoint.commit import read_manifest
from nn.checkpoint.inspection import verify_checkpoint
from nn.checkpoint.load import load
from nn.checkpoint.manifest import NAME, CheckpointError
from nn.checkpoint.save import SaveHandle, save
from nn.checkpoint.storage import Store, open_store

SCORES = "scores.json"
_FOLDER = re.compile(rf"(step_(\d{{8,}}))/{re.escape(NAME)}")


class Series:
    """The checkpoints of one run.

    Args:
        path: Folder, URL of fsspec, or store of all of them.
        keep_last: How many of the newest are kept; None keeps all.
        keep_best: How many of those with the best scores are kept besides.
        best: Whether the `lowest` or the `highest` score is best.
        options: Passed to `nn.checkpoint.storage.open_store`.

    Raises:
        ValueError: If fewer than one is to be kept.
    """

    def __init__(
        self,
        path: str | Path | Store,
        *,
        keep_last: int | None = None,
        keep_best: int = 0,
        best: str = "lowest",
        **options: Any,
    ):
        if keep_last is not None:
            check_at_least(keep_last, 1, "keep_last")
        check_at_least(keep_best, 0, "keep_best")
        check_choice(best, "best", ("lowest", "highest"))
        self.store = open_store(path, **options)
        self._keep_last, self._keep_best, self._best = keep_last, keep_best, best

    def steps(self) -> list[int]:
        """Steps of all finished checkpoints, in order; whether they are whole is not looked at."""
        found = (_FOLDER.fullmatch(name) for name in self.store.names("step_"))
        return sorted(int(match[2]) for match in found if match)

    def latest(self, *, sound: bool = False) -> int | None:
        """Step of the newest finished checkpoint, None where there is none.

        Args:
            sound: Whether to read all its bytes, and to pass over a damaged one.
        """
        for step in reversed(self.steps()):
            if not sound or not verify_checkpoint(self.at(step)):
                return step
        return None

    def at(self, step: int) -> Store:
        """The store of the checkpoint of a step."""
        check_at_least(step, 0, "step")
        return self.store.under(f"step_{step:08d}")

    def save(
        self, state: Any, step: int, *, score: float | int | None = None, **options: Any
    ) -> SaveHandle:
        """Saves a state as a checkpoint of its own; once it is committed, those that need not be kept are removed.

        Args:
            state: As of `nn.checkpoint.save`.
            step: Step of the run.
            score: How good it is, for `keep_best`; one without is never among the best.
            options: As of `nn.checkpoint.save`.

        Raises:
            ValueError: If the score is not finite.
        """
        if score is not None and not math.isfinite(score):
            raise ValueError(f"`score` must be finite, but is {score}.")

        def committed() -> None:
            if score is not None:
                self._note(step, float(score))
            self.prune()

        return save(self.at(step), state, step=step, after=committed, **options)

    def load(self, target: Any = None, step: int | None = None, **options: Any) -> Any:
        """Loads a checkpoint, the newest where no step is named; as `nn.checkpoint.load`.

        Raises:
            FileNotFoundError: If there is none.
        """
        chosen = self.latest() if step is None else step
        if chosen is None:
            raise FileNotFoundError(f"there is no finished checkpoint in {self.store.location}.")
        return load(self.at(chosen), target, **options)

    def scores(self) -> dict[int, float]:
        """Scores of the checkpoints that have one, by step."""
        try:
            kept = json.loads(self.store.read(SCORES))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise CheckpointError(
                f"{self.store.location}/{SCORES} is damaged: {error}. Remove it; the checkpoints are not touched."
            ) from error
        return {int(step): score for step, score in kept.items()}

    def kept(self) -> set[int]:
        """Steps that stay: the newest ones and the best."""
        steps = self.steps()
        if self._keep_last is None:
            return set(steps)
        scores = {step: score for step, score in self.scores().items() if step in steps}
        sign = 1 if self._best == "lowest" else -1
        best = sorted(scores, key=lambda step: (sign * scores[step], -step))
        return {*steps[-self._keep_last :], *best[: self._keep_best]}

    def prune(self) -> list[int]:
        """Removes what need not be kept; returns its steps."""
        gone = [step for step in self.steps() if step not in self.kept()]
        for step in gone:
            remove_checkpoint(self.at(step))
        return gone

    def _note(self, step: int, score: float) -> None:
        known = {each: old for each, old in self.scores().items() if each in self.steps()}
        text = json.dumps({str(each): value for each, value in (known | {step: score}).items()})
        self.store.write(SCORES, [text.encode()])


def remove_checkpoint(store: Store) -> None:
    """Removes a finished checkpoint, its manifest first: what is left of it, however it ends, is no checkpoint."""
    files = [file.name for file in read_manifest(store).files]
    store.remove(NAME)
    for name in files:
        if store.exists(name):
            store.remove(name)
