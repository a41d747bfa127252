"""Processes that save and load together: who they are, and how small texts go up and down a tree of them.

The texts go through the key-value store of `jax.distributed`, on the host. No collective of the devices is used, so a
background thread may speak while the training runs its own. Process i reports to process (i - 1) // fan_out, which
waits for its few children before it reports: none handles more than `fan_out` messages of a round, however many there
are.
"""

import json
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax

from nn._checks import check_at_least


@runtime_checkable
class KeyValues(Protocol):
    """A store of texts that all processes share, such as the client of `jax.distributed`."""

    def key_value_set(self, name: str, value: str, /) -> Any:
        """Sets a text."""

    def blocking_key_value_get(self, name: str, timeout_in_ms: int, /) -> str:
        """A text, as soon as it is there."""
        ...


class Processes:
    """The processes of a run.

    Args:
        index: Number of this process.
        count: Number of processes.
        texts: Store of texts that they share; None where there is one process.
        fan_out: Most processes that report to one.
        timeout: Seconds that a message is waited for.

    Raises:
        ValueError: If there is more than one process, and no store.
    """

    def __init__(
        self,
        index: int = 0,
        count: int = 1,
        texts: KeyValues | None = None,
        *,
        fan_out: int = 16,
        timeout: float | int = 600,
    ):
        check_at_least(fan_out, 1, "fan_out")
        if count > 1 and texts is None:
            raise ValueError(f"`texts` must be given for {count} processes, but is None.")
        self.index, self.count = index, count
        self._texts = texts
        self._fan_out, self._timeout = fan_out, timeout

    def gather(self, tag: str, item: Any) -> list[Any] | None:
        """Brings an item of each process to the first one.

        Args:
            tag: Name of the round; never used again.
            item: What JSON can hold.

        Returns:
            The items by number of process in process 0, None in the others.

        Raises:
            TimeoutError: If a child does not report, naming it.
        """
        found = {str(self.index): item}
        first = self.index * self._fan_out + 1
        for child in range(first, min(first + self._fan_out, self.count)):
            found |= json.loads(self._get(f"{tag}/up/{child}", f"process {child}"))
        if self.index:
            self._set(f"{tag}/up/{self.index}", json.dumps(found))
            return None
        return [found[str(number)] for number in range(self.count)]

    def broadcast(self, tag: str, make: Callable[[], Any]) -> Any:
        """Makes an item in the first process, and gives it to all down the tree.

        Args:
            tag: Name of the round; never used again.
            make: Called in process 0 alone; what it returns is an item that JSON can hold.
        """
        if self.count == 1:
            return make()
        if self.index == 0:
            text = json.dumps(make())
        else:
            parent = (self.index - 1) // self._fan_out
            text = self._get(f"{tag}/down/{parent}", f"process {parent}")
        if self.index * self._fan_out + 1 < self.count:
            self._set(f"{tag}/down/{self.index}", text)
        return json.loads(text)

    def _set(self, key: str, text: str) -> None:
        assert self._texts is not None
        self._texts.key_value_set(f"lightecho/{key}", text)

    def _get(self, key: str, whose: str) -> str:
        assert self._texts is not None
        try:
            return self._texts.blocking_key_value_get(f"lightecho/{key}", int(self._timeout * 1000))
        except Exception as error:
            raise TimeoutError(
                f"process {self.index} waited {self._timeout:g} s for a message of {whose}, which has not come; "
                "look there for the reason."
            ) from error


def all_processes() -> Processes:
    """The processes of `jax.distributed`, or this one alone where it was not initialised."""
    if jax.process_count() == 1:
        return Processes()
    # The public `jax.distributed` begins and ends (JAX 0.10.2), but has no name for the client and its store of texts.
    # What is public between processes are collectives of devices, which a thread must not mix into the training's.
    from jax._src import distributed

    client = distributed.global_state.client
    return Processes(jax.process_index(), jax.process_count(), client)
