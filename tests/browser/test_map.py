"""The latent map in a real browser: the exported page, and the widget in a real JupyterLab."""

import inspect
import json
import re
from itertools import pairwise

import numpy as np
import pytest
from lab import settle, wait_until
from matplotlib.path import Path as PolygonPath
from own_images import SETS
from sklearn.decomposition import PCA

from ae_helpers import load_images, prepare
from ae_helpers.numpy_layers import apply_layers, to_uint8
from ae_helpers.widgets.latent_map import LatentExplorer

MODULE = LatentExplorer._esm
IMPORT = "await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })))"


def digits():
    """Make weights, codes, labels and originals, always the same; a cell below does it too."""
    random = np.random.default_rng(4)
    decoder = [
        (random.normal(size=(2, 8)), random.normal(size=8), "relu"),
        (random.normal(size=(8, 784)), random.normal(size=784), "sigmoid"),
    ]
    labels = np.arange(300) % 10
    points = np.array([labels % 4, labels // 4]).T * 3 + random.normal(0, 0.3, size=(300, 2))
    images = random.integers(0, 256, size=(300, 28, 28)).astype("uint8")
    return decoder, points, labels, images


decoder, points, labels, images = digits()
SETUP = f"""import numpy as np
{inspect.getsource(digits)}
decoder, points, labels, images = digits()
"""
WIDGET = f"""{SETUP}
from IPython.display import display
from ae_helpers.widgets.latent_map import LatentExplorer

shown = LatentExplorer(decoder, points=points, labels=labels, images=images)
display(shown)
"""


def pixels(page, canvas, shape=(28, 28)):
    """Return what a canvas shows."""
    values = page.locator(f"{canvas} canvas").evaluate(
        """(canvas, [height, width]) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          return [...data].filter((_, i) => i % 4 === 0);
        }""",
        shape,
    )
    return np.reshape(values, shape)


def place(page):
    """Return the numbers (x, y) that the map shows."""
    text = page.locator(".place").text_content().replace("−", "-")
    return tuple(float(part.split("=")[1]) for part in text.split("   "))


def on_screen(page, shown, x, y):
    """Return where the point (x, y) is, in CSS pixels."""
    box = page.locator(".plot").bounding_box()
    (x_low, x_high), (y_low, y_high) = shown._spec["ranges"]
    return (
        box["x"] + (x - x_low) / (x_high - x_low) * box["width"],
        box["y"] + (y_high - y) / (y_high - y_low) * box["height"],
    )


def assert_shows(page, x, y, tolerance=0.05):
    """The map is at (x, y), and its digit is what NumPy decodes there."""
    settle(page)
    assert place(page) == pytest.approx((x, y), abs=tolerance)
    expected = to_uint8(apply_layers(decoder, [place(page)]))[0].astype(int)
    # The place is rounded to a few digits, so that the pixels may differ a little.
    assert np.abs(pixels(page, ".decoded") - expected).max() <= 12


@pytest.fixture(scope="module")
def shown():
    return LatentExplorer(decoder, points=points, labels=labels, images=images)


@pytest.fixture(scope="module")
def html(shown, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return shown.export_html(folder / "map.html", title="</script><b>x")


@pytest.fixture
def open_map(open_alone, html):
    """Open an exported map, by default `html`."""

    def open_it(file=html, **options):
        page = open_alone(file, **options)
        page.locator(".decoded figcaption", has_text="Decoded").wait_for()
        return page

    return open_it


@pytest.fixture
def notebook(lab_page, new_page, lab):
    """Open a notebook whose first cell, already run, shows the map."""

    def open_it(*cells, **options):
        page = new_page(**options) if options else lab_page
        lab.open(page, WIDGET, *cells)
        lab.run(page, 0)
        page.locator(".decoded figcaption", has_text="Decoded").wait_for()
        return page

    return open_it


@pytest.fixture(params=["page", "JupyterLab"])
def open_either(request):
    """Open the map in its one home and in its other."""
    home = "open_map" if request.param == "page" else "notebook"
    return request.getfixturevalue(home)


# -- the decoder


@pytest.mark.parametrize("hidden", [["relu"], ["tanh", "silu", "linear", "sigmoid", "relu"]])
def test_the_browser_decodes_as_keras_does(new_page, hidden):
    from ae_helpers.model import dense_layers, quiet_start

    with quiet_start():
        import keras
    stack = [keras.layers.Dense(32, activation=activation) for activation in hidden]
    stack += [keras.layers.Dense(784, activation="sigmoid")]
    keras_decoder = keras.Sequential([keras.Input(shape=(2,)), *stack])
    random = np.random.default_rng(5)
    for layer in keras_decoder.layers:  # wide enough to reach black and white
        layer.set_weights([random.normal(size=part.shape) for part in layer.get_weights()])
    layers = dense_layers(keras_decoder)
    points = random.uniform(-20, 20, size=(200, 2)).astype("float32")
    found = new_page().evaluate(
        f"""async ([source, shapes, floats, points]) => {{
          const module = {IMPORT};
          const layers = module.readLayers(shapes, new Float32Array(floats));
          return points.map(([x, y]) => [...module.decode(layers, x, y)]);
        }}""",
        [
            MODULE,
            [[*kernel.shape, activation] for kernel, _, activation in layers],
            np.concatenate([part.ravel() for layer in layers for part in layer[:2]]).tolist(),
            points.tolist(),
        ],
    )
    expected = keras_decoder.predict(points, verbose=0) * 255
    assert np.ptp(expected) > 250
    assert np.abs(np.array(found) - expected).max() <= 1


def test_the_nearest_point_is_the_nearest_and_found_among_few(new_page):
    places = np.random.default_rng(6).beta(0.4, 2, size=(10_000, 2)).round(6)
    asked = np.random.default_rng(7).uniform(-0.1, 1.1, size=(200, 2))
    found, looked_at = new_page().evaluate(
        f"""async ([source, places, asked]) => {{
          const module = {IMPORT};
          const [us, vs] = [0, 1].map((k) => Float64Array.from(places, (place) => place[k]));
          const grid = module.buildGrid(us, vs, [...places.keys()]);
          let reads = 0;
          grid.us = new Proxy(us, {{ get: (all, i) => (reads++, all[i]) }});
          return [asked.map(([u, v]) => module.nearest(grid, u, v)), reads];
        }}""",
        [MODULE, places.tolist(), asked.tolist()],
    )
    squares = ((asked[:, None] - places[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(squares[range(200), found], squares.min(axis=1))
    assert looked_at / 200 < 200, "a search looks at one point in fifty, or fewer"


# -- the page


def test_the_page_opens_offline_and_shows_its_title_as_text(open_map):
    page = open_map()
    assert page.title() == "</script><b>x"
    assert page.locator("h1").text_content() == "</script><b>x"
    assert page.locator("b").count() == 0


def test_the_pointer_moves_the_point(open_map, shown):
    page = open_map()
    for x, y in [(1, 2), (5, 4)]:
        page.mouse.move(*on_screen(page, shown, x, y))
        assert_shows(page, x, y)


def test_the_arrow_keys_move_the_point(open_map, shown):
    page = open_map()
    x, y = place(page)
    (x_low, x_high), (y_low, y_high) = shown._spec["ranges"]
    page.locator(".map").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert_shows(page, x + (x_high - x_low) / 100, y - (y_high - y_low) / 10)


def test_the_page_has_sliders_that_move_and_follow_the_point(open_map, shown):
    page = open_map()
    page.mouse.move(*on_screen(page, shown, 2, 2))
    settle(page)
    first, second = page.locator("input:visible").all()
    assert float(first.input_value()) == pytest.approx(2, abs=0.05)
    second.fill("4.5")
    assert_shows(page, 2, 4.5)


def test_a_click_shows_the_digit_its_reconstruction_and_its_label(open_either, shown):
    page = open_either()
    x, y = points[17]
    near_x, near_y = on_screen(page, shown, x, y)
    page.mouse.click(near_x + 0.4, near_y - 0.4)
    assert_shows(page, x, y)
    assert page.locator(".original figcaption").text_content() == f"Chosen original: {labels[17]}"
    assert page.locator(".decoded figcaption").text_content() == "Reconstruction"
    np.testing.assert_array_equal(pixels(page, ".original"), images[17])


def test_the_legend_switches_classes_off_and_on(open_either, shown):
    page = open_either()
    x, y = points[17]
    colour = [int(shown._spec["classes"][7]["colour"][k : k + 2], 16) for k in (1, 3, 5)]

    def count():
        return page.locator(".points").evaluate(
            """(canvas, [r, g, b]) => {
              const { width, height } = canvas;
              const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
              let found = 0;
              for (let i = 0; i < data.length; i += 4) {
                const near = Math.hypot(data[i] - r, data[i + 1] - g, data[i + 2] - b) < 6;
                if (data[i + 3] > 200 && near) found++;
              }
              return found;
            }""",
            colour,
        )

    button = page.get_by_role("button", name="7", exact=True)
    assert button.get_attribute("aria-pressed") == "true"
    before = count()
    button.click()
    settle(page)
    assert button.get_attribute("aria-pressed") == "false"
    assert before > 20
    assert count() == 0
    page.mouse.move(*on_screen(page, shown, x, y))
    settle(page)
    assert page.locator(".original figcaption").text_content() != "Nearest original: 7"
    button.focus()
    page.keyboard.press("Space")
    settle(page)
    assert count() == before


def test_no_class_at_all_is_no_error(open_map, shown):
    page = open_map()
    for button in page.locator(".legend button").all():
        button.click()
    page.mouse.click(*on_screen(page, shown, 2, 2))
    assert_shows(page, 2, 2)
    assert page.locator(".original figcaption").text_content() == "No class is switched on"


def drag(page, shown, start, end):
    page.mouse.move(*on_screen(page, shown, *start))
    page.mouse.down()
    page.mouse.move(*on_screen(page, shown, *end), steps=5)
    page.mouse.up()


def test_a_drag_plays_the_walk_between_its_ends(open_either, shown):
    page = open_either()
    start, end = points[0], points[7]
    page.locator(".place").evaluate(
        """place => {
          window.seen = [];
          const note = () => seen.push(place.textContent);
          new MutationObserver(note).observe(place, { childList: true });
        }"""
    )
    drag(page, shown, start, end)
    page.locator(".original figcaption", has_text="Chosen original: 7").wait_for()
    firsts = [text.split("   ")[0].split("=")[1] for text in page.evaluate("seen")]
    xs = np.array([float(x.replace("−", "-")) for x in firsts])
    walk = xs[np.diff(xs, prepend=xs[0]).argmin() :]  # from where the drag's end jumps back
    assert walk[0] == pytest.approx(start[0], abs=1) and len(walk) > 5, "several steps on the way"
    assert (np.diff(walk) >= 0).all()
    assert_shows(page, *end)
    assert page.locator(".strip").is_visible()


def test_keys_walk_too(open_map, shown):
    page = open_map()
    page.locator(".map").focus()
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    settle(page)
    end = place(page)
    page.keyboard.press("Enter")
    wait_until(page, lambda: place(page)[0] < end[0] - 0.1)
    page.keyboard.press("Escape")
    settle(page)
    stopped = place(page)
    page.wait_for_timeout(200)
    assert place(page) == stopped


def test_with_reduced_motion_a_walk_is_a_strip_and_no_animation(open_map, shown):
    page = open_map(reduced_motion="reduce")
    drag(page, shown, points[0], points[7])
    assert_shows(page, *points[7])
    assert page.locator(".strip").is_visible()
    assert page.locator(".walk button").is_hidden()


def test_a_finger_drags_the_point_and_taps_a_digit(open_either, shown):
    page = open_either(has_touch=True, viewport={"width": 500, "height": 900})
    touch = page.context.new_cdp_session(page)

    def send(kind, *places):
        spots = [dict(zip("xy", on_screen(page, shown, *spot), strict=True)) for spot in places]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

    page.locator(".plot").scroll_into_view_if_needed()
    send("touchStart", (1, 1))
    for x in (1.5, 2, 3, 4.5):
        send("touchMove", (x, 3))
        assert_shows(page, x, 3)
    send("touchEnd")
    page.get_by_role("button", name="Play the walk").click()
    page.locator(".place", has_text=re.compile(r"z₁ = [23]\.")).wait_for()  # on its way
    page.locator(".plot").scroll_into_view_if_needed()
    page.touchscreen.tap(*on_screen(page, shown, *points[17]))
    assert_shows(page, *points[17])
    assert page.locator(".original figcaption").text_content() == "Chosen original: 7"


def test_it_speaks_to_screen_readers(open_map, shown):
    page = open_map()
    widget = page.locator(".map")
    assert widget.get_attribute("aria-label") == "Latent map of 300 digits"
    page.mouse.click(*on_screen(page, shown, *points[17]))
    page.locator("[aria-live]", has_text="Reconstruction. Chosen original: 7.").wait_for(
        state="attached"
    )


def test_focus_can_be_seen(open_map):
    page = open_map()
    page.keyboard.press("Tab")
    style = page.locator(".plot").evaluate("plot => getComputedStyle(plot).outlineWidth")
    assert style == "2px"


def test_the_points_are_drawn_anew_when_only_the_browsers_zoom_changes(open_map):
    page = open_map(viewport={"width": 3000, "height": 2700})
    pixels_and_width = "c => [c.width, c.clientWidth]"
    before, width = page.locator(".points").evaluate(pixels_and_width)
    zoomed = {"width": 1500, "height": 1350, "deviceScaleFactor": 2, "mobile": False}  # by 200 %
    page.context.new_cdp_session(page).send("Emulation.setDeviceMetricsOverride", zoomed)
    page.wait_for_function("window.devicePixelRatio === 2 && window.innerWidth === 1500")
    settle(page)
    assert page.locator(".points").evaluate(pixels_and_width) == [2 * before, width]


def test_a_drag_that_leaves_the_map_ends_at_its_edge(open_map, shown):
    page = open_map(reduced_motion="reduce")
    (x_low, _), (y_low, _) = shown._spec["ranges"]
    drag(page, shown, (2, 2), (x_low - 3, y_low - 30))
    assert_shows(page, x_low, y_low)
    page.mouse.move(*on_screen(page, shown, 3, 1))
    assert_shows(page, 3, 1)


def test_the_arrow_keys_do_not_scroll_the_page(open_map):
    page = open_map(viewport={"width": 1000, "height": 300})
    page.locator(".map").focus()
    before = page.evaluate("scrollY")
    _, y = place(page)
    for _ in range(5):
        page.keyboard.press("ArrowDown")
    settle(page)
    assert place(page)[1] < y
    assert page.evaluate("scrollY") == before
    page.mouse.move(900, 20)
    page.keyboard.press("PageDown")  # other keys are the page's
    page.wait_for_function("before => scrollY > before", arg=before)


@pytest.mark.parametrize("width", [1000, 390])
def test_long_names_stay_on_the_plot_apart_and_on_the_page(open_map, tmp_path, width):
    names = np.array([f"<i>class</i> number {k}, a long name" for k in range(9)] + ["x" * 300])
    long = LatentExplorer(decoder, points=points, labels=names[labels])
    file = long.export_html(tmp_path / "long.html")
    page = open_map(file, viewport={"width": width, "height": 900})
    plot = page.locator(".plot").bounding_box()
    boxes = [text.bounding_box() for text in page.locator(".names text").all()]
    for i, box in enumerate(boxes):
        assert box["x"] >= plot["x"] - 2
        assert box["x"] + box["width"] <= plot["x"] + plot["width"] + 2
        for other in boxes[:i]:
            aside = abs(box["x"] - other["x"]) > 0.8 * box["width"]
            assert aside or abs(box["y"] - other["y"]) > 8, "the names can be told apart"
    for k in (3, 9):
        assert page.get_by_role("button", name=names[k], exact=True).is_visible()
    page.mouse.click(*on_screen(page, long, *points[9]))
    page.locator("figcaption", has_text="xxx").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_60000_points_are_drawn_at_once_and_stay_while_the_point_moves(open_map, tmp_path):
    random = np.random.default_rng(8)
    many = LatentExplorer(
        decoder, points=random.gamma(2, 5, size=(60_000, 2)), labels=np.arange(60_000) % 10
    )
    watch = """window.drawn = [];
        for (const name of ["putImageData", "drawImage", "fillRect", "fill", "stroke"]) {
          const draw = CanvasRenderingContext2D.prototype[name];
          CanvasRenderingContext2D.prototype[name] = function (image, ...rest) {
            drawn.push(`${name} ${image?.width ?? ""}`);
            return draw.call(this, image, ...rest);
          };
        }"""
    page = open_map(many.export_html(tmp_path / "many.html"), script=watch)
    side = page.locator(".points").evaluate("canvas => canvas.width")
    page.evaluate("drawn.length = 0")
    page.locator(".legend button").first.click()
    settle(page)
    drawn = page.evaluate("drawn.splice(0)")
    assert drawn.count(f"putImageData {side}") == 1
    assert set(drawn) == {f"putImageData {side}", "putImageData 28"}, "no call for each point"
    for x, y in [(5, 5), (10, 20), (20, 10)]:
        page.mouse.move(*on_screen(page, many, x, y))
        assert_shows(page, x, y, tolerance=0.1)
    assert set(page.evaluate("drawn")) == {"putImageData 28"}, "a move draws the digit only"


def test_a_page_takes_few_bytes_for_each_of_its_digits(open_map, tmp_path):
    random = np.random.default_rng(8)
    images = random.integers(0, 256, size=(2000, 28, 28)).astype("uint8")
    images[:, :, :22] = 0  # as compressible as MNIST is
    full = LatentExplorer(
        decoder,
        points=random.gamma(2, 5, size=(2000, 2)),
        labels=np.arange(2000) % 10,
        images=images,
    )
    file = full.export_html(tmp_path / "full.html")
    assert file.stat().st_size < 2000 * 400
    page = open_map(file)
    page.locator(".original figcaption", has_text="Nearest original").wait_for()


@pytest.mark.parametrize("count", [1, 5])
def test_points_without_width_are_drawn_in_the_middle(open_map, tmp_path, count):
    one = LatentExplorer(decoder, points=[[3, 4]] * count, labels=[7] * count)
    page = open_map(one.export_html(tmp_path / "one.html"))
    assert_shows(page, 3, 4)
    alpha = page.locator(".points").evaluate(
        "c => c.getContext('2d').getImageData(c.width >> 1, c.height >> 1, 1, 1).data[3]"
    )
    assert alpha > 200
    assert page.locator(".original figcaption").text_content() == "Nearest digit: 7"


# -- JupyterLab


def test_sliders_and_pointer_move_the_digit_while_the_kernel_is_busy(notebook, lab, shown):
    busy = "import time\nfrom pathlib import Path\n"
    busy += "while not Path('enough').exists():\n    time.sleep(0.05)\nprint('awake')"
    page = notebook(busy, "print(shown.x, shown.y)")
    lab.run(page, 1, wait=False)
    first, second = page.locator(".sliders input").all()
    first.focus()
    before = pixels(page, ".decoded")
    x, _ = place(page)
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    wait_until(page, lambda: place(page)[0] > x + 0.2)
    assert (pixels(page, ".decoded") != before).any()
    page.mouse.move(*on_screen(page, shown, 1, 5))
    assert_shows(page, 1, 5)
    assert float(second.input_value()) == pytest.approx(5, abs=0.1)  # they follow the map
    assert lab.text(page, 1) == ""  # all this before the cell was done
    (lab.work / "enough").touch()
    page.wait_for_function(
        "jupyterapp.shell.currentWidget.content.widgets[1].model.outputs.length > 0"
    )
    there = pytest.approx([1, 5], abs=0.05)
    wait_until(page, lambda: [float(v) for v in lab.run(page, 2).split()] == there)


def test_python_moves_the_map_and_sets_an_image(notebook, lab):
    page = notebook(
        "shown.x, shown.y = 2.5, 4.5",
        "shown.image = images[5]",
        "try:\n    shown.x = float('nan')\nexcept ValueError as error:\n    print(error)",
    )
    lab.run(page, 1)
    page.locator(".place", has_text=re.compile("2[.]5.*4[.]5")).wait_for()
    assert_shows(page, 2.5, 4.5)
    lab.run(page, 2)
    page.locator(".decoded figcaption", has_text="Set from Python").wait_for()
    np.testing.assert_array_equal(pixels(page, ".decoded"), images[5])
    lab.run(page, 3)
    assert lab.text(page, 3).startswith("x=nan cannot work: it must be a number from ")
    page.locator(".map").focus()
    page.keyboard.press("ArrowLeft")
    page.locator(".decoded figcaption", has_text="Decoded").wait_for()
    assert_shows(page, 2.5, 4.5, tolerance=0.2)


def test_the_keys_of_the_map_do_nothing_else_in_jupyterlab(notebook):
    page = notebook("1 + 1")
    state = """() => JSON.stringify([
      jupyterapp.shell.currentWidget.content.activeCellIndex,
      jupyterapp.shell.currentWidget.content.mode,
      jupyterapp.shell.currentWidget.content.widgets.length,
    ])"""
    page.locator(".map").focus()
    before = page.evaluate(state)
    for key in ("ArrowDown", "ArrowUp", "Shift+ArrowDown", "Enter", "ArrowDown", "Escape"):
        page.keyboard.press(key)
    settle(page)
    assert page.evaluate(state) == before


def test_a_long_drag_leaves_kernel_and_map_at_the_same_point(notebook, lab, shown):
    page = notebook("print(shown.x, shown.y)")
    for x in np.linspace(0, 6, 120):
        page.mouse.move(*on_screen(page, shown, x, x))
    settle(page)
    there = pytest.approx(place(page), abs=0.01)
    wait_until(page, lambda: [float(v) for v in lab.run(page, 1).split()] == there)
    assert place(page) == there


def test_the_map_goes_on_without_a_kernel(notebook, shown):
    page = notebook()
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.mouse.move(*on_screen(page, shown, 1, 5))
    assert_shows(page, 1, 5)
    page.locator(".sliders input").first.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    settle(page)
    assert place(page)[0] > 1.2


def test_two_maps_are_two_and_one_can_go_while_it_walks(notebook, lab, shown):
    page = notebook("display(LatentExplorer(decoder, points=points, labels=labels))")
    lab.run(page, 1)
    page.locator(".map").nth(1).wait_for()
    lab.show(page, 0)
    second = page.locator(".place").nth(1).text_content()
    page.locator(".map").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")  # the walk begins
    assert page.locator(".place").nth(1).text_content() == second
    page.evaluate("() => jupyterapp.commands.execute('notebook:clear-cell-output')")
    wait_until(page, lambda: page.locator(".map").count() == 1)
    page.wait_for_timeout(500)  # new_page reports what went wrong in the browser
    lab.run(page, 0)
    page.locator(".map").nth(1).wait_for()


def test_the_kernel_slider_changes_its_digit(lab_page, lab):
    """The step before the map: `latent_sliders`, decoded in the kernel."""
    page = lab_page
    lab.open(
        page,
        f"{SETUP}\nfrom ae_helpers import latent_sliders\n"
        "sliders = latent_sliders(decoder, [[0.115, -3.7], [9.2, 6.1]])\n"
        "start = sliders.x, sliders.y\n"
        "sliders",
        "print(sliders.x)",
        "print(start == (sliders.x, sliders.y))",
    )
    lab.run(page, 0)
    image = page.locator("img.widget-image")
    image.wait_for()
    before = image.get_attribute("src")
    handle = page.locator(".noUi-handle").first
    handle.wait_for()
    assert lab.run(page, 2).strip() == "True"  # what nobody moved tells nothing
    handle.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "before => document.querySelector('img.widget-image').src !== before", arg=before
    )
    wait_until(
        page,
        lambda: (
            float(lab.run(page, 1)) == pytest.approx((0.115 + 9.2) / 2 + 20 * (9.2 - 0.115) / 256)
        ),
    )


def test_the_data_of_a_page_is_plain_json(html):
    text = html.read_text(encoding="utf-8").split('id="data">')[1].split("</script>")[0]
    assert "<" not in text
    assert set(json.loads(text)) == {"spec", "packed"}


# -- own images: another size, names, files, and a cluster pulled out


EVIL = "</script><img src=x onerror=document.title='caught'>"


@pytest.fixture
def open_own(open_map, tmp_path):
    """Open a page of images 12 × 8 in 30 classes with names, each with the name of its file."""
    own_decoder = [
        (*decoder[0][:2], "relu"),
        (decoder[1][0][:, :96], decoder[1][1][:96], "sigmoid"),
    ]
    names = np.array([f"{k} {EVIL}" for k in range(30)])
    own = LatentExplorer(
        own_decoder,
        points=points,
        labels=names[np.arange(300) % 30],
        images=images[:, :12, :8].copy(),
        files=[f"{EVIL}/{i}.png" for i in range(300)],
    )
    return open_map(own.export_html(tmp_path / "own.html")), own, own_decoder


def test_images_of_another_size_are_decoded_and_shown_in_their_proportions(open_own):
    page, own, own_decoder = open_own
    page.mouse.move(*on_screen(page, own, 2, 5))
    settle(page)
    expected = to_uint8(apply_layers(own_decoder, [place(page)]), (12, 8))[0]
    assert np.abs(pixels(page, ".decoded", (12, 8)) - expected.astype(int)).max() <= 12
    box = page.locator(".decoded canvas").bounding_box()
    assert box["height"] / box["width"] == pytest.approx(12 / 8, abs=0.02)


@pytest.mark.parametrize("kind", ["8 × 8", "letters"])
def test_the_map_moves_on_own_images_read_from_a_file(open_alone, tmp_path, kind):
    own, _, _ = load_images(SETS[kind](tmp_path))
    pca = PCA(2, random_state=0).fit(prepare(own.images))
    own_decoder = [(pca.components_, pca.mean_, "linear")]
    codes = pca.transform(prepare(own.images))
    explorer = LatentExplorer(own_decoder, points=codes, **own._asdict())
    page = open_alone(explorer.export_html(tmp_path / "own.html"), reduced_motion="reduce")
    page.locator(".decoded figcaption", has_text="Decoded").wait_for()
    first, last = codes[:, 0].argmin(), codes[:, 0].argmax()
    seen = []
    for start, end in ((first, last), (last, first)):
        drag(page, explorer, codes[start].tolist(), codes[end].tolist())
        settle(page)
        assert place(page) == pytest.approx(codes[end], abs=0.1)
        expected = to_uint8(apply_layers(own_decoder, [place(page)]))[0].astype(int)
        seen.append(pixels(page, ".decoded", expected.shape))
        assert np.abs(seen[-1] - expected).max() <= 12
        np.testing.assert_array_equal(
            pixels(page, ".original", expected.shape), own.images[end], "its nearest original"
        )
        assert page.locator(".tip").text_content() == own.files[end]
    assert np.abs(seen[0] - seen[1]).mean() > 20, "another picture"
    box = page.locator(".tip canvas").bounding_box()
    assert (box["height"], box["width"]) == pytest.approx(own.images.shape[1:], abs=0.1)


def test_a_points_picture_stands_beside_it_at_its_true_size_with_its_file(open_own):
    page, own, _ = open_own
    tip = page.locator(".tip")
    assert not tip.is_visible()
    page.mouse.move(*on_screen(page, own, *points[40]))
    settle(page)
    box = tip.locator("canvas").bounding_box()
    assert (box["width"], box["height"]) == pytest.approx((8, 12), abs=0.1)
    assert tip.text_content() == "40.png"
    page.mouse.move(5, 5)
    assert not tip.is_visible()
    page.locator(".map").focus()
    assert tip.is_visible()


def test_names_and_files_are_text_whatever_they_hold(open_own):
    page, own, _ = open_own
    page.mouse.move(*on_screen(page, own, *points[40]))
    settle(page)
    assert page.title() != "caught"
    assert page.locator("#map img").count() == 0
    assert page.locator(".legend button").nth(0).text_content() == f"0 {EVIL}"
    assert f", {EVIL}/40.png" in page.locator(".original figcaption").text_content()


def inside(corners):
    """Return which points lie in a polygon; none may be too near its sides to tell."""
    path = PolygonPath([*corners, corners[0]], closed=True)
    sides = np.concatenate([np.linspace(a, b, 200) for a, b in pairwise([*corners, corners[0]])])
    assert np.abs(points[:, None] - sides).max(axis=2).min() > 0.02
    return np.flatnonzero(path.contains_points(points)).tolist()


def test_a_lasso_and_a_rectangle_have_exactly_the_points_inside(notebook, lab, shown):
    page = notebook("print(*shown.selected)")
    select = page.locator(".select button")

    def chosen():
        return [int(i) for i in lab.run(page, 1).split()]

    assert chosen() == []

    def draw(corners, *, shift=False):
        lab.show(page, 0)
        page.mouse.move(*on_screen(page, shown, *corners[0]))
        page.mouse.down()
        if shift:
            page.keyboard.down("Shift")
        for corner in corners[1:]:
            page.mouse.move(*on_screen(page, shown, *corner), steps=5)
        page.mouse.up()
        page.keyboard.up("Shift")
        settle(page)
        return page.locator(".select span").text_content()

    select.click()
    lasso = [(1.7, -0.6), (7.7, 1), (7.9, 5.9), (4.9, 3.6), (1.3, 6)]
    told = draw(lasso)
    expected = inside(lasso)
    assert told == f"{len(expected)} points selected." and len(expected) == 87
    wait_until(page, lambda: chosen() == expected)

    left, low, right, high = 1.5, 1.4, 7.6, 6.7
    draw([(left, low), (8, 2), (right, high)], shift=True)
    expected = inside([(left, low), (right, low), (right, high), (left, high)])
    wait_until(page, lambda: chosen() == expected)

    page.locator(".legend button").nth(3).click()  # what is hidden is not selected
    told = draw(lasso)
    expected = [i for i in inside(lasso) if labels[i] != 3]
    wait_until(page, lambda: chosen() == expected)

    select.click()
    draw([(1, 1.5), (5, 4.5)])
    assert page.locator(".walk").is_visible(), "a drag is a walk again"
    assert chosen() == expected
