"""Kill sweeps and workers, and hold what is left against sweeps that were left in peace.

`python tests/chaos_sweep.py` does it in full (about three minutes); the tests in a small form.
"""

import argparse
import csv
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from sweep_notebooks import write_training

LIMIT = 240  # seconds that any one sweep may take; each takes a small part of it


def leave_in_peace(folder, runs):
    """Make a sweep that nothing disturbs; return its notebook and its table."""
    notebook = write_training(folder / "n.ipynb", seconds=0.5)
    marker = {"SWEEP_TEST": str(folder / "peaceful")}
    assert start(notebook, folder / "peaceful", runs, marker).wait(LIMIT) == 0
    rows = table(folder / "peaceful")
    assert [row["seed"] for row in rows] == [str(seed) for seed in range(runs)]
    return notebook, rows


def kill_and_resume(folder, notebook, rows, kills, random_seed):
    """Kill a sweep with SIGKILL at random moments; resume it each time, at last to its end."""
    runs = len(rows)
    moments = random.Random(random_seed)
    killed = folder / "killed"
    marker = {"SWEEP_TEST": str(folder)}
    finished = {}
    for i in range(kills):
        process = start(notebook, killed, runs, marker, "--workers=2", "--resume")
        if i % 2 == 0:  # where runs end, however fast the machine is
            n = len(finished)
            wait_for(lambda n=n, p=process: len(outcomes(killed)) > n or p.poll() is not None)
            time.sleep(moments.uniform(0, 0.5))
        else:
            time.sleep(moments.uniform(1, 6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        left = live_processes(marker, patience=5)
        assert not left, f"processes live on after their sweep: {left}"
        kept = outcomes(killed)
        lost = {name: outcome for name, outcome in finished.items() if kept[name] != outcome}
        assert not lost, "finished runs were lost or made again"
        finished = {name: o for name, o in kept.items() if o["status"] == "done"}
        print(f"kill {i + 1}: {len(finished)} of {runs} runs done", flush=True)
    assert start(notebook, killed, runs, marker, "--workers=2", "--resume").wait(LIMIT) == 0
    assert table(killed) == rows
    assert all(outcomes(killed)[name] == outcome for name, outcome in finished.items())


def kill_a_worker(folder, notebook, rows):
    """Kill one of two workers of a cluster that shares no folder, in the middle of its run."""
    runs = len(rows)
    marker = {"SWEEP_TEST": str(folder)}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    port = address.rpartition(":")[2]
    processes = [dask(folder / "s", marker, "scheduler", "--host=127.0.0.1", f"--port={port}")]
    try:
        wait_for(lambda: reachable(int(port)))
        processes += [
            dask(folder / name, marker, "worker", address, "--no-nanny", "--nthreads=1")
            for name in ("w1", "w2")
        ]
        sweep = start(notebook, folder / "cluster", runs, marker, f"--scheduler={address}")
        # Both work in the middle of a run when both have a kernel.
        wait_for(lambda: [p[0] for p in live_processes(marker)].count("ipykernel") == 2)
        processes[1].kill()
        assert sweep.wait(LIMIT) == 0
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert live_processes(marker, patience=5) == []
    assert table(folder / "cluster") == rows


def start(notebook, out, runs, marker, *options):
    """Start a sweep as a process; all it starts can be found by the marker in its environment."""
    command = [sys.executable, "-m", "ae_helpers.sweep", str(notebook)]
    options = [f"--vary=seed=0:{runs}", "--set=scale=0.1", f"--out={out}", *options]
    return subprocess.Popen(
        [*command, *options], env=os.environ | marker, stdout=subprocess.DEVNULL
    )


def dask(folder, marker, *command):
    """Start a part of a cluster in its own working directory."""
    folder.mkdir()
    with (folder / "log.txt").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *command, "--no-dashboard"],
            cwd=folder,
            env=os.environ | marker,
            stdout=log,
            stderr=log,
        )


def live_processes(marker, patience=0):
    """List names and command lines of live processes with the marker; wait a little for their end.

    Those that are forked from a warm process have its command line, and names of their own.
    """
    end = time.monotonic() + patience
    while True:
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and marker.items() <= process.environ().items():
                    found.append([process.name(), *process.cmdline()])
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        found = [command for command in found if command[1:]]  # without those that have just ended
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.1)


def wait_for(condition):
    """Wait until the condition holds."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def reachable(port):
    """Whether something listens at the port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def outcomes(out):
    """Read each run's metrics.json."""
    return {p.parent.name: json.loads(p.read_text()) for p in out.glob("run-*/metrics.json")}


def table(out):
    """Read results.csv without the times."""
    with (out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if not k.endswith("seconds")} for row in rows]


def main():
    """Do it in full."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    seed = parser.parse_args().seed
    print(f"python tests/chaos_sweep.py --seed {seed}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        notebook, rows = leave_in_peace(folder, runs=16)
        kill_and_resume(folder, notebook, rows, kills=10, random_seed=seed)
        print("kills: every run is there exactly once, and the table is the same")
        kill_a_worker(folder, notebook, rows)
        print("a worker killed: every run is there exactly once, and the table is the same")


if __name__ == "__main__":
    main()
