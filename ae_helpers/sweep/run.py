"""One run of a sweep: a notebook in its own process and kernel, and what it leaves behind."""

import contextlib
import functools
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

# Always one thread a run: runs side by side do not fight for the cores, and the numbers are
# the same on machines with few cores and with many.
ONE_THREAD = dict.fromkeys(
    ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1"
)
START_ATTEMPTS = 3  # of a kernel that does not start
PACKAGES = ("ae-helpers", "keras", "numpy", "papermill", "tensorflow")


def run_on_worker(task: dict[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Do one run on the machine of a Dask worker; what comes back needs no shared folder.

    Parameters
    ----------
    task
        ``notebook`` (JSON text), ``params`` (those given to the run), ``data_source`` (or None,
        for a notebook without that parameter), ``timeout`` (seconds, or None) and
        ``sweep_started`` (what tells one sweep from the next).

    Returns
    -------
    outcome, files
        ``outcome``: ``status`` (``"done"`` or ``"failed"``), ``error``, ``metrics``,
        ``seconds``, ``data_fingerprint`` and ``versions``. ``files``: path in the run's folder to
        content; the executed notebook (of a failed run as far as it came) and what it saved.
    """
    from distributed import get_worker

    with tempfile.TemporaryDirectory(
        prefix="run-", dir=get_worker().local_directory, ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        start = time.perf_counter()
        error = _run_process(folder, task)
        seconds = time.perf_counter() - start
        metrics = {}
        if error is None:
            try:
                metrics = _saved_metrics(folder / "runs")
            except ValueError as broken:
                error = f"A metrics.json that the run saved cannot be read: {broken}"
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    outcome = {
        "status": "done" if error is None else "failed",
        "error": error,
        "metrics": metrics,
        "seconds": round(seconds, 2),
        "data_fingerprint": _fingerprint(task["data_source"], task["sweep_started"]),
        "versions": {"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in PACKAGES},
    }
    return outcome, files


def import_papermill() -> ModuleType:
    """Import papermill without the three seconds that a grammar of its dependencies takes.

    jsonschema builds, if it can, a parser for international web addresses when it is imported;
    no notebook has a field of that kind, and without the package it does without.
    """
    sys.modules.setdefault("rfc3987_syntax", None)
    import papermill

    return papermill


def _run_process(folder: Path, task: dict[str, Any]) -> str | None:
    """Run the notebook in a process of its own; return what went wrong, if anything."""
    (folder / "task.json").write_text(json.dumps(task))
    (folder / "runs").mkdir()
    environment = os.environ | ONE_THREAD | {"AE_RUNS_DIR": str(folder / "runs")}
    if "AE_MNIST" in environment:  # the notebook works in another folder
        environment["AE_MNIST"] = str(Path(environment["AE_MNIST"]).expanduser().resolve())
    with (folder / "log.txt").open("wb") as log:
        # Its standard input is a pipe that closes when this process dies, however it dies.
        # The session of its own keeps the terminal's Ctrl-C from it: the sweep decides.
        process = subprocess.Popen(
            [sys.executable, "-c", "from ae_helpers.sweep.run import main; main()", str(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            code = process.wait(task["timeout"])
        except subprocess.TimeoutExpired:
            process.stdin.close()
            process.wait()
            return f"It was stopped, since it took longer than {task['timeout']:g} s."
        finally:
            process.stdin.close()
            (folder / "task.json").unlink()
    log = (folder / "log.txt").read_text(errors="replace").strip()
    error_file = folder / "error.txt"
    if error_file.is_file():
        error = error_file.read_text(encoding="utf-8")
        error_file.unlink()
        return error
    if code != 0:
        return f"The run's process ended with code {code}. {log.splitlines()[-1] if log else ''}"
    (folder / "log.txt").unlink()
    return None


def _run_notebook(folder: Path) -> str | None:
    """Execute the notebook; papermill saves it after each cell. Return what went wrong."""
    papermill = import_papermill()
    import nbformat
    import zmq

    os.chdir(folder)
    task = json.loads(Path("task.json").read_text())
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            papermill.execute_notebook(
                nbformat.v4.upgrade(nbformat.from_dict(json.loads(task["notebook"]))),
                "notebook.ipynb",
                parameters=task["params"],
                progress_bar=False,
            )
            return None
        except papermill.PapermillExecutionError as error:
            return f"cell {error.exec_count}: {error.ename}: {error.evalue}"
        except (RuntimeError, TimeoutError, OSError, zmq.ZMQError) as error:
            if _has_begun(Path("notebook.ipynb")):
                return f"The kernel was lost in the middle: {type(error).__name__}: {error}"
            trouble = f"The kernel did not start, {attempt} times: {error}"
    return trouble


def _has_begun(notebook: Path) -> bool:
    """Whether a cell was sent to the kernel; until then it is safe to start again."""
    if not notebook.is_file():
        return False
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    # Not the status: papermill calls every cell completed when it gives up.
    return any(cell["metadata"].get("papermill", {}).get("start_time") for cell in cells)


def _saved_metrics(runs: Path) -> dict[str, Any]:
    """Collect what the notebook saved: one run's metrics as they are, several runs' by name."""
    saved = {
        path.parent.name: json.loads(path.read_text())
        for path in sorted(runs.glob("*/metrics.json"))
    }
    if len(saved) == 1:
        return next(iter(saved.values()))
    return {f"{name}.{key}": v for name, metrics in saved.items() for key, v in metrics.items()}


@functools.lru_cache
def _fingerprint(source: str | None, sweep_started: float) -> str | None:
    """Name the data that `source` stands for on this machine, once a sweep.

    A worker outlives a sweep, and for the next one a file may have other content.
    """
    from ae_helpers.data import data_name, load_mnist

    if source is None:
        return None
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            train, test = load_mnist(source)
    except (FileNotFoundError, ValueError):
        return None  # the notebook has failed on it and says why
    digest = hashlib.sha256(b"".join(array.tobytes() for array in (*train, *test)))
    return f"{data_name(train, test)} {digest.hexdigest()[:12]}"


def _die_with_the_worker() -> None:
    """Wait for the end of standard input, then end the kernel and this process at once."""
    import psutil

    os.read(0, 1)  # sys.stdin has a lock that this thread would hold when the process ends
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(1)


def main() -> None:
    """Execute the notebook of the folder named on the command line; leave its error there."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # which a worker does not get
    threading.Thread(target=_die_with_the_worker, daemon=True).start()
    folder = Path(sys.argv[1])
    error = _run_notebook(folder)
    if error is not None:
        (folder / "error.txt").write_text(error, encoding="utf-8")
