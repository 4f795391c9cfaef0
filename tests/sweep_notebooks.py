"""Tiny notebooks for the tests of sweeps, made where they are needed."""

import nbformat

SAVE = """\
import json, os, pathlib
folder = pathlib.Path(os.environ["AE_RUNS_DIR"]) / "mine"
left = folder.with_name(".mine.ae-old")  # what a killed save leaves is no run of its own
for each in (left, folder):
    each.mkdir()
    (each / "metrics.json").write_text(json.dumps({metrics}))"""


def write_notebook(path, parameters, *code, kernel="python3"):
    """Write a notebook with a parameters cell and one code cell for each further text."""
    cells = [nbformat.v4.new_code_cell(text) for text in (parameters, *code)]
    cells[0].metadata["tags"] = ["parameters"]
    kernelspec = {"name": kernel, "display_name": kernel, "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernelspec})
    nbformat.write(notebook, path)
    return path


def write_training(path, seconds=0):
    """Write a notebook that takes its time and saves numbers that follow from its parameters."""
    return write_notebook(
        path,
        "seed: int = 0\nscale: float = 1.0\nfail_at: int = -1",
        f"import time; time.sleep({seconds})\nif seed == fail_at: raise ValueError('seed is bad')",
        SAVE.format(metrics='{"val_loss": seed * scale}'),
    )
