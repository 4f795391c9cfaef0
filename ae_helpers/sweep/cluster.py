"""Where runs are made, in threads of this process or by a Dask cluster's workers."""

import concurrent.futures
import contextlib
import importlib.metadata
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

CONNECT = 5  # seconds, until the scheduler must have answered
WAIT_FOR_WORKERS = 60  # seconds, until the first worker of a cluster must have come
TICK = 1.0  # seconds between two looks at the cluster
PACKAGE = "ae-helpers"

Result = tuple[dict[str, Any], dict[str, bytes]]  # outcome and files
Work = Callable[..., Result]


class ThisMachine:
    """Threads of this process; each waits for the process of its run.

    Parameters
    ----------
    workers
        How many; None for one for each core.
    """

    def __init__(self, workers: int | None) -> None:
        from dask.system import CPU_COUNT  # of this container, not of the machine around it

        self._n_threads = workers or CPU_COUNT
        self._threads = concurrent.futures.ThreadPoolExecutor(self._n_threads)
        self._stop = threading.Event()

    def places(self) -> int:
        """Count the tasks that can be under way."""
        return self._n_threads

    def submit(self, work: Work, task: Any) -> concurrent.futures.Future:
        """Have a thread do the task, until the end of this object."""
        return self._threads.submit(work, task, self._stop)

    def close(self) -> None:
        """Stop what is under way, at once."""
        self._stop.set()
        self._threads.shutdown(cancel_futures=True)


class Cluster:
    """The workers of a Dask cluster that have the same version of this package.

    Raises
    ------
    ConnectionError
        If there is no scheduler at the address, no worker comes to it, or a worker has not this
        package as it is here.
    """

    def __init__(self, scheduler: str) -> None:
        import distributed

        try:
            self._client = distributed.Client(scheduler, timeout=CONNECT)
        except (OSError, ValueError) as error:
            raise ConnectionError(
                f"There is no Dask scheduler at {scheduler}: start one with `dask scheduler`."
            ) from error
        self._executor = self._client.get_executor(pure=False)
        self._version = importlib.metadata.version(PACKAGE)
        self._versions: dict[str, str] = {}  # by the worker's address, of all that ever came
        self._workers: list[str] = []
        with contextlib.ExitStack() as on_error:
            on_error.callback(self.close)
            self._wait_for_workers(scheduler)
            on_error.pop_all()

    def _wait_for_workers(self, scheduler: str) -> None:
        try:
            self._client.wait_for_workers(1, timeout=WAIT_FOR_WORKERS)
        except TimeoutError as error:
            raise ConnectionError(
                f"The scheduler at {scheduler} has no workers: start some with "
                f"`dask worker {scheduler}`."
            ) from error
        self.places()
        there = set(self._versions.values())
        if there != {self._version}:
            raise ConnectionError(
                f"The cluster's workers have {', '.join(sorted(there))} of the package {PACKAGE}, "
                f"and this machine has {self._version}: install the same on all of them."
            )

    def places(self) -> int:
        """Count the threads of the fitting workers; these come and go."""
        threads = self._client.nthreads()
        if new := [worker for worker in threads if worker not in self._versions]:
            found = self._client.run(
                importlib.metadata.version, PACKAGE, workers=new, on_error="return"
            )
            for worker, version in found.items():
                self._versions[worker] = version if isinstance(version, str) else "none"
        self._workers = [w for w in threads if self._versions.get(w) == self._version]
        return sum(threads[worker] for worker in self._workers)

    def submit(self, work: Work, task: Any) -> concurrent.futures.Future:
        """Have a fitting worker do the task; another one only if these are lost."""
        fitting = {"workers": self._workers, "allow_other_workers": True}
        return self._executor.submit(work, task, **fitting)

    def close(self) -> None:
        """Leave the cluster; what is under way there goes on, and nobody collects it."""
        self._client.close()


Place = ThisMachine | Cluster


@contextlib.contextmanager
def connect(scheduler: str | None, workers: int | None) -> Iterator[Place]:
    """Find those who make the runs: the cluster whose scheduler is named, or this machine."""
    if scheduler is None:
        with contextlib.closing(ThisMachine(workers)) as machine:
            yield machine
    else:
        from distributed.utils import silence_logging_cmgr

        # Dask tells of each worker that goes; the sweep tells what matters of it.
        with (
            silence_logging_cmgr(logging.CRITICAL),
            contextlib.closing(Cluster(scheduler)) as cluster,
        ):
            yield cluster


def distribute(
    place: Place, work: Work, tasks: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any], dict[str, bytes]] | None]:
    """Have each task done, and hand over the results as they come.

    No more tasks are under way than there are places at the moment, so that memory does not grow
    with their number, and a cluster's workers may come and go.

    Parameters
    ----------
    place
        Of `connect`.
    work
        What is done with a task; it returns an outcome and files.
    tasks
        A task's name to what ``work`` is given.

    Yields
    ------
    (name, outcome, files) or None
        None when a second has passed without a result.

    Raises
    ------
    ConnectionError
        If the scheduler is lost.
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
        raise ConnectionError("The scheduler was lost: resume when it is back.") from error


def _result(future: concurrent.futures.Future) -> Result:
    """Fetch a result; that the work itself failed is a result too."""
    error = future.exception()
    if error is None:
        return future.result()
    import distributed  # it takes a second; a sweep on this machine does without

    if isinstance(error, distributed.KilledWorker):
        text = "The worker died in the middle of this run, each time it was tried."
    else:
        text = f"The worker could not do it: {type(error).__name__}: {error}"
    unknown = {"metrics": {}, "seconds": None, "versions": {}}
    return {"status": "failed", "error": text} | unknown, {}
