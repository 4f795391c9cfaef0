r"""Many runs of one notebook by papermill, on this machine or on a Dask cluster.

    python -m ae_helpers.sweep notebooks/03_training.ipynb \
        --vary seed=0:8 --vary latent_activation=relu,linear --set epochs=10 --out runs/sweep1

makes sixteen runs and one table of them, runs/sweep1/results.csv.
"""

import argparse
import sys
from typing import Any

from ae_helpers.sweep import MANY, prepare, sweep
from ae_helpers.sweep.grid import Plan, read_value, read_values


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
    rows = [["run", *next(iter(plan.runs.values()))]]
    rows += [[name, *map(repr, run.values())] for name, run in plan.runs.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
    print(f"{len(plan.runs)} runs; a dry run starts none")


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and run the sweep.

    It returns 0 if all runs are done, 1 if one failed, 2 if nothing could start, 130 after Ctrl-C.
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
    add("--set", **pair, dest="fixed", metavar="NAME=VALUE", help="the same in all runs")
    add("--out", required=True, help="the folder of the sweep")
    add("--workers", type=int, help="runs at a time; by default one for each core")
    add("--scheduler", metavar="tcp://...", help="a Dask cluster, in place of this machine")
    add("--timeout", type=float, metavar="SECONDS", help="stop a run that takes longer")
    add("--resume", action="store_true", help="make only the runs that are missing or failed")
    add("--cold", action="store_true", help="start each run anew, not from a warm process")
    add("--dry-run", action="store_true", help="print the table of runs and start none")
    add("--yes", action="store_true", help=f"allow more than {MANY:,} runs")
    options = vars(parser.parse_args(arguments))
    try:
        vary = [(name, read_values(text)) for name, text in options["vary"]]
        fixed = [(name, read_value(text)) for name, text in options["fixed"]]
        options |= {"vary": _pairs("--vary", vary), "fixed": _pairs("--set", fixed)}
        if options.pop("dry_run"):
            given = [options[name] for name in ("notebook", "vary", "fixed", "out", "yes")]
            _print_runs(prepare(*given))
            return 0
        rows = sweep(**options)
    except (ValueError, OSError) as error:  # a cluster that is lost is an OSError too
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted: the same line with --resume makes what is missing.", file=sys.stderr)
        return 130
    failed = [row for row in rows if row["status"] != "done"]
    for row in failed[:10]:
        print(f"{row['run']} failed: {row['error']}")
    print(f"{len(rows) - len(failed)} of {len(rows)} runs done: {options['out']}/results.csv")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
