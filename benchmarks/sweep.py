"""Sweeps, cold and warm, side by side with a plain loop, and what the scheduling of runs costs.

`python benchmarks/sweep.py` takes about five minutes on two cores. Of what it prints, the ratios
and the milliseconds a run of scheduling compare between machines, the seconds do not.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import nbformat
import papermill
from nbformat.v4 import new_code_cell, new_notebook

from ae_helpers import sweep as sweep_function_home

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
TRAINING = NOTEBOOKS / "03_training.ipynb"
CHAPTER = NOTEBOOKS / "09_parameterized_runs.ipynb"


def main():
    """Measure both, and print what a reader needs to judge them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--n-train", type=int, default=10_000)
    parser.add_argument("--only-starts", action="store_true", help="leave out the scheduling")
    given = parser.parse_args()
    short = {"epochs": given.epochs, "n_train": given.n_train}
    with tempfile.TemporaryDirectory() as name:
        compare_with_a_loop(Path(name), two_cells(Path(name)), given.runs, short)
        if not given.only_starts:
            cost_of_scheduling(Path(name))


def two_cells(folder):
    """Take the notebook of two cells out of the chapter that makes it."""
    texts = {}
    for cell in nbformat.read(CHAPTER, as_version=4).cells:
        if cell.source.startswith(('parameters = """', 'training = """')):
            exec(cell.source, texts)
    parameters = new_code_cell(texts["parameters"], metadata={"tags": ["parameters"]})
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [parameters, new_code_cell(texts["training"])]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": spec}), folder / "two.ipynb")
    return folder / "two.ipynb"


def compare_with_a_loop(folder, notebook, runs, short):
    """Make the same runs in a loop, as a cold sweep and as a warm one, one after the other."""
    os.environ["AE_RUNS_DIR"] = str(folder / "loop")
    (folder / "loop").mkdir()
    ways = {"plain loop": lambda: [run_plainly(folder, notebook, n, short) for n in range(runs)]}
    for way, cold in (("2 workers, cold", True), ("2 workers, warm", False)):
        options = {"fixed": short, "workers": 2, "cold": cold}
        ways[way] = lambda way=way, options=options: sweep(
            notebook, range(runs), folder / way, **options
        )
    loop = None
    print(f"{runs} runs of the notebook of two cells    seconds  CPU seconds a run")
    for way, do in ways.items():
        before = cpu_seconds()
        seconds = seconds_of(do)
        loop = loop or seconds
        print(f"{way:38} {seconds:9.1f} {(cpu_seconds() - before) / runs:18.1f}", end="")
        print(f"   {loop / seconds:.2f} times faster", flush=True)


def cpu_seconds():
    """Sum what this process and those it has waited for have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def run_plainly(folder, notebook, seed, short):
    """Make one run as anybody would with papermill."""
    papermill.execute_notebook(
        notebook, folder / "loop" / f"{seed}.ipynb", {"seed": seed} | short, progress_bar=False
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
