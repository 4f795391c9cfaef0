"""One run of a sweep: a notebook in its own process and kernel, and what it leaves behind."""

import contextlib
import importlib.metadata
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import psutil

if TYPE_CHECKING:
    from ae_helpers.sweep.warm import WarmRun

# Always one thread a run: runs side by side do not fight for the cores, and the numbers are
# the same on machines with few cores and with many.
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
START_ATTEMPTS = 3  # of a kernel that does not start
WARM_ATTEMPTS = 2  # of a run whose warm process dies under it; then it starts cold
LOOK = 0.02  # seconds between two looks at a run under way
PACKAGES = ("ae-helpers", "keras", "numpy", "papermill", "tensorflow")
LEFT_OUT = re.compile(r"(.*/)?\.|(metrics\.json|log\.txt)(/|$)")  # hidden, or the sweep's own names


def run_on_worker(
    task: dict[str, Any], stop: threading.Event | None = None
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Do one run, on this machine or on that of a Dask worker; nothing needs a shared folder.

    ``task`` has ``notebook`` (JSON text), ``params`` (those given to the run), ``timeout``
    (seconds, or None), ``version`` (of this package where the sweep is; another one is a
    RuntimeError), ``folder`` (in which to work; None for the Dask worker's) and ``warm`` (the
    sweep's own name for its warm process; None for a cold start). ``stop`` is set when the run is
    to end at once, and nobody wants its result.

    The outcome has ``status`` (``"done"`` or ``"failed"``), ``error``, ``metrics``, ``start``
    (``"warm"``, ``"cold"``, or ``"cold: "`` and why it was not warm), ``seconds`` in all,
    ``stages`` (the seconds of those that are known) and ``versions``; the files, by their path in
    the run's folder, are the executed notebook (of a failed run as far as it came) and what it
    saved.
    """
    versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    if versions["ae-helpers"] != task["version"]:
        raise RuntimeError(
            f"it has {versions['ae-helpers']} of the package ae-helpers, and the sweep "
            f"{task['version']}: install the same on both."
        )
    scratch = task["folder"]
    if scratch is None:
        from distributed import get_worker

        scratch = get_worker().local_directory
    begin, stop = time.time(), stop or threading.Event()
    for attempt in range(WARM_ATTEMPTS + 1):
        warm = task["warm"] if attempt < WARM_ATTEMPTS else None
        try:
            outcome, files = _run_in_new_folder(scratch, task | {"warm": warm}, stop, begin)
            break
        except ChildProcessError:  # the warm process died: nothing says how the run ended
            continue
    if task["warm"] and not warm:
        outcome["start"] = "cold: its warm process died each time"
    outcome |= {"seconds": round(time.time() - begin, 2)}
    return outcome | {"versions": {"python": platform.python_version()} | versions}, files


def _run_in_new_folder(
    scratch: str, task: dict[str, Any], stop: threading.Event, begin: float
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Make the run in a folder of its own, and collect what it leaves there."""
    with tempfile.TemporaryDirectory("-run", dir=scratch, ignore_cleanup_errors=True) as name:
        place = Path(name)
        metrics, error = {}, _run_process(place, task, stop)
        if error is None:
            try:
                metrics = _saved_metrics(place / "run" / "runs")
            except (ValueError, RecursionError) as broken:
                error = f"A metrics.json that the run saved cannot be read: {broken}"
        stages, files = _stages(place, begin), _files(place / "run")
        if error and (log := (place / "log.txt").read_bytes()):
            files["log.txt"] = log
        start = "warm" if task["warm"] else "cold"
        if (place / "cold.txt").is_file():
            start = f"cold: {(place / 'cold.txt').read_text()}"
    outcome = {"status": "failed" if error else "done", "error": error, "metrics": metrics}
    return outcome | {"start": start, "stages": stages}, files


def _run_process(place: Path, task: dict[str, Any], stop: threading.Event) -> str | None:
    """Run the notebook in a process of its own, in ``run/``; return what went wrong, if any."""
    (place / "run" / "runs").mkdir(parents=True)
    (place / "input.ipynb").write_text(task["notebook"], encoding="utf-8")
    (place / "params.json").write_text(json.dumps(task["params"]))
    environment = os.environ | dict.fromkeys(THREADS, "1")
    environment |= {"AE_RUNS_DIR": str(place / "run" / "runs"), "JUPYTER_RUNTIME_DIR": str(place)}
    environment |= {"AE_STAGES": str(place / "stages.txt")}
    # Runs of equal shapes share their compiled programs: TensorFlow renames each into place whole.
    cache = json.dumps(str(place.parent / "programs"), ensure_ascii=False)
    environment.setdefault("TF_XLA_FLAGS", f"--tf_xla_persistent_cache_directory={cache}")
    if "AE_MNIST" in environment:  # the notebook works in another folder
        environment["AE_MNIST"] = str(Path(environment["AE_MNIST"]).expanduser().resolve())
    limit = task["timeout"] or math.inf
    end = time.monotonic() + limit
    with (place / "log.txt").open("wb") as log:
        try:
            code = _wait(_start(task["warm"], place, environment, log), stop, end)
        except NotImplementedError as refusal:
            (place / "cold.txt").write_text(str(refusal))
            code = _wait(_start(None, place, environment, log), stop, end)
    if code is None:
        return f"It was stopped, since it took longer than {limit:g} s."
    if (place / "error.txt").is_file():
        return (place / "error.txt").read_text(encoding="utf-8")
    if code != 0:
        last = (place / "log.txt").read_text(errors="replace").strip().rpartition("\n")[2]
        return f"The run's process ended with code {code}. {last}".strip()
    return None


def _start(
    warm_process: str | None, place: Path, environment: dict[str, str], log: BinaryIO
) -> "subprocess.Popen | WarmRun":
    """Start a process for the run: forked from a warm one, or a Python of its own."""
    if warm_process:
        from ae_helpers.sweep import warm

        return warm.start(warm_process, place, environment)
    # Its standard input is a pipe that closes when this process dies, however it dies. The
    # session of its own keeps the terminal's Ctrl-C from it. This file is run alone (-P: its
    # folder is no place to import from), since the whole package takes longer to import.
    return subprocess.Popen(
        [sys.executable, "-P", __file__],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=place / "run",
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # on Windows
    )


def _wait(process: "subprocess.Popen | WarmRun", stop: threading.Event, end: float) -> int | None:
    """Wait for the run's end; return its code, or None if it had to be stopped."""
    with process.stdin or contextlib.nullcontext():
        try:
            while (code := process.poll()) is None:
                if stop.wait(LOOK) or time.monotonic() > end:
                    return None
            return code
        finally:
            if process.returncode is None and process.pid is not None:
                _kill(process.pid)
                process.wait()


def _kill(pid: int) -> None:
    """End a process and all that it started, at once."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def _saved_metrics(runs: Path) -> dict[str, Any]:
    """Collect what the notebook saved: one run's metrics as they are, several runs' by name."""
    paths = [path for path in sorted(runs.glob("[!.]*/metrics.json")) if path.is_file()]
    saved = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    if not all(isinstance(metrics, dict) for metrics in saved.values()):
        raise ValueError("it holds no names with values.")
    metrics = next(iter(saved.values()), {})
    if len(saved) > 1:
        metrics = {f"{name}.{key}": v for name, part in saved.items() for key, v in part.items()}
    json.dumps(metrics, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    return metrics


def _stages(place: Path, begin: float) -> dict[str, float]:
    """Sum up what the notebook's stages took; the start includes all that came before it."""
    seconds = Counter()
    broken = OSError, ValueError, LookupError, TypeError, AttributeError  # the notebook's own doing
    with contextlib.suppress(*broken):
        for line in (place / "stages.txt").read_text().splitlines():
            seconds[line.split()[0]] += float(line.split()[1])
    with contextlib.suppress(*broken):
        cells = json.loads((place / "run" / "notebook.ipynb").read_text("utf-8"))["cells"]
        times = [cell["metadata"].get("papermill", {}).get("start_time") for cell in cells]
        first = datetime.fromisoformat(min(filter(None, times)))
        seconds["start"] += first.timestamp() - begin
    return {name: round(value, 3) for name, value in seconds.items()}


def _files(folder: Path) -> dict[str, bytes]:
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    kept = {name: path for name, path in paths.items() if not LEFT_OUT.match(name)}
    return {name: path.read_bytes() for name, path in kept.items() if path.is_file()}


def _run_notebook() -> str | None:
    """Execute the notebook; papermill saves it after each cell. Return what went wrong."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from traitlets.config import Config

    notebook = json.loads(Path("../input.ipynb").read_text(encoding="utf-8"))
    encrypted = {"KernelManager": {"transport_encryption": "auto"}}  # else the kernel warns
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            executed = papermill.execute_notebook(
                "../input.ipynb",
                "notebook.ipynb",
                parameters=json.loads(Path("../params.json").read_text()),
                kernel_name=notebook["metadata"].get("kernelspec", {}).get("name", "python3"),
                language="python",
                progress_bar=False,
                config=Config(encrypted),
            )
        except papermill.PapermillExecutionError as error:
            return f"cell {error.exec_count}: {error.ename}: {error.evalue}"
        except DeadKernelError:
            return "The kernel died in the middle."
        except RuntimeError as error:  # nothing of the notebook has run: try again
            trouble = f"The kernel did not start, {attempt} times: {error}"
        else:
            # papermill passes over sys.exit(0), which ends a notebook before its end
            outputs = [output for cell in executed["cells"] for output in cell.get("outputs", [])]
            left = any(output["output_type"] == "error" for output in outputs)
            return "A cell ended the notebook by sys.exit()." if left else None
    return trouble


def _die_with_the_sweep() -> None:
    """Wait for the end of standard input, then end the kernel and this process at once."""
    os.read(0, 1)  # sys.stdin has a lock that this thread would hold when the process ends
    _kill(os.getpid())


def main() -> None:
    """Be the run's process: execute the notebook, and leave behind what went wrong, if any."""
    threading.Thread(target=_die_with_the_sweep, daemon=True).start()
    if error := _run_notebook():
        Path("../error.txt").write_text(error, encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    main()
