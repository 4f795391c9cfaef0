"""Warm starts: runs are forked from a process that has done the imports; this is the sweep's end.

(`multiprocessing`'s forkserver would run the main script a second time in each child, pass over
imports that fail or start threads, keep the environment of its start, and outlive the sweep.)
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

# First of all, the system is to end it with the sweep (PR_SET_PDEATHSIG), also while it imports.
START = "import ctypes; ctypes.CDLL(None).prctl(1, 15)\n"
START += "from ae_helpers.sweep.forks import serve; serve()"
IMPORTS = ("papermill", "ipykernel.kernelapp", "ipykernel.debugger", "IPython.core.completerlib")
IMPORTS += ("IPython.core.oinspect", "IPython.extensions.storemagic")  # else while a kernel starts
# Also, if the notebook names one of the first three. What looks for the running kernel when it is
# imported, such as ipywidgets, cannot be among them.
OF_THE_COURSE = ("ae_helpers", "keras", "tensorflow", "ae_helpers.training", "ae_helpers.runs")
OF_THE_COURSE += ("ae_helpers.data", "matplotlib.figure")
# They read these when they are imported; a kernel and `quiet_start` set the same. And what the
# imports take belongs to no stage of a run.
READ_EARLY = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
READ_EARLY |= {"TF_CPP_MIN_LOG_LEVEL": "3", "AE_STAGES": ""}

_processes: dict[str, subprocess.Popen] = {}  # by the sweeps' names
_lock = threading.Lock()


def start(sweep: str, place: Path, environment: dict[str, str]) -> "WarmRun":
    """Have a run forked in ``place``, when the imports of the sweep's warm process are done.

    Where it cannot start warm, it is a NotImplementedError, here or when it is polled.
    """
    if sys.platform != "linux":
        raise NotImplementedError("this system has no safe fork")
    (place / "environment.json").write_text(json.dumps(environment))
    with _lock:
        if sweep not in _processes or _processes[sweep].poll() is not None:
            close(sweep)
            text = (place / "input.ipynb").read_text(encoding="utf-8")
            more = OF_THE_COURSE if any(name in text for name in OF_THE_COURSE[:3]) else ()
            _processes[sweep] = subprocess.Popen(
                [sys.executable, "-P", "-c", START, *IMPORTS, *more],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment | READ_EARLY,
                cwd="/",
                start_new_session=True,
            )
        process = _processes[sweep]
        with contextlib.suppress(BrokenPipeError):  # it has just died: the run hears of that
            process.stdin.write(os.fsencode(place) + b"\0")
    return WarmRun(process, place)


def close(sweep: str) -> None:
    """End the sweep's warm process, if there is one; it would also end with this process."""
    if sweep in _processes:
        with _processes.pop(sweep) as process:
            process.terminate()


class WarmRun:
    """A forked run's process, as `subprocess.Popen` shows one; its parent tells of it in files."""

    stdin = pid = returncode = None

    def __init__(self, parent: subprocess.Popen, place: Path) -> None:
        self._parent, self._place = parent, place

    def poll(self) -> int | None:
        """Return the code it ended with, or None; a ChildProcessError if nobody knows it."""
        orphaned = self._parent.poll() is not None  # asked first: now all that it told is there
        if reason := self._told("refused"):
            raise NotImplementedError(reason)
        self.pid, self.returncode = self._told("pid"), self._told("code")
        if self.returncode is None and orphaned:
            raise ChildProcessError("The warm process died.")
        return self.returncode

    def _told(self, what: str) -> int | str | None:
        path = self._place / what
        text = path.read_text() if path.is_file() else ""
        return json.loads(text) if text else None

    def wait(self) -> None:
        """Wait until it has ended."""
        with contextlib.suppress(ChildProcessError):
            while self.poll() is None:
                time.sleep(0.01)
