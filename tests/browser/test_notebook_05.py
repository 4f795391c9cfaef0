"""Notebook 05 as a reader meets it: opened in JupyterLab, run, its sliders moved by keys."""

from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "05_decoder_grid.ipynb"
DIGITS = {"explorer.sliders()": ".decoded canvas", "latent_sliders(": "img.widget-image"}
READ = "digit => digit.src ?? digit.toDataURL()"


@pytest.fixture(scope="module")
def opened(browser, lab):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":  # what is seen must come from this run
            cell.outputs, cell.execution_count = [], None
    page = browser.new_page(viewport={"width": 1400, "height": 1600})
    lab.open_notebook(page, notebook)
    lab.run_all(page)
    yield page, notebook
    page.close()


def test_all_cells_run_without_an_error(opened):
    page, notebook = opened
    errors = page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
          .flatMap(cell => cell.model.outputs?.toJSON() ?? [])
          .filter(output => output.output_type === "error").map(output => output.evalue)"""
    )
    assert errors == []
    n_run = page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
          .filter(cell => cell.model.executionCount).length"""
    )
    assert n_run == sum(cell.cell_type == "code" for cell in notebook.cells)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("made_by", DIGITS)
def test_each_slider_changes_the_digit(opened, lab, made_by, number):
    page, notebook = opened
    index = next(
        i
        for i, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and made_by in cell.source
    )
    lab.show(page, index)
    shown = page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{index}'] .noUi-handle")
    shown.nth(number).wait_for()
    page.locator(DIGITS[made_by]).wait_for()
    digit = page.locator(DIGITS[made_by])
    before = digit.evaluate(READ)
    shown.nth(number).focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1000)
    assert digit.evaluate(READ) != before
