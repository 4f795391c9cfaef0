"""Where runs are made: by threads of this process, or by the workers of a Dask cluster."""

import concurrent.futures
import contextlib
import importlib.metadata
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import distributed

CONNECT = 5  # seconds, until the scheduler must have answered
WAIT_FOR_WORKERS = 60  # seconds, until the first worker of a cluster must have come
TICK = 1.0  # seconds between two looks at the cluster

Result = tuple[dict[str, Any], dict[str, bytes]]  # outcome and files
Work = Callable[..., Result]


class ThisMachine:
    """Threads of this process; each waits for the process of its run."""

    def __init__(self, workers: int | None) -> None:
        from dask.system import CPU_COUNT  # of this container, not of the machine around it

        self._n_threads = workers or CPU_COUNT
        self._threads = concurrent.futures.ThreadPoolExecutor(self._n_threads)
        self._stop = threading.Event()

    def places(self) -> int:
        """Count the tasks that can be under way."""
        return self._n_threads

    def submit(self, work: Work, task: Any) -> concurrent.futures.Future:
        """Have a thread do the task."""
        return self._threads.submit(work, task, self._stop)

    def close(self) -> None:
        """Stop what is under way, at once."""
        self._stop.set()
        self._threads.shutdown(cancel_futures=True)


class Cluster:
    """The workers of a Dask cluster that have this package in the same version."""

    def __init__(self, client: "distributed.Client") -> None:
        self._client = client
        self._executor = client.get_executor(pure=False)
        self._workers: list[str] = []
        self._version = importlib.metadata.version("ae-helpers")
        self._versions: dict[str, str] = {}  # by the addresses of all workers that ever came
        self.places()
        if set(self._versions.values()) != {self._version}:
            there = ", ".join(sorted(set(self._versions.values())))
            raise ConnectionError(
                f"The cluster's workers have {there} of the package ae-helpers, and this machine "
                f"has {self._version}: install the same on all of them."
            )

    def places(self) -> int:
        """Count the threads of the fitting workers; these come and go."""
        threads = self._client.nthreads()
        if new := [worker for worker in threads if worker not in self._versions]:
            found = self._client.run(
                importlib.metadata.version, "ae-helpers", workers=new, on_error="return"
            )
            for worker, version in found.items():
                self._versions[worker] = version if isinstance(version, str) else "none"
        self._workers = [w for w in threads if self._versions.get(w) == self._version]
        return sum(threads[worker] for worker in self._workers)

    def submit(self, work: Work, task: Any) -> concurrent.futures.Future:
        """Have a fitting worker do the task; another one only when those are lost."""
        where = {"workers": self._workers, "allow_other_workers": True}
        return self._executor.submit(work, task, **where)


Place = ThisMachine | Cluster


@contextlib.contextmanager
def connect(scheduler: str | None, workers: int | None) -> Iterator[Place]:
    """Find those who make the runs: the cluster whose scheduler is named, or this machine.

    It is a ConnectionError if the cluster has no scheduler, no workers, or one of them does not
    have this package as it is here.
    """
    if scheduler is None:
        with contextlib.closing(ThisMachine(workers)) as machine:
            yield machine
        return
    import distributed
    from distributed.utils import silence_logging_cmgr

    # Dask tells of each worker that goes; the sweep tells what matters of it.
    with silence_logging_cmgr(logging.CRITICAL), contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(distributed.Client(scheduler, timeout=CONNECT))
            client.wait_for_workers(1, timeout=WAIT_FOR_WORKERS)
        except (OSError, ValueError) as error:  # a timeout is an OSError too
            raise ConnectionError(
                f"There is no Dask scheduler with workers at {scheduler}: start them with "
                f"`dask scheduler` and `dask worker {scheduler}`."
            ) from error
        yield Cluster(client)


def distribute(
    place: Place, work: Work, tasks: Mapping[str, Any]
) -> Iterator[tuple[str, *Result] | None]:
    """Have each task done, and hand over the results as they come; None after a second of none.

    No more tasks are under way than there are places at the moment, so that memory does not grow
    with their number, and a cluster's workers may come and go. If the scheduler is lost, it is a
    ConnectionError.
    """
    waiting = deque(tasks)
    under_way: dict[concurrent.futures.Future, str] = {}
    try:
        while waiting or under_way:
            for _ in range(min(place.places() - len(under_way), len(waiting))):
                name = waiting.popleft()
                under_way[place.submit(work, tasks[name])] = name
            if not under_way:
                time.sleep(TICK)  # a cluster that has lost its workers is waited for
            ended, _ = concurrent.futures.wait(under_way, TICK, concurrent.futures.FIRST_COMPLETED)
            for future in ended:
                yield under_way.pop(future), *_result(future)
            if not ended:
                yield None
    except (OSError, concurrent.futures.CancelledError) as error:
        raise ConnectionError(
            "The cluster's scheduler was lost: resume when it is back."
        ) from error


def _result(future: concurrent.futures.Future) -> Result:
    """Fetch a result; that the work itself failed is a result too."""
    error = future.exception()
    if error is None:
        return future.result()
    import distributed  # which takes a second; a sweep on this machine does without

    if isinstance(error, distributed.KilledWorker):
        text = "The worker died in the middle of this run, each time it was tried."
    else:
        text = f"The worker could not do it: {type(error).__name__}: {error}"
    unknown = {"metrics": {}, "seconds": None, "versions": {}}
    return {"status": "failed", "error": text} | unknown, {}
