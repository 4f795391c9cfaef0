"""Many runs of one notebook by papermill, on this machine or on a Dask cluster."""

import importlib.metadata
import math
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ae_helpers.sweep import cluster, folder
from ae_helpers.sweep.grid import Plan, make_plan
from ae_helpers.sweep.progress import start_progress
from ae_helpers.sweep.run import run_on_worker
from ae_helpers.sweep.warm import close as close_warm_process

MANY = 10_000  # runs; more than these are seldom meant
BETWEEN_WRITES = 1.0  # seconds at least between two versions of results.csv


def sweep(
    notebook: str | Path,
    vary: Mapping[str, Iterable[Any]],
    *,
    out: str | Path,
    fixed: Mapping[str, Any] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    timeout: float | None = None,
    resume: bool = False,
    cold: bool = False,
    yes: bool = False,
) -> list[dict[str, Any]]:
    """Run a notebook once for each combination of parameters, and collect what came of it.

    Every run has its own process, kernel and folder, ``out/run-0000`` onwards: the executed
    notebook, ``metrics.json``, and in ``runs/`` what the notebook saved (`AE_RUNS_DIR` points
    there). ``out/results.csv`` is the table of the runs that have ended, rewritten as they end.
    A run that fails is in the table with its error; the others go on.

    Where that is safe, runs are forked from a warm process that has imported TensorFlow, Keras
    and this package, and done nothing else; it lives as long as the sweep. Elsewhere each run
    starts cold, and makes the imports itself. The numbers are the same.

    Each run uses one thread, so that numbers do not depend on the machine's cores. Where a run
    saves a metric ``data``, the name of its data, runs with the same ``data_source`` must have
    the same: one that fell back on the sample, or differs else, is called failed. (Two files of
    your own are both ``"not MNIST"``.)

    Notebook and results travel through the cluster: its machines need this package and the data,
    but no shared folder. A cluster that loses its workers is waited for, and workers with another
    version of this package get no runs. Runs that are under way there when the sweep is
    interrupted go on to their end, and nobody collects them.

    Parameters
    ----------
    notebook
        The notebook, with a cell tagged ``parameters``.
    vary
        A parameter's name to its values; there is one run for each combination.
    out
        The sweep's folder: new, empty, or with ``resume`` one that holds this same sweep.
    fixed
        Parameters that are the same in all runs, in place of the notebook's defaults.
    workers
        Runs at a time on this machine; by default as many as it has cores.
    scheduler
        Address of a Dask cluster's scheduler (``tcp://host:8786``), in place of this machine.
    timeout
        Seconds after which a run is stopped, and recorded as failed; by default none is.
    resume
        Go on with a sweep that was interrupted: only runs that are missing or failed are made.
    cold
        Start each run cold.
    yes
        Allow more than 10,000 runs.

    Returns
    -------
    list of dict
        The rows of ``results.csv``.

    Raises
    ------
    FileNotFoundError
        If there is no such notebook.
    ValueError
        Before anything starts: if a parameter is unknown or a value cannot work, there is no run
        or too many, or the folder is in use or holds something else.
    ConnectionError
        If the cluster cannot be reached, or is lost.
    """
    plan = prepare(notebook, vary, fixed or {}, out, yes)
    if workers is not None and workers < 1:
        raise ValueError(f"workers={workers} cannot work: it must be a whole number from 1 up.")
    if workers is not None and scheduler is not None:
        raise ValueError("workers and scheduler exclude each other: a cluster brings its workers.")
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout={timeout} cannot work: it must be a number of seconds above 0.")
    out = Path(out).resolve()
    with folder.locked(out):
        folder.check_sweep(out, plan.identity)  # again, now that nobody else writes there
        outcomes = folder.read_outcomes(out, plan.runs)
        done = folder.done(outcomes)
        if outcomes and not resume:
            raise ValueError(
                f"{out} holds this sweep already, with {len(done)} of {len(plan.runs)} runs done: "
                "resume it (--resume), or use another folder."
            )
        folder.write_sweep(out, plan.identity)
        warm = None if cold else uuid.uuid4().hex
        try:
            if len(done) < len(plan.runs):
                with cluster.connect(scheduler, workers) as place:
                    _run(plan, outcomes, out, place, {"timeout": timeout, "warm": warm})
        finally:
            if warm:
                close_warm_process(warm)
            rows = folder.write_results(out, outcomes, plan.identity["vary"])
    return rows


def prepare(
    notebook: str | Path,
    vary: Mapping[str, Iterable[Any]],
    fixed: Mapping[str, Any],
    out: str | Path,
    yes: bool,
) -> Plan:
    """Lay out the runs of `sweep`; refuse what cannot work."""
    for name, values in vary.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise ValueError(f"{name}={values!r} cannot be varied: give a list of its values.")
    vary = {name: list(values) for name, values in vary.items()}
    n_runs = math.prod(len(values) for values in vary.values())
    if n_runs > MANY and not yes:
        raise ValueError(f"These are {n_runs:,} runs: if they are meant, say so (--yes).")
    plan = make_plan(Path(notebook), vary, fixed)
    folder.check_sweep(Path(out), plan.identity)
    return plan


def _run(
    plan: Plan, outcomes: dict[str, Any], out: Path, place: cluster.Place, options: dict[str, Any]
) -> None:
    """Make the runs that are not done; note each in ``outcomes`` and on disk as it ends."""
    ended = folder.done(outcomes)
    always = options | {
        "notebook": plan.notebook,
        "version": importlib.metadata.version("ae-helpers"),
        "folder": str(out / folder.WORK) if isinstance(place, cluster.ThisMachine) else None,
    }
    tasks = {name: always | {"params": plan.runs[name]} for name in plan.runs if name not in ended}
    show = start_progress(len(plan.runs), len(ended))
    written, to_write = time.monotonic(), False
    said = False
    for result in cluster.distribute(place, run_on_worker, tasks):
        if result is not None:
            name, outcome, files = result
            _, why, reason = outcome.get("start", "").partition("cold: ")
            if why and not said:
                tqdm.write(f"Runs start cold: {reason}.")
                said = True
            params = plan.defaults | plan.runs[name]
            outcomes[name] = {"run": name, "params": params, "seed": params.get("seed")} | outcome
            folder.write_run(out, outcomes[name], files)
            ended.add(name)
            to_write = True
        show(len(ended), len(ended - folder.done(outcomes)))
        if to_write and time.monotonic() - written >= BETWEEN_WRITES:
            folder.write_results(out, outcomes, plan.identity["vary"])
            written, to_write = time.monotonic(), False
