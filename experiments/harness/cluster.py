"""Pieces side by side on a Dask cluster: `lightecho run NAME --cluster ADDRESS`.

Any scheduler of Dask distributed will do. On this machine:

    dask scheduler & dask worker tcp://127.0.0.1:8786 --nworkers 2 --nthreads 1

Under SLURM by dask-jobqueue, from a session that stays open while the run goes on:

    from dask_jobqueue import SLURMCluster
    cluster = SLURMCluster(cores=4, processes=1, memory="8GB", walltime="02:00:00")
    cluster.scale(jobs=8)
    print(cluster.scheduler_address)  # for --cluster

On Kubernetes by dask-kubernetes, with an image that holds the same lightecho:

    from dask_kubernetes.operator import KubeCluster
    cluster = KubeCluster(name="lightecho", image="...", n_workers=8)
    print(cluster.scheduler_address)

The workers must have the same source as this command. One thread a worker: pieces use the cores of their process.
Source: Dask documentation, https://distributed.dask.org, https://jobqueue.dask.org, https://kubernetes.dask.org.
"""

import contextlib
import queue
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from experiments.harness.errors import UserError
from experiments.harness.relay import Done, Failed, Replay, compute
from experiments.harness.settings import Settings

CONNECT_S = 10
CHECK_S = 5  # seconds between looks at whether the scheduler is still there


class ClusterWorkers:
    """Workers of a Dask scheduler.

    Args:
        address: Of the scheduler, such as tcp://10.0.0.5:8786.
        code: Gives the fingerprint of the source; workers where it gives another one are refused.

    Raises:
        UserError: If distributed is not installed, no scheduler answers, or a worker has other source.
    """

    def __init__(self, address: str, code: Callable[[], str]):
        try:
            import distributed
        except ImportError as error:
            raise UserError(
                "`--cluster` needs Dask distributed, which is not installed; pip install lightecho[cluster]."
            ) from error
        self.address = address
        try:
            self._client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            raise UserError(
                f"`--cluster` must be the address of a Dask scheduler, such as tcp://127.0.0.1:8786, but at {address} "
                f"none answered within {CONNECT_S} s; `dask scheduler` starts one."
            ) from error
        self._check_code(code)

    def __str__(self) -> str:
        return f"Dask at {self.address}"

    def _check_code(self, code: Callable[[], str]) -> None:
        theirs: Any = self._client.run(code)
        other = sorted(worker for worker, found in theirs.items() if found != code())
        if other:
            self.close()
            raise UserError(
                f"`--cluster`: the source of lightecho at {other[0]} is not the one of this command; "
                "install the same one there."
            )

    def run(
        self, calls: Mapping[str, bytes], settings: Settings, replay: Replay
    ) -> Iterator[tuple[str, Done]]:
        """Yields pieces by label as they are finished.

        Args:
            calls: What `relay.pack` made, by label; started in this order.
            settings: To compute under.
            replay: Shows what the workers tell.

        Raises:
            UserError: If the scheduler is gone, or a piece has ended several workers.
            Exception: The error of a piece, as itself.
        """
        heard: queue.SimpleQueue = queue.SimpleQueue()
        topic = f"lightecho-{uuid.uuid4().hex}"
        self._client.subscribe_topic(topic, lambda event: heard.put(event[1]))
        futures = {}
        try:
            for number, (label, call) in enumerate(calls.items()):
                future = self._client.submit(
                    _compute_there, call, settings, topic, label, pure=False, priority=-number
                )
                futures[label] = future
                future.add_done_callback(lambda _, label=label: heard.put(label))
            while futures:
                for label in self._next(heard, futures, replay):
                    yield label, self._result(label, futures.pop(label))
                    replay.forget(label)
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self._client.cancel(list(futures.values()), force=True)
                self._client.unsubscribe_topic(topic)

    def _next(
        self, heard: queue.SimpleQueue, futures: Mapping[str, Any], replay: Replay
    ) -> list[str]:
        try:
            message = heard.get(timeout=CHECK_S)
        except queue.Empty:
            if self._client.status != "running":
                raise self._gone() from None
            return []
        if isinstance(message, str):
            return [message] if message in futures else []
        label, *content = message
        replay.hear(label, tuple(content))
        return []

    def _result(self, label: str, future: Any) -> Done:
        from concurrent.futures import CancelledError

        import distributed

        try:
            found = future.result()
        except distributed.KilledWorker as error:
            raise UserError(
                f"`{label}` has ended several workers of the cluster, perhaps for lack of memory; finished pieces are "
                "kept."
            ) from error
        except CancelledError as error:
            raise self._gone() from error
        if isinstance(found, Failed):
            raise found.again()
        return found

    def _gone(self) -> UserError:
        return UserError(
            f"`--cluster`: the scheduler at {self.address} no longer answers; finished pieces are kept, and the same "
            "command goes on from there."
        )

    def close(self) -> None:
        """Leaves the cluster, which goes on without us."""
        with contextlib.suppress(Exception):
            self._client.close(timeout=CONNECT_S)


def _compute_there(call: bytes, settings: Settings, topic: str, label: str) -> Done | Failed:
    import distributed

    worker = distributed.get_worker()

    def send(message: tuple) -> None:
        worker.log_event(topic, [label, *message])

    return compute(call, settings, send)
