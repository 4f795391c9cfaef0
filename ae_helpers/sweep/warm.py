"""Warm starts: runs and their kernels forked from one process that has done the imports.

The warm process runs no operation and starts no thread, or it refuses: what it hands on to a run
is imported modules, and nothing else. A run has its own process, forked from it, and its kernel
one more, forked from the run's before that does anything. So one run sees nothing of another.
(`multiprocessing`'s forkserver is not used, since it would run the main script a second time.)
"""

import contextlib
import gc
import glob
import importlib
import json
import os
import runpy
import select
import selectors
import socket
import subprocess
import sys
import threading
import time
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, BinaryIO

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

# What looks for the running kernel when it is imported, such as ipywidgets, cannot be among them.
IMPORTS = ("papermill", "ipykernel.kernelapp", "ae_helpers.training", "ae_helpers.runs")
IMPORTS += ("ae_helpers.data", "matplotlib.figure", "tensorflow", "keras")
IDLE = 120  # seconds without a run, after which a warm process ends
GPUS = ("/dev/nvidia[0-9]*", "/dev/kfd")
START = "from ae_helpers.sweep import warm; warm.serve()"


_processes: dict[str, "_WarmProcess"] = {}  # by the names of the sweeps
_lock = threading.Lock()


def start(sweep: str, place: Path, environment: dict[str, str], log: BinaryIO) -> "WarmRun":
    """Fork a run in ``place``, as soon as the imports of the sweep's warm process are done."""
    if sys.platform != "linux":
        return WarmRun(None, open(os.devnull, "wb"), "this system has no safe fork")  # noqa: SIM115
    (place / "environment.json").write_text(json.dumps(environment))
    news, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lifeline, end = os.pipe()
    with theirs, open(lifeline, "rb"), _lock:
        if sweep not in _processes or not _processes[sweep].alive():
            close(sweep)
            _processes[sweep] = _WarmProcess(environment)
        _processes[sweep].ask(place, theirs.fileno(), lifeline, log.fileno())
    return WarmRun(news, open(end, "wb"))  # noqa: SIM115


def close(sweep: str) -> None:
    """End the sweep's warm process, if there is one; its runs have ended, or end with it."""
    if process := _processes.pop(sweep, None):
        process.close()


class _WarmProcess:
    """The sweep's end of a warm process; it ends with `close`, or with the sweep's process."""

    def __init__(self, environment: dict[str, str]) -> None:
        # matplotlib reads its backend when it is imported; a kernel sets the same.
        backend = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", START],
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
        self._process.kill()
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


# Here ends what the sweep's process does. The rest is done in the warm one and its children.


def serve() -> None:
    """Do the imports, then fork a process for each run that is asked for, and tell of its end."""
    control = socket.socket(fileno=os.dup(0))
    refusal = _prepare()
    children: dict[int, tuple[int, socket.socket]] = {}
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    while True:
        events = selector.select(None if children else IDLE)
        if not events:
            return os._exit(0)  # a cluster's worker does not hear of the sweep's end
        for key, _ in events:
            if key.fileobj is not control:  # a child has ended
                pid, news = children.pop(key.fd)
                selector.unregister(key.fd)
                os.close(key.fd)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _tell(news, f"code {code}")
                news.close()
                continue
            place, handles, _, _ = socket.recv_fds(control, 4096, 3)
            if not place:
                os._exit(0)
            news, lifeline, log = socket.socket(fileno=handles[0]), *handles[1:]
            if refusal:
                _tell(news, f"refused {refusal}")
            elif (pid := os.fork()) == 0:
                selector.close()
                for each in (control, news, *(news for _, news in children.values())):
                    each.close()
                for number in children:
                    os.close(number)
                return _be_a_run(os.fsdecode(place), lifeline, log)
            else:
                _tell(news, f"pid {pid}")
                watch = os.pidfd_open(pid)
                children[watch] = (pid, news)
                selector.register(watch, selectors.EVENT_READ)
            for number in (lifeline, log):
                os.close(number)


def _prepare() -> str:
    """Import; return why nothing should be forked from this process, if so."""
    from ae_helpers.model import quiet_start

    if any(glob.glob(pattern) for pattern in GPUS):
        return "there is a GPU, which does not outlive a fork"
    try:
        with quiet_start():
            for name in IMPORTS:
                importlib.import_module(name)
    except ImportError as error:
        return f"an import failed: {error}"
    if len(os.listdir("/proc/self/task")) > 1:
        return "the imports have started threads, which do not outlive a fork"
    gc.collect()
    gc.freeze()  # the children's collector leaves these pages alone, so they stay shared
    return ""


def _tell(news: socket.socket, text: str) -> None:
    with contextlib.suppress(ConnectionError):  # the sweep has given up this run
        news.send(text.encode())


def _be_a_run(place: str, lifeline: int, log: int) -> None:
    """Take the place of a new Python: own session, files, folder, environment and randomness."""
    os.setsid()
    for number, here in ((lifeline, 0), (log, 1), (log, 2)):
        os.dup2(number, here)
    os.close(lifeline)
    os.close(log)
    environment = json.loads((Path(place) / "environment.json").read_text())
    _settle(Path(place) / "run", environment)
    order, hand = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(hand)
        return _be_a_kernel(order)
    os.close(order)
    WarmProvisioner.waiting = [_Kernel(pid, hand)]
    factory = KernelProvisionerFactory.instance()
    name = "ae-warm"
    factory.provisioners[name] = EntryPoint(name, f"{__name__}:WarmProvisioner", factory.GROUP_NAME)
    factory.default_provisioner_name = name
    from ae_helpers.sweep import run

    run.main()


def _settle(folder: Path, environment: dict[str, str]) -> None:
    import numpy as np

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    np.random.seed()  # Python's own generator is seeded anew by the fork


def _be_a_kernel(order: int) -> None:
    """Wait for the order to start, then do what ``python -m ipykernel_launcher`` does."""
    os.setsid()
    with open(order) as pipe:
        text = pipe.read()
    if not text:
        os._exit(0)  # a kernel of another kind was started instead
    given = json.loads(text)
    _settle(Path(given["cwd"]), given["env"])
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    Path("/proc/self/comm").write_text("ipykernel")  # its name in a list of processes
    sys.argv = given["argv"]
    sys.path.insert(0, os.getcwd())  # as -m does; the launcher takes it away again
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)


class _Kernel(subprocess.Popen):
    """A child that waits to become a kernel; it is forked already, and not executed."""

    def __init__(self, pid: int, hand: int) -> None:
        self.pid, self.hand, self.returncode = pid, hand, None
        self.args, self._child_created = [], True
        self.stdin = self.stdout = self.stderr = None
        self._waitpid_lock = threading.Lock()


class WarmProvisioner(LocalProvisioner):
    """Make the child that waits a kernel; start one as ever if it is to be another, or a second."""

    waiting: list[_Kernel] = []  # noqa: RUF012

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Launch a kernel with a command."""
        waiting, environment = self.waiting[:], kwargs.get("env") or dict(os.environ)
        self.waiting.clear()
        here = cmd[:3] == [sys.executable, "-m", "ipykernel_launcher"] and waiting
        if not here:
            for kernel in waiting:
                os.close(kernel.hand)
            Path("../cold.txt").write_text("the notebook's kernel is not this Python's own")
            return await super().launch_kernel(cmd, **kwargs)
        (self.process,) = waiting
        self.cwd = kwargs.get("cwd") or os.getcwd()
        # A kernel finds its parent's number in its environment, but when it is imported.
        argv = ["", *cmd[3:], f"--IPKernelApp.parent_handle={os.getpid()}"]
        given = {"argv": argv, "cwd": str(self.cwd)}
        given["env"] = environment | {"JPY_PARENT_PID": str(os.getpid())}
        with open(self.process.hand, "w") as pipe:
            json.dump(given, pipe)
        self.pid = self.pgid = self.process.pid
        return self.connection_info
