"""The warm process of a sweep: it does the imports, and forks a process for each run.

It runs no operation and starts no thread, or it refuses: what it hands on to a run is imported
modules, and nothing else. A run's process forks its kernel before it does anything itself.
"""

import atexit
import contextlib
import gc
import glob
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

IDLE = 120  # seconds without a run; a cluster's worker does not hear of the sweep's end
GPUS = ("/dev/nvidia[0-9]*", "/dev/kfd")


def serve() -> None:
    """Do the imports, then fork a process for each run that is asked for, and tell of its end."""
    control = socket.socket(fileno=os.dup(0))
    with _ending_with(control):
        refusal = _prepare()
    children: dict[int, tuple[int, socket.socket]] = {}
    while ready := select.select([control, *children], [], [], None if children else IDLE)[0]:
        for handle in ready:
            if handle is not control:  # a child has ended
                pid, news = children.pop(handle)
                os.close(handle)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _tell(news, f"code {code}")
                continue
            place, handles, _, _ = socket.recv_fds(control, 4096, 3)
            if not place:
                os._exit(0)  # the sweep has ended
            news = socket.socket(fileno=handles.pop(0))
            if refusal:
                _tell(news, f"refused {refusal}")
            elif pid := os.fork():
                children[os.pidfd_open(pid)] = pid, news
                _tell(news, f"pid {pid}")
            else:
                for each in (control, news, *(news for _, news in children.values())):
                    each.close()
                return _be_a_run(Path(os.fsdecode(place)), *handles)
            for each in handles:
                os.close(each)


@contextlib.contextmanager
def _ending_with(control: socket.socket) -> Iterator[None]:
    """Look now and then whether the sweep still lives, by a signal: a thread would not do."""
    ended = select.poll()
    ended.register(control, 0)  # for its end alone
    signal.signal(signal.SIGALRM, lambda *_: ended.poll(0) and os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _prepare() -> str:
    """Import; return why nothing should be forked from this process, if so."""
    if any(glob.glob(pattern) for pattern in GPUS):
        return "there is a GPU, which does not outlive a fork"
    try:
        for name in sys.argv[1:]:
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


def _be_a_run(place: Path, lifeline: int, log: int) -> None:
    """Take the place of a new Python: own session, files, folder, environment and randomness."""
    os.setsid()
    Path("/proc/self/comm").write_text("ae-run")  # its name in a list of processes
    for number, here in ((lifeline, 0), (log, 1), (log, 2)):
        os.dup2(number, here)
    os.close(lifeline)
    os.close(log)
    _settle(place / "run", json.loads((place / "environment.json").read_text()))
    order, hand = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(hand)
        return _be_a_kernel(order)
    os.close(order)
    WarmProvisioner.waiting = [_Kernel(pid, hand)]
    factory, name = KernelProvisionerFactory.instance(), "ae-warm"
    factory.provisioners[name] = EntryPoint(name, f"{__name__}:WarmProvisioner", factory.GROUP_NAME)
    factory.default_provisioner_name = name
    from ae_helpers.sweep import run

    run.main()
    _leave()


def _settle(folder: Path, environment: dict[str, str]) -> None:
    import numpy as np

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    np.random.seed()  # Python's own generator is seeded anew by the fork


def _be_a_kernel(order: int) -> None:
    """Wait for the order to start, then do what ``python -m ipykernel_launcher`` does."""
    os.setsid()
    with open(order) as pipe, open(os.devnull) as nowhere:
        os.dup2(nowhere.fileno(), 0)
        text = pipe.read()
    if not text:
        os._exit(0)  # a kernel of another kind was started instead
    Path("/proc/self/comm").write_text("ipykernel")
    given = json.loads(text)
    _settle(Path(given["cwd"]), given["env"])
    sys.argv = given["argv"]
    sys.path.insert(0, os.getcwd())  # as -m does; the launcher takes it away again
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
    _leave()


def _leave() -> None:
    """End as Python does, but for clearing away what was imported: that takes half a second."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


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
        if not waiting or cmd[:3] != [sys.executable, "-m", "ipykernel_launcher"]:
            for kernel in waiting:
                os.close(kernel.hand)
            reason = "the notebook's kernel is not this Python's own"
            Path("../cold.txt").write_text(reason if waiting else "its forked kernel did not start")
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
