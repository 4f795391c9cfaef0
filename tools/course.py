"""Run the course's notebooks without a screen: all in order, or in place to renew their outputs."""

import argparse
import ast
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import papermill
from IPython.core.inputtransformer2 import TransformerManager
from traitlets.config import Config

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
CELL_TIMEOUT = 1800  # seconds; the longest cell takes under a minute on two cores
# Without keys each kernel would print that its connection, on this machine, is not encrypted.
ENCRYPTED = Config({"KernelManager": {"transport_encryption": "auto"}})
# Else a slow kernel says that its shutdown interrupts it, and that the way out is closed already.
QUIET = ["--log-level=CRITICAL"]
QUIET += ['--IPKernelApp.logging_config={"loggers": {"tornado": {"level": "CRITICAL"}}}']


def run_course(out: Path) -> bool:
    """Run all notebooks in order, each with its defaults, and print a table of how they ended.

    Parameters
    ----------
    out
        Folder for the executed notebooks; the runs they save go to ``out/runs``, so that your
        own runs stay as they are.

    Returns
    -------
    bool
        Whether every notebook ran to its end.
    """
    out.mkdir(parents=True, exist_ok=True)
    os.environ["AE_RUNS_DIR"] = str((out / "runs").resolve())
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    rows = []
    for i, path in enumerate(paths, start=1):
        print(f"[{i}/{len(paths)}] {path.stem} ...", end=" ", flush=True)
        start = time.perf_counter()
        result = _execute(path, out / path.name)
        seconds = time.perf_counter() - start
        print(f"{seconds:.0f} s", flush=True)
        rows.append((path.stem, f"{seconds:.1f}", str(count_asserts(path)), result))
    print()
    _print_table([("notebook", "seconds", "checks", "result"), *rows])
    return all(result == "ok" for *_, result in rows)


def refresh(paths: list[Path]) -> None:
    """Execute notebooks in place and keep of their outputs only what belongs in git.

    Parameters
    ----------
    paths
        The notebooks; they are executed in their own folder, with an empty place for runs.

    Raises
    ------
    RuntimeError
        If a notebook fails or writes to stderr; that notebook's file is left as it was.
    """
    for path in paths:
        print(path.name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            os.environ["AE_RUNS_DIR"] = folder
            executed = Path(folder) / path.name
            result = _execute(path, executed)
            if result != "ok":
                raise RuntimeError(f"{path.name}: {result}")
            notebook = nbformat.read(executed, as_version=4)
        clean(notebook)
        nbformat.write(notebook, path)


def clean(notebook: nbformat.NotebookNode) -> None:
    """Remove from an executed notebook what differs from run to run or from machine to machine.

    Parameters
    ----------
    notebook
        Changed in place: metadata but for kernel and tags, and the ids of widgets, go.

    Raises
    ------
    RuntimeError
        If a cell wrote to stderr.
    """
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise RuntimeError(f"A cell writes to stderr: {output['text']}")
            # Without the widget's state, which is not kept, its id shows as an error.
            data = output.get("data", {})
            shown = data.pop("application/vnd.jupyter.widget-view+json", None)
            if shown and "nbval-ignore-output" in tags:  # the others' text is compared as it is
                data["text/plain"] = _widget_text(data["text/plain"])


def _widget_text(text: str) -> str:
    """Say what a reader sees none of; a repr that lists children says nothing, and is cut off."""
    name, _, traits = text.partition("(")
    return f"{name}: run this cell in JupyterLab" if traits.startswith("children=") else text


def count_asserts(path: Path) -> int:
    """Count the ``assert`` statements in a notebook's code cells."""
    cells = nbformat.read(path, as_version=4).cells
    to_python = TransformerManager().transform_cell  # a cell may hold a line like %pip
    code = "\n".join(to_python(cell.source) for cell in cells if cell.cell_type == "code")
    return sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(code)))


def _execute(path: Path, executed: Path) -> str:
    try:
        papermill.execute_notebook(
            path,
            executed,
            cwd=path.parent,
            kernel_name="python3",
            execution_timeout=CELL_TIMEOUT,
            progress_bar=False,
            config=ENCRYPTED,
            extra_arguments=QUIET,
        )
    except papermill.PapermillExecutionError as error:
        return f"cell {error.exec_count} failed: {error.ename}: {error.evalue}"
    except (RuntimeError, TimeoutError) as error:  # the kernel died, or a cell took too long
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return "ok"


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def main() -> int:
    """Read the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run all notebooks in order")
    run.add_argument("--out", type=Path, default=Path("build/course"))
    again = commands.add_parser("refresh", help="execute notebooks in place and clean them")
    again.add_argument(
        "notebooks", type=Path, nargs="*", default=sorted(NOTEBOOKS.rglob("*.ipynb"))
    )
    arguments = parser.parse_args()
    if arguments.command == "run":
        return 0 if run_course(arguments.out) else 1
    refresh(arguments.notebooks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
