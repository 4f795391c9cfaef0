"""The drawing board of notebook 07 in a real JupyterLab, by the notebook's own cells."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
from lab import draw_line

expect = pytest.importorskip("playwright.sync_api").expect

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "07_comparing_models.ipynb"
# What the board's cells take from those before them, on the sample.
BEFORE = """import numpy as np
from ae_helpers import load_mnist, load_run, prepare
from ae_helpers.numpy_layers import apply_layers

(X_train, y_train), _ = load_mnist("sample")
runs = {"deep": load_run("07_deep")}
codes = {"deep": apply_layers(runs["deep"].encoder_weights, prepare(X_train))}
decode_with = lambda name: lambda z: apply_layers(runs[name].decoder_weights, z)
"""
MARKS = ["def encode(", "board = DrawingBoard()", "board.observe("]
AROUND = """distances = np.linalg.norm(z - [explorer.x, explorer.y], axis=1)
print(np.bincount(y_train[distances.argsort()[:25]]).argmax())
"""


@pytest.fixture(scope="module")
def cells():
    sources = [
        cell.source
        for cell in nbformat.read(NOTEBOOK, as_version=4).cells
        if cell.cell_type == "code"
    ]
    own = [next(source for source in sources if mark in source) for mark in MARKS]
    return [BEFORE, *own, AROUND]


@pytest.fixture
def page(new_page, lab, cells):
    page = new_page(viewport={"width": 1400, "height": 1000})
    lab.open(page, *cells)
    for index in range(4):
        lab.run(page, index)
    page.locator(".place").wait_for()
    page.locator("canvas[aria-label^=Board]").scroll_into_view_if_needed()
    return page


def draw(page, points):
    """Draw a line through points of the board, (0, 0) to (1, 1), and wait until it is encoded."""
    before = page.locator(".place").text_content()
    draw_line(page, page.locator("canvas[aria-label^=Board]"), points, steps=3)
    expect(page.locator(".place")).not_to_have_text(before)
    page.wait_for_timeout(1000)


def test_a_drawn_digit_moves_the_map_to_its_class_and_clear_lets_it_stay(page, lab):
    angle = np.linspace(0, 2 * np.pi, 25)
    ring = np.stack([0.5 + 0.2 * np.sin(angle), 0.5 - 0.32 * np.cos(angle)], axis=1)
    for digit, points in [("0", ring), ("1", [(0.55, 0.15), (0.45, 0.85)])]:
        digits = page.locator(".decoded canvas")
        before = digits.evaluate("canvas => canvas.toDataURL()")
        draw(page, points)
        assert digits.evaluate("canvas => canvas.toDataURL()") != before
        lab.run(page, 4)
        assert lab.text(page, 4).strip() == digit
        there = page.locator(".place").text_content()
        page.get_by_role("button", name="Clear").click()
        page.wait_for_timeout(500)
        assert page.locator(".place").text_content() == there
