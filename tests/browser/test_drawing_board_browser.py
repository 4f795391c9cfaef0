"""The board of drawing_board.js in a real browser, with a stand-in for the widget's model."""

import json
from pathlib import Path

import numpy as np
import pytest
from lab import draw_line, settle

from ae_helpers.widgets import drawing_board
from ae_helpers.widgets.drawing_board import SIDE, as_mnist

PAGE = """<!doctype html><body style="margin: 20px">
<div id="one"></div><div id="two"></div><script type="module">
const handlers = [];
window.state = { _side: BOARD, pixels: new DataView(new ArrayBuffer(0)) };
window.saves = 0;
const model = {
  get: (name) => window.state[name],
  set: (name, value) => { window.state[name] = value; handlers.forEach((f) => f()); },
  save_changes: () => window.saves++,
  on: (_, handler) => handlers.push(handler),
  off: (_, handler) => handlers.splice(handlers.indexOf(handler), 1),
};
const source = new Blob([SOURCE], { type: "text/javascript" });
const { default: widget } = await import(URL.createObjectURL(source));
for (const id of ["one", "two"]) widget.render({ model, el: document.getElementById(id) });
window.ready = true;
</script></body>"""


@pytest.fixture
def page(new_page):
    script = Path(drawing_board.__file__).with_suffix(".js").read_text()
    page = new_page()
    page.set_content(PAGE.replace("BOARD", str(SIDE)).replace("SOURCE", json.dumps(script)))
    page.wait_for_function("window.ready")
    return page


def drawing(page):
    levels = page.evaluate("Array.from(new Uint8Array(window.state.pixels.buffer))")
    return np.array(levels, "uint8").reshape(SIDE, SIDE)


def draw(page, *points):
    draw_line(page, page.locator("canvas").first, points, steps=10)
    settle(page)


def test_a_stroke_reaches_python_as_it_was_drawn(page):
    draw(page, (0.5, 0.2), (0.5, 0.8))
    levels = drawing(page)
    inked = np.argwhere(levels > 127)
    assert inked.min(axis=0) == pytest.approx([0.2 * SIDE - 5.5, 0.5 * SIDE - 5.5], abs=2)
    assert inked.max(axis=0) == pytest.approx([0.8 * SIDE + 5.5, 0.5 * SIDE + 5.5], abs=2)
    assert 20 * 2 <= (as_mnist(levels) > 127).sum() <= 20 * 4  # as bold as MNIST's digits


def test_moving_without_a_pressed_button_draws_nothing(page):
    page.mouse.move(50, 50)
    page.mouse.move(150, 150, steps=5)
    settle(page)
    assert page.evaluate("window.saves") == 0


def test_two_strokes_are_kept_and_clear_removes_them(page):
    draw(page, (0.2, 0.2), (0.2, 0.8))
    draw(page, (0.8, 0.2), (0.8, 0.8))
    levels = drawing(page)
    assert levels[:, : SIDE // 2].any() and levels[:, SIDE // 2 :].any()
    page.get_by_role("button", name="Clear").first.click()
    assert page.evaluate("window.state.pixels.byteLength") == 0
    colours = "document.querySelector('canvas').getContext('2d').getImageData(0, 0, 112, 112).data"
    assert page.evaluate(f"Array.from({colours}).every((v, i) => v === (i % 4 === 3 ? 255 : 0))")


def test_a_second_view_shows_the_same_drawing(page):
    draw(page, (0.3, 0.3), (0.7, 0.7))
    same = page.evaluate(
        """(() => { const [a, b] = [...document.querySelectorAll("canvas")].map((c) =>
        c.getContext("2d").getImageData(0, 0, c.width, c.height).data);
        return a.some((v, i) => i % 4 < 3 && v) && a.every((v, i) => v === b[i]); })()"""
    )
    assert same
