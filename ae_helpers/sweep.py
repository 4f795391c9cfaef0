r"""Many runs of one notebook by papermill, on this machine or on a Dask cluster.

    python -m ae_helpers.sweep notebooks/03_training.ipynb \
        --vary seed=0:8 --vary latent_activation=relu,linear --set epochs=10 --out runs/sweep1

makes sixteen runs and one table of them, runs/sweep1/results.csv.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ae_helpers import sweep_dask, sweep_folder
from ae_helpers.sweep_grid import Plan, find_defaults, make_plan, read_value, read_values
from ae_helpers.sweep_progress import start_progress
from ae_helpers.sweep_run import run_on_worker

MANY = 10_000  # runs; more than these are seldom meant
BETWEEN_WRITES = 1.0  # seconds at least between two versions of results.csv,
WRITING = 0.05  # and no more than this part of the time goes into writing them


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
    yes: bool = False,
) -> list[dict[str, Any]]:
    """Run a notebook once for each combination of parameters, and collect what came of it.

    Every run has its own process, kernel and folder, ``out/run-0000`` onwards: the executed
    notebook, ``metrics.json``, and in ``runs/`` what the notebook saved (`AE_RUNS_DIR` points
    there). ``out/results.csv`` is the table of the runs that have ended, rewritten as they end.
    A run that fails is in the table with its error; the others go on.

    Notebook and results travel through the cluster: its machines need this package and the data,
    but no shared folder. Each run uses one thread, so that numbers do not depend on the machine's
    cores. A cluster that loses its workers is waited for. Runs that are under way there when the
    sweep is interrupted go on to their end, and nobody collects them.

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
    plan, defaults = _prepare(notebook, vary, fixed or {}, out, yes)
    if workers is not None and workers < 1:
        raise ValueError(f"workers={workers} cannot work: it must be a whole number from 1 up.")
    if workers is not None and scheduler is not None:
        raise ValueError("workers and scheduler exclude each other: a cluster brings its workers.")
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout={timeout} cannot work: it must be a number of seconds above 0.")
    out = Path(out).resolve()
    with sweep_folder.locked(out):
        sweep_folder.read_sweep(out, plan.identity)  # again, now that nobody else writes there
        outcomes = sweep_folder.read_outcomes(out, plan.names)
        done = {name for name, outcome in outcomes.items() if outcome["status"] == "done"}
        if outcomes and not resume:
            raise ValueError(
                f"{out} holds this sweep already, with {len(done)} of {len(plan.runs)} runs done: "
                "resume it (--resume), or use another folder."
            )
        sweep_folder.write_sweep(out, plan.identity, defaults)
        try:
            if len(done) < len(plan.runs):
                options = {"scheduler": scheduler, "workers": workers, "timeout": timeout}
                _run(plan, defaults, outcomes, out, **options)
        finally:
            rows = sweep_folder.table(outcomes, list(plan.identity["vary"]))
            sweep_folder.write_results(out, rows)
    return rows


def _prepare(
    notebook: str | Path,
    vary: Mapping[str, Iterable[Any]],
    fixed: Mapping[str, Any],
    out: str | Path,
    yes: bool,
) -> tuple[Plan, dict[str, Any]]:
    """Lay out the runs and find the notebook's defaults; refuse what cannot work."""
    vary = {name: list(values) for name, values in vary.items()}
    n_runs = math.prod(len(values) for values in vary.values())
    if n_runs > MANY and not yes:
        raise ValueError(f"These are {n_runs:,} runs: if they are meant, say so (--yes).")
    plan = make_plan(Path(notebook), vary, fixed)
    held = sweep_folder.read_sweep(Path(out), plan.identity)
    return plan, held["defaults"] if held else find_defaults(plan)


def _run(
    plan: Plan,
    defaults: dict[str, Any],
    outcomes: dict[str, dict[str, Any]],
    out: Path,
    scheduler: str | None,
    workers: int | None,
    timeout: float | None,
) -> None:
    """Make the runs that are not done; note each in ``outcomes`` and on disk as it ends."""
    given = {
        name: params
        for name, params in zip(plan.names, plan.runs, strict=True)
        if outcomes.get(name, {}).get("status") != "done"
    }
    started = time.time()
    tasks = {
        name: {
            "notebook": plan.notebook,
            "params": params,
            "data_source": (defaults | params).get("data_source"),
            "timeout": timeout,
            "sweep_started": started,
        }
        for name, params in given.items()
    }
    show = start_progress(len(plan.runs), len(plan.runs) - len(tasks))
    (out / sweep_folder.WORK).mkdir()
    scratch = Path(tempfile.mkdtemp(dir=out / sweep_folder.WORK))
    next_write, to_write = time.monotonic() + BETWEEN_WRITES, False
    with sweep_dask.connect(scheduler, workers, len(tasks), scratch) as client:
        for result in sweep_dask.distribute(client, run_on_worker, tasks):
            outcome = None
            if result is not None:
                name, outcome, files = result
                params = defaults | given[name]
                outcome = {"run": name, "params": params, "seed": params.get("seed")} | outcome
                sweep_folder.write_run(out, outcome, files)
                outcomes[name], to_write = outcome, True
            show(outcome)
            begin = time.monotonic()
            if to_write and begin >= next_write:
                rows = sweep_folder.table(outcomes, list(plan.identity["vary"]))
                sweep_folder.write_results(out, rows)
                seconds = time.monotonic() - begin
                next_write = begin + max(BETWEEN_WRITES, seconds / WRITING)
                to_write = False


def _name_and_text(argument: str) -> tuple[str, str]:
    name, equals, text = argument.partition("=")
    if not (name.isidentifier() and equals):
        raise argparse.ArgumentTypeError(f"{argument!r} must be NAME=VALUE")
    return name, text


def _pairs(option: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{option} {twice[0]} is there twice: give all its values at once.")
    return dict(pairs)


def _print_runs(plan: Plan) -> None:
    rows = [["run", *plan.runs[0]]]
    rows += [
        [name, *map(repr, run.values())] for name, run in zip(plan.names, plan.runs, strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(line.rstrip())
    print(f"{len(plan.runs)} runs; a dry run starts none")


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and run the sweep.

    Returns
    -------
    int
        0 if all runs are done, 1 if one failed, 2 if nothing could start, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="python -m ae_helpers.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    pair = {"action": "append", "default": [], "type": _name_and_text}
    add("notebook", help="with a cell tagged parameters")
    add("--vary", **pair, metavar="NAME=VALUES", help="a,b,c; or 0:8 for 0, 1, ... 7")
    add("--set", **pair, metavar="NAME=VALUE", help="the same in all runs")
    add("--out", required=True, help="the folder of the sweep")
    add("--workers", type=int, help="runs at a time; by default one for each core")
    add("--scheduler", metavar="tcp://...", help="a Dask cluster, in place of this machine")
    add("--timeout", type=float, metavar="SECONDS", help="stop a run that takes longer")
    add("--resume", action="store_true", help="make only the runs that are missing or failed")
    add("--dry-run", action="store_true", help="print the table of runs and start none")
    add("--yes", action="store_true", help=f"allow more than {MANY:,} runs")
    options = parser.parse_args(arguments)
    try:
        vary = _pairs("--vary", [(name, read_values(text)) for name, text in options.vary])
        fixed = _pairs("--set", [(name, read_value(text)) for name, text in options.set])
        if options.dry_run:
            plan, _ = _prepare(options.notebook, vary, fixed, options.out, options.yes)
            _print_runs(plan)
            return 0
        rows = sweep(
            options.notebook,
            vary,
            out=options.out,
            fixed=fixed,
            workers=options.workers,
            scheduler=options.scheduler,
            timeout=options.timeout,
            resume=options.resume,
            yes=options.yes,
        )
    except (ValueError, OSError) as error:  # a cluster that is lost is an OSError too
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted: the same line with --resume makes what is missing.", file=sys.stderr)
        return 130
    failed = [row for row in rows if row["status"] != "done"]
    for row in failed[:10]:
        print(f"{row['run']} failed: {row['error']}")
    print(f"{len(rows) - len(failed)} of {len(rows)} runs done: {options.out}/results.csv")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
