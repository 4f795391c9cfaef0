"""Sweeps side by side with a plain loop over papermill, and what the scheduling of runs costs.

`python benchmarks/sweep.py` takes about five minutes on two cores. Of what it prints, the ratios
and the milliseconds a run of scheduling compare between machines, the seconds do not.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import papermill

from ae_helpers import sweep as sweep_function_home

TRAINING = Path(__file__).resolve().parents[1] / "notebooks" / "03_training.ipynb"
SHORT = {"epochs": 3, "n_train": 10_000}
SEEDS = range(8)


def main():
    """Measure both, and print what a reader needs to judge them."""
    with tempfile.TemporaryDirectory() as name:
        compare_with_a_loop(Path(name))
        cost_of_scheduling(Path(name))


def compare_with_a_loop(folder):
    """Make the same eight runs in a loop and as a sweep, one right after the other."""
    os.environ["AE_RUNS_DIR"] = str(folder / "loop")
    (folder / "loop").mkdir()
    loop = seconds_of(lambda: [run_plainly(folder, seed) for seed in SEEDS])
    out = folder / "sweep"
    spread = seconds_of(lambda: sweep(TRAINING, SEEDS, out, fixed=SHORT, workers=2))
    own = statistics.mean(
        json.loads(path.read_text())["metadata"]["papermill"]["duration"]
        for path in out.glob("run-*/notebook.ipynb")
    )
    print(f"8 runs of {TRAINING.name}: plain loop {loop:.0f} s, 2 workers {spread:.0f} s,")
    print(f"  which is {loop / spread:.2f} times faster (wanted: 1.6 on two cores)")
    print(f"  a run's notebook takes {own:.1f} s; above that the sweep takes", end=" ")
    print(f"{spread * 2 / len(SEEDS) - own:.1f} s of a worker for each run, all start-up included")


def run_plainly(folder, seed):
    """Make one run as anybody would with papermill."""
    papermill.execute_notebook(
        TRAINING, folder / "loop" / f"{seed}.ipynb", {"seed": seed} | SHORT, progress_bar=False
    )


def cost_of_scheduling(folder):
    """Measure sweeps of which no run does anything, so that all the time is the sweep's own."""
    print("runs that do nothing:  seconds in all  peak memory")
    seconds = {}
    for n in (10, 100, 1000):
        with mock.patch.object(sweep_function_home, "run_on_worker", do_nothing):
            seconds[n] = seconds_of(lambda n=n: sweep(TRAINING, range(n), folder / f"n{n}"))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{n:20}  {seconds[n]:14.1f}  {memory:8.0f} MB", flush=True)
    for few, many in ((10, 100), (100, 1000)):
        each = 1000 * (seconds[many] - seconds[few]) / (many - few)
        print(f"  from {few} to {many}: {each:.1f} ms a run more (wanted: 20 at most)")
    again = seconds_of(lambda: resume_as_a_command(folder / "n1000", 1000))
    print(f"  resuming a finished sweep of 1000: {again:.1f} s (wanted: 2 at most)")


def do_nothing(task, stop):
    """Take the place of a run, and return what a short run returns."""
    outcome = {"status": "done", "error": None, "metrics": {"val_loss": 0.2}, "seconds": 0.0}
    files = {"notebook.ipynb": b" " * 100_000, "runs/mine/weights.npz": b" " * 200_000}
    return outcome | {"versions": {}}, files


def resume_as_a_command(out, n):
    """Resume from the command line, with Python's own start."""
    command = [sys.executable, "-m", "ae_helpers.sweep", str(TRAINING), "--resume"]
    options = [f"--vary=seed=0:{n}", f"--out={out}"]
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)


def sweep(notebook, seeds, out, **options):
    """Sweep over seeds without a word, and hold that all runs are done."""
    with open(os.devnull, "w") as nowhere, mock.patch("sys.stdout", nowhere):
        rows = sweep_function_home.sweep(notebook, {"seed": seeds}, out=out, **options)
    assert all(row["status"] == "done" for row in rows), f"a run failed: {rows}"


def seconds_of(do):
    """Measure how long a call takes."""
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
