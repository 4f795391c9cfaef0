"""Sweeps, cold and warm, side by side with a plain loop; what runs cost above their training.

`python benchmarks/sweep.py two-cells` takes about two minutes on two cores, all parts half an
hour or so. Of what it prints, the ratios and the milliseconds a run of scheduling compare between
machines, the seconds do not.
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
import psutil
from nbformat.v4 import new_code_cell, new_notebook

from ae_helpers import sweep as sweep_function_home
from ae_helpers.sweep import folder as sweep_folder
from ae_helpers.sweep import warm
from ae_helpers.sweep.run import THREADS

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
TRAINING = NOTEBOOKS / "03_training.ipynb"
CHAPTER = NOTEBOOKS / "09_parameterized_runs.ipynb"
SHORT = {"epochs": 3, "n_train": 10_000}
TRAINING_ALONE = """\
import time
from ae_helpers import build_autoencoder, load_mnist, prepare, train
(images, _), (test, _) = load_mnist()
model, _, _ = build_autoencoder()
model.compile(optimizer="adam", loss="binary_crossentropy")
used = []
for epochs in (1, 11):  # the first also pays for compiling
    before = time.process_time()
    train(model, prepare(images), validation_data=prepare(test), epochs=epochs, verbose=0)
    used.append(time.process_time() - before)
print(used[1] - used[0])"""


def main():
    """Measure what is asked for, and print what a reader needs to judge it."""
    parts = {
        "two-cells": lambda folder: compare_with_a_loop(folder, two_cells(folder), SHORT, given),
        "training": lambda folder: compare_with_a_loop(folder, TRAINING, {}, given),
        "full-runs": lambda folder: cost_of_full_runs(folder, two_cells(folder), given.full_runs),
        "memory": lambda folder: memory_of_many_runs(folder, given.many_runs),
        "scheduling": cost_of_scheduling,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; by default all")
    parser.add_argument("--runs", type=int, default=8, help="in a comparison with a loop")
    parser.add_argument("--full-runs", type=int, default=20, help="of ten epochs")
    parser.add_argument("--many-runs", type=int, default=500, help="of which the memory is watched")
    parser.add_argument("--no-cold", action="store_true", help="leave out the cold sweeps")
    given = parser.parse_args()
    for part in given.parts or parts:
        with tempfile.TemporaryDirectory() as name:
            parts[part](Path(name))


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


def compare_with_a_loop(folder, notebook, fixed, given):
    """Make the same runs in a loop, as a cold sweep and as a warm one, one after the other."""
    os.environ["AE_RUNS_DIR"] = str(folder / "loop")
    (folder / "loop").mkdir()
    runs = given.runs
    ways = {"plain loop": lambda: [run_plainly(folder, notebook, n, fixed) for n in range(runs)]}
    for way, cold in (("2 workers, cold", True), ("2 workers, warm", False)):
        options = {"fixed": fixed, "workers": 2, "cold": cold}
        ways[way] = lambda way=way, options=options: sweep(
            notebook, range(runs), folder / way, **options
        )
    if given.no_cold:
        del ways["2 workers, cold"]
    loop = None
    print(f"{runs} runs of {notebook.name:26} seconds  CPU seconds a run")
    for way, do in ways.items():
        before = cpu_seconds()
        seconds, cpu = seconds_of(do), (cpu_seconds() - before) / runs
        loop = loop or (seconds, cpu)
        print(f"{way:36} {seconds:9.1f} {cpu:18.1f}", end="")
        print(f"   {loop[0] / seconds:.2f} times faster, {loop[1] / cpu:.2f} by CPU", flush=True)


def cost_of_full_runs(folder, notebook, runs):
    """Compare the CPU seconds of runs with the defaults with those of their training alone."""
    environment = os.environ | dict.fromkeys(THREADS, "1")
    command = [sys.executable, "-c", TRAINING_ALONE]
    alone = float(subprocess.check_output(command, env=environment, text=True).split()[-1])
    before = cpu_seconds()
    sweep(notebook, range(runs), folder / "full", workers=2)
    cpu = (cpu_seconds() - before) / runs
    print(f"{runs} full runs: {cpu:.2f} CPU seconds a run, of which training alone is {alone:.2f}")
    print(f"  above the training: {(cpu - alone) / alone:.2f} times it (wanted: 0.6 at most)")


def memory_of_many_runs(folder, runs):
    """Watch the memory of the warm process and of the sweep's own over runs that only import."""
    cells = [new_code_cell("seed = 0", metadata={"tags": ["parameters"]})]
    cells += [new_code_cell("from ae_helpers import train")]
    nbformat.write(new_notebook(cells=cells), folder / "n.ipynb")
    seen, write_run = [], sweep_folder.write_run

    def look(*args):
        write_run(*args)
        (process,) = warm._processes.values()
        both = psutil.Process(process.pid), psutil.Process()
        seen.append([time.monotonic() - start, *(p.memory_info().rss / 2**20 for p in both)])

    start = time.monotonic()
    with mock.patch.object(sweep_folder, "write_run", look):
        sweep(folder / "n.ipynb", range(runs), folder / "many", workers=2)
    print("runs that only import:  seconds  warm process  the sweep's own")
    for n in sorted({1, 10, 50, 100, 200, 500, 1000, runs}):
        if n <= runs:
            seconds, process, own = seen[n - 1]
            print(f"{n:21} {seconds:9.1f} {process:10.0f} MB {own:13.0f} MB")


def cpu_seconds():
    """Sum what this process and those it has waited for have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def run_plainly(folder, notebook, seed, fixed):
    """Make one run as anybody would with papermill."""
    papermill.execute_notebook(
        notebook, folder / "loop" / f"{seed}.ipynb", {"seed": seed} | fixed, progress_bar=False
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
