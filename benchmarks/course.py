"""Time the course's notebooks, each beside a notebook that does nothing but import Keras.

    python benchmarks/course.py

What a reader waits for, and how much of it is start-up; the memory a kernel comes to; and, of
notebook 05, the cells up to the map, which is there before TensorFlow is. The ratios compare
between machines, the seconds do not.
"""

import copy
import os
import tempfile
from pathlib import Path

import nbformat
import papermill

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
CELL_TIMEOUT = 1800  # seconds
IMPORT = "from ae_helpers import quiet_start\nwith quiet_start():\n    import keras"
PEAK = "import resource\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
MAP = "LatentExplorer(run."


def main():
    """Execute all of them in order, and print a table."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["AE_RUNS_DIR"] = name
        nothing = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(IMPORT)])
        start_up, _ = execute(nothing, Path(name))
        start_up = sum(start_up)
        print(f"{'notebook':24}{'seconds':>9}{'start-ups':>11}{'peak memory':>13}")
        print(f"{'import keras, no more':24}{start_up:9.1f}{1:11.1f}")
        for path in sorted(NOTEBOOKS.glob("*.ipynb")):
            notebook = nbformat.read(path, as_version=4)
            seconds, peak = execute(notebook, Path(name))
            total = sum(seconds)
            print(f"{path.stem:24}{total:9.1f}{total / start_up:11.1f}{peak:10} MB", flush=True)
            if path.stem == "05_decoder_grid":
                code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
                shown = next(i for i, source in enumerate(code) if MAP in source) + 1
                print(f"{'  up to the map':24}{sum(seconds[:shown]):9.1f} (wanted: 5 at most)")


def execute(notebook, folder):
    """Execute a copy; return the seconds of each code cell, and the kernel's peak memory in MB."""
    notebook = copy.deepcopy(notebook)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    done = papermill.execute_notebook(
        notebook,
        folder / "executed.ipynb",
        cwd=NOTEBOOKS,
        kernel_name="python3",
        execution_timeout=CELL_TIMEOUT,
        progress_bar=False,
    )
    cells = [cell for cell in done.cells if cell.cell_type == "code"]
    seconds = [cell.metadata.papermill.duration for cell in cells[:-1]]
    return seconds, int(cells[-1].outputs[0].text)


if __name__ == "__main__":
    main()
