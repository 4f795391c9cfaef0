"""The folder of a sweep: whose it is, which of its runs have ended, and the table of them."""

import contextlib
import csv
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

SWEEP = "sweep.json"
RESULTS = "results.csv"
LOCK = ".lock"
WORK = ".work"  # runs under way; nothing in it outlives its sweep
STAGES = ("start", "load", "compile", "train", "save")  # as `ae_helpers.stages` has them
SAMPLE = "MNIST sample"  # as `ae_helpers.data_name` calls it; "auto" takes it without MNIST

Outcome = Mapping[str, Any]


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the folder for one sweep, or raise a ValueError if another sweep does.

    The operating system lets go of it when the process dies, however it dies.
    """
    out.mkdir(parents=True, exist_ok=True)
    try:
        lock = filelock.FileLock(out / LOCK).acquire(blocking=False)
    except filelock.Timeout as error:
        raise ValueError(
            f"Another sweep is at work in {out}: wait for its end, or use another folder."
        ) from error
    with lock:
        shutil.rmtree(out / WORK, ignore_errors=True)  # left by a sweep that was killed
        (out / WORK).mkdir(exist_ok=True)
        try:
            yield
        finally:
            shutil.rmtree(out / WORK, ignore_errors=True)


def check_sweep(out: Path, identity: Mapping[str, Any]) -> None:
    """Refuse a folder that holds another sweep or anything else, with a ValueError."""
    if (out / SWEEP).is_file():
        held = _read_json(out / SWEEP, identity=dict)
        if held is None:
            raise ValueError(f"{out / SWEEP} is damaged: use another folder for this sweep.")
        # As text, so that the order counts, and 1, 1.0 and true are three values.
        if json.dumps(held["identity"]) != json.dumps(identity):
            differs = [key for key in identity if held["identity"].get(key) != identity[key]]
            raise ValueError(
                f"{out} holds another sweep (it differs in: {', '.join(differs) or 'order'}): "
                "use another folder."
            )
    elif out.exists() and not out.is_dir():
        raise ValueError(f"{out} is not a folder: a sweep needs a new or empty one.")
    elif out.exists() and any(path.name not in (LOCK, WORK) for path in out.iterdir()):
        raise ValueError(f"{out} holds something that is not a sweep: use a new or empty folder.")


def write_sweep(out: Path, identity: Mapping[str, Any]) -> None:
    """Write down which sweep the folder is for; the first thing to be written into it."""
    temporary = out / WORK / SWEEP
    temporary.write_text(json.dumps({"identity": identity}, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, out / SWEEP)


def read_outcomes(out: Path, names: Iterable[str]) -> dict[str, Outcome]:
    """Read the ``metrics.json`` of the runs that have ended, by the runs' names.

    A folder without a whole one is no run of ours: that run is made again.
    """
    types = {"run": str, "status": str, "params": dict, "metrics": dict}
    types |= {"seconds": object, "error": object}
    found = {name: _read_json(out / name / "metrics.json", **types) for name in names}
    return {name: outcome for name, outcome in found.items() if outcome and outcome["run"] == name}


def write_run(out: Path, outcome: Outcome, files: Mapping[str, bytes]) -> None:
    """Write the folder of a run that has ended; it is there whole or not at all.

    ``outcome`` becomes its ``metrics.json``; ``files`` is path in the folder to content.
    """
    target = out / outcome["run"]
    beside = Path(tempfile.mkdtemp(dir=out / WORK))
    beside.chmod(0o755)  # mkdtemp makes it readable to its owner only
    for name, content in files.items():
        path = beside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (beside / "metrics.json").write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")
    if target.exists():  # the run failed before, and a folder cannot replace another
        target.rename(Path(tempfile.mkdtemp(dir=out / WORK)) / "old")
    beside.rename(target)


def with_one_data(outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Call those runs failed that were made on other data than the rest, in the runs' order.

    Runs with the same ``data_source`` belong to one another. A machine without MNIST takes the
    sample for ``"auto"``, so the sample gives way to what others had; else the first run decides.
    What a run had is its metric ``data``; a notebook that saves none is taken as it is.
    """
    ordered = {name: outcomes[name] for name in sorted(outcomes)}
    data = {
        name: (str(outcome["params"]["data_source"]), str(outcome["metrics"]["data"]))
        for name, outcome in ordered.items()
        if outcome["status"] == "done"
        and "data_source" in outcome["params"]
        and "data" in outcome["metrics"]
    }
    expected: dict[str, str] = {}
    for source, used in data.values():
        if expected.setdefault(source, used) == SAMPLE:
            expected[source] = used
    for name, (source, used) in data.items():
        if used != expected[source]:
            error = f"This run was made on {used}, others with the same data_source on "
            error += f"{expected[source]}: give every machine the same data, and resume."
            ordered[name] = {**ordered[name], "status": "failed", "error": error}
    return ordered


def done(outcomes: Mapping[str, Outcome]) -> set[str]:
    """Name the runs that need not be made again."""
    return {name for name, o in with_one_data(outcomes).items() if o["status"] == "done"}


def table(outcomes: Mapping[str, Outcome], vary: Iterable[str]) -> list[dict[str, Any]]:
    """Lay out the outcomes as rows with the same columns, in the order of the runs' names.

    The columns are ``run``, ``status``, the parameters, those in ``vary`` first, the metrics,
    ``start`` (warm or cold), the seconds of each stage (``train_seconds``), ``seconds`` in all, and
    ``error``. A parameter with the name of another column gets ``param.`` before
    it, and a metric ``metric.`` (``metric.loss``: the parameter ``loss`` is a function's name).
    A run that lacks one has None there.
    """
    ended = list(with_one_data(outcomes).values())
    stages = {f"{stage}_seconds": stage for stage in STAGES}
    taken = {"run", "status", "start", *stages, "seconds", "error"}
    params = _columns("param.", [*vary, *(n for o in ended for n in o["params"])], taken)
    metrics = _columns("metric.", [name for o in ended for name in o["metrics"]], taken)
    return [
        {"run": outcome["run"], "status": outcome["status"]}
        | {column: outcome["params"].get(name) for name, column in params.items()}
        | {column: outcome["metrics"].get(name) for name, column in metrics.items()}
        | {"start": outcome.get("start")}  # sweeps of before say nothing of it
        | {column: outcome.get("stages", {}).get(stage) for column, stage in stages.items()}
        | {"seconds": outcome["seconds"], "error": outcome["error"]}
        for outcome in ended
    ]


def _columns(prefix: str, names: Iterable[str], taken: set[str]) -> dict[str, str]:
    columns = {}
    for name in dict.fromkeys(names):
        columns[name] = name
        while columns[name] in taken:
            columns[name] = prefix + columns[name]
        taken.add(columns[name])
    return columns


def write_results(
    out: Path, outcomes: Mapping[str, Outcome], vary: Iterable[str]
) -> list[dict[str, Any]]:
    """Write the `table` into ``results.csv``, in place of the one before, in one step."""
    rows = table(outcomes, vary)
    temporary = out / WORK / RESULTS
    with temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0] if rows else ["run", "status"])
        for row in rows:
            writer.writerow(
                json.dumps(v) if isinstance(v, list | dict) else v for v in row.values()
            )
    os.replace(temporary, out / RESULTS)
    return rows


def _read_json(path: Path, **types: type) -> dict[str, Any] | None:
    """Read an object whose keys have these types; None if it is not there, or not whole."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        whole = all(isinstance(content[key], kind) for key, kind in types.items())
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None
    return content if whole else None
