"""Warm starts: runs are forked from a process that has done the imports; this is the sweep's end.

(`multiprocessing`'s forkserver would run the main script a second time, and outlive the sweep.)
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

_processes: dict[str, tuple[subprocess.Popen, socket.socket]] = {}  # by the sweeps' names
_lock = threading.Lock()


def start(sweep: str, place: Path, environment: dict[str, str], log: BinaryIO) -> "WarmRun":
    """Fork a run in ``place``, as soon as the imports of the sweep's warm process are done."""
    if sys.platform != "linux":
        return WarmRun(None, open(os.devnull, "wb"), "this system has no safe fork")
    (place / "environment.json").write_text(json.dumps(environment))
    news, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lifeline, end = os.pipe()
    with theirs, open(lifeline, "rb"), _lock:
        if sweep not in _processes or _processes[sweep][0].poll() is not None:
            close(sweep)
            text = (place / "input.ipynb").read_text(encoding="utf-8")
            more = OF_THE_COURSE if any(name in text for name in OF_THE_COURSE[:3]) else ()
            _processes[sweep] = _start_process(environment, [*IMPORTS, *more])
        with contextlib.suppress(ConnectionError):  # it has just died: the run hears of that
            handles = [theirs.fileno(), lifeline, log.fileno()]
            socket.send_fds(_processes[sweep][1], [os.fsencode(place)], handles)
    return WarmRun(news, open(end, "wb"))


def close(sweep: str) -> None:
    """End the sweep's warm process, if there is one; it would also end with this process."""
    if sweep in _processes:
        process, control = _processes.pop(sweep)
        control.close()
        process.terminate()
        process.wait()


def _start_process(environment: dict[str, str], imports: list[str]) -> tuple:
    # They read these when they are imported; a kernel and `quiet_start` set the same.
    read_early = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    read_early |= {"TF_CPP_MIN_LOG_LEVEL": "3"}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", START, *imports],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=read_early | environment | {"AE_STAGES": ""},
            cwd="/",
            start_new_session=True,
        )
    return process, ours


class WarmRun:
    """A forked run's process, as `subprocess.Popen` shows one; or why it is not to be forked."""

    def __init__(self, news: socket.socket | None, lifeline: BinaryIO, refusal: str = "") -> None:
        self._news, self.stdin, self.refusal = news, lifeline, refusal
        self.pid: int | None = None
        self.returncode: int | None = None if news else 0

    def poll(self) -> int | None:
        """Return the code it ended with, or None; a ChildProcessError if nobody knows it."""
        while self.returncode is None and select.select([self._news], [], [], 0)[0]:
            word, text = "", ""
            with contextlib.suppress(ConnectionError):
                word, _, text = self._news.recv(10_000).decode().partition(" ")
            if word == "pid":
                self.pid = int(text)
            elif word == "code":
                self.returncode = int(text)
            elif word == "refused":
                self.refusal, self.returncode = text, 0
            else:
                raise ChildProcessError("The warm process died.")
        return self.returncode

    def wait(self) -> None:
        """Wait until it has ended."""
        with contextlib.suppress(ChildProcessError):
            while self.poll() is None:
                time.sleep(0.01)
