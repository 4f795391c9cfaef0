"""Tasks to the workers of a Dask cluster, on this machine or elsewhere, and their results back."""

import contextlib
import importlib.metadata
import logging
import queue
import signal
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import distributed

CONNECT = 5  # seconds, until the scheduler must have answered
WAIT_FOR_WORKERS = 60  # seconds, until the first worker of a cluster must have come
TICK = 1.0  # seconds between two looks at the cluster

Result = tuple[str, dict[str, Any], dict[str, bytes]]


@contextlib.contextmanager
def connect(
    scheduler: str | None, workers: int | None, n_tasks: int, scratch: Path
) -> Iterator["distributed.Client"]:
    """Connect to the cluster whose scheduler is named, or start one on this machine.

    Parameters
    ----------
    scheduler
        Its address, or None for this machine.
    workers
        Number of worker processes on this machine; None for one for each core.
    n_tasks
        There is no use in more workers than tasks.
    scratch
        Folder for the runs under way on this machine.

    Raises
    ------
    ConnectionError
        If there is no scheduler at the address, no worker comes to it, or the workers do not
        have this package.
    """
    import dask
    from distributed.utils import silence_logging_cmgr

    settings = {
        # How many of the last messages are kept for Dask's developers; each may hold a notebook.
        "distributed.admin.low-level-log-length": 10,
        # Dask looks at itself up to a hundred times a second, which costs a tenth of a core.
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "1s",
        "distributed.admin.system-monitor.interval": "10s",
        # Workers that die are replaced; a run that has brought down four is to blame itself.
        "distributed.scheduler.allowed-failures": 3,
    }
    # Dask tells of each worker that comes and goes; the sweep tells what matters of it.
    with dask.config.set(settings), silence_logging_cmgr(logging.CRITICAL):
        if scheduler is None:
            with _start_cluster(workers, n_tasks, scratch) as client:
                yield client
        else:
            with _find_cluster(scheduler) as client:
                yield client


@contextlib.contextmanager
def _start_cluster(
    workers: int | None, n_tasks: int, scratch: Path
) -> Iterator["distributed.Client"]:
    import distributed
    from dask.system import CPU_COUNT

    with _main_hidden(), contextlib.ExitStack() as stack:
        with _ctrl_c_held_back():
            cluster = distributed.LocalCluster(
                n_workers=min(workers or CPU_COUNT, n_tasks),
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",  # None would be port 8787, on all interfaces
                scheduler_kwargs={"dashboard": False},
                local_directory=scratch,
                silence_logs=logging.CRITICAL,
            )
            client = distributed.Client(stack.enter_context(cluster))
            stack.enter_context(client)
        yield client


@contextlib.contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Hold back Ctrl-C from this thread until the end, and for good from what it starts.

    A terminal sends Ctrl-C to all processes; the workers would answer with a traceback each.
    """
    resource_tracker.ensure_running()  # when it starts, multiprocessing lets Ctrl-C through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _find_cluster(scheduler: str) -> Iterator["distributed.Client"]:
    import distributed

    try:
        client = distributed.Client(scheduler, timeout=CONNECT)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"There is no Dask scheduler at {scheduler}: start one with `dask scheduler`."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT_FOR_WORKERS)
        except TimeoutError as error:
            raise ConnectionError(
                f"The scheduler at {scheduler} has no workers: start some with "
                f"`dask worker {scheduler}`."
            ) from error
        _check_package(client)
        yield client


@contextlib.contextmanager
def _main_hidden() -> Iterator[None]:
    """Keep new processes from running the caller's script.

    As multiprocessing starts them they would, and a script without ``if __name__ == "__main__"``
    would start its sweep again in each worker.
    """
    main = vars(sys.modules["__main__"])
    hidden = {name: main.pop(name) for name in ("__file__", "__spec__") if name in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(hidden)


def _check_package(client: "distributed.Client") -> None:
    """Refuse workers without this package: Dask alone would send them tasks again and again."""
    here = importlib.metadata.version("ae-helpers")
    try:
        there = set(client.run(importlib.metadata.version, "ae-helpers").values())
    except importlib.metadata.PackageNotFoundError:
        there = {"none"}
    if there != {here}:
        raise ConnectionError(
            f"The cluster's workers have {', '.join(sorted(there))} of the package ae-helpers, and "
            f"this machine has {here}: install the same on all of them."
        )


def distribute(
    client: "distributed.Client",
    work: Callable[[Any], tuple[dict[str, Any], dict[str, bytes]]],
    tasks: Mapping[str, Any],
) -> Iterator[Result | None]:
    """Have each task done by a worker, and hand over the results as they come.

    No more tasks are under way than the cluster has threads at the moment, so that memory does
    not grow with their number, and workers may come and go.

    Parameters
    ----------
    client
        Of `connect`.
    work
        What a worker does with a task; it returns an outcome and files.
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
    under_way: dict[str, distributed.Future] = {}
    ended: queue.SimpleQueue = queue.SimpleQueue()
    n_threads, next_look = 0, 0.0
    try:
        while waiting or under_way:
            if time.monotonic() >= next_look:
                n_threads = sum(client.nthreads().values())
                next_look = time.monotonic() + TICK
            for _ in range(min(n_threads - len(under_way), len(waiting))):
                name = waiting.popleft()
                future = client.submit(work, tasks[name], key=f"{name}-{uuid.uuid4()}")
                future.add_done_callback(partial(_note, ended, name))
                under_way[name] = future
            try:
                name = ended.get(timeout=TICK)
            except queue.Empty:
                yield None
                continue
            yield name, *_result(under_way.pop(name))
    except OSError as error:
        raise ConnectionError(
            "The cluster's scheduler was lost: resume when it is back."
        ) from error


def _note(ended: queue.SimpleQueue, name: str, _: "distributed.Future") -> None:
    ended.put(name)


def _result(future: "distributed.Future") -> tuple[dict[str, Any], dict[str, bytes]]:
    """Fetch a result; that the work itself failed is a result too."""
    import distributed

    if future.status == "finished":
        return future.result()
    if future.status != "error":
        raise ConnectionResetError(future.status)
    error = future.exception()
    if isinstance(error, distributed.KilledWorker):
        text = "The worker died in the middle of this run, each time it was tried."
    else:
        text = f"The worker could not do it: {type(error).__name__}: {error}"
    unknown = {"metrics": {}, "seconds": None, "data_fingerprint": None, "versions": {}}
    return {"status": "failed", "error": text} | unknown, {}
