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
import subprocess
import sys
import threading
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import nbformat.validator
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

IDLE = 120  # seconds without a run; a cluster's worker does not hear of the sweep's end
GPUS = ("/dev/nvidia[0-9]*", "/dev/kfd")


def serve() -> None:
    """Do the imports, then fork a process for each run that is asked for, and tell of its end."""
    refusal = _prepare()
    lifeline, held = os.pipe()  # for all runs: it closes when this process ends
    runs: dict[int, tuple[int, Path]] = {}
    while ready := select.select([0, *runs], [], [], None if runs else IDLE)[0]:
        for handle in filter(None, ready):
            pid, place = runs.pop(handle)
            os.close(handle)
            _tell(place, "code", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        if 0 not in ready:
            continue
        if not (asked := os.read(0, 65536)):
            os._exit(0)  # the sweep has ended
        for place in map(Path, os.fsdecode(asked).split("\0")[:-1]):
            if refusal:
                _tell(place, "refused", refusal)
            elif pid := os.fork():
                runs[os.pidfd_open(pid)] = pid, place
                _tell(place, "pid", pid)
            else:
                os.close(held)
                return _be_a_run(place, lifeline)


def _tell(place: Path, what: str, told: str | int) -> None:
    with contextlib.suppress(FileNotFoundError):  # the sweep has given up this run
        (place / what).write_text(json.dumps(told))


def _prepare() -> str:
    """Import; return why nothing should be forked from this process, if so."""
    if any(glob.glob(pattern) for pattern in GPUS):
        return "there is a GPU, which does not outlive a fork"
    gc.disable()  # a fifth of the imports' time would go into it, and they leave next to nothing
    try:
        for name in sys.argv[1:]:
            importlib.import_module(name)
        nbformat.validator.get_validator()  # it writes and keeps the program that checks notebooks
    except ImportError as error:
        return f"an import failed: {error}"
    if len(os.listdir("/proc/self/task")) > 1:
        return "the imports have started threads, which do not outlive a fork"
    gc.freeze()  # the children's collector leaves these pages alone, so they stay shared
    gc.enable()
    return ""


def _be_a_run(place: Path, lifeline: int) -> None:
    """Take the place of a new Python: own session, files, folder, environment and randomness."""
    os.setsid()
    log = os.open(place / "log.txt", os.O_WRONLY | os.O_APPEND)
    for number, here in ((lifeline, 0), (log, 1), (log, 2)):
        os.dup2(number, here)
    _settle("ae-run", place / "run", json.loads((place / "environment.json").read_text()))
    order, hand = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(hand)
        return _be_a_kernel(order)
    WarmProvisioner.waiting = _Kernel(pid, hand)
    factory, name = KernelProvisionerFactory.instance(), "local-provisioner"  # jupyter's own
    factory.provisioners[name] = EntryPoint(name, f"{__name__}:WarmProvisioner", factory.GROUP_NAME)
    from ae_helpers.sweep import run

    run.main()
    _leave()


def _settle(name: str, folder: str | Path, environment: dict[str, str]) -> None:
    Path("/proc/self/comm").write_text(name)  # in a list of processes
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if "numpy.random" in sys.modules:  # Python's own generator is seeded anew by the fork
        sys.modules["numpy.random"].seed()


def _be_a_kernel(order: int) -> None:
    """Wait for the order to start, then do what ``python -m ipykernel_launcher`` does."""
    os.setsid()
    with open(order) as pipe, open(os.devnull) as nowhere:
        os.dup2(nowhere.fileno(), 0)
        text = pipe.read()
    if not text:
        os._exit(0)  # a kernel of another kind was started instead
    sys.argv, *place = json.loads(text)
    _settle("ipykernel", *place)
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

    waiting: _Kernel | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Launch a kernel with a command."""
        kernel, WarmProvisioner.waiting = self.waiting, None
        if not kernel or cmd[:3] != [sys.executable, "-m", "ipykernel_launcher"]:
            if kernel:
                os.close(kernel.hand)  # it ends now, and not only with the run
            reason = "the notebook's kernel is not this Python's own"
            Path("../cold.txt").write_text(reason if kernel else "its forked kernel did not start")
            return await super().launch_kernel(cmd, **kwargs)
        self.process, self.pid, self.pgid = kernel, kernel.pid, kernel.pid
        self.cwd = str(kwargs.get("cwd") or os.getcwd())
        environment = (kwargs.get("env") or os.environ) | {"JPY_PARENT_PID": str(os.getpid())}
        # A kernel finds its parent's number in its environment, but when it is imported.
        argv = ["", *cmd[3:], f"--IPKernelApp.parent_handle={os.getpid()}"]
        with open(kernel.hand, "w") as pipe:
            json.dump([argv, self.cwd, environment], pipe)
        return self.connection_info
