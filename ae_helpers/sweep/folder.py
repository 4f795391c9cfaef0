"""The folder of a sweep: whose it is, which of its runs have ended, and the table of them."""

import contextlib
import csv
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SWEEP = "sweep.json"
RESULTS = "results.csv"
LOCK = ".lock"
WORK = ".work"  # runs under way; nothing in it outlives its sweep


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the folder for one sweep; the operating system lets go of it when the process dies.

    Raises
    ------
    ValueError
        If another sweep is at work in the folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"Another sweep is at work in {out}: wait for its end, or use another folder."
            ) from error
        shutil.rmtree(out / WORK, ignore_errors=True)  # left by a sweep that was killed
        try:
            yield
        finally:
            shutil.rmtree(out / WORK, ignore_errors=True)


def read_sweep(out: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read what the folder holds of this sweep.

    Parameters
    ----------
    out
        The folder; it need not exist.
    identity
        Of the sweep that is to run in it.

    Returns
    -------
    dict or None
        What `write_sweep` wrote; None if the folder is new or empty.

    Raises
    ------
    ValueError
        If the folder holds another sweep or anything else.
    """
    if (out / SWEEP).is_file():
        sweep = json.loads((out / SWEEP).read_text(encoding="utf-8"))
        # As text, so that the order counts, and 1, 1.0 and true are three values.
        if json.dumps(sweep["identity"]) == json.dumps(identity):
            return sweep
        differs = [key for key in identity if sweep["identity"].get(key) != identity[key]]
        raise ValueError(
            f"{out} holds another sweep (it differs in: {', '.join(differs) or 'order'}): "
            "use another folder."
        )
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is not a folder: a sweep needs a new or empty one.")
    if out.exists() and any(path.name not in (LOCK, WORK) for path in out.iterdir()):
        raise ValueError(f"{out} holds something that is not a sweep: use a new or empty folder.")
    return None


def write_sweep(out: Path, identity: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Write down which sweep the folder is for; the first thing to be written into it."""
    _write(out / SWEEP, json.dumps({"identity": identity, "defaults": defaults}, indent=2) + "\n")


def read_outcomes(out: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """Read the ``metrics.json`` of the runs that have ended, by the runs' names."""
    outcomes = {}
    for name in names:
        # A folder without a whole metrics.json is no run of ours: that run is made again.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            outcomes[name] = json.loads((out / name / "metrics.json").read_text(encoding="utf-8"))
    return outcomes


def write_run(out: Path, outcome: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write the folder of a run that has ended; it is there whole or not at all.

    Parameters
    ----------
    out
        The sweep's folder.
    outcome
        The content of ``metrics.json``; ``run`` names the folder.
    files
        Path in the run's folder to content.
    """
    target = out / outcome["run"]
    (out / WORK).mkdir(exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=out / WORK))
    beside.chmod(0o755)  # mkdtemp makes it readable to its owner only
    for name, content in files.items():
        path = beside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    _write(beside / "metrics.json", json.dumps(outcome, indent=2) + "\n")
    if target.exists():  # the run failed before, and a folder cannot replace another
        target.rename(Path(tempfile.mkdtemp(dir=out / WORK)) / "old")
    beside.rename(target)


def table(outcomes: Mapping[str, Mapping[str, Any]], vary: list[str]) -> list[dict[str, Any]]:
    """Lay out the outcomes as rows with the same columns, in the order of the runs' names.

    Parameters
    ----------
    outcomes
        As `read_outcomes` returns them.
    vary
        The parameters varied, which come first among the parameters.

    Returns
    -------
    list of dict
        ``run``, ``status``, the parameters, the metrics, ``data_fingerprint``, ``seconds``,
        ``error``. A metric with the name of another column gets ``metric.`` before it
        (``metric.loss``: the parameter ``loss`` is a function's name). None where a run has none.
    """
    ordered = [outcomes[name] for name in sorted(outcomes)]
    params = dict.fromkeys([*vary, *(name for outcome in ordered for name in outcome["params"])])
    taken = {"run", "status", *params, "data_fingerprint", "seconds", "error"}
    metrics = dict.fromkeys(name for outcome in ordered for name in outcome["metrics"])
    columns = {name: f"metric.{name}" if name in taken else name for name in metrics}
    return [
        {"run": outcome["run"], "status": outcome["status"]}
        | {name: outcome["params"].get(name) for name in params}
        | {column: outcome["metrics"].get(name) for name, column in columns.items()}
        | {key: outcome[key] for key in ("data_fingerprint", "seconds", "error")}
        for outcome in ordered
    ]


def write_results(out: Path, rows: list[dict[str, Any]]) -> None:
    """Write ``results.csv`` from the rows of `table`, in place of the one before, in one step."""
    temporary = out / f".{RESULTS}"
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0] if rows else ["run", "status"])
        for row in rows:
            writer.writerow(
                json.dumps(v) if isinstance(v, list | dict) else v for v in row.values()
            )
    os.replace(temporary, out / RESULTS)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
