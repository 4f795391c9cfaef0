"""Warm starts: the sweep's end of the process that has done the imports, and of forked runs.

(`multiprocessing`'s forkserver is not used: it would run the main script a second time, and lasts
longer than a sweep.)
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

START = "from ae_helpers.sweep.forks import serve; serve()"
IMPORTS = ("papermill", "ipykernel.kernelapp")
# Also, if the notebook names one of the first three. What looks for the running kernel when it is
# imported, such as ipywidgets, cannot be among them.
OF_THE_COURSE = ("ae_helpers", "keras", "tensorflow", "ae_helpers.training", "ae_helpers.runs")
OF_THE_COURSE += ("ae_helpers.data", "matplotlib.figure")


_processes: dict[str, "_WarmProcess"] = {}  # by the names of the sweeps
_lock = threading.Lock()


def start(sweep: str, place: Path, environment: dict[str, str], log: BinaryIO) -> "WarmRun":
    """Fork a run in ``place``, as soon as the imports of the sweep's warm process are done."""
    if sys.platform != "linux":
        return WarmRun(None, open(os.devnull, "wb"), "this system has no safe fork")
    (place / "environment.json").write_text(json.dumps(environment))
    news, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lifeline, end = os.pipe()
    with theirs, open(lifeline, "rb"), _lock:
        if sweep not in _processes or not _processes[sweep].alive():
            close(sweep)
            text = (place / "input.ipynb").read_text(encoding="utf-8")
            more = OF_THE_COURSE if any(name in text for name in OF_THE_COURSE[:3]) else ()
            _processes[sweep] = _WarmProcess(environment, [*IMPORTS, *more])
        _processes[sweep].ask(place, theirs.fileno(), lifeline, log.fileno())
    return WarmRun(news, open(end, "wb"))


def close(sweep: str) -> None:
    """End the sweep's warm process, if there is one; its runs have ended, or end with it."""
    if process := _processes.pop(sweep, None):
        process.close()


class _WarmProcess:
    """The sweep's end of a warm process; it ends with `close`, or with the sweep's process."""

    def __init__(self, environment: dict[str, str], imports: list[str]) -> None:
        # matplotlib reads its backend when it is imported; a kernel sets the same.
        backend = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, *imports],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=backend | environment,
                cwd="/",
                start_new_session=True,
            )

    def ask(self, place: Path, *handles: int) -> None:
        with contextlib.suppress(ConnectionError):  # it has just died: the run hears of that
            socket.send_fds(self._socket, [os.fsencode(place)], handles)

    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait()


class WarmRun:
    """A forked run's process, as `subprocess.Popen` shows one.

    ``refusal`` says, once it has ended, why it was never forked, if so.
    """

    def __init__(self, news: socket.socket | None, lifeline: BinaryIO, refusal: str = "") -> None:
        self._news, self.stdin, self.refusal = news, lifeline, refusal
        self.pid: int | None = None
        self.returncode: int | None = None if news else 0

    def poll(self) -> int | None:
        """Hear what there is to hear; return the code the process ended with, or None.

        If its warm process died, nobody knows that code: a ChildProcessError.
        """
        while self.returncode is None and select.select([self._news], [], [], 0)[0]:
            try:
                word, _, text = self._news.recv(10_000).decode().partition(" ")
            except ConnectionError:
                word = ""
            match word:
                case "pid":
                    self.pid = int(text)
                    continue
                case "code":
                    self.returncode = int(text)
                case "refused":
                    self.refusal, self.returncode = text, 0
                case _:
                    raise ChildProcessError("The warm process died.")
            self._news.close()
        return self.returncode

    def wait(self) -> None:
        """Wait until it has ended."""
        with contextlib.suppress(ChildProcessError):
            while self.poll() is None:
                time.sleep(0.01)
