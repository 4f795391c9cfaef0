"""The widgets of notebooks 05 and 08 as a reader meets them in JupyterLab: by keys and by mouse.

Here only those cells are run that the widgets need; nbval runs all of them.
"""

from pathlib import Path

import nbformat
import numpy as np
import pytest
from lab import draw_line, wait_until

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
READ = "digit => digit.src ?? digit.toDataURL()"
HAS_CHANGED = f"([digit, before]) => ({READ})(digit) !== before"


# -- 05: its two pairs of sliders


@pytest.fixture(scope="module")
def opened(shared_page, lab):
    """05 to its first sliders and the range of the second, and those, run on the sample."""
    notebook = nbformat.read(NOTEBOOKS / "05_decoder_grid.ipynb", as_version=4)
    starts = {cell.source.partition(" =")[0]: i for i, cell in enumerate(notebook.cells)}
    notebook.cells = [
        *notebook.cells[: starts["z_range"] + 1],
        notebook.cells[starts["sliders"]],
    ]
    for cell in notebook.cells:
        if cell.cell_type == "code":  # what is seen must come from this run
            cell.outputs, cell.execution_count = [], None
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += '\ndata_source = "sample"'
    page, _ = shared_page
    lab.open_notebook(page, notebook)
    lab.run_all(page)
    return notebook


def test_the_cells_run_without_an_error(opened, lab_page):
    errors = lab_page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
          .flatMap(cell => cell.model.outputs?.toJSON() ?? [])
          .filter(output => output.output_type === "error").map(output => output.evalue)"""
    )
    assert errors == []
    n_run = lab_page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
          .filter(cell => cell.model.executionCount).length"""
    )
    assert n_run == sum(cell.cell_type == "code" for cell in opened.cells)


def by_keys(page, handle):
    handle.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")


def by_mouse(page, handle):
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=5)
    page.mouse.up()


@pytest.mark.parametrize(("number", "move"), [(0, by_keys), (1, by_keys), (0, by_mouse)])
@pytest.mark.parametrize(
    ("made_by", "slider", "shown"),
    [
        ("explorer = LatentExplorer(", ".sliders input", ".decoded canvas"),
        ("latent_sliders(", ".noUi-handle", "img.widget-image"),
    ],
)
def test_each_slider_changes_the_digit(opened, lab_page, lab, made_by, slider, shown, number, move):
    (index,) = (
        i
        for i, cell in enumerate(opened.cells)
        if cell.cell_type == "code" and made_by in cell.source
    )
    lab.show(lab_page, index)
    cell = f".jp-Notebook .jp-Cell[data-windowed-list-index='{index}']"
    handle = lab_page.locator(f"{cell} {slider}").nth(number)
    handle.wait_for()
    lab_page.locator(shown).wait_for()
    digit = lab_page.locator(shown).element_handle()
    before = digit.evaluate(READ)
    move(lab_page, handle)
    lab_page.wait_for_function(HAS_CHANGED, arg=[digit, before])


# -- 08: its drawing board, by the notebook's own cells

# What the board's cells take from those before them, on the sample.
BEFORE = """import numpy as np
from ae_helpers import load_mnist, load_run, prepare
from ae_helpers.numpy_layers import apply_layers

(X_train, y_train), _ = load_mnist("sample")
X_train_flat, run = prepare(X_train), load_run("07_deep")
"""
MARKS = ["def encode(", "board = DrawingBoard()", "board.observe("]
AROUND = """distances = np.linalg.norm(z - [explorer.x, explorer.y], axis=1)
print(np.bincount(y_train[distances.argsort()[:25]]).argmax())
"""


def test_a_drawn_digit_moves_the_map_to_its_class_and_clear_lets_it_stay(lab_page, lab):
    notebook = nbformat.read(NOTEBOOKS / "08_limits.ipynb", as_version=4)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    own = [next(source for source in sources if mark in source) for mark in MARKS]
    page = lab_page
    lab.open(page, BEFORE, *own, AROUND)
    for index in range(4):
        lab.run(page, index)
    page.locator(".place").wait_for()
    board = page.locator("canvas[aria-label^=Board]")
    board.scroll_into_view_if_needed()

    angle = np.linspace(0, 2 * np.pi, 25)
    ring = np.stack([0.5 + 0.2 * np.sin(angle), 0.5 - 0.32 * np.cos(angle)], axis=1)
    for digit, points in [("0", ring), ("1", [(0.55, 0.15), (0.45, 0.85)])]:
        shown = page.locator(".decoded canvas").element_handle()
        before = shown.evaluate(READ)
        draw_line(page, board, points, steps=3)
        page.wait_for_function(HAS_CHANGED, arg=[shown, before])
        wait_until(page, lambda digit=digit: lab.run(page, 4).strip() == digit)
        page.wait_for_timeout(1000)  # for what is still on its way to the map
        there = page.locator(".place").text_content()
        page.get_by_role("button", name="Clear").click()
        page.wait_for_timeout(500)
        assert page.locator(".place").text_content() == there
